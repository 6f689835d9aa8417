"""Synthesis and its counting on tiny Verilog with known answers."""

import time
from pathlib import Path
from typing import Any

import pytest

from bwnhw.devices import find
from bwnhw.errors import InputError, MissingError, ToolError
from bwnhw.rtl.netlist import count
from bwnhw.rtl.place import place
from bwnhw.rtl.synth import synth, synth_layers

ADDER = """
module adder(input clk, input [7:0] a, b, output reg [7:0] q);
  always @(posedge clk) q <= a + b;
endmodule
"""
COUNTER = """
module counter(input clk, input [7:0] a, output reg [7:0] q);
  always @(posedge clk) q <= q + a;
endmodule
"""
DELAY = """
module delay(input clk, input [15:0] d, output reg [15:0] q);
  reg [15:0] p0, p1, p2;
  always @(posedge clk) begin p0 <= d; p1 <= p0; p2 <= p1; q <= p2; end
endmodule
"""
RAM = """
module memory(input clk, input [9:0] a, input [17:0] d, input we, output reg [17:0] q);
  reg [17:0] words [0:1023];
  always @(posedge clk) begin if (we) words[a] <= d; else q <= words[a]; end
endmodule
"""


def written(folder: Path, text: str) -> Path:
    """The text as a file."""
    path = folder / "a design.v"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("text", "top", "family", "luts", "ffs", "brams"), [
    (ADDER, "adder", "xc7", 8, 8, 0),  # one LUT2 per bit beside its carry
    (ADDER, "adder", "ecp5", 8, 8, 0),  # four CCU2C
    (DELAY, "delay", "xc7", 16, 0, 0),  # one SRL16E per bit
    (DELAY, "delay", "ecp5", 0, 64, 0),
    (RAM, "memory", "xc7", 0, 0, 1),
    (RAM, "memory", "ecp5", 0, 0, 1),
    (ADDER, "adder", "ice40", 8, 8, 0),  # seven carries, each beside its LUT
    (DELAY, "delay", "ice40", 0, 64, 0),
    (RAM, "memory", "ice40", 1, 0, 5),  # 18 kbit in blocks of 4; an inverter for the write enable
])
def test_known_counts(tmp_path: Path, text: str, top: str, family: str, luts: int, ffs: int, brams: int) -> None:
    passes: list[str] = []
    result = synth(written(tmp_path, text), family, top, progress=passes.append)
    assert (result.luts, result.ffs, result.brams) == (luts, ffs, brams)
    assert result.tool.startswith("Yosys 0.70")
    assert any("ABC" in line or "abc" in line for line in passes)


def carry(select: list[Any], outputs: list[Any]) -> dict[str, Any]:
    """A netlist of one CARRY4 with these S pins and O pins (CO unused), one LUT driving net 10, and a reader of nets 20 to 23."""
    lut = {"type": "LUT2", "connections": {"I0": [2], "I1": [3], "O": [10]},
           "port_directions": {"I0": "input", "I1": "input", "O": "output"}}
    chain = {"type": "CARRY4", "connections": {"S": select, "DI": ["0"] * 4, "O": outputs, "CO": [30, 31, 32, 33]},
             "port_directions": {"S": "input", "DI": "input", "O": "output", "CO": "output"}}
    reader = {"type": "FDRE", "connections": {"D": [20, 21, 22, 23]}, "port_directions": {"D": "input"}}
    return {"modules": {"m": {"cells": {"l": lut, "c": chain, "r": reader}}}}


@pytest.mark.parametrize(("select", "outputs", "extra"), [
    ([10, "0", "0", "0"], [20, 40, 41, 42], 0),  # one position in use, its LUT beside it
    ([10, 10, "0", "0"], [20, 21, 40, 41], 1),  # one LUT can't sit beside two positions
    ([10, 5, "1", "0"], [40, 41, 22, 43], 2),  # a register and a constant on the way to the top one in use
    ([5, 6, 7, 8], [40, 41, 42, 43], 0),  # nothing in use
])
def test_feed_through_of_carries(select: list[Any], outputs: list[Any], extra: int) -> None:
    counted = count(carry(select, outputs), "xc7")
    assert (counted.luts, counted.carry_luts, counted.ffs) == (1 + extra, extra, 1)


def test_unknown_cells_are_named() -> None:
    netlist = {"modules": {"m": {"cells": {"x": {"type": "DSP48E1", "connections": {}, "port_directions": {}}}}}}
    assert count(netlist, "xc7").other == ("DSP48E1",)


def test_errors(tmp_path: Path) -> None:
    source = written(tmp_path, ADDER)
    with pytest.raises(InputError, match="family"):
        synth(source, "xc99", "adder")
    with pytest.raises(InputError, match="identifier"):
        synth(source, "xc7", "adder; shell ls")
    with pytest.raises(InputError, match="none at"):
        synth(tmp_path / "missing.v", "xc7", "adder")
    with pytest.raises(MissingError, match="--yosys"):
        synth(source, "xc7", "adder", yosys=tmp_path / "no-yosys")
    with pytest.raises(ToolError, match="nowhere"):
        synth(source, "xc7", "nowhere")
    with pytest.raises(ToolError, match=r"Yosys ended .*syntax error"):
        synth(written(tmp_path, "module adder(input a"), "xc7", "adder")


def test_layers_by_themselves(tmp_path: Path) -> None:
    source = written(tmp_path, ADDER + DELAY)
    done: list[tuple[int, int]] = []
    found = synth_layers(source, "xc7", ["adder", "delay"], progress=lambda *counts: done.append(counts))
    assert [(one.top, one.luts, one.ffs) for one in found] == [("adder", 8, 8), ("delay", 16, 0)]
    assert done == [(1, 2), (2, 2)]


def test_the_first_failure_stops_the_other_layers(tmp_path: Path) -> None:
    slow = tmp_path / "yosys"
    slow.write_text('#!/bin/sh\ncase "$2" in *"-top bad"*) echo "ERROR: bad"; exit 1;; esac\nsleep 60\n')
    slow.chmod(0o755)
    began = time.monotonic()
    with pytest.raises(ToolError, match="ERROR: bad"):
        synth_layers(written(tmp_path, ADDER), "xc7", ["bad", "adder"], yosys=slow)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("name", ["ecp5-25", "ice40up5k"])
def test_place(tmp_path: Path, name: str) -> None:
    phases: list[str] = []
    placed = place(written(tmp_path, COUNTER), "counter", find(name), progress=phases.append)
    assert placed.device == name
    assert 8 <= placed.luts <= 40
    assert placed.ffs == (8 if name == "ecp5-25" else None)
    assert placed.brams == 0
    assert 20 < placed.fmax_mhz < 1000
    assert len(phases) > 3


def test_place_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a device that nextpnr places on"):
        place(written(tmp_path, ADDER), "adder", find("zynq7020"))
    wide = DELAY.replace("[15:0]", "[99:0]")  # more ports than the package has pins
    with pytest.raises(ToolError, match="nextpnr-ice40 ended with status"):
        place(written(tmp_path, wide), "delay", find("ice40up5k"))
    with pytest.raises(ToolError, match="found no clock"):
        place(written(tmp_path, "module wire_(input a, output b); assign b = a; endmodule"), "wire_", find("ecp5-25"))


def test_time_limit(tmp_path: Path) -> None:
    slow = tmp_path / "yosys"
    slow.write_text("#!/bin/sh\nsleep 60\n")
    slow.chmod(0o755)
    with pytest.raises(ToolError, match=r"time limit of 0.2 s"):
        synth(written(tmp_path, ADDER), "xc7", "adder", yosys=slow, timeout=0.2)

"""The array after full synthesis: registers between neighbours only, so no net's fan-out grows with rows or columns."""

import json
from collections import Counter

import numpy as np
import pytest

from bwnhw.blocks import Array, Step, Window
from bwnhw.geometry import Geometry
from bwnhw.rtl.array import SystolicArray
from bwnhw.rtl.emit import emit
from bwnhw.rtl.synth import run_yosys, yosys_command
from bwnhw.tables import ArrayTables

FLOWS = {"xc7": "synth_xilinx -flatten -noiopad -family xc7", "ecp5": "synth_ecp5 -nowidelut"}


def verilog_of(rows: int, columns: int, fold_depth: int = 8) -> str:
    """An array of PEs of 6 lanes with random weights."""
    lanes = 6 * columns
    window = Window(Geometry(1, 1, (1, 1), (1, 1), (0, 0, 0, 0)), lanes, 1, fold_depth, 1, 1, False, 1, (Step(0, 0, 0),), 1, 0, 1,
                    2 * fold_depth)
    array = Array(rows, 1, lanes, 6, 1, window.steps, fold_depth, window.group_beats, 1, "bits", 0, 0, 12, 1, False, "lut")
    rng = np.random.default_rng(1)
    tables = ArrayTables(rng.integers(0, 2, (rows, fold_depth, lanes)).astype(bool), rng.integers(-50, 0, (rows, 1)),
                         np.zeros((rows, 1), bool))
    return emit(SystolicArray(array, tables, window), "top")


def greatest_fanout(folder, text: str, family: str) -> int:
    """The most cell inputs that one net drives after synthesis, clock, reset and constants apart."""
    (folder / "array.v").write_text(text)
    script = f"read_verilog array.v; {FLOWS[family]} -top top; write_json netlist.json"
    run_yosys([*yosys_command(None), "-p", script], str(folder), 600)
    module = json.loads((folder / "netlist.json").read_text())["modules"]["top"]
    apart = {bit for name in ("clk", "rst") for bit in module["ports"][name]["bits"]}
    loads: Counter = Counter()
    for cell in module["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"].get(port) == "input" and port not in ("C", "CLK", "R", "LSR"):
                loads.update(bit for bit in bits if isinstance(bit, int) and bit not in apart)
    return max(loads.values())


@pytest.mark.slow
@pytest.mark.parametrize("family", FLOWS)
def test_fanout_does_not_grow(tmp_path, family):
    """Where the fold counters were equal registers, synthesis would merge them along the diagonals."""
    small = greatest_fanout(tmp_path, verilog_of(3, 2), family)
    text = verilog_of(9, 5)
    assert greatest_fanout(tmp_path, text, family) <= small + 1
    merged = text.replace("fold = 3'h7", "fold = 3'h0")
    assert merged != text
    assert greatest_fanout(tmp_path, merged, family) > small + 4

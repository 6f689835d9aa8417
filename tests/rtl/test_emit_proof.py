"""Proof by Yosys that emission keeps behaviour: block by block, the emitted Verilog is equivalent to what Amaranth wrote.

`equiv_induct` proves every register and output of the one equal to that of the other, from any state in which they are equal.
Written memories are mapped to registers; the contents that emission drops (zeros, never read before written) are not compared.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.lib import wiring
from networks import conv_network, dense_network

from bwnhw.blocks import Downsize, Upsize
from bwnhw.design import design
from bwnhw.errors import ToolError
from bwnhw.rtl.core import build_core
from bwnhw.rtl.emit import emit
from bwnhw.rtl.fifo import CreditFifo, Credits
from bwnhw.rtl.resize import Downsizer, Upsizer
from bwnhw.rtl.shell import AxisInput, AxisOutput
from bwnhw.rtl.synth import run_yosys, yosys_command
from bwnhw.rtl.window_control import Occupancy, Sequencer, Walk
from bwnhw.stage_tables import stage_tables

PROOF = ("read_rtlil gold.il; read_verilog gate.v; proc; setattr -mod -unset keep_hierarchy *; flatten; memory_map; opt_clean; "
         "equiv_make gold gate both; hierarchy -top both; "
         "opt_clean; equiv_struct; equiv_simple -seq 1; equiv_induct -seq 5; equiv_status -assert")

Make = Callable[[], wiring.Component]


def blocks() -> dict[str, Make]:
    """Every kind of block in some real size; each made twice, since elaboration uses a component up."""
    network, plan = conv_network()
    layout = design(network.topology, plan)
    made: dict[str, Make] = {"axis_input": lambda: AxisInput(layout.input), "axis_output": lambda: AxisOutput(layout.output)}
    for stage in layout.stages:
        for core, tables in zip(stage.cores, stage_tables(network, stage), strict=True):
            made[f"{stage.name}_{type(core).__name__}"] = partial(build_core, core, tables, stage.window)
        if window := stage.window:
            for control in (Sequencer, Walk, Occupancy):
                made[f"{stage.name}_{control.__name__}"] = partial(control, window)
    fifo = layout.stages[0].fifo
    made |= {"fifo": lambda: CreditFifo(fifo), "credits": lambda: Credits(fifo.depth), "upsize": lambda: Upsizer(Upsize(2, 3, 5, 2)),
             "downsize": lambda: Downsizer(Downsize(5, 3, 2, 2))}
    return made


def prove(make: Make, folder: Path, change: Callable[[str], str] = str) -> None:
    """Raises ToolError where the emitted text, after `change`, isn't proven equivalent."""
    gold = rtlil.convert(make(), name="gold", emit_src=False)
    (folder / "gold.il").write_text(gold.replace("attribute \\top 1\n", ""))  # else Yosys takes the other one for superfluous
    (folder / "gate.v").write_text(change(emit(make(), "gate")))
    run_yosys([*yosys_command(None), "-p", PROOF], str(folder), 120)


@pytest.mark.parametrize("name", blocks())
def test_emitted_block_is_equivalent(name: str, tmp_path: Path) -> None:
    prove(blocks()[name], tmp_path)


@pytest.mark.parametrize(("name", "before", "after"), [
    ("s1_conv_Sequencer", "word == 2'h2", "word == 2'h1"),
    ("s1_conv_Occupancy", "- $signed", "+ $signed"),
    ("credits", "if (rst) count <= 3'h4", "if (rst) count <= 3'h3"),
    ("upsize", "count == 2'h2", "count == 2'h1"),
])
def test_a_planted_difference_is_found(name: str, before: str, after: str, tmp_path: Path) -> None:
    def planted(text: str) -> str:
        assert before in text
        return text.replace(before, after, 1)

    with pytest.raises(ToolError, match="unproven"):
        prove(blocks()[name], tmp_path, planted)


def test_a_weight_is_part_of_the_proof(tmp_path: Path) -> None:
    """Another seed is another network: its array must not be proven equal."""
    network, plan = dense_network(0)
    other, _ = dense_network(1)
    stage = design(network.topology, plan).stages[0]

    def array(source: object) -> Make:
        return lambda: build_core(stage.cores[0], stage_tables(source, stage)[0], stage.window)  # type: ignore[arg-type]  # a Network

    with pytest.raises(ToolError, match="unproven"):
        prove(array(network), tmp_path, lambda _: emit(array(other)(), "gate"))

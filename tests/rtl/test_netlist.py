"""The array after full synthesis: registers between neighbours only, so no net's fan-out grows with rows or columns."""

import json
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from bwnhw.array_block import Array, Step
from bwnhw.blocks import Window
from bwnhw.geometry import Geometry
from bwnhw.network import CodebookShape
from bwnhw.rtl.array import SystolicArray
from bwnhw.rtl.core import build_core
from bwnhw.rtl.emit import emit
from bwnhw.rtl.synth import run_yosys, yosys_command
from bwnhw.tables import ArrayTables, KernelTables

FLOWS = {  # modules that are kept apart are mapped one by one, which on xc7 takes minutes: here all are one, and loads inside count too
    "xc7": "hierarchy -top top; setattr -mod -unset keep_hierarchy; synth_xilinx -flatten -noiopad -family xc7",
    "ecp5": "synth_ecp5 -nowidelut",
}
SIZES = ((4, 4), (4, 12), (12, 4))  # rows × columns; a net that spans a row shows in the second, one that spans a column in the third
LANES = 3
ACC_BITS = 6  # sums wrap, which is no matter here: what controls an accumulator must not hide a net that spans the array


@dataclass(frozen=True)
class Kind:
    """One way to build an array: how deep the fold, whose memory, which mode, and what is accumulated."""

    fold_depth: int
    memory: str = "lut"
    mode: str = "bits"
    steps: tuple[Step, ...] = (Step(0, 0, 0),)
    planes: int = 1
    groups: int = 1
    classes: int = 1
    loaded: bool = False
    one_column: int = 0  # lanes of an array that has one column, whatever the size says: only rows are more then
    book: CodebookShape | None = None  # of kernels of three taps, counted once


KINDS = {
    "constant": Kind(1),
    "eight": Kind(8, groups=2, classes=3),
    "deep": Kind(16, "lut", "sums", (Step(0, 1, 0), Step(0, 0, 1)), planes=2),
    "loaded": Kind(4, groups=2, loaded=True),
    "sign": Kind(8),
    "absorbed": Kind(8, one_column=24),
    "shared": Kind(16, groups=2, book=CodebookShape(8, 1, (1, 3), True)),
    "baked": Kind(8, groups=2, book=CodebookShape(4, 1, (1, 3), True)),
}
LUT6 = ("eight", "absorbed", "shared", "baked")
LUT4 = ("constant", "eight", "deep", "loaded", "sign")
CASES = (*((kind, "xc7") for kind in LUT6), *((kind, "ecp5") for kind in LUT4))


def array(kind: Kind, family: str, rows: int, columns: int, made: type[SystolicArray] = SystolicArray) -> SystolicArray:
    """An array of `rows` × `columns` PEs; accumulators as wide for every size.

    Every row and every column has the same random weights and offsets: of more draws one would have a table that is read by more LUTs.
    """
    lanes = kind.one_column or LANES * columns // kind.planes
    words = kind.fold_depth // kind.groups
    bits = kind.planes * len(kind.steps)
    window = Window(Geometry(1, 1, (1, 1), (1, 1), (0, 0, 0, 0)), lanes, bits, words, 1, kind.groups, False, kind.planes, kind.steps, 1, 0,
                    kind.classes, 2 * words)
    assert window.fold_depth == kind.fold_depth
    offsets = kind.classes * kind.groups
    block = Array(rows, kind.groups, lanes, kind.one_column or LANES, kind.planes, kind.steps, kind.fold_depth, window.group_beats, offsets,
                  kind.mode, 0, 0, ACC_BITS, 1 if kind.mode == "bits" else ACC_BITS, kind.mode == "bits", kind.memory, family, kind.loaded,
                  kind.book, kind.book is not None)
    assert block.absorbed == bool(kind.one_column)
    rng = np.random.default_rng(1)
    tables = ArrayTables(np.tile(rng.integers(0, 2, (1, kind.fold_depth, LANES)).astype(bool), (rows, 1, lanes // LANES)),
                         np.tile(rng.integers(-30, 0, (1, offsets)), (rows, 1)),
                         np.tile(rng.integers(0, 2, (1, kind.groups)).astype(bool), (rows, 1)))
    if kind.book:
        half = np.tile(rng.integers(0, 2, (1, kind.book.words // 2, LANES)).astype(bool), (lanes // LANES, 1, 1))
        index = np.tile(rng.integers(0, kind.book.words, (1, kind.fold_depth, 1)), (rows, 1, lanes // LANES))
        return build_core(block, replace(tables, kernels=KernelTables(index, np.concatenate([half, ~half], axis=1))), window)
    return made(block, None if kind.loaded else tables, window)


def greatest_fanout(folder, text: str, family: str) -> tuple[int, str]:
    """The most cell inputs that one net drives after synthesis, and that net's name; clock, reset and constants apart."""
    (folder / "array.v").write_text(text)
    script = f"read_verilog array.v; {FLOWS[family]} -top top; write_json netlist.json"
    run_yosys([*yosys_command(None), "-p", script], str(folder), 600)
    module = json.loads((folder / "netlist.json").read_text())["modules"]["top"]
    apart = {bit for name in ("clk", "rst") for bit in module["ports"][name]["bits"]}
    apart |= {bit for cell in module["cells"].values() if cell["type"] == "BUFG" for bit in cell["connections"]["O"]}
    names = {bit: f"{name}[{at}]" for name, net in module["netnames"].items() for at, bit in enumerate(net["bits"])}
    loads: Counter = Counter()
    for cell in module["cells"].values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"].get(port) == "input":
                loads.update(bit for bit in bits if isinstance(bit, int) and bit not in apart)
    bit, count = loads.most_common(1)[0]
    return count, names[bit]


def fanouts(folder, kind: Kind, family: str, made: type[SystolicArray] = SystolicArray) -> list[tuple[int, str]]:
    """The greatest fan-out at every size."""
    return [greatest_fanout(folder, emit(array(kind, family, *size, made), "top"), family) for size in SIZES]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "family"), CASES)
def test_fanout_does_not_grow(tmp_path, kind, family):
    (small, _), *larger = fanouts(tmp_path, KINDS[kind], family)
    assert [fanout for fanout in larger if fanout[0] > small] == []


class Broadcast(SystolicArray):
    """An array in which one input reaches the output of every row."""

    def _aligned(self, m, row, cycles, name):
        return super()._aligned(m, row, cycles, name) ^ self.i.first


@pytest.mark.slow
@pytest.mark.parametrize("family", FLOWS)
def test_a_broadcast_is_seen(tmp_path, family):
    (small, _), _, (count, net) = fanouts(tmp_path, KINDS["constant"], family, Broadcast)
    assert count > small and "first" in net

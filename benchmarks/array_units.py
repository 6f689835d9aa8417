"""The arrays that array_luts.py and array_clock.py measure: ours as the generator emits it, and a plain unit in FINN's manner."""

from collections.abc import Sequence

import numpy as np
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from bwnhw.array_block import Array, Step
from bwnhw.blocks import Window
from bwnhw.geometry import Geometry
from bwnhw.rtl.absorption import element
from bwnhw.rtl.array import SystolicArray
from bwnhw.rtl.emit import emit
from bwnhw.rtl.pe import Column, ProcessingElement
from bwnhw.rtl.row import Row, RowTables, row_tables
from bwnhw.tables import ArrayTables

ACC_BITS = 16
COLUMN_LANES = {"xc7": 64, "ecp5": 32}  # what the planner's columns are about as wide as
GROUP_BEATS = 8  # beats that are summed up at least
SEED = 1


def window(lanes: int, depth: int) -> Window:
    """What hands the array its beats: one group of as many beats as the fold is deep."""
    beats = max(depth, GROUP_BEATS)
    return Window(Geometry(1, 1, (1, 1), (1, 1), (0, 0, 0, 0)), lanes, 1, beats, 1, 1, False, 1, (Step(0, 0, 0),), 1, 0, 1, beats)


def array(rows: int, lanes: int, depth: int, family: str, memory: str, column: int | None = None) -> Array:
    """An array with thresholds for one-bit outputs and 16-bit accumulators, in columns of `column` lanes (None: `COLUMN_LANES`)."""
    kind = window(lanes, depth)
    width = column or COLUMN_LANES[family]
    return Array(rows, 1, lanes, width, 1, kind.steps, max(1, depth), kind.group_beats, 1, "bits", 0, 0, ACC_BITS, 1, False, memory, family)


def tables(rows: int, lanes: int, depth: int) -> ArrayTables:
    """Random weights and thresholds."""
    rng = np.random.default_rng(SEED)
    return ArrayTables(rng.integers(0, 2, (rows, max(1, depth), lanes)).astype(bool), rng.integers(-500, 0, (rows, 1)),
                       np.zeros((rows, 1), bool))


class PortedRow(Row):
    """A row whose weights come in by port, at run time: no memory for them is counted."""

    def __init__(self, block: Array, kept: RowTables) -> None:
        super().__init__(block, kept)
        self.weights = Signal(block.lanes)

    def _processing(self, m: Module, column: Column, fold: int) -> ProcessingElement:
        pe = element(column, fold)
        m.d.comb += pe.weights.eq(self.weights[column.first_lane:column.first_lane + column.lanes])
        return pe


class PortedArray(SystolicArray):
    """An array of such rows; `weights`: those of row 0 in the low bits."""

    def __init__(self, block: Array, kept: ArrayTables, source: Window) -> None:
        super().__init__(block, kept, source)
        self.weights = Signal(block.pe * block.lanes)

    def _row(self, number: int) -> PortedRow:
        row = PortedRow(self._block, row_tables(self._tables, number))
        row.weights = self.weights[number * self._block.lanes:(number + 1) * self._block.lanes]
        return row


def ours(rows: int, lanes: int, depth: int, family: str, memory: str = "lut", column: int | None = None) -> str:
    """Verilog of our array as module `top`, in columns of `column` lanes; depth 0: the weights come in by port, at run time."""
    parts = array(rows, lanes, depth, family, memory, column), tables(rows, lanes, depth), window(lanes, depth)
    return emit(SystolicArray(*parts) if depth else _Ported(*parts), "top")


class _Ported(wiring.Component):
    """Makes the weights of a `PortedArray` a port."""

    def __init__(self, block: Array, kept: ArrayTables, source: Window) -> None:
        self._array = PortedArray(block, kept, source)
        super().__init__({**self._array.signature.members, "weights": In(block.pe * block.lanes)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.array = array = self._array
        wiring.connect(m, wiring.flipped(self.i), array.i)
        wiring.connect(m, array.o, wiring.flipped(self.o))
        m.d.comb += array.weights.eq(self.weights)
        return m


def plain(rows: int, lanes: int, depth: int) -> str:
    """Verilog of the plain unit: activations go to all rows, each row is a balanced tree of `+` over its XNORs with a register behind
    every second level, and an accumulator that begins at minus its threshold; depth 0 as in `ours`."""
    rng = np.random.default_rng(SEED)
    fold = max(1, (depth - 1).bit_length())
    weights = [f"weights[{row * lanes} +: {lanes}]" if depth == 0 else f"w{row}" for row in range(rows)]
    ports = (f"input clk, input first, input [{lanes - 1}:0] acts, input [{fold - 1}:0] fold, input [{rows * lanes - 1}:0] weights, "
             f"output [{rows - 1}:0] out")
    lines = [_unit(lanes), f"module top({ports});",
             f"reg [{lanes - 1}:0] a; reg [{fold - 1}:0] f; always @(posedge clk) begin a <= acts; f <= fold; end"]
    for row in range(rows):
        if depth:
            lines.append(_table(f"w{row}", [int.from_bytes(rng.bytes(lanes // 8), "little") for _ in range(depth)], lanes))
        start = int(rng.integers(1, 500))
        lines.append(f"unit u{row}(.clk(clk), .first(first), .a(a), .w({weights[row]}), .start(-{ACC_BITS}'sd{start}), .out(out[{row}]));")
    return "\n".join([*lines, "endmodule", ""])


def _unit(lanes: int) -> str:
    """One row: XNOR, adder tree, accumulator."""
    ports = f"input clk, input first, input [{lanes - 1}:0] a, input [{lanes - 1}:0] w, input signed [{ACC_BITS - 1}:0] start, output out"
    lines = [f"module unit({ports});", f"wire [{lanes - 1}:0] m = ~(a ^ w);"]
    names, limits, level = [f"m[{lane}]" for lane in range(lanes)], [1] * lanes, 0
    while len(names) > 1:
        limits = [sum(limits[at:at + 2]) for at in range(0, len(limits), 2)]
        sums = [f"s{len(limits)}_{at}" for at in range(len(limits))]
        level += 1
        for at, (name, limit) in enumerate(zip(sums, limits, strict=True)):
            when, becomes = ("*", "=") if level % 2 else ("(posedge clk)", "<=")
            added = " + ".join(names[2 * at:2 * at + 2])
            lines.append(f"reg [{limit.bit_length() - 1}:0] {name}; always @{when} {name} {becomes} {added};")
        names = sums
    lines += [f"reg signed [{ACC_BITS - 1}:0] acc; always @(posedge clk) acc <= (first ? start : acc) + $signed({{1'b0, {names[0]}}});",
              f"assign out = ~acc[{ACC_BITS - 1}];", "endmodule"]
    return "\n".join(lines)


def _table(name: str, words: Sequence[int], lanes: int) -> str:
    """A register-less table of constants read by the fold counter."""
    if len(words) == 1:
        return f"wire [{lanes - 1}:0] {name} = {lanes}'h{words[0]:x};"
    cases = "".join(f"{at}: {name} = {lanes}'h{word:x}; " for at, word in enumerate(words[:-1]))
    return f"reg [{lanes - 1}:0] {name}; always @* case (f) {cases}default: {name} = {lanes}'h{words[-1]:x}; endcase"

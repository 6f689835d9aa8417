"""The systolic array: rows of PEs, the skew of its inputs, the de-skew of its outputs.

A beat at the top in cycle t is at PE (r, c) in cycle t + r + c + 2. Registers stand between neighbours only: no data net spans the array.
"""

from itertools import accumulate
from operator import xor

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.array_block import Array
from bwnhw.blocks import Window
from bwnhw.compressor import SEGMENT, odds_bits, prefix_parity
from bwnhw.families import FAMILIES
from bwnhw.rtl.edge import MarkSignature
from bwnhw.rtl.kernels import KernelRow
from bwnhw.rtl.loaded_row import LoadedRow
from bwnhw.rtl.pe import Column, columns, fold_bits
from bwnhw.rtl.pipeline import delay
from bwnhw.rtl.popcount import added
from bwnhw.rtl.row import BareRow, Row, row_tables
from bwnhw.rtl.signatures import BeatSignature, FlowSignature
from bwnhw.rtl.store import LOAD_PORTS, chain
from bwnhw.tables import ArrayTables


class SystolicArray(wiring.Component):
    """The array with its accumulators; formulas and timing in `bwnhw.array_block.Array`.

    Ports: `i` a window's beats, one per cycle; `o` a flow of one beat of `pe` elements per group, `latency` cycles after the group's
    last beat. Without `tables` they are loaded at run time, through `load_i` and `load_o`, the load chain (`bwnhw.rtl.store`).
    """

    def __init__(self, block: Array, tables: ArrayTables | None, window: Window) -> None:
        self._block, self._tables = block, tables
        ports = {"i": In(BeatSignature(window)), "o": Out(FlowSignature(block.pe, block.out_bits))}
        super().__init__(ports if tables else ports | LOAD_PORTS)

    @property
    def latency(self) -> int:
        """Cycles from a group's last beat to its output beat."""
        return self._block.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block = self._block
        acts, folds, marks = self._skewed(m)
        rows = []
        for r in range(block.pe):
            m.submodules[f"row_r{r}"] = row = self._row(r)
            m.d.comb += row.acts_i.eq(acts)
            if fold_bits(block):
                m.d.comb += row.fold_i.eq(folds)
                folds = row.fold_o
            for name in row.marks_i.signature.members:
                m.d.comb += getattr(row.marks_i, name).eq(marks[name])
            acts, marks = row.acts_o, {name: getattr(row.marks_o, name) for name in marks}
            rows.append(row)
        outputs = [self._aligned(m, row, block.pe - 1 - r, f"out_r{r}") for r, row in enumerate(rows)]
        m.d.comb += [self.o.payload.eq(Cat(*outputs)), self.o.valid.eq(rows[-1].o.valid)]
        if self._tables is None:
            chain(m, self, rows)
        return m

    def _row(self, number: int) -> BareRow:
        """A row of constants, or one to be loaded: the load chain winds through the array like a snake."""
        if self._tables is None:
            return LoadedRow(self._block, backwards=number % 2 == 1)
        tables = row_tables(self._tables, number)
        return KernelRow(self._block, tables, self._tables.kernels, number) if self._tables.kernels else Row(self._block, tables)

    def _skewed(self, m: Module) -> tuple[Value, Value, dict[str, Value]]:
        """Activations and fold counters of all columns, column c delayed by c cycles; the marks of the right edge."""
        block, beat = self._block, self.i
        acts: list[Value] = []
        folds: list[Value] = []
        fold: Value = beat.fold[:fold_bits(block)]
        for column in columns(block):
            lanes = range(column.first_lane, column.first_lane + column.lanes)
            bits = [beat.data[block.element(lane) * block.planes + column.plane] for lane in lanes]
            acts.append(self._column(m, column, bits))
            if fold_bits(block):
                fold = delay(m, fold, 1 if folds else block.encode_latency, f"fold_c{column.index}")
                folds.append(fold)
        now = {"done": beat.valid & beat.last, "first": beat.first, "shift": beat.shift, "offset": beat.offset}
        to_edge = block.encode_latency + block.popcount_latency + block.columns
        marks = {name: delay(m, now[name], to_edge, name, reset_less=name != "done") for name in MarkSignature(block).members}
        return Cat(*acts), Cat(*folds), marks

    def _column(self, m: Module, column: Column, bits: list[Value]) -> Value:
        """What travels down a column for its lanes: they in prefix code, those of each kernel by themselves where there are kernels."""
        size = self._block.kernel or column.lanes
        code = Cat(self._encoded(m, bits[at:at + size], f"c{column.index}" + (f"_k{at // size}" if self._block.kernel else ""))
                   for at in range(0, column.lanes, size))
        acts = delay(m, code, column.index, f"acts_c{column.index}")
        return Cat(acts, self._odds(m, column, code)) if column.even else acts

    def _odds(self, m: Module, column: Column, code: Value) -> Value:
        """How many of a column's kernels match an odd number of lanes, whatever their index: one cycle behind the lanes if the PEs' carries
        have a register. All codewords have the parity of the first."""
        assert self._tables is not None and self._tables.kernels is not None  # those of a codebook
        first, size = column.first_lane // column.kernel, column.kernel
        books = prefix_parity(self._tables.kernels.codewords[first:first + column.lanes // size, 0])
        last = 1 if size % 2 else 2  # encoded lanes whose parity is that of all
        odds = []
        for at, word in enumerate(books):
            lanes = code[(at + 1) * size - last:(at + 1) * size]
            odds.append(lanes.xor() ^ Const(int(word[-last:].sum() + last) % 2, 1))
        count = Cat(added([odds]))[:odds_bits(column.lanes, size)]
        return delay(m, count, column.index + bool(column.kernel_latency), f"odds_c{column.index}")

    def _encoded(self, m: Module, bits: list[Value], name: str) -> Value:
        """The lanes of a column, or of a kernel, in the prefix code of `compressor.prefix_parity`, one cycle later: the parities within
        each segment stand before the register, those of the segments before it are added behind."""
        segment = SEGMENT[FAMILIES[self._block.family].lut_inputs]
        local = [parity for at in range(0, len(bits), segment) for parity in accumulate(bits[at:at + segment], xor)]
        code = delay(m, Cat(bit if lane % 2 else parity for lane, (bit, parity) in enumerate(zip(bits, local, strict=True))), 1,
                     f"parity_{name}")
        if len(bits) <= segment:
            return code
        totals = delay(m, Cat(local[segment - 1::segment]), 1, f"segments_{name}")
        before = [Const(0, 1), *accumulate(totals, xor)]
        return code ^ Cat(Const(0, 1) if lane % 2 else before[lane // segment] for lane in range(len(bits)))

    def _aligned(self, m: Module, row: BareRow, cycles: int, name: str) -> Value:
        """The row's result, `cycles` later, when the last row's is there: one register that holds it where the next result isn't
        sooner, else a line of them."""
        if 1 < cycles <= self._block.group_beats:
            return self._held(m, row, name)
        return delay(m, row.o.payload, cycles, name)

    @staticmethod
    def _held(m: Module, row: BareRow, name: str) -> Value:
        held = Signal.like(row.o.payload, name=name, reset_less=True)
        with m.If(row.o.valid):
            m.d.sync += held.eq(row.o.payload)
        return held

"""One row of the systolic array: its PEs, their weights, its accumulator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from amaranth import Module, Signal, Value, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from bwnhw.array_block import Array
from bwnhw.compressor import prefix_parity
from bwnhw.rtl.absorption import CountingAccumulator, element
from bwnhw.rtl.edge import Accumulator, MarkSignature, SplitAccumulator, constant_start
from bwnhw.rtl.pe import Column, ProcessingElement, columns, fold_bits
from bwnhw.rtl.pipeline import delay, lookup, words
from bwnhw.rtl.signatures import FlowSignature
from bwnhw.tables import ArrayTables


@dataclass(frozen=True, eq=False)
class RowTables:
    """What one row stores: weights bool (fold_depth, lanes), offsets and flips by class·groups + group."""

    weights: NDArray[np.bool_]
    offsets: tuple[int, ...]
    flips: tuple[int, ...]


def row_tables(tables: ArrayTables, row: int) -> RowTables:
    """The row's share of the array's tables; flips are repeated for every border class."""
    classes = tables.offsets.shape[1] // tables.flips.shape[1]
    return RowTables(tables.weights[row], tuple(tables.offsets[row].tolist()), tuple(tables.flips[row].astype(int).tolist()) * classes)


class BareRow(wiring.Component):
    """PEs from left to right, the partial sums between them, the accumulator at the right; where their tables are, its kinds say.

    Ports: `acts_i`, `acts_o`: the columns' activations, one beside the other (column c is c cycles behind column 0); `fold_i`, `fold_o`
    likewise (absent at fold depth 1); `marks_i`, `marks_o`. All move down by one register. `o`: the row's flow of one element.
    """

    def __init__(self, array: Array, more: Mapping[str, object] = MappingProxyType({})) -> None:
        self._array, self._columns = array, columns(array)
        acts = sum(column.width for column in self._columns)
        ports = {"acts_i": In(acts), "acts_o": Out(acts), "marks_i": In(MarkSignature(array)), "marks_o": Out(MarkSignature(array)),
                 "o": Out(FlowSignature(1, array.out_bits))}
        fold = fold_bits(array) * array.columns
        if fold:
            ports |= {"fold_i": In(fold), "fold_o": Out(fold)}
        super().__init__(ports | dict(more))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        psum: Value | None = None
        for column in self._columns:
            psum = self._element(m, column, psum)
        m.submodules.accumulator = accumulator = self._accumulator(m)
        wiring.connect(m, wiring.flipped(self.marks_i), accumulator.marks_i)
        wiring.connect(m, accumulator.marks_o, wiring.flipped(self.marks_o))
        wiring.connect(m, accumulator.o, wiring.flipped(self.o))
        m.d.comb += accumulator.psum.eq(psum)
        return m

    def _element(self, m: Module, column: Column, psum: Value | None) -> Value:
        """Place the PE of a column; the partial sum behind it."""
        fold = fold_bits(self._array)
        m.submodules[f"pe_c{column.index}"] = pe = self._processing(m, column, fold)
        lanes = slice(column.start, column.start + column.width)
        m.d.comb += [pe.acts_i.eq(self.acts_i[lanes]), self.acts_o[lanes].eq(pe.acts_o)]
        if psum is not None:
            m.d.comb += pe.psum_i.eq(psum)
        if fold:
            counter = slice(column.index * fold, (column.index + 1) * fold)
            m.d.comb += [pe.fold_i.eq(self.fold_i[counter]), self.fold_o[counter].eq(pe.fold_o)]
        return pe.psum_o

    def _processing(self, m: Module, column: Column, fold: int) -> ProcessingElement:
        """A column's PE with its weights."""
        raise NotImplementedError

    def _accumulator(self, m: Module) -> Accumulator:
        """The accumulator with its offsets and flips."""
        raise NotImplementedError


class Row(BareRow):
    """A row whose tables are constants."""

    def __init__(self, array: Array, tables: RowTables) -> None:
        self._tables = tables
        super().__init__(array)

    def _accumulator(self, m: Module) -> Accumulator:
        # A sum wraps harmlessly at acc_bits, and so may what is added to it.
        half = 1 << self._array.acc_bits - 1
        offsets = [(offset + half) % (2 * half) - half for offset in self._tables.offsets]
        accumulator = self._summing(constant_start(self._array, offsets))
        at = accumulator.at if self._array.offsets > 1 else Signal()
        if "offset" in accumulator.signature.members:
            offset = lookup(m, at, offsets, signed(self._array.acc_bits), "offset")
            m.d.comb += accumulator.offset.eq(self._later(m, offset, 1, offsets, "offset"))
        if self._array.flips:
            flip = lookup(m, at, self._tables.flips, unsigned(1), "flip")
            m.d.comb += accumulator.flip.eq(self._later(m, flip, 2, self._tables.flips, "flip"))
        return accumulator

    def _summing(self, start: int | None) -> Accumulator:
        """The accumulator of what the last PE hands on."""
        if start is not None and self._array.absorbed:
            return CountingAccumulator(self._array, start)
        psum = range(self._columns[-1].max_out + 1)
        if start is not None and self._array.sign_apart:
            return SplitAccumulator(self._array, psum, start)
        return Accumulator(self._array, psum, start)

    def _later(self, m: Module, value: Value, cycles: int, entries: Sequence[int], name: str) -> Value:
        """What was looked up, as many cycles later as the accumulator asks for. The registers start with an entry of the table: bits that
        are the same in all of it become constants, where synthesis would merge those of all rows into one register."""
        return delay(m, value, cycles, name, init=entries[0]) if self._array.offsets > 1 else value

    def _processing(self, m: Module, column: Column, fold: int) -> ProcessingElement:
        table = words(prefix_parity(self._tables.weights[:, column.first_lane:column.first_lane + column.lanes]))
        stored = self._array.memory == "block" and fold > 0
        pe = element(column, fold, () if stored else table)
        if stored:
            m.d.comb += pe.weights.eq(self._ahead(m, column, fold, table, column.lanes, f"weights_c{column.index}"))
        return pe

    def _ahead(self, m: Module, column: Column, fold: int, table: list[int], width: int, name: str) -> Value:
        """What a PE reads, from a block RAM or a table with a register behind it: the read register stands beside the PE's fold register,
        so the timing is the same as that of a table behind that."""
        at = self.fold_i[column.index * fold:(column.index + 1) * fold]
        if self._array.memory == "lut":
            return delay(m, lookup(m, at, table, unsigned(width), name), 1, name)
        m.submodules[name] = store = memory.Memory(shape=unsigned(width), depth=len(table), init=table, attrs={"rom_style": "block"})
        port = store.read_port()
        m.d.comb += port.addr.eq(at)
        return port.data

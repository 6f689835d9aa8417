"""Kernels as indices: the popcount of a PE that decodes them itself, and the row that stores them.

Each kernel is a prefix chain of its own, so one index stands in place of its weights in every carry: with up to three bits that is still
one LUT6, as with the fold counter of eight baked weights. With four it is two and a wide multiplexer; from five on the weights are looked
up first, one LUT6 each.
"""

import numpy as np
from amaranth import Cat, Module, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from bwnhw.array_block import Array
from bwnhw.compressor import DECODED, carries, counted, prefix_parity
from bwnhw.fabric import bank_width
from bwnhw.families import FAMILIES
from bwnhw.rtl.pe import Column, ProcessingElement
from bwnhw.rtl.pipeline import constant, delay, lookup, words
from bwnhw.rtl.popcount import Carries, Tree
from bwnhw.rtl.row import Row, RowTables
from bwnhw.tables import KernelTables

Books = tuple[tuple[int, ...], ...]
"""For every kernel its encoded codewords, in the order in which an index means them."""


class KernelCarries(wiring.Component):
    """The first level of a PE of kernels, without registers: an `odd` bit of weight 1 of each, and all carries, `high`, of weight 2.

    Ports: `acts`, each kernel's lanes encoded by `compressor.prefix_parity`; `weights`, the indices into `books`, or without these the
    encoded weights; `odd` (absent for `even` kernels, whose odd bits come already counted), `high`.
    """

    def __init__(self, count: int, kernel: int, books: Books = (), *, even: bool) -> None:
        self._parts = [Carries(kernel, book) for book in books] or [Carries(kernel) for _ in range(count)]
        self._kernel, self._width = kernel, index_bits(books) if books else kernel
        super().__init__({"acts": In(count * kernel), "weights": In(count * self._width), **({} if even else {"odd": Out(count)}),
                          "high": Out(count * carries(kernel))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for number, part in enumerate(self._parts):
            m.submodules[f"kernel_{number}"] = part
            picked = part.fold if "fold" in part.signature.members else part.weights
            m.d.comb += [part.acts.eq(self.acts[number * self._kernel:(number + 1) * self._kernel]),
                         picked.eq(self.weights[number * self._width:(number + 1) * self._width])]
        if "odd" in self.signature.members:
            m.d.comb += self.odd.eq(Cat(part.odd for part in self._parts))
        m.d.comb += self.high.eq(Cat(part.high for part in self._parts))
        return m


class Decoder(wiring.Component):
    """`weights`, encoded, of the kernels that the indices `index` mean. No registers."""

    def __init__(self, books: Books, kernel: int) -> None:
        self._books, self._kernel = books, kernel
        super().__init__({"index": In(len(books) * index_bits(books)), "weights": Out(len(books) * kernel)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = index_bits(self._books)
        found = [lookup(m, self.index[at * bits:(at + 1) * bits], book, unsigned(self._kernel), f"kernel_{at}")
                 for at, book in enumerate(self._books)]
        m.d.comb += self.weights.eq(Cat(*found))
        return m


class KernelPopcount(wiring.Component):
    """`count` = number of lanes that match the kernels of `weights`, the indices, `latency` cycles later. One sum per cycle.

    Ports: `acts`, each kernel's lanes encoded, and of `even` kernels above them how many are odd, a cycle later where the popcount has
    registers; `weights`; `count`. `latency` may be more than it needs.
    """

    def __init__(self, books: Books, column: Column) -> None:
        self._books, self._column = books, column
        super().__init__({"acts": In(column.width), "weights": In(len(books) * index_bits(books)), "count": Out(range(column.lanes + 1))})

    @property
    def latency(self) -> int:
        """Cycles from acts and weights to count."""
        return self._column.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        column = self._column
        beside = index_bits(self._books) >= DECODED[FAMILIES[column.family].lut_inputs]
        m.submodules.carries = first = KernelCarries(len(self._books), column.kernel, () if beside else self._books, even=column.even)
        weights: Value = self.weights
        if beside:
            m.submodules.decoder = decoder = Decoder(self._books, column.kernel)
            m.d.comb += decoder.index.eq(weights)
            weights = decoder.weights
        m.d.comb += [first.acts.eq(self.acts), first.weights.eq(weights)]
        spent = column.kernel_latency
        count = self._counted(m, first, spent) if column.even else self._all_counted(m, Cat(first.odd, first.high), spent)
        m.d.comb += self.count.eq(delay(m, count, column.latency - spent, "wait"))
        return m

    def _all_counted(self, m: Module, bits: Value, spent: int) -> Value:
        """The number of matching lanes, from odd bits and carries."""
        if not spent:
            return bits
        return self._tree(m, delay(m, bits, 1, "carries"))

    def _counted(self, m: Module, first: KernelCarries, spent: int) -> Value:
        """The number of matching lanes, from carries and the number of odd kernels, whose lowest bit needs no adding."""
        odds = self.acts[self._column.lanes:]
        if not spent:
            return Cat(odds, first.high)
        high = self._tree(m, Cat(delay(m, first.high, 1, "carries"), odds[1:]))
        return Cat(delay(m, odds[0], spent - 1, "odd"), high)[:len(self.count)]

    def _tree(self, m: Module, bits: Value) -> Value:
        column = self._column
        m.submodules.tree = tree = Tree(counted(column.lanes, column.kernel, column.even), column.family)
        m.d.comb += tree.bits.eq(bits)
        return tree.count


class KernelRow(Row):
    """A row that stores indices by fold: in LUTs a table for each column, read beside the PE's fold register; in block RAM one memory for
    the whole row, so that no bits of it are wasted, in banks as wide as a block RAM is at that depth. A bank is read beside the fold
    register of the first column that has bits in it, and the others' bits follow as many cycles later as they are further right."""

    def __init__(self, array: Array, tables: RowTables, kernels: KernelTables, number: int) -> None:
        self._kernels, self._index = kernels, kernels.index[number]
        super().__init__(array, tables)
        self._banks: dict[int, Value] = {}

    def _processing(self, m: Module, column: Column, fold: int) -> ProcessingElement:
        places = slice(column.first_lane // column.kernel, (column.first_lane + column.lanes) // column.kernel)
        books = tuple(tuple(words(prefix_parity(book))) for book in self._kernels.codewords[places])
        pe = ProcessingElement(column, fold, popcount=KernelPopcount(books, column))
        m.d.comb += pe.weights.eq(self._indices(m, column, fold, places, index_bits(books)))
        return pe

    def _indices(self, m: Module, column: Column, fold: int, places: slice, bits: int) -> Value:
        """The indices of a column's kernels, when its fold register holds their number."""
        table, width = packed(self._index[:, places], bits), (places.stop - places.start) * bits
        if not fold:
            return constant(table[0], unsigned(width))
        if self._array.memory == "lut":
            return self._ahead(m, column, fold, table, width, f"weights_c{column.index}")
        start, stop, wide = places.start * bits, places.stop * bits, bank_width(len(table), column.family)
        parts = []
        for bank in range(start // wide, -(-stop // wide)):
            begin, end = max(start, bank * wide), min(stop, (bank + 1) * wide)
            cycles = column.index - self._column(bank * wide // bits).index
            found = self._bank(m, fold, bits, bank, wide)[begin - bank * wide:end - bank * wide]
            parts.append(delay(m, found, cycles, f"index_b{bank}_c{column.index}"))
        return Cat(*parts)

    def _column(self, place: int) -> Column:
        """The column of a kernel."""
        return self._columns[place * self._array.kernel // self._array.pe_lanes]

    def _bank(self, m: Module, fold: int, bits: int, bank: int, wide: int) -> Value:
        """So many bits of all indices, side by side, when the fold register of the first column that has some holds their number."""
        if bank not in self._banks:
            mask = (1 << wide) - 1
            table = [word >> bank * wide & mask for word in packed(self._index, bits)]
            width = min(wide, self._index.shape[1] * bits - bank * wide)
            self._banks[bank] = self._ahead(m, self._column(bank * wide // bits), fold, table, width, f"indices_b{bank}")
        return self._banks[bank]


def index_bits(books: Books) -> int:
    """Bits of an index into any of the books."""
    return (len(books[0]) - 1).bit_length()


def packed(index: NDArray[np.int64], bits: int) -> list[int]:
    """Indices (depth, kernels) as one number per row, the first kernel's in the low bits."""
    return [sum(int(entry) << bits * place for place, entry in enumerate(row)) for row in index]

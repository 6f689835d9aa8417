"""Kernels as indices: the popcount of a PE that decodes them itself, and the row that stores them.

Each kernel is a prefix chain of its own, so one index stands in place of its weights in every carry: with up to three bits that is still
one LUT6, as with the fold counter of eight baked weights. With four it is two and a wide multiplexer; from five on the weights are looked
up first, one LUT6 each. Up to eight folds no index is stored: the fold counter takes its place.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from amaranth import Cat, Module, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out
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

    Ports: `acts`, each kernel's lanes encoded by `compressor.prefix_parity`; `weights`, what each of `parts` has its weights by (absent
    where these never change); `odd` (absent for `even` kernels, whose odd bits come already counted), `high`.
    """

    def __init__(self, parts: Sequence[Carries], kernel: int, *, even: bool) -> None:
        self._parts, self._kernel = parts, kernel
        ports = {"acts": In(len(parts) * kernel), "high": Out(len(parts) * carries(kernel))}
        if not even:
            ports["odd"] = Out(len(parts))
        if width := sum(len(getattr(part, name)) for part in parts for name in picks(part)):
            ports["weights"] = In(width)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at = 0
        for number, part in enumerate(self._parts):
            m.submodules[f"kernel_{number}"] = part
            m.d.comb += part.acts.eq(self.acts[number * self._kernel:(number + 1) * self._kernel])
            for name in picks(part):
                picked = getattr(part, name)
                m.d.comb += picked.eq(self.weights[at:at + len(picked)])
                at += len(picked)
        if "odd" in self.signature.members:
            m.d.comb += self.odd.eq(Cat(part.odd for part in self._parts))
        m.d.comb += self.high.eq(Cat(part.high for part in self._parts))
        return m


def picks(part: Carries) -> list[str]:
    """The port by which a first level has its weights; none where these never change."""
    return [name for name in ("fold", "weights") if name in part.signature.members]


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


class BareKernelPopcount(wiring.Component):
    """`count` = number of lanes that match a column's kernels, `latency` cycles later. One sum per cycle. By what these are chosen, its
    kinds say.

    Ports: `acts`, each kernel's lanes encoded, and of `even` kernels above them how many are odd, a cycle later where the popcount has
    registers; `count`. `latency` may be more than it needs.
    """

    def __init__(self, column: Column, more: Mapping[str, Member]) -> None:
        self._column = column
        super().__init__({"acts": In(column.width), "count": Out(range(column.lanes + 1)), **more})

    @property
    def latency(self) -> int:
        """Cycles from acts and weights to count."""
        return self._column.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        column = self._column
        m.submodules.carries = first = self._first(m)
        m.d.comb += first.acts.eq(self.acts[:column.lanes])
        spent = column.kernel_latency
        count = self._counted(m, first, spent) if column.even else self._all_counted(m, Cat(first.odd, first.high), spent)
        m.d.comb += self.count.eq(delay(m, count, column.latency - spent, "wait"))
        return m

    def _first(self, m: Module) -> KernelCarries:
        """The first level, its weights connected."""
        raise NotImplementedError

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


class KernelPopcount(BareKernelPopcount):
    """Kernels by their indices, the port `weights`."""

    def __init__(self, books: Books, column: Column) -> None:
        self._books = books
        super().__init__(column, {"weights": In(len(books) * index_bits(books))})

    def _first(self, m: Module) -> KernelCarries:
        column, weights = self._column, self.weights
        if index_bits(self._books) < DECODED[FAMILIES[column.family].lut_inputs]:
            first = KernelCarries([Carries(column.kernel, book) for book in self._books], column.kernel, even=column.even)
        else:
            first = KernelCarries([Carries(column.kernel) for _ in self._books], column.kernel, even=column.even)
            m.submodules.decoder = decoder = Decoder(self._books, column.kernel)
            m.d.comb += decoder.index.eq(weights)
            weights = decoder.weights
        m.d.comb += first.weights.eq(weights)
        return first


class BakedKernelPopcount(BareKernelPopcount):
    """Kernels by the fold counter, the port `fold` (absent at depth 1): `tables` of their encoded weights by fold."""

    def __init__(self, tables: Books, column: Column) -> None:
        self._tables = tables
        super().__init__(column, {"fold": In(index_bits(tables))} if index_bits(tables) else {})

    def _first(self, m: Module) -> KernelCarries:
        first = KernelCarries([Carries(self._column.kernel, table) for table in self._tables], self._column.kernel, even=self._column.even)
        if "weights" in first.signature.members:
            m.d.comb += first.weights.eq(Cat(*[self.fold] * len(self._tables)))
        return first


class KernelRow(Row):
    """A row that stores indices by fold, where they aren't baked into the PEs: in LUTs a table for each column, read beside the PE's fold
    register; in block RAM one memory for the whole row, so that no bits of it are wasted, in banks as wide as a block RAM is at that depth.
    A bank is read beside the fold register of the first column that has bits in it, and the others' bits follow as many cycles later as
    they are further right."""

    def __init__(self, array: Array, tables: RowTables, kernels: KernelTables, number: int) -> None:
        self._kernels, self._index = kernels, kernels.index[number]
        super().__init__(array, tables)
        self._banks: dict[int, Value] = {}

    def _processing(self, m: Module, column: Column, fold: int) -> ProcessingElement:
        places = slice(column.first_lane // column.kernel, (column.first_lane + column.lanes) // column.kernel)
        books = tuple(tuple(words(prefix_parity(book))) for book in self._kernels.codewords[places])
        if self._array.baked:
            indices = self._index[:, places].T.tolist()
            tables = tuple(tuple(book[at] for at in by_fold) for book, by_fold in zip(books, indices, strict=True))
            return ProcessingElement(column, fold, tables[0], BakedKernelPopcount(tables, column))
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

"""The array that counts its codewords once, at the top edge: the rows choose from the popcounts and add up (`bwnhw.sharing`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from bwnhw.array_block import Array
from bwnhw.blocks import Window
from bwnhw.rtl.array import SystolicArray
from bwnhw.rtl.kernels import KernelRow, packed
from bwnhw.rtl.pe import Column, ProcessingElement
from bwnhw.rtl.pipeline import delay, lookup
from bwnhw.rtl.popcount import Tree
from bwnhw.rtl.row import BareRow, RowTables, row_tables
from bwnhw.sharing import Sharing, rounds
from bwnhw.tables import ArrayTables, KernelTables

Table = NDArray[np.int64]
"""Codes of `bwnhw.sharing.Sharing.codes` by fold: (depth, kernels), or (0, kernels) where they come by port."""


def picks(table: Table, sharing: Sharing) -> dict[str, wiring.Member]:
    """The port by which a choice is made: `weights`, the kernels' codes, or `fold` with a table of them (absent where it has one entry)."""
    depth, kernels = table.shape
    if not depth:
        return {"weights": In(kernels * sharing.book.index_bits)}
    return {"fold": In((depth - 1).bit_length())} if depth > 1 else {}


def codes(m: Module, component: wiring.Component, table: Table, sharing: Sharing) -> Value:
    """The kernels' codes, from the port that `picks` gave the component."""
    bits = sharing.book.index_bits
    if not table.shape[0]:
        return component.weights
    return lookup(m, component.fold if table.shape[0] > 1 else Signal(), packed(table, bits), unsigned(table.shape[1] * bits), "codes")


def chosen(m: Module, sharing: Sharing, values: Value, code: Value, inverts: bool, name: str) -> Value:
    """The popcount of a kernel that its code means, inverted by the sign if `inverts`."""
    found = Signal(sharing.bits, name=name)
    with m.Switch(code[:sharing.select_bits]):
        for at in range(sharing.values):
            with m.Default() if at == sharing.values - 1 else m.Case(at):
                m.d.comb += found.eq(values[at * sharing.bits:(at + 1) * sharing.bits])
    return found ^ code[-1].replicate(sharing.bits) if inverts else found


class Choice(wiring.Component):
    """Of every kernel of `values` the chosen popcount, inverted where `inverts` says that signs are heeded: `chosen`. No registers.

    Synthesis maps it apart, so that what goes to the carry multiplexers as it is, is built once.
    """

    def __init__(self, sharing: Sharing, inverts: Sequence[bool], table: Table) -> None:
        self._sharing, self._inverts, self._table = sharing, inverts, table
        kernels = table.shape[1]
        super().__init__({"values": In(kernels * sharing.width), "chosen": Out(kernels * sharing.bits), **picks(table, sharing)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sharing, bits, width = self._sharing, self._sharing.book.index_bits, self._sharing.width
        every = codes(m, self, self._table, sharing)
        found = [chosen(m, sharing, self.values[k * width:(k + 1) * width], every[k * bits:(k + 1) * bits], inverts, f"kernel_{k}")
                 for k, inverts in enumerate(self._inverts)]
        m.d.comb += self.chosen.eq(Cat(*found))
        return m


@dataclass(frozen=True, eq=False)
class Partial:
    """A partial sum, its top bit inverted if `flipped`."""

    value: Value
    flipped: bool = False

    @property
    def plain(self) -> Value:
        """The sum itself."""
        return Cat(self.value[:-1], ~self.value[-1]) if self.flipped else self.value

    def widened(self, width: int) -> "Partial":
        """The same sum, flipped, in `width` bits; one that isn't flipped must be narrower."""
        missing = width - len(self.value)
        return Partial(Cat(self.plain, Const(0, missing - 1), Const(1, 1)), True) if missing else self


class ChosenSum(wiring.Component):
    """`count` = the sum of the kernels' chosen popcounts, as `Sharing.sums` says, `latency` cycles later. One sum per cycle.

    Ports: `acts`, the popcounts of every kernel's codewords; `weights`, the kernels' codes, or with a `table` of them `fold`; `count`.
    `latency` may be more than it needs.
    """

    def __init__(self, sharing: Sharing, latency: int, table: Table) -> None:
        self._sharing, self._latency, self._table = sharing, latency, table
        self._kernels = table.shape[1]
        super().__init__({"acts": In(self._kernels * sharing.width), **picks(table, sharing),
                          "count": Out(range(sharing.most(self._kernels) + 1))})

    @property
    def latency(self) -> int:
        """Cycles from acts and weights to count."""
        return self._latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sharing, kernels = self._sharing, self._kernels
        bits = sharing.book.index_bits
        every = codes(m, self, self._table, sharing)
        code = [every[k * bits:(k + 1) * bits] for k in range(kernels)]
        parts = {k: Partial(value) for k, value in self._chosen(m, code).items()}
        for number, meeting in enumerate(rounds(kernels)):
            for left, right in meeting:
                sign = delay(m, code[right][-1], number, f"sign_k{right}") if right is not None and sharing.late else None
                parts[left] = self._met(m, parts[left], None if right is None else parts[right], sign, f"r{number}_k{left}",
                                        last=number > 0 and len(meeting) == 1)
        m.d.comb += self.count.eq(delay(m, parts[0].plain, self._latency - len(rounds(kernels)), "wait"))
        return m

    def _chosen(self, m: Module, code: list[Value]) -> dict[int, Value]:
        """The chosen popcounts, those apart that aren't absorbed in the adders."""
        sharing, kernels = self._sharing, range(self._kernels)
        apart = [k for k in kernels if k % 2 == 0 or not sharing.absorbed]
        values = {k: self.acts[k * sharing.width:(k + 1) * sharing.width] for k in kernels}
        inverts = {k: sharing.book.closed and (k == 0 or not sharing.late) for k in kernels}
        m.submodules.choice = choice = Choice(sharing, [inverts[k] for k in apart], self._table[:, apart])
        m.d.comb += choice.values.eq(Cat(values[k] for k in apart))
        if "weights" in choice.signature.members:
            m.d.comb += choice.weights.eq(Cat(code[k] for k in apart))
        elif "fold" in choice.signature.members:
            m.d.comb += choice.fold.eq(self.fold)
        found = {k: choice.chosen[at * sharing.bits:(at + 1) * sharing.bits] for at, k in enumerate(apart)}
        return found | {k: chosen(m, sharing, values[k], code[k], inverts[k], f"kernel_{k}") for k in kernels if k not in found}

    @staticmethod
    def _met(m: Module, left: Partial, right: Partial | None, sign: Value | None, name: str, last: bool) -> Partial:
        """left + right, or + the inverse of right where `sign`, in a register; left itself where nothing is on its right.

        Of two summands synthesis hands the narrower one to the carry multiplexers, and builds it twice if it isn't a register. So the right
        one gets a bit more, above the top of the left one. Were it 0 it would be trimmed; what it is here makes the sum's top bit its
        inverse, which the next round allows for, and the last one undoes.
        """
        if right is None:
            return Partial(delay(m, left.value, 1, name), left.flipped)
        width = len(left.value)
        added = Partial(right.value if sign is None else right.value ^ sign.replicate(len(right.value)), right.flipped)
        above: Value = Const(1, 1)
        if left.flipped:
            added = added.widened(width)
            above = left.value[-1] ^ added.value[-1] ^ Const(last, 1)
        total = Signal(width + 1, name=name, reset_less=True)
        m.d.sync += total.eq(left.value + Cat(added.value, above))
        return Partial(total, not (left.flipped and last))


class SharedRow(KernelRow):
    """A row whose PEs choose from the popcounts that come down; its indices are stored as those of `KernelRow`, as codes of the choice."""

    def __init__(self, array: Array, tables: RowTables, kernels: KernelTables, number: int, sharing: Sharing) -> None:
        super().__init__(array, tables, kernels, number)
        self._sharing = sharing
        self._index = sharing.codes(self._index, array.pe_lanes // array.kernel)

    def _processing(self, m: Module, column: Column, fold: int) -> ProcessingElement:
        places = slice(column.first_lane // column.kernel, (column.first_lane + column.lanes) // column.kernel)
        sharing, table = self._sharing, self._index[:, places]
        if sharing.baked(len(table), self._array.memory):
            words = packed(table, sharing.book.index_bits)
            return ProcessingElement(column, fold, words, ChosenSum(sharing, column.latency, table))
        pe = ProcessingElement(column, fold, popcount=ChosenSum(sharing, column.latency, table[:0]))
        m.d.comb += pe.weights.eq(self._indices(m, column, fold, places, sharing.book.index_bits))
        return pe


class SharedArray(SystolicArray):
    """The array with the codewords' popcounts at its top edge, `kernels` and `sharing` those of its tables and its block; ports and timing
    as of every `SystolicArray`."""

    def __init__(self, block: Array, tables: ArrayTables, window: Window, kernels: KernelTables, sharing: Sharing) -> None:
        self._rows, self._kernels, self._sharing = tables, kernels, sharing
        super().__init__(block, tables, window)

    def _row(self, number: int) -> BareRow:
        return SharedRow(self._block, row_tables(self._rows, number), self._kernels, number, self._sharing)

    def _column(self, m: Module, column: Column, bits: list[Value]) -> Value:
        """The popcounts of a column's kernels, kernel by kernel."""
        taps, sharing = self._block.kernel, self._sharing
        acts = delay(m, Cat(bits), column.index, f"acts_c{column.index}")
        found = []
        books = self._kernels.codewords[column.first_lane // taps:(column.first_lane + column.lanes) // taps]
        for kernel, book in enumerate(books):
            for number, word in enumerate(book[:sharing.values]):
                m.submodules[f"matches_c{column.index}_{kernel}_{number}"] = matches = Matches(word, sharing.family)
                m.d.comb += matches.acts.eq(acts[kernel * taps:(kernel + 1) * taps])
                found.append(matches.count)
        return Cat(*found)


class Matches(wiring.Component):
    """`count`: how many of the lanes `acts` are those of a codeword, `Sharing.count_latency` cycles later. Synthesis maps it apart."""

    def __init__(self, word: NDArray[np.bool_], family: str) -> None:
        self._word, self._family = word, family
        super().__init__({"acts": In(len(word)), "count": Out(range(len(word) + 1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.counters = tree = Tree((len(self._word),), self._family)
        # The last lanes wait in registers for a later level: as they are, where they can be, since an inverter would be a LUT.
        order = np.argsort(self._word, kind="stable").tolist()
        m.d.comb += [tree.bits.eq(Cat(self.acts[lane] if self._word[lane] else ~self.acts[lane] for lane in order)),
                     self.count.eq(tree.count)]
        return m

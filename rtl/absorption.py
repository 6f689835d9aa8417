"""A row of one column whose last counters are the accumulator's carry chain, after the plan in `bwnhw.absorption`.

The sum is kept negated, as −1 − sum, and each beat's bits are subtracted: of `held + ~count` synthesis hands the register to the carry
multiplexers, since the inverted count is as wide as it is, and each position is one LUT with the register's bit and up to five others. Of
`held + count` it hands on the narrower count, which is then made once more for them.
"""

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, ShapeLike, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.absorption import absorption, behind, first_bits
from bwnhw.array_block import Array
from bwnhw.compressor import Heights
from bwnhw.rtl.edge import Accumulator
from bwnhw.rtl.pe import Column, ProcessingElement
from bwnhw.rtl.pipeline import delay
from bwnhw.rtl.popcount import BarePopcount, added, counted_down, weighted


def left(heights: Heights) -> int:
    """Bits that the chain reads where the first level makes so many of each weight."""
    return sum(behind(heights, absorption(heights)))


class Counters(wiring.Component):
    """The counters in front of the chain: `left`, bits whose weighted sum is that of `bits`, as many cycles later as there are levels.

    `bits`, `left`: the lowest weight's first, so many of each weight as the plan says. A share of the chain counts modulo the bits that it
    keeps, since what is above is among `left` too. Bits that wait do so in registers with a reset, which aren't made shift registers of.
    """

    def __init__(self, heights: Heights) -> None:
        self._heights = heights
        super().__init__({"bits": In(sum(heights)), "left": Out(left(heights))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns = counted_down(m, weighted(self.bits, self._heights), absorption(self._heights).levels, reset_less=False)
        m.d.comb += self.left.eq(Cat(bit for bits in columns for bit in bits))
        return m


class PartialPopcount(BarePopcount):
    """`left`: bits that the chain of an accumulator counts, of the matching lanes; a register behind the carries and every level."""

    def __init__(self, lanes: int, table: Sequence[int] = ()) -> None:
        self._heights = first_bits(lanes)
        super().__init__(lanes, table, {"left": Out(left(self._heights))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.tree = tree = Counters(self._heights)
        m.d.comb += [tree.bits.eq(delay(m, Cat(*self._carries(m)), 1, "carries")), self.left.eq(tree.left)]
        return m


class PartialElement(ProcessingElement):
    """The only PE of a row whose accumulator counts its last bits, which stand at `psum_o`: the last counters' register is in place of the
    partial sum's."""

    def __init__(self, column: Column, fold: int, table: Sequence[int] = ()) -> None:
        super().__init__(column, fold, table, PartialPopcount(column.lanes, table))

    def _psum_shape(self) -> ShapeLike:
        return unsigned(len(self._popcount.left))

    def _psum(self, m: Module) -> Value:
        return self._popcount.left


class Chain(wiring.Component):
    """`now` = `held` − 1 − Σ of `bits`, the bits that the plan leaves of `heights`, modulo 2**bits of the sum. No registers."""

    def __init__(self, heights: Heights, acc_bits: int) -> None:
        self._heights = heights
        super().__init__({"held": In(acc_bits), "bits": In(left(heights)), "now": Out(acc_bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plan = absorption(self._heights)
        columns = weighted(self.bits, behind(self._heights, plan))
        count = Signal(len(self.now))
        inverted = Signal(len(self.now))
        for share in plan.shares:
            total = added(columns[share.at:share.at + len(share.taken)])[:share.kept]
            m.d.comb += count[share.at:share.at + len(total)].eq(Cat(total))
        m.d.comb += [inverted.eq(~count), self.now.eq(self.held + inverted)]
        return m


class CountingAccumulator(Accumulator):
    """An accumulator whose `psum` are the bits that a `PartialElement` leaves. It begins with `start` (`constant_start`)."""

    def __init__(self, array: Array, start: int) -> None:
        self._heights, self._begin = first_bits(array.lanes), start
        super().__init__(array, unsigned(left(self._heights)), start)

    def _accumulated(self, m: Module, up: int) -> Value:
        """The sum, which is kept negated. Every beat subtracts one too many, as many in a group as it has beats: it begins with so many
        more."""
        array = self._array
        most = 1 << array.acc_bits - 1
        start = (most - 1 - self._begin + array.group_beats) % (2 * most) - most
        m.submodules.chain = chain = Chain(self._heights, array.acc_bits)
        held = Signal(signed(array.acc_bits), name="held", init=start, reset_less=True)
        total = Signal(signed(array.acc_bits), name="acc", reset_less=True)
        m.d.comb += [chain.held.eq(held), chain.bits.eq(self.psum)]
        m.d.sync += [total.eq(chain.now), held.eq(Mux(self.marks_i.first, start, chain.now))]
        return ~total


def element(column: Column, fold: int, table: Sequence[int] = ()) -> ProcessingElement:
    """The PE of a column, with what its row's accumulator takes at `psum_o`."""
    return (PartialElement if column.absorbed else ProcessingElement)(column, fold, table)

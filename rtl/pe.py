"""One processing element of the systolic array, and what the PEs of a column have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Module, ShapeLike, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.array_block import Array
from bwnhw.compressor import odds_bits, popcount_latency
from bwnhw.rtl.popcount import Popcount
from bwnhw.sharing import Sharing


@dataclass(frozen=True)
class Column:
    """One column of PEs: which lanes it has, of which activation plane, and the greatest partial sum left of it and behind it.

    `start`: its first bit in a row's activation word, where columns follow each other without gaps. `family`, `kernel`, `absorbed`,
    `sharing`, `even`: of `array_block.Array`.
    """

    index: int
    start: int
    first_lane: int
    lanes: int
    plane: int
    max_in: int
    latency: int
    family: str
    kernel: int = 0
    absorbed: bool = False
    sharing: Sharing | None = None
    even: bool = False

    @property
    def width(self) -> int:
        """Bits of a row's activation word: the lanes' and, one cycle later, the count of odd kernels; or the codewords' popcounts."""
        if self.sharing:
            return self.lanes // self.kernel * self.sharing.width
        return self.lanes + (odds_bits(self.lanes, self.kernel) if self.even else 0)

    @property
    def kernel_latency(self) -> int:
        """Register levels of the popcount of its lanes as kernels, at most `latency`."""
        return popcount_latency(self.lanes, self.family, self.kernel, self.even)

    @property
    def max_out(self) -> int:
        """Greatest partial sum behind this column."""
        most = self.sharing.most(self.lanes // self.kernel) if self.sharing else self.lanes
        return self.max_in + (most << self.plane)


def columns(array: Array) -> tuple[Column, ...]:
    """The columns of an array from left to right: plane-major, the last one of a plane may have fewer lanes."""
    made: list[Column] = []
    start = total = 0
    for plane in range(array.planes):
        for first in range(0, array.lanes, array.pe_lanes):
            column = Column(len(made), start, first, min(array.pe_lanes, array.lanes - first), plane, total, array.popcount_latency,
                            array.family, array.kernel, array.absorbed, array.sharing, array.even)
            made.append(column)
            start, total = start + column.width, column.max_out
    return tuple(made)


def fold_bits(array: Array) -> int:
    """Bits of the fold counter that travels down the columns; 0 where the weights never change."""
    return (array.fold_depth - 1).bit_length()


class ProcessingElement(wiring.Component):
    """psum_o = psum_i + (popcount(XNOR(acts, weights)) << plane); activations and fold counter move on to the PE below.

    Ports: `acts_i`, `acts_o` (the column's bits, lanes encoded by `compressor.prefix_parity`) and `fold_i`, `fold_o` (absent where `fold`,
    their width, is 0): one register from i to o. `weights`, encoded too: those of `fold_o`; absent with a `table` of the weights by fold.
    `psum_i` (absent in the first column), `psum_o`: `latency` cycles after `acts_i`, and 1 after `psum_i`. `popcount`: another one than
    `Popcount`, whose `weights` may be something else.
    """

    def __init__(self, column: Column, fold: int, table: Sequence[int] = (), popcount: wiring.Component | None = None) -> None:
        self._column, self._fold, self._table = column, fold, table
        self._popcount = popcount or Popcount(column.lanes, column.family, column.latency, table)
        ports = {"acts_i": In(column.width), "acts_o": Out(column.width), "psum_o": Out(self._psum_shape())}
        if not table:
            ports["weights"] = self._popcount.signature.members["weights"]
        if fold:
            ports |= {"fold_i": In(fold), "fold_o": Out(fold)}
        if column.max_in:
            ports |= {"psum_i": In(range(column.max_in + 1))}
        super().__init__(ports)

    @property
    def latency(self) -> int:
        """Cycles from `acts_i` to `psum_o`."""
        return 2 + self._column.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        column = self._column
        acts = Signal(column.width, reset_less=True)
        m.d.sync += acts.eq(self.acts_i)
        m.d.comb += self.acts_o.eq(acts)
        m.submodules.popcount = popcount = self._popcount
        m.d.comb += popcount.acts.eq(acts)
        if self._fold:
            # The counters are equal along the diagonals of the array: merged, each would be one register of ever greater fan-out.
            # Registers that start differently from those of the input skew are not merged with them, nor those behind them.
            fold = Signal(self._fold, init=(1 << self._fold) - 1, reset_less=True)
            m.d.sync += fold.eq(self.fold_i)
            m.d.comb += self.fold_o.eq(fold)
        if not self._table:
            m.d.comb += popcount.weights.eq(self.weights)
        elif self._fold:
            m.d.comb += popcount.fold.eq(fold)
        m.d.comb += self.psum_o.eq(self._psum(m))
        return m

    def _psum_shape(self) -> ShapeLike:
        """What leaves to the right."""
        return range(self._column.max_out + 1)

    def _psum(self, m: Module) -> Value:
        """The register of what leaves to the right."""
        psum = Signal.like(self.psum_o, name="psum", reset_less=True)
        count = self._popcount.count << self._column.plane
        m.d.sync += psum.eq(self.psum_i + count if self._column.max_in else count)
        return psum

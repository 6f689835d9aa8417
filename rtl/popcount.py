"""The pipelined XNOR-popcount of a PE over prefix-encoded lanes, after the plan in `bwnhw.compressor`.

With x the lanes that match and m[2k] the parity of x[0..2k], lanes 2k−1 and 2k together with m[2k−2] hold one carry, a function of
m[2k−2], x[2k−1] and m[2k] alone: one LUT6 with the three weights, or with eight baked weights and their counter. The bits of weight 1
need no adder: the last parity is the only one left.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from amaranth import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out

from bwnhw.compressor import Heights, Level, adds_rows, carries, counted, levels, popcount_latency
from bwnhw.rtl.pipeline import delay, lookup

Columns = list[list[Value]]  # bits by weight


class Carries(wiring.Component):
    """The first level, without registers: `high`, the carries of weight 2 (absent for one lane), and `odd`, the one bit of weight 1.

    Ports: `acts`, and `weights`, or with a `table` of them `fold` (absent where the table has one entry): the address in it.
    """

    def __init__(self, lanes: int, table: Sequence[int] = ()) -> None:
        self._lanes, self._table = lanes, table
        ports = {"acts": In(lanes), "odd": Out(1)}
        if carries(lanes):
            ports["high"] = Out(carries(lanes))
        if not table:
            ports["weights"] = In(lanes)
        elif len(table) > 1:
            ports["fold"] = In((len(table) - 1).bit_length())
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        weights: Value = self.weights if not self._table else lookup(
            m, self.fold if len(self._table) > 1 else Signal(), self._table, unsigned(self._lanes), "weights")
        match = Signal(self._lanes)
        m.d.comb += match.eq(~(self.acts ^ weights))
        odd = match[-1] if self._lanes % 2 else match[-2] ^ match[-1]
        middle = match[1::2]
        before, behind = match[:2 * len(middle):2], Cat(match[2::2], *([] if self._lanes % 2 else [odd]))
        m.d.comb += self.odd.eq(odd)
        if len(middle):
            m.d.comb += self.high.eq((middle & (before | ~behind)) | (before & ~behind))
        return m


class Tree(wiring.Component):
    """The further levels: `count` = Σ of `bits`, `heights[k]` of them worth 2**k, the lowest first, as many cycles later as levels."""

    def __init__(self, heights: Heights, family: str) -> None:
        self._heights, self._family = heights, family
        super().__init__({"bits": In(sum(heights)), "count": Out(range(sum(height << k for k, height in enumerate(heights)) + 1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        adds = adds_rows(self._heights, self._family)
        columns = counted_down(m, weighted(self.bits, self._heights), levels(self._heights, self._family))
        rows = [Cat(bits[row] if len(bits) > row else 0 for bits in columns) for row in range(1 + adds)]
        if adds:
            total = Signal.like(self.count, name="total", reset_less=True)
            m.d.sync += total.eq(rows[0] + rows[1])
            m.d.comb += self.count.eq(total)
        else:
            m.d.comb += self.count.eq(rows[0])
        return m


class BarePopcount(wiring.Component):
    """The first level of a popcount, and the ports of its lanes and weights, those of `Carries`; what stands behind, its kinds say.

    Lanes and weights are encoded by `compressor.prefix_parity`.
    """

    def __init__(self, lanes: int, table: Sequence[int], result: dict[str, Member]) -> None:
        self._lanes = lanes
        self._first = Carries(lanes, table)
        inputs = {name: member for name, member in self._first.signature.members.items() if member.flow == In}
        super().__init__({**inputs, **result})

    def _carries(self, m: Module) -> tuple[Value, Value]:
        """Place the first level; the odd bit, and the carries."""
        m.submodules.carries = first = self._first
        for name, member in first.signature.members.items():
            if member.flow == In:
                m.d.comb += getattr(first, name).eq(getattr(self, name))
        return first.odd, first.high if carries(self._lanes) else Const(0, 0)


class Popcount(BarePopcount):
    """`count` = number of matching lanes (0..lanes), `latency` cycles later. One sum per cycle.

    `latency` may be more than it needs: a PE of few lanes then waits for its wider neighbours.
    """

    def __init__(self, lanes: int, family: str, latency: int, table: Sequence[int] = ()) -> None:
        self._family, self._latency = family, latency
        super().__init__(lanes, table, {"count": Out(range(lanes + 1))})

    @property
    def latency(self) -> int:
        """Cycles from acts and weights to count."""
        return self._latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        odd, high = self._carries(m)
        spent = popcount_latency(self._lanes, self._family)
        if spent:
            m.submodules.tree = tree = Tree(counted(self._lanes, 0), self._family)
            m.d.comb += tree.bits.eq(delay(m, high, 1, "carries"))
            high = tree.count
        count = Cat(delay(m, odd, spent, "odd"), high)[:len(self.count)]
        m.d.comb += self.count.eq(delay(m, count, self._latency - spent, "wait"))
        return m


def weighted(bits: Value, heights: Heights) -> Columns:
    """Bits in a row, the lowest weight's first, by weight."""
    return [list(bits[begin:end]) for begin, end in pairwise([0, *accumulate(heights)])]


def counted_down(m: Module, columns: Columns, plan: Sequence[Level], *, reset_less: bool = True) -> Columns:
    """The columns of bits behind all levels of a plan, a register behind each; those that bits wait in are `reset_less` or not."""
    for number, level in enumerate(plan, 1):
        columns = _level(m, columns, level, number, reset_less)
    return columns


def added(columns: Columns) -> list[Value]:
    """Sum of bits by full adders: no carry chain comes of it, and the mapper finds the table of each output."""
    columns = [list(bits) for bits in columns]
    at = 0
    while at < len(columns):
        while len(columns[at]) > 1:
            a, b, *others = columns[at]
            c, columns[at] = others[:1], others[1:]
            columns += [[] for _ in range(at + 2 - len(columns))]
            columns[at].append(a ^ b ^ c[0] if c else a ^ b)
            columns[at + 1].append((a & b) | (c[0] & (a | b)) if c else a & b)
        at += 1
    return [bits[0] if bits else Const(0, 1) for bits in columns]


def _level(m: Module, columns: Columns, level: Level, number: int, reset_less: bool) -> Columns:
    """The columns of bits behind a level. Counters that keep bits take theirs last, of those that the others leave."""
    left = [list(bits) for bits in columns]
    sums: list[tuple[int, Value]] = []
    for at, counter in sorted(enumerate(level), key=lambda entry: entry[1].kept):
        weights = range(counter.at, counter.at + len(counter.taken))
        taken = [left[weight][:count] for weight, count in zip(weights, counter.taken, strict=True)]
        if not counter.kept:
            for weight, count in zip(weights, counter.taken, strict=True):
                del left[weight][:count]
        made = range(counter.kept, counter.width)
        total = Signal(len(made), name=f"l{number}_{at}", reset_less=True)
        m.d.sync += total.eq(Cat(added(taken)[counter.kept:counter.width]))
        sums += [(counter.at + k, bit) for k, bit in zip(made, total, strict=True)]
    left = [list(delay(m, Cat(bits), 1, f"l{number}_w{weight}", reset_less=reset_less)) if bits else []
            for weight, bits in enumerate(left)]
    for weight, bit in sums:
        left += [[] for _ in range(weight + 1 - len(left))]
        left[weight].append(bit)
    return left

"""The pipelined XNOR-popcount tree of a PE.

Level 1 counts three lanes at a time (a full adder: two functions of the three lanes' activations and weights, one LUT6 each), every
further level adds neighbours. A register stands behind every second level but the last, as `bwnhw.blocks.popcount_latency` says.
"""

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.blocks import popcount_latency


class Popcount(wiring.Component):
    """`count` = number of lanes in which `acts` equals `weights`, `latency` cycles later. One sum per cycle.

    Ports: `acts`, `weights` (`lanes` bits each), `count` (0..lanes). `latency` may be more than the tree needs: a PE of few lanes
    then waits for its wider neighbours.
    """

    def __init__(self, lanes: int, latency: int) -> None:
        self._lanes, self._latency = lanes, latency
        super().__init__({"acts": In(lanes), "weights": In(lanes), "count": Out(range(lanes + 1))})

    @property
    def latency(self) -> int:
        """Cycles from acts and weights to count."""
        return self._latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        match = Signal(self._lanes)
        m.d.comb += match.eq(~(self.acts ^ self.weights))
        level = [self._three(m, match[at:at + 3], f"l1_{at // 3}") for at in range(0, self._lanes, 3)]
        limits = [min(3, self._lanes - at) for at in range(0, self._lanes, 3)]
        number = 1
        while len(level) > 1:
            number += 1
            limits = [sum(limits[at:at + 2]) for at in range(0, len(limits), 2)]
            level = [self._sum(m, level[at:at + 2], limit, f"l{number}_{at // 2}", number % 2 == 0 and len(limits) > 1)
                     for at, limit in zip(range(0, len(level), 2), limits, strict=True)]
        for wait in range(self._latency - popcount_latency(self._lanes)):
            level = [self._sum(m, level, self._lanes, f"wait_{wait + 1}", True)]
        m.d.comb += self.count.eq(level[0])
        return m

    @staticmethod
    def _three(m: Module, bits: Value, name: str) -> Signal:
        """Count of up to three bits."""
        count = Signal(range(len(bits) + 1), name=name)
        if len(bits) == 3:
            a, b, c = bits[0], bits[1], bits[2]
            m.d.comb += count.eq(Cat(a ^ b ^ c, (a & b) | (c & (a | b))))
        elif len(bits) == 2:
            m.d.comb += count.eq(Cat(bits[0] ^ bits[1], bits[0] & bits[1]))
        else:
            m.d.comb += count.eq(bits)
        return count

    @staticmethod
    def _sum(m: Module, terms: list[Signal], limit: int, name: str, registered: bool) -> Signal:
        """Sum of one or two terms, which never exceeds `limit`."""
        total = Signal(range(limit + 1), name=name, reset_less=True)
        domain = m.d.sync if registered else m.d.comb
        domain += total.eq(terms[0] if len(terms) == 1 else terms[0] + terms[1])
        return total

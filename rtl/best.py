"""Arg-max: the index of the greatest element."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.blocks import Best
from bwnhw.rtl.pipeline import delay, element_shape, elements, next_group
from bwnhw.rtl.signatures import FlowSignature


class ArgMaxUnit(wiring.Component):
    """Index of the greatest of `channels` elements that come in `groups` beats, ties to the lowest; timing in `bwnhw.blocks.Best`.

    Ports: `i` flow of `lanes` integers; `o` flow of one index per `groups` beats.
    """

    def __init__(self, block: Best) -> None:
        self._block = block
        super().__init__({"i": In(FlowSignature(block.lanes, block.bits)), "o": Out(FlowSignature(1, block.out_bits))})

    @property
    def latency(self) -> int:
        """Cycles from the last input beat to the output beat."""
        return self._block.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block = self._block
        group = next_group(m, self.i.valid, block.groups)
        final = Signal()
        m.d.comb += final.eq(self.i.valid & (group == block.groups - 1))
        value, index = self._lane(m, group)
        there = delay(m, self.i.valid, 1, "there", reset_less=False)
        first = delay(m, group == 0, 1, "first")
        best = Signal.like(value, name="best", reset_less=True)
        at = Signal(block.out_bits, reset_less=True)
        with m.If(there & (first | (value > best))):
            m.d.sync += [best.eq(value), at.eq(index)]
        m.d.comb += [self.o.payload.eq(at), self.o.valid.eq(delay(m, final, 2, "final", reset_less=False))]
        return m

    def _lane(self, m: Module, group: Value) -> tuple[Signal, Signal]:
        """(value, index) of the greatest element of the beat before: a tournament, the lower lane wins a tie."""
        block = self._block
        players: list[tuple[Value, Value | int]] = []
        last_lanes = block.channels - (block.groups - 1) * block.lanes
        lowest = -1 << block.bits - 1 if block.signed else 0
        for lane, element in enumerate(elements(self.i.payload, block.lanes, block.bits, is_signed=block.signed)):
            if lane >= last_lanes:  # no channel in the last group: the lowest value never beats a lower lane
                element = Mux(group == block.groups - 1, lowest, element)
            players.append((element, lane))
        turn = 0
        while len(players) > 1:
            turn += 1
            players = [self._winner(m, players[at:at + 2], f"t{turn}_{at // 2}") for at in range(0, len(players), 2)]
        value = Signal(element_shape(block.bits, block.signed), name="lane_best", reset_less=True)
        index = Signal(block.out_bits, name="lane_at", reset_less=True)
        m.d.sync += [value.eq(players[0][0]), index.eq(group * block.lanes + players[0][1])]
        return value, index

    def _winner(self, m: Module, players: list[tuple[Value, Value | int]], name: str) -> tuple[Value, Value | int]:
        if len(players) == 1:
            return players[0]
        (low, low_at), (high, high_at) = players
        value = Signal(element_shape(self._block.bits, self._block.signed), name=f"value_{name}")
        index = Signal(range(self._block.lanes), name=f"lane_{name}")
        higher = Signal(name=f"higher_{name}")
        m.d.comb += [higher.eq(high > low), value.eq(Mux(higher, high, low)), index.eq(Mux(higher, high_at, low_at))]
        return value, index

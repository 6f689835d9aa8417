"""Pools: the maximum or the sum of a group's beats, lane by lane."""

import numpy as np
from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from bwnhw.blocks import Reduce, Window
from bwnhw.rtl.pipeline import element_shape, elements, next_group, words
from bwnhw.rtl.signatures import BeatSignature, FlowSignature
from bwnhw.rtl.store import BAKED, Store


class Reducer(wiring.Component):
    """Max or sum over the beats of a group; formulas and timing in `bwnhw.blocks.Reduce`.

    `flips` bool (groups, lanes), from `store`. Ports: `i` a window's beats, `o` a flow of one beat per group.
    """

    def __init__(self, block: Reduce, flips: NDArray[np.bool_], window: Window, store: Store = BAKED) -> None:
        self._block, self._flips, self._store = block, flips, store
        super().__init__({"i": In(BeatSignature(window)), "o": Out(FlowSignature(block.lanes, block.out_bits)), **store.ports})

    @property
    def latency(self) -> int:
        """Cycles from a group's last beat to its output beat."""
        return self._block.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block, beat = self._block, self.i
        done = Signal()
        m.d.comb += done.eq(beat.valid & beat.last)
        m.d.sync += self.o.valid.eq(done)
        shape = element_shape(block.out_bits, block.signed)
        held = []
        for lane, element in enumerate(elements(beat.data, block.lanes, block.bits, is_signed=block.signed)):
            acc = Signal(shape, name=f"acc_l{lane}", reset_less=True)
            if block.kind == "sum":
                m.d.sync += acc.eq(Mux(beat.first, 0, acc) + element)
            else:
                with m.If(beat.first | (element > acc)):
                    m.d.sync += acc.eq(element)
            held.append(acc)
        if block.flips:
            held = self._flipped(m, held, done)
        self._store.link(m, self)
        m.d.comb += self.o.payload.eq(Cat(*held))
        return m

    def _flipped(self, m: Module, held: list[Signal], done: Signal) -> list[Signal]:
        """The results, subtracted from the greatest code where (group, lane) flips."""
        group = next_group(m, self.o.valid, self._block.groups)
        flips = self._store.table(m, group, words(self._flips), unsigned(self._block.lanes), "flips")
        results = []
        for lane, acc in enumerate(held):
            flip = flips[lane]
            result = Signal(self._block.out_bits, name=f"result_l{lane}")
            if self._block.hi == (1 << self._block.out_bits) - 1:  # an inversion, which takes no carry chain
                m.d.comb += result.eq(acc ^ flip.replicate(self._block.out_bits))
            else:
                m.d.comb += result.eq(Mux(flip, self._block.hi - acc, acc))
            results.append(result)
        return results

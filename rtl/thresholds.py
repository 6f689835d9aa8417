"""Multi-bit activations: a pipelined binary search in threshold tables."""

import numpy as np
from amaranth import Cat, Const, Module, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from bwnhw.blocks import Thresholds
from bwnhw.rtl.pipeline import delay, element_shape, elements, next_group, words
from bwnhw.rtl.signatures import FlowSignature
from bwnhw.rtl.store import BAKED, Store
from bwnhw.tables import search_trees


class Thresholder(wiring.Component):
    """code = number of thresholds reached, `levels` minus that where a channel flips; timing in `bwnhw.blocks.Thresholds`.

    `thresholds` int64 (groups, lanes, levels), not decreasing along levels; `flips` bool (groups, lanes).
    `store` is where the tables come from. Ports: `i` flow of `lanes` integers, beats cycling through the groups; `o` flow of `lanes` codes.
    """

    def __init__(self, block: Thresholds, thresholds: NDArray[np.int64], flips: NDArray[np.bool_], store: Store = BAKED) -> None:
        self._block, self._flips, self._store = block, flips, store
        self._trees = search_trees(thresholds, flips, block)
        super().__init__({"i": In(FlowSignature(block.lanes, block.bits)), "o": Out(FlowSignature(block.lanes, block.out_bits)),
                          **store.ports})

    @property
    def latency(self) -> int:
        """Cycles from input beat to output beat."""
        return self._block.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block = self._block
        group: Value = next_group(m, self.i.valid, block.groups)
        values: list[Value] = elements(self.i.payload, block.lanes, block.bits, is_signed=block.signed)
        codes: list[Value] = []
        for k in range(block.out_bits):
            flips = self._store.table(m, group, words(self._flips), unsigned(block.lanes), f"flips_s{k}") if block.flips else Const(0, 1)
            codes = [self._stage(m, k, lane, group, values[lane], codes[lane] if k else None, flips) for lane in range(block.lanes)]
            if k + 1 < block.out_bits:
                values = [delay(m, value, 1, f"value_l{lane}_s{k}") for lane, value in enumerate(values)]
                group = delay(m, group, 1, f"group_s{k}") if block.groups > 1 else group
        self._store.link(m, self)
        m.d.comb += [self.o.payload.eq(Cat(*codes)), self.o.valid.eq(delay(m, self.i.valid, block.out_bits, "valid", reset_less=False))]
        return m

    def _stage(self, m: Module, k: int, lane: int, group: Value, value: Value, code: Value | None, flips: Value) -> Value:
        """Find one more bit of a lane's code, the highest first; the code so far, one cycle later."""
        block = self._block
        name = f"l{lane}_s{k}"
        table = self._trees[k][lane].reshape(-1).tolist()  # by group, then the k bits of the code
        shape = element_shape(block.bits + 1, block.signed)
        threshold = self._store.table(m, group if code is None else Cat(code, group), table, shape, f"threshold_{name}")
        reached = Signal(name=f"reached_{name}")
        m.d.comb += reached.eq(value >= threshold)
        bit: Value = reached
        if block.flips:
            bit = reached ^ flips[lane]
        found = Signal(k + 1, name=f"code_{name}", reset_less=True)
        m.d.sync += found.eq(bit if code is None else Cat(bit, code))
        return found

"""Scores brought to one integer scale: mult[c]·z + offset[c]."""

import numpy as np
from amaranth import Cat, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from bwnhw.blocks import Scaler
from bwnhw.rtl.pipeline import delay, elements, next_group
from bwnhw.rtl.signatures import FlowSignature
from bwnhw.rtl.store import BAKED, Store


class ScaleUnit(wiring.Component):
    """mult·z + offset, lane by lane; timing in `bwnhw.blocks.Scaler`. All in `out_bits`, which holds the exact result.

    `mult`, `offset` int64 (groups, lanes), from `store`. Ports: `i`, `o` flows of `lanes` integers, beats cycling through the groups.
    """

    def __init__(self, block: Scaler, mult: NDArray[np.int64], offset: NDArray[np.int64], store: Store = BAKED) -> None:
        self._block, self._mult, self._offset, self._store = block, mult, offset, store
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
        later = delay(m, group, 1, "group") if block.groups > 1 else group
        sums = []
        for lane, value in enumerate(elements(self.i.payload, block.lanes, block.bits, is_signed=block.signed)):
            mult = self._store.table(m, group, self._mult[:, lane].tolist(), signed(block.mult_bits), f"mult_l{lane}")
            offset = self._store.table(m, later, self._offset[:, lane].tolist(), signed(block.out_bits + 1), f"offset_l{lane}")
            product = Signal(block.out_bits, name=f"product_l{lane}", reset_less=True)
            total = Signal(block.out_bits, name=f"total_l{lane}", reset_less=True)
            m.d.sync += [product.eq(value * mult), total.eq(product + offset)]
            sums.append(total)
        self._store.link(m, self)
        m.d.comb += [self.o.payload.eq(Cat(*sums)), self.o.valid.eq(delay(m, self.i.valid, 2, "valid", reset_less=False))]
        return m

"""Multi-bit activations: a pipelined binary search in threshold tables."""

import numpy as np
from amaranth import Cat, Module, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from bwnhw.blocks import Thresholds
from bwnhw.rtl.pipeline import delay, element_shape, elements, lookup, next_group
from bwnhw.rtl.signatures import FlowSignature


def search_trees(thresholds: NDArray[np.int64], flips: NDArray[np.bool_], block: Thresholds) -> list[NDArray[np.int64]]:
    """Per stage k the thresholds (lanes, groups, 2**k) by the k code bits found before.

    `levels` thresholds become 2**out_bits − 1: more that are never reached or, where a channel flips, more that always are. Then
    code = count, or its complement: levels − count = (2**out_bits − 1) − (count + always reached ones). A flipping channel's tree is
    mirrored, since it is walked by the bits of its code.
    """
    low, high = (-1 << block.bits - 1, 1 << block.bits - 1) if block.signed else (0, 1 << block.bits)
    size = (1 << block.out_bits) - 1
    full = np.full((block.groups, block.lanes, size), high, np.int64)
    full[..., :block.levels] = np.clip(thresholds, low, high)
    padded = np.concatenate([np.full((block.groups, block.lanes, size - block.levels), low), full[..., :block.levels]], axis=-1)
    full = np.where(flips[..., None], padded[..., ::-1], full).transpose(1, 0, 2)
    return [full[..., (1 << block.out_bits - 1 - k) - 1::1 << block.out_bits - k] for k in range(block.out_bits)]


class Thresholder(wiring.Component):
    """code = number of thresholds reached, `levels` minus that where a channel flips; timing in `bwnhw.blocks.Thresholds`.

    `thresholds` int64 (groups, lanes, levels), not decreasing along levels; `flips` bool (groups, lanes).
    Ports: `i` flow of `lanes` integers, beats cycling through the groups; `o` flow of `lanes` codes.
    """

    def __init__(self, block: Thresholds, thresholds: NDArray[np.int64], flips: NDArray[np.bool_]) -> None:
        self._block, self._flips = block, flips
        self._trees = search_trees(thresholds, flips, block)
        super().__init__({"i": In(FlowSignature(block.lanes, block.bits)), "o": Out(FlowSignature(block.lanes, block.out_bits))})

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
            codes = [self._stage(m, k, lane, group, values[lane], codes[lane] if k else None) for lane in range(block.lanes)]
            if k + 1 < block.out_bits:
                values = [delay(m, value, 1, f"value_l{lane}_s{k}") for lane, value in enumerate(values)]
                group = delay(m, group, 1, f"group_s{k}") if block.groups > 1 else group
        m.d.comb += [self.o.payload.eq(Cat(*codes)), self.o.valid.eq(delay(m, self.i.valid, block.out_bits, "valid", reset_less=False))]
        return m

    def _stage(self, m: Module, k: int, lane: int, group: Value, value: Value, code: Value | None) -> Value:
        """Find one more bit of a lane's code, the highest first; the code so far, one cycle later."""
        block = self._block
        name = f"l{lane}_s{k}"
        table = self._trees[k][lane].reshape(-1).tolist()  # by group, then the k bits of the code
        shape = element_shape(block.bits + 1, block.signed)
        threshold = lookup(m, group if code is None else Cat(code, group), table, shape, f"threshold_{name}")
        reached = Signal(name=f"reached_{name}")
        m.d.comb += reached.eq(value >= threshold)
        bit: Value = reached
        if block.flips:
            bit = reached ^ lookup(m, group, self._flips[:, lane].astype(int).tolist(), unsigned(1), f"flip_{name}")
        found = Signal(k + 1, name=f"code_{name}", reset_less=True)
        m.d.sync += found.eq(bit if code is None else Cat(bit, code))
        return found

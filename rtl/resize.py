"""Stream width conversion: beats of one number of elements become beats of another.

Cycle rules: docstrings of `bwnhw.blocks.Upsize` and `Downsize`. Both hold one word in a shift register.
"""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.blocks import Downsize, Upsize
from bwnhw.rtl.signatures import StreamSignature, index_shape


class Upsizer(wiring.Component):
    """Collects `ratio` beats into one; the wide beat is offered the cycle after its last part arrived.

    Ports: `i` stream of `lanes_in`, `o` stream of `lanes_out` elements (the collected word cut or zero-padded at the top).
    The first part of the next word is taken in the cycle in which the word leaves, at the earliest.
    """

    def __init__(self, block: Upsize) -> None:
        self._block = block
        super().__init__({"i": In(StreamSignature(block.lanes_in, block.bits)), "o": Out(StreamSignature(block.lanes_out, block.bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block = self._block
        part_bits = block.lanes_in * block.bits
        word = Signal(part_bits * block.ratio, reset_less=True)
        full = Signal()
        count = Signal(index_shape(block.ratio))
        m.d.comb += [self.o.payload.eq(word), self.o.valid.eq(full), self.i.ready.eq(~full | self.o.ready)]
        with m.If(self.o.ready):
            m.d.sync += full.eq(0)
        with m.If(self.i.valid & self.i.ready):
            last = count == block.ratio - 1
            m.d.sync += [
                word.eq(Cat(word, self.i.payload)[part_bits:]),
                count.eq(_next(count, last)),
                full.eq(last),
            ]
        return m


class Downsizer(wiring.Component):
    """Splits one beat into `ratio`; the first part is offered the cycle after the beat arrived.

    Ports: `i` stream of `lanes_in`, `o` stream of `lanes_out` elements (the word cut or zero-padded at the top).
    The next beat is taken in the cycle in which the last part leaves, at the earliest.
    """

    def __init__(self, block: Downsize) -> None:
        self._block = block
        super().__init__({"i": In(StreamSignature(block.lanes_in, block.bits)), "o": Out(StreamSignature(block.lanes_out, block.bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block = self._block
        part_bits = block.lanes_out * block.bits
        word = Signal(part_bits * block.ratio, reset_less=True)
        busy = Signal()
        count = Signal(index_shape(block.ratio))
        last = Signal()
        m.d.comb += [
            last.eq(count == block.ratio - 1),
            self.o.payload.eq(word[:part_bits]),
            self.o.valid.eq(busy),
            self.i.ready.eq(~busy | (self.o.ready & last)),
        ]
        with m.If(busy & self.o.ready):
            m.d.sync += [word.eq(word >> part_bits), count.eq(_next(count, last))]
            with m.If(last):
                m.d.sync += busy.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [word.eq(self.i.payload), busy.eq(1)]
        return m


def _next(count: Signal, last: Signal) -> Signal:
    """The counter's next value: back to 0 after its last one."""
    following = (count + 1)[:len(count)]
    return following & ~last.replicate(len(count))

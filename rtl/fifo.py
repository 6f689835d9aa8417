"""The FIFO behind every stage and the credits that keep it from overflowing.

Cycle rules: docstring of `bwnhw.blocks.Fifo`.
"""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from bwnhw.blocks import Fifo
from bwnhw.rtl.signatures import FlowSignature, StreamSignature, index_shape

# Up to here a LUT memory with an asynchronous read port; above it a synchronous one, which tools can put into block RAM.
SHALLOW = 64


class CreditFifo(wiring.Component):
    """First-word-fall-through FIFO of `depth` beats, written by a free-running flow: a beat may leave the cycle after it came.

    Ports: `i` flow (whoever writes must hold a credit for it: a full FIFO doesn't refuse), `o` stream.
    """

    def __init__(self, block: Fifo) -> None:
        self._block = block
        super().__init__({"i": In(FlowSignature(block.lanes, block.bits)), "o": Out(StreamSignature(block.lanes, block.bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self._block.depth
        write_at = Signal(index_shape(depth))
        read_at = Signal(index_shape(depth))
        level = Signal(range(depth + 1))
        pop = Signal()
        m.d.comb += [self.o.valid.eq(level != 0), pop.eq(self.o.valid & self.o.ready)]
        m.d.sync += level.eq(level + self.i.valid - pop)
        with m.If(self.i.valid):
            m.d.sync += write_at.eq(_wrap(write_at, depth))
        following = Signal(index_shape(depth))
        m.d.comb += following.eq(Mux(pop, _wrap(read_at, depth), read_at))
        m.d.sync += read_at.eq(following)
        m.submodules.store = store = memory.Memory(shape=len(self.i.payload), depth=depth, init=())
        write = store.write_port()
        m.d.comb += [write.addr.eq(write_at), write.data.eq(self.i.payload), write.en.eq(self.i.valid)]
        if depth <= SHALLOW:
            read = store.read_port(domain="comb")
            m.d.comb += [read.addr.eq(read_at), self.o.payload.eq(read.data)]
        else:
            self._read_ahead(m, store, write_at, following)
        return m

    def _read_ahead(self, m: Module, store: memory.Memory, write_at: Signal, following: Signal) -> None:
        """Read the next head a cycle early; a beat written to that place in the same cycle comes round the memory."""
        read = store.read_port(domain="sync")
        fresh = Signal()
        beat = Signal.like(self.i.payload, name="beat", reset_less=True)
        m.d.comb += [read.addr.eq(following), self.o.payload.eq(Mux(fresh, beat, read.data))]
        m.d.sync += [fresh.eq(self.i.valid & (write_at == following)), beat.eq(self.i.payload)]


class Credits(wiring.Component):
    """Free places of a FIFO that no started group has claimed: `depth` after reset.

    Ports: `take` (a group starts; only while `some`), `give` (a beat left the FIFO; counts the cycle after), `some` (a credit is
    there; a function of registers only).
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        super().__init__({"take": In(1), "give": In(1), "some": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(range(self._depth + 1), init=self._depth)
        m.d.comb += self.some.eq(count != 0)
        m.d.sync += count.eq(count - self.take + self.give)
        return m


def _wrap(pointer: Signal, depth: int) -> Value:
    """The pointer's next value in 0..depth−1."""
    if depth > 1 and depth & (depth - 1) == 0:
        return (pointer + 1)[:len(pointer)]
    return Mux(pointer == depth - 1, 0, pointer + 1)

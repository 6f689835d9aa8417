"""s_axis_load: the beginning and the end of the load chain."""

from amaranth import Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.loading import WORD
from bwnhw.rtl.store import LoadSignature


class LoadPort(wiring.Component):
    """Feeds a chain of `memories` with the words of s_axis_load; the design is loaded once `signature`, and nothing else, falls out.

    Every memory must have taken all its words before it does, so a load that is too short, too long or another design's is never
    complete. A tlast ends a load whatever it was, and without one none is complete; a word after it begins the next, as does the first
    word after a reset.

    Ports: `tdata`, `tvalid`, `tready` (low in reset, and behind a tlast until the chain is empty), `tlast`; `o` to the first memory, `i`
    from the last; `loaded`: low from a load's first word until the chain is empty behind it. A reset neither sets nor clears it.
    """

    def __init__(self, memories: int, signature: int) -> None:
        self._memories, self._signature = memories, signature
        super().__init__({"tdata": In(WORD), "tvalid": In(1), "tready": Out(1), "tlast": In(1), "loaded": Out(1),
                          "o": Out(LoadSignature()), "i": In(LoadSignature())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        begins = Signal(init=1)
        waits = Signal(range(self._memories + 2))
        taken = Signal()
        loaded = Signal(name="complete", reset_less=True)
        matches = Signal(reset_less=True)  # what fell out last is the signature, and nothing fell out before it
        m.d.comb += [
            self.tready.eq((waits == 0) & ~ResetSignal()), taken.eq(self.tvalid & self.tready), self.loaded.eq(loaded),
            self.o.valid.eq(taken), self.o.begin.eq(begins), self.o.data.eq(self.tdata),
        ]
        with m.If(taken):
            m.d.sync += begins.eq(self.tlast)
        with m.If(taken & self.tlast):
            m.d.sync += waits.eq(self._memories + 1)
        with m.Elif(waits != 0):
            m.d.sync += waits.eq(waits - 1)
        with m.If(taken):
            m.d.sync += [loaded.eq(0), matches.eq(0)]
        with m.Else():
            with m.If(self.i.valid):
                m.d.sync += matches.eq(self.i.begin & (self.i.data == self._signature))
            with m.If(waits == 1):  # the chain is empty: nothing follows the signature
                m.d.sync += loaded.eq(matches)
        return m

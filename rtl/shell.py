"""The AXI4-Stream ends of the design. Neither adds a cycle: a handshake outside is the same handshake inside."""

from amaranth import Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.blocks import Port
from bwnhw.rtl.signatures import StreamSignature
from bwnhw.rtl.window_control import loop


def input_bits(port: Port) -> int:
    """Width of s_axis_tdata: the elements without gaps, padded to whole bytes."""
    return -(-port.lanes * port.bits // 8) * 8


def element_bytes(port: Port) -> int:
    """Bytes of one output element."""
    return -(-port.bits // 8)


def output_bits(port: Port) -> int:
    """Width of m_axis_tdata: every element extended to whole bytes."""
    return port.lanes * element_bytes(port) * 8


class AxisInput(wiring.Component):
    """s_axis to the first stage. The count of beats delimits the images; a tlast elsewhere only raises `frame_error`.

    Ports: `tdata`, `tvalid`, `tready` (low in reset), `tlast`; `o` stream; `frame_error`: high from the cycle after a tlast at a
    beat that isn't the image's last, or a last beat without one, until reset.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        super().__init__({
            "tdata": In(input_bits(port)), "tvalid": In(1), "tready": Out(1), "tlast": In(1),
            "o": Out(StreamSignature(port.lanes, port.bits)), "frame_error": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken = Signal()
        m.d.comb += [
            self.o.payload.eq(self.tdata[:len(self.o.payload)]),
            self.o.valid.eq(self.tvalid & ~ResetSignal()),
            self.tready.eq(self.o.ready & ~ResetSignal()),
            taken.eq(self.o.valid & self.o.ready),
        ]
        _, last = loop(m, "beat", self._port.beats, taken)
        misplaced = Signal()
        with m.If(taken & (self.tlast != last)):
            m.d.sync += misplaced.eq(1)
        m.d.comb += self.frame_error.eq(misplaced)
        return m


class AxisOutput(wiring.Component):
    """The last stage to m_axis.

    Ports: `i` stream; `tdata` (every element zero- or sign-extended to whole bytes), `tvalid` (low in reset), `tready`, `tlast` at the
    last beat of every image.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        super().__init__({
            "i": In(StreamSignature(port.lanes, port.bits)),
            "tdata": Out(output_bits(port)), "tvalid": Out(1), "tready": In(1), "tlast": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port = self._port
        m.d.comb += [self.tvalid.eq(self.i.valid & ~ResetSignal()), self.i.ready.eq(self.tready & ~ResetSignal())]
        for lane in range(port.lanes):
            element = self.i.payload.word_select(lane, port.bits)
            place = self.tdata.word_select(lane, 8 * element_bytes(port))
            m.d.comb += place.eq(element.as_signed() if port.signed else element)
        _, last = loop(m, "beat", port.beats, self.tvalid & self.tready)
        m.d.comb += self.tlast.eq(last)
        return m

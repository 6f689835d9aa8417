"""The right edge of an array: the marks that travel down it and each row's accumulator."""

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.blocks import Array
from bwnhw.rtl.signatures import FlowSignature, index_shape, max_shift


class MarkSignature(wiring.Signature):
    """What a row's accumulator must know of the beat whose sum arrives; only members that can differ from beat to beat are there.

    `done`: the last beat of a group, never of an invalid beat. `first`: of a group (absent where a group is one beat). `shift`: of the
    accumulator before this beat. `offset`: class·groups + group.
    """

    def __init__(self, array: Array) -> None:
        members = {"done": Out(1)}
        if array.group_beats > 1:
            members["first"] = Out(1)
        if max_shift(array.steps):
            members["shift"] = Out(index_shape(max_shift(array.steps) + 1))
        if array.offsets > 1:
            members["offset"] = Out(index_shape(array.offsets))
        super().__init__(members)


def is_late(array: Array) -> bool:
    """True where the offset is added behind the accumulator: earlier sums are still doubled."""
    return len(array.steps) > 1


class Accumulator(wiring.Component):
    """Adds up a row's sums over a group; what it does is the formula of `bwnhw.blocks.Array`.

    Ports: `marks_i`, `marks_o`: one register from i to o. `psum`: the row's sum of the beat that `marks_o` tells of. `offset`, `flip`
    (absent without flips): from the row's tables; with several offsets those of the mark that `at` (absent with one) held one cycle
    before, and two cycles before. `o`: a flow of one element, valid 1 cycle after `marks_o.done`, 2 where the offset is late.
    """

    def __init__(self, array: Array, max_psum: int) -> None:
        self._array = array
        ports = {"marks_i": In(MarkSignature(array)), "marks_o": Out(MarkSignature(array)), "psum": In(range(max_psum + 1)),
                 "offset": In(signed(array.acc_bits)), "o": Out(FlowSignature(1, array.out_bits))}
        if array.flips:
            ports["flip"] = In(1)
        if array.offsets > 1:
            ports["at"] = Out(index_shape(array.offsets))
        super().__init__(ports)

    @property
    def latency(self) -> int:
        """Cycles from `psum` to `o`."""
        return 1 + is_late(self._array)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._hop(m)
        array = self._array
        if array.offsets > 1:
            m.d.comb += self.at.eq((self.marks_o if is_late(array) else self.marks_i).offset)
        sums = array.mode == "sums"
        acc = Signal(signed(array.acc_bits), reset_less=True)
        if is_late(array):
            m.d.sync += acc.eq(self.psum + self._before(acc, 0))
            total = Signal(signed(array.acc_bits), reset_less=True)
            m.d.sync += total.eq((acc << (array.up if sums else 0)) + self.offset)
        else:
            m.d.sync += acc.eq((self.psum << (array.up if sums else 0)) + self._before(acc, self.offset))
            total = acc
        if sums:
            m.d.comb += self.o.payload.eq(total >> array.down)
        else:
            m.d.comb += self.o.payload.eq(~total[-1] ^ (self.flip if array.flips else 0))
        return m

    def _hop(self, m: Module) -> None:
        """Pass the marks down, and `done` on to the output."""
        for name in self.marks_o.signature.members:
            below = getattr(self.marks_o, name)
            register = Signal.like(below, name=name, reset_less=name != "done")
            m.d.sync += register.eq(getattr(self.marks_i, name))
            m.d.comb += below.eq(register)
        done: Value = self.marks_o.done
        for step in range(self.latency):
            valid = Signal(name=f"valid_d{step + 1}")
            m.d.sync += valid.eq(done)
            done = valid
        m.d.comb += self.o.valid.eq(done)

    def _before(self, acc: Signal, start: Value | int) -> Value | int:
        """What this beat's sum is added to: `start` in a group's first beat, else the accumulator, shifted where a step begins."""
        array = self._array
        if array.group_beats == 1:
            return start
        held: Value = acc
        for shift in sorted({step.shift for step in array.steps} - {0}):
            held = Mux(self.marks_o.shift == shift, acc << shift, held)
        return Mux(self.marks_o.first, start, held)

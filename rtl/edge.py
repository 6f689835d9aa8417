"""The right edge of an array: the marks that travel down it and each row's accumulator."""

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.array_block import Array
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


def constant_start(array: Array, offsets: Sequence[int]) -> int | None:
    """What every group's sum of a row begins with, where that is always the same and there is a sum over several beats; else None."""
    if not array.constant_start:
        return None
    return 0 if is_late(array) else offsets[0]


class Accumulator(wiring.Component):
    """Adds up a row's sums over a group; what it does is the formula of `bwnhw.array_block.Array`.

    Ports: `marks_i`, `marks_o`: one register from i to o. `psum`: the row's sum of the beat that `marks_o` tells of. `offset`, `flip`
    (absent without flips): from the row's tables; with several offsets those of the mark that `at` (absent with one) held one cycle
    before, and two cycles before. `start`: the constant that a group's sum begins with (`constant_start`), in place of `offset` where
    that isn't late. `o`: a flow of one element, valid `latency` cycles after `marks_o.done`.
    """

    def __init__(self, array: Array, psum: ShapeLike, start: int | None) -> None:
        self._array, self._start = array, start
        ports = {"marks_i": In(MarkSignature(array)), "marks_o": Out(MarkSignature(array)), "psum": In(psum),
                 "o": Out(FlowSignature(1, array.out_bits))}
        if start is None or is_late(array):
            ports["offset"] = In(signed(array.acc_bits))
        if array.flips:
            ports["flip"] = In(1)
        if array.offsets > 1:
            ports["at"] = Out(index_shape(array.offsets))
        super().__init__(ports)

    @property
    def latency(self) -> int:
        """Cycles from `psum` to `o`."""
        return self._array.sum_latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._hop(m)
        array = self._array
        if array.offsets > 1:
            m.d.comb += self.at.eq((self.marks_o if is_late(array) else self.marks_i).offset)
        sums = array.mode == "sums"
        up = array.up if sums else 0
        if is_late(array):
            total = Signal(signed(array.acc_bits), name="late", reset_less=True)
            m.d.sync += total.eq((self._accumulated(m, 0) << up) + self.offset)
        else:
            total = self._accumulated(m, up)
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

    def _accumulated(self, m: Module, up: int) -> Value:
        """The sum so far, from a register."""
        total = Signal(signed(self._array.acc_bits), name="acc", reset_less=True)
        added = self.psum << up
        if self._array.group_beats == 1:
            m.d.sync += total.eq(added + self.offset)
        elif self._start is None:
            m.d.sync += total.eq(added + Mux(self.marks_o.first, self.offset, self._shifted(total)))
        else:
            # The constant is the reset value of a second register, one cycle before the first beat's sum comes: no multiplexer.
            held = Signal.like(total, name="held", init=self._start, reset_less=True)
            m.d.comb += (now := Signal.like(total, name="now")).eq(added + self._shifted(held))
            m.d.sync += [total.eq(now), held.eq(Mux(self.marks_i.first, self._start, now))]
        return total

    def _shifted(self, held: Value) -> Value:
        """The sum so far, shifted where a step begins."""
        for shift in sorted({step.shift for step in self._array.steps} - {0}):
            held = Mux(self.marks_o.shift == shift, held << shift, held)
        return held


class SplitAccumulator(Accumulator):
    """An accumulator whose two highest bits stand behind the carry chain and take its carry one cycle later (`Array.sign_apart`): the
    sign's register is in no cell of the chain. No sum of a beat reaches up to these bits. It begins with `start` (`constant_start`)."""

    def __init__(self, array: Array, psum: ShapeLike, start: int) -> None:
        self._begin = start % (1 << array.acc_bits)
        super().__init__(array, psum, start)

    def _accumulated(self, m: Module, up: int) -> Value:
        low = self._array.acc_bits - 2
        held = Signal(low, name="held", init=self._begin % (1 << low), reset_less=True)
        top = Signal(2, name="top", init=self._begin >> low, reset_less=True)
        carry = Signal(name="carry", reset_less=True)
        sign = Signal(name="sign", reset_less=True)
        now = Signal(low + 1, name="now")
        m.d.comb += now.eq(held + self.psum)
        above = Cat(top[0] ^ carry, top[1] ^ (top[0] & carry))  # no sum: a chain of two bits would be more
        m.d.sync += [held.eq(Mux(self.marks_i.first, held.init, now[:low])), carry.eq(now[low]),
                     top.eq(Mux(self.marks_o.first, top.init, above)), sign.eq(above[1])]
        return sign

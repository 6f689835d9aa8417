"""Interfaces between the blocks: the stallable stream, the free-running flow and the window's beat.

Elements lie in a payload without gaps, element 0 in the low bits.
"""

from amaranth import Shape, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out

from bwnhw.array_block import Step
from bwnhw.blocks import Window


def StreamSignature(lanes: int, bits: int) -> stream.Signature:  # named as a class: Amaranth's own can't be subclassed
    """A stallable stream: `valid`, `ready`, and a `payload` of `lanes` elements of `bits` each."""
    return stream.Signature(unsigned(lanes * bits))


class FlowSignature(wiring.Signature):
    """A free-running flow that nobody can stall: `valid` and a `payload` of `lanes` elements of `bits` each."""

    def __init__(self, lanes: int, bits: int) -> None:
        super().__init__({"valid": Out(1), "payload": Out(unsigned(lanes * bits))})


def index_shape(count: int) -> Shape:
    """Shape of a number in 0..count−1; at least 1 bit, since a port of no bits becomes `[-1:0]` in Verilog."""
    return unsigned(max(1, (count - 1).bit_length()))


def max_shift(steps: tuple[Step, ...]) -> int:
    """Greatest left shift of an accumulator before a step."""
    return max(step.shift for step in steps)


class BeatSignature(wiring.Signature):
    """What a window hands to its core every cycle in which `valid` is high.

    `data`: taps × lanes elements of `planes` bits, element tap·lanes + lane at bit `planes` times that. `first`, `last`: of the group.
    `shift`: of the step on its first beat, else 0. `fold`: address of the weights. `offset`: class·groups + group, on every
    beat of the group. A member whose only value is 0 has 1 bit.
    """

    def __init__(self, window: Window) -> None:
        super().__init__({
            "valid": Out(1),
            "data": Out(unsigned(window.taps * window.lanes * window.planes)),
            "first": Out(1),
            "last": Out(1),
            "shift": Out(index_shape(max_shift(window.steps) + 1)),
            "fold": Out(index_shape(window.fold_depth)),
            "offset": Out(index_shape(window.classes * window.groups)),
        })

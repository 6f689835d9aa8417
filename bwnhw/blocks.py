"""The bill of blocks: a topology and a plan become one chain of hardware blocks, each a frozen description.

`cycles`, `resources` and `bwnhw.rtl.build` all read this one list, so an estimate can't describe a machine other than the one
generated. docs/blocks.md gives ports and timing of every block; the cycle rules stand in the docstrings here.

A design is: input port → stage → stage → ... → output port. A stage is: resizers → (window) → cores → FIFO. The window, or for
a stage without one the first core's sequencer, starts work only when the FIFO has a credit; cores run free behind it.

On every stream a beat holds `lanes` elements of `bits` each, element 0 in the low bits, channels in order, a pixel padded with
zero elements to whole beats.
"""

from dataclasses import dataclass
from functools import cached_property

from bwnhw.array_block import Array, Step
from bwnhw.geometry import Geometry


@dataclass(frozen=True)
class Upsize:
    """Collects `ratio` beats of `lanes_in` (first in the low lanes), gives one of `lanes_out` (cut or zero-padded).

    A word register with a full flag. With in(n), out(m) the handshake cycles: out(m) ≥ in(m·ratio + ratio−1) + 1;
    in(m·ratio) ≥ out(m−1) (same cycle allowed); one beat per cycle otherwise.
    """

    lanes_in: int
    ratio: int
    lanes_out: int
    bits: int


@dataclass(frozen=True)
class Downsize:
    """Splits one beat of `lanes_in` into `ratio` beats of `lanes_out`, low lanes first (zero-padded or cut at the top).

    A word register with a busy flag. out(m·ratio + k) ≥ in(m) + 1 + k; in(m) ≥ out(m·ratio − 1) (same cycle allowed).
    """

    lanes_in: int
    ratio: int
    lanes_out: int
    bits: int


@dataclass(frozen=True)
class Fifo:
    """First-word-fall-through FIFO: read(n) ≥ write(n) + 1. Never written without a credit, so it never refuses.

    Credits: `depth` after reset; a group takes one when it starts; a read gives it back: start(n) ≥ read(n − depth) + 1.
    """

    lanes: int
    bits: int
    depth: int


@dataclass(frozen=True)
class Window:
    """Line buffer and sequencer: writes a map's beats to memory, reads every output pixel's taps, again for every group.

    Memory: `depth` words (a power of two) of `lanes` elements of `bits`, in `taps` copies that are read at once. A pixel is `words`
    words. Loops of the sequencer, outermost first: output pixel (raster), group 0..groups−1, step, tap beat
    0..tap_beats−1, word 0..inner−1. Copy i reads tap `tap_beat·taps + i` of the kernel (row-major). Depthwise (pools): inner = 1
    and group g reads word g; else inner = words. One beat per cycle, a group is never interrupted.

    A tap in the padding (or beyond the kernel) reads as `pad_code`. A beat carries: elements [tap][lane] with the `planes` bits
    plane_group·planes + 0..planes−1 of each; first, last (of the group); shift (of the step, on its first beat, else 0); fold =
    ((group·weight_planes + weight_plane)·tap_beats + tap_beat)·inner + word; offset = class·groups + group (class 0
    where `classes` is 1).

    Timing: word n (n over all images) is written by its handshake at wr(n) ≥ wr(n−1)+1, and only when n < keep + depth. First
    beat of group (p, g) issues at start(p, g) ≥ start before + group_beats; for g = 0 also ≥ wr(last needed word) + 1; for every g
    ≥ the FIFO's credit. A pixel's release (keep moves to the next pixel's) is seen by the writer the cycle after the
    pixel's last beat issued. Beats leave `latency` = 2 cycles after issue.
    """

    geometry: Geometry
    lanes: int
    bits: int
    words: int
    taps: int
    groups: int
    depthwise: bool
    planes: int
    steps: tuple[Step, ...]
    weight_planes: int
    pad_code: int
    classes: int
    depth: int

    latency = 2

    @property
    def inner(self) -> int:
        """Words read per tap beat: all words of a pixel, or one where depthwise."""
        return 1 if self.depthwise else self.words

    @cached_property
    def tap_beats(self) -> int:
        """Beats to cover the kernel's taps."""
        return -(-(self.geometry.kernel[0] * self.geometry.kernel[1]) // self.taps)

    @property
    def group_beats(self) -> int:
        """Cycles of one group."""
        return len(self.steps) * self.tap_beats * self.inner

    @property
    def fold_depth(self) -> int:
        """Number of different `fold` values: depth of the weight memory behind it."""
        return self.groups * self.weight_planes * self.tap_beats * self.inner


@dataclass(frozen=True)
class Unrolled:
    """A layer's weights as an adder graph with its threshold: one window beat in per cycle, and an output beat for each.

    A beat holds all `inputs` (taps × channels) with all their `bits`. Row r computes z = Σ W·a exactly; `levels` adder levels at most, a
    register behind each. bits mode: out = (z ≥ limit of the border class) XOR flip, 1 bit. sums mode: out = factor·z + offset of the
    border class, `out_bits` two's complement. How many adders there are depends on the weights, and which on the `family` for whose LUTs
    they are chosen (`bwnhw.unrolled`).
    """

    pe: int
    inputs: int
    bits: int
    levels: int
    classes: int
    mode: str  # "bits" or "sums"
    out_bits: int
    family: str

    @property
    def latency(self) -> int:
        """Cycles from a beat to the output beat: the adder levels, and the register behind the threshold or the offset."""
        return self.levels + 1


@dataclass(frozen=True)
class Reduce:
    """Max or sum over the beats of a group, lane by lane; latency 1.

    `flips`: hi − max where (group, lane) flips, `hi` the greatest code.
    """

    kind: str  # "max" or "sum"
    lanes: int
    groups: int
    bits: int
    signed: bool
    out_bits: int
    flips: bool
    hi: int

    latency = 1


@dataclass(frozen=True)
class Thresholds:
    """code = number of thresholds reached, by a pipelined binary search; latency = out_bits. Beats cycle through `groups`."""

    lanes: int
    groups: int
    bits: int
    signed: bool
    levels: int
    out_bits: int
    flips: bool

    @property
    def latency(self) -> int:
        """Cycles from input beat to output beat."""
        return self.out_bits


@dataclass(frozen=True)
class Scaler:
    """mult[c]·z + offset[c]; one register behind the product, one behind the sum: latency 2."""

    lanes: int
    groups: int
    bits: int
    signed: bool
    mult_bits: int
    out_bits: int

    latency = 2


@dataclass(frozen=True)
class Best:
    """Index of the greatest of `channels` elements that come in `groups` beats; latency 2 after the last of them.

    Within a beat the first register holds the best lane, the second the best so far. One output beat per `groups` input beats.
    """

    lanes: int
    groups: int
    channels: int
    bits: int
    signed: bool
    out_bits: int

    latency = 2


Core = Array | Unrolled | Reduce | Thresholds | Scaler | Best


@dataclass(frozen=True)
class Stage:
    """Resizers, an optional window, free-running cores and the credit FIFO behind them.

    `nodes` are the topology's nodes that it computes, the last one's values leave it. Without a window an input beat is taken at
    x ≥ x before + 1, the first of every `group` also only with a credit; output n is written at x(last of group n) + Σ
    latency of the cores. With a window output n is written at start(n) + group_beats − 1 + window latency + Σ latency.
    """

    name: str
    nodes: tuple[int, ...]
    resizers: tuple[Upsize | Downsize, ...]
    window: Window | None
    cores: tuple[Core, ...]
    fifo: Fifo

    @property
    def latency(self) -> int:
        """Cycles from the issue of a group's last beat to the FIFO's write."""
        return (self.window.latency if self.window else 0) + sum(core.latency for core in self.cores)

    @property
    def group(self) -> int:
        """Input beats per output beat of a stage without a window."""
        first = self.cores[0]
        return first.groups if isinstance(first, Best) else 1

    @property
    def array(self) -> Array | None:
        """The systolic array of the stage, if it has one."""
        first = self.cores[0]
        return first if isinstance(first, Array) else None


@dataclass(frozen=True)
class Port:
    """A stream port of the design: `beats` per image of `lanes` elements of `bits`, values in lo..hi."""

    lanes: int
    bits: int
    beats: int
    signed: bool


@dataclass(frozen=True)
class Design:
    """The whole accelerator. Input elements are packed without gaps; output elements are extended to whole bytes each.

    `loadable`: its tables are memories that are filled at run time (`bwnhw.loading`).
    """

    input: Port
    stages: tuple[Stage, ...]
    output: Port
    loadable: bool = False

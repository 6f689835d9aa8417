"""Exact cycles of a design, without simulating it: the blocks' timing rules as a max-plus recurrence over tokens.

Cycle 0 is the first input handshake in an empty pipeline. Unless `Trace` says otherwise the source is always valid and the sink
always ready. docs/estimates.md explains the numbers; `bwnhw.events` holds the rules, block by block.
"""

from dataclasses import dataclass
from itertools import pairwise

from bwnhw import events
from bwnhw.blocks import Design, Stage, Upsize
from bwnhw.errors import PlanError
from bwnhw.events import Channel, Process
from bwnhw.trace import ALWAYS, STEADY, Trace

MAX_IMAGES = 64  # a design's period has always shown within a few images; this only bounds the search
PATIENCE = 1 << 14  # steps of processes between two looks at whether any of them got anywhere


@dataclass(frozen=True)
class StageCycles:
    """Cycles in which the first and the last output beat of every image left a stage (were read from its FIFO)."""

    name: str
    nodes: tuple[int, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]

    @property
    def latency(self) -> int:
        """Cycle of the stage's last output of image 0."""
        return self.last[0]

    @property
    def interval(self) -> int:
        """Cycles between the last outputs of the last two images."""
        return self.last[-1] - self.last[-2]


@dataclass(frozen=True)
class Cycles:
    """Output handshake cycles of at least three images: of the design (its last stage) and of every stage.

    `settled`: the last two intervals were equal and stay so: no shorter one is possible, or the input took its beats at the same pace,
    so that no buffer was still filling up (always so, without a `Trace` and a number of images, but for the limit of `MAX_IMAGES`).
    """

    stages: tuple[StageCycles, ...]
    settled: bool

    @property
    def first(self) -> tuple[int, ...]:
        """Cycle of every image's first output handshake."""
        return self.stages[-1].first

    @property
    def last(self) -> tuple[int, ...]:
        """Cycle of every image's last output handshake."""
        return self.stages[-1].last

    @property
    def latency(self) -> int:
        """Cycle of the last output handshake of image 0."""
        return self.last[0]

    @property
    def interval(self) -> int:
        """Cycles from image to image: the distance of the last two last outputs."""
        return self.last[-1] - self.last[-2]


def cycles(design: Design, images: int | None = None, trace: Trace = STEADY, most: int = MAX_IMAGES) -> Cycles:
    """Exact cycles of a run of `images` images (at least 3), or of as many as it takes for the interval to settle, at most `most`.

    Raises PlanError where a buffer is too small for the design to go on, InputError where nothing can come of the trace.
    """
    run = _Run(design, trace.checked())
    count = 0
    while count < (max(images, 3) if images else most) and not (images is None and run.settled()):
        run.image()
        count += 1
    return Cycles(tuple(run.stage_cycles(number, count) for number in range(len(design.stages))), run.settled())


def stage_beats(design: Design) -> tuple[int, ...]:
    """Output beats per image of every stage."""
    beats, counts = design.input.beats, []
    for stage in design.stages:
        if stage.window:
            beats = stage.window.geometry.out_height * stage.window.geometry.out_width * stage.window.groups
        else:
            beats //= stage.group
        counts.append(beats)
    return tuple(counts)


def least_interval(design: Design) -> int:
    """Cycles per image of the busiest port, stage or window buffer by itself, waiting for nobody.

    No interval is less, and with FIFOs and buffers deep enough none is more: a chain without loops goes at the pace of its slowest link.
    """
    paces = [design.input.beats]
    for stage, out in zip(design.stages, stage_beats(design), strict=True):
        paces.append(out * (stage.window.group_beats if stage.window else stage.group))
        if stage.window:
            paces.append(stage.window.geometry.height * stage.window.geometry.width * stage.window.words)
    return max(paces)


class _Run:
    """One run of a design, image after image: the channels' times so far and the processes, in the order of the chain, that extend them."""

    def __init__(self, design: Design, trace: Trace) -> None:
        self._design = design
        self._beats = stage_beats(design)
        self._least = least_interval(design)
        self._images = 0
        self._outputs = [Channel() for _ in design.stages]
        self._input = Channel()
        self._inner: list[Channel] = []
        self._fed = trace.source == ALWAYS
        self._processes: list[Process] = [] if self._fed else [events.source(self._input, trace.source)]
        self._windows: list[tuple[Stage, Channel, list[int]]] = []
        before = self._input
        for stage, after in zip(design.stages, self._outputs, strict=True):
            self._add(stage, before, after)
            before = after
        self._processes.append(events.sink(before, trace.sink))

    def _add(self, stage: Stage, inputs: Channel, outputs: Channel) -> None:
        for block in stage.resizers:
            between = Channel()
            process = events.upsize if isinstance(block, Upsize) else events.downsize
            self._processes.append(process(block.ratio, inputs, between))
            self._inner.append(between)
            inputs = between
        if stage.window:
            releases: list[int] = []
            self._processes.append(events.write(stage.window, inputs, releases))
            self._processes.append(events.sequence(stage, stage.window, inputs, releases, outputs))
            self._windows.append((stage, inputs, releases))
        else:
            self._processes.append(events.pass_on(stage, inputs, outputs))

    def image(self) -> None:
        """Run until one more image has left every stage."""
        if self._fed:  # an always valid source offers everything at once, its consumer takes one beat per cycle
            self._input.offers.extend([0] * self._design.input.beats)
        self._images += 1
        for channel, beats in zip(self._outputs, self._beats, strict=True):
            while len(channel.takes) < self._images * beats:
                self._go_on(channel.takes, self._images * beats)

    def settled(self) -> bool:
        """As `Cycles.settled`, of the images so far."""
        out, before = self._intervals(self._outputs[-1], self._beats[-1]), self._intervals(self._input, self._design.input.beats)
        return len(set(out)) == 1 and (out[0] == self._least or before == out)

    def _intervals(self, channel: Channel, beats: int) -> list[int]:
        """The last two times from image to image at a channel of so many beats per image, or those that there are."""
        last = channel.takes[beats - 1:self._images * beats:beats][-3:]
        return [after - earlier for earlier, after in pairwise(last)] if len(last) == 3 else []

    def _go_on(self, takes: list[int], wanted: int) -> None:
        """Follow who waits for whom until `takes` holds as many as `wanted`, for `PATIENCE` steps, or out of the chain."""
        before, processes = self._known(), self._processes
        place = len(processes) - 1
        for _ in range(PATIENCE):
            place += next(processes[place])
            if len(takes) >= wanted or place < 0:
                break
        if len(takes) < wanted and self._known() == before:
            for process in processes:  # perhaps what is missing lies off the way, such as words at an image's end that nobody needs
                next(process)
            if self._known() == before:
                raise PlanError(self._stuck())

    def stage_cycles(self, number: int, images: int) -> StageCycles:
        stage, beats, takes = self._design.stages[number], self._beats[number], self._outputs[number].takes
        return StageCycles(stage.name, stage.nodes, tuple(takes[i * beats] for i in range(images)),
                           tuple(takes[i * beats + beats - 1] for i in range(images)))

    def _known(self) -> int:
        channels = (self._input, *self._inner, *self._outputs)
        return sum(len(channel.offers) + len(channel.takes) for channel in channels) + sum(len(r) for _, _, r in self._windows)

    def _stuck(self) -> str:
        for stage, inputs, releases in self._windows:
            window = stage.window
            if window and len(inputs.offers) > len(inputs.takes):
                image, pixel = divmod(len(releases), len(window.geometry.need))
                words = window.geometry.height * window.geometry.width * image + int(window.geometry.need[pixel])
                if len(inputs.takes) < words * window.words:
                    return f"stage {stage.name}: output pixel {pixel} needs more than the {window.depth} words its buffer holds"
        return "the design can't go on: no stage has both work and room for its result"

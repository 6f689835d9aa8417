"""A clock-by-clock simulator of the blocks as registers and handshakes: an independent witness for `bwnhw.cycles`.

Valid depends on registers only; ready is settled from the sink backwards; then every register moves at once.
"""

from collections.abc import Sequence

from bwnhw.blocks import Design, Downsize, Stage, Upsize, Window


class Up:
    """Word register with a full flag."""

    def __init__(self, block: Upsize) -> None:
        self.ratio, self.count = block.ratio, 0

    @property
    def valid(self) -> bool:
        return self.count == self.ratio

    def ready(self, downstream: bool) -> bool:
        return self.count < self.ratio or downstream

    def clock(self, took: bool, gave: bool) -> None:
        self.count = (0 if gave else self.count) + took


class Down:
    """Word register with the number of parts still to go."""

    def __init__(self, block: Downsize) -> None:
        self.ratio, self.left = block.ratio, 0

    @property
    def valid(self) -> bool:
        return self.left > 0

    def ready(self, downstream: bool) -> bool:
        return self.left == 0 or (self.left == 1 and downstream)

    def clock(self, took: bool, gave: bool) -> None:
        self.left = self.ratio if took else self.left - gave


class Output:
    """The cores' delay line, the FIFO's counter and its credits."""

    def __init__(self, stage: Stage, latency: int) -> None:
        self.line = [False] * latency
        self.stored, self.credits = 0, stage.fifo.depth

    @property
    def valid(self) -> bool:
        return self.stored > 0

    def clock(self, started: bool, finished: bool, gave: bool) -> None:
        self.line.append(finished)
        self.stored += self.line.pop(0) - gave
        self.credits += gave - started


class Windowed:
    """Write counter, keep register, and a sequencer with its beat counter."""

    def __init__(self, stage: Stage, window: Window) -> None:
        self.window, self.out = window, Output(stage, stage.latency)
        self.written = self.pixel = self.group = self.beat = 0

    @property
    def valid(self) -> bool:
        return self.out.valid

    def _place(self, table: Sequence[int]) -> int:
        image, place = divmod(self.pixel, len(table))
        geometry = self.window.geometry
        return (image * geometry.height * geometry.width + int(table[place])) * self.window.words

    def ready(self, _: bool) -> bool:
        return self.written < self._place(self.window.geometry.keep) + self.window.depth

    def clock(self, took: bool, gave: bool) -> None:
        start = self.beat == 0 and self.out.credits > 0 and self.written >= self._place(self.window.geometry.need)
        finished = (start or self.beat > 0) and self.beat == self.window.group_beats - 1
        self.out.clock(start, finished, gave)
        self.written += took
        if finished:
            self.beat, self.group = 0, self.group + 1
            if self.group == self.window.groups:
                self.group, self.pixel = 0, self.pixel + 1
        elif start or self.beat > 0:
            self.beat += 1


class Mapped:
    """A stage without a window: takes a beat a cycle, the first of a group only with a credit."""

    def __init__(self, stage: Stage) -> None:
        self.size, self.out, self.place = stage.group, Output(stage, stage.latency), 0

    @property
    def valid(self) -> bool:
        return self.out.valid

    def ready(self, _: bool) -> bool:
        return self.place > 0 or self.out.credits > 0

    def clock(self, took: bool, gave: bool) -> None:
        self.out.clock(took and self.place == 0, took and self.place == self.size - 1, gave)
        self.place = (self.place + took) % self.size


def simulate(design: Design, counts: Sequence[int], source: Sequence[bool] = (True,), sink: Sequence[bool] = (True,),
             limit: int = 200_000) -> dict[str, list[int]]:
    """Cycles of the output handshakes of every stage by its name, until every stage has given its count of beats."""
    blocks: list[Up | Down | Windowed | Mapped] = []
    names: dict[int, str] = {}
    for stage in design.stages:
        blocks += [Up(block) if isinstance(block, Upsize) else Down(block) for block in stage.resizers]
        blocks.append(Windowed(stage, stage.window) if stage.window else Mapped(stage))
        names[len(blocks) - 1] = stage.name
    times: dict[str, list[int]] = {name: [] for name in names.values()}
    offering = False
    for time in range(limit):
        offering = offering or source[time % len(source)]
        valids = [offering, *(block.valid for block in blocks)]
        readies = [sink[time % len(sink)]]
        for block in reversed(blocks):
            readies.insert(0, block.ready(readies[0]))
        fires = [valid and ready for valid, ready in zip(valids, readies, strict=True)]
        for number, block in enumerate(blocks):
            block.clock(fires[number], fires[number + 1])
            if number in names and fires[number + 1]:
                times[names[number]].append(time)
        offering = offering and not fires[0]
        if all(len(times[stage.name]) >= count for stage, count in zip(design.stages, counts, strict=True)):
            return times
    raise RuntimeError("stuck")

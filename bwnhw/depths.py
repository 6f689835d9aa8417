"""The least FIFOs and window buffers with which a design keeps its interval: what `plan` writes into every plan.

The depths that `bwnhw.design` takes by itself are nearly always sufficient: none of them slows the design down. Where they aren't, since
it doesn't go at the interval of its slowest link, or not for long, they double until they are. From there every FIFO goes down as far as
the interval, by the exact cycle model, stays the same, one stage after the other, and so does every window buffer, by powers of two.

The result is minimal: lowering any one FIFO by one place, or halving any one buffer, raises the interval or lets nothing pass. For times
only grow where a depth shrinks (the rules of `bwnhw.events` are maxima of sums, and a lower depth waits for a later token), so a depth that
was too low beside deeper ones is too low beside the final ones as well, and each was left at its least beside those of its time.

Often all depths can be at their own lower bounds, and one look says so: a FIFO of depth D passes at most D groups in the cycles from a
group's start to its credit's return, group_beats + latency + 1, so D ≥ groups per image · (group_beats + latency + 1) / interval; a buffer
must hold what one output pixel needs. Otherwise halves of the stages are lowered together as far as that goes, then each by bisection.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bwnhw.blocks import Design, Stage
from bwnhw.cycles import cycles, least_interval, stage_beats
from bwnhw.design import design, least_buffer
from bwnhw.errors import PlanError
from bwnhw.network import Topology
from bwnhw.plan import Plan

SOON = 8  # images within which nearly every design settles
LONG = 64  # images, of which the second half shows what goes on in turn
DEEPER = (2, 4, 8)  # times the depths of `design`, which are nearly always enough


@dataclass(frozen=True)
class _Place:
    """One depth to choose: of a stage's FIFO, or of its buffer where `buffer`. The choices go from the lower bound to the sufficient."""

    stage: int
    buffer: bool
    choices: tuple[int, ...]


Depths = dict[tuple[int, bool], int]


def least_depths(topology: Topology, plan: Plan) -> Plan:
    """The plan with the depth of every FIFO and buffer that it leaves open, none of which can be less.

    Depths that the plan gives stay. Raises PlanError as `design` and `cycles` do.
    """
    fifos, buffers = dict(plan.fifos), dict(plan.buffers)
    whole, interval = _sufficient(design(topology, plan), fifos, buffers)
    places = [place for number, stage in enumerate(whole.stages)
              for place in _places(number, stage, stage_beats(whole)[number], interval)
              if (stage.nodes[0] if place.buffer else stage.nodes[-1]) not in (buffers if place.buffer else fifos)]
    found = _Search(whole, interval).lowered(places)
    for (number, is_buffer), depth in found.items():
        nodes = whole.stages[number].nodes
        if is_buffer:
            buffers[nodes[0]] = depth
        else:
            fifos[nodes[-1]] = depth
    return replace(plan, fifos=tuple(sorted(fifos.items())), buffers=tuple(sorted(buffers.items())))


def _sufficient(whole: Design, fifos: Mapping[int, int], buffers: Mapping[int, int]) -> tuple[Design, int]:
    """The design with depths that don't slow it down, as far as those in the plan (by node) let it, and its interval."""
    best, least = whole, least_interval(whole)
    for factor in DEEPER:
        if _goes_at(best, least):
            break
        deeper = {(number, False): factor * stage.fifo.depth for number, stage in enumerate(whole.stages) if stage.nodes[-1] not in fifos}
        deeper |= {(number, True): factor * stage.window.depth for number, stage in enumerate(whole.stages)
                   if stage.window and stage.nodes[0] not in buffers}
        found = with_depths(whole, deeper)
        if _many(found) < _many(best):
            best = found
    return best, cycles(best).interval


def _goes_at(whole: Design, interval: int) -> bool:
    """Whether a design settles at an interval that lasts: where a FIFO holds several images, it may be 6, 6, 8 in turn."""
    found = cycles(whole, most=SOON)
    if not found.settled:
        if found.interval > interval and falls_behind(whole, interval):
            return False
        found = cycles(whole)
    if not found.settled or found.interval != interval:
        return False
    several = any(stage.fifo.depth > beats for stage, beats in zip(whole.stages, stage_beats(whole), strict=True))
    return not several or _many(whole) <= LONG // 2 * interval


def falls_behind(whole: Design, interval: int) -> bool:
    """Whether some last stages take longer than an interval even if their input always waits for them.

    What comes before them can only make them later, and in the whole design it may take many images until it feels that it has to wait.
    """
    beats = stage_beats(whole)
    for first in range(len(whole.stages) - 1, 0, -1):
        fed = whole.stages[first - 1].fifo
        found = cycles(replace(whole, input=replace(whole.input, lanes=fed.lanes, bits=fed.bits, beats=beats[first - 1]),
                               stages=whole.stages[first:]), most=SOON)
        if found.settled and found.interval > interval:
            return True
    return False


def _many(whole: Design) -> int:
    """Cycles of the second half of `LONG` images."""
    last = cycles(whole, LONG).last
    return last[-1] - last[-1 - LONG // 2]


def _places(number: int, stage: Stage, groups: int, interval: int) -> list[_Place]:
    """The depths of a stage. `groups`: its output beats per image."""
    window = stage.window
    turn = (window.group_beats if window else stage.group) + stage.latency + 1
    least = max(1, -(-groups * turn // interval))
    found = [_Place(number, False, tuple(range(min(least, stage.fifo.depth), stage.fifo.depth + 1)))]
    if window:
        powers = [window.depth]
        while powers[0] // 2 >= max(2, least_buffer(window)):
            powers.insert(0, powers[0] // 2)
        found.append(_Place(number, True, tuple(powers)))
    return found


class _Search:
    """Looks for the least depths of a design that keep an interval."""

    def __init__(self, whole: Design, interval: int) -> None:
        self._whole, self._interval = whole, interval
        self._known: dict[tuple[tuple[tuple[int, bool], int], ...], bool] = {}
        self._most = None if _goes_at(whole, interval) else _many(whole)  # where depths of the plan make intervals differ

    def lowered(self, places: list[_Place]) -> Depths:
        """The least choice at every place, found for the first places first."""
        return self._together(places, {})

    def _together(self, places: list[_Place], fixed: Depths) -> Depths:
        """`fixed` with the places' depths: at once where their lower bounds do, else half by half."""
        lowest = fixed | {(place.stage, place.buffer): place.choices[0] for place in places}
        if lowest == fixed or self._keeps(lowest):
            return lowest
        if len(places) == 1:
            return fixed | self._bisected(places[0], fixed)
        half = len(places) // 2
        return self._together(places[half:], self._together(places[:half], fixed))

    def _bisected(self, place: _Place, fixed: Depths) -> Depths:
        """The least choice of one place beside the depths that are fixed; the first is known to be too low, the last does."""
        low, high = 0, len(place.choices) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._keeps(fixed | {(place.stage, place.buffer): place.choices[middle]}):
                high = middle
            else:
                low = middle
        return {(place.stage, place.buffer): place.choices[high]}

    def _keeps(self, depths: Depths) -> bool:
        """Whether the design with these depths, all others being sufficient, settles at the interval; the same are asked for again."""
        key = tuple(sorted(depths.items()))
        if key not in self._known:
            self._known[key] = self._tried(with_depths(self._whole, depths))
        return self._known[key]

    def _tried(self, whole: Design) -> bool:
        try:
            return _goes_at(whole, self._interval) if self._most is None else _many(whole) <= self._most
        except PlanError:  # a buffer in which nothing goes on
            return False


def with_depths(whole: Design, depths: Mapping[tuple[int, bool], int]) -> Design:
    """The design with other depths of its FIFOs (stage number, False) and window buffers (stage number, True)."""
    stages = []
    for number, stage in enumerate(whole.stages):
        fifo = replace(stage.fifo, depth=depths.get((number, False), stage.fifo.depth))
        window = stage.window and replace(stage.window, depth=depths.get((number, True), stage.window.depth))
        stages.append(replace(stage, fifo=fifo, window=window))
    return replace(whole, stages=tuple(stages))

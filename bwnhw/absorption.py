"""Counters whose last ones cost nothing: an accumulator's carry chain counts the bits that they leave, at least LUTs.

Where a LUT has six inputs, a position of the chain takes its bit of the sum so far and, in the LUT in front of it, any function of
`NETS` other nets. So a sum of few bits is never made: each of its bits is worked out in the chain's position of that weight. What such a
sum has above the next weight's own bits is made by LUTs, and goes on there; the bits that it is made of wait, and the chain counts them by
the rest (of one weight: their parity). `absorption` finds what costs least; `bwnhw.rtl.absorption` builds it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from bwnhw.compressor import Counter, Heights, Level, after, carries, full

NETS = 5  # beside the sum's own bit, of a position's LUT6
COUNTERS = ((6,), (5, 1), (3, 2), (3,))  # bits of the lowest weight, and of the next; none with fewer bits ever made a plan cheaper
SEARCHED = 64  # bits at most of a search, which takes time with the fourth power of them: more are counted by 6:3 counters first


@dataclass(frozen=True)
class Absorption:
    """`levels` of counters, and `shares`, the counters that the chain is: of each it works out the `kept` lowest bits of the sum."""

    levels: tuple[Level, ...]
    shares: tuple[Counter, ...]

    @property
    def luts(self) -> int:
        """LUTs of the levels; the chain has as many as without them."""
        return sum(counter.width - counter.kept for level in self.levels for counter in level)


def first_bits(lanes: int) -> Heights:
    """Bits of weight 1, 2 that the first level makes of `lanes` encoded lanes: the odd one and the carries."""
    return (1, carries(lanes)) if carries(lanes) else (1,)


def behind(heights: Heights, plan: Absorption) -> Heights:
    """How many bits of every weight the chain reads."""
    for level in plan.levels:
        heights = tuple(after(heights, level))
    return heights


@cache
def absorption(heights: Heights) -> Absorption:
    """The cheapest plan for so many bits of weight 1, 2, ..."""
    level = full(heights)
    if sum(heights) > SEARCHED and level:
        found = absorption(tuple(after(heights, level)))
        return replace(found, levels=(level, *found.levels))
    return _scheduled(heights, _cheapest(_trimmed(heights))[1])


@cache
def _cheapest(heights: Heights) -> tuple[int, tuple[Counter, ...]]:
    """The fewest LUTs, and the counters and shares, the lowest weight first: a share takes all bits that counters leave of its weights."""
    if not heights:
        return 0, ()
    if not heights[0]:
        cost, found = _cheapest(heights[1:])
        return cost, _moved(found, 1)
    return min(_first_choices(heights), key=lambda plan: (plan[0], len(plan[1])))


def _first_choices(heights: Heights) -> Iterator[tuple[int, tuple[Counter, ...]]]:
    """The cheapest plans with each counter or share that the lowest weight may begin with."""
    for taken in COUNTERS:
        if len(taken) <= len(heights) and all(count <= height for count, height in zip(taken, heights, strict=False)):
            counter = Counter(0, taken)
            cost, found = _cheapest(_trimmed(after(heights, (counter,))))
            yield counter.width + cost, (counter, *found)
    for weights in range(1, len(heights) + 1):
        if sum(heights[:weights]) > NETS:
            return
        if heights[weights - 1]:
            share = _share(heights, weights)
            cost, found = _cheapest(_trimmed(after(heights, (share,))[share.kept:]))
            yield share.width - share.kept + cost, (share, *_moved(found, share.kept))


def _share(heights: Heights, weights: int) -> Counter:
    """The share of all bits of the lowest `weights`: it keeps its sum's bits up to the next weight that has bits of its own."""
    whole = Counter(0, heights[:weights])
    own = next((weight for weight in range(weights, len(heights)) if heights[weight]), whole.width)
    return replace(whole, kept=max(weights, min(whole.width, own)))


def _scheduled(heights: Heights, found: Sequence[Counter]) -> Absorption:
    """Every counter as early as the bits that it takes are there, the earliest of which it takes. Bits above a share's kept ones are
    made once no counter of its weights is left, since bits of one weight are told apart by nothing but their number."""
    ready = [[0] * height for height in heights] + [[] for _ in range(8)]
    counted = [0] * len(ready)  # level of the last counter that takes bits of a weight
    levels: dict[int, list[Counter]] = {}
    for counter in found:
        weights = range(counter.at, counter.at + len(counter.taken))
        times = [time for weight, count in zip(weights, counter.taken, strict=True) for time in sorted(ready[weight])[:count]]
        level = max([time + 1 for time in times] + [counted[weight] for weight in weights if counter.kept])
        for weight, count in zip(weights, counter.taken, strict=True):
            ready[weight] = sorted(ready[weight])[count:]
            counted[weight] = max(counted[weight], level)
        for weight in range(counter.at + counter.kept, counter.at + counter.width):
            ready[weight].append(level)
        if counter.width > counter.kept:
            levels.setdefault(level, []).append(counter)
    return Absorption(tuple(tuple(levels[number]) for number in sorted(levels)), tuple(counter for counter in found if counter.kept))


def _moved(found: Sequence[Counter], weights: int) -> tuple[Counter, ...]:
    return tuple(replace(counter, at=counter.at + weights) for counter in found)


def _trimmed(heights: Sequence[int]) -> Heights:
    """Without weights that have no bit above the last that has."""
    return tuple(heights[:max((weight + 1 for weight, height in enumerate(heights) if height), default=0)])

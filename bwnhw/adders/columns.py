"""Rows of many terms by chains over columns of bits: a tree of close rows, every row's difference a heap of bits that few chains add up.

What several rows have in common within a group of inputs, such as the difference of two codewords in a channel, is a number of its own
where that is cheaper than its bits in every heap.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.builder import Builder
from bwnhw.adders.closest import tree
from bwnhw.adders.codewords import Groups
from bwnhw.adders.graph import Terms, Unreachable
from bwnhw.adders.heap import Heap, Schedule
from bwnhw.adders.spanning import Pairs, distinct, row_terms, term_counts
from bwnhw.adders.sums import NEVER, alone, plan

SCHEDULES = (*(Schedule(rate, shrink) for rate in (1.2, 1.4) for shrink in (1.5, 1.8, 2.1)), Schedule(1.0, 1.5))
PER_BIT = 0.6  # LUTs that a bit costs in a heap, about
GROUP_LEVELS = 3  # for a number that rows share, at most


def grow_columns(builder: Builder, rows: NDArray[np.int64], levels: int, height: int, groups: Groups = (), *, exact: bool
                 ) -> list[tuple[int, int]]:
    """(node, sign) of every row of `rows` (rows, inputs), by a tree of at most `height` steps.

    No row is zero, none occurs twice, and without `exact` none is another's negative. Raises Unreachable where the levels don't suffice.
    """
    pairs = Pairs(builder, rows, split=True)
    led = [1] * len(rows) if exact else pairs.led
    terms = _shared_terms(rows, groups) if groups else pairs.terms
    parents, heights, signs = tree(terms, led, height, exact)
    vectors = rows * signs[:, None]
    scales = np.array([int(pairs.scales[int(signs[row] != signs[at])][at, row]) if at >= 0 else 1 for row, at in enumerate(parents)])
    bases = np.where((parents >= 0)[:, None], vectors[parents], 0)
    sums = _numbers(builder, (vectors - bases) // scales[:, None], groups)
    made: dict[int, int] = {}
    schedules = SCHEDULES
    for number, row in enumerate(np.argsort(heights, kind="stable").tolist()):
        room, base = levels - height + int(heights[row]), made.get(int(parents[row]))
        tried = partial(_total, terms=sums[row], vector=vectors[row], levels=room, base=base, scale=int(scales[row]))
        if number < 2:  # the first row, and the first difference, show what is cheap
            schedules = tuple(sorted(SCHEDULES, key=partial(_price, builder, tried)))
        made[row] = next(iter(found for schedule in schedules if (found := tried(builder, schedule)) is not None), -1)
        if made[row] < 0:
            raise Unreachable(f"{levels} levels are too few")
    return [(made[row], int(signs[row])) for row in range(len(rows))]


def _total(builder: Builder, schedule: Schedule, *, terms: Terms, vector: NDArray[np.int64], levels: int, base: int | None, scale: int
           ) -> int | None:
    """The node base + scale·Σ terms, which is `vector` times the inputs; None where the levels don't suffice."""
    try:
        return Heap(builder, terms).total(vector, levels, schedule, base, scale)
    except Unreachable:
        return None


def _price(builder: Builder, tried: Callable[[Builder, Schedule], int | None], schedule: Schedule) -> int:
    """LUT6 of a sum by a schedule."""
    trial = builder.copy()
    return trial.cost_from(len(builder.nodes)) if tried(trial, schedule) is not None else NEVER


def _shared_terms(rows: NDArray[np.int64], groups: Groups) -> NDArray[np.int64]:
    """Bits (2, rows, rows) that the difference and the sum of two rows take when what they are in every group is a number of its own."""
    total = np.zeros((2, len(rows), len(rows)), np.int64)
    for group in map(list, groups):
        words, index = np.unique(rows[:, group], axis=0, return_inverse=True)
        index = index.ravel()
        for half, other in enumerate((words, -words)):
            counts = np.array([term_counts(other - word) for word in words])
            bits = np.ceil(np.log2(counts + 1)).astype(np.int64)
            total[half] += bits[index[:, None], index[None]]
    return total


def _numbers(builder: Builder, differences: NDArray[np.int64], groups: Groups) -> list[Terms]:
    """The terms of every difference: inputs, and numbers of a group that pay for themselves."""
    terms: list[Terms] = [() for _ in differences]
    bits = builder.nodes[0].bits
    left = differences.copy()
    for group in map(list, groups):
        inside = np.zeros_like(differences)
        inside[:, group] = differences[:, group]
        words, index, factors = distinct(inside)
        for at, word in enumerate(words):
            users = [row for row, found in enumerate(index) if found == at]
            own = row_terms(word, split=True)
            how = plan(len(own), GROUP_LEVELS, bits, all(abs(factor) == 1 for _, factor in own)) if len(own) > 1 else None
            width = (sum(abs(factor) for _, factor in own) * builder.nodes[0].hi).bit_length()
            if how and (len(own) * bits - width) * len(users) * PER_BIT > how.cost:
                node, sign = alone(builder, how, own, None if bits == 1 else 0)
                for row in users:
                    terms[row] += ((node, sign * factors[row]),)
                left[np.ix_(users, group)] = 0
    return [shared + row_terms(rest, split=True) for shared, rest in zip(terms, left, strict=True)]

"""Pareto sets of points with whole-number measures, less being better in each."""

from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray


def pareto(points: NDArray[np.int64], limits: NDArray[np.int64]) -> NDArray[np.intp]:
    """Indices of the points (n, 1..3) within the limits that no other is nowhere worse than, in order of the measures.

    Of equal points the first is kept.
    """
    inside = np.flatnonzero((points <= limits).all(axis=1))
    order = inside[np.lexsort(points[inside].T[::-1])]  # by the first measure, ties by the next; stable
    if not len(order):
        return order
    if points.shape[1] == 1:
        return order[:1]
    second = points[order, 1]
    if points.shape[1] == 2:
        least_before = np.minimum.accumulate(np.concatenate([[np.iinfo(np.int64).max], second[:-1]]))
        kept: NDArray[np.intp] = order[second < least_before]
        return kept
    return order[_undominated(second.tolist(), points[order, 2].tolist())]


def _undominated(second: list[int], third: list[int]) -> list[int]:
    """Of points in order of the first measure, those that no earlier one is nowhere worse than in the other two.

    The stairs are the Pareto set so far in the last two measures: `xs` rises, `ys` falls.
    """
    xs: list[int] = []
    ys: list[int] = []
    kept = []
    for place, (x, y) in enumerate(zip(second, third, strict=True)):
        left = bisect_right(xs, x)
        if left and ys[left - 1] <= y:
            continue
        kept.append(place)
        first = bisect_left(xs, x)
        end = first
        while end < len(ys) and ys[end] >= y:
            end += 1
        xs[first:end], ys[first:end] = [x], [y]
    return kept

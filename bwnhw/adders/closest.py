"""Rows of wide inputs: a tree of close rows first, then all their differences summed with their common parts shared."""

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.builder import Builder
from bwnhw.adders.pairs import share
from bwnhw.adders.spanning import TRIES, Pairs, row_terms


def grow_shared(builder: Builder, rows: NDArray[np.int64], levels: int, height: int, *, exact: bool, seed: int | None = None
                ) -> list[tuple[int, int]]:
    """(node, factor ±1) of every row of `rows` (rows, inputs), none of them zero, by a tree of at most `height` steps.

    Without `exact` a row may come out negated. Height 0 sums every row by itself, with a `seed` as `share` does. Raises Unreachable where
    the levels don't suffice.
    """
    pairs = Pairs(builder, rows, split=True)
    if height == 0:
        return share(builder, [row_terms(row, split=True) for row in rows], [levels] * len(rows), seed)
    parents, heights, signs = tree(pairs.terms, pairs.led, height, exact=False)
    relative = signs * signs[parents]  # +1: a row is its parent plus something, -1: something less its parent
    relative[(parents < 0) | ~(rows + rows[parents]).any(axis=1)] = 1
    if not exact:
        return _stepped(builder, signs[:, None] * rows, (parents, heights, np.ones_like(signs)), levels, height, signs)
    for _ in rows:
        made = _stepped(builder, rows, (parents, heights, relative), levels, height, np.ones_like(signs))
        negated = [row for row, (_, factor) in enumerate(made) if factor < 0 and relative[row] < 0]
        if not negated:
            break
        relative[negated] = 1  # by which they come out as they are
    return made


def _stepped(builder: Builder, rows: NDArray[np.int64], tree: tuple[NDArray[np.int64], ...], levels: int, height: int,
             signs: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(node, factor ±1) of every row times its sign, by a tree (parents, steps from the first row, +1 or -1 times the parent)."""
    parents, heights, relative = tree
    differences = np.where(parents[:, None] < 0, rows, rows - relative[:, None] * rows[parents])
    merged = np.maximum(1, np.bitwise_or.reduce(np.abs(differences), axis=1))
    scales = np.where(parents < 0, 1, merged & -merged)
    limits = [levels - height + max(0, steps - 1) for steps in heights.tolist()]
    sums = share(builder, [row_terms(row, split=True) for row in differences // scales[:, None]], limits)
    made: dict[int, tuple[int, int]] = {}
    for row in np.argsort(heights, kind="stable").tolist():
        node, factor = sums[row]
        if parents[row] >= 0:
            parent, turned = made[int(parents[row])]
            turned, factor = turned * int(relative[row]), factor * int(scales[row])
            if turned > 0 or factor < 0:  # the parent's lowest bits stay as they are
                node, factor = builder.node(((parent, 1), (node, turned * factor))), turned
            else:
                node, factor = builder.node(((node, factor), (parent, -1))), 1
        made[row] = node, factor
    return [(made[row][0], made[row][1] * int(signs[row])) for row in range(len(rows))]


def tree(terms: NDArray[np.int64], led: list[int], height: int, exact: bool
         ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(parents, steps from the first row, signs) of the tree of at most `height` steps with the least terms in all differences.

    `terms` (2, rows, rows): of the difference and of the sum of two rows; `led`: the sign of a row that comes first.
    """
    firsts = range(min(len(led), max(1, TRIES // len(led))))
    _, parents, heights, signs = min((_tree(terms, led, first, height, exact) for first in firsts), key=lambda found: found[0])
    return parents, heights, signs


def _tree(terms: NDArray[np.int64], led: list[int], first: int, height: int, exact: bool
          ) -> tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(terms of all differences, parents, steps from the first row, signs) of Prim's tree from a first row."""
    count = len(led)
    parents, heights, signs = np.full(count, -1), np.zeros(count, np.int64), np.ones(count, np.int64)
    signs[first] = led[first]
    distance = np.full(count, np.iinfo(np.int64).max // 2)
    relative = np.zeros(count, np.int64)
    open_rows = np.ones(count, bool)
    total, latest = 0, first
    for _ in range(count - 1):
        open_rows[latest] = False
        if heights[latest] < height:
            both = terms[:, latest]
            nearest = np.zeros(count, np.int64) if exact else both.argmin(axis=0)
            reach = np.take_along_axis(both, nearest[None], axis=0)[0]
            closer = open_rows & (reach < distance)
            distance[closer], parents[closer], relative[closer] = reach[closer], latest, nearest[closer]
        row = int(np.where(open_rows, distance, np.iinfo(np.int64).max).argmin())
        total += int(distance[row])
        heights[row] = heights[parents[row]] + 1
        signs[row] = signs[parents[row]] * (-1 if relative[row] else 1)
        latest = row
    return total, parents, heights, signs

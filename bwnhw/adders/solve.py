"""From a constant matrix to the cheapest adder graph that our ways of building one find."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.builder import Builder
from bwnhw.adders.closest import grow_shared
from bwnhw.adders.graph import FOLDED_NETS, Graph, cost, kernel
from bwnhw.adders.spanning import digits, grow
from bwnhw.errors import PlanError

Way = Callable[..., list[tuple[int, int]]]  # (builder, rows, levels, exact=...) to (node, factor) of every row
HEIGHTS = (0, 1, 2, 3)  # of the trees of close rows
EXTRA_LEVELS = 2  # above the least: what a layer's adders may take


def least_levels(matrix: NDArray[np.int64]) -> int:
    """Levels of two-operand adders without which the widest row can't be summed."""
    return int(max(1, *np.count_nonzero(matrix, axis=1)) - 1).bit_length()


def solve(matrix: NDArray[np.int64], hi: int, levels: int | None = None, *, exact: bool = True) -> Graph:
    """An adder graph for matrix (rows, inputs) times inputs in 0..hi, at most `levels` adders deep (None: the least plus `EXTRA_LEVELS`).

    Without `exact` a row may come out negated, as its output's factor says. Deterministic. Raises PlanError where the levels don't suffice.
    """
    matrix = np.asarray(matrix, np.int64)
    levels = least_levels(matrix) + EXTRA_LEVELS if levels is None else levels
    rows, index, factors = _distinct(matrix)
    used = np.atleast_1d(rows.any(axis=1))
    graphs = []
    for grow_rows in _ways(hi) if used.any() else [_nothing]:
        builder = Builder(matrix.shape[1], hi)
        try:
            found = iter(grow_rows(builder, rows[used], levels, exact=exact))
        except ValueError:  # too few levels for this way
            continue
        terms = [next(found) if present else (0, 0) for present in used]
        outputs = [(terms[at][0], terms[at][1] * factor) for at, factor in zip(index, factors, strict=True)]
        if exact:
            outputs = [(builder.node(((node, -1),)), -factor) if factor < 0 else (node, factor) for node, factor in outputs]
        graphs.append(builder.graph(outputs))
    if not graphs:
        raise PlanError(f"adder graph: {levels} levels must be enough for {matrix.shape[1]} inputs, but they aren't")
    best = min(graphs, key=cost)
    if not np.array_equal(kernel(best), matrix):
        raise ValueError("adder graph: computes another matrix than the one it was made for")
    return best


def _ways(hi: int) -> list[Way]:
    """The ways to try: chains that take in several inputs at once where those have few bits, shared sums where they have more."""
    few = [grow] if hi < 1 << FOLDED_NETS else []
    return few + [partial(grow_shared, height=height) for height in HEIGHTS if hi > 3]


def _nothing(builder: Builder, rows: NDArray[np.int64], levels: int, *, exact: bool) -> list[tuple[int, int]]:
    return []


def _distinct(matrix: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int], list[int]]:
    """The different rows up to sign and power of two, as they first occur; which one every row is, and times what."""
    scales = np.maximum(1, np.bitwise_or.reduce(np.abs(matrix), axis=1))
    scales &= -scales
    lead = np.take_along_axis(matrix, (matrix != 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    signs = np.where(lead < 0, -1, 1)
    rows, first, index = np.unique(matrix * signs[:, None] // scales[:, None], axis=0, return_index=True, return_inverse=True)
    index = index.ravel()
    return rows * signs[first, None], index.tolist(), (signs * signs[first][index] * scales).tolist()


def enough_levels(inputs: int, lo: int, hi: int) -> int:
    """Levels for any row of `inputs` weights in lo..hi: the least for the weights with most digits, plus `EXTRA_LEVELS`."""
    most = max(len(digits(weight)) for weight in range(lo, hi + 1))
    return (inputs * most - 1).bit_length() + EXTRA_LEVELS

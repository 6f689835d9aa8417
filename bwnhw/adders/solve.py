"""From a constant matrix to the cheapest adder graph that our ways of building one find."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.builder import Builder
from bwnhw.adders.closest import grow_shared
from bwnhw.adders.codewords import Groups, grow_centred, grow_codewords
from bwnhw.adders.graph import FOLDED_NETS, Graph, Unreachable, cost, kernel
from bwnhw.adders.spanning import digits, distinct, grow
from bwnhw.errors import PlanError

Way = Callable[..., list[tuple[int, int]]]  # (builder, rows, levels, exact=...) to (node, factor) of every row
HEIGHTS = (1, 2, 3)  # of the trees of close rows
EXTRA_LEVELS = 2  # above the least: what a layer's adders may take


def least_levels(matrix: NDArray[np.int64]) -> int:
    """Levels of two-operand adders without which the widest row can't be summed."""
    return int(max(1, *np.count_nonzero(matrix, axis=1)) - 1).bit_length()


def solve(matrix: NDArray[np.int64], hi: int, levels: int | None = None, *, exact: bool = True,
          groups: Groups = ()) -> Graph:
    """An adder graph for matrix (rows, inputs) times inputs in 0..hi, at most `levels` adders deep (None: the least plus `EXTRA_LEVELS`).

    `groups` of inputs in which rows may repeat few codewords, such as the taps of every channel, are tried as such. Without `exact` a row
    may come out negated, as its output's factor says. Deterministic. Raises PlanError where the levels don't suffice.
    """
    matrix = np.asarray(matrix, np.int64)
    levels = least_levels(matrix) + EXTRA_LEVELS if levels is None else levels
    graphs = [graph for way in _ways(hi, groups) if (graph := _grown(matrix, hi, levels, way, exact))]
    best = min(graphs, key=cost) if graphs else _grown(matrix, hi, levels, partial(grow_shared, height=0), exact)
    if best is None:
        raise PlanError(f"adder graph: {levels} levels must be enough for {matrix.shape[1]} inputs, but they aren't")
    if not np.array_equal(kernel(best), matrix):
        raise ValueError("adder graph: computes another matrix than the one it was made for")
    return best


def _ways(hi: int, groups: Groups) -> list[Way]:
    """The ways to try: chains that take in several inputs at once where those have few bits, shared sums where they have more."""
    few = [grow] if hi < 1 << FOLDED_NETS else []
    shared = [partial(grow_shared, height=height) for height in HEIGHTS if hi > 1]
    words = [*(partial(grow_codewords, groups=groups, halves=halves) for halves in (False, True)), partial(grow_centred, groups=groups)]
    return [*few, *shared, *(words if groups else [])]


def _grown(matrix: NDArray[np.int64], hi: int, levels: int, way: Way, exact: bool) -> Graph | None:
    """The graph that one way gives; None where it needs more levels or other weights."""
    rows, index, factors = distinct(matrix)
    used = np.atleast_1d(rows.any(axis=1))
    builder = Builder(matrix.shape[1], hi)
    room = levels - (exact and min(factors) < 0)  # a row that is wanted with either sign is negated once
    try:
        found = iter(way(builder, rows[used], room, exact=exact) if used.any() else [])
    except Unreachable:
        return None
    terms = [next(found) if present else (0, 0) for present in used]
    outputs = [(terms[at][0], terms[at][1] * factor) for at, factor in zip(index, factors, strict=True)]
    if exact:
        outputs = [(builder.node(((node, -1),)), -factor) if factor < 0 else (node, factor) for node, factor in outputs]
    return builder.graph(outputs)


def enough_levels(inputs: int, lo: int, hi: int) -> int:
    """Levels for any row of `inputs` weights in lo..hi: the least for the weights with most digits, plus `EXTRA_LEVELS`."""
    most = max(len(digits(weight)) for weight in range(lo, hi + 1))
    return (inputs * most - 1).bit_length() + EXTRA_LEVELS

"""From a constant matrix to the cheapest adder graph that our ways of building one find."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.builder import Builder
from bwnhw.adders.closest import grow_shared
from bwnhw.adders.codewords import Groups, grow_centred, grow_codewords
from bwnhw.adders.columns import grow_columns
from bwnhw.adders.graph import FOLDED_NETS, Graph, Unreachable, kernel
from bwnhw.adders.halves import grow_halves
from bwnhw.adders.price import price
from bwnhw.adders.spanning import digits, distinct, grow
from bwnhw.errors import PlanError

Way = Callable[..., list[tuple[int, int]]]  # (builder, rows, levels, exact=...) to (node, factor) of every row
HEIGHTS = (1, 2, 3)  # of the trees of close rows
COLUMN_HEIGHTS = (3, 5)  # where rows are heaps of bits, which leave more levels
SEEDS = range(12)  # of the ties between common parts, where no level is left for anything else
TIGHT = 1  # levels above the least up to which rows without any tree are worth trying
EXTRA_LEVELS = 2  # above the least: what a layer's adders may take


def least_levels(matrix: NDArray[np.int64]) -> int:
    """Levels of two-operand adders without which the widest row can't be summed."""
    return int(max(1, *np.count_nonzero(matrix, axis=1)) - 1).bit_length()


def solve(matrix: NDArray[np.int64], hi: int, levels: int | None = None, *, family: str, exact: bool = True,
          groups: Groups = ()) -> Graph:
    """An adder graph for matrix (rows, inputs) times inputs in 0..hi, at most `levels` adders deep (None: the least plus `EXTRA_LEVELS`).

    Of those that are found it is the one that takes fewest LUTs on `family`; on another it may be another one.
    `groups` of inputs in which rows may repeat few codewords, such as the taps of every channel, are tried as such. Without `exact` a row
    may come out negated, as its output's factor says. Deterministic. Raises PlanError where the levels don't suffice.
    """
    matrix = np.asarray(matrix, np.int64)
    least = least_levels(matrix)
    levels = least + EXTRA_LEVELS if levels is None else levels
    grown = partial(_grown, matrix, hi, levels, family, exact)
    graphs = [graph for way in _ways(hi, groups, tight=levels <= least + TIGHT) if (graph := grown(way))]
    if not graphs or levels <= least and hi > 1:  # every row by itself: the trees of close rows have too few levels
        alone = (grown(partial(grow_shared, height=0, seed=seed)) for seed in (None, *SEEDS))
        graphs += [graph for graph in alone if graph]
    if not graphs:
        raise PlanError(f"adder graph: {levels} levels must be enough for {matrix.shape[1]} inputs, but they aren't")
    best = min(graphs, key=partial(price, family=family))
    if not np.array_equal(kernel(best), matrix):
        raise ValueError("adder graph: computes another matrix than the one it was made for")
    return best


def _ways(hi: int, groups: Groups, *, tight: bool) -> list[Way]:
    """The ways to try: chains that take in several inputs at once where those have few bits, shared sums where they have more, chains over
    columns of bits, and codewords where there are groups."""
    few = [grow] if hi < 1 << FOLDED_NETS else []
    heights = (0, *HEIGHTS) if tight else HEIGHTS
    shared: list[Way] = [grow_halves, *(partial(grow_shared, height=height) for height in heights)] if hi > 1 or tight else []
    words: list[Way] = [partial(grow_codewords, groups=groups, halves=halves) for halves in (False, True)]
    words.append(partial(grow_centred, groups=groups))
    columns: list[Way] = [partial(grow_columns, height=height) for height in COLUMN_HEIGHTS]
    words += [partial(grow_columns, height=height, groups=groups) for height in (1, *COLUMN_HEIGHTS)]
    return [*few, *shared, *columns, *(words if groups else [])]


def _grown(matrix: NDArray[np.int64], hi: int, levels: int, family: str, exact: bool, way: Way) -> Graph | None:
    """The graph that one way gives; None where it needs more levels or other weights."""
    merged = distinct(matrix)
    tries = [(merged, levels)]
    if exact:  # a row that comes out negated, or is wanted with either sign: negated behind it, or built twice
        tries += [(merged, levels - 1), (_different(matrix), levels)]
    graphs = []
    for found, room in tries:
        builder = Builder(matrix.shape[1], hi)
        try:
            graphs.append(builder.graph(_outputs(builder, found, way, room, levels if exact else None)))
        except Unreachable:
            continue
    kept = [graph for graph in graphs if graph.levels <= levels]  # a wide weight takes one more
    return min(kept, key=partial(price, family=family), default=None)


Distinct = tuple[NDArray[np.int64], list[int], list[int]]  # the rows to build; which one every row of the matrix is, and times what


def _different(matrix: NDArray[np.int64]) -> Distinct:
    """The different rows up to powers of two, those of opposite sign apart."""
    bits = np.bitwise_or.reduce(matrix, axis=1)
    scales = np.maximum(1, bits & -bits)  # the lowest bit that any weight of a row has
    rows, index = np.unique(matrix // scales[:, None], axis=0, return_inverse=True)
    return rows, index.ravel().tolist(), scales.tolist()


def _outputs(builder: Builder, found: Distinct, way: Way, room: int, exact: int | None) -> list[tuple[int, int]]:
    """(node, factor) of all rows, `room` levels deep; no factor negative where the rows are to be `exact` within so many levels."""
    rows, index, factors = found
    used = np.atleast_1d(rows.any(axis=1))
    made = iter(way(builder, rows[used], room, exact=exact is not None) if used.any() else [])
    terms = [next(made) if present else (0, 0) for present in used]
    outputs = [(terms[at][0], terms[at][1] * factor) for at, factor in zip(index, factors, strict=True)]
    if exact is None:
        return outputs
    return [(_negated(builder, node, exact), -factor) if factor < 0 else (node, factor) for node, factor in outputs]


def _negated(builder: Builder, node: int, levels: int) -> int:
    """A node's negative: behind it, or on the last level built like it from negated terms, one of them made anew where both would be
    taken away. Raises Unreachable."""
    if builder.level(node) < levels:
        return builder.node(((node, -1),))
    made = builder.nodes[node]
    with suppress(ValueError):
        return builder.node(tuple((source, -factor) for source, factor in made.terms), -made.constant)
    for (source, factor), (other, taken) in permutations(made.terms, 2) if len(made.terms) == 2 and not made.constant else ():
        with suppress(Unreachable, ValueError):
            return builder.node(((_negated(builder, source, levels - 1), factor), (other, -taken)))
    raise Unreachable("no level is left to negate a row")


def enough_levels(inputs: int, lo: int, hi: int) -> int:
    """Levels for any row of `inputs` weights in lo..hi: the least for the weights with most digits, plus `EXTRA_LEVELS`."""
    most = max(len(digits(weight)) for weight in range(lo, hi + 1))
    return (inputs * most - 1).bit_length() + EXTRA_LEVELS

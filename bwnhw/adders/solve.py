"""From a constant matrix to the cheapest adder graph that our ways of building one find."""

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.builder import Builder
from bwnhw.adders.graph import Graph, kernel
from bwnhw.adders.spanning import digits, grow
from bwnhw.errors import PlanError

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
    scales = np.maximum(1, np.bitwise_or.reduce(np.abs(matrix), axis=1))
    scales &= -scales
    lead = np.take_along_axis(matrix, (matrix != 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    signs = np.where(lead < 0, -1, 1)
    rows, first, index = np.unique(matrix * signs[:, None] // scales[:, None], axis=0, return_index=True, return_inverse=True)
    rows, signs = rows * signs[first, None], signs * signs[first][index.ravel()]  # a row as it first occurs
    used = np.atleast_1d(rows.any(axis=1))
    builder = Builder(matrix.shape[1], hi)
    made = grow(builder, rows[used], levels, exact=exact) if used.any() else []
    if len(made) < used.sum():
        raise PlanError(f"adder graph: {levels} levels must be enough for {matrix.shape[1]} inputs, but they aren't")
    found = iter(made)
    terms = [next(found) if present else (0, 0) for present in used]
    outputs = [(terms[at][0], terms[at][1] * int(sign * scale)) for at, sign, scale in zip(index.ravel(), signs, scales, strict=True)]
    if exact:
        outputs = [(builder.node(((node, -1),)), -factor) if factor < 0 else (node, factor) for node, factor in outputs]
    graph = builder.graph(outputs)
    if not np.array_equal(kernel(graph), matrix):
        raise ValueError("adder graph: computes another matrix than the one it was made for")
    return graph


def enough_levels(inputs: int, lo: int, hi: int) -> int:
    """Levels for any row of `inputs` weights in lo..hi: the least for the weights with most digits, plus `EXTRA_LEVELS`."""
    most = max(len(digits(weight)) for weight in range(lo, hi + 1))
    return (inputs * most - 1).bit_length() + EXTRA_LEVELS

"""Weights ±1 as sums of inputs that all count: W = 2·P − 1 = 1 − 2·N, P and N the places of the positive and the negative weights."""

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.builder import Builder
from bwnhw.adders.graph import Unreachable
from bwnhw.adders.pairs import share
from bwnhw.adders.spanning import row_terms


def grow_halves(builder: Builder, rows: NDArray[np.int64], levels: int, *, exact: bool) -> list[tuple[int, int]]:
    """(node, factor) of every row of `rows` (rows, inputs): the sum of all inputs, once, and twice the sum over P or N, whichever is less
    than half of the inputs, their common parts shared.

    Raises Unreachable where the levels don't suffice or the weights aren't ±1.
    """
    if not (np.abs(rows) == 1).all():
        raise Unreachable("weights must be ±1")
    positive = 2 * (rows > 0).sum(axis=1) <= rows.shape[1]
    words = np.where(positive[:, None], rows > 0, rows < 0).astype(np.int64)
    used = words.sum(axis=1) > 0
    terms = [row_terms(word, split=True) for word in (*words[used], np.ones_like(words[0]))]
    *sums, (whole, _) = share(builder, terms, [levels - 1] * len(terms))
    found = iter(sums)
    return [(_combined(builder, next(found)[0], whole, bool(least)) if some else whole, -1 if least and not some else 1)
            for least, some in zip(positive, used, strict=True)]


def _combined(builder: Builder, half: int, whole: int, positive: bool) -> int:
    """2·half − whole, or whole − 2·half."""
    return builder.node(((half, 2), (whole, -1)) if positive else ((whole, 1), (half, -2)))

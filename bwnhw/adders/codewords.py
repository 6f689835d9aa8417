"""Layers whose rows are made of few codewords: every codeword's sum first, then the sums of the selected ones, with their common parts
shared: filters that agree on two, four, ... channels share the sums of these."""

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.builder import Builder
from bwnhw.adders.closest import grow_shared
from bwnhw.adders.graph import FOLDED_NETS, Terms, Unreachable
from bwnhw.adders.pairs import share
from bwnhw.adders.spanning import distinct, grow

Groups = tuple[tuple[int, ...], ...]  # inputs that one codeword spans, such as the taps of a channel


def grow_codewords(builder: Builder, rows: NDArray[np.int64], levels: int, groups: Groups, halves: bool, *, exact: bool
                   ) -> list[tuple[int, int]]:
    """(node, factor) of every row of `rows` (rows, inputs), by way of the codewords in `groups`.

    `halves`: W = 2·W01 − 1, sums of the positive weights only, of which every row takes twice less the sum of all; only for weights ±1.
    Raises Unreachable where the levels don't suffice or the weights aren't ±1.
    """
    if halves and not (np.abs(rows) == 1).all():
        raise Unreachable("weights must be ±1")
    words = np.concatenate([rows > 0, np.ones((1, rows.shape[1]), bool)]).astype(np.int64) if halves else rows
    terms: list[Terms] = [()] * len(words)
    room = levels - halves - (len(groups) - 1).bit_length()
    for group in groups:
        for row, term in enumerate(_codewords(builder, words, list(group), room)):
            terms[row] += (term,) if term[1] else ()
    empty = [row for row, found in enumerate(terms) if not found]
    if empty:
        raise Unreachable("a row must have weights in some group")
    sums = share(builder, terms, [levels - halves] * len(words))
    if not halves:
        return sums
    whole = sums[-1]
    return [(builder.node(((node, 2 * factor), (whole[0], -whole[1]))), 1) for node, factor in sums[:-1]]


def grow_centred(builder: Builder, rows: NDArray[np.int64], levels: int, groups: Groups, *, exact: bool) -> list[tuple[int, int]]:
    """(node, factor) of every row of `rows` (rows, inputs): the sum of every group's most frequent codeword, once for all rows, and what a
    row differs by from it, by way of codewords; a row that has that codeword in a group adds nothing there.

    Raises Unreachable where the levels don't suffice or a row has no difference.
    """
    centre = np.zeros(rows.shape[1], np.int64)
    for group in map(list, groups):
        words, counts = np.unique(rows[:, group], axis=0, return_counts=True)
        centre[group] = words[counts.argmax()]
    both = np.concatenate([rows - centre, centre[None]])
    *differences, (base, sign) = grow_codewords(builder, both, levels - 1, groups, False, exact=exact)
    if sign != 1:
        raise Unreachable("the centre must come out as it is")
    return [(builder.node(((base, 1), difference)), 1) for difference in differences]


def _codewords(builder: Builder, words: NDArray[np.int64], group: list[int], levels: int) -> list[tuple[int, int]]:
    """(node, factor) of every row within a group of inputs; factor 0 where it has no weight there."""
    inside = np.zeros_like(words)
    inside[:, group] = words[:, group]
    rows, index, factors = distinct(inside)
    used = rows.any(axis=1)
    narrow = builder.nodes[0].bits < FOLDED_NETS - 1
    kept = rows[used]
    found = iter((grow(builder, kept, levels, exact=True) if narrow else grow_shared(builder, kept, levels, 1, exact=True))
                 if len(kept) else [])
    made = [next(found) if present else (0, 0) for present in np.atleast_1d(used)]
    return [(made[at][0], made[at][1] * factor) for at, factor in zip(index, factors, strict=True)]

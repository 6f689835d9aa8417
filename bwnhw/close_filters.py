"""Kernels mapped to codewords so that filters stay close to one another, which is what an unrolled layer pays for: it makes a filter
from another one and what they differ by (`bwnhw.adders`). This project's own, not in the QBN paper.

A tree joins every filter to one that it is close to, or to its negative, directly or by way of others. Every kernel is then moved towards
the codeword p that the filter before it in the tree has there (or its negative), and mapped: to the codeword c of greatest
⟨c, w + pull·m·p⟩, where m is the mean |w| of the layer. So it is another codeword than p where its weights ask for it strongly enough.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.closest import tree
from bwnhw.codebooks import Selection, Words, mapped
from bwnhw.network import Codebook

HEIGHT = 5  # steps from the first filter at most: every one is an adder level


@dataclass(frozen=True, eq=False)
class Closeness:
    """For every filter (out,): the one that it is made from (the first: −1), whether that or its negative (1, −1), its steps from the
    first."""

    parents: NDArray[np.int64]
    signs: NDArray[np.int64]
    heights: NDArray[np.int64]


def closeness(weights: NDArray[np.int8], taps: int) -> Closeness:
    """The tree of the filters of ±1 weights (out, in, kh, kw) with least distance in all steps, found Prim's way.

    The distance of two filters is the sum over their kernels, or rows, of so many `taps`: the bits of the number of taps that differ,
    since a difference that several filters have is made once and then costs as many bits as it is wide.
    """
    units = weights.reshape(len(weights), -1, taps).astype(np.int64)
    bits = np.array([count.bit_length() for count in range(taps + 1)])
    distances = np.empty((2, len(units), len(units)), np.int64)
    for row, filter_ in enumerate(units):
        differing = (taps - (units * filter_).sum(axis=2)) // 2
        distances[:, row] = bits[differing].sum(axis=1), bits[taps - differing].sum(axis=1)
    parents, heights, signs = tree(distances, [1] * len(units), HEIGHT, exact=False)
    return Closeness(parents, signs * signs[parents], heights)


def drawn(latent: NDArray[Any], words: Words, selection: Selection, close: Closeness | None = None) -> Codebook:
    """The codebook of a layer, as `codebooks.mapped`, with every filter of `latent` (out, in, kh, kw) drawn to the one before it in a tree
    (None: that of the filters as they are mapped without a pull). Without a pull it is that of `mapped`."""
    plain = mapped(latent, words, selection)
    if not selection.pull:
        return plain
    close = close or closeness(plain.weights, prod(plain.shape.taps))
    index, weights = plain.index.copy(), plain.weights.copy()
    strength = selection.pull * float(np.abs(latent).mean(dtype=np.float64))
    for height in range(1, int(close.heights.max()) + 1):
        filters = np.flatnonzero(close.heights == height)
        towards = close.signs[filters, None, None, None] * weights[close.parents[filters]]
        book = mapped(latent[filters] + strength * towards, words, selection)
        index[filters], weights[filters] = book.index, book.weights
    return Codebook(plain.codewords, index)

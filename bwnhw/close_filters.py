"""Kernels mapped to codewords so that filters stay close to one another, which is what an unrolled layer pays for: it makes a filter
from another one and what they differ by (`bwnhw.adders`). This project's own, not in the QBN paper.

A tree joins every filter to the one that it differs from in fewest weights, directly or by way of others. Every kernel is then moved
towards the codeword that the filter before it in the tree has there, and mapped: to the codeword c of greatest ⟨c, w + pull·m·p⟩, where p
is that codeword and m the mean |w| of the layer. So it takes another codeword than p where its weights ask for it strongly enough.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.closest import tree
from bwnhw.codebooks import Selection, Words, mapped
from bwnhw.network import Codebook

HEIGHT = 5  # steps from the first filter at most: every one is an adder level


@dataclass(frozen=True, eq=False)
class Closeness:
    """For every filter the one that it is made from (the first: −1), and its steps from the first."""

    parents: NDArray[np.int64]
    heights: NDArray[np.int64]


def closeness(weights: NDArray[np.int8]) -> Closeness:
    """The tree of the filters of ±1 weights (out, in, kh, kw) with fewest differing weights in all steps, found Prim's way."""
    rows = weights.reshape(len(weights), -1).astype(np.float32)
    differing = np.rint((rows.shape[1] - rows @ rows.T) / 2).astype(np.int64)
    parents, heights, _ = tree(np.stack([differing, differing]), [1] * len(rows), HEIGHT, exact=True)
    return Closeness(parents, heights)


def drawn(latent: NDArray[Any], words: Words, selection: Selection, close: Closeness | None = None) -> Codebook:
    """The codebook of a layer, as `codebooks.mapped`, with every filter of `latent` (out, in, kh, kw) drawn to the one before it in a tree
    (None: that of the filters as they are mapped without a pull). Without a pull it is that of `mapped`."""
    plain = mapped(latent, words, selection)
    if not selection.pull:
        return plain
    close = close or closeness(plain.weights)
    index, weights = plain.index.copy(), plain.weights.copy()
    strength = selection.pull * float(np.abs(latent).mean(dtype=np.float64))
    for height in range(1, int(close.heights.max()) + 1):
        filters = np.flatnonzero(close.heights == height)
        moved = latent[filters] + strength * weights[close.parents[filters]]
        book = mapped(moved, words, selection)
        index[filters], weights[filters] = book.index, book.weights
    return Codebook(plain.codewords, index)

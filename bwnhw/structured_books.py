"""Codebooks whose codewords have something in common that folded arrays save LUTs by: taps that are index bits, one parity for all.

A codeword's encoded taps (`compressor.prefix_parity`: tap 2k as the parity of taps 0..2k) are what a PE compares with activations.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bwnhw.compressor import prefix_parity
from bwnhw.errors import InputError

MOST_TAPS = 9  # all codes are looked at, and all choices of taps


def structured(numbers: NDArray[np.int64], taps: int, bits: int, *, systematic: bool, even: bool) -> NDArray[np.int64]:
    """Codes (books, 2**bits) from those of the kernels (books, N) that each book is for; the larger code first of equally frequent ones.

    `systematic`: index bit i of every codeword is one encoded tap t_i of it, the same one in the whole book. `even`: codewords of one
    parity, the same in all books. Raises InputError where kernels have more than 9 taps, or too few for so many codewords.
    """
    free = taps - even
    if taps > MOST_TAPS or bits > free:
        raise InputError(f"codebook: expected kernels of {bits + even} to {MOST_TAPS} taps for structured codewords of {bits} bits, "
                         f"found {taps}")
    counts = np.stack([np.bincount(book, minlength=1 << taps) for book in numbers])
    encoded = prefix_parity((np.arange(1 << taps)[:, None] >> np.arange(taps) & 1).astype(bool))
    last = encoded[:, -1] if taps % 2 else np.logical_xor.reduce(encoded[:, -2:], axis=1)  # the parity of all taps
    halves = [np.flatnonzero(last == odd) for odd in (True, False)] if even else [np.arange(1 << taps)]
    found = [np.stack([_systematic(book, half, encoded[half, :free], bits) if systematic else _frequent(book, half, bits)
                       for book in counts]) for half in halves]
    return max(found, key=lambda words: int(np.take_along_axis(counts, words, axis=1).sum()))  # the first of equals


def _frequent(counts: NDArray[np.int64], codes: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The most frequent of the `codes`."""
    return codes[np.lexsort((-codes, -counts[codes]))[:1 << bits]]


def _systematic(counts: NDArray[np.int64], codes: NDArray[np.int64], taps: NDArray[np.bool_], bits: int) -> NDArray[np.int64]:
    """For every value of some of the `taps` (codes, free) the most frequent of the `codes`, by the taps that keep most."""
    order = np.lexsort((-codes, -counts[codes]))
    best, most = codes, -1
    for places in combinations(range(taps.shape[1]), bits):
        index = taps[:, places] @ (1 << np.arange(bits))
        words = codes[order[np.unique(index[order], return_index=True)[1]]]
        if (mass := int(counts[words].sum())) > most:
            best, most = words, mass
    return best

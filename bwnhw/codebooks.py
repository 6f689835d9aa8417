"""Choosing a codebook of binary kernels by frequency, and mapping kernels to it: the core of QBN, without torch.

Selection keeps the 2**bits most frequent sign kernels, the larger code first of equals: what the abstract of the QBN paper (Sun, Yao)
says, whose exact algorithm isn't public. Mapping takes the codeword k nearest to a latent kernel w in L2, which is the one of greatest
⟨k, w⟩ whatever the scale; of equals the one nearest to sign(w), then the one chosen first. Six options are this project's own:

* scope: one codebook for the whole network, for each layer, or for each input channel of a layer;
* complement_closed: the 256 pairs of a kernel and its negative are ranked, and pairs are kept. Codeword K/2 + j is the negative of
  codeword j, whose last tap is −1, so that the index's top bit is a sign;
* hw_lambda: every codeword after the first maximises frequency − hw_lambda · Hamming distance to the nearest one already chosen
  (of pairs: to it or its negative), since codewords that differ in one tap share all but one addition;
* systematic: `bits` taps of a codeword, encoded as arrays store them (`compressor.prefix_parity`), are its index, so that they need no
  decoding. For every index the most frequent such kernel is taken, and those taps by which that keeps most kernels as they are;
* even: every codeword has an odd number of taps +1, or every one an even number, whichever keeps more kernels, so that the parity of a
  kernel's matches depends on its activations alone (`CodebookShape.even`);
* pull: kernels aren't mapped one by one, but so that filters stay close to one another (`bwnhw.close_filters`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import InputError
from bwnhw.kernels import MOST_TAPS, codes, signs
from bwnhw.network import Codebook, CodebookShape
from bwnhw.structured_books import structured

_DENSE_TAPS = 16  # up to here every code is a candidate, beyond only those that occur and as many as are lacking
_ROWS = 1 << 14  # kernels mapped at once, which bounds the memory

Words = NDArray[np.int64]
"""Codes of codewords (books, K), in the order in which an index means them."""


class Scope(StrEnum):
    """What one codebook serves."""

    GLOBAL = "global"
    LAYER = "layer"
    INPUT_CHANNEL = "input-channel"


class Unit(StrEnum):
    """What a codeword is: a whole kernel, or one of its rows (for kernels larger than 3×3)."""

    KERNEL = "kernel"
    ROW = "row"


@dataclass(frozen=True)
class Selection:
    """How codebooks are chosen: 2**bits codewords each; the options are explained above. InputError for values without a meaning, and for
    options that can't be together."""

    bits: int
    scope: Scope = Scope.LAYER
    complement_closed: bool = False
    hw_lambda: float = 0.0
    unit: Unit = Unit.KERNEL
    systematic: bool = False
    even: bool = False
    pull: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 9:
            raise InputError(f"codebook: expected 1 to 9 bits, found {self.bits}")
        for name in ("hw_lambda", "pull"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"codebook: expected {name} of at least 0, found {getattr(self, name)}")
        if self.complement_closed and (self.systematic or self.even):
            raise InputError("codebook: expected complement_closed without systematic and even, which pairs can't be")
        if self.hw_lambda and (self.systematic or self.even):
            raise InputError("codebook: expected hw_lambda without systematic and even, which choose by frequency alone")

    @property
    def words(self) -> int:
        """Codewords of a book."""
        return 1 << self.bits

    def shape(self, weights: tuple[int, ...]) -> CodebookShape:
        """The codebook of a layer of weights (out, in, kh, kw). InputError where a codeword has fewer taps than bits."""
        taps = weights[2:] if self.unit is Unit.KERNEL else weights[3:]
        if prod(taps) < self.bits:
            raise InputError(f"codebook: expected at most {prod(taps)} bits for codewords of {prod(taps)} taps, found {self.bits}")
        books = weights[1] if self.scope is Scope.INPUT_CHANNEL else 1
        return CodebookShape(self.words, books, taps, self.complement_closed, self.even)

    def pays(self, weights: tuple[int, ...]) -> bool:
        """Whether a layer's indices and codebook take fewer bits than its weights (out, in, kh, kw); a global codebook is free."""
        taps = prod(weights[2:] if self.unit is Unit.KERNEL else weights[3:])
        if not self.bits < taps <= MOST_TAPS:
            return False
        units = prod(weights) // taps
        book = 0 if self.scope is Scope.GLOBAL else self.shape(weights).codebook_bits
        return units * self.bits + book < prod(weights)


def units(weights: NDArray[Any], selection: Selection) -> NDArray[Any]:
    """Weights (out, in, kh, kw) as (books, N, taps): what one codeword replaces, by the codebook that serves it."""
    taps = prod(weights.shape[2:] if selection.unit is Unit.KERNEL else weights.shape[3:])
    if selection.scope is Scope.INPUT_CHANNEL:
        return weights.swapaxes(0, 1).reshape(weights.shape[1], -1, taps)
    return weights.reshape(1, -1, taps)


def select(layers: Sequence[NDArray[Any]], selection: Selection) -> Words:
    """Codewords (books, K) from the signs of the weights (out, in, kh, kw) of the layers that they are to serve.

    InputError where codewords of the layers would have different numbers of taps, or more taps than can be structured.
    """
    parts = [units(weights, selection) for weights in layers]
    taps = parts[0].shape[2]
    if any(part.shape[2] != taps for part in parts):
        found = sorted({part.shape[2] for part in parts})
        raise InputError(f"codebook: expected layers of one kernel size to share it, found {found} taps")
    numbers = np.concatenate([codes(part) for part in parts], axis=1)
    if selection.complement_closed:
        half = 1 << taps - 1
        folded = np.where(numbers >= half, 2 * half - 1 - numbers, numbers)
        kept = np.stack([_ranked(book, taps - 1, selection.words // 2, selection, taps) for book in folded])
        return np.concatenate([kept, 2 * half - 1 - kept], axis=1)
    if selection.even or selection.systematic:
        return structured(numbers, taps, selection.bits, systematic=selection.systematic, even=selection.even)
    return np.stack([_ranked(book, taps, selection.words, selection, taps) for book in numbers])


def _ranked(numbers: NDArray[np.int64], width: int, size: int, selection: Selection, taps: int) -> NDArray[np.int64]:
    """The first `size` of the codes below 2**width by their counts in `numbers`, or greedily by count and distance."""
    candidates, counts = np.unique(numbers, return_counts=True)
    lacking = np.arange(max(0, (1 << width) - size - len(candidates)) if width > _DENSE_TAPS else 0, 1 << width)
    absent = np.setdiff1d(lacking, candidates)
    candidates, counts = np.concatenate([candidates, absent]), np.concatenate([counts, np.zeros_like(absent)])
    order = np.lexsort((-candidates, -counts))
    candidates, counts = candidates[order], counts[order]
    if not selection.hw_lambda:
        return candidates[:size]
    share, nearest = counts / len(numbers), np.full(len(candidates), taps)
    chosen = [0]
    while len(chosen) < size:
        distance = np.bitwise_count(candidates ^ candidates[chosen[-1]]).astype(np.int64)
        nearest = np.minimum(nearest, np.minimum(distance, taps - distance) if selection.complement_closed else distance)
        gain = share - selection.hw_lambda * nearest
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))  # the first of equals: the order above decides
    return candidates[chosen]


def nearest(latent: NDArray[Any], words: Words, closed: bool) -> NDArray[np.int64]:
    """Index (books, N) of the codeword nearest to each latent kernel (books, N, taps); `closed` where the words are complement pairs."""
    books, count, taps = latent.shape
    half = words[:, :words.shape[1] // 2] if closed else words
    index = np.empty((books, count), np.int64)
    for book in range(books):
        vectors = signs(half[book], taps).astype(np.float64).T
        for start in range(0, count, _ROWS):
            index[book, start:start + _ROWS] = _nearest(latent[book, start:start + _ROWS].astype(np.float64), vectors, closed)
    return index


def _nearest(latent: NDArray[np.float64], vectors: NDArray[np.float64], closed: bool) -> NDArray[np.int64]:
    """Index (N,) into the codewords (taps, K), or into them and their negatives. float64 holds sums of float32 taps exactly."""
    inner = latent @ vectors
    score = np.abs(inner) if closed else inner
    index: NDArray[np.int64] = score.argmax(axis=1)
    tied = np.flatnonzero((score == score.max(axis=1, keepdims=True)).sum(axis=1) > 1)
    closeness = np.where(latent[tied] >= 0, 1.0, -1.0) @ vectors
    closeness = np.abs(closeness) if closed else closeness
    index[tied] = np.where(score[tied] == score[tied].max(axis=1, keepdims=True), closeness, -1.0 - len(vectors)).argmax(axis=1)
    if not closed:
        return index
    side = inner[np.arange(len(index)), index]
    none = np.flatnonzero(side == 0)
    side[none] = (np.where(latent[none] >= 0, 1.0, -1.0) * vectors.T[index[none]]).sum(axis=1)
    return np.where(side < 0, index + vectors.shape[1], index)


def mapped(latent: NDArray[Any], words: Words, selection: Selection) -> Codebook:
    """The codebook of a layer: `words` and the nearest of them for every latent kernel of (out, in, kh, kw)."""
    taps = latent.shape[2:] if selection.unit is Unit.KERNEL else latent.shape[3:]
    index = nearest(units(latent, selection), words, selection.complement_closed)
    outer = latent.shape[:2] if selection.unit is Unit.KERNEL else latent.shape[:3]
    if selection.scope is Scope.INPUT_CHANNEL:
        index = index.reshape(outer[1], outer[0], *outer[2:]).swapaxes(0, 1)
    return Codebook(signs(words, prod(taps)).reshape(*words.shape, *taps), index.reshape(outer))


def adders(words: Words, taps: int, closed: bool) -> int:
    """Two-input additions that compute every codeword's sum, each from the nearest one before it: one per tap that differs."""
    total = 0
    for book in words[:, :words.shape[1] // 2] if closed else words:
        distance = np.bitwise_count(book[:, None] ^ book[None]).astype(np.int64)
        distance = np.minimum(distance, taps - distance) if closed else distance
        total += taps - 1 + sum(int(distance[at, :at].min()) for at in range(1, len(book)))
    return total

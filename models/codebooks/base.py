"""What a codebook around a binarizer is: the same latent weights, seen as codewords of a small codebook in the forward pass."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bwnhw.codebooks import Selection, Words, mapped, select
from bwnhw.models.binarize import with_slope
from bwnhw.models.binarizers.base import Binarizer
from bwnhw.network import Codebook

Latent = NDArray[np.float32]
"""Weights (out, in, kh, kw) before they are quantised."""


class Shared:
    """What the codebooks of one network have in common: the binarizers that they are around, for a scope of more than one layer."""

    def __init__(self, inners: Sequence[Binarizer]) -> None:
        self.inners = tuple(inners)
        self._last: tuple[tuple[Selection, int], Words] | None = None

    def words(self, selection: Selection, stage: int) -> Words:
        """The codewords that all layers share in a stage of the training, chosen by whoever asks first."""
        if self._last is None or self._last[0] != (selection, stage):
            self._last = (selection, stage), select([values(inner) for inner in self.inners], selection)
        return self._last[1]


class CodebookBinarizer(Binarizer):
    """A binarizer around another one: q(carrier), the nearest codeword in L2, stands where sign(carrier) would.

    `size` codewords of `words` (books, 2**most) int64 are in use; 0 means that there is no codebook yet and the inner binarizer alone
    decides. Both are buffers, so that checkpoints keep them.
    """

    words: Tensor
    size: Tensor

    def __init__(self, inner: Binarizer, selection: Selection, most: int) -> None:
        nn.Module.__init__(self)  # the inner binarizer has the parameters
        self.inner = inner
        self.mode = inner.mode
        self.selection = selection
        books = selection.shape(tuple(inner.latent.shape)).books
        self.register_buffer("words", torch.zeros(books, 1 << most, dtype=torch.int64))
        self.register_buffer("size", torch.zeros((), dtype=torch.int64))

    @property
    def latent(self) -> nn.Parameter:  # type: ignore[override]  # the inner binarizer's own
        """The inner binarizer's."""
        return self.inner.latent

    def carrier(self) -> Tensor:
        """The inner binarizer's, which is mapped."""
        return self.inner.carrier()

    def scale(self) -> Tensor:
        """The inner binarizer's."""
        return self.inner.scale()

    def adopt(self, words: Words) -> None:
        """Use these codewords (books, K) from now on."""
        self.words[:, :words.shape[1]] = torch.from_numpy(words)
        self.size.fill_(words.shape[1])

    def codebook(self) -> Codebook | None:
        """The codebook with the index of every kernel, as it is exported; None while there is none."""
        size = int(self.size)
        if not size:
            return None
        return self.mapped(values(self), self.words[:, :size].cpu().numpy())

    def mapped(self, latent: Latent, words: Words) -> Codebook:
        """The codebook with the index of every kernel of `latent`: the nearest codeword's."""
        return mapped(latent, words, self.selection)

    def bits(self) -> Tensor:
        """±1: codewords."""
        book = self.codebook()
        return self.inner.bits() if book is None else torch.from_numpy(book.weights).to(self.latent)

    def trained(self) -> Tensor:
        """scale · q(carrier) with the gradient of the inner binarizer's own weights; a learned scale gets that of scale · q."""
        seen = self.inner.trained()
        if not int(self.size):
            return seen
        bits = self.bits()
        result = with_slope(seen, self.scaled(bits), torch.ones_like(seen))
        if self.inner.learned_scale is None:
            return result
        scale = self.scale()
        return result + (scale - scale.detach()) * (bits - self.inner.bits())  # a zero

    def advance(self, progress: float) -> None:
        """The inner binarizer's schedule."""
        self.inner.advance(progress)

    def before_step(self) -> None:
        """The inner binarizer's."""
        self.inner.before_step()

    def after_step(self) -> None:
        """The inner binarizer's."""
        self.inner.after_step()


def values(binarizer: Binarizer) -> Latent:
    """The carrier as an array (out, in, kh, kw)."""
    with torch.no_grad():
        return np.asarray(binarizer.carrier().float().cpu().numpy())

"""QBN: the most frequent binary kernels of a trained network, and L2 mapping to them while it is fine-tuned (Sun and Yao).

From the paper's abstract: the binary kernels of trained networks are few and uneven, and quantising them compresses below one bit per
weight. Its schedule, metric and scope aren't published where we could read them; what stands here is this project's specification, and
`scope`, `complement_closed`, `hw_lambda`, `systematic`, `even` and `pull` are its own (`bwnhw.codebooks`).
"""

from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from bwnhw.close_filters import Closeness, closeness, drawn
from bwnhw.codebooks import Scope, Selection, Unit, Words, mapped, select
from bwnhw.errors import InputError
from bwnhw.kernels import TAPS
from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.codebooks.base import CodebookBinarizer, Latent, Shared, values
from bwnhw.network import Codebook

_PROGRESSIVE = 0.5  # share of the time behind the warm-up in which the bits go down
_GROWING = 0.3  # and in which the pull grows


class Qbn(CodebookBinarizer):
    """2**bits codewords chosen by frequency when `warm_up` of all steps are made (0: at once, for a network that is trained already).

    Then the codebook is chosen again `refreshes` times, evenly spread over the rest. With `progressive` the bits go from 8 down to `bits`
    in the first half of that rest, each time with a new choice. `unit` is "kernel", or "row" for kernels larger than 3×3.
    With a `pull` filters are drawn to one another, by a tree that is made whenever the codebook is chosen; it grows from 0 to the whole in
    the first 0.3 of the time behind the warm-up.
    A layer whose indices and codebook would take more bits than its weights stays as it is.
    """

    stage: Tensor
    parents: Tensor
    signs: Tensor
    heights: Tensor

    def __init__(self, inner: Binarizer, shared: Shared, bits: int = 4, scope: str = "layer", complement_closed: bool = False,
                 hw_lambda: float = 0.0, unit: str = "kernel", warm_up: float = 0.0, refreshes: int = 0,
                 progressive: bool = False, systematic: bool = False, even: bool = False, pull: float = 0.0) -> None:
        for what, word, known in (("scope", scope, Scope), ("unit", unit, Unit)):
            if word not in list(known):
                raise InputError(f"codebook: expected a {what} of {', '.join(known)}, found {word!r}")
        if not 0 <= warm_up < 1 or refreshes < 0:
            raise InputError(f"codebook: expected warm_up in 0..1 (not 1) and no negative refreshes, found {warm_up} and {refreshes}")
        selection = Selection(bits, Scope(scope), complement_closed, hw_lambda, Unit(unit), systematic, even, pull)
        super().__init__(inner, selection, TAPS - 1 if progressive and bits < TAPS else bits)
        self.shared, self.warm_up, self.refreshes, self.progressive, self.least = shared, warm_up, refreshes, progressive, bits
        self.strength = 1.0  # of the pull: whole, unless a training has just begun
        self.register_buffer("stage", torch.full((), -1, dtype=torch.int64))
        for name in ("parents", "signs", "heights"):
            self.register_buffer(name, torch.zeros(len(inner.latent), dtype=torch.int64))

    def advance(self, progress: float) -> None:
        """Choose the codewords where a new stage of the schedule begins."""
        super().advance(progress)
        if progress < self.warm_up or not self.selection.pays(tuple(self.latent.shape)):
            return
        share = (progress - self.warm_up) / (1 - self.warm_up)
        self.strength = min(1.0, share / _GROWING)
        bits = self._bits(share)
        stage = int(share * (self.refreshes + 1)) * (TAPS + 1) + bits
        if stage != int(self.stage):
            self.stage.fill_(stage)
            self.choose(bits, stage)

    def choose(self, bits: int, stage: int = -1) -> None:
        """Take the 2**bits codewords that the present latent weights ask for."""
        at = replace(self.selection, bits=bits)
        latent = values(self.inner)
        words = self.shared.words(at, stage) if at.scope is Scope.GLOBAL else select([latent], at)
        self.adopt(words)
        book = mapped(latent, words, at)
        close = closeness(book.weights, prod(book.shape.taps))
        for name in ("parents", "signs", "heights"):
            getattr(self, name).copy_(torch.from_numpy(getattr(close, name)))

    def mapped(self, latent: Latent, words: Words) -> Codebook:
        """The codebook with the index of every kernel, drawn to the filter before its own where there is a pull."""
        at = replace(self.selection, pull=self.strength * self.selection.pull)
        return drawn(latent, words, at, Closeness(*(found.cpu().numpy() for found in (self.parents, self.signs, self.heights))))

    def _bits(self, share: float) -> int:
        steps = TAPS - self.least
        if not self.progressive or not steps:
            return self.least
        return TAPS - 1 - min(steps - 1, int(share / _PROGRESSIVE * steps))

"""`group_power`: real weights turned binary by a smooth map of each group, trained by exact gradients, without a straight-through rule.

A reconstruction in the spirit of Group Weight Transformations (Shulman 2021, arXiv 2107.01400), under a name of its own: the
paper's transformation, annealing, groups and rounding aren't published where we could read them, so this is not its formula and
its accuracies are not results of this file. What is known of it holds here: a deterministic, differentiable map of groups of
real weights, exact backpropagation, no auxiliary loss, ordinary SGD with L2 regularisation.

For a group g with s² = mean of w² over g, an exponent κ in [0, 1] and a smoothing δ > 0,

    u = w · (w² + δ s²) ** ((κ - 1) / 2),    φ = u / mean of |u| over g

κ = 1 gives w / mean |w|, a real network with normalised groups; κ → 0 and δ → 0 give sign(w). φ doesn't change when w is
multiplied by a positive number, so the gradient is orthogonal to w and L2 regularisation only sets the step.
"""

import math
from enum import StrEnum

import torch
from torch import Tensor

from bwnhw.models.binarizers.base import Binarizer


class Group(StrEnum):
    """Which weights share one normalisation."""

    FILTER = "filter"  # all weights of one output channel
    LAYER = "layer"
    BLOCK = "block"  # runs of `block` weights of one output channel; its last run may be shorter


def power(rows: Tensor, kappa: float, delta: float) -> Tensor:
    """φ of each row of (groups, weights), same shape; undefined for a row of zeros only."""
    square = rows.square()
    smooth = rows * (square + delta * square.mean(dim=1, keepdim=True)) ** ((kappa - 1) / 2)
    return smooth / smooth.abs().mean(dim=1, keepdim=True)


class GroupPower(Binarizer):
    """scale · φ(latent) in training, scale · sign(latent) deployed; φ keeps every sign, so rounding moves magnitudes only.

    Over the first `anneal` of all steps κ falls from `kappa` to 0 on half a cosine and δ from `delta` to `delta_end` geometrically;
    there they stay. All defaults are this project's: the paper's are unknown. `kappa=0, delta=1` is the family's smooth sign.
    """

    reestimate_batch_norm = True

    def __init__(
        self,
        shape: tuple[int, ...],
        scale: str = "none",
        group: str = "filter",
        block: int = 16,
        kappa: float = 1.0,
        delta: float = 1e-2,
        delta_end: float = 1e-4,
        anneal: float = 0.8,
    ) -> None:
        if not (0 <= kappa <= 1 and 0 < delta_end <= delta and 0 < anneal <= 1 and block > 0):
            raise ValueError("expected 0 <= kappa <= 1, 0 < delta_end <= delta, 0 < anneal <= 1 and block > 0")
        super().__init__(shape, scale)
        self.group, self.block = Group(group), block
        self.first = (kappa, delta)
        self.delta_end, self.anneal = delta_end, anneal
        self.kappa, self.delta = self.first

    def advance(self, progress: float) -> None:
        """Set κ and δ."""
        done = min(1.0, progress / self.anneal)
        kappa, delta = self.first
        self.kappa = kappa * 0.5 * (1 + math.cos(math.pi * done))
        self.delta = delta * (self.delta_end / delta) ** done

    def transformed(self) -> Tensor:
        """φ of the latent at the present κ and δ, shape of the latent; its mean magnitude is 1 in every group."""
        rows = self.latent.reshape(1, -1) if self.group is Group.LAYER else self.latent.flatten(1)
        width = self.block if self.group is Group.BLOCK else rows.shape[1]
        parts = [power(part, self.kappa, self.delta) for part in torch.split(rows, width, dim=1)]
        return torch.cat(parts, dim=1).reshape(self.latent.shape)

    def trained(self) -> Tensor:
        """scale · φ, with the exact gradient."""
        return self.scaled(self.transformed())

    def binarity_gap(self) -> float:
        """mean |φ - sign(latent)|: what rounding will move; below 0.02 at the end of a sound training."""
        with torch.no_grad():
            return float((self.transformed() - self.bits()).abs().mean())

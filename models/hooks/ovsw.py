"""OvSW (Xiang et al., ECCV 2024): gradients of weights that would never change their sign are made larger, or pulled to zero.

The update equations of the released code. With sign and batch norm a gradient doesn't depend on the latent's magnitude, so steps can be
tiny beside large latents. Per step and layer, in this order:

AGS, per output channel with gradient g and latent w:

    G = max(|g|₂, 1e-6), W = max(|w|₂, 1e-3);   G / W < δ:  g ← g · δ W / G

SAD, per weight: a tracker m ← ρ m + (1 - ρ) · [sign(w) ≠ sign(w at the previous step)]; silent are the weights with m < θ:

    g ← g + λ · w   where silent

The second term isn't rescaled by the first, and adds to the optimizer's own weight decay. Deviation: sign(0) = +1.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.hooks.base import GradientHook

_LEAST_GRADIENT = 1e-6
_LEAST_LATENT = 1e-3


def rescaled(gradient: Tensor, latent: Tensor, delta: float) -> Tensor:
    """AGS: the gradient (out, ...) with every channel's norm at least `delta` times its latent's; the others bit for bit as they were."""
    rows = (gradient.shape[0], *(1,) * (gradient.dim() - 1))
    norm = gradient.flatten(1).norm(dim=1).clamp(min=_LEAST_GRADIENT).reshape(rows)
    wanted = delta * latent.flatten(1).norm(dim=1).clamp(min=_LEAST_LATENT).reshape(rows)
    return torch.where(norm < wanted, gradient * (wanted / norm), gradient)


class Ovsw(GradientHook):
    """AGS and SAD on every binarizer's latent. `delta = 0` switches AGS off, `decay = 0` SAD.

    Defaults are ImageNet's (ResNet-20 on CIFAR-10: delta 0.04, decay 9e-4; ResNet-18 and VGG there: unknown). `memory` is ρ,
    `silence` θ; `awake` starts the tracker at 1, where no weight is silent, instead of 0, where all are. One flip keeps a weight from
    being silent for ln((1 - ρ) / θ) / -ln ρ steps: 2302.
    """

    def __init__(
        self,
        binarizers: Sequence[Binarizer],
        delta: float = 0.01,
        decay: float = 2e-5,
        memory: float = 0.999,
        silence: float = 1e-4,
        awake: bool = False,
    ) -> None:
        super().__init__(binarizers)
        self.delta, self.decay, self.memory, self.silence = delta, decay, memory, silence
        self.trackers = [torch.full_like(item.latent, float(awake), requires_grad=False) for item in self.binarizers]
        self.before = [_positive(item) for item in self.binarizers]

    def apply(self) -> None:
        """AGS, then SAD. A latent without gradient is left alone."""
        for item, tracker, before in zip(self.binarizers, self.trackers, self.before, strict=True):
            gradient = item.latent.grad
            if gradient is None:
                continue
            latent, now = item.latent.detach(), _positive(item)
            if self.delta:
                gradient.copy_(rescaled(gradient, latent, self.delta))
            if self.decay:
                tracker.mul_(self.memory).add_((now != before).to(tracker.dtype), alpha=1 - self.memory)
                before.copy_(now)
                gradient.add_((tracker < self.silence) * latent, alpha=self.decay)

    def state_dict(self) -> dict[str, object]:
        """Trackers and the signs of the previous step."""
        return {"trackers": self.trackers, "before": self.before}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take them up, in place, on the device they are needed on."""
        for name, own in (("trackers", self.trackers), ("before", self.before)):
            for to, kept in zip(own, cast(list[Tensor], state[name]), strict=True):
                to.copy_(kept)


def _positive(item: Binarizer) -> Tensor:
    return item.latent.detach() >= 0

"""Proximal quantisers: a monotone map P, soft at first, that becomes the sign while training goes on.

With w* the latent, g the stochastic gradient and η the step:

    proxconnect           w = P(w*)    w* ← w* - η g(P(w*))         Bai et al. 2019 named it; P and schedule of Dockhorn et al. 2021
    proxquant             w = P(w*)    w* ← P(w*) - η g(P(w*))      Bai, Wang, Liberty 2019
    reverse-proxconnect   w = w*       w* ← P(w*) - η g(w*)         Dockhorn et al. 2021
    parq                  w = P(w*)    w* ← w* - η g(P(w*))         Jin et al. 2025: ProxConnect with an annealed map

P = sign makes ProxConnect BinaryConnect (`ste`). The update itself is whatever optimizer the recipe names; schedules run over the share
of steps made, not over epochs. Deployed is always sign(latent); all but parq end on hard signs that are frozen. Dockhorn's map and
schedule, and reverse ProxConnect, stand here as recalled, not as checked against the papers.
"""

import math

import torch
from torch import Tensor

from bwnhw.models.binarize import ScaleMode, sign, weight_scale, with_slope
from bwnhw.models.binarizers.base import Binarizer, clip_
from bwnhw.models.binarizers.freezing import Freezing


def piecewise_linear(x: Tensor, rho: float, vertical: float) -> Tensor:
    """L(x) = sign(x) · min(1, v + (1 - v)|x| / (1 - r)) with r = min(rho, 1), v = min(vertical, 1), any shape.

    0 and 0 give hard-tanh, 1 in either gives the sign; odd but at 0, where it is +v; monotone, within ±1.
    """
    r, v = min(rho, 1.0), min(vertical, 1.0)
    if r == 1 or v == 1:
        return sign(x)
    return sign(x) * (v + (1 - v) / (1 - r) * x.abs()).clamp(max=1)


def towards_signs(x: Tensor, strength: float) -> Tensor:
    """ProxQuant's map, the proximal map of `strength` · ||x| - 1|: |x| comes nearer to 1 by at most `strength`, signs stay; any shape."""
    beyond = x.abs() - 1
    shrunk = (beyond.abs() - strength).clamp(min=0)
    return sign(x) * (1 + torch.copysign(shrunk, beyond))


def annealed_clip(x: Tensor, inverse_slope: float) -> Tensor:
    """PARQ's map between the targets ±1: x / inverse_slope clipped to ±1, and the sign where that is 0; any shape."""
    return (x / inverse_slope).clamp(-1, 1) if inverse_slope > 0 else sign(x)


def mirrored_sigmoid(share: float, steepness: float, centre: float) -> float:
    """From 1 at share 0 down to 0 at share 1 along 1 / (1 + exp(steepness · (share - centre))), normalised to those ends."""
    def falling(at: float) -> float:
        return 1 / (1 + math.exp(steepness * (at - centre)))

    return (falling(share) - falling(1)) / (falling(0) - falling(1))


class ProxConnect(Freezing):
    """scale · L(latent) with gradient 1 to the latent, ρ (in both directions) from `rho` linearly to `rho_end` at the freeze.

    Published: ρ from 0.01, hard and frozen for the last third. `rho_end` is this project's, for the published growth per step depends on
    a number we don't have. With `clip` latents stay in [-1, 1].
    """

    def __init__(
        self, shape: tuple[int, ...], scale: str = "none", freeze: float = 2 / 3, rho: float = 0.01, rho_end: float = 1.0, clip: bool = True
    ) -> None:
        super().__init__(shape, scale, freeze)
        self.range = (rho, rho_end)
        self.rho = rho
        self.clip = clip

    def advance(self, progress: float) -> None:
        """Set ρ."""
        super().advance(progress)
        start, end = self.range
        self.rho = start + (end - start) * self.share(progress)

    def soft(self) -> Tensor:
        """L(latent), without gradient."""
        with torch.no_grad():
            return piecewise_linear(self.latent, self.rho, self.rho)

    def moving(self) -> Tensor:
        """scale · L(latent)."""
        return self.scaled(with_slope(self.latent, self.soft(), torch.ones_like(self.latent)))

    def after_step(self) -> None:
        """Clip."""
        if self.clip:
            clip_(self.latent)


class ReverseProxConnect(ProxConnect):
    """scale · latent in training; before every step the latent becomes L(latent), which moves it outwards by about ρ.

    Because L acts again at every step, ρ must stay well below the size of a step for signs to change at all: `rho` and `rho_end` are
    this project's.
    """

    def __init__(
        self, shape: tuple[int, ...], scale: str = "none", freeze: float = 2 / 3, rho: float = 0.0, rho_end: float = 2e-3, clip: bool = True
    ) -> None:
        super().__init__(shape, scale, freeze, rho, rho_end, clip)

    def moving(self) -> Tensor:
        """scale · latent."""
        return self.scaled(self.latent)

    def before_step(self) -> None:
        """Map the latent."""
        if not self.frozen:
            self.latent.data.copy_(self.soft())


class ProxQuant(Freezing):
    """scale · P(latent) with P = `towards_signs`, and before every step the latent becomes P(latent).

    The strength is `rate` · progress: published is 1e-4 per epoch over 300 epochs, that is 0.03, signs frozen from epoch 200, a start
    from a trained real network, Adam at 0.01. Here training starts from scratch, real while the strength is small.
    """

    def __init__(self, shape: tuple[int, ...], scale: str = "none", freeze: float = 2 / 3, rate: float = 0.03) -> None:
        super().__init__(shape, scale, freeze)
        self.rate = rate
        self.strength = 0.0

    def advance(self, progress: float) -> None:
        """Set the strength."""
        super().advance(progress)
        self.strength = self.rate * progress

    def pulled(self) -> Tensor:
        """P(latent), without gradient."""
        with torch.no_grad():
            return towards_signs(self.latent, self.strength)

    def moving(self) -> Tensor:
        """scale · P(latent)."""
        return self.scaled(with_slope(self.latent, self.pulled(), torch.ones_like(self.latent)))

    def before_step(self) -> None:
        """Map the latent."""
        if not self.frozen:
            self.latent.data.copy_(self.pulled())


class Parq(Binarizer):
    """PARQ's map between the least-squares targets ±a, a = mean |latent| of a layer or, with `targets = "channel"`, of a channel.

    The inverse slope falls from 1 to 0 between the shares `start` and `end` of all steps along a mirrored sigmoid; then P is the sign.
    Weights are scale · P(latent) / a, so that the scale stays what it is in every method: with `targets` as scale it is PARQ's own
    a · sign in the end. Steepness and centre are published; start and end are this project's.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        scale: str = "none",
        targets: str = "channel",
        start: float = 0.0,
        end: float = 0.8,
        steepness: float = 10.0,
        centre: float = 0.5,
    ) -> None:
        if start >= end:
            raise ValueError(f"expected start < end, found {start} and {end}")
        super().__init__(shape, scale)
        self.targets = ScaleMode(targets)
        self.span = (start, end)
        self.curve = (steepness, centre)
        self.inverse_slope = 1.0

    def advance(self, progress: float) -> None:
        """Set the inverse slope."""
        start, end = self.span
        share = min(1.0, max(0.0, (progress - start) / (end - start)))
        self.inverse_slope = mirrored_sigmoid(share, *self.curve)

    def trained(self) -> Tensor:
        """scale · P(latent) / a with gradient 1 to the latent."""
        with torch.no_grad():
            soft = annealed_clip(self.latent / weight_scale(self.latent, self.targets), self.inverse_slope)
        return self.scaled(with_slope(self.latent, soft, torch.ones_like(self.latent)))

"""A derived form of QP-SBGD (Wagner et al., CVPR 2024): the step of a dense layer is the binary direction that best explains its gradient.

Nothing but project page and abstract was readable, so this is not claimed to be the paper's update. For a layer with the batch of inputs
A (N x d) and gradients at its outputs G (N x m), the direction of output j is

    u_j = argmin over u in {-1, +1}^d of ‖c_j A u - G_j‖² = c_j² uᵀ(AᵀA)u - 2 c_j (AᵀG_j)ᵀu + constant
    w_j ← w_j - rate u_j

a quadratic binary program per output; its scale c_j is the best one for signSGD's direction sgn(AᵀG_j) (our choice: without it the
gradient would vanish beside A u). Up to `brute` inputs all 2^d directions are tried, beyond that the best single flip is taken again and
again from signSGD's direction (the paper anneals). Where AᵀA is diagonal u_j = sgn(AᵀG_j): signSGD. The latents of dense layers with
at most 64 inputs are moved, and clipped to [-1, 1] so that they can come back; other parameters go to Adam. A binarizer with an
identity gradient is what the derivation assumes.
"""

from functools import partial

import torch
from torch import Tensor, nn

from bwnhw.models.binarize import sign
from bwnhw.models.binarizers.base import Binarizer, clip_
from bwnhw.models.layers import BinaryLinear
from bwnhw.models.optimizers.base import LatentOptimizer

_MOST_INPUTS = 64


def objective(u: Tensor, square: Tensor, linear: Tensor) -> Tensor:
    """uᵀQu - 2bᵀu of directions u (..., d) for Q = `square` (d, d) and b = `linear` (..., d); shape (...)."""
    return ((u @ square) * u).sum(-1) - 2 * (u * linear).sum(-1)


def best_direction(square: Tensor, linear: Tensor, brute: int) -> Tensor:
    """(m, d) of ±1: per row of `linear` (m, d) the least objective found; the least of all where d ≤ `brute`. Ties go to signSGD."""
    width, start = len(square), sign(linear)
    if width > brute:
        return _flipped(start, square, linear)
    codes = torch.arange(2**width, device=square.device)[:, None] >> torch.arange(width, device=square.device)
    every = 1.0 - 2.0 * (codes & 1).to(square.dtype)
    values = objective(every, square, torch.zeros_like(every))[None] - 2 * linear @ every.T
    least, at = values.min(dim=1)
    return torch.where((least < objective(start, square, linear))[:, None], every[at], start)


def _flipped(u: Tensor, square: Tensor, linear: Tensor) -> Tensor:
    """Flip, in each row, the bit that lowers the objective most, until none does or d bits were flipped."""
    u = u.clone()
    for _ in range(len(square)):
        change = 4 * (square.diagonal() - u * (u @ square) + u * linear)
        least, at = change.min(dim=1)
        rows = torch.nonzero(least < 0)[:, 0]
        if not len(rows):
            break
        u[rows, at[rows]] *= -1
    return u


class QpSbgd(LatentOptimizer):
    """For dense networks of at most 64 inputs per layer; `rate` is the step, `brute` (at most 16) the widest layer solved exactly."""

    def __init__(self, network: nn.Module, rate: float = 0.005, brute: int = 10) -> None:
        layers = {module: module.weight.latent for module in network.modules()
                  if isinstance(module, BinaryLinear) and isinstance(module.weight, Binarizer)}
        if not layers or any(latent.shape[1] > _MOST_INPUTS for latent in layers.values()):
            raise ValueError(f"it moves dense layers of at most {_MOST_INPUTS} inputs, and the network has none or wider ones")
        if brute > 16 or rate <= 0:
            raise ValueError(f"brute must be at most 16 and rate positive, found {brute} and {rate}")
        super().__init__(layers.values(), rate)
        self.brute = brute
        self.seen: dict[Tensor, tuple[Tensor, Tensor]] = {}  # latent: (A, G) of the last backward pass
        for layer, latent in layers.items():
            layer.register_forward_hook(partial(self._watch, latent))

    def _watch(self, latent: Tensor, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(  # type: ignore[no-untyped-call]  # torch leaves it untyped
                lambda grad: self.seen.update({latent: (inputs[0].detach(), grad)}))

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure
        """Move the latents that took part in the last backward pass."""
        for group in self.param_groups:
            for latent in group["params"]:
                if latent in self.seen:
                    latent -= group["lr"] * self._direction(*self.seen.pop(latent))
                    clip_(latent)

    def _direction(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """u (m, d) from A (N, d) and G (N, m); gradients' zero columns give signSGD's direction, sgn(0) = +1."""
        square, linear = inputs.T @ inputs, gradients.T @ inputs
        start = sign(linear)
        scale = (start * linear).sum(1, keepdim=True) / ((start @ square) * start).sum(1, keepdim=True).clamp(min=1e-30)
        # the objective divided by c²: the same minimum, and one Q for all outputs
        return best_direction(square, linear / scale.clamp(min=1e-30), self.brute)

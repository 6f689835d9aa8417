"""Quantisers with straight-through gradients: sign with a choice of surrogate slope, k-bit unsigned codes, weight scales.

Formulas after Courbariaux et al. 2016 (hard-tanh), Liu et al. 2018 (Bi-Real), Rastegari et al. 2016 (XNOR-Net's scale).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor


def sign(x: Tensor) -> Tensor:
    """+1 where x ≥ 0 (so sign(0) = +1), else -1; same shape and dtype."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


class Surrogate(StrEnum):
    """What stands for d sign(x)/dx in the backward pass."""

    IDENTITY = "identity"  # 1
    HARDTANH = "hardtanh"  # 1 where |x| ≤ 1, else 0
    BIREAL = "bireal"  # max(0, 2 - 2|x|)
    SIGN_SWISH = "sign-swish"  # BNN+'s, steepness 5


_SWISH_STEEPNESS = 5.0
_SLOPES: dict[Surrogate, Callable[[Tensor], Tensor]] = {
    Surrogate.IDENTITY: torch.ones_like,
    Surrogate.HARDTANH: lambda x: (x.abs() <= 1).to(x.dtype),
    Surrogate.BIREAL: lambda x: (2 - 2 * x.abs()).clamp_(min=0),
    Surrogate.SIGN_SWISH: lambda x: sign_swish_slope(x, _SWISH_STEEPNESS),
}


class _SignSte(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope = _SLOPES[surrogate]
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grads[0] * ctx.slope(x), None


class _UnsignedSte(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, bits: int) -> Tensor:
        scaled = x / scale
        top = 2**bits - 1
        ctx.save_for_backward((scaled >= 0) & (scaled <= top))
        return scaled.clamp(0, top).round() * scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return grads[0] * inside, None, None


def binarise(x: Tensor, surrogate: Surrogate) -> Tensor:
    """sign(x) forward; grad_x = grad_y · surrogate slope at x backward."""
    result: Tensor = _SignSte.apply(x, surrogate)  # type: ignore[no-untyped-call]  # torch leaves apply() untyped
    return result


def with_slope(x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """`value` forward; grad_x = grad_y · slope backward. All of one shape; `value` and `slope` carry no gradient."""
    return value.detach() + slope.detach() * (x - x.detach())


def sign_swish_slope(x: Tensor, mu: float | Tensor) -> Tensor:
    """d SS(x) / dx = μ (2 - μx tanh(μx/2)) / (1 + cosh(μx)) of the sign-Swish SS with steepness μ (Darabi et al. 2018): μ at 0."""
    scaled = mu * x
    return mu * (2 - scaled * (scaled / 2).tanh()) / (1 + scaled.cosh())


def quantise_unsigned(x: Tensor, scale: Tensor, bits: int) -> Tensor:
    """scale · round(clip(x / scale, 0, 2**bits - 1)), half to even: QONNX's unsigned Quant with ROUND and zero point 0.

    The gradient passes unchanged where x / scale lies in [0, 2**bits - 1], and is 0 elsewhere; `scale` gets none.
    """
    result: Tensor = _UnsignedSte.apply(x, scale, bits)  # type: ignore[no-untyped-call]  # as above
    return result


class _SymmetricSte(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, bits: int) -> Tensor:
        del ctx
        top = 2 ** (bits - 1) - 1
        return (x / scale).round().clamp(-top, top) * scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        del ctx
        return grads[0], None, None


def quantise_symmetric(x: Tensor, scale: Tensor, bits: int) -> Tensor:
    """scale · clip(round(x / scale), ±(2**(bits-1) - 1)), half to even: QONNX's signed narrow Quant; the gradient passes unchanged."""
    result: Tensor = _SymmetricSte.apply(x, scale, bits)  # type: ignore[no-untyped-call]  # as above
    return result


class ScaleMode(StrEnum):
    """What the ±1 weights of a layer are multiplied by."""

    NONE = "none"  # 1: right wherever a batch norm follows
    LAYER = "layer"  # mean |w| of the layer, a constant to the gradient
    CHANNEL = "channel"  # mean |w| of each output channel, a constant to the gradient
    LEARNED = "learned"  # one trained scalar, which starts at mean |w|
    LEARNED_CHANNEL = "learned-channel"  # one trained scalar per output channel, of either sign, which starts at mean |w|


def weight_scale(latent: Tensor, mode: ScaleMode) -> Tensor:
    """The scale of latent weights (out, ...): shape (1, 1, ...), or (out, 1, ...) for CHANNEL; carries no gradient.

    CHANNEL is the least-squares optimum, argmin over α of |w - α sign(w)|². The learned ones give their initial values.
    """
    magnitude = latent.detach().abs()
    inner = tuple(range(1, latent.dim()))
    if mode in (ScaleMode.CHANNEL, ScaleMode.LEARNED_CHANNEL):
        return magnitude.mean(dim=inner, keepdim=True)
    if mode is ScaleMode.NONE:
        return magnitude.new_ones((1,) * latent.dim())
    return magnitude.mean().reshape((1,) * latent.dim())


def standardised(w: Tensor, eps: float = 1e-5) -> Tensor:
    """(w - mean) / √(variance + eps) of every output channel of (out, ...), in float32 or wider; differentiable."""
    inner = tuple(range(1, w.dim()))
    centred = w - w.mean(dim=inner, keepdim=True)
    return centred / (centred.square().mean(dim=inner, keepdim=True) + eps).sqrt()


def sharpness(progress: float) -> tuple[float, float]:
    """(t, k) of the two slopes below: t rises geometrically from 1e-2 to 10 with `progress` in [0, 1], k = max(1 / t, 1)."""
    t = 10.0 ** (3 * progress - 2)
    return t, max(1 / t, 1.0)


def ede_slope(x: Tensor, t: float, k: float) -> Tensor:
    """k t (1 - tanh²(t x)): the error decay estimator (IR-Net, Qin et al. 2020), almost the identity at first, a narrow peak at last."""
    return k * t * (1 - (t * x).tanh().square())


def training_aware_slope(x: Tensor, t: float, k: float) -> Tensor:
    """k max(0, √2 t - t² |x|): RBNN's triangle (Lin et al. 2020), wide at first, narrow at last."""
    return k * (2**0.5 * t - t * t * x.abs()).clamp(min=0)

"""Layers whose inference is exact in integers: ordinary modules, each of which `export` knows how to write to QONNX."""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bwnhw.models.binarize import ScaleMode, Surrogate, binarise, quantise_unsigned, sign, weight_scale


class BinaryWeight(nn.Module):
    """Latent real weights of shape (out, ...), seen as scale · sign(latent); the surrogate of weights is the identity.

    The latent is drawn from N(0, 2 / fan_in) (He's rule).
    """

    latent: nn.Parameter

    def __init__(self, shape: tuple[int, ...], mode: ScaleMode) -> None:
        super().__init__()
        self.mode = mode
        self.latent = nn.Parameter(torch.empty(shape))
        nn.init.kaiming_normal_(self.latent)
        scale = weight_scale(self.latent, mode)
        self.learned_scale = nn.Parameter(scale) if mode is ScaleMode.LEARNED else None

    def scale(self) -> Tensor:
        """The scale in use, shape (1, 1, ...) or (out, 1, ...)."""
        return weight_scale(self.latent, self.mode) if self.learned_scale is None else self.learned_scale

    def forward(self) -> Tensor:
        """scale · sign(latent), shape of the latent."""
        bits = binarise(self.latent, Surrogate.IDENTITY)
        return bits if self.mode is ScaleMode.NONE else self.scale() * bits

    def clip(self) -> None:
        """Bring the latent back into [-1, 1] (BinaryConnect's rule), so that no weight moves out of the reach of a flip."""
        with torch.no_grad():
            self.latent.clamp_(-1, 1)

    def export_bits(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The ±1 weights and their scale, which broadcasts to them: what inference uses."""
        bits, scale = sign(self.latent.detach()), self.scale().detach()
        return cast(NDArray[np.float32], bits.numpy()), cast(NDArray[np.float32], scale.numpy())


class BinaryConv2d(nn.Module):
    """Convolution with binary weights, no bias, zero padding: (N, inputs, H, W) to (N, outputs, H', W')."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, padding: int = 1, mode: ScaleMode = ScaleMode.NONE) -> None:
        super().__init__()
        self.padding = padding
        self.weight = BinaryWeight((outputs, inputs, kernel, kernel), mode)

    def forward(self, x: Tensor) -> Tensor:
        """Σ over taps of weight · x."""
        return functional.conv2d(x, self.weight(), padding=self.padding)


class BinaryLinear(nn.Module):
    """Dense layer with binary weights, no bias: (N, inputs) to (N, outputs)."""

    def __init__(self, inputs: int, outputs: int, mode: ScaleMode = ScaleMode.NONE) -> None:
        super().__init__()
        self.weight = BinaryWeight((outputs, inputs), mode)

    def forward(self, x: Tensor) -> Tensor:
        """x · weightᵀ."""
        return functional.linear(x, self.weight())


class SignAct(nn.Module):
    """±1 activations, sign(0) = +1."""

    def __init__(self, surrogate: Surrogate = Surrogate.BIREAL) -> None:
        super().__init__()
        self.surrogate = surrogate

    def forward(self, x: Tensor) -> Tensor:
        """sign(x), any shape."""
        return binarise(x, self.surrogate)


class QuantAct(nn.Module):
    """Activations in {0, 1, ..., 2**bits - 1} · scale, one fixed scale per layer."""

    scale: Tensor

    def __init__(self, bits: int, scale: float) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        """Nearest level, ties to the even code, clipped at both ends; any shape."""
        return quantise_unsigned(x, self.scale, self.bits)


class Affine(nn.Module):
    """x · factor - offset with two constants: how raw pixels enter a network."""

    def __init__(self, factor: float, offset: float = 0.0) -> None:
        super().__init__()
        self.factor = factor
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x * self.factor - self.offset


class ScoreScale(nn.Module):
    """x · s with one trained scalar s: the temperature of the scores, which leaves their order as it is while s > 0."""

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(initial).log())

    def scale(self) -> Tensor:
        """s, always positive."""
        return self.log_scale.exp()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x * self.scale()

"""Layers whose inference is exact in integers: ordinary modules, each of which `export` knows how to write to QONNX."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bwnhw.models.binarize import ScaleMode, Surrogate, binarise, quantise_symmetric, quantise_unsigned
from bwnhw.models.binarizers.base import Binarizer


class QuantWeight(nn.Module):
    """Weights of `bits` bits (2..8): integers in ±(2**(bits-1) - 1) times the least power of two that leaves no latent outside.

    The gradient passes unchanged to the latent, which is drawn from N(0, 2 / fan_in) (He's rule).
    """

    def __init__(self, shape: tuple[int, ...], bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.latent = nn.Parameter(torch.empty(shape))
        nn.init.kaiming_normal_(self.latent)

    def scale(self) -> Tensor:
        """The power of two, a scalar."""
        with torch.no_grad():
            largest = self.latent.abs().amax().clamp_(min=2.0**-60)
            return torch.exp2(torch.log2(largest / (2 ** (self.bits - 1) - 1)).ceil())

    def forward(self) -> Tensor:
        """scale · integers, shape of the latent."""
        return quantise_symmetric(self.latent, self.scale(), self.bits)


MakeWeight = Callable[[tuple[int, ...]], Binarizer | QuantWeight]  # from a shape to what gives weights of it


def _weight(weight: Binarizer | QuantWeight) -> tuple[Tensor, Tensor | None]:
    """The weights of the forward pass, and in eval mode apart from them a real scale (1, out, 1, ...).

    Sums of ±1 weights are exact in float32, those of scaled weights are rounded: equal sums would no longer be ties.
    """
    if weight.training or isinstance(weight, QuantWeight) or weight.mode is ScaleMode.NONE:
        return weight(), None
    return weight.bits(), weight.scale().detach().transpose(0, 1)


class BinaryConv2d(nn.Module):
    """Convolution, no bias, zero padding: (N, inputs, H, W) to (N, outputs, H', W'); `weight` is what `make` gives for its shape."""

    def __init__(self, inputs: int, outputs: int, make: MakeWeight, kernel: int = 3, padding: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.padding = padding
        self.stride = stride
        self.kernel = kernel
        self.weight = make((outputs, inputs, kernel, kernel))

    def forward(self, x: Tensor) -> Tensor:
        """Σ over taps of weight · x."""
        weight, scale = _weight(self.weight)
        sums = functional.conv2d(x, weight, padding=self.padding, stride=self.stride)
        return sums if scale is None else sums * scale


class BinaryLinear(nn.Module):
    """Dense layer, no bias: (N, ..., inputs) to (N, ..., outputs); `weight` is what `make` gives for its shape."""

    def __init__(self, inputs: int, outputs: int, make: MakeWeight) -> None:
        super().__init__()
        self.weight = make((outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        """x · weightᵀ."""
        weight, scale = _weight(self.weight)
        sums = functional.linear(x, weight)
        return sums if scale is None else sums * scale


class SignAct(nn.Module):
    """±1 activations, sign(0) = +1.

    With `sample_std` the slope of the sign is taken, in training, at x over the standard deviation of its sample (OvSW's rule, 1e-5 under
    the root, a constant to the gradient): no bit changes.
    """

    def __init__(self, surrogate: Surrogate = Surrogate.BIREAL, sample_std: bool = False) -> None:
        super().__init__()
        self.surrogate = surrogate
        self.sample_std = sample_std

    def forward(self, x: Tensor) -> Tensor:
        """sign(x), shape (N, ...)."""
        if self.sample_std and self.training:
            x = x / (x.detach().flatten(1).var(dim=1) + 1e-5).sqrt().reshape(-1, *(1,) * (x.dim() - 1))
        return binarise(x, self.surrogate)


class CentredSignAct(nn.Module):
    """±1 activations of what is left without a mean: in training each image's own, in inference a frozen average of those.

    In training x (N, C, ...) becomes (x - mean) / deviation, over all but the batch, before the sign. RBNN and SiMaN use each image's
    own mean in inference too, which no fixed threshold expresses: this is their static form with a frozen mean.
    """

    mean: Tensor

    def __init__(self, surrogate: Surrogate = Surrogate.BIREAL) -> None:
        super().__init__()
        self.surrogate = surrogate
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        if not self.training:
            return binarise(x - self.mean, self.surrogate)
        inner = tuple(range(1, x.dim()))
        centred = x - x.mean(dim=inner, keepdim=True)
        with torch.no_grad():
            self.mean.lerp_(x.mean().to(self.mean), 0.1)  # a batch norm's momentum
        return binarise(centred / (centred.square().mean(dim=inner, keepdim=True) + 1e-5).sqrt(), self.surrogate)


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

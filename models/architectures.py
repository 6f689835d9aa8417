"""The shipped networks' shapes. Each takes raw pixels (N, 1, H, W) as float32 integers and gives 10 scores (N, 10).

Convolutional blocks are conv, max pool, batch norm, activation: the pool acts on integer accumulators, before a batch norm
whose slope may have either sign. All scale factors in front of a batch norm are powers of two, so that a float32 executor's
sums are exact. The last layer has no batch norm behind it: its scores are integers times one common scale.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from bwnhw.models.layers import Affine, BinaryConv2d, BinaryLinear, QuantAct, ScoreScale, SignAct

_QUANT_STEP = 0.5  # of multi-bit activations; the batch norm in front learns what it means


@dataclass(frozen=True)
class Architecture:
    """`build(activation_bits)` makes the module; `image` is (channels, height, width) of its input of `pixel_bits` bits."""

    build: Callable[[int], nn.Sequential]
    image: tuple[int, int, int]
    pixel_bits: int


def activation(bits: int) -> nn.Module:
    """±1 for one bit, unsigned codes for more."""
    return SignAct() if bits == 1 else QuantAct(bits, _QUANT_STEP)


def _conv_block(inputs: int, outputs: int, pool: bool, bits: int) -> list[nn.Module]:
    pools: list[nn.Module] = [nn.MaxPool2d(2)] if pool else []
    return [BinaryConv2d(inputs, outputs), *pools, nn.BatchNorm2d(outputs), activation(bits)]


def _classifier(features: int) -> list[nn.Module]:
    return [nn.Flatten(), BinaryLinear(features, 10), ScoreScale(features**-0.5)]


def digits_conv(bits: int) -> nn.Sequential:
    """3×3 convolutions 1→16, 16→32 and pool, 32→32 and pool, then 32·2·2→10: 15,248 weights, for 8×8 images of 0..16."""
    return nn.Sequential(
        Affine(1 / 16),
        *_conv_block(1, 16, False, bits),
        *_conv_block(16, 32, True, bits),
        *_conv_block(32, 32, True, bits),
        *_classifier(32 * 2 * 2),
    )


def sfc(bits: int) -> nn.Sequential:
    """FINN's SFC (Umuroglu et al. 2017): 784-256-256-256-10 on pixels binarised at 128; 334,336 weights."""
    modules: list[nn.Module] = [Affine(1 / 128, 1.0), SignAct(), nn.Flatten()]
    for inputs in (28 * 28, 256, 256):
        modules += [BinaryLinear(inputs, 256), nn.BatchNorm1d(256), activation(bits)]
    return nn.Sequential(*modules, BinaryLinear(256, 10), ScoreScale(256**-0.5))


def lenet3x3(bits: int) -> nn.Sequential:
    """3×3 convolutions 1→32, 32→64, 64→64, each with padding 1 and a 2×2 pool, then 64·3·3→10: 61,344 weights."""
    return nn.Sequential(
        Affine(1 / 256),
        *_conv_block(1, 32, True, bits),
        *_conv_block(32, 64, True, bits),
        *_conv_block(64, 64, True, bits),
        *_classifier(64 * 3 * 3),
    )


ARCHITECTURES = {
    "digits-conv": Architecture(digits_conv, (1, 8, 8), 5),
    "sfc": Architecture(sfc, (1, 28, 28), 8),
    "lenet3x3": Architecture(lenet3x3, (1, 28, 28), 8),
}

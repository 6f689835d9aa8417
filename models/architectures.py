"""The shapes of networks. Each takes raw pixels (N, C, H, W) as float32 integers and gives scores (N, classes).

Convolutional blocks are conv, max pool, batch norm, activation: the pool acts on integer accumulators, before a batch norm
whose slope may have either sign. All scale factors in front of a batch norm are powers of two, so that a float32 executor's
sums are exact. The last layer has no batch norm behind it: its scores are integers times one common scale.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from bwnhw.models.binarize import Surrogate
from bwnhw.models.binarizers.ste import Ste
from bwnhw.models.layers import Affine, BinaryConv2d, BinaryLinear, CentredSignAct, MakeWeight, QuantAct, QuantWeight, ScoreScale, SignAct


@dataclass(frozen=True)
class Style:
    """What fills an architecture: `inner` makes the weights of all layers, `edge_bits` > 1 those of first and last layer instead.

    Activations have `activation_bits`: ±1 for one bit, else unsigned codes from 0 to just below 2, the upper half of what a batch norm
    gives; the batch norm in front learns what that means. `surrogate` and `sample_std` are those of ±1 activations,
    which may be `centred` instead (`layers.CentredSignAct`).
    """

    activation_bits: int = 1
    edge_bits: int = 1
    inner: MakeWeight = Ste
    surrogate: Surrogate = Surrogate.BIREAL
    sample_std: bool = False
    centred: bool = False

    def activation(self) -> nn.Module:
        """A new activation."""
        if self.activation_bits == 1:
            return CentredSignAct(self.surrogate) if self.centred else SignAct(self.surrogate, self.sample_std)
        return QuantAct(self.activation_bits, 2.0 ** (1 - self.activation_bits))

    @property
    def edge(self) -> MakeWeight:
        """What makes the weights of the first and the last layer."""
        return self.inner if self.edge_bits == 1 else partial(QuantWeight, bits=self.edge_bits)


@dataclass(frozen=True)
class Architecture:
    """`build(style)` makes the module; `image` is (channels, height, width) of its input of `pixel_bits` bits."""

    build: Callable[[Style], nn.Sequential]
    image: tuple[int, int, int]
    pixel_bits: int


def _conv_block(style: Style, inputs: int, outputs: int, pool: bool, first: bool = False, kernel: int = 3,
                padding: int = 1) -> list[nn.Module]:
    pools: list[nn.Module] = [nn.MaxPool2d(2)] if pool else []
    make = style.edge if first else style.inner
    return [BinaryConv2d(inputs, outputs, make, kernel, padding), *pools, nn.BatchNorm2d(outputs), style.activation()]


def _dense_block(style: Style, inputs: int, outputs: int, first: bool = False) -> list[nn.Module]:
    return [BinaryLinear(inputs, outputs, style.edge if first else style.inner), nn.BatchNorm1d(outputs), style.activation()]


def _scores(style: Style, features: int, classes: int = 10) -> list[nn.Module]:
    return [BinaryLinear(features, classes, style.edge), ScoreScale(features**-0.5)]


def digits_conv(style: Style) -> nn.Sequential:
    """3×3 convolutions 1→16, 16→32 and pool, 32→32 and pool, then 32·2·2→10: 15,248 weights, for 8×8 images of 0..16."""
    return nn.Sequential(
        Affine(1 / 16),
        *_conv_block(style, 1, 16, False, first=True),
        *_conv_block(style, 16, 32, True),
        *_conv_block(style, 32, 32, True),
        nn.Flatten(), *_scores(style, 32 * 2 * 2),
    )


def digits_mlp(style: Style) -> nn.Sequential:
    """64-64-64-10 on digits binarised at half their range: 8,832 weights, small enough for QP-SBGD."""
    return nn.Sequential(
        Affine(1 / 8, 1.0), SignAct(), nn.Flatten(),
        *_dense_block(style, 64, 64, first=True),
        *_dense_block(style, 64, 64),
        *_scores(style, 64),
    )


def _mlp(style: Style, width: int) -> nn.Sequential:
    return nn.Sequential(
        Affine(1 / 128, 1.0), SignAct(), nn.Flatten(),
        *_dense_block(style, 28 * 28, width, first=True),
        *_dense_block(style, width, width),
        *_dense_block(style, width, width),
        *_scores(style, width),
    )


def sfc(style: Style) -> nn.Sequential:
    """FINN's SFC (Umuroglu et al. 2017): 784-256-256-256-10 on pixels binarised at 128; 334,336 weights."""
    return _mlp(style, 256)


def lenet3x3(style: Style) -> nn.Sequential:
    """3×3 convolutions 1→32, 32→64, 64→64, each with padding 1 and a 2×2 pool, then 64·3·3→10: 61,344 weights."""
    return nn.Sequential(
        Affine(1 / 256),
        *_conv_block(style, 1, 32, True, first=True),
        *_conv_block(style, 32, 64, True),
        *_conv_block(style, 64, 64, True),
        nn.Flatten(), *_scores(style, 64 * 3 * 3),
    )


def _lenet5(style: Style, widths: tuple[int, ...]) -> nn.Sequential:
    """Two 5×5 convolutions without padding, each with a 2×2 pool, then dense layers, for 28×28 images."""
    first, second, *hidden = widths
    modules = [Affine(1 / 256), *_conv_block(style, 1, first, True, True, 5, 0), *_conv_block(style, first, second, True, False, 5, 0),
               nn.Flatten()]
    features = second * 4 * 4
    for outputs in hidden:
        modules += _dense_block(style, features, outputs)
        features = outputs
    return nn.Sequential(*modules, *_scores(style, features))


def lenet5(style: Style) -> nn.Sequential:
    """The large LeNet5 of Ternary Weight Networks (Li et al. 2016): 32-64-512; 581,408 weights, 575,488 of them in inner layers."""
    return _lenet5(style, (32, 64, 512))


ARCHITECTURES = {
    "digits-conv": Architecture(digits_conv, (1, 8, 8), 5),
    "digits-mlp": Architecture(digits_mlp, (1, 8, 8), 5),
    "sfc": Architecture(sfc, (1, 28, 28), 8),
    "lenet3x3": Architecture(lenet3x3, (1, 28, 28), 8),
    "lenet5": Architecture(lenet5, (1, 28, 28), 8),
}

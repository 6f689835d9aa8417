"""What the layers of an architecture are made with, and the blocks that architectures are built of."""

from dataclasses import dataclass
from functools import partial

from torch import nn

from bwnhw.models.binarize import Surrogate
from bwnhw.models.binarizers.ste import Ste
from bwnhw.models.layers import BinaryConv2d, BinaryLinear, CentredSignAct, MakeWeight, QuantAct, QuantWeight, ScoreScale, SignAct


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


def conv_block(style: Style, inputs: int, outputs: int, pool: bool, first: bool = False, kernel: int = 3,
               padding: int = 1) -> list[nn.Module]:
    """Convolution, 2×2 pool where wanted, batch norm, activation."""
    pools: list[nn.Module] = [nn.MaxPool2d(2)] if pool else []
    make = style.edge if first else style.inner
    return [BinaryConv2d(inputs, outputs, make, kernel, padding), *pools, nn.BatchNorm2d(outputs), style.activation()]


def dense_block(style: Style, inputs: int, outputs: int, first: bool = False) -> list[nn.Module]:
    """Dense layer, batch norm, activation."""
    return [BinaryLinear(inputs, outputs, style.edge if first else style.inner), nn.BatchNorm1d(outputs), style.activation()]


def scores(style: Style, features: int, classes: int = 10) -> list[nn.Module]:
    """The last layer and the scale of its scores."""
    return [BinaryLinear(features, classes, style.edge), ScoreScale(features**-0.5)]

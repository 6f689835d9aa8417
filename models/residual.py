"""Residual networks: units of activation, convolution and batch norm, with shortcuts around them. Trained, not exported (`export`).

Residuals stay real; a multi-bit activation in front of every convolution is what the convolution sees.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from bwnhw.models.layers import Affine, BinaryConv2d
from bwnhw.models.style import Style, scores


class Residual(nn.Module):
    """main(x) + shortcut(x), two branches that end in one shape."""

    def __init__(self, main: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.main = main
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        total: Tensor = self.main(x) + self.shortcut(x)
        return total


class Shrink(nn.Module):
    """The shortcut without weights: means of 2×2 pixels where the stride is 2, and channels of zeros behind those that there are."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.more = outputs - inputs
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        if self.stride > 1:
            x = functional.avg_pool2d(x, self.stride)
        return functional.pad(x, (0, 0, 0, 0, 0, self.more))


def _unit(style: Style, inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [style.activation(), BinaryConv2d(inputs, outputs, style.inner, 3, 1, stride), nn.BatchNorm2d(outputs)]


def _tail(style: Style, features: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(features), *scores(style, features, classes)]


def _stages(widths: tuple[int, ...], counts: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(inputs, outputs, stride) of every block; the first stage keeps the size, the others halve it."""
    blocks = []
    for stage, ((before, width), count) in enumerate(zip(pairwise((widths[0], *widths)), counts, strict=True)):
        blocks += [(before, width, 2 if stage else 1), *[(width, width, 1)] * (count - 1)]
    return blocks


def resnet20(style: Style) -> nn.Sequential:
    """16-32-64, three blocks of two convolutions each, a shortcut without weights around every convolution; 267,264 inner weights."""
    units = []
    for inputs, outputs, stride in _stages((16, 32, 64), (3, 3, 3)):
        shortcut = nn.Identity() if inputs == outputs else Shrink(inputs, outputs, stride)
        units += [Residual(nn.Sequential(*_unit(style, inputs, outputs, stride)), shortcut),
                  Residual(nn.Sequential(*_unit(style, outputs, outputs, 1)), nn.Identity())]
    return nn.Sequential(Affine(1 / 256), BinaryConv2d(3, 16, style.edge), nn.BatchNorm2d(16), *units, *_tail(style, 64, 10))


def resnet18(style: Style) -> nn.Sequential:
    """For 32×32 images: one shortcut around every block of two; where the shape changes it is a binary 1×1 convolution.

    10,985,472 weights in inner 3×3 convolutions, 11,157,504 with the shortcuts.
    """
    blocks = []
    for inputs, outputs, stride in _stages((64, 128, 256, 512), (2, 2, 2, 2)):
        main = nn.Sequential(*_unit(style, inputs, outputs, stride), *_unit(style, outputs, outputs, 1))
        pointwise = (style.activation(), BinaryConv2d(inputs, outputs, style.inner, 1, 0, stride), nn.BatchNorm2d(outputs))
        blocks.append(Residual(main, nn.Identity() if inputs == outputs else nn.Sequential(*pointwise)))
    return nn.Sequential(Affine(1 / 256), BinaryConv2d(3, 64, style.edge), nn.BatchNorm2d(64), *blocks, *_tail(style, 512, 10))


def _imagenet(style: Style, counts: tuple[int, ...]) -> nn.Sequential:
    """A shortcut around every 3×3 convolution; where the shape changes, means of 2×2 pixels and a 1×1 convolution as the first layer's."""
    units = []
    for inputs, outputs, stride in _stages((64, 128, 256, 512), counts):
        down = (nn.AvgPool2d(stride), BinaryConv2d(inputs, outputs, style.edge, 1, 0), nn.BatchNorm2d(outputs))
        shortcut = nn.Identity() if inputs == outputs else nn.Sequential(*down)
        units += [Residual(nn.Sequential(*_unit(style, inputs, outputs, stride)), shortcut),
                  Residual(nn.Sequential(*_unit(style, outputs, outputs, 1)), nn.Identity())]
    head = (BinaryConv2d(3, 64, style.edge, 7, 3, 2), nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(Affine(1 / 256), *head, *units, *_tail(style, 512, 1000))


def resnet18_imagenet(style: Style) -> nn.Sequential:
    """For 224×224 images: 10,985,472 inner weights."""
    return _imagenet(style, (2, 2, 2, 2))


def resnet34_imagenet(style: Style) -> nn.Sequential:
    """For 224×224 images: 21,086,208 inner weights."""
    return _imagenet(style, (3, 4, 6, 3))


def _wide_block(style: Style, inputs: int, outputs: int, stride: int) -> nn.Module:
    main = nn.Sequential(nn.BatchNorm2d(inputs), *_unit(style, inputs, outputs, stride), style.activation(),
                         BinaryConv2d(outputs, outputs, style.inner))
    return Residual(main, nn.Identity() if inputs == outputs else BinaryConv2d(inputs, outputs, style.inner, 1, 0, stride))


def wrn28_10(style: Style, classes: int = 10) -> nn.Sequential:
    """Wide ResNet 28-10 (Zagoruyko and Komodakis 2016), pre-activation, for 32×32 images: 36,454,400 inner weights."""
    blocks = []
    inputs = 16
    for width, first in ((160, 1), (320, 2), (640, 2)):
        for block in range(4):
            blocks.append(_wide_block(style, inputs, width, 1 if block else first))
            inputs = width
    tail = (nn.BatchNorm2d(640), style.activation(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), *scores(style, 640, classes))
    return nn.Sequential(Affine(1 / 256), BinaryConv2d(3, 16, style.edge), *blocks, *tail)

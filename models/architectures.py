"""The shapes of networks. Each takes raw pixels (N, C, H, W) as float32 integers and gives scores (N, classes).

Convolutional blocks are conv, max pool, batch norm, activation: the pool acts on integer accumulators, before a batch norm
whose slope may have either sign. All scale factors in front of a batch norm are powers of two, so that a float32 executor's
sums are exact. The last layer has no batch norm behind it: its scores are integers times one common scale.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from bwnhw.models import residual, transformer
from bwnhw.models.layers import Affine, SignAct
from bwnhw.models.style import Style, conv_block, dense_block, scores


@dataclass(frozen=True)
class Architecture:
    """`build(style)` makes the module of `classes` scores; `image` is (channels, height, width) of its input of `pixel_bits` bits."""

    build: Callable[[Style], nn.Sequential]
    image: tuple[int, int, int]
    pixel_bits: int
    classes: int = 10


def digits_conv(style: Style) -> nn.Sequential:
    """3×3 convolutions 1→16, 16→32 and pool, 32→32 and pool, then 32·2·2→10: 15,248 weights, for 8×8 images of 0..16."""
    return nn.Sequential(
        Affine(1 / 16),
        *conv_block(style, 1, 16, False, first=True),
        *conv_block(style, 16, 32, True),
        *conv_block(style, 32, 32, True),
        nn.Flatten(), *scores(style, 32 * 2 * 2),
    )


def digits_conv_no_norm(style: Style) -> nn.Sequential:
    """`digits_conv` without its batch norms: where a scale of the weights has nothing behind it that undoes it."""
    return nn.Sequential(*(module for module in digits_conv(style) if not isinstance(module, nn.BatchNorm2d)))


def digits_mlp(style: Style) -> nn.Sequential:
    """64-64-64-10 on digits binarised at half their range: 8,832 weights, small enough for QP-SBGD."""
    return nn.Sequential(
        Affine(1 / 8, 1.0), SignAct(), nn.Flatten(),
        *dense_block(style, 64, 64, first=True),
        *dense_block(style, 64, 64),
        *scores(style, 64),
    )


def _mlp(style: Style, width: int) -> nn.Sequential:
    return nn.Sequential(
        Affine(1 / 128, 1.0), SignAct(), nn.Flatten(),
        *dense_block(style, 28 * 28, width, first=True),
        *dense_block(style, width, width),
        *dense_block(style, width, width),
        *scores(style, width),
    )


def sfc(style: Style) -> nn.Sequential:
    """FINN's SFC (Umuroglu et al. 2017): 784-256-256-256-10 on pixels binarised at 128; 334,336 weights."""
    return _mlp(style, 256)


def lfc(style: Style) -> nn.Sequential:
    """FINN's LFC: 784-1024-1024-1024-10; 2,910,208 weights."""
    return _mlp(style, 1024)


def lenet3x3(style: Style) -> nn.Sequential:
    """3×3 convolutions 1→32, 32→64, 64→64, each with padding 1 and a 2×2 pool, then 64·3·3→10: 61,344 weights."""
    return nn.Sequential(
        Affine(1 / 256),
        *conv_block(style, 1, 32, True, first=True),
        *conv_block(style, 32, 64, True),
        *conv_block(style, 64, 64, True),
        nn.Flatten(), *scores(style, 64 * 3 * 3),
    )


def _lenet5(style: Style, widths: tuple[int, ...]) -> nn.Sequential:
    """Two 5×5 convolutions without padding, each with a 2×2 pool, then dense layers, for 28×28 images."""
    first, second, *hidden = widths
    modules = [Affine(1 / 256), *conv_block(style, 1, first, True, True, 5, 0), *conv_block(style, first, second, True, False, 5, 0),
               nn.Flatten()]
    features = second * 4 * 4
    for outputs in hidden:
        modules += dense_block(style, features, outputs)
        features = outputs
    return nn.Sequential(*modules, *scores(style, features))


def lenet5(style: Style) -> nn.Sequential:
    """The large LeNet5 of Ternary Weight Networks (Li et al. 2016): 32-64-512; 581,408 weights, 575,488 of them in inner layers."""
    return _lenet5(style, (32, 64, 512))


def lenet5_caffe(style: Style) -> nn.Sequential:
    """Caffe's LeNet5: 20-50-500; 425,000 inner weights."""
    return _lenet5(style, (20, 50, 500))


def lenet5_classic(style: Style) -> nn.Sequential:
    """LeNet5's widths: 6-16-120-84; 43,200 weights in all: on 28×28 images without padding."""
    return _lenet5(style, (6, 16, 120, 84))


def _chain(style: Style, widths: tuple[int, ...], pooled: tuple[int, ...], paddings: tuple[int, ...],
           hidden: tuple[int, ...]) -> nn.Sequential:
    """On 3×32×32: 3×3 convolutions of the given widths and paddings, 2×2 pools behind those numbered in `pooled`, then dense layers."""
    modules: list[nn.Module] = [Affine(1 / 256)]
    inputs, size = 3, 32
    for number, (outputs, padding) in enumerate(zip(widths, paddings, strict=True)):
        pool = number in pooled
        modules += conv_block(style, inputs, outputs, pool, number == 0, 3, padding)
        inputs, size = outputs, (size - 2 + 2 * padding) // (2 if pool else 1)
    modules.append(nn.Flatten())
    features = inputs * size * size
    for outputs in hidden:
        modules += dense_block(style, features, outputs)
        features = outputs
    return nn.Sequential(*modules, *scores(style, features))


def vgg_small(style: Style) -> nn.Sequential:
    """VGG-Small for 32×32 images: 2×128, 2×256, 2×512, no hidden dense layer; 4,571,136 inner weights."""
    return _chain(style, (128, 128, 256, 256, 512, 512), (1, 3, 5), (1,) * 6, ())


def binary_net(style: Style) -> nn.Sequential:
    """BinaryNet as Bop trains it (Helwegen et al. 2019): as VGG-Small without padding in the first layer, 1024-1024-10 behind it."""
    return _chain(style, (128, 128, 256, 256, 512, 512), (1, 3, 5), (0, 1, 1, 1, 1, 1), (1024, 1024))


def cnv(style: Style) -> nn.Sequential:
    """FINN's CNV (Umuroglu et al. 2017): 2×64, 2×128, 2×256 without padding, then 512-512-10; 1,542,848 weights."""
    return _chain(style, (64, 64, 128, 128, 256, 256), (1, 3), (0,) * 6, (512, 512))


_MNIST, _CIFAR, _IMAGENET = (1, 28, 28), (3, 32, 32), (3, 224, 224)

ARCHITECTURES = {
    "digits-conv": Architecture(digits_conv, (1, 8, 8), 5),
    "digits-conv-no-norm": Architecture(digits_conv_no_norm, (1, 8, 8), 5),
    "digits-mlp": Architecture(digits_mlp, (1, 8, 8), 5),
    "sfc": Architecture(sfc, _MNIST, 8),
    "lfc": Architecture(lfc, _MNIST, 8),
    "lenet3x3": Architecture(lenet3x3, _MNIST, 8),
    "lenet5": Architecture(lenet5, _MNIST, 8),
    "lenet5-caffe": Architecture(lenet5_caffe, _MNIST, 8),
    "lenet5-classic": Architecture(lenet5_classic, _MNIST, 8),
    "vgg-small": Architecture(vgg_small, _CIFAR, 8),
    "binary-net": Architecture(binary_net, _CIFAR, 8),
    "cnv": Architecture(cnv, _CIFAR, 8),
    "resnet20": Architecture(residual.resnet20, _CIFAR, 8),
    "resnet18": Architecture(residual.resnet18, _CIFAR, 8),
    "wrn28-10": Architecture(residual.wrn28_10, _CIFAR, 8),
    "wrn28-10-100": Architecture(partial(residual.wrn28_10, classes=100), _CIFAR, 8, 100),
    "resnet18-imagenet": Architecture(residual.resnet18_imagenet, _IMAGENET, 8, 1000),
    "resnet34-imagenet": Architecture(residual.resnet34_imagenet, _IMAGENET, 8, 1000),
    "vit-cifar": Architecture(transformer.vit_cifar, _CIFAR, 8),
    "deit-tiny": Architecture(transformer.deit_tiny, _IMAGENET, 8, 1000),
    "deit-small": Architecture(transformer.deit_small, _IMAGENET, 8, 1000),
    "deit-base": Architecture(transformer.deit_base, _IMAGENET, 8, 1000),
}

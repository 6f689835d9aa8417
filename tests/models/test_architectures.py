"""Shapes and sizes of the networks, against the numbers of the papers."""

import pytest

torch = pytest.importorskip("torch")

from bwnhw.models.architectures import ARCHITECTURES  # noqa: E402  # after importorskip
from bwnhw.models.layers import BinaryConv2d, QuantAct, SignAct  # noqa: E402
from bwnhw.models.methods import binarizers_of, weighted_layers  # noqa: E402
from bwnhw.models.style import Style  # noqa: E402

pytestmark = pytest.mark.train

WEIGHTS = {  # all, inner layers' alone
    "digits-conv": (15_248, 9 * (16 * 32 + 32 * 32)),
    "digits-conv-no-norm": (15_248, 9 * (16 * 32 + 32 * 32)),
    "digits-mlp": (8_832, 4_096),
    "sfc": (334_336, 131_072),
    "lfc": (2_910_208, 2_097_152),
    "lenet3x3": (61_344, 55_296),
    "lenet5": (581_408, 575_488),
    "lenet5-caffe": (430_500, 425_000),
    "lenet5-classic": (44_190, 43_200),
    "vgg-small": (4_571_136 + 3_456 + 81_920, 4_571_136),
    "binary-net": (4_571_136 + 4608 * 1024 + 1024 * 1024 + 3_456 + 10_240, 10_338_304),
    "cnv": (1_542_848, 1_536_000),
    "resnet20": (267_264 + 432 + 640, 267_264),
    "resnet18": (11_157_504 + 1_728 + 5_120, 11_157_504),
    "wrn28-10": (36_454_400 + 432 + 6_400, 36_454_400),
    "wrn28-10-100": (36_454_400 + 432 + 64_000, 36_454_400),
    "resnet18-imagenet": (10_985_472 + 9_408 + 8_192 + 32_768 + 131_072 + 512_000, 10_985_472),
    "resnet34-imagenet": (21_086_208 + 9_408 + 8_192 + 32_768 + 131_072 + 512_000, 21_086_208),
    "vit-cifar": (2_654_208 + 9_216 + 1_920, 2_654_208),
    "deit-tiny": (5_308_416 + 147_456 + 192_000, 5_308_416),
    "deit-small": (21_233_664 + 294_912 + 384_000, 21_233_664),
    "deit-base": (84_934_656 + 589_824 + 768_000, 84_934_656),
}


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_weights_and_scores(name):
    """Built without memory, as shapes alone."""
    architecture = ARCHITECTURES[name]
    with torch.device("meta"):
        network = architecture.build(Style(8, 8)).eval()
        scores = network(torch.zeros(2, *architecture.image))
    every = sum(layer.weight.latent.numel() for layer in weighted_layers(network))
    assert (every, sum(item.latent.numel() for item in binarizers_of(network))) == WEIGHTS[name]
    assert scores.shape == (2, architecture.classes)


def macs(name):
    """Multiplications per image in convolutions with inner weights, by their kernel's size."""
    found = {}
    with torch.device("meta"):
        network = ARCHITECTURES[name].build(Style(8, 8)).eval()
        for layer in weighted_layers(network):
            if isinstance(layer, BinaryConv2d) and layer.weight in binarizers_of(network):
                layer.register_forward_hook(lambda layer, inputs, output: found.__setitem__(
                    layer.kernel, found.get(layer.kernel, 0) + layer.weight.latent.numel() * output.shape[-1] ** 2))
        network(torch.zeros(1, *ARCHITECTURES[name].image))
    return found


@pytest.mark.parametrize(("name", "millions"), [
    ("lenet5", 3.28), ("vgg-small", 604.0), ("resnet20", 40.1), ("resnet18-imagenet", 1676.2), ("resnet34-imagenet", 3525.8),
])
def test_multiplications(name, millions):
    assert sum(macs(name).values()) / 1e6 == pytest.approx(millions, rel=1e-3)


def test_multiplications_with_binary_shortcuts():
    found = macs("resnet18")
    assert found[3] / 1e6 == pytest.approx(547, rel=1e-2) and sum(found.values()) / 1e6 == pytest.approx(554, rel=1e-2)
    assert sum(macs("wrn28-10").values()) / 1e9 == pytest.approx(5.24, rel=1e-2)


def test_activation_bits():
    assert sum(isinstance(module, SignAct) for module in ARCHITECTURES["lenet3x3"].build(Style(1))) == 3
    assert [module.bits for module in ARCHITECTURES["lenet3x3"].build(Style(2)) if isinstance(module, QuantAct)] == [2, 2, 2]

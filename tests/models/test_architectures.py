"""Shapes and sizes of the shipped networks."""

import pytest

torch = pytest.importorskip("torch")

from bwnhw.models.architectures import ARCHITECTURES, Style  # noqa: E402  # after importorskip
from bwnhw.models.layers import QuantAct, SignAct  # noqa: E402
from bwnhw.models.methods import weighted_layers  # noqa: E402

pytestmark = pytest.mark.train


@pytest.mark.parametrize(("name", "weights"), [
    ("digits-conv", 9 * (16 + 16 * 32 + 32 * 32) + 128 * 10),
    ("digits-mlp", 2 * 64 * 64 + 640),
    ("sfc", 784 * 256 + 2 * 256 * 256 + 2560),
    ("lenet3x3", 9 * (32 + 32 * 64 + 64 * 64) + 576 * 10),
    ("lenet5", 800 + 575_488 + 5120),
])
def test_weights_and_scores(name, weights):
    architecture = ARCHITECTURES[name]
    network = architecture.build(Style(1))
    assert sum(layer.weight.latent.numel() for layer in weighted_layers(network)) == weights
    assert network(torch.zeros(2, *architecture.image)).shape == (2, 10)


def test_activation_bits():
    assert sum(isinstance(module, SignAct) for module in ARCHITECTURES["lenet3x3"].build(Style(1))) == 3
    assert [module.bits for module in ARCHITECTURES["lenet3x3"].build(Style(2)) if isinstance(module, QuantAct)] == [2, 2, 2]

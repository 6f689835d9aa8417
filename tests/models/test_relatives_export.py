"""The relatives' exported networks on the 360 test digits: torch in eval mode, integer network and qonnx are equal, layer by layer."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  # after importorskip

from bwnhw import golden  # noqa: E402
from bwnhw.compare import compare  # noqa: E402
from bwnhw.kernels import codes  # noqa: E402
from bwnhw.lower import lower  # noqa: E402
from bwnhw.models.architectures import ARCHITECTURES  # noqa: E402
from bwnhw.models.binarizers import BINARIZERS  # noqa: E402
from bwnhw.models.data import load_digits  # noqa: E402
from bwnhw.models.export import to_graph  # noqa: E402
from bwnhw.models.layers import CentredSignAct  # noqa: E402
from bwnhw.models.methods import binarizers_of  # noqa: E402
from bwnhw.models.recipe import find_recipe, load_recipe, recipe_of  # noqa: E402
from bwnhw.models.style import Style  # noqa: E402
from bwnhw.models.train import train  # noqa: E402
from bwnhw.network import ConvParams, Threshold, ThresholdParams  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))

from oracle import qonnx_run  # noqa: E402  # stands with the core's tests

pytestmark = pytest.mark.train

NAMES = ["biper", "siman", "rbnn", "cmim", "lns", "direct"]
LEARNED = ("biper", "siman", "rbnn")
DIGITS = load_digits().x_test


def network_of(name, seed=0, turned=True, centred=False):
    """A network whose latents, scales and batch norms are random, near the end of its training; learned scales of both signs."""
    torch.manual_seed(seed)
    network = ARCHITECTURES["digits-conv"].build(Style(inner=partial(BINARIZERS[name]), centred=centred))
    with torch.no_grad():
        for binarizer in binarizers_of(network):
            binarizer.advance(0.95)
            if binarizer.learned_scale is not None:
                binarizer.learned_scale.copy_((torch.rand_like(binarizer.learned_scale) + 0.1) * binarizer.learned_scale.abs().mean())
                if turned:
                    binarizer.learned_scale[::2] *= -1
            if name == "lns":
                nn.init.normal_(binarizer.leave.weight, std=0.3)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
        network.train()
        network(torch.from_numpy(load_digits().x_train[:200]).float())  # batch statistics that fit
    return network.eval()


def torch_scores(network):
    with torch.no_grad():
        return network(torch.from_numpy(DIGITS).float()).numpy()


@pytest.mark.parametrize(("name", "centred"), [*((name, False) for name in NAMES), ("siman", True), ("rbnn", True)])
def test_torch_golden_and_qonnx_agree(name, centred):
    network = network_of(name, centred=centred)
    for module in network:
        if isinstance(module, CentredSignAct):
            module.mean.fill_(0.4)
    graph = to_graph(network, ARCHITECTURES["digits-conv"])
    integers = lower(graph)
    expected = torch_scores(network)
    np.testing.assert_allclose(qonnx_run(graph, DIGITS)["scores"], expected, rtol=2e-5, atol=2e-5)
    found = compare(graph, integers, DIGITS)
    assert found.equal and len(found.layers) >= 4
    classes = golden.outputs(integers, DIGITS).reshape(360, -1).argmax(1)
    assert len(np.unique(classes)) > 2
    assert np.array_equal(classes, expected.argmax(1))


def directions(network):
    """Of the first layer's thresholds, behind which no pool stands."""
    integers = lower(to_graph(network, ARCHITECTURES["digits-conv"]))
    pairs = zip(integers.topology.nodes, integers.params, strict=True)
    return next(params.flip for node, params in pairs if isinstance(node, Threshold) and isinstance(params, ThresholdParams))


@pytest.mark.parametrize("name", LEARNED)
def test_a_negative_scale_turns_the_channels_thresholds(name):
    plain, turned = directions(network_of(name, turned=False)), directions(network_of(name))
    assert np.array_equal(plain ^ (np.arange(16) % 2 == 0), turned)
    assert plain.any() and not plain.all()  # batch norms have slopes of both signs


def test_a_flipped_weight_is_seen():
    network = network_of("cmim")
    graph = to_graph(network, ARCHITECTURES["digits-conv"])
    with torch.no_grad():
        network[-2].weight.latent[0] *= -1
    assert not np.allclose(qonnx_run(graph, DIGITS)["scores"], torch_scores(network))


@pytest.mark.parametrize(("binarizer", "codebook"), [("biper", "qbn"), ("rbnn", "qbn"), ("siman", "snn"), ("cmim", "snn"), ("lns", "pste"),
                                                     ("rbnn", "pste")])
def test_codebooks_around_the_relatives(binarizer, codebook):
    """One epoch, then scales of both signs: the integer network keeps the codebook, and all three agree."""
    table = load_recipe(find_recipe("digits-conv")).table()
    recipe = recipe_of(table | {"epochs": 1, "binarizer": {"name": binarizer}, "codebook": {"name": codebook, "bits": 4}}, "a test")
    network = train(recipe, load_digits(), lambda report: None).network
    with torch.no_grad():
        for name, scale in network.named_parameters():
            if name.endswith("learned_scale"):
                scale[1::2] *= -1
    graph = to_graph(network, ARCHITECTURES["digits-conv"])
    integers = lower(graph)
    kept = [params.codebook for params in integers.params if isinstance(params, ConvParams)]
    assert [book is not None for book in kept] == [False, True, True, False]
    assert all(len(np.unique(codes(book.weights.reshape(-1, 9)))) <= 16 for book in kept if book is not None)
    expected = torch_scores(network)
    np.testing.assert_allclose(qonnx_run(graph, DIGITS)["scores"], expected, rtol=2e-5, atol=2e-5)
    assert compare(graph, integers, DIGITS).equal
    assert np.array_equal(golden.outputs(integers, DIGITS).reshape(360, -1).argmax(1), expected.argmax(1))

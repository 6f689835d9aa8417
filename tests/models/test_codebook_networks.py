"""Whole networks with codebooks: the file computes what torch computes, and a training takes up the weights of a file."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  # after importorskip

from bwnhw import golden, zoo  # noqa: E402
from bwnhw.codes import encode  # noqa: E402
from bwnhw.errors import InputError, ModelError  # noqa: E402
from bwnhw.lower import lower  # noqa: E402
from bwnhw.models import methods  # noqa: E402
from bwnhw.models.adopt import adopt  # noqa: E402
from bwnhw.models.architectures import ARCHITECTURES  # noqa: E402
from bwnhw.models.export import to_graph  # noqa: E402
from bwnhw.models.recipe import find_recipe, load_recipe, recipe_of  # noqa: E402
from bwnhw.network import Conv  # noqa: E402
from bwnhw.onnx_read import from_bytes, load  # noqa: E402
from bwnhw.onnx_write import save, to_bytes  # noqa: E402

pytestmark = pytest.mark.train

DIGITS = ARCHITECTURES["digits-conv"]


def recipe(**tables):
    return recipe_of({**load_recipe(find_recipe("digits-conv")).table(), **tables}, "test")


def drawn(seed=0, **tables):
    """A network in eval mode, its batch norms drawn at random too, its codebooks chosen."""
    torch.manual_seed(seed)
    network = methods.network_of(recipe(**tables))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean, std=2.0)
            nn.init.uniform_(module.running_var, 0.5, 20.0)
    for binarizer in methods.binarizers_of(network):
        binarizer.advance(0.0)
    return network.eval()


def images(count, seed=7):
    return np.random.default_rng(seed).integers(0, 17, (count, 1, 8, 8)).astype(np.float32)


def scores(network, x):
    with torch.no_grad():
        return network(torch.from_numpy(x)).numpy()


CODEBOOKS = {
    "layer": {"name": "qbn", "bits": 4}, "closed": {"name": "qbn", "bits": 3, "complement_closed": True},
    "global": {"name": "qbn", "bits": 5, "scope": "global"}, "channel": {"name": "qbn", "bits": 2, "scope": "input-channel"},
    "snn": {"name": "snn", "bits": 4}, "pste": {"name": "pste", "bits": 4},
}


@pytest.mark.parametrize("name", CODEBOOKS)
def test_torch_golden_and_qonnx_agree(name, tmp_path, oracle):
    network = drawn(codebook=CODEBOOKS[name])
    save(to_graph(network, DIGITS), tmp_path / "n.onnx")
    x = images(5)
    expected = scores(network, x)
    assert np.array_equal(oracle(tmp_path / "n.onnx", x), expected)
    graph = load(tmp_path / "n.onnx")
    lowered = lower(graph)
    assert (golden.outputs(lowered, encode(lowered, x)).reshape(5, 10).argmax(axis=1) == expected.argmax(axis=1)).all()
    books = [node.codebook for node in lowered.topology.nodes if isinstance(node, Conv)]
    words = 2 ** CODEBOOKS[name]["bits"]
    assert [book and book.words for book in books] == [None, words, words, None]
    assert books[1].books == (16 if name == "channel" else 1) and books[1].closed == (name == "closed")
    assert sum(key.endswith(".codebook") for key in graph.constants) == (1 if name == "global" else 2)
    assert {array.dtype for key, array in graph.constants.items() if key.endswith(".index")} == {np.dtype(np.uint8)}


def test_wider_kernels_by_rows(tmp_path, oracle):
    torch.manual_seed(0)
    table = load_recipe(find_recipe("mnist-lenet3x3-w1a1")).table() | {"architecture": "lenet5"}
    network = methods.network_of(recipe_of({**table, "codebook": {"name": "qbn", "bits": 3, "unit": "row"}}, "test")).eval()
    for binarizer in methods.binarizers_of(network):
        binarizer.advance(0.0)
    save(to_graph(network, ARCHITECTURES["lenet5"]), tmp_path / "n.onnx")
    x = np.random.default_rng(0).integers(0, 256, (2, 1, 28, 28)).astype(np.float32)
    assert np.array_equal(oracle(tmp_path / "n.onnx", x), scores(network, x))
    (book,) = [node.codebook for node in lower(load(tmp_path / "n.onnx")).topology.nodes if getattr(node, "codebook", None)]
    assert (book.words, book.taps) == (8, (5,))


@pytest.mark.parametrize("scale", ["none", "channel", "learned"])
def test_a_network_is_taken_up_as_it_was_written(scale):
    tables = {"binarizer": {"name": "ste", "scale": scale}}
    network = drawn(1, **tables)
    graph = from_bytes(to_bytes(to_graph(network, DIGITS)), "n")
    other = drawn(2, **tables)
    adopt(other, DIGITS, graph)
    x = images(4)
    np.testing.assert_allclose(scores(other, x), scores(network, x), rtol=1e-5, atol=1e-5)
    bits = [[binarizer.bits() for binarizer in methods.binarizers_of(each)] for each in (network, other)]
    assert all(torch.equal(one, two) for one, two in zip(*bits, strict=True))


def test_integer_edges_are_taken_up():
    network, other = drawn(1, edge_bits=4), drawn(2, edge_bits=4)
    adopt(other, DIGITS, from_bytes(to_bytes(to_graph(network, DIGITS)), "n"))
    assert np.array_equal(scores(other, images(4)), scores(network, images(4)))


def test_a_training_starts_from_a_network_that_ships():
    network = methods.network_of(recipe(start="digits-conv", codebook={"name": "qbn", "bits": 8})).eval()
    shipped = lower(load(zoo.find("digits-conv")))
    found = lower(to_graph(network, DIGITS))  # no step made: no codebook yet
    for one, other in zip(shipped.params, found.params, strict=True):
        for array in ("weights", "thresholds", "flip"):
            if hasattr(one, array):
                np.testing.assert_array_equal(getattr(one, array), getattr(other, array))


def test_a_training_starts_from_a_network_with_a_codebook(tmp_path):
    network = drawn(codebook=CODEBOOKS["layer"])
    save(to_graph(network, DIGITS), tmp_path / "n.onnx")
    again = methods.network_of(recipe(start=str(tmp_path / "n.onnx"))).eval()
    assert np.array_equal(scores(again, images(4)), scores(network, images(4)))


@pytest.mark.parametrize(("tables", "message"), [
    ({"activation_bits": 2}, "expected the recipe's architecture, found other activations"),
    ({"architecture": "lenet3x3"}, "expected constants as the recipe's architecture has them|expected weights of the recipe's shape"),
    ({"architecture": "sfc"}, "expected the layers MatMul, .*, found Conv, "),
    ({"binarizer": {"name": "siman"}}, "expected the recipe's architecture, found other"),
])
def test_another_architecture_is_refused(tables, message):
    with pytest.raises(ModelError, match=message):
        methods.network_of(recipe(start="digits-conv", **tables))


def test_a_codebook_needs_convolutions():
    with pytest.raises(InputError, match="expected convolutions behind the first layer"):
        methods.network_of(recipe(architecture="sfc", codebook={"name": "qbn", "bits": 4}))

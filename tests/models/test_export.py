"""What torch computes in eval mode is what an executor that is not ours computes from the exported file."""

from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  # after importorskip

from bwnhw.errors import ModelError  # noqa: E402
from bwnhw.models.architectures import ARCHITECTURES, Architecture  # noqa: E402
from bwnhw.models.binarize import ScaleMode  # noqa: E402
from bwnhw.models.binarizers.ste import Ste  # noqa: E402
from bwnhw.models.export import to_graph  # noqa: E402
from bwnhw.models.layers import Affine, BinaryConv2d, BinaryLinear  # noqa: E402
from bwnhw.models.style import Style  # noqa: E402
from bwnhw.onnx_write import save, to_bytes  # noqa: E402

pytestmark = pytest.mark.train


def untrained(name, bits, seed, edge_bits=1):
    """A network in eval mode with random weights and random batch norms, slopes of both signs among them."""
    torch.manual_seed(seed)
    network = ARCHITECTURES[name].build(Style(bits, edge_bits))
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean, std=2.0)
            nn.init.uniform_(module.running_var, 0.5, 20.0)
    return network.eval()


def images(architecture, count, seed):
    shape = (count, *architecture.image)
    return np.random.default_rng(seed).integers(0, 2**architecture.pixel_bits, shape).astype(np.float32)


def torch_scores(network, x):
    with torch.no_grad():
        return network(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize(("bits", "edge_bits"), [(1, 1), (2, 1), (1, 8), (8, 3)])
@pytest.mark.parametrize("name", ["digits-conv", "digits-conv-no-norm", "digits-mlp", "sfc", "lenet3x3", "lenet5", "lenet5-classic"])
def test_file_equals_torch(name, bits, edge_bits, tmp_path, oracle):
    network, architecture = untrained(name, bits, bits, edge_bits), ARCHITECTURES[name]
    save(to_graph(network, architecture), tmp_path / "n.onnx")
    x = images(architecture, 5, seed=7)
    assert np.array_equal(oracle(tmp_path / "n.onnx", x), torch_scores(network, x))


@pytest.mark.parametrize(("name", "reason"), [
    ("resnet20", "layer 'layer3': expected a layer that export knows, found Residual, a sum of two branches, and the hardware is a chain"),
    ("vit-cifar", "layer 'layer2': expected .*, found Tokens of a transformer, whose LayerNorms divide by .* no static threshold"),
])
def test_networks_that_are_no_chains_are_refused(name, reason):
    with pytest.raises(ModelError, match=f"^{reason}$"):
        to_graph(ARCHITECTURES[name].build(Style(8, 8)).eval(), ARCHITECTURES[name])


@pytest.mark.parametrize("name", ["cnv", "vgg-small", "binary-net"])
def test_large_chains_are_written(name):
    graph = to_graph(ARCHITECTURES[name].build(Style(1, 8)).eval(), ARCHITECTURES[name])
    assert sum(op.kind in ("Conv", "MatMul") for op in graph.ops) == {"cnv": 9, "vgg-small": 7, "binary-net": 9}[name]


def test_a_flipped_weight_is_seen(tmp_path, oracle):
    network, architecture = untrained("digits-conv", 1, seed=1), ARCHITECTURES["digits-conv"]
    x = images(architecture, 5, seed=7)
    expected = torch_scores(network, x)
    with torch.no_grad():
        network[-2].weight.latent[0, 0] *= -1
    save(to_graph(network, architecture), tmp_path / "n.onnx")
    assert not np.array_equal(oracle(tmp_path / "n.onnx", x), expected)


@pytest.mark.parametrize("mode", list(ScaleMode))
def test_every_scale_mode(mode, tmp_path, oracle):
    torch.manual_seed(3)
    make = partial(Ste, scale=mode)
    network = nn.Sequential(Affine(1 / 16), BinaryConv2d(1, 4, make), nn.Flatten(), BinaryLinear(256, 10, make)).eval()
    architecture = Architecture(lambda style: network, (1, 8, 8), 5)
    save(to_graph(network, architecture), tmp_path / "n.onnx")
    x = images(architecture, 4, seed=1)
    np.testing.assert_allclose(oracle(tmp_path / "n.onnx", x), torch_scores(network, x), rtol=1e-4, atol=1e-3)  # real scales: float sums


def test_zero_latent_is_exported_as_plus_one():
    weight = Ste((2, 3))
    nn.init.zeros_(weight.latent)
    bits, scale = weight.export_bits()
    assert (bits == 1).all() and scale.tolist() == [[1.0]]


def test_same_network_same_bytes():
    graphs = [to_graph(untrained("digits-conv", 1, seed=1), ARCHITECTURES["digits-conv"]) for _ in range(2)]
    assert to_bytes(graphs[0]) == to_bytes(graphs[1])


def test_input_and_output():
    graph = to_graph(untrained("sfc", 1, seed=1), ARCHITECTURES["sfc"])
    (image,), (scores,) = graph.inputs, graph.outputs
    assert (image.shape, image.dtype, image.datatype) == ((1, 1, 28, 28), "float32", "UINT8")
    assert scores.shape == (1, 10)
    assert graph.ops[-1].outputs == (scores.name,)


@pytest.mark.parametrize("module", [
    nn.ReLU(), nn.MaxPool2d(2, padding=1), nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(0), nn.BatchNorm2d(1, affine=False),
    nn.BatchNorm2d(1, track_running_stats=False),
], ids=lambda module: repr(module))
def test_what_has_no_rule_is_refused(module):
    with pytest.raises(ModelError, match="^layer 'layer0': expected .*, found "):
        to_graph(nn.Sequential(module), ARCHITECTURES["digits-conv"])


def test_bits_are_int8_other_constants_float32_and_scalars_have_no_axes():
    constants = to_graph(untrained("lenet3x3", 2, seed=1), ARCHITECTURES["lenet3x3"]).constants
    bits = {name for name in constants if name.endswith(".weight")}
    assert {constants[name].dtype for name in bits} == {np.dtype(np.int8)}
    assert {constants[name].dtype for name in set(constants) - bits} == {np.dtype(np.float32)}
    assert {array.shape for array in constants.values() if array.size == 1} == {()}

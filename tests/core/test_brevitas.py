"""A file that isn't ours: Brevitas writes it, we load it and compute what torch computes."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import qonnx_run

from bwnhw.codebooks import Selection, mapped, select
from bwnhw.compare import compare
from bwnhw.compress import changes, compress
from bwnhw.float_exec import run
from bwnhw.lower import lower
from bwnhw.network import Conv
from bwnhw.onnx_read import load
from bwnhw.simplify import simplify

pytestmark = pytest.mark.train


def exported(module: Any, shape: tuple[int, ...], path: Path) -> None:
    """The module, its statistics warmed up and rounded so that float32 computes with them exactly, as a QONNX file."""
    import torch
    from brevitas.export import export_qonnx
    torch.manual_seed(0)
    module.train()
    for _ in range(3):
        module(torch.randn(8, *shape))
    module.eval()
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            size = layer.running_var.shape
            layer.running_mean.copy_(torch.randint(-3, 4, size))
            layer.running_var.copy_(4.0 ** torch.randint(0, 2, size) - 2**-8)
            layer.eps = 2**-8
            with torch.no_grad():
                layer.weight.copy_(torch.randint(-2, 3, size))
                layer.bias.copy_(torch.randint(-2, 3, size))
    export_qonnx(module, args=torch.randn(1, *shape), export_path=str(path))


def network(bipolar: bool) -> Any:
    """Convolution, batch norm, pool, dense layer; bipolar throughout, or 4-bit weights and 2-bit activations."""
    import brevitas.nn as qnn
    import torch
    if bipolar:
        weights = {"weight_bit_width": 1, "weight_quant_type": "BINARY", "weight_scaling_impl_type": "CONST", "weight_scaling_const": 0.5}
        values = {"bit_width": 1, "quant_type": "BINARY", "scaling_impl_type": "CONST", "scaling_const": 1.0, "min_val": -1, "max_val": 1}
    else:
        weights = {"weight_bit_width": 4, "weight_restrict_scaling_type": "POWER_OF_TWO"}
        values = {"bit_width": 2, "restrict_scaling_type": "POWER_OF_TWO"}
    return torch.nn.Sequential(
        qnn.QuantIdentity(**values), qnn.QuantConv2d(2, 4, 3, padding=1, stride=(1, 2), bias=False, **weights), torch.nn.BatchNorm2d(4),
        torch.nn.MaxPool2d(2), qnn.QuantIdentity(**values), torch.nn.Flatten(), torch.nn.Dropout(0.2),
        qnn.QuantLinear(4 * 4 * 2, 10, bias=False, **weights), torch.nn.BatchNorm1d(10))


@pytest.mark.filterwarnings("ignore")  # torch's and Brevitas' own
@pytest.mark.parametrize("bipolar", [True, False])
def test_a_brevitas_export_computes_what_torch_computes(bipolar: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import torch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module, path = network(bipolar), tmp_path / "brevitas.onnx"
        exported(module, (2, 8, 8), path)
        x = np.random.default_rng(7).integers(-12, 13, (20, 2, 8, 8)).astype(np.float32) / 4
        expected = module(torch.from_numpy(x)).detach().numpy()
    graph = load(path)
    each = np.concatenate([run(graph, image[None])[graph.outputs[0].name] for image in x])
    np.testing.assert_array_equal(each, expected)
    simple = simplify(graph)
    np.testing.assert_array_equal(run(simple, x)[simple.outputs[0].name], expected)
    quantiser = "BipolarQuant" if bipolar else "Quant"
    assert [op.kind for op in simple.ops if op.kind != quantiser] == ["Conv", "BatchNormalization", "MaxPool", "Flatten", "MatMul",
                                                                     "BatchNormalization"]
    assert sum(op.kind == quantiser for op in simple.ops) == 4


@pytest.mark.filterwarnings("ignore")  # as above
def test_a_brevitas_export_is_compressed_by_its_latent_weights(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import brevitas.nn as qnn
    import torch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = {"weight_bit_width": 1, "weight_quant_type": "BINARY", "weight_scaling_impl_type": "CONST", "weight_scaling_const": 0.5}
        values = {"bit_width": 1, "quant_type": "BINARY", "scaling_impl_type": "CONST", "scaling_const": 1.0, "min_val": -1, "max_val": 1}
        module, path = torch.nn.Sequential(
            qnn.QuantIdentity(**values), qnn.QuantConv2d(2, 16, 3, padding=1, bias=False, **weights), torch.nn.BatchNorm2d(16),
            qnn.QuantIdentity(**values), qnn.QuantConv2d(16, 24, 3, bias=False, **weights), torch.nn.BatchNorm2d(24),
            qnn.QuantIdentity(**values), torch.nn.Flatten(), qnn.QuantLinear(24 * 4 * 4, 10, bias=False, **weights)), tmp_path / "b.onnx"
        exported(module, (2, 6, 6), path)
    graph, selection = load(path), Selection(4)
    found = compress(graph, selection)
    before, after = lower(graph), lower(found)
    (change,) = changes(before, after)
    assert (change.kernels, change.codewords, change.bits_after) == (384, 16, 384 * 4 + 16 * 9)
    latent = module[4].weight.detach().numpy()
    index = next(index for index, node in enumerate(after.topology.nodes) if isinstance(node, Conv) and node.codebook)
    np.testing.assert_array_equal(after.params[index].weights, mapped(latent, select([latent], selection), selection).weights)
    x = np.random.default_rng(7).integers(-12, 13, (5, 2, 6, 6)).astype(np.float32) / 4
    assert compare(found, after, x).equal
    np.testing.assert_array_equal(run(found, x)[found.outputs[0].name], qonnx_run(found, x)[found.outputs[0].name])

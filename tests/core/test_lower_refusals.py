"""What can't be lowered is refused in one sentence with the node, what was expected and what was found; and what can, isn't."""

import numpy as np
import pytest
from small_graphs import graph_of

from bwnhw import golden, reference
from bwnhw.codes import accuracy, encode
from bwnhw.compare import compare
from bwnhw.errors import ImageError, ModelError
from bwnhw.float_exec import run
from bwnhw.lower import lower
from bwnhw.lowering import builder
from bwnhw.network import BIPOLAR_WEIGHTS, UNIPOLAR_WEIGHTS, Add, CodebookShape, Conv, Input, Scale, Threshold, WeightCode, signed_weights

CONV = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}


def ones(*shape):
    return np.ones(shape)


def conv(graph, weights, **attrs):
    graph.op("Conv", weights, **{**CONV, "kernel_shape": weights.shape[2:], **attrs})


def per_channel_scale(graph):
    graph.op("Mul", np.array([1.0, 2.0]).reshape(2, 1, 1))
    conv(graph, ones(1, 2, 1, 1))


def batch_norms_in_a_row(graph):
    conv(graph, ones(1, 2, 1, 1))
    for var in (2.0, 3.0):
        graph.op("BatchNormalization", [1.5], [0.5], [1.0], [var], epsilon=1e-5)
    graph.op("BipolarQuant", np.float32(1))


def no_quantiser_between(graph):
    conv(graph, np.array([1.0, -1]).reshape(1, 2, 1, 1))
    conv(graph, ones(1, 1, 1, 1))


def norm_without_quantiser(graph):
    graph.op("BatchNormalization", [1.5] * 2, [0.5] * 2, [1.0] * 2, [2.0] * 2, epsilon=1e-5)
    conv(graph, ones(1, 2, 1, 1))


def relu_without_quantiser(graph):
    graph.op("Sub", np.float32(100))
    graph.op("Relu")
    conv(graph, ones(1, 2, 1, 1))


def odd_zero_padded(graph):
    graph.op("Sub", np.float32(1 / 3))
    conv(graph, ones(1, 2, 3, 3), pads=(1, 1, 1, 1))


def average_with_moving_divisor(graph):
    graph.op("AveragePool", kernel_shape=(2, 2), strides=(1, 1), pads=(1, 1, 0, 0), count_include_pad=0)


def product_of_two(graph):
    graph.op("Mul", graph.op("Neg"), source="x")


def many_valued_weights(graph):
    conv(graph, np.array([1.0, 0.1]).reshape(1, 2, 1, 1))


def late_normalisation_of_vectors(graph):
    graph.op("Flatten", axis=1)
    graph.op("Mul", np.arange(1, 33) / 4)
    graph.op("BipolarQuant", np.float32(1))


def weights_from_the_input(graph):
    graph.op("MatMul", graph.op("Flatten", axis=1), source=graph.constant(ones(4, 32)))


REFUSED = {
    per_channel_scale: "one scale and zero point",
    batch_norms_in_a_row: "quantiser between two batch norms",
    no_quantiser_between: "quantiser between this layer and the sums",
    norm_without_quantiser: "quantiser between the batch norm",
    relu_without_quantiser: "clip or Relu",
    odd_zero_padded: "zero is a code or half-way",
    average_with_moving_divisor: "depends on the position",
    product_of_two: "product or quotient",
    many_valued_weights: "two-valued or integers",
    late_normalisation_of_vectors: "constant per channel",
    lambda graph: conv(graph, ones(2, 1, 1, 1), group=2): "1 group",
    lambda graph: conv(graph, ones(1, 2, 2, 2), dilations=(2, 2)): "dilation 1",
    lambda graph: conv(graph, np.full((1, 2, 1, 1), np.nan)): "finite",
    lambda graph: conv(graph, np.array([1.0, 200]).reshape(1, 2, 1, 1)): "8 bits",
    lambda graph: graph.op("Mul", np.float32(np.inf)): "finite",
    lambda graph: graph.op("BipolarQuant", np.float32(0)): "above 0",
    lambda graph: graph.op("Quant", np.float32(-1), np.float32(0), np.float32(2), signed=1, narrow=0): "above 0",
    lambda graph: graph.op("Quant", np.float32(1), np.float32(0), np.float32(9), signed=1, narrow=0): "at most 8 bits",
    lambda graph: graph.op("Quant", np.float32(1), np.float32(0), np.float32(2), signed=1, narrow=0, rounding_mode="ODD"): "rounding mode",
    lambda graph: graph.op("ArgMax", axis=1, keepdims=1, select_last_index=0): "arg-max of a vector",
    lambda graph: graph.op("Div", np.float32(0)): "divisor other than 0",
}


@pytest.mark.parametrize("build", REFUSED, ids=[getattr(b, "__name__", "f") for b in REFUSED])
def test_refusals_name_node_expected_and_found(build):
    graph = graph_of((2, 4, 4), "UINT8")
    build(graph)
    with pytest.raises(ModelError, match=REFUSED[build]) as caught:
        lower(graph.build())
    message = str(caught.value)
    assert "expected" in message and "found" in message and "'n" in message and "\n" not in message


def test_a_float_input_needs_a_quantiser():
    graph = graph_of((2, 4, 4))
    conv(graph, ones(1, 2, 1, 1))
    with pytest.raises(ModelError, match="float input"):
        lower(graph.build())


def test_an_exploding_network_is_refused_before_it_takes_memory(monkeypatch):
    monkeypatch.setattr(builder, "MAX_MACS", 100)
    graph = graph_of((2, 4, 4), "UINT8")
    conv(graph, ones(4, 2, 1, 1))
    with pytest.raises(ModelError, match="multiplications per image"):
        lower(graph.build())


@pytest.mark.parametrize("rows, code", [
    ([[1, -1], [-0.5, 0.5]], BIPOLAR_WEIGHTS), ([[0.25, 0], [0, 0]], UNIPOLAR_WEIGHTS), ([[-3, 0], [2, 2]], UNIPOLAR_WEIGHTS),
    ([[1, 0], [-1, 1]], signed_weights(2)), ([[0.5, 1.5], [1, -1]], WeightCode((1, 0), 0)), ([[1, 2], [-4, 3]], signed_weights(3)),
    ([[127, -128], [1, 0]], signed_weights(8)), ([[0, 0], [1, -1]], signed_weights(2)), ([[1, 2], [0.1, 0]], signed_weights(3))])
def test_weight_codes(rows, code):
    graph = graph_of((2,), "BIPOLAR")
    graph.op("MatMul", np.array(rows, np.float32).T)
    built = graph.build()
    network = lower(built)
    conv_node = network.topology.nodes[1]
    assert isinstance(conv_node, Conv) and conv_node.weights == code
    x = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], np.float32)
    assert compare(built, network, x).equal


def test_weights_behind_quantisers_are_rounded_exactly():
    latent = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 3.6, 0.3, -9]], np.float32)
    graph = graph_of((8,), "BIPOLAR")
    weights = graph.op("Quant", np.float32(1), np.float32(0), np.float32(3), source=graph.constant(latent.T), signed=1, narrow=0,
                       rounding_mode="ROUND")
    graph.op("MatMul", weights, source="x")
    network = lower(graph.build())
    assert network.params[1].weights.reshape(-1).tolist() == [0, 2, 2, 0, -2, 3, 0, -4]


def test_a_codebook_stays_one():
    graph = graph_of((2, 4, 4), "BIPOLAR")
    rng = np.random.default_rng(0)
    book = rng.integers(0, 2, (3, 3, 3)) * 2 - 1
    index = rng.integers(0, 3, (5, 2))
    name = graph.op("Gather", graph.constant(index, "int64"), source=graph.constant(book), axis=0)
    graph.op("Conv", name, source="x", **{**CONV, "kernel_shape": (3, 3)})
    network = lower(graph.build())
    params = network.params[1]
    assert network.topology.nodes[1].codebook == CodebookShape(3, 1, (3, 3)) == params.codebook.shape
    np.testing.assert_array_equal(params.codebook.weights, params.weights)
    np.testing.assert_array_equal(params.weights, book[index])


def test_float_inputs_are_quantised_by_the_host():
    for mode in ("ROUND", "HALF_UP", "UP", "DOWN", "FLOOR", "CEIL", "HALF_DOWN"):
        for signed, narrow, zero in ((1, 0, 0), (1, 1, 0), (0, 0, 0), (1, 1, 1), (0, 0, 3)):
            graph = graph_of((1,))
            graph.op("Mul", np.float32(2))
            graph.op("Sub", np.float32(0.75))
            graph.op("Quant", np.float32(0.5), np.float32(zero), np.float32(3), signed=signed, narrow=narrow, rounding_mode=mode)
            built = graph.build()
            network = lower(built)
            assert isinstance(network.topology.nodes[-1], Input)
            x = (np.arange(-40, 41) / 16).astype(np.float32)[:, None]
            codes = encode(network, x)
            meaning = network.meanings[0]
            real = float(meaning.scale[0]) * (codes - float(meaning.zero[0]))
            np.testing.assert_array_equal(real.reshape(-1), run(built, x)[built.outputs[0].name].reshape(-1))
    graph = graph_of((1,))
    graph.op("Sub", np.float32(0.25))
    graph.op("BipolarQuant", np.float32(1))
    assert encode(lower(graph.build()), np.array([[0.25], [0.24], [-1]], np.float32)).reshape(-1).tolist() == [1, 0, 0]


def test_images_that_do_not_fit_are_refused():
    graph = graph_of((2, 3, 4), "UINT8")
    conv(graph, ones(1, 2, 1, 1))
    network = lower(graph.build())
    good = np.arange(48).reshape(2, 2, 3, 4) % 256
    for same in (good, good.reshape(2, -1), good.astype(np.float32), np.moveaxis(good, 1, 3)):
        np.testing.assert_array_equal(encode(network, same), good)
    for bad in (good[:, :1], good + 0.5, good - 1, good + 250, good.astype(float) * np.nan, good.astype(str), good[0, 0, 0, 0]):
        with pytest.raises(ImageError):
            encode(network, bad)
    floats = graph_of((2,))
    floats.op("BipolarQuant", np.float32(1))
    with pytest.raises(ImageError, match="floats"):
        encode(lower(floats.build()), np.zeros((1, 2), np.uint8))


def test_accuracy():
    scores = np.array([[3, 1, 3], [0, 5, 2]]).reshape(2, 3, 1, 1)
    assert accuracy(scores, [0, 2]) == 0.5 and accuracy(scores.argmax(axis=1)[:, None], [0, 1]) == 1.0
    with pytest.raises(ImageError):
        accuracy(scores, [0])


def test_preprocessing_of_pixels_becomes_thresholds():
    graph = graph_of((3, 2, 2), "UINT8")
    graph.op("Div", np.float32(255))
    graph.op("Sub", np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1))
    graph.op("Div", np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1))
    graph.op("Quant", np.float32(0.25), np.float32(0), np.float32(4), signed=1, narrow=0)
    built = graph.build()
    network = lower(built)
    assert [type(node) for node in network.topology.nodes] == [Input, Threshold] and network.topology.nodes[0].rounding is None
    pixels = np.broadcast_to(np.arange(256)[:, None, None, None], (256, 3, 2, 2)).astype(np.float32)
    assert compare(built, network, pixels).equal


def test_a_residual_adds_codes():
    graph = graph_of((2, 3, 3), "BIPOLAR")
    conv(graph, np.array([[1.0, -1], [1, 1]]).reshape(2, 2, 1, 1))
    left = graph.op("Quant", np.float32(0.5), np.float32(0), np.float32(3), signed=1, narrow=0)
    graph.op("Add", graph.op("Mul", np.float32(0.25), source="x"), source=left)
    graph.op("BipolarQuant", np.float32(1))
    built = graph.build()
    network = lower(built)
    assert any(isinstance(node, Add) for node in network.topology.nodes)
    x = (np.random.default_rng(0).integers(0, 2, (9, 2, 3, 3)) * 2 - 1).astype(np.float32)
    assert compare(built, network, x).equal
    codes = encode(network, x)
    for a, b in zip(reference.run(network, codes), golden.run(network, codes), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(golden.outputs(network, codes), b)


def test_an_average_before_a_dense_layer_is_a_sum():
    graph = graph_of((4, 3, 3), "UINT8")
    graph.op("GlobalAveragePool")
    graph.op("Flatten", axis=1)
    graph.op("MatMul", np.random.default_rng(0).integers(0, 2, (4, 3)) * 2 - 1)
    built = graph.build()
    x = np.random.default_rng(1).integers(0, 256, (5, 4, 3, 3)).astype(np.float32)
    network = lower(built)
    assert compare(built, network, x).equal
    np.testing.assert_array_equal(golden.outputs(network, encode(network, x))[:, :, 0, 0], x.sum(axis=(2, 3)) @ built.constants["c0"])


def test_pools_of_falling_sums_that_no_quantiser_follows():
    graph = graph_of((1, 2, 2), "BIPOLAR")
    conv(graph, ones(2, 1, 1, 1))
    graph.op("Mul", np.array([1.0, -2.0]).reshape(2, 1, 1))
    graph.op("MaxPool", kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0))
    built = graph.build()
    network = lower(built)
    assert any(isinstance(node, Scale) for node in network.topology.nodes)
    x = (np.random.default_rng(0).integers(0, 2, (9, 1, 2, 2)) * 2 - 1).astype(np.float32)
    assert compare(built, network, x).equal


def test_classes_whose_scores_tie_exactly_go_to_the_lowest_index():
    graph = graph_of((6,), "BIPOLAR")
    graph.op("MatMul", np.tile(np.array([[1.0], [1], [1], [-1], [-1], [1]]), (1, 3)))
    graph.op("BatchNormalization", [1, 2, 1], [0.5, 0.5, 0.5], [0, 0, 0], [2, 8, 2], epsilon=float(np.float32(2**-20)))
    # the second scale is a little greater than the other two, which are equal
    graph.op("ArgMax", axis=1, keepdims=0, select_last_index=0)
    network = lower(graph.build())
    codes = np.array(list(np.ndindex(*[2] * 6))).reshape(-1, 6, 1, 1)
    best = golden.outputs(network, codes).reshape(-1)
    sums = (codes.reshape(-1, 6) * 2 - 1) @ np.array([1, 1, 1, -1, -1, 1])
    root = [np.sqrt(np.longdouble(v) + np.longdouble(2) ** -20) for v in (2, 8)]
    first, second = sums / root[0] + 0.5, 2 * sums / root[1] + 0.5
    np.testing.assert_array_equal(best, np.where(second > first, 1, 0))
    assert set(best.tolist()) == {0, 1}


def test_scales_too_far_apart_or_too_wide_for_64_bits_are_refused():
    for scale, word in ((np.array([1e-30, 1e30]), "64 bits"), (np.array([1, 1 / 3]), None)):
        graph = graph_of((6,), "BIPOLAR")
        graph.op("MatMul", np.ones((6, 2)))
        graph.op("Mul", scale)
        if word is None:
            lower(graph.build())
            continue
        with pytest.raises(ModelError, match=word):
            lower(graph.build())
    graph = graph_of((6,), "BIPOLAR")
    graph.op("MatMul", np.ones((6, 2)))
    graph.op("BatchNormalization", [1e-20, 1e10], [0, 0], [0, 0], [2, 3], epsilon=1e-5)
    with pytest.raises(ModelError, match="too far apart|64 bits"):
        lower(graph.build())

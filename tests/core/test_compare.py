"""`compare` finds what was broken and says where; near ties are told apart from differences. `summary` counts."""

import dataclasses

import numpy as np
import pytest
from random_networks import Knobs, draw_graph, draw_images
from small_graphs import graph_of

from bwnhw.codes import encode
from bwnhw.compare import compare
from bwnhw.errors import ModelError
from bwnhw.float_exec import run
from bwnhw.lower import lower
from bwnhw.network import Conv, ConvParams, Threshold, ThresholdParams
from bwnhw.summary import summary


def two_layers():
    rng = np.random.default_rng(7)
    graph = graph_of((1, 6, 6), "UINT8")
    graph.op("Conv", rng.integers(0, 2, (4, 1, 3, 3)) * 2 - 1, kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1),
             dilations=(1, 1), group=1)
    graph.op("BatchNormalization", rng.normal(size=4), rng.normal(size=4), rng.normal(size=4) * 100, [2000.0] * 4, epsilon=1e-5)
    graph.op("BipolarQuant", np.float32(1))
    graph.op("MaxPool", kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0))
    graph.op("Flatten", axis=1)
    graph.op("MatMul", rng.integers(0, 2, (36, 3)) * 2 - 1)
    graph.op("ArgMax", axis=1, keepdims=1, select_last_index=0)
    built = graph.build()
    return built, lower(built), rng.integers(0, 256, (70, 1, 6, 6)).astype(np.float32)


def changed(network, kind, change):
    """The network with the params of its first node of a kind replaced by `change(params)`."""
    index = next(i for i, node in enumerate(network.topology.nodes) if isinstance(node, kind))
    params = list(network.params)
    params[index] = change(params[index])
    return dataclasses.replace(network, params=tuple(params)), index


def test_equal_networks_are_equal():
    graph, network, x = two_layers()
    result = compare(graph, network, x)
    assert result.equal and result.first is None and result.images == 70
    assert [layer.kind for layer in result.layers] == ["Input", "Conv", "Threshold", "Pool", "Conv", "ArgMax"]
    assert [layer.values for layer in result.layers][:3] == [70 * 36, 70 * 144, 70 * 144]


def test_images_may_come_with_channels_last():
    graph = graph_of((2, 3, 4), "UINT8")
    graph.op("Conv", np.array([1.0, -1]).reshape(1, 2, 1, 1), kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1),
             group=1)
    last = graph_of((3, 4, 2), "UINT8")
    last.op("Transpose", perm=(0, 3, 1, 2))
    last.op("Conv", np.array([1.0, -1]).reshape(1, 2, 1, 1), kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1),
            group=1)
    x = np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4)
    for built in (graph.build(), last.build()):
        for images in (x, np.moveaxis(x, 1, 3)):
            network = lower(built)
            np.testing.assert_array_equal(encode(network, images), x)
            assert compare(built, network, images).equal


def test_a_broken_weight_is_found_in_its_layer():
    graph, network, x = two_layers()

    def flip(params):
        weights = params.weights.copy()
        weights[2, 0, 1, 1] *= -1
        return ConvParams(weights)

    broken, index = changed(network, Conv, flip)
    result = compare(graph, broken, x)
    layer, difference = result.first
    assert not result.equal and layer.node == index and difference.channel == 2 and difference.image == 0
    x_middle = x[0, 0, difference.row, difference.column]
    assert abs(difference.integer - difference.floating) == 2 * x_middle
    assert {d.channel for d in layer.different} == {2}


def test_a_broken_threshold_is_found_and_does_not_spread():
    graph, network, x = two_layers()

    def move(params):
        thresholds = params.thresholds.copy()
        thresholds[1] += 1
        return ThresholdParams(thresholds, params.flip)

    broken, index = changed(network, Threshold, move)
    x = np.repeat(np.arange(256)[:, None], 36, axis=1).reshape(256, 1, 6, 6).astype(np.float32)
    result = compare(graph, broken, x)
    assert [layer.node for layer in result.layers if layer.different_count] == [index]
    assert {d.channel for d in result.first[0].different} == {1}


def test_rounding_of_float32_is_told_apart():
    graph = graph_of((2,), "UINT8")
    graph.op("Mul", np.float32(1 / 255))  # a little more than 1/255: exactly, 255 lies above 1 and rounds up
    graph.op("MatMul", np.ones((2, 1)))
    graph.op("Quant", np.float32(0.5), np.float32(0), np.float32(4), signed=1, narrow=0, rounding_mode="CEIL")
    built = graph.build()
    network = lower(built)
    x = np.array([[255, 255], [3, 4]], np.float32)
    assert encode(network, x).tolist() == [[[[255]], [[255]]], [[[3]], [[4]]]]
    result = compare(built, network, x)
    assert result.equal and sum(layer.near_count for layer in result.layers) == 1
    near = result.layers[-1].near[0]
    assert (near.image, near.integer - near.floating) == (0, 1)
    broken, _ = changed(network, Threshold, lambda params: ThresholdParams(params.thresholds - 3, params.flip))
    x = np.array([[255, 253], [3, 4]], np.float32)  # 508: two pixels below the step, which no rounding explains
    assert compare(built, network, x).equal and not compare(built, broken, x).equal


@pytest.mark.parametrize("seed", range(20))
def test_broken_parameters_of_drawn_networks_show(seed):
    rng = np.random.default_rng(seed)
    drawn = draw_graph(rng, Knobs(layers=(2, 3), ends=("scores",), inputs=("bipolar",)))
    network = lower(drawn.graph)
    x = draw_images(rng, drawn.graph, 20)

    def flip(params):
        return ThresholdParams(params.thresholds, ~params.flip)

    broken, index = changed(network, Threshold, flip)
    levels = network.topology.nodes[index].out.hi
    result = compare(drawn.graph, broken, x)
    assert not result.equal and result.first[0].node >= index and levels


def test_a_network_of_another_model_is_refused():
    graph, network, x = two_layers()
    other = dataclasses.replace(network, meanings=(None,) * len(network.meanings))
    with pytest.raises(ModelError, match="another model"):
        compare(graph, other, x)


def test_summary_counts_weights_and_multiplications():
    _, network, _ = two_layers()
    rows = summary(network)
    assert [row.kind for row in rows] == ["input", "conv", "threshold", "max pool", "dense", "arg-max"]
    assert (rows[1].weights, rows[1].weight_bits, rows[1].macs, rows[1].kernels) == (36, 36, 36 * 36, 4)
    assert 1 <= rows[1].distinct_kernels <= 4 and rows[4].macs == 108 and rows[4].kernels == 0
    assert "±1" in rows[1].detail and "pads 1,1,1,1" in rows[1].detail and rows[0].tensor == "x"


def test_another_executor_is_held_against_the_integers():
    graph, network, x = two_layers()
    asked = []

    def executor(simplified, images):
        asked.append(len(images))
        floats = run(simplified, images)
        tensor = next(op.outputs[0] for op in simplified.ops if op.kind == "BipolarQuant" and op.outputs[0] in floats
                      and floats[op.outputs[0]].ndim == 4 and len(floats[op.outputs[0]]) == len(images))
        return {**floats, tensor: -floats[tensor]}

    result = compare(graph, network, x, executor)
    assert asked == [64, 6]
    assert not result.equal and result.first[0].kind == "Threshold" and result.first[0].different_count == 70 * 144

"""Lowering: float graph == compare == reference == golden on drawn graphs; thresholds against brute force; qonnx as the oracle."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import qonnx_run
from random_networks import Knobs, draw_graph, draw_images
from small_graphs import graph_of

from bwnhw import golden, reference
from bwnhw.codes import encode
from bwnhw.compare import compare
from bwnhw.exact import root, surd
from bwnhw.float_exec import run
from bwnhw.lower import lower
from bwnhw.network import ArgMax, Conv, Pool, Threshold
from bwnhw.rounding import round_exact

CASES = {
    "anything": Knobs(),
    "padded bipolar": Knobs(activations=("bipolar",), inputs=("bipolar",), padded=1.0, layers=(2, 3), dense=0.0, kernels=(2, 3)),
    "multi-bit": Knobs(activations=("unsigned", "signed", "ternary"), layers=(2, 3)),
    "pool before a negative slope": Knobs(pool_before=1.0, norm=1.0, layers=(2, 3), size=(3, 8), dense=0.0, kernels=(1, 2)),
    "averages": Knobs(pool_after=1.0, average=0.7, layers=(2, 3), size=(3, 8), dense=0.2),
}


def check(seed, knobs, images=3):
    rng = np.random.default_rng(seed)
    drawn = draw_graph(rng, knobs)
    x = draw_images(rng, drawn.graph, images)
    network = lower(drawn.graph)
    codes = encode(network, x)
    found = reference.run(network, codes)
    for node, a, b in zip(network.topology.nodes, found, golden.run(network, codes), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.shape[1:] == node.out.shape and a.min() >= node.out.lo and a.max() <= node.out.hi
    result = compare(drawn.graph, network, x)
    assert result.equal, result.first
    assert result.layers[-1].values
    return drawn, network, x, codes


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_float_graph_reference_golden(case, seed):
    check(seed, CASES[case])


@pytest.mark.parametrize("seed", range(12))
def test_qonnx_sees_the_same_values(seed):
    drawn, network, x, codes = check(seed, Knobs(batch=2, layers=(1, 3)), images=2)
    context = qonnx_run(drawn.graph, x)
    floats = run(drawn.graph, x)
    for meaning, integers in zip(network.meanings, reference.run(network, codes), strict=True):
        if meaning is not None and meaning.tensor in context:
            scale, zero = (np.array([float(v) for v in row]).reshape(-1, 1, 1) for row in (meaning.scale, meaning.zero))
            if np.array_equal(floats[meaning.tensor], context[meaning.tensor]):  # else float32's order of sums: `compare` looks at that
                np.testing.assert_allclose((scale * (integers - zero)).reshape(context[meaning.tensor].shape), context[meaning.tensor],
                                           rtol=1e-5, atol=1e-4)


# One quantiser behind one affine function, against the exact expression for every integer.

ratios = st.integers(-200, 200).map(lambda n: n / 16)
positive = st.integers(1, 200).map(lambda n: n / 64)


@settings(max_examples=80, deadline=None)
@given(gamma=ratios, beta=ratios, mean=ratios, var=positive, scale=positive, alpha=ratios,
       bits=st.integers(1, 4), signed=st.booleans(), narrow=st.booleans(),
       mode=st.sampled_from(["ROUND", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN"]), bipolar=st.booleans(), pool=st.booleans())
def test_thresholds_for_every_integer(gamma, beta, mean, var, scale, alpha, bits, signed, narrow, mode, bipolar, pool):
    narrow = narrow and bits > 1
    inputs = 9
    graph = graph_of((inputs, 1, 2), "BIPOLAR")
    graph.op("Conv", np.ones((1, inputs, 1, 1)), kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), group=1)
    graph.op("Mul", np.float32(alpha))
    if pool:
        graph.op("MaxPool", kernel_shape=(1, 2), strides=(1, 2), pads=(0, 0, 0, 0))
    graph.op("BatchNormalization", [gamma], [beta], [mean], [var], epsilon=float(np.float32(1e-5)))
    if bipolar:
        graph.op("BipolarQuant", np.float32(scale))
    else:
        graph.op("Quant", np.float32(scale), np.float32(0), np.float32(bits), signed=int(signed), narrow=int(narrow), rounding_mode=mode)
    network = lower(graph.build())
    images = (np.arange(inputs)[:, None] < np.arange(inputs + 1)[None, :]).T * 1  # every number of ones: every sum
    codes = np.stack([images, images], axis=2)[:, :, None, :]
    z = codes.sum(axis=(1, 2)) * 2 - inputs  # (images, 2)
    found = golden.outputs(network, codes)[:, 0, 0, :]
    eps = Fraction(float(np.float32(1e-5)))
    factor = surd(Fraction(gamma)) / root(Fraction(var) + eps)

    def real(value):
        return (Fraction(alpha) * Fraction(value) + -Fraction(mean)) * factor + Fraction(beta)

    for row, values in zip(found, z.tolist(), strict=True):
        if pool:
            values = [max(values, key=lambda v: alpha * v)]
        for code, value in zip(row, values, strict=False):
            assert code == exact_code(real(value), Fraction(scale), bits, signed, narrow, mode, bipolar)


def exact_code(y, scale, bits, signed, narrow, mode, bipolar):
    if bipolar or bits == 1 and signed:
        return int(y.sign() >= 0)
    low, high = (-2**(bits - 1) + narrow, 2**(bits - 1) - 1) if signed else (0, 2**bits - 1 - narrow)
    quotient = y / scale
    if quotient <= low:
        return 0
    if quotient >= high:
        return high - low
    # the quotient's place between two multiples of 1/2 decides every mode
    doubled = quotient * 2
    floor = doubled.floor()
    inside = Fraction(floor, 2) if doubled == surd(floor) else Fraction(floor, 2) + Fraction(1, 4)
    return round_exact(inside, mode) - low


def test_slope_zero_is_a_constant_and_ties_are_plus_one():
    graph = graph_of((4,), "BIPOLAR")
    graph.op("MatMul", np.ones((4, 3)))
    graph.op("BatchNormalization", [0, 0, 1], [0, -0.5, 0], [3, 3, 2], [1, 1, 1], epsilon=float(np.float32(1e-5)))
    graph.op("BipolarQuant", np.float32(1))
    network = lower(graph.build())
    codes = np.array([[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]).reshape(3, 4, 1, 1)
    assert golden.outputs(network, codes)[:, :, 0, 0].tolist() == [[1, 0, 0], [1, 0, 1], [1, 0, 1]]  # sums −4, 2 (tie), 4


def test_a_pool_waits_for_its_threshold_and_flips():
    graph = graph_of((1, 2, 2), "BIPOLAR")
    graph.op("Conv", np.ones((2, 1, 1, 1)), kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), group=1)
    graph.op("MaxPool", kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0))
    graph.op("Mul", np.array([1, -1]).reshape(2, 1, 1))
    graph.op("BipolarQuant", np.float32(1))
    network = lower(graph.build())
    kinds = [type(node) for node in network.topology.nodes]
    assert kinds[1:] == [Conv, Threshold, Pool]
    assert network.params[2].flip.tolist() == [False, False] and network.params[3].flip.tolist() == [False, True]
    codes = np.array([[0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]]).reshape(3, 1, 2, 2)
    assert golden.outputs(network, codes)[:, :, 0, 0].tolist() == [[0, 1], [1, 0], [1, 0]]


def test_a_flattened_map_keeps_its_channel_order():
    rng = np.random.default_rng(5)
    for layout in ("NCHW", "NHWC"):
        graph = graph_of((3, 2, 2), "BIPOLAR")
        if layout == "NHWC":
            graph.op("Conv", np.eye(3)[:, :, None, None] * 2 - 1, kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0),
                     dilations=(1, 1), group=1)
            graph.op("BipolarQuant", np.float32(1))
            graph.op("Transpose", perm=(0, 2, 3, 1))
        graph.op("Flatten", axis=1)
        graph.op("MatMul", rng.integers(0, 2, (12, 4)) * 2 - 1)
        built = graph.build()
        x = (rng.integers(0, 2, (5, 3, 2, 2)) * 2 - 1).astype(np.float32)
        network = lower(built)
        scores = golden.outputs(network, encode(network, x))[:, :, 0, 0]
        np.testing.assert_array_equal(scores, run(built, x)[built.outputs[0].name])


def test_per_class_scores_and_their_arg_max_are_exact():
    graph = graph_of((8,), "BIPOLAR")
    graph.op("MatMul", np.random.default_rng(1).integers(0, 2, (8, 3)) * 2 - 1)
    graph.op("Mul", np.array([0.5, 0.75, -1.25]))
    graph.op("Add", np.array([0.125, 0, 0.5]))
    scores = graph.build()
    graph.op("ArgMax", axis=1, keepdims=0, select_last_index=0)
    x = (np.random.default_rng(2).integers(0, 2, (64, 8)) * 2 - 1).astype(np.float32)
    floats = run(scores, x)[scores.outputs[0].name]
    network, best = lower(scores), lower(graph.build())
    unit = network.meanings[-1].scale[0]
    np.testing.assert_array_equal(golden.outputs(network, encode(network, x))[:, :, 0, 0] * float(unit), floats)
    assert isinstance(best.topology.nodes[-1], ArgMax)
    np.testing.assert_array_equal(golden.outputs(best, encode(best, x)).reshape(-1), floats.argmax(axis=1))


def test_scores_behind_a_batch_norm_keep_their_order():
    rng = np.random.default_rng(3)
    for _ in range(20):
        graph = graph_of((10,), "BIPOLAR")
        graph.op("MatMul", rng.integers(0, 2, (10, 4)) * 2 - 1)
        norm = [rng.choice([-1.5, 1.0, 2.0], 4), rng.normal(size=4), rng.normal(size=4), rng.choice([1.0, 0.5, 2.0], 4)]
        graph.op("BatchNormalization", *norm, epsilon=float(np.float32(1e-5)))
        graph.op("ArgMax", axis=1, keepdims=1, select_last_index=0)
        built = graph.build()
        x = (rng.integers(0, 2, (200, 10)) * 2 - 1).astype(np.float32)
        result = compare(built, lower(built), x)
        assert result.equal and result.layers[-1].kind == "ArgMax"

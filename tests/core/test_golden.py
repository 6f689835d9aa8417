"""golden == reference on random integer networks, in every way that golden computes a conv; and both can fail."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integer_networks import random_codes, random_network, random_threshold

from bwnhw import golden, golden_conv, reference
from bwnhw.errors import ImageError
from bwnhw.network import BIPOLAR_WEIGHTS, ConvParams


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), layers=st.integers(1, 4))
def test_golden_is_reference(seed, layers):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(golden_conv, "_LEAST_ROWS", seed % 2 * 10**9)  # by tables, and by BLAS as few images usually go
        golden_is_reference(seed, layers)


def golden_is_reference(seed, layers):
    rng = np.random.default_rng(seed)
    network = random_network(rng, layers)
    codes = random_codes(rng, network, 3)
    wanted = reference.run(network, codes)
    found = golden.run(network, codes)
    for index, (a, b) in enumerate(zip(wanted, found, strict=True)):
        out = network.topology.nodes[index].out
        assert a.dtype == b.dtype == np.int64 and a.shape == b.shape == (3, *out.shape)
        np.testing.assert_array_equal(a, b, err_msg=f"node {index}")
        assert a.min(initial=0) >= out.lo and a.max(initial=0) <= out.hi
    np.testing.assert_array_equal(golden.outputs(network, codes), wanted[-1])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_tables_are_matrix(seed):
    with pytest.MonkeyPatch.context() as monkeypatch:
        tables_are_matrix(seed, monkeypatch)


def tables_are_matrix(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    network = random_network(rng, 1, channels=(4, 24))
    source, node, params = network.topology.nodes[0].out, network.topology.nodes[1], network.params[1]
    codes = np.moveaxis(random_codes(rng, network, 2), 1, 3)
    threshold = random_threshold(rng, 1, node.out, levels=1)[1] if rng.random() < 0.5 else None
    matrix = golden_conv.kernel(node, params, source, 0, threshold)
    assert isinstance(matrix.sums, golden_conv.Matrix)
    tables = golden_conv.kernel(node, params, source, 1 << 20, threshold)
    np.testing.assert_array_equal(matrix(codes), tables(codes))
    monkeypatch.setattr(golden_conv, "_BLOCK_ROWS", 1)
    monkeypatch.setattr(golden_conv, "_SLICE", 3)
    tables = golden_conv.kernel(node, params, source, 1 << 20, threshold)
    np.testing.assert_array_equal(matrix(codes), tables(codes))
    if source.bits == 1 and node.weights == BIPOLAR_WEIGHTS:
        assert isinstance(tables.sums, golden_conv.Tables)


@pytest.mark.parametrize("reach, dtype", [(2**24 - 1, np.float32), (2**24, np.float64), (2**53, np.int64)])
def test_the_matrix_type_is_exact(reach, dtype):
    assert golden_conv.Matrix.of(np.ones((1, 1, 1, 1), np.int8), reach).weights.dtype == dtype


def test_many_images_go_through_in_chunks(monkeypatch):
    rng = np.random.default_rng(1)
    network = random_network(rng, 2)
    codes = random_codes(rng, network, 50)
    whole = golden.run(network, codes)
    monkeypatch.setattr(golden, "_CHUNK", 1)
    for a, b in zip(whole, golden.run(network, codes), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_image_at_all():
    network = random_network(np.random.default_rng(2), 2)
    codes = np.zeros((0, *network.topology.nodes[0].out.shape), np.int64)
    assert [len(m) for m in golden.run(network, codes)] == [len(m) for m in reference.run(network, codes)] == [0] * len(network.params)


def test_a_broken_weight_shows():
    rng = np.random.default_rng(3)
    network = random_network(rng, 1)
    codes = random_codes(rng, network, 8)
    weights = network.params[1].weights.copy()
    weights[0, 0, 0, 0] = weights[0, 0, 0, 0] % 2 - 1 or 1
    broken = dataclasses.replace(network, params=(None, ConvParams(weights), *network.params[2:]))
    assert (golden.run(broken, codes)[1] != reference.run(network, codes)[1]).any()


@pytest.mark.parametrize("run", [golden.run, reference.run])
def test_bad_codes_are_refused(run):
    network = random_network(np.random.default_rng(4), 1)
    out = network.topology.nodes[0].out
    good = np.zeros((1, *out.shape), np.int64)
    for bad, word in ((good.astype(float), "integers"), (good[0], "shape"), (good + out.hi + 1, "values")):
        with pytest.raises(ImageError, match=word):
            run(network, bad)

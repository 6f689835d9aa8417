"""Codebooks in the file: written, read back, lowered, executed to the same values by qonnx; and what compress does to a model."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from oracle import qonnx_run
from small_graphs import graph_of

from bwnhw import golden, zoo
from bwnhw.codebook_graph import gathered
from bwnhw.codebooks import Scope, Selection, Unit, mapped, select
from bwnhw.codes import encode
from bwnhw.compare import compare
from bwnhw.compress import changes, compress
from bwnhw.errors import ModelError
from bwnhw.float_exec import run
from bwnhw.lower import lower
from bwnhw.network import CodebookShape, Conv
from bwnhw.onnx_read import from_bytes, load
from bwnhw.onnx_write import to_bytes
from bwnhw.summary import summary
from bwnhw.zoo import find

CONV = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}


def coded(selection, shape, scale=None, seed=0):
    """A bipolar input of 5×5 pixels and one convolution whose weights have a codebook; the codebook too."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=shape) + 0.8 * rng.normal(size=(1, *shape[1:]))
    book = mapped(latent, select([latent], selection), selection)
    graph = graph_of((shape[1], 5, 5), "BIPOLAR")
    graph.op("Conv", np.ones(shape), **CONV, kernel_shape=shape[2:])
    ops, constants = gathered(book, "layer")
    built = graph.build()
    weights = ops[-1].outputs[0]
    if scale is not None:
        ops = (*ops, replace(ops[-1], kind="BipolarQuant", name="q", inputs=(weights, "scale"), outputs=("q",), attrs={}))
        weights, constants = "q", {**constants, "scale": np.float32(scale)}
    return replace(built, ops=(*ops, replace(built.ops[0], inputs=("x", weights))), constants=constants), book


@pytest.mark.parametrize(("selection", "taps", "codewords"), [
    (Selection(4), (3, 3), CodebookShape(16, 1, (3, 3))),
    (Selection(3, complement_closed=True), (3, 3), CodebookShape(8, 1, (3, 3), True)),
    (Selection(2, Scope.INPUT_CHANNEL), (3, 3), CodebookShape(4, 6, (3, 3))),
    (Selection(2, Scope.INPUT_CHANNEL, True), (3, 3), CodebookShape(4, 6, (3, 3), True)),
    (Selection(6, Scope.INPUT_CHANNEL), (3, 3), CodebookShape(64, 6, (3, 3))),  # 384 codewords: an index of two bytes
    (Selection(3, unit=Unit.ROW), (5, 5), CodebookShape(8, 1, (5,))),
    (Selection(2, Scope.INPUT_CHANNEL, unit=Unit.ROW), (5, 5), CodebookShape(4, 6, (5,))),
    (Selection(3), (5, 5), CodebookShape(8, 1, (5, 5))),
])
@pytest.mark.parametrize("scale", [None, 0.25])
def test_what_was_written_is_read_back_as_a_codebook(selection, taps, codewords, scale):
    graph, book = coded(selection, (12, 6, *taps), scale)
    assert graph.constants["layer.index"].dtype == (np.uint16 if codewords.words == 64 else np.uint8)
    read = from_bytes(to_bytes(graph), "coded")
    network = lower(read)
    node, params = network.topology.nodes[1], network.params[1]
    assert node.codebook == codewords == params.codebook.shape
    np.testing.assert_array_equal(params.codebook.codewords, book.codewords)
    np.testing.assert_array_equal(params.codebook.index, book.index)
    np.testing.assert_array_equal(params.weights, book.weights)
    rng = np.random.default_rng(1)
    x = rng.choice(np.float32([-1, 1]), (3, 6, 5, 5))
    theirs = qonnx_run(graph, x)[graph.outputs[0].name]
    np.testing.assert_array_equal(run(read, x)[graph.outputs[0].name], theirs)
    np.testing.assert_array_equal(golden.outputs(network, encode(network, x)) * (scale or 1), theirs)
    assert compare(graph, network, x).equal


def test_an_index_of_any_size_is_read():
    graph, book = coded(Selection(2), (40, 60, 3, 3))
    np.testing.assert_array_equal(lower(from_bytes(to_bytes(graph), "large")).params[1].codebook.index, book.index)
    bad = graph.constants["layer.index"].copy()
    bad[39, 59] = 4
    with pytest.raises(ModelError, match=r"indices in 0\.\.3, found 0\.\.4"):
        lower(replace(graph, constants={**graph.constants, "layer.index": bad}))


def test_another_index_is_another_network():
    graph, _ = coded(Selection(3), (12, 6, 3, 3))
    index = graph.constants["layer.index"].copy()
    index[4, 2] ^= 1
    other = replace(graph, constants={**graph.constants, "layer.index": index})
    x = np.random.default_rng(1).choice(np.float32([-1, 1]), (3, 6, 5, 5))
    name = graph.outputs[0].name
    assert not np.array_equal(run(graph, x)[name], run(other, x)[name])
    assert not np.array_equal(lower(graph).params[1].weights, lower(other).params[1].weights)


def test_a_scale_per_filter_keeps_the_codebook_and_one_per_tap_is_refused():
    rows = 2.0 ** np.arange(-6, 6).reshape(12, 1, 1, 1)
    network = lower(coded(Selection(3), (12, 6, 3, 3), rows)[0])
    assert network.topology.nodes[1].codebook == CodebookShape(8, 1, (3, 3))
    with pytest.raises(ModelError, match="one weight scale per output channel"):
        lower(coded(Selection(3), (12, 6, 3, 3), np.arange(1, 10).reshape(3, 3))[0])


def test_sizes_count_the_codebook():
    graph, _ = coded(Selection(2, Scope.INPUT_CHANNEL), (12, 6, 3, 3))
    (_, row) = summary(lower(graph))
    assert row.weights == 12 * 6 * 9 and row.weight_bits == 12 * 6 * 2 + 6 * 4 * 9
    assert row.detail.endswith("4 codewords (per channel)")
    closed = summary(lower(coded(Selection(3, complement_closed=True), (12, 6, 3, 3))[0]))[1]
    assert closed.weight_bits == 12 * 6 * 3 + 4 * 9 and closed.detail.endswith("8 codewords (closed)")


# Compressing a model.

@pytest.fixture(scope="module")
def digits():
    return load(find("digits-conv"))


SELECTIONS = [Selection(4), Selection(3, Scope.GLOBAL), Selection(2, Scope.INPUT_CHANNEL), Selection(3, Scope.LAYER, True, 0.01)]


@pytest.mark.parametrize("selection", SELECTIONS, ids=lambda selection: selection.scope)
def test_compressed_digits(digits, selection):
    graph = compress(digits, selection)
    before, after = lower(digits), lower(from_bytes(to_bytes(graph), "compressed"))
    convs = [index for index, node in enumerate(before.topology.nodes) if isinstance(node, Conv)]
    coded_layers = convs[1:3]
    for index in convs:
        old, new = before.params[index].weights, after.params[index].weights
        assert (after.topology.nodes[index].codebook is not None) == (index in coded_layers)
        assert np.array_equal(old, new) == (index not in coded_layers)
    found = changes(before, after)
    for index, change in zip(coded_layers, found, strict=True):
        old, new = before.params[index].weights, after.params[index].weights
        assert change.changed == (old != new).sum() > 0 and change.weights == change.bits_before == old.size
        assert change.exact == (old == new).all(axis=(2, 3)).sum() and change.kernels == old.size // 9
        assert change.distance == change.changed / change.kernels and change.adders >= 8
        shape = after.topology.nodes[index].codebook
        assert (shape.words, shape.closed) == (selection.words, selection.complement_closed)
        shared = selection.scope is Scope.GLOBAL and change is found[1]
        assert change.bits_after == old.size // 9 * selection.bits + (0 if shared else shape.codebook_bits) < change.bits_before
    assert sum(name.endswith(".codebook") for name in graph.constants) == (1 if selection.scope is Scope.GLOBAL else 2)
    assert to_bytes(compress(digits, selection)) == to_bytes(graph)


def test_qonnx_and_golden_agree_on_compressed_digits(digits):
    with np.load(zoo.test_images("digits-conv"), allow_pickle=False) as file:
        x = file["x"][:20].astype(np.float32)
    graph = compress(digits, Selection(4))
    network = lower(graph)
    assert compare(graph, network, x).equal
    np.testing.assert_array_equal(qonnx_run(graph, x)[graph.outputs[0].name], run(graph, x)[graph.outputs[0].name])


def two_layers(first, second, scale=1.0):
    """Two convolutions of given weights, a quantiser between them."""
    graph = graph_of((first.shape[1], 6, 6), "BIPOLAR")
    graph.op("Conv", first, **CONV, kernel_shape=first.shape[2:])
    graph.op("BipolarQuant", np.float32(1))
    weights = graph.op("BipolarQuant", np.float32(scale), source=graph.constant(second))
    graph.op("Conv", weights, source="t1", **CONV, kernel_shape=second.shape[2:])
    return graph.build()


def test_latent_weights_decide_where_the_file_has_them():
    rng = np.random.default_rng(0)
    first, second = rng.choice([-1.0, 1.0], (16, 4, 3, 3)), rng.normal(size=(24, 16, 3, 3))
    real = compress(two_layers(first, second), Selection(3))
    expected = mapped(second.astype(np.float32), select([second], Selection(3)), Selection(3)).weights
    np.testing.assert_array_equal(lower(real).params[3].weights, expected)
    signs = compress(two_layers(first, np.sign(second)), Selection(3))
    assert not np.array_equal(lower(signs).params[3].weights, expected)


@pytest.mark.parametrize("scale", [0.5, np.float32(0.1), np.linspace(0.1, 1, 24).astype(np.float32).reshape(24, 1, 1, 1)])
def test_scales_stay(scale):
    rng = np.random.default_rng(0)
    graph = two_layers(rng.choice([-1.0, 1.0], (16, 4, 3, 3)), rng.normal(size=(24, 16, 3, 3)), scale)
    before, after = lower(graph), lower(compress(graph, Selection(4)))
    assert before.meanings[3].scale == after.meanings[3].scale
    assert after.topology.nodes[3].codebook.words == 16


def test_negative_scales_stay_too():
    rng = np.random.default_rng(0)
    graph = graph_of((4, 6, 6), "BIPOLAR")
    graph.op("Conv", rng.choice([-1.0, 1.0], (16, 4, 3, 3)), **CONV, kernel_shape=(3, 3))
    graph.op("BipolarQuant", np.float32(1))
    second = rng.choice([-1.0, 1.0], (24, 16, 3, 3))
    weights = graph.op("Mul", np.where(np.arange(24) % 2, -0.5, 0.5).reshape(24, 1, 1, 1), source=graph.constant(second))
    graph.op("Conv", weights, source="t1", **CONV, kernel_shape=(3, 3))
    built = graph.build()
    found = compress(built, Selection(6))
    (change,) = changes(lower(built), lower(found))
    assert 0 < change.changed < second.size / 5
    x = rng.choice(np.float32([-1, 1]), (3, 4, 6, 6))
    assert compare(found, lower(found), x).equal
    assert lower(found).topology.nodes[3].codebook.words == 64
    one, other = (run(each, x)[each.outputs[0].name] for each in (built, found))
    assert np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1] > 0.5


def test_nine_bits_or_nothing_to_gain_is_refused(digits):
    for selection in (Selection(9), Selection(6, Scope.INPUT_CHANNEL)):
        with pytest.raises(ModelError, match="a codebook of . bits makes smaller, found none"):
            compress(digits, selection)
    with pytest.raises(ModelError, match="found none"):
        compress(load(find("mnist-sfc")), Selection(4))


def test_names_that_are_taken_stay_taken(digits):
    once = compress(digits, Selection(6))
    twice = compress(once, Selection(3))
    assert {change.codewords for change in changes(lower(digits), lower(twice))} == {8}
    assert [lower(twice).topology.nodes[index].codebook.words for index, node in enumerate(lower(twice).topology.nodes)
            if isinstance(node, Conv) and node.codebook] == [8, 8]


@pytest.mark.parametrize(("closed", "scope"), list(product((False, True), Scope)))
def test_fewer_bits_change_more(digits, closed, scope):
    before = lower(digits)
    networks = [lower(compress(digits, Selection(bits, scope, closed))) for bits in (1, 2, 3)]
    changed = [sum(change.changed for change in changes(before, network)) for network in networks]
    assert changed == sorted(changed, reverse=True) and changed[-1] > 0

"""A one-channel image before a dense layer becomes a vector, and nothing else changes."""

import numpy as np
from small_graphs import graph_of

from bwnhw import golden, reference
from bwnhw.codes import encode
from bwnhw.float_exec import run
from bwnhw.lower import lower
from bwnhw.lowering.flatten import flatten
from bwnhw.network import Conv


def image_then_dense(channels, weights):
    graph = graph_of((channels, 2, 3), "UINT8")
    graph.op("Sub", np.float32(99.5))
    graph.op("BipolarQuant", np.float32(1))
    graph.op("Flatten", axis=1)
    graph.op("MatMul", weights)
    return graph.build()


def test_the_vector_computes_what_the_map_did():
    rng = np.random.default_rng(3)
    weights = rng.choice([-1.0, 1.0], (6, 4)).astype(np.float32)
    graph = image_then_dense(1, weights)
    network = lower(graph)
    assert network.topology.nodes[0].out.shape == (6, 1, 1)
    assert next(node for node in network.topology.nodes if isinstance(node, Conv)).kernel == (1, 1)
    images = rng.integers(0, 256, (50, 1, 2, 3), dtype=np.uint8)
    codes = encode(network, images)
    scores = golden.run(network, codes)[-1]
    assert (scores == reference.run(network, codes)[-1]).all()
    wanted = run(graph, images.astype(np.float32))[graph.outputs[0].name]
    assert (scores.reshape(50, 4) == wanted).all()
    broken = codes.copy()
    broken[:, 0] = 255 - broken[:, 0]
    assert (golden.run(network, broken)[-1] != scores).any()


def test_maps_of_several_channels_stay_maps():
    rng = np.random.default_rng(4)
    network = lower(image_then_dense(2, rng.choice([-1.0, 1.0], (12, 3)).astype(np.float32)))
    assert network.topology.nodes[0].out.shape == (2, 2, 3)


def test_a_second_time_changes_nothing():
    rng = np.random.default_rng(5)
    network = lower(image_then_dense(1, rng.choice([-1.0, 1.0], (6, 4)).astype(np.float32)))
    assert flatten(network) is network

"""Batch norm statistics measured anew."""

import numpy as np
import pytest
from small_graphs import graph_of

from bwnhw.calibrate import recalibrated
from bwnhw.float_exec import run
from bwnhw.onnx_read import from_bytes
from bwnhw.onnx_write import to_bytes


@pytest.mark.parametrize("shape", [(3, 4, 4), (3,)])
def test_every_batch_norm_gives_mean_and_deviation_that_its_parameters_say(shape):
    rng = np.random.default_rng(0)
    gamma, beta = np.float32([1, -2, 0.5]), np.float32([0, 1, -0.25])
    graph = graph_of(shape)
    tensors = []
    for _ in range(2):
        tensors.append(graph.op("BatchNormalization", gamma, beta, np.float32([5, 5, 5]), np.float32([9, 9, 9]), epsilon=1e-5))
        graph.op("Relu")
    x = rng.normal(3, 7, (200, *shape)).astype(np.float32)
    found = run(from_bytes(to_bytes(recalibrated(graph.build(), x)), "n"), x)
    before = run(graph.build(), x)
    for name in tensors:
        axes = (0, *range(2, len(shape) + 1))
        np.testing.assert_allclose(found[name].mean(axis=axes), beta, atol=1e-3)
        np.testing.assert_allclose(found[name].std(axis=axes), np.abs(gamma), rtol=1e-3)
        assert np.abs(before[name].mean(axis=axes) - beta).max() > 0.1


def test_twice_is_the_same():
    rng = np.random.default_rng(0)
    graph = graph_of((2, 4, 4))
    graph.op("BatchNormalization", np.ones(2), np.zeros(2), np.zeros(2), np.ones(2))
    x = rng.normal(size=(20, 2, 4, 4)).astype(np.float32)
    once = recalibrated(graph.build(), x)
    np.testing.assert_array_equal(run(recalibrated(once, x), x)["t0"], run(once, x)["t0"])

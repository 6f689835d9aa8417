"""An unrolled layer in a whole generated design: values and cycles through both tiers, and a kernel that is broken in its graph alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from random_networks import Knobs, draw_graph, draw_images

from bwnhw.cycles import cycles
from bwnhw.design import design
from bwnhw.foldings import widest
from bwnhw.lower import lower
from bwnhw.network import Conv, ConvParams, Network
from bwnhw.onnx_write import to_bytes
from bwnhw.plan import Engine, Plan
from bwnhw.rtl.generate import generate
from bwnhw.sim.verify import SimResult, simulate

KNOBS = Knobs(layers=(2, 2), size=(4, 4), channels=(3, 4), kernels=(2, 3), inputs=("bipolar",), activations=("bipolar",), ends=("bias",),
              weights=("bipolar",), padded=1.0, dense=0.0, pool_before=0.0, pool_after=0.0)


class Sample:
    """A small padded W1A1 network of two convs: the first unrolled, the second a folded array."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        graph = draw_graph(rng, KNOBS).graph
        self.model, self.images = to_bytes(graph), draw_images(rng, graph, 6)
        self.network = lower(graph)
        nodes = self.network.topology.nodes
        first, second = (index for index, node in enumerate(nodes) if isinstance(node, Conv))
        conv = nodes[first]
        assert isinstance(conv, Conv)
        self.first = first
        self.plan = Plan(((first, replace(widest(conv, nodes[first - 1].out), engine="unrolled")), (second, Engine(2, 1, 2, 1, 2))))

    def broken(self) -> Network:
        """The same with another kernel in the first conv."""
        values = self.network.params[self.first]
        assert isinstance(values, ConvParams)
        weights: NDArray[np.int8] = values.weights.copy()
        weights[-1, 0] *= -1
        changed = {self.first: replace(values, weights=weights)}
        return replace(self.network, params=tuple(changed.get(number, kept) for number, kept in enumerate(self.network.params)))


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample()


def run(sample: Sample, network: Network, folder: Path, cache: Path) -> SimResult:
    """Generate a network's hardware, and hold it against the sample's model."""
    generate(network, sample.plan, sample.model, folder, "sample")
    return simulate(folder, sample.images, layers=True, bench_images=4, cache=cache)


def test_values_and_cycles(sample: Sample, cache: Path, tmp_path: Path) -> None:
    found = run(sample, sample.network, tmp_path / "sound", cache)
    assert found.passed and found.failure is None and found.mismatches == 0
    estimated = cycles(design(sample.network.topology, sample.plan))
    assert (found.latency, found.interval) == (estimated.latency, estimated.interval)
    assert [stage.latency for stage in found.stages] == [stage.latency for stage in estimated.stages]


def test_a_broken_graph_is_seen(sample: Sample, cache: Path, tmp_path: Path) -> None:
    """The adder graph is that of another matrix; the design around it is the same."""
    found = run(sample, sample.broken(), tmp_path / "broken", cache)
    assert not found.passed and found.mismatches
    assert found.failure and found.failure.startswith("cocotb: values_and_cycles: s0_conv: node 2, image 0, pixel (")

"""The committed foldings of the zoo's networks are what their names say."""

from pathlib import Path

import pytest

from bwnhw import zoo
from bwnhw.design import design
from bwnhw.estimate import Estimate, estimate
from bwnhw.lower import lower
from bwnhw.network import Conv, Topology
from bwnhw.onnx_read import load
from bwnhw.plan import Plan, from_json

PLANS = Path(__file__).parent.parent / "data" / "plans"
NAMES = zoo.names()


def read(name: str, folding: str) -> tuple[Topology, Plan, Estimate]:
    """A network's topology, its plan of that name, and the estimate."""
    topology = lower(load(zoo.find(name))).topology
    plan = from_json((PLANS / f"{name}-{folding}.json").read_text(encoding="utf-8"))
    return topology, plan, estimate(topology, plan)


@pytest.mark.parametrize("name", NAMES)
def test_parallel_is_as_fast_as_the_input_port(name: str) -> None:
    topology, plan, found = read(name, "parallel")
    assert found.interval == design(topology, plan).input.beats


@pytest.mark.parametrize("name", NAMES)
def test_uneven_divides_nowhere(name: str) -> None:
    topology, plan, _ = read(name, "uneven")
    for index, engine in plan.engines:
        node = topology.nodes[index]
        assert isinstance(node, Conv)
        assert node.out.channels % engine.pe


@pytest.mark.parametrize("name", NAMES)
def test_middle_has_its_bottleneck_in_a_middle_layer(name: str) -> None:
    _, _, found = read(name, "middle")
    arrays = [layer for layer in found.layers if layer.engine]
    slowest = max(arrays, key=lambda layer: layer.busy)
    assert slowest not in (arrays[0], arrays[-1])
    assert found.interval == slowest.busy
    assert all(layer.busy < slowest.busy / 2 for layer in arrays if layer is not slowest)

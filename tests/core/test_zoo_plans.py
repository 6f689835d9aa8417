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


def having(folding: str) -> list[str]:
    """The networks of the zoo that have a plan of that name."""
    return [name for name in zoo.names() if (PLANS / f"{name}-{folding}.json").exists()]


def read(name: str, folding: str) -> tuple[Topology, Plan, Estimate]:
    """A network's topology, its plan of that name, and the estimate."""
    network = lower(load(zoo.find(name)))
    plan = from_json((PLANS / f"{name}-{folding}.json").read_text(encoding="utf-8"))
    return network.topology, plan, estimate(network, plan)


def test_every_network_has_plans() -> None:
    assert {path.stem.rsplit("-", 1)[0] for path in PLANS.glob("*.json")} == set(zoo.names())
    assert min(len(having(folding)) for folding in ("parallel", "uneven", "middle")) >= 4


@pytest.mark.parametrize("name", having("fast"))
def test_fast_takes_an_image_in_the_time_of_the_first_layers_weight_planes(name: str) -> None:
    """Nine planes of ±1 for weights of 8 bits, one after the other, for each of 24·24 pixels."""
    _, _, found = read(name, "fast")
    first = next(layer for layer in found.layers if layer.engine)
    assert first.busy == 24 * 24 * 9
    assert found.interval <= 6400


@pytest.mark.parametrize("name", having("parallel"))
def test_parallel_is_as_fast_as_the_input_port(name: str) -> None:
    topology, plan, found = read(name, "parallel")
    assert found.interval == design(topology, plan).input.beats


@pytest.mark.parametrize("name", having("uneven"))
def test_uneven_divides_nowhere(name: str) -> None:
    topology, plan, _ = read(name, "uneven")
    for index, engine in plan.engines:
        node = topology.nodes[index]
        assert isinstance(node, Conv)
        assert node.out.channels % engine.pe


@pytest.mark.parametrize("name", having("middle"))
def test_middle_has_its_bottleneck_in_a_middle_layer(name: str) -> None:
    _, _, found = read(name, "middle")
    arrays = [layer for layer in found.layers if layer.engine]
    slowest = max(arrays, key=lambda layer: layer.busy)
    assert slowest not in (arrays[0], arrays[-1])
    assert found.interval == slowest.busy
    assert all(layer.busy < slowest.busy / 2 for layer in arrays if layer is not slowest)

"""The planner: plans keep the interval asked for, no brute-force plan is cheaper, and what can't be reached is refused."""

import sys
import time
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bwnhw.cycles import cycles
from bwnhw.design import design
from bwnhw.errors import PlanError
from bwnhw.foldings import BLOCK_DEPTH, cost, engines, pace, widest
from bwnhw.network import BIPOLAR_WEIGHTS, Conv, Input, Ints, Node, Pool, Threshold, Topology
from bwnhw.plan import Engine, Plan, from_json, to_json
from bwnhw.planner import DEFAULT_LUTS, Chain, parallel, plan, port_lanes
from bwnhw.resources import resources

sys.path.insert(0, str(Path(__file__).parent))

from random_designs import topologies  # noqa: E402  # the path above is this folder


def lenet() -> Topology:
    """The shapes of LeNet-3x3: three convs with pools, and a dense layer."""
    nodes: list[Node] = [Input(Ints(1, 28, 28, 0, 255), Fraction(1), Fraction(0), None)]
    for channels, size in ((32, 28), (64, 14), (64, 7)):
        before = nodes[-1].out
        top = 9 * before.channels * before.hi
        nodes.append(Conv((len(nodes) - 1,), Ints(channels, size, size, -top, top), (3, 3), (1, 1), (1, 1, 1, 1), BIPOLAR_WEIGHTS,
                          (2, -1) if before.hi == 1 else (1, 0)))
        nodes.append(Threshold((len(nodes) - 1,), Ints(channels, size, size, 0, 1), False))
        nodes.append(Pool((len(nodes) - 1,), Ints(channels, size // 2, size // 2, 0, 1), "max", (2, 2), (2, 2), (0, 0, 0, 0)))
    nodes.append(Conv((len(nodes) - 1,), Ints(10, 1, 1, -576, 576), (3, 3), (1, 1), (0, 0, 0, 0), BIPOLAR_WEIGHTS, (2, -1)))
    return Topology(tuple(nodes))


@pytest.mark.parametrize("interval", [784, 1000, 1568, 5000, 20_000])
def test_keeps_the_interval(interval: int) -> None:
    found = plan(lenet(), interval=interval)
    assert cycles(design(lenet(), found)).interval <= interval


def test_slower_is_cheaper() -> None:
    costs = [sum(cost(stage) for stage in design(lenet(), plan(lenet(), interval=n)).stages) for n in (784, 1568, 6272, 50_000)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0] / 4


def test_default_fits() -> None:
    found = design(lenet(), plan(lenet()))
    assert resources(found).luts <= DEFAULT_LUTS
    assert cycles(found).interval == 784


def test_is_quick() -> None:
    began = time.perf_counter()
    plan(lenet(), interval=3000)
    assert time.perf_counter() - began < 4


def test_unreachable_is_refused_with_the_nearest() -> None:
    with pytest.raises(PlanError, match="interval of 700 cycles; the nearest that can be reached is 784"):
        plan(lenet(), interval=700)
    fixed = ((4, Engine(1, 8, 1)),)  # 196 pixels × 64 groups × 36 beats
    with pytest.raises(PlanError, match=r"node 4 .* the nearest that can be reached is 451584"):
        plan(lenet(), interval=784, fixed=fixed)


def test_fixed_engines_stay() -> None:
    fixed = Engine(7, 5, 3)  # 196 pixels × 10 groups × 21 beats
    found = plan(lenet(), interval=42_000, fixed=((4, fixed),))
    assert found.engine(4) == fixed
    assert cycles(design(lenet(), found)).interval == 41_160


def test_parallel_takes_one_cycle_a_pixel() -> None:
    whole = design(lenet(), parallel(lenet()))
    assert {stage.window.group_beats for stage in whole.stages if stage.window and stage.array} == {1}
    assert cycles(whole).interval == 784


def test_written_plan_is_read_back() -> None:
    found = plan(lenet(), interval=3000)
    assert from_json(to_json(found)) == found


@pytest.mark.parametrize(("channels", "bits", "lanes"), [(1, 8, 1), (3, 8, 3), (784, 1, 56), (12, 8, 6), (64, 1, 64)])
def test_port_lanes(channels: int, bits: int, lanes: int) -> None:
    source = Ints(channels, 4, 4, 0, (1 << bits) - 1)
    assert port_lanes(Topology((Input(source, Fraction(1), Fraction(0), None),))) == lanes


@settings(max_examples=40, deadline=None)
@given(topologies(), st.integers(1, 400))
def test_equals_brute_force(drawn: tuple[Topology, Plan], target: int) -> None:
    """Over all combinations of the candidates, none that keeps the pace costs less."""
    topology, given_plan = drawn
    convs = [(index, node, topology.nodes[index - 1].out) for index, node in enumerate(topology.nodes) if isinstance(node, Conv)]
    choices = [[(index, engine) for engine in engines(node, source, target)] for index, node, source in convs]
    count = 1
    for some in choices:
        count *= len(some)
    assume(convs and 0 < count <= 3000 and all(node.out.channels * node.kernel[0] * node.kernel[1] * source.channels < BLOCK_DEPTH
                                               for _, node, source in convs))
    best = None
    for chosen in product(*choices):
        whole = design(topology, Plan(chosen, given_plan.input_lanes))
        beats = [whole.input.beats]
        for stage in whole.stages:
            beats.append(stage.window.geometry.out_height * stage.window.geometry.out_width * stage.window.groups if stage.window
                         else beats[-1] // stage.group)
        if max([*beats, *(pace(stage, n) for stage, n in zip(whole.stages, beats, strict=False))]) <= target:
            total = sum(cost(stage) for stage in whole.stages)
            best = total if best is None else min(best, total)
    assume(best is not None)
    found = Chain(topology, Plan((), given_plan.input_lanes), {}).cheapest(target)
    assert sum(cost(stage) for stage in design(topology, found).stages) == best


def test_candidates_keep_their_pace() -> None:
    conv, source = lenet().nodes[4], lenet().nodes[3].out
    assert isinstance(conv, Conv)
    for engine in engines(conv, source, 2000):
        stage = design(lenet(), Plan(((1, Engine(32, 1, 9, 8)), (4, engine), (7, Engine(1, 1)), (10, Engine(1, 1))))).stages[2]
        assert pace(stage, 0) <= 2000
    assert list(engines(conv, source, 196)) == [widest(conv, source)]

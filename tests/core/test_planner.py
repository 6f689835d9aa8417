"""The planner: plans keep what was asked for, no brute-force plan is better, and what can't be reached is refused."""

import sys
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bwnhw.blocks import Design, Upsize
from bwnhw.cycles import cycles, stage_beats
from bwnhw.depths import least_depths
from bwnhw.design import design
from bwnhw.errors import PlanError
from bwnhw.foldings import engine as folding
from bwnhw.foldings import engines, indexed, lag, lay, pace, shared, unrolled, widest
from bwnhw.frontier import NO_LIMIT, Chain
from bwnhw.network import (
    BIPOLAR_WEIGHTS,
    CodebookShape,
    Conv,
    ConvParams,
    Input,
    Ints,
    Network,
    Node,
    Pool,
    Threshold,
    Topology,
    topology_of,
)
from bwnhw.plan import Engine, Plan, from_json, to_json
from bwnhw.planner import (
    BRAM_LUTS,
    DEFAULT_LUTS,
    Budget,
    Given,
    _least,
    _least_pace,
    _limit,
    cheapest,
    fastest,
    parallel,
    plan,
    port_lanes,
    quickest,
)
from bwnhw.resources import resources, stage_resources
from bwnhw.unrolled import unrollable

sys.path.insert(0, str(Path(__file__).parent))

from random_designs import topologies, with_values  # noqa: E402  # the path above is this folder


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
    costs = [of(lenet(), plan(lenet(), interval=n)).price for n in (784, 1568, 6272, 50_000)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0] / 4


def test_default_fits() -> None:
    found = design(lenet(), plan(lenet()))
    assert resources(found).luts <= DEFAULT_LUTS
    assert cycles(found).interval == 784


def test_is_quick() -> None:
    began = time.process_time()
    plan(lenet(), interval=3000)
    assert time.process_time() - began < 4


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


@dataclass(frozen=True)
class Whole:
    """What a brute-force plan takes: its LUTs and block RAMs, the pace of its slowest stage, and the sum of its stages' lags."""

    luts: int
    brams: int
    pace: int
    lag: int

    @property
    def price(self) -> int:
        return self.luts + BRAM_LUTS * self.brams


def whole(laid: Design, network: Network | None = None) -> Whole:
    """Worked out from the finished design, stage by stage, without the planner's segments."""
    beats = [laid.input.beats, *stage_beats(laid)]
    stages = [stage_resources(stage, "xc7", network) for stage in laid.stages]  # as if their tables were random, as the planner does
    resizing = sum(1 if isinstance(block, Upsize) else block.ratio for stage in laid.stages for block in stage.resizers)
    luts = resources(Design(laid.input, (), laid.output)).shell.luts + sum(stage.luts for stage in stages)
    slowest = max([*beats, *(pace(stage, n) for stage, n in zip(laid.stages, beats, strict=False))])
    return Whole(luts, sum(stage.brams for stage in stages), slowest, resizing + sum(map(lag, laid.stages)))


def candidates(conv: Conv, source: Ints, interval: int, fewest: int) -> list[Engine]:
    """Every engine to try for a conv whose weights are known."""
    folded = list(engines(conv, source, interval, fewest))
    coded = [way(conv, source, one) for way in (indexed, shared) for one in folded]
    return [*folded, *filter(None, coded), unrolled(conv, source)]


def every_plan(network: Network, lanes: int, interval: int, fewest: int) -> list[Whole] | None:
    """All combinations of the candidates, unrolled ones and those that store kernels as indices too; None where they are too many."""
    topology = network.topology
    convs = [(index, node, topology.nodes[index - 1].out) for index, node in enumerate(topology.nodes) if isinstance(node, Conv)]
    choices = [[(index, engine) for engine in candidates(node, source, interval, fewest)] for index, node, source in convs]
    if not convs or prod(map(len, choices)) > 500:
        return None
    return [whole(design(topology, Plan(chosen, lanes)), network) for chosen in product(*choices)]


def of(network: Network | Topology, plan: Plan) -> Whole:
    """A plan's measures, without the depths that were lowered after it was chosen."""
    laid = design(topology_of(network), replace(plan, fifos=(), buffers=()))
    return whole(laid, network if isinstance(network, Network) else None)


BUDGETS = st.tuples(st.none() | st.integers(100, 3000), st.none() | st.integers(0, 4))


@settings(max_examples=30, deadline=None)
@given(topologies(), st.integers(1, 400), BUDGETS)
def test_cheapest_equals_brute_force(drawn: tuple[Topology, Plan], interval: int, limits: tuple[int | None, int | None]) -> None:
    topology, given_plan = drawn
    network = with_values(topology)
    every = every_plan(network, given_plan.input_lanes, interval, interval)
    assume(every)
    luts, brams = limits
    fit = [one for one in every or [] if one.pace <= interval and one.luts <= (luts or NO_LIMIT) and one.brams <= _limit(brams)]
    chain = Chain(network, Plan((), given_plan.input_lanes), {})
    found = _least(chain, interval, Budget(luts, brams))
    assert bool(found) == bool(fit)
    assume(fit)
    best = of(network, chain.plan(found[0]))
    assert best in fit
    if brams is None:
        assert best.price == min(one.price for one in fit)
    else:
        assert best.luts == min(one.luts for one in fit)


@settings(max_examples=30, deadline=None)
@given(topologies(), BUDGETS)
def test_fastest_and_quickest_equal_brute_force(drawn: tuple[Topology, Plan], limits: tuple[int | None, int | None]) -> None:
    topology, given_plan = drawn
    network = with_values(topology)
    (luts, brams), budget, given_ = limits, Budget(*limits), Given(given_plan.input_lanes)
    try:
        _, below = _least_pace(given_.chain(network, "xc7"), budget)
    except PlanError:
        below = 1  # no engine is left out, and none may fit
    every = every_plan(network, given_plan.input_lanes, 1 << 20, max(1, below))
    assume(every)
    fit = [one for one in every or [] if one.luts <= (luts or NO_LIMIT) and one.brams <= _limit(brams)]
    if not fit:
        for planned in (fastest, quickest):
            with pytest.raises(PlanError, match="even the smallest plan"):
                planned(network, budget, given_)
        return
    assert of(network, fastest(network, budget, given_)).pace == min(one.pace for one in fit)
    soon = of(network, quickest(network, budget, given_))
    assert soon in fit
    assert soon.pace + soon.lag == min(one.pace + one.lag for one in fit)


def test_budgets_bind() -> None:
    """Fewer block RAMs cost LUTs, fewer LUTs cost cycles, and what fits nothing is refused."""
    topology = lenet()
    many, few = (of(topology, cheapest(topology, 20_000, Budget(brams=n))) for n in (8, 0))
    assert few.brams == 0 < many.brams and few.luts > many.luts
    paces = [of(topology, fastest(topology, Budget(n))) for n in (20_000, 6000)]
    assert paces[0].pace < paces[1].pace and paces[1].luts <= 6000
    with pytest.raises(PlanError, match="no plan that keeps an interval of 784 cycles fits into 5000 LUTs"):
        cheapest(topology, 784, Budget(5000))
    with pytest.raises(PlanError, match="even the smallest plan doesn't fit into 300 LUTs and 0 block RAMs"):
        fastest(topology, Budget(300, 0))


def test_plans_have_their_least_depths() -> None:
    found = plan(lenet(), interval=3000)
    assert len(found.fifos) == len(design(lenet(), found).stages)
    assert least_depths(lenet(), found) == found


def test_candidates_keep_their_pace() -> None:
    conv, source = lenet().nodes[4], lenet().nodes[3].out
    assert isinstance(conv, Conv)
    for engine in engines(conv, source, 2000):
        stage = design(lenet(), Plan(((1, Engine(32, 1, 9, 8)), (4, engine), (7, Engine(1, 1)), (10, Engine(1, 1))))).stages[2]
        assert pace(stage, 0) <= 2000
    assert list(engines(conv, source, 196)) == [widest(conv, source)]


def test_unrolls_where_that_is_cheaper() -> None:
    """With the weights at hand; a topology alone is folded."""
    network = with_values(lenet())
    folded, chosen = cheapest(network.topology, 784), cheapest(network, 784)
    kinds = [engine.engine for _, engine in chosen.engines]
    assert "unrolled" in kinds and "folded" in kinds
    assert {engine.engine for _, engine in folded.engines} == {"folded"}
    assert of(network, chosen).price < of(network, folded).price
    assert cycles(design(network.topology, chosen)).interval <= 784
    slow = cheapest(network, 50_000)
    assert of(network, slow).price <= of(network, cheapest(network.topology, 50_000)).price


def test_large_layers_are_not_looked_at_unrolled() -> None:
    network = with_values(lenet())
    values = network.params[7]
    assert isinstance(values, ConvParams)

    def with_rows(weights: NDArray[np.int8]) -> Network:
        return replace(network, params=(*network.params[:7], ConvParams(weights), *network.params[8:]))

    many = np.random.default_rng(2).choice([-1, 1], values.weights.shape).astype(np.int8)
    assert [unrollable(with_rows(many), index) for index in (1, 4, 7, 10)] == [True, True, False, True]  # 64 × 576 weights are too many
    assert unrollable(with_rows(many[np.arange(64) // 8]), 7)  # eight different rows aren't
    nodes = list(network.topology.nodes)
    nodes[3] = replace(nodes[3], out=replace(nodes[3].out, hi=3))  # inputs of two bits
    assert not unrollable(replace(network, topology=Topology(tuple(nodes))), 4)


def with_books(words: int, closed: bool) -> Network:
    """LeNet whose middle convs have a codebook each."""
    nodes = list(lenet().nodes)
    for index in (4, 7):
        nodes[index] = replace(nodes[index], codebook=CodebookShape(words, 1, (3, 3), closed))
    return with_values(Topology(tuple(nodes)))


def test_uses_codebooks_where_that_is_cheaper() -> None:
    """Of a network that has codebooks; from a topology alone, as for loadable weights, it doesn't."""
    network = with_books(4, False)
    stored, chosen = cheapest(network.topology, 6272), cheapest(network, 6272)
    assert {engine.codebook for _, engine in stored.engines} == {"none"}
    assert {"index", "shared"} & {engine.codebook for _, engine in chosen.engines}
    assert of(network, chosen).price < of(network, stored).price
    assert from_json(to_json(chosen)) == chosen


@pytest.mark.parametrize(("words", "closed", "pe", "simd", "best"), [
    (4, True, 16, 8, "shared"),  # weights of 32 folds
    (4, True, 64, 32, "shared"),  # of two, which cost nothing
    (8, True, 16, 8, "shared"),
    (8, True, 16, 32, "none"),  # weights of eight folds
    (4, False, 1, 8, "index"),  # popcounts for one row alone
    (64, True, 16, 8, "none"),  # too many to choose from, and to decode
])
def test_which_way_is_cheapest(words: int, closed: bool, pe: int, simd: int, best: str) -> None:
    """Codewords are counted once where several rows share that and have few to choose from."""
    network = with_books(words, closed)
    conv, source = network.topology.nodes[7], network.topology.nodes[6].out
    assert isinstance(conv, Conv) and source.channels == 64
    plain = folding(pe, simd, 9, 1)
    coded = [way(conv, source, plain) for way in (indexed, shared)]
    ways = {way.codebook: lay(network, 7, way, "xc7").luts for way in (plain, *coded) if way}
    assert len(ways) == 3 and min(ways, key=ways.__getitem__) == best, ways

"""Unrolled layers in whole small networks, all of them or every other one: values and cycles as for every other block."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from networks import ALL
from test_top import check, images, simulate

from bwnhw.adders import evaluate
from bwnhw.adders.builder import Builder
from bwnhw.adders.columns import grow_columns
from bwnhw.adders.graph import Unreachable
from bwnhw.cycles import cycles
from bwnhw.design import design as lay_out
from bwnhw.errors import PlanError
from bwnhw.network import Conv, Network
from bwnhw.plan import Plan, from_json, to_json
from bwnhw.rtl.adder_graph import MatrixUnit
from bwnhw.rtl.unrolled import UnrolledUnit


def unrolled(network: Network, plan: Plan, every: int = 1) -> Plan:
    """The plan with every `every`-th conv unrolled."""
    nodes = network.topology.nodes
    engines = []
    for number, (index, engine) in enumerate(plan.engines):
        conv, source = nodes[index], nodes[index - 1].out
        assert isinstance(conv, Conv)
        whole = replace(engine, pe=conv.out.channels, simd=source.channels, taps=conv.kernel[0] * conv.kernel[1], planes=source.bits,
                        engine="unrolled")
        engines.append((index, engine if number % every else whole))
    return replace(plan, engines=tuple(engines), fifos=(), buffers=())


@pytest.mark.parametrize("make", ALL)
def test_values_and_cycles(make: Any) -> None:
    network, plan = make()
    plan = unrolled(network, plan)
    laid = lay_out(network.topology, plan)
    codes = images(network, 4)
    seen = simulate(network, plan, codes)
    check(network, plan, seen, codes)
    ends = [cycle - seen.taken[0] for cycle in seen.given[laid.output.beats - 1::laid.output.beats]]
    estimated = cycles(laid)
    assert (ends[0], ends[-1] - ends[-2]) == (estimated.latency, estimated.interval)


@pytest.mark.parametrize("make", ALL)
def test_values_with_gaps_beside_folded_layers(make: Any) -> None:
    network, plan = make()
    plan = unrolled(network, plan, 2)
    codes = images(network, 2)
    check(network, plan, simulate(network, plan, codes, 0.6, 0.3), codes)


def test_a_broken_limit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    network, plan = ALL[0]()
    plan = unrolled(network, plan)
    codes = images(network, 6)
    reached = UnrolledUnit._reached
    monkeypatch.setattr(UnrolledUnit, "_reached", lambda self, m, row, node, value, border:
                        reached(self, m, row, node, value, border) ^ (row == 0))
    monkeypatch.setattr(UnrolledUnit, "_score", lambda self, m, row, node, value, border: value)
    seen = simulate(network, plan, codes)
    with pytest.raises(AssertionError):
        check(network, plan, seen, codes)


def test_the_plan_says_so_in_its_file() -> None:
    network, plan = ALL[0]()
    plan = unrolled(network, plan)
    assert from_json(to_json(plan)) == plan
    with pytest.raises(PlanError, match="engine must be 'folded' or 'unrolled', not 'rolled'"):
        from_json(to_json(plan).replace("unrolled", "rolled"))


def test_an_unrolled_engine_takes_everything_at_once() -> None:
    network, plan = ALL[0]()
    index, engine = unrolled(network, plan).engines[0]
    with pytest.raises(PlanError, match="an unrolled engine has pe"):
        lay_out(network.topology, replace(plan, engines=((index, replace(engine, pe=engine.pe - 1)), *plan.engines[1:])))


def test_tables_of_a_row_of_zeros() -> None:
    """A row without weights is its threshold's constant."""
    network, plan = ALL[0]()
    index = plan.engines[0][0]
    params = list(network.params)
    weights = params[index].weights.copy()
    weights[0] = 0
    params[index] = replace(params[index], weights=weights)
    changed = replace(network, params=tuple(params))
    codes = images(changed, 4)
    assert not np.array_equal(weights, network.params[index].weights)
    check(changed, unrolled(changed, plan), simulate(changed, unrolled(changed, plan), codes), codes)


@pytest.mark.parametrize("registers", [True, False])
@pytest.mark.parametrize("choices", [(-1, 1), (1,), (-1,), (-1, 1, 2, 4)])
@pytest.mark.parametrize("hi", [1, 7])
def test_chains_over_columns(hi: int, choices: tuple[int, ...], registers: bool) -> None:
    """Carried, entering and taken bits of either sign, rows from rows and rows by themselves, as the graph says."""
    rng = np.random.default_rng(hi + len(choices))
    matrix = rng.choice(choices, (4, 26))
    matrix[1:, :20] = matrix[0, :20]  # close to the first one
    matrix[2, 3] *= -1
    used = np.unique(matrix, axis=0)
    builder = Builder(26, hi)
    try:
        graph = builder.graph(grow_columns(builder, used, 18, 2, exact=True))
    except Unreachable:  # nothing can be carried where all is subtracted
        assert choices == (-1,)
        return
    assert any(node.carried for node in graph.nodes)
    unit = MatrixUnit(graph, registers=registers)
    values = np.concatenate([rng.integers(0, hi + 1, (6, 26)), np.full((1, 26), hi)])
    bits = hi.bit_length()
    seen: list[list[int]] = []

    async def bench(ctx: Any) -> None:
        for vector in values.tolist():
            ctx.set(unit.values, sum(value << at * bits for at, value in enumerate(vector)))
            if registers:
                await ctx.tick().repeat(graph.levels + 1)
            else:
                await ctx.delay(1e-6)
            word = ctx.get(unit.sums)
            parts = [word >> row * unit.width & (1 << unit.width) - 1 for row in range(len(used))]
            seen.append([part - (part >> unit.width - 1 << unit.width) for part in parts])

    simulator = Simulator(unit)
    if registers:
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    expected = values @ used.T
    assert np.array_equal(seen, expected)
    assert np.array_equal(evaluate(graph, values), expected)

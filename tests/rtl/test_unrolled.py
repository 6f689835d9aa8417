"""Unrolled layers in whole small networks, all of them or every other one: values and cycles as for every other block."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import ALL, Builder
from test_top import check, images, simulate

from bwnhw.blocks import Unrolled
from bwnhw.cycles import cycles
from bwnhw.design import design as lay_out
from bwnhw.errors import PlanError
from bwnhw.network import Conv, ConvParams, Ints, Network, ThresholdParams
from bwnhw.plan import Engine, Plan, from_json, to_json
from bwnhw.rtl.emit import emit
from bwnhw.rtl.synth import synth
from bwnhw.rtl.unrolled import UnrolledUnit
from bwnhw.unrolled import unrolled_bill, unrolled_tables


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


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
@pytest.mark.parametrize(("source", "channels"), [(Ints(6, 6, 6, 0, 1), 8), (Ints(2, 6, 6, 0, 15), 5)])
def test_the_bill_is_what_yosys_makes(source: Ints, channels: int, family: str, tmp_path: Path) -> None:
    """LUTs of an unrolled layer by itself, counted from its graph alone, within a twentieth of Yosys'; its flip-flops within a twelfth."""
    made = Builder(5, source)
    made.conv(channels, Engine(channels, source.channels, 9, source.bits, engine="unrolled"), kernel=(3, 3))
    made.threshold()
    network, plan = made.done(source.channels)
    stage = lay_out(network.topology, replace(plan, family=family)).stages[0]
    block, window, conv, params, threshold = stage.cores[0], stage.window, network.topology.nodes[1], *network.params[1:3]
    assert isinstance(block, Unrolled) and window and isinstance(conv, Conv)
    assert isinstance(params, ConvParams) and isinstance(threshold, ThresholdParams)
    tables = unrolled_tables(conv, params, threshold, source, window, block)
    unit = UnrolledUnit(block, tables, window)
    (tmp_path / "unit.v").write_text(emit(unit, "unit"))
    found, bill = synth(tmp_path / "unit.v", family, "unit"), unrolled_bill(tables, block, family).part
    assert bill.luts == pytest.approx(found.luts, rel=0.05) and bill.ffs == pytest.approx(found.ffs, rel=1 / 12)

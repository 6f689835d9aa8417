"""Whole small networks in Amaranth's simulator: every value of every stage equals the golden model, in the estimated cycle."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from networks import ALL, dense_network

from bwnhw.blocks import Port
from bwnhw.cycles import cycles
from bwnhw.design import design as lay_out
from bwnhw.golden import run
from bwnhw.network import Network
from bwnhw.plan import Plan
from bwnhw.rtl.shell import element_bytes
from bwnhw.rtl.top import build


@dataclass
class Seen:
    """Output values in order, and the cycles in which input and output beats were handed over."""

    values: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    frame_error: bool = False


def beats(codes: np.ndarray, port: Port) -> list[int]:
    """Input beats of images (N, C, H, W)."""
    flat = codes.transpose(0, 2, 3, 1).reshape(-1, port.lanes)
    return [sum((int(code) & (1 << port.bits) - 1) << lane * port.bits for lane, code in enumerate(beat)) for beat in flat]


def simulate(network: Network, plan: Plan, codes: np.ndarray, p_valid: float = 1.0, p_ready: float = 1.0, wrong_last: int = -1,
             reset_at: int = -1) -> Seen:
    """Push images through the top; with `reset_at` everything starts again from the first image after a reset in that cycle."""
    top = build(network, plan)
    port, rng, seen = top.design.output, np.random.default_rng(0), Seen()
    words = beats(codes, top.design.input)
    bits = 8 * element_bytes(port)

    async def bench(ctx: Any) -> None:
        nonlocal seen
        ctx.set(top.aresetn, 0)
        await ctx.tick("unreset").repeat(2)
        ctx.set(top.aresetn, 1)
        cycle, expected = 0, port.beats * len(codes)
        while len(seen.given) < expected:
            assert cycle < 50_000, "stuck"
            in_reset = cycle in (reset_at, reset_at + 1)
            if cycle == reset_at:
                seen = Seen()
            ctx.set(top.aresetn, not in_reset)
            valid = not in_reset and len(seen.taken) < len(words) and rng.random() < p_valid
            ready = rng.random() < p_ready
            ctx.set(top.s_axis_tvalid, valid)
            ctx.set(top.s_axis_tdata, words[len(seen.taken)] if valid else 0)
            ctx.set(top.s_axis_tlast, (len(seen.taken) % top.design.input.beats == top.design.input.beats - 1)
                    != (len(seen.taken) == wrong_last))
            ctx.set(top.m_axis_tready, ready)
            if valid and ctx.get(top.s_axis_tready):
                seen.taken.append(cycle)
            if not in_reset and ready and ctx.get(top.m_axis_tvalid):
                seen.given.append(cycle)
                seen.last.append(bool(ctx.get(top.m_axis_tlast)))
                word = ctx.get(top.m_axis_tdata)
                for lane in range(port.lanes):
                    value = word >> lane * bits & (1 << bits) - 1
                    seen.values.append(value - (1 << bits) if port.signed and value >> bits - 1 else value)
            seen.frame_error = bool(ctx.get(top.frame_error))
            await ctx.tick("unreset")
            cycle += 1

    simulator = Simulator(top)
    simulator.add_clock(1e-6, domain="sync")
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def images(network: Network, count: int) -> np.ndarray:
    source = network.topology.nodes[0].out
    return np.random.default_rng(7).integers(source.lo, source.hi + 1, (count, *source.shape))


def check(network: Network, plan: Plan, seen: Seen, codes: np.ndarray) -> None:
    golden = run(network, codes)[-1]
    channels = golden.shape[1]
    lanes = lay_out(network.topology, plan).output.lanes
    groups = -(-channels // lanes)
    found = np.array(seen.values).reshape(len(codes), golden.shape[2] * golden.shape[3], groups * lanes)[:, :, :channels]
    assert np.array_equal(found, golden.transpose(0, 2, 3, 1).reshape(found.shape))
    per_image = len(seen.last) // len(codes)
    assert seen.last == ([False] * (per_image - 1) + [True]) * len(codes)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(("p_valid", "p_ready"), [(1.0, 1.0), (0.6, 0.3)])
def test_values(make: Any, p_valid: float, p_ready: float) -> None:
    network, plan = make()
    codes = images(network, 4)
    seen = simulate(network, plan, codes, p_valid, p_ready)
    check(network, plan, seen, codes)
    assert not seen.frame_error


@pytest.mark.parametrize("make", ALL)
def test_cycles_are_the_estimated_ones(make: Any) -> None:
    network, plan = make()
    design = lay_out(network.topology, plan)
    estimated = cycles(design)
    seen = simulate(network, plan, images(network, 6))
    ends = [cycle - seen.taken[0] for cycle in seen.given[design.output.beats - 1::design.output.beats]]
    assert ends[0] == estimated.latency
    assert ends[-1] - ends[-2] == estimated.interval


def test_reset_in_mid_image() -> None:
    network, plan = dense_network()
    codes = images(network, 3)
    seen = simulate(network, plan, codes, 0.8, 0.8, reset_at=17)
    check(network, plan, seen, codes)


@pytest.mark.parametrize("beat", [1, 3])
def test_tlast_in_the_wrong_place_is_only_reported(beat: int) -> None:
    """A tlast too much, or one missing: the count wins and `frame_error` stays."""
    network, plan = dense_network()
    codes = images(network, 3)
    seen = simulate(network, plan, codes, wrong_last=beat)
    check(network, plan, seen, codes)
    assert seen.frame_error

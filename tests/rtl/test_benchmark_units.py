"""What array_luts.py measures against the plain unit computes what it says."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture
def unit() -> Iterator[Any]:
    """The module of the unrolled unit."""
    sys.path.insert(0, BENCHMARKS)
    import unrolled_unit

    yield unrolled_unit
    sys.path.remove(BENCHMARKS)


@pytest.mark.parametrize("wrong", [0, 1])
def test_the_unrolled_unit_counts_matching_lanes(unit: Any, wrong: int) -> None:
    """Five groups on end; an offset that is one too high in half of the rows is seen."""
    rng = np.random.default_rng(5)
    groups, beats, lanes, rows = 40, unit.GROUP_BEATS, 11, 8
    weights, offsets = rng.choice([-1, 1], (rows, lanes)), rng.integers(-50, -38, rows)
    acts = rng.integers(0, 2, (groups, beats, lanes))
    matches = (acts[:, :, None, :] * 2 - 1 == weights).sum(axis=(1, 3))
    dut = unit.UnrolledUnit(weights, offsets + wrong * (np.arange(rows) % 2), "xc7")
    found = []

    async def drive(context: Any) -> None:
        for group in range(groups):
            for beat in range(beats):
                context.set(dut.acts, int((acts[group, beat] << np.arange(lanes)).sum()))
                context.set(dut.first, int(beat == 0))
                context.set(dut.last, int(beat == beats - 1))
                await context.tick()
        context.set(dut.last, 0)
        for _ in range(dut.latency):
            await context.tick()

    async def watch(context: Any) -> None:
        for cycle in range(groups * beats + dut.latency):
            await context.tick()
            if cycle >= beats + dut.latency - 2 and (cycle + 2 - dut.latency) % beats == 0:
                found.append(context.get(dut.out))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    bits = np.array([[out >> row & 1 for row in range(rows)] for out in found])
    assert np.array_equal(bits, matches + offsets >= 0) != wrong

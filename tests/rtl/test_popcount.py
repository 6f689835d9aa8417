"""The popcount tree: every input of small trees, random ones of large trees, the stated latency."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from bwnhw.blocks import popcount_latency
from bwnhw.rtl.popcount import Popcount


def counts(dut, pairs):
    """`count` for each pair of (acts, weights), fed one per cycle, read `latency` cycles later."""
    seen = []

    async def bench(ctx):
        for cycle in range(len(pairs) + dut.latency):
            acts, weights = pairs[min(cycle, len(pairs) - 1)]
            ctx.set(dut.acts, acts)
            ctx.set(dut.weights, weights)
            await ctx.delay(1e-7)
            if cycle >= dut.latency:
                seen.append(ctx.get(dut.count))
            await (ctx.tick() if dut.latency else ctx.delay(1e-7))

    simulator = Simulator(dut)
    if dut.latency:  # else there is no register, and so no clock
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


@pytest.mark.parametrize("lanes", range(1, 6))
def test_every_input(lanes):
    pairs = [(a, w) for a in range(1 << lanes) for w in range(1 << lanes)]
    assert counts(Popcount(lanes, popcount_latency(lanes)), pairs) == [lanes - (a ^ w).bit_count() for a, w in pairs]


@pytest.mark.parametrize("lanes", range(6, 12))
def test_every_match_pattern(lanes):
    rng = np.random.default_rng(lanes)
    pairs = [(a, a ^ pattern) for pattern, a in enumerate(rng.integers(0, 1 << lanes, 1 << lanes).tolist())]
    assert counts(Popcount(lanes, popcount_latency(lanes)), pairs) == [lanes - (a ^ w).bit_count() for a, w in pairs]


@pytest.mark.parametrize("lanes", [12, 13, 24, 25, 48, 49, 64, 97])
@pytest.mark.parametrize("wait", [0, 2])
def test_large_trees(lanes, wait):
    rng = np.random.default_rng(lanes)
    words = [int.from_bytes(rng.bytes(13), "little") % (1 << lanes) for _ in range(80)] + [0, (1 << lanes) - 1]
    pairs = [*zip(words, words[::-1], strict=True), (0, 0), (0, (1 << lanes) - 1)]
    assert counts(Popcount(lanes, popcount_latency(lanes) + wait), pairs) == [lanes - (a ^ w).bit_count() for a, w in pairs]


def test_latency_of_the_levels():
    """One level to 3 lanes, each further level doubles; a register behind every second level but the last."""
    assert [popcount_latency(lanes) for lanes in (1, 3, 4, 6, 7, 12, 13, 24, 25, 48, 49, 96)] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]


class Deaf(Popcount):
    """A tree that doesn't hear its last lane."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.count.eq(Popcount._three(m, self.acts[:3] ^ ~self.weights[:3], "deaf"))
        return m


def test_a_broken_tree_is_found():
    pairs = [(a, w) for a in range(16) for w in range(16)]
    assert counts(Deaf(4, 0), pairs) != [4 - (a ^ w).bit_count() for a, w in pairs]

"""The popcount: every input of small ones, random ones of large ones, the stated latency; the prefix code of its lanes."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from bwnhw.compressor import after, carries, levels, popcount_latency, prefix_parity
from bwnhw.families import FAMILIES
from bwnhw.rtl.popcount import Popcount


def encoded(word: int, lanes: int) -> int:
    """The prefix code by its definition: lane 2k becomes the parity of lanes 0..2k."""
    return sum((((word & (2 << lane) - 1).bit_count() & 1) if lane % 2 == 0 else word >> lane & 1) << lane for lane in range(lanes))


def counts(dut, lanes, pairs):
    """`count` for each pair of (acts, weights), encoded, fed one per cycle, read `latency` cycles later."""
    seen = []

    async def bench(ctx):
        for cycle in range(len(pairs) + dut.latency):
            acts, weights = pairs[min(cycle, len(pairs) - 1)]
            ctx.set(dut.acts, encoded(acts, lanes))
            ctx.set(dut.weights, encoded(weights, lanes))
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


def popcount(lanes, family, wait=0):
    return Popcount(lanes, family, popcount_latency(lanes, family) + wait)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("lanes", range(1, 6))
def test_every_input(lanes, family):
    pairs = [(a, w) for a in range(1 << lanes) for w in range(1 << lanes)]
    assert counts(popcount(lanes, family), lanes, pairs) == [lanes - (a ^ w).bit_count() for a, w in pairs]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("lanes", range(6, 11))
def test_every_match_pattern(lanes, family):
    rng = np.random.default_rng(lanes)
    pairs = [(a, a ^ pattern) for pattern, a in enumerate(rng.integers(0, 1 << lanes, 1 << lanes).tolist())]
    assert counts(popcount(lanes, family), lanes, pairs) == [lanes - (a ^ w).bit_count() for a, w in pairs]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("lanes", "wait"), [(12, 0), (13, 2), (25, 0), (32, 0), (33, 2), (64, 0), (97, 1)])
def test_large_ones(lanes, wait, family):
    rng = np.random.default_rng(lanes)
    words = [int.from_bytes(rng.bytes(13), "little") % (1 << lanes) for _ in range(80)] + [0, (1 << lanes) - 1]
    pairs = [*zip(words, words[::-1], strict=True), (0, 0), (0, (1 << lanes) - 1)]
    assert counts(popcount(lanes, family, wait), lanes, pairs) == [lanes - (a ^ w).bit_count() for a, w in pairs]


@pytest.mark.parametrize("lanes", [1, 2, 7, 8])
def test_prefix_parity(lanes):
    bits = np.array([[word >> lane & 1 for lane in range(lanes)] for word in range(1 << lanes)], bool)
    words = (prefix_parity(bits) << np.arange(lanes)).sum(axis=1).tolist()
    assert words == [encoded(word, lanes) for word in range(1 << lanes)]
    assert sorted(words) == list(range(1 << lanes))  # nothing is lost


@pytest.mark.parametrize("family", FAMILIES)
def test_levels_keep_the_value_and_end(family):
    """All ones: what the bits behind every level are worth at most never falls below the number of bits, and the heights end low."""
    for bits in range(1, 200):
        heights = [bits]
        for level in levels((bits,), family):
            assert level
            heights = after(heights, level)
            assert min(heights) >= 0
            assert sum(height << weight for weight, height in enumerate(heights)) >= bits
        assert max(heights) <= (1 if family == "xc7" else 2)


def test_latency():
    """A register behind the carries, behind every level of counters and behind the adder of the last two rows."""
    assert [popcount_latency(lanes, "xc7") for lanes in (1, 3, 4, 12, 14, 32, 64)] == [0, 0, 2, 2, 3, 4, 6]
    assert [popcount_latency(lanes, "ecp5") for lanes in (1, 3, 4, 6, 8, 32, 64)] == [0, 0, 2, 2, 3, 7, 9]
    assert carries(32) == 16


def test_a_broken_one_is_found():
    pairs = [(a, w) for a in range(8) for w in range(8)]
    broken = Popcount(3, "xc7", 0)
    broken._first._lanes = 2  # takes lane 2 for none
    assert counts(broken, 3, pairs) != [3 - (a ^ w).bit_count() for a, w in pairs]

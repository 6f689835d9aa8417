"""Counters that are part of the accumulator's carry chain: what they cost, and arrays that have them against sums written out in numpy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_array import check, close_tables, simple

from bwnhw.absorption import NETS, absorption, behind, first_bits
from bwnhw.array_block import Step
from bwnhw.compressor import after
from bwnhw.rtl.absorption import Chain, CountingAccumulator, PartialPopcount
from bwnhw.rtl.emit import emit
from bwnhw.rtl.synth import synth

ACC_BITS = 16


@pytest.mark.parametrize(("lanes", "luts", "levels"), [(1, 0, 0), (9, 0, 0), (16, 3, 1), (32, 10, 3), (64, 25, 4)])
def test_cost(lanes: int, luts: int, levels: int) -> None:
    """By hand: 16 carries are three 6:3 counters and a carry of three bits, whose parity the chain works out."""
    plan = absorption(first_bits(lanes))
    assert (plan.luts, len(plan.levels)) == (luts, levels)


@pytest.mark.parametrize("lanes", [*range(1, 80), 128, 300])
def test_the_chain_reads_every_bit_and_has_each_position_once(lanes: int) -> None:
    plan, heights = absorption(first_bits(lanes)), first_bits(lanes)
    for level in plan.levels:
        assert level
        heights = tuple(after(heights, level))
        assert min(heights) >= 0
    assert heights == behind(first_bits(lanes), plan)
    read, places = [0] * len(heights), []
    for share in plan.shares:
        assert sum(share.taken) <= NETS
        for weight, count in enumerate(share.taken, share.at):
            read[weight] += count
        places += range(share.at, share.at + share.kept)
    assert tuple(read) == heights
    assert len(places) == len(set(places))
    assert sum(1 << place for place in places) >= lanes


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [32, 64])
def test_synthesis_takes_what_the_plan_says(lanes: int, tmp_path: Path) -> None:
    """One LUT6 for every carry and the odd bit, those of the plan, and one for every bit of the sum: nothing is made twice."""
    for name, unit, luts in (("chain", Chain(first_bits(lanes), ACC_BITS), ACC_BITS),
                             ("count", PartialPopcount(lanes), lanes // 2 + 1 + absorption(first_bits(lanes)).luts)):
        (tmp_path / f"{name}.v").write_text(emit(unit, name))
        assert synth(tmp_path / f"{name}.v", "xc7", name).luts == luts


@pytest.mark.parametrize(("lanes", "beats", "memory"), [(1, 2, "lut"), (2, 5, "lut"), (3, 8, "lut"), (9, 2, "block"), (16, 3, "lut"),
                                                        (33, 12, "lut"), (32, 8, "lut"), (64, 2, "block"), (97, 4, "lut")])
def test_equal_in_value_and_cycle(lanes: int, beats: int, memory: str) -> None:
    rng = np.random.default_rng(lanes)
    kind, block = simple("xc7", lanes, 1, beats, memory)
    assert block.absorbed
    check(kind, block, close_tables(block, rng), rng, groups=40)


def test_only_where_it_can_be() -> None:
    _, block = simple("xc7", 32, 1, 8)
    others = {"pe_lanes": 16, "planes": 2, "steps": (Step(0, 0, 0),) * 2, "offsets": 2, "mode": "sums", "group_beats": 1,
              "family": "ecp5", "loaded": True}
    assert not any(replace(block, **{name: value}).absorbed for name, value in others.items())


def test_a_start_that_is_off_by_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one too many that each beat takes away is known ahead."""
    kind, block = simple("xc7", 9, 1, 4)
    monkeypatch.setattr(CountingAccumulator, "__init__", lambda self, array, start, made=CountingAccumulator.__init__: made(
        self, replace(array, group_beats=array.group_beats - 1), start))
    rng = np.random.default_rng(1)
    with pytest.raises(AssertionError):
        check(kind, block, close_tables(block, rng), rng, groups=60)

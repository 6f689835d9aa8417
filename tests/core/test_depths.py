"""The least depths: they keep the interval, and none of them can be less, beside the others."""

import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bwnhw.blocks import Design
from bwnhw.cycles import cycles, least_interval
from bwnhw.depths import falls_behind, least_depths, with_depths
from bwnhw.design import design, least_buffer
from bwnhw.network import BIPOLAR_WEIGHTS, ArgMax, Conv, Input, Ints, Threshold, Topology
from bwnhw.plan import Engine, Plan, from_json, to_json

sys.path.insert(0, str(Path(__file__).parent))

from random_designs import topologies  # noqa: E402  # the path above is this folder

MANY = 64  # images: a design that is a cycle slower in some of them shows it in so many


def lower_by_one(whole: Design) -> list[dict[tuple[int, bool], int]]:
    """Every way to lower one depth of a design by its least step, but those that leave nothing."""
    ways = [{(number, False): stage.fifo.depth - 1} for number, stage in enumerate(whole.stages) if stage.fifo.depth > 1]
    return ways + [{(number, True): stage.window.depth // 2} for number, stage in enumerate(whole.stages)
                   if stage.window and stage.window.depth // 2 >= max(2, least_buffer(stage.window))]


def time_of_many(whole: Design) -> int:
    """Cycles of the second half of MANY images."""
    last = cycles(whole, MANY).last
    return last[-1] - last[-1 - MANY // 2]


@settings(max_examples=60, deadline=None)
@given(topologies())
def test_sufficient_and_minimal(drawn: tuple[Topology, Plan]) -> None:
    topology, plan = drawn
    least = design(topology, least_depths(topology, plan))
    assert cycles(least).interval == least_interval(least)
    for way in lower_by_one(least):
        assert time_of_many(with_depths(least, way)) > time_of_many(least)


@settings(max_examples=60, deadline=None)
@given(topologies())
def test_last_stages_that_fall_behind_slow_the_whole_down(drawn: tuple[Topology, Plan]) -> None:
    topology, plan = drawn
    least = design(topology, least_depths(topology, plan))
    interval = cycles(least).interval
    assert not falls_behind(least, interval)
    for way in lower_by_one(least):
        lower = with_depths(least, way)
        if falls_behind(lower, interval):
            assert time_of_many(lower) > MANY // 2 * interval


def test_a_last_stage_that_falls_behind_is_seen() -> None:
    """Two dense layers whose FIFOs are one place deep behind pipelines: each group waits for the credit of the one before."""
    nodes = (Input(Ints(8, 6, 6, 0, 1), Fraction(1), Fraction(0), None),
             Conv((0,), Ints(8, 6, 6, -8, 8), (1, 1), (1, 1), (0, 0, 0, 0), BIPOLAR_WEIGHTS, (2, -1)),
             Threshold((1,), Ints(8, 6, 6, 0, 1), False),
             Conv((2,), Ints(2, 6, 6, -8, 8), (1, 1), (1, 1), (0, 0, 0, 0), BIPOLAR_WEIGHTS, (2, -1)))
    topology, plan = Topology(nodes), Plan(((1, Engine(8, 8, 1)), (3, Engine(2, 8, 1))), 8)
    whole = design(topology, least_depths(topology, plan))
    interval = cycles(whole).interval
    assert not falls_behind(whole, interval)
    assert falls_behind(with_depths(whole, {(1, False): 1}), interval)


@settings(max_examples=60, deadline=None)
@given(topologies())
def test_unlimited_depths_are_no_faster(drawn: tuple[Topology, Plan]) -> None:
    topology, plan = drawn
    least = design(topology, least_depths(topology, plan))
    deep = {(number, False): 8 * stage.fifo.depth for number, stage in enumerate(least.stages)}
    wide = {(number, True): 8 * stage.window.depth for number, stage in enumerate(least.stages) if stage.window}
    assert cycles(with_depths(least, deep | wide)).interval == cycles(least).interval == least_interval(least)


def test_a_buffer_that_only_fills_up_slowly_is_seen() -> None:
    """Three kernels of 3 x 5, one after the other: with a FIFO of 4 the first images take 17 cycles each, all others 15."""
    source, conv = Ints(1, 3, 5, 0, 255), Ints(3, 1, 1, -3825, 3825)
    topology = Topology((Input(source, Fraction(1), Fraction(0), None),
                         Conv((0,), conv, (3, 5), (1, 1), (0, 0, 0, 0), BIPOLAR_WEIGHTS, (1, 0)),
                         Threshold((1,), Ints(3, 1, 1, 0, 1), False)))
    whole = design(topology, Plan(((1, Engine(1, 1, 15, 8)),), 1))
    slow = next(depth for depth in range(1, 9) if cycles(with_depths(whole, {(0, False): depth})).interval == 15)
    last = cycles(with_depths(whole, {(0, False): slow}), MANY).last
    assert last[1] - last[0] > 15 and last[-1] - last[-2] == 15
    assert least_depths(topology, Plan(((1, Engine(1, 1, 15, 8)),), 1)).fifos == ((2, slow),)


def test_intervals_that_come_in_turn_are_no_interval() -> None:
    """Two dense layers of four and three groups: with a FIFO of 6 and one of 1 images take 6, 6 and 8 cycles in turn."""
    topology = Topology((Input(Ints(1, 1, 1, 0, 1), Fraction(1), Fraction(0), None),
                         Conv((0,), Ints(4, 1, 1, -1, 1), (1, 1), (1, 1), (0, 0, 0, 0), BIPOLAR_WEIGHTS, (2, -1)),
                         Threshold((1,), Ints(4, 1, 1, 0, 1), False),
                         Conv((2,), Ints(5, 1, 1, -4, 4), (1, 1), (1, 1), (0, 0, 0, 0), BIPOLAR_WEIGHTS, (2, -1)),
                         Threshold((3,), Ints(5, 1, 1, 0, 1), False),
                         ArgMax((4,), Ints(1, 1, 1, 0, 4))))
    least = design(topology, least_depths(topology, Plan(((1, Engine(1, 1, 1, 1, 1)), (3, Engine(2, 3, 1, 1, 1))), 1)))
    last = cycles(with_depths(least, {(2, False): 1}), MANY).last
    assert {after - before for before, after in pairwise(last)} == {6, 8}
    assert time_of_many(least) == MANY // 2 * least_interval(least) == MANY // 2 * 6


def test_default_depths_that_are_too_low_are_raised() -> None:
    source, conv = Ints(4, 3, 4, 0, 1), Ints(2, 4, 3, -24, 24)
    topology = Topology((Input(source, Fraction(1), Fraction(0), None),
                         Conv((0,), conv, (2, 3), (1, 2), (1, 1, 1, 2), BIPOLAR_WEIGHTS, (2, -1)),
                         Threshold((1,), Ints(2, 4, 3, 0, 1), False)))
    plan = Plan(((1, Engine(1, 4, 6)),), 2)
    assert cycles(design(topology, plan)).interval > least_interval(design(topology, plan)) == 24
    assert cycles(design(topology, least_depths(topology, plan))).interval == 24


@settings(max_examples=30, deadline=None)
@given(topologies(), st.integers(1, 3))
def test_depths_given_by_hand_stay(drawn: tuple[Topology, Plan], depth: int) -> None:
    topology, plan = drawn
    node = design(topology, plan).stages[0].nodes[-1]
    given_plan = replace(plan, fifos=((node, depth),))
    found = least_depths(topology, given_plan)
    assert dict(found.fifos)[node] == depth
    assert time_of_many(design(topology, found)) <= time_of_many(design(topology, given_plan))
    assert from_json(to_json(found)) == found
    assert least_depths(topology, found) == found



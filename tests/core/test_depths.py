"""The least depths: they keep the interval, and none of them can be less, beside the others."""

import sys
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bwnhw.blocks import Design
from bwnhw.cycles import cycles
from bwnhw.depths import least_depths, with_depths
from bwnhw.design import design, least_buffer
from bwnhw.network import Topology
from bwnhw.plan import Plan, from_json, to_json

sys.path.insert(0, str(Path(__file__).parent))

from random_designs import topologies  # noqa: E402  # the path above is this folder

MANY = 24  # images: a design that is a cycle slower in some of them shows it in so many


def lower_by_one(whole: Design) -> list[dict[tuple[int, bool], int]]:
    """Every way to lower one depth of a design by its least step, but those that leave nothing."""
    ways = [{(number, False): stage.fifo.depth - 1} for number, stage in enumerate(whole.stages) if stage.fifo.depth > 1]
    return ways + [{(number, True): stage.window.depth // 2} for number, stage in enumerate(whole.stages)
                   if stage.window and stage.window.depth // 2 >= max(2, least_buffer(stage.window))]


def time_of_many(whole: Design) -> int:
    """Cycles from the last output of image 2 to that of image MANY − 1."""
    last = cycles(whole, MANY).last
    return last[-1] - last[2]


@settings(max_examples=60, deadline=None)
@given(topologies())
def test_sufficient_and_minimal(drawn: tuple[Topology, Plan]) -> None:
    topology, plan = drawn
    generous, least = design(topology, plan), design(topology, least_depths(topology, plan))
    assert cycles(least).interval == cycles(generous).interval
    for way in lower_by_one(least):
        assert time_of_many(with_depths(least, way)) > time_of_many(least)


@settings(max_examples=60, deadline=None)
@given(topologies())
def test_unlimited_depths_are_no_faster(drawn: tuple[Topology, Plan]) -> None:
    whole = design(*drawn)
    deep = {(number, False): 8 * stage.fifo.depth for number, stage in enumerate(whole.stages)}
    wide = {(number, True): 8 * stage.window.depth for number, stage in enumerate(whole.stages) if stage.window}
    assert cycles(with_depths(whole, deep | wide)).interval == cycles(whole).interval


@settings(max_examples=30, deadline=None)
@given(topologies(), st.integers(1, 3))
def test_depths_given_by_hand_stay(drawn: tuple[Topology, Plan], depth: int) -> None:
    topology, plan = drawn
    node = design(topology, plan).stages[0].nodes[-1]
    given_plan = replace(plan, fifos=((node, depth),))
    found = least_depths(topology, given_plan)
    assert dict(found.fifos)[node] == depth
    assert cycles(design(topology, found)).interval == cycles(design(topology, given_plan)).interval
    assert from_json(to_json(found)) == found
    assert least_depths(topology, found) == found



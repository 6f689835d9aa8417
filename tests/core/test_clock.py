"""The estimated clock: what makes a way longer, and where the longest one is."""

from dataclasses import replace

import pytest

from bwnhw.blocks import Best, Design, Fifo, Port, Stage
from bwnhw.clock import Way, clock, longest


def scores(lanes: int, depth: int = 6) -> Design:
    """Scores of 8 bits and their arg-max, without what makes them."""
    port = Port(lanes, 8, 1, True)
    first = Stage("s0_scores", (0,), (), None, (), Fifo(lanes, 8, depth))
    best = Stage("s1_argmax", (1,), (), None, (Best(lanes, 1, lanes, 8, True, 4),), Fifo(1, 4, 3))
    return Design(port, (first, best), Port(1, 4, 1, False))


def test_a_tournament_of_more_rounds_is_slower() -> None:
    found = [clock(scores(lanes)).fmax_mhz for lanes in (2, 4, 8, 16)]
    assert found == sorted(found, reverse=True) and len(set(found)) == 4


def test_a_core_without_a_window_computes_from_the_fifo_before_it() -> None:
    stage, block, way = longest(scores(8))
    deeper = longest(scores(8, 33))[2]
    assert (stage, block) == ("s1_argmax", "Best")
    assert deeper.luts == way.luts + 2  # three banks instead of one


def test_a_way_out_of_block_ram_is_longer() -> None:
    way = Way(2, 1, 8)
    assert replace(way, block_ram=True).cells - way.cells == pytest.approx(5.31)
    assert (way + Way(1)).hops == 4

"""The estimated clock: what makes a way longer, and where the longest one is."""

from dataclasses import replace

import pytest

from bwnhw.blocks import Best, Design, Fifo, Port, Stage
from bwnhw.clock import Way, clock, ways


def scores(lanes: int, depth: int = 6, bits: int = 8) -> Design:
    """Scores and their arg-max, without what makes them."""
    port = Port(lanes, bits, 1, True)
    first = Stage("s0_scores", (0,), (), None, (), Fifo(lanes, bits, depth))
    best = Stage("s1_argmax", (1,), (), None, (Best(lanes, 1, lanes, bits, True, 4),), Fifo(1, 4, 3))
    return Design(port, (first, best), Port(1, 4, 1, False))


def longest(design: Design) -> Way:
    return max((way for _, _, way in ways(design)), key=Way.period)


def test_a_tournament_of_more_rounds_is_slower() -> None:
    found = [clock(scores(lanes)).fmax_mhz for lanes in (2, 4, 8, 16)]
    assert found == sorted(found, reverse=True) and len(set(found)) == 4


def test_a_core_without_a_window_computes_from_the_fifo_before_it() -> None:
    way, deeper = (longest(scores(8, depth=depth)) for depth in (6, 33))
    assert clock(scores(8)).stage == "s1_argmax" and clock(scores(8)).block == "Best"
    assert deeper.luts == way.luts + 2  # three banks instead of one


def test_a_comparison_of_whole_cells_takes_longer() -> None:
    even, odd = longest(scores(8)), longest(scores(8, bits=7))
    assert (even.chains, odd.chains) == (4.5, 3)


def test_a_way_out_of_block_ram_is_longer() -> None:
    way = Way(2, 1, 8)
    assert replace(way, block_ram=True).period(ram=0) - way.period() == pytest.approx(5.31)
    assert replace(way, block_ram=True).period(ram=2) - way.period(ram=2) == pytest.approx(7.31)
    assert (way + Way(1)).period(0, 0) - way.period(0, 0) == pytest.approx(0.24)
    assert way.period(1, 0) - way.period(0, 0) == pytest.approx(3)

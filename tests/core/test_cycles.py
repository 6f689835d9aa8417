"""The max-plus recurrence against a clock-by-clock simulator of the same blocks, and its speed and errors."""

import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bwnhw.blocks import Design
from bwnhw.cycles import cycles, stage_beats
from bwnhw.design import design
from bwnhw.errors import InputError, PlanError
from bwnhw.network import BIPOLAR_WEIGHTS, Conv, Input, Ints, Pool, Threshold, Topology
from bwnhw.plan import Engine, Plan
from bwnhw.trace import Trace

sys.path.insert(0, str(Path(__file__).parent))

from random_designs import designs, topologies  # noqa: E402  # the path above is this folder
from stepped import simulate  # noqa: E402

PATTERNS = st.lists(st.booleans(), min_size=1, max_size=7).filter(any)


def small() -> Design:
    """One 3×3 conv of two channels on a 6×6 map, two groups, then a 2×2 pool."""
    source, acc, bit = Ints(1, 6, 6, 0, 255), Ints(4, 6, 6, -2295, 2295), Ints(4, 6, 6, 0, 1)
    nodes = (Input(source, Fraction(1), Fraction(0), None),
             Conv((0,), acc, (3, 3), (1, 1), (1, 1, 1, 1), BIPOLAR_WEIGHTS, (1, 0)), Threshold((1,), bit, True),
             Pool((2,), Ints(4, 3, 3, 0, 1), "max", (2, 2), (2, 2), (0, 0, 0, 0)))
    return design(Topology(nodes), Plan(((1, Engine(2, 1, 9, 8)),)))


def expected(whole: Design, images: int, trace: Trace) -> list[tuple[int, ...]]:
    """First and last output cycle of every stage and image, by the stepped simulator."""
    beats = stage_beats(whole)
    times = simulate(whole, [images * n for n in beats], trace.source, trace.sink)
    return [tuple(times[stage.name][i * n + k] for i in range(images) for k in (0, n - 1))
            for stage, n in zip(whole.stages, beats, strict=True)]


def found(whole: Design, images: int, trace: Trace) -> list[tuple[int, ...]]:
    """The same by `cycles`."""
    return [tuple(pair[k] for pair in zip(stage.first, stage.last, strict=True) for k in (0, 1))
            for stage in cycles(whole, images, trace).stages]


@settings(max_examples=150, deadline=None)
@given(designs())
def test_equals_the_stepped_simulator(whole: Design) -> None:
    assert found(whole, 3, Trace()) == expected(whole, 3, Trace())


@settings(max_examples=150, deadline=None)
@given(designs(), PATTERNS, PATTERNS)
def test_equals_the_stepped_simulator_under_back_pressure(whole: Design, source: list[bool], sink: list[bool]) -> None:
    trace = Trace((True, *source), tuple(sink))
    assert found(whole, 3, trace) == expected(whole, 3, trace)


@settings(max_examples=60, deadline=None)
@given(topologies())
def test_settles(drawn: tuple[Topology, Plan]) -> None:
    whole = design(*drawn)
    result = cycles(whole)
    assert result.settled
    assert result.interval >= whole.input.beats
    assert cycles(whole, len(result.last) + 3).interval == result.interval


def test_by_hand() -> None:
    """Pixel 0 of the conv needs 8 words; every pixel takes two cycles after that."""
    whole = small()
    conv = whole.stages[0]
    result = cycles(whole)
    assert conv.window is not None and conv.window.group_beats == 1
    assert result.stages[0].first[0] == 7 + 1 + conv.latency + 1  # word 7 written, start, cores, FIFO
    assert result.interval == 72


def test_a_longer_core_is_noticed() -> None:
    whole = small()
    conv = whole.stages[0]
    slower = replace(conv, cores=(replace(conv.cores[0], pe=3),))
    assert cycles(replace(whole, stages=(slower, *whole.stages[1:]))).latency > cycles(whole).latency


def test_small_buffer_is_refused() -> None:
    whole = small()
    conv = whole.stages[0]
    assert conv.window is not None
    stuck = replace(whole, stages=(replace(conv, window=replace(conv.window, depth=8)), *whole.stages[1:]))
    with pytest.raises(PlanError, match="s0_conv: output pixel 1 needs more than the 8 words"):
        cycles(stuck)


@pytest.mark.parametrize("trace", [Trace(sink=(False,)), Trace(source=(False, True)), Trace(source=())])
def test_dead_trace_is_refused(trace: Trace) -> None:
    with pytest.raises(InputError, match="trace"):
        cycles(small(), 3, trace)


def test_lenet_size_is_quick() -> None:
    """10⁵ tokens an image, within a second or two."""
    a, b = Ints(1, 28, 28, 0, 255), Ints(32, 28, 28, 0, 1)
    nodes = (Input(a, Fraction(1), Fraction(0), None),
             Conv((0,), Ints(32, 28, 28, -2295, 2295), (3, 3), (1, 1), (1, 1, 1, 1), BIPOLAR_WEIGHTS, (1, 0)),
             Threshold((1,), b, False), Pool((2,), Ints(32, 14, 14, 0, 1), "max", (2, 2), (2, 2), (0, 0, 0, 0)),
             Conv((3,), Ints(64, 14, 14, -288, 288), (3, 3), (1, 1), (1, 1, 1, 1), BIPOLAR_WEIGHTS, (2, -1)),
             Threshold((4,), Ints(64, 14, 14, 0, 1), False))
    whole = design(Topology(nodes), Plan(((1, Engine(1, 1, 1, 8)), (4, Engine(1, 1, 1)))))
    began = time.process_time()
    assert cycles(whole).interval == 196 * 64 * 288
    assert time.process_time() - began < 4

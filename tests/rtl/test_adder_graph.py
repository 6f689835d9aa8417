"""Adder graphs in hardware: every value of every row, and carry chains for all that they can be given."""

from typing import Any

import numpy as np
import pytest
from amaranth import Module, Shape, Signal
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bwnhw.adders import Graph, evaluate, solve
from bwnhw.adders.builder import Builder
from bwnhw.adders.codewords import Groups
from bwnhw.adders.columns import grow_columns
from bwnhw.adders.graph import Unreachable, form
from bwnhw.adders.spanning import distinct
from bwnhw.rtl.adder_graph import MatrixUnit, chain


def sums(graph: Graph, values: NDArray[np.int64], *, registers: bool) -> NDArray[np.int64]:
    """(vectors, inputs) to (vectors, rows), in Amaranth's simulator; without a level there is no register either."""
    registers = registers and graph.levels > 0
    unit, bits = MatrixUnit(graph, registers=registers), graph.nodes[0].bits
    seen = np.zeros((len(values), len(graph.outputs)), np.int64)

    async def bench(ctx: Any) -> None:
        for at, vector in enumerate(values.tolist()):
            ctx.set(unit.values, sum(value << place * bits for place, value in enumerate(vector)))
            if registers:
                await ctx.tick().repeat(graph.levels + 1)
            else:
                await ctx.delay(1e-6)
            word = ctx.get(unit.sums)
            for row in range(len(graph.outputs)):
                part = word >> row * unit.width & (1 << unit.width) - 1
                seen[at, row] = part - (part >> unit.width - 1 << unit.width)

    simulator = Simulator(unit)
    if registers:
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def vectors(matrix: NDArray[np.int64], hi: int, count: int) -> NDArray[np.int64]:
    """Random inputs and those of every row's extremes."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.integers(0, hi + 1, (count, matrix.shape[1])), hi * (matrix > 0), hi * (matrix < 0)])


@pytest.mark.parametrize("entering", [False, True])
@pytest.mark.parametrize("taken", [Shape(width, signed) for signed in (False, True) for width in (1, 2, 3)], ids=repr)
@pytest.mark.parametrize("carried", [Shape(width, signed) for signed in (False, True) for width in (1, 2, 3)], ids=repr)
def test_a_chain_is_its_sum(carried: Shape, taken: Shape, entering: bool) -> None:
    """All values of what is carried, taken in and enters, of every width and sign, in as many bits as are asked for."""
    m, widths = Module(), range(1, 6)
    left, right, below = Signal(carried), Signal(taken), Signal()
    made = [Signal(bits, name=f"made{bits}") for bits in widths]
    m.d.comb += [total.eq(chain(left, right, bits, below if entering else None)[:bits]) for total, bits in zip(made, widths, strict=True)]

    async def bench(ctx: Any) -> None:
        for code in range(1 << carried.width + taken.width + 1):
            ctx.set(left.as_unsigned(), code & (1 << carried.width) - 1)
            ctx.set(right.as_unsigned(), code >> carried.width & (1 << taken.width) - 1)
            ctx.set(below, code >> carried.width + taken.width)
            await ctx.delay(1e-6)
            total = ctx.get(left) + ctx.get(right) + (ctx.get(below) if entering else 0)
            assert [ctx.get(value) for value in made] == [total & (1 << bits) - 1 for bits in widths]

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


def test_a_signed_number_takes_in_one_as_wide() -> None:
    """The difference of two inputs carried, the sum of two taken in: both five bits, their sum seven."""
    builder = Builder(4, 15)
    difference, both = builder.node(((0, 1), (1, -1))), builder.node(((2, 1), (3, 1)))
    graph = builder.graph([(builder.node(((difference, 1), (both, 1))), 1)])
    assert [form(graph.nodes[at], graph.nodes) for at in (4, 5, 6)] == ["fold"] * 3
    matrix = np.array([[1, -1, 1, 1]])
    values = vectors(matrix, 15, 200)
    assert np.array_equal(sums(graph, values, registers=False), values @ matrix.T)


@st.composite
def matrices(draw: Any) -> tuple[NDArray[np.int64], Groups]:
    """Small matrices whose rows repeat, come negated, times a power of two, close to each other, or are zero; and groups of inputs in which
    they repeat few codewords, or none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows, channels, taps = draw(st.integers(1, 7)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    choices = draw(st.sampled_from([[-1, 1], [-1, 0, 1], [1], [-1], [-3, -1, 1, 2, 4]]))
    words = rng.choice(choices, (3, taps))
    grouped = draw(st.booleans())
    matrix = words[rng.integers(0, 3, (rows, channels))] if grouped else rng.choice(choices, (rows, channels, taps))
    matrix = matrix.reshape(rows, channels * taps)
    for row in range(rows):
        kind, other = rng.choice(["new", "zero", "repeated", "close"], p=[0.4, 0.15, 0.15, 0.3]), rng.integers(rows)
        if kind == "zero":
            matrix[row] = 0
        if kind in ("repeated", "close"):
            matrix[row] = matrix[other] * rng.choice([-2, -1, 1, 2], p=[0.1, 0.4, 0.4, 0.1])
        if kind == "close":
            matrix[row, rng.integers(channels * taps, size=2)] *= -1
    groups = tuple(tuple(range(channel * taps, channel * taps + taps)) for channel in range(channels)) if grouped else ()
    return matrix, groups


@settings(max_examples=40, deadline=None)
@given(matrices(), st.sampled_from([1, 3, 15, 255]), st.booleans(), st.booleans())
def test_a_solved_graph_computes_its_matrix(case: tuple[NDArray[np.int64], Groups], hi: int, exact: bool, registers: bool) -> None:
    matrix, groups = case
    graph = solve(matrix, hi, family="xc7", exact=exact, groups=groups)
    values = vectors(matrix, hi, 10)
    assert np.array_equal(sums(graph, values, registers=registers), values @ matrix.T)


@settings(max_examples=40, deadline=None)
@given(matrices(), st.sampled_from([1, 3, 15]), st.integers(1, 4))
def test_columns_compute_their_matrix(case: tuple[NDArray[np.int64], Groups], hi: int, height: int) -> None:
    """Chains over columns where another way is cheaper too."""
    matrix, groups = case
    rows = distinct(matrix)[0]
    used = rows[rows.any(axis=1)]
    builder = Builder(matrix.shape[1], hi)
    try:
        graph = builder.graph(grow_columns(builder, used, 18, height, groups, exact=False) if len(used) else [(0, 0)])
    except Unreachable:  # nothing can be carried where all is subtracted
        return
    expected = used if len(used) else rows
    values = vectors(expected, hi, 10)
    assert np.array_equal(evaluate(graph, values), values @ expected.T)
    assert np.array_equal(sums(graph, values, registers=False), values @ expected.T)


@pytest.mark.parametrize("registers", [True, False])
@pytest.mark.parametrize("choices", [(-1, 1), (1,), (-1,), (-1, 1, 2, 4)])
@pytest.mark.parametrize("hi", [1, 7])
def test_chains_over_columns(hi: int, choices: tuple[int, ...], registers: bool) -> None:
    """Carried, entering and taken bits of either sign, rows from rows and rows by themselves, as the graph says."""
    rng = np.random.default_rng(hi + len(choices))
    matrix = rng.choice(choices, (4, 26))
    matrix[1:, :20] = matrix[0, :20]  # close to the first one
    matrix[2, 3] *= -1
    used = np.unique(matrix, axis=0)
    builder = Builder(26, hi)
    try:
        graph = builder.graph(grow_columns(builder, used, 18, 2, exact=True))
    except Unreachable:  # nothing can be carried where all is subtracted
        assert choices == (-1,)
        return
    assert any(node.carried for node in graph.nodes)
    values = np.concatenate([rng.integers(0, hi + 1, (6, 26)), np.full((1, 26), hi)])
    expected = values @ used.T
    assert np.array_equal(sums(graph, values, registers=registers), expected)
    assert np.array_equal(evaluate(graph, values), expected)

"""Adder graphs: what they compute, how deep and how dear they are."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bwnhw import adders
from bwnhw.adders import Graph, cost, enough_levels, evaluate, kernel, price
from bwnhw.adders.builder import Builder
from bwnhw.adders.codewords import grow_centred, grow_codewords
from bwnhw.adders.columns import grow_columns
from bwnhw.adders.graph import FOLDED_NETS, TABLE_NETS, Unreachable, form
from bwnhw.adders.halves import grow_halves
from bwnhw.adders.heap import Heap, Schedule
from bwnhw.adders.price import table_luts
from bwnhw.adders.solve import least_levels
from bwnhw.adders.spanning import digits, distinct
from bwnhw.errors import PlanError

solve = partial(adders.solve, family="xc7")  # where a graph's price is its own cost


@st.composite
def matrices(draw):
    """(matrix, greatest input, exact): weights ±1, {0, 1} or small integers, some rows repeated, negated or close to each other."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows, inputs = draw(st.integers(1, 12)), draw(st.integers(1, 20))
    choices = draw(st.sampled_from([[-1, 1], [0, 1], [-1, 0, 1], list(range(-4, 4))]))
    matrix = rng.choice(choices, (rows, inputs))
    for row in range(1, rows):
        if rng.random() < 0.4:
            matrix[row] = matrix[rng.integers(row)] * rng.choice([-1, 1])
            matrix[row, rng.integers(inputs)] = rng.choice(choices)
    return matrix, draw(st.sampled_from([1, 2, 3, 7, 15, 255])), draw(st.booleans())


def checked(matrix, hi, graph, exact):
    """Values on random and extreme inputs, ranges, levels, and that every node can be built."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.integers(0, hi + 1, (50, matrix.shape[1])), hi * (matrix > 0), hi * (matrix < 0)])
    assert np.array_equal(evaluate(graph, values), values @ matrix.T)
    assert np.array_equal(kernel(graph), matrix)
    assert all(form(node, graph.nodes) for node in graph.nodes)
    assert not exact or all(output.factor >= 0 for output in graph.outputs)


@settings(max_examples=80, deadline=None)
@given(matrices())
def test_a_graph_computes_its_matrix(case):
    matrix, hi, exact = case
    graph = solve(matrix, hi, exact=exact)
    checked(matrix, hi, graph, exact)
    assert graph.levels <= enough_levels(matrix.shape[1], min(-1, int(matrix.min())), max(1, int(matrix.max()))) + exact


@settings(max_examples=60, deadline=None)
@given(matrices(), st.integers(0, 3))
def test_levels_are_kept(case, extra):
    """However few they are, where they suffice at all; rows of ±1 without a sign to keep need no more than the least."""
    matrix, hi, exact = case
    levels = least_levels(matrix) + extra
    try:
        graph = solve(matrix, hi, levels, exact=exact)
    except PlanError:
        assert exact or not (np.abs(matrix) <= 1).all()
        return
    assert graph.levels <= levels
    checked(matrix, hi, graph, exact)


def test_halves_cost_less_where_levels_are_few():
    """W = 2·P − 1: rows of nine weights, all of which share the sum of the inputs; signs need no level of their own."""
    matrix = np.random.default_rng(7).choice([-1, 1], (16, 9))
    both = np.concatenate([matrix, -matrix])
    builder = Builder(9, 15)
    graph = builder.graph(grow_halves(builder, both, 5, exact=True))
    checked(both, 15, graph, True)
    assert graph.levels == 5 and cost(solve(both, 15, 5)) <= cost(graph)
    assert cost(graph) < 2 * 16 * (8 * 8)  # two chains a row and the shared sums, not eight
    with pytest.raises(Unreachable):
        grow_halves(Builder(9, 15), both, 4, exact=True)
    with pytest.raises(Unreachable):
        grow_halves(Builder(9, 15), 3 * both, 6, exact=True)


def test_equal_and_complementary_rows_cost_nothing():
    rng = np.random.default_rng(3)
    matrix = rng.choice([-1, 1], (6, 16))
    once = cost(solve(matrix, 1, exact=False))
    assert cost(solve(np.concatenate([matrix, matrix[2:4], -matrix]), 1, exact=False)) == once


@pytest.mark.parametrize("matrix", [
    [[-2, -1, 0, -1, -2], [2, 1, 0, 1, 2], [-2, 2, 0, 0, 2], [3, 2, -3, 0, -2], [-2, 3, 0, 0, 2]],  # one even row
    [[-2, -1, 0, -1, -2], [-2, 0, 0, -1, -2], [-2, 2, 0, 0, 2]],  # a row that comes out negated on the last level
])
def test_exact_rows_of_several_signs_and_powers_of_two(matrix):
    assert np.array_equal(kernel(solve(np.array(matrix), 255)), matrix)


def test_rows_wanted_with_either_sign_keep_the_levels():
    matrix = np.random.default_rng(4).choice([-1, 1], (12, 24))
    assert solve(np.concatenate([matrix, -matrix]), 1).levels <= least_levels(matrix) + 2


def test_close_rows_cost_one_chain_each():
    """Rows that differ in up to five places: one carry chain, of which the lowest bit is shared."""
    matrix = np.ones((5, 16), np.int64)
    for row in range(1, 5):
        matrix[row, 3 * row:3 * row + 3] = -1
    assert cost(solve(matrix, 1, exact=False)) == cost(solve(matrix[:1], 1, exact=False)) + 4 * 4


def test_a_row_is_twice_a_difference_less_its_parent():
    """Rows that are nearly each other's negative, as exact as any: one adder more each, not a tree of their own."""
    rows = np.ones((1, 16), np.int64)
    rows[0, ::3] = -1
    opposite = np.repeat(-rows, 4, axis=0)
    opposite[np.arange(4), [1, 2, 4, 5]] = 1
    graph = solve(np.concatenate([rows, opposite]), 255, 6)
    checked(np.concatenate([rows, opposite]), 255, graph, True)
    one, all_five = cost(solve(rows, 255, 6)), cost(graph)
    assert all_five <= one + 4 * 13  # bits of a row's sum


@pytest.mark.parametrize("hi", [3, 15])
def test_rows_share_their_parts_where_no_level_is_left(hi):
    matrix = np.random.default_rng(4).choice([-1, 1], (16, 16))
    graph = solve(matrix, hi, 4)
    checked(matrix, hi, graph, True)
    alone = [cost(solve(row[None], hi, 4)) for row in matrix[:3]]
    assert graph.levels == 4 and cost(graph) < 0.75 * len(matrix) * min(alone)


def test_the_same_matrix_gives_the_same_graph():
    matrix = np.random.default_rng(5).choice([-1, 1], (12, 24))
    assert solve(matrix, 1) == solve(matrix.copy(order="F"), 1)


def test_too_few_levels_are_refused():
    with pytest.raises(PlanError, match="adder graph: 2 levels must be enough for 64 inputs"):
        solve(np.ones((1, 64)), 1, 2)


def test_a_wrong_graph_is_found():
    matrix = np.random.default_rng(6).choice([-1, 1], (8, 12))
    graph = solve(matrix, 1)
    at = next(index for index, node in enumerate(graph.nodes) if node.terms)
    wrong = replace(graph.nodes[at], constant=graph.nodes[at].constant + 1)
    broken = Graph(graph.inputs, (*graph.nodes[:at], wrong, *graph.nodes[at + 1:]), graph.outputs)
    with pytest.raises((AssertionError, ValueError)):
        checked(matrix, 1, broken, True)


@pytest.mark.parametrize("number", range(-40, 41))
def test_digits_add_up_and_are_not_adjacent(number):
    found = digits(number)
    assert sum(found) == number
    powers = sorted(abs(digit).bit_length() for digit in found)
    assert all(high - low > 1 for low, high in zip(powers, powers[1:], strict=False))


def test_what_a_lut_takes():
    assert FOLDED_NETS + 1 == TABLE_NETS
    assert least_levels(np.ones((1, 9))) == 4


@pytest.mark.parametrize("halves", [False, True])
def test_a_layer_of_codewords_by_way_of_them(halves):
    """Eight filters of six channels that pick from three kernels: what is summed once is shared, and every value is right."""
    rng = np.random.default_rng(8)
    words, index = rng.choice([-1, 1], (3, 9)), rng.integers(0, 3, (8, 6))
    matrix = words[index].reshape(8, 54)
    groups = tuple(tuple(range(9 * channel, 9 * channel + 9)) for channel in range(6))
    builder = Builder(54, 3)
    graph = builder.graph(grow_codewords(builder, matrix, 9, groups, halves, exact=True))
    checked(matrix, 3, graph, False)
    assert cost(solve(matrix, 3, groups=groups)) <= cost(solve(matrix, 3))


@pytest.mark.parametrize(("rows", "channels"), [(12, 6), (24, 24)])
def test_rows_from_the_most_frequent_codewords(rows: int, channels: int) -> None:
    rng = np.random.default_rng(5)
    words = rng.choice([-1, 1], (4, 9))
    matrix = words[rng.choice(4, (rows, channels), p=[0.55, 0.15, 0.15, 0.15])].reshape(rows, 9 * channels)
    groups = tuple(tuple(range(9 * channel, 9 * channel + 9)) for channel in range(channels))
    levels = least_levels(matrix) + 2
    builder = Builder(9 * channels, 1)
    graph = builder.graph(grow_centred(builder, matrix, levels, groups, exact=True))
    values = rng.integers(0, 2, (200, 9 * channels))
    assert np.array_equal(evaluate(graph, values), values @ matrix.T)
    assert graph.levels <= levels
    assert cost(solve(matrix, 1, groups=groups)) <= min(cost(graph), cost(solve(matrix, 1)))
    node = graph.outputs[0].node
    shifted = replace(graph.nodes[node], constant=graph.nodes[node].constant + 1)
    broken = replace(graph, nodes=(*graph.nodes[:node], shifted, *graph.nodes[node + 1:]))
    assert not np.array_equal(evaluate(broken, values), values @ matrix.T)


@st.composite
def heaps(draw):
    """(weights, greatest input, levels, schedule): one row of ±1, all of one sign too, or of several powers of two."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    choices = draw(st.sampled_from([[1], [-1], [-1, 1], [-4, -1, 1, 2]]))
    schedule = Schedule(draw(st.sampled_from([1.0, 1.2, 1.4])), draw(st.sampled_from([1.5, 2.1])))
    return rng.choice(choices, draw(st.integers(7, 60))), draw(st.sampled_from([1, 3, 7])), draw(st.integers(4, 14)), schedule


@settings(max_examples=80, deadline=None)
@given(heaps())
def test_a_heap_of_bits_is_its_sum(case):
    weights, hi, levels, schedule = case
    builder = Builder(len(weights), hi)
    try:
        node = Heap(builder, tuple((at, int(weight)) for at, weight in enumerate(weights))).total(weights, levels, schedule)
    except Unreachable:
        assert levels < 9 or (np.array(weights) < 0).all()
        return
    graph = builder.graph([(node, 1)])
    assert graph.levels <= levels
    checked(weights[None], hi, graph, True)


def test_columns_cost_far_fewer_luts_than_chains_of_single_bits():
    """Of 250 bits: 0.8 LUTs per bit, where a chain of numbers takes away one bit per LUT at best."""
    weights = np.random.default_rng(1).choice([-1, 1], 250)
    builder = Builder(250, 1)
    heap = Heap(builder, tuple((at, int(weight)) for at, weight in enumerate(weights)))
    graph = builder.graph([(heap.total(weights, 10, Schedule(1.2, 1.8)), 1)])
    checked(weights[None], 1, graph, True)
    assert cost(graph) < 0.8 * 250


@pytest.mark.parametrize("height", [1, 2, 4])
@pytest.mark.parametrize("grouped", [False, True])
def test_close_rows_by_columns(height, grouped):
    rng = np.random.default_rng(9)
    words = rng.choice([-1, 1], (3, 9))
    matrix = words[rng.integers(0, 3, (8, 6))].reshape(8, 54)
    groups = tuple(tuple(range(9 * channel, 9 * channel + 9)) for channel in range(6)) if grouped else ()
    builder = Builder(54, 1)
    found = grow_columns(builder, matrix, 11, height, groups, exact=True)
    checked(matrix, 1, builder.graph(found), True)
    with pytest.raises(Unreachable):
        grow_columns(Builder(54, 1), matrix, 2, height, groups, exact=True)


@pytest.mark.parametrize("hi", [1, 3, 15, 255])
def test_numbers_of_a_group_that_rows_share(hi: int) -> None:
    """However wide the inputs are, of which a chain takes in the sums of codewords."""
    rng = np.random.default_rng(3)
    words = rng.choice([-1, 1], (3, 5))
    matrix = distinct(words[rng.integers(0, 3, (6, 5))].reshape(6, 25))[0]
    groups = tuple(tuple(range(5 * channel, 5 * channel + 5)) for channel in range(5))
    builder = Builder(25, hi)
    found = grow_columns(builder, matrix, 12, 2, groups, exact=False)
    checked(matrix, hi, builder.graph(found), False)


def test_bits_that_are_not_taken_together_are_found():
    builder = Builder(7, 1)
    whole = builder.node(tuple((at, 1) for at in range(6)))
    lost = builder.columns(((builder.bit(whole, 0), 1), (builder.bit(whole, 2), 4)), ((builder.inside(((6, 1),), 0), 1),))
    with pytest.raises(ValueError, match="bits of a node"):
        kernel(builder.graph([(lost, 1)]))


def test_terms_that_overlap_are_refused():
    builder = Builder(8, 1)
    wide = builder.node(tuple((at, 1) for at in range(6)))
    table = builder.inside(((6, 1), (7, 1)), 0)
    with pytest.raises(ValueError, match="column chain"):
        builder.columns(((wide, 1),), ((table, 1), (table, 2)))
    with pytest.raises(ValueError, match="column chain"):
        builder.columns(((table, 1),), ((table, 1),))
    with pytest.raises(ValueError, match="column chain"):
        builder.inside(tuple((at, 1) for at in range(6)), 0)


@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_a_graph_is_chosen_by_the_luts_of_the_family(family: str) -> None:
    """Chains over columns of bits, cheapest where they take their tables in, are dear where those are LUTs of their own."""
    matrix = np.random.default_rng(1).choice([-1, 1], (6, 18))
    builder, chosen, other = Builder(18, 15), adders.solve(matrix, 15, family=family, exact=False), solve(matrix, 15, exact=False)
    without_columns = builder.graph(grow_halves(builder, distinct(matrix)[0], 7, exact=False))
    assert price(chosen, family) <= price(without_columns, family) < price(other, family)
    assert price(other, "xc7") == cost(other) < cost(chosen)
    checked(matrix, 15, chosen, False)


@pytest.mark.parametrize(("weights", "constant", "bits", "luts"), [
    ((1, 2, 4), 0, 3, 0), ((-1, -2), 3, 2, 2), ((), 5, 3, 0), ((1, 1, 1), 0, 2, 2), ((1, 1, 1, 1), 0, 3, 3), ((1, 1, 1, 2, 2), 0, 3, 4),
    ((1, 1, 1, 1, 2), 0, 3, 5), ((1, 2, 2, 4, 4), 0, 4, 3), ((1, 1, 2, 4, 8), 0, 5, 6), ((1, 1, 2, 2, 4, 4), 0, 4, 5)])
def test_tables_of_four_inputs_share_what_their_bits_have_in_common(weights, constant, bits, luts):
    """As many as Yosys takes on ECP5, by each table alone."""
    assert table_luts(weights, constant, bits) == luts

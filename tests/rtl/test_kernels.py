"""Arrays that store kernels as indices, in whole small networks: values and cycles as for every other array."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from networks import banked_network, codebook_network, row_kernels_network
from test_top import check, images, simulate

from bwnhw.cycles import cycles
from bwnhw.design import design as lay_out
from bwnhw.errors import PlanError
from bwnhw.kernel_bill import bank_columns
from bwnhw.network import BIPOLAR_WEIGHTS, CodebookShape, Conv, Network
from bwnhw.plan import Engine, Plan, from_json, to_json


def changed(network: Network, node: int, **fields: Any) -> Network:
    """The network with fields of a node changed."""
    nodes = list(network.topology.nodes)
    nodes[node] = replace(nodes[node], **fields)
    return replace(network, topology=replace(network.topology, nodes=tuple(nodes)))


def with_engine(plan: Plan, node: int, **fields: Any) -> Plan:
    """The plan with fields of an engine changed."""
    return replace(plan, engines=tuple((index, replace(engine, **fields) if index == node else engine) for index, engine in plan.engines))


def held_to_golden(network: Network, plan: Plan, even: int) -> None:
    """Values and cycles; so many arrays count their kernels' parities at the top edge."""
    laid = lay_out(network.topology, plan)
    assert sum(stage.array.even for stage in laid.stages if stage.array) == even
    codes = images(network, 4)
    seen = simulate(network, plan, codes)
    check(network, plan, seen, codes)
    ends = [cycle - seen.taken[0] for cycle in seen.given[laid.output.beats - 1::laid.output.beats]]
    estimated = cycles(laid)
    assert (ends[0], ends[-1] - ends[-2]) == (estimated.latency, estimated.interval)


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
@pytest.mark.parametrize("words", [2, 4, 7, 8, 16, 32, 64])
def test_values_and_cycles(words: int, family: str) -> None:
    network, plan = codebook_network(words, words)
    even = sum(node.codebook.even for node in network.topology.nodes if isinstance(node, Conv) and node.codebook)
    held_to_golden(network, replace(plan, family=family), even)


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
@pytest.mark.parametrize("words", [2, 4, 8, 16, 32])
def test_values_and_cycles_of_codewords_of_one_parity(words: int, family: str) -> None:
    network, plan = codebook_network(words, words, even=True)
    held_to_golden(network, replace(plan, family=family), even=3)


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
@pytest.mark.parametrize("seed", range(3))
def test_values_of_kernels_of_two_and_three_taps_of_one_parity(seed: int, family: str) -> None:
    network, plan = row_kernels_network(seed)
    held_to_golden(network, replace(plan, family=family), even=3)


@pytest.mark.parametrize(("family", "banks"), [("xc7", 2), ("ecp5", 2), ("ice40", 4)])
def test_values_of_indices_in_several_banks(family: str, banks: int) -> None:
    network, plan = banked_network()
    plan = replace(plan, family=family)
    array = lay_out(network.topology, plan).stages[0].array
    assert len(bank_columns(array, family)) == banks and array.columns == 10
    held_to_golden(network, plan, even=0)


def test_a_codeword_of_another_parity_is_found() -> None:
    """Only the parity of the hardware's codewords differs from what its plan says."""
    network, plan = codebook_network(even=True)
    params = list(network.params)
    book = params[1].codebook
    words = book.codewords.copy()
    words[0, 1:, 0, 0] *= -1
    params[1] = replace(params[1], codebook=replace(book, codewords=words), weights=replace(book, codewords=words).weights)
    other, codes = replace(network, params=tuple(params)), images(network, 6)
    with pytest.raises(AssertionError):
        check(other, plan, simulate(other, plan, codes), codes)


def test_values_with_gaps() -> None:
    network, plan = codebook_network()
    codes = images(network, 2)
    check(network, plan, simulate(network, plan, codes, 0.6, 0.3), codes)


@pytest.mark.parametrize("broken", ["index", "codewords"])
@pytest.mark.parametrize("node", [1, 3, 6])
def test_a_broken_table_is_found(node: int, broken: str) -> None:
    """One index, or one codeword that is used, is another one in the hardware; the layer isn't broken where weights are stored."""
    network, plan = codebook_network()
    params = list(network.params)
    book = params[node].codebook
    entries = getattr(book, broken).copy()
    if broken == "index":
        entries[0, 0] = (entries[0, 0] + 1) % 8
        assert not np.array_equal(book.codewords[0, book.index[0, 0]], book.codewords[0, entries[0, 0]])
    else:
        entries[0, book.index[0, 0]] *= -1
    params[node] = replace(params[node], codebook=replace(book, **{broken: entries}))
    other, codes = replace(network, params=tuple(params)), images(network, 6)
    with pytest.raises(AssertionError):
        check(network, plan, simulate(other, plan, codes), codes)
    plan = with_engine(plan, node, codebook="none")
    check(network, plan, simulate(other, plan, codes), codes)


def test_the_plan_says_so_in_its_file() -> None:
    _, plan = codebook_network()
    assert from_json(to_json(plan)) == plan
    with pytest.raises(PlanError, match="engine 1: codebook must be 'none' or 'index' or 'shared', not 'indices'"):
        from_json(to_json(plan).replace('"index"', '"indices"', 1))


@pytest.mark.parametrize(("engine", "fields", "message"), [
    ({"taps": 3}, {}, "needs taps 9 and lanes that are a multiple of it, not taps 3 and lanes 9"),
    ({"lanes": 12}, {}, "not taps 9 and lanes 12"),
    ({"pe": 5, "simd": 3, "engine": "unrolled"}, {}, "needs a folded engine, not an unrolled one"),
    ({}, {"codebook": None}, "needs a layer whose weights are constants from a codebook"),
    ({}, {"codebook": CodebookShape(8, 3, (3, 3))}, "of each channel needs simd 3, all channels, not 2"),
    ({}, {"codebook": CodebookShape(4, 1, (3,))}, r"of whole kernels \(3, 3\) of ±1, not 4 of \(3,\)"),
    ({}, {"codebook": CodebookShape(1, 1, (3, 3))}, "needs two or more codewords"),
    ({}, {"weights": replace(BIPOLAR_WEIGHTS, constant=1)}, "of ±1"),
])
def test_what_cannot_be_is_refused(engine: dict[str, Any], fields: dict[str, Any], message: str) -> None:
    network, plan = codebook_network()
    with pytest.raises(PlanError, match=f"^node 1: codebook 'index' {message}|^node 1: codebook 'index' .*{message}"):
        lay_out(changed(network, 1, **fields).topology, with_engine(plan, 1, **engine))


def test_loadable_weights_have_no_codebook() -> None:
    network, plan = codebook_network()
    with pytest.raises(PlanError, match="node 1: codebook 'index' needs .* but it has none or is loadable"):
        lay_out(network.topology, replace(plan, loadable=True))
    stored = replace(plan, loadable=True, engines=tuple((node, replace(engine, codebook="none")) for node, engine in plan.engines))
    assert all(stage.array is None or stage.array.codebook is None for stage in lay_out(network.topology, stored).stages)


def test_lanes_of_a_kernel_lie_side_by_side() -> None:
    network, plan = codebook_network()
    array = lay_out(network.topology, with_engine(plan, 1, **vars(Engine(2, 2, 9, lanes=18, codebook="index")))).stages[0].array
    assert [array.element(lane) for lane in range(18)] == [*range(0, 18, 2), *range(1, 18, 2)]

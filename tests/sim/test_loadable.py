"""One build, many networks: what is loaded is what runs, bit for bit and cycle for cycle, and a wrong load shows."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bwnhw import golden
from bwnhw.cycles import cycles
from bwnhw.design import design
from bwnhw.errors import InputError, MismatchError, PlanError
from bwnhw.loading import SCORE_BITS, load_tables, with_scale
from bwnhw.network import Network, Scale, ScaleParams
from bwnhw.plan import Plan, from_json, to_json
from bwnhw.rtl.generate import generate
from bwnhw.rtl.top import load
from bwnhw.sim.interface import read_interface
from bwnhw.sim.loadable import LoadableBuild
from bwnhw.sim.verify import Settings, verify

sys.path.insert(0, str(Path(__file__).parents[1] / "rtl"))
import networks

Make = Callable[[int], tuple[Network, Plan]]


def codes_for(network: Network, images: int = 6) -> NDArray[np.int64]:
    source = network.topology.nodes[0].out
    return np.random.default_rng(1).integers(source.lo, source.hi + 1, (images, *source.shape))


def build(make: Make, folder: Path, cache: Path) -> LoadableBuild:
    network, plan = make(0)
    plan = replace(plan, loadable=True)
    generate(network, plan, b"", folder / "made", "common")
    return LoadableBuild(read_interface(folder / "made"), plan, design(network.topology, plan), cache)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> LoadableBuild:
    return build(networks.dense_network, tmp_path_factory.mktemp("dense"), cache)


@pytest.mark.slow
@pytest.mark.parametrize("make", networks.ALL)
def test_two_networks_on_one_build(make: Make, tmp_path: Path, cache: Path) -> None:
    shared = build(make, tmp_path, cache)
    outputs = []
    for seed in (0, 1):
        network, plan = make(seed)
        codes = codes_for(network)
        found = shared.run(network, codes, level=0, idle_limit=20_000)
        np.testing.assert_array_equal(found.outputs, golden.outputs(network, codes))
        assert tuple(found.last_output.tolist()) == cycles(design(network.topology, plan), images=len(codes)).last[:len(codes)]
        outputs.append(found.outputs)
    assert (outputs[0] != outputs[1]).any()


@pytest.mark.slow
def test_the_bench_loads_too(dense: LoadableBuild, cache: Path) -> None:
    network, _ = networks.dense_network(0)
    found = verify(dense.interface, network, codes_for(network), Settings(6, True, None, 1, 1, cache, 5000))
    assert found.passed, found.failure
    assert len(found.tests) == 9 and {"broken_loads", "reset_in_a_load"} <= set(found.tests)
    other, _ = networks.dense_network(1)  # the folder's words are of the first
    found = verify(dense.interface, other, codes_for(network), Settings(6, False, None, 1, 1, cache, 5000))
    assert not found.passed and found.mismatches


def test_a_wrong_load_is_seen(dense: LoadableBuild) -> None:
    network, _ = networks.dense_network(0)
    codes, right = codes_for(network), dense.words(network)
    for words in (right[:-1], right[1:], np.append(right, right[-1]), np.append(right[:-1], right[-1] ^ np.uint32(1)), right[:0]):
        with pytest.raises(MismatchError, match=rf"^common: expected `loaded` to rise .* stays low after {len(words)} words"):
            run(dense, codes, words)
    for at in range(0, len(right) - 1, 7):  # lowest bits: every table holds one
        changed = right.copy()
        changed[at] ^= 1
        if (run(dense, codes, changed) != golden.outputs(network, codes)).any():
            break
    else:
        pytest.fail("no changed word changed an output")


def run(shared: LoadableBuild, codes: NDArray[np.int64], words: NDArray[np.uint32]) -> NDArray[np.int64]:
    from bwnhw.sim.batch import run_batch

    return run_batch(shared.interface, codes, cache=shared.cache, load=words, level=0, idle_limit=2000).outputs


def test_another_topology_is_refused(dense: LoadableBuild) -> None:
    with pytest.raises(InputError, match=r"^network: expected the topology that the loadable design was made for, found another: s1_dense"):
        dense.words(wider())


def wider() -> Network:
    builder = networks.Builder(0, networks.Ints(24, 1, 1, 0, 1))
    builder.conv(11, networks.Engine(3, 8, lanes=3))
    builder.threshold()
    builder.conv(4, networks.Engine(4, 5, lanes=5))
    builder.scale()
    return builder.done(6)[0]


def test_a_score_that_does_not_fit_is_refused() -> None:
    network, plan = networks.dense_network(0)
    values = network.params[-1]
    assert isinstance(values, ScaleParams)
    large = replace(network, params=(*network.params[:-1], replace(values, mult=values.mult + (1 << 40))))
    with pytest.raises(PlanError, match=r"^loadable: values must be in "):
        load(large, replace(plan, loadable=True))


def test_tables_fit_their_words() -> None:
    for make in networks.ALL:
        network, plan = make(0)
        blocks = design(network.topology, replace(plan, loadable=True))
        tables = load_tables(blocks)
        assert len({table.name for table in tables}) == len(tables) and all(1 <= table.bits <= 32 for table in tables)
        assert len(load(network, replace(plan, loadable=True))) == 1 + sum(table.depth for table in tables)


def test_the_plan_says_so() -> None:
    _, plan = networks.dense_network(0)
    assert from_json(to_json(replace(plan, loadable=True))).loadable and not from_json(to_json(plan)).loadable
    with pytest.raises(PlanError, match=r"^plan: loadable must be true or false, not 'yes'$"):
        from_json(to_json(plan).replace("false", '"yes"', 1))


@pytest.mark.parametrize("make", networks.ALL)
def test_scores_get_a_scale_that_changes_no_value(make: Make) -> None:
    network, plan = make(0)
    scaled = with_scale(network)
    codes = codes_for(network)
    np.testing.assert_array_equal(golden.outputs(scaled, codes), golden.outputs(network, codes))
    last = scaled.topology.nodes[-1]
    assert isinstance(last, Scale) and last.out.bits == SCORE_BITS
    assert design(with_scale(scaled).topology, plan) == design(scaled.topology, plan)
    values = scaled.params[-1]
    assert isinstance(values, ScaleParams)
    twice = replace(scaled, params=(*scaled.params[:-1], replace(values, mult=2 * values.mult)))
    assert (golden.outputs(twice, codes) != golden.outputs(network, codes)).any()

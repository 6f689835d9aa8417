"""Arrays that count their codewords once: sums of chosen popcounts by themselves, and whole small networks, values and cycles."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from networks import Builder, shared_network
from test_kernels import changed, with_engine
from test_top import check, images, simulate

from bwnhw.cycles import cycles
from bwnhw.design import design as lay_out
from bwnhw.errors import PlanError
from bwnhw.network import CodebookShape, Ints
from bwnhw.plan import Engine, from_json, to_json
from bwnhw.rtl.shared import ChosenSum
from bwnhw.sharing import Sharing

SHAPES = [(2, True), (4, True), (6, True), (8, True), (16, True), (2, False), (3, False), (4, False), (8, False)]


def drawn(words: int, closed: bool, kernels: int, family: str, taps: int = 9) -> tuple[Sharing, np.ndarray, np.ndarray, np.ndarray]:
    """The plan; popcounts (beats, kernels, values) and indices (beats, kernels); what they mean (beats,)."""
    rng = np.random.default_rng(kernels)
    sharing = Sharing(CodebookShape(words, 1, (1, taps), closed), family)
    counts = rng.integers(0, taps + 1, (20, kernels, sharing.values))
    index = rng.integers(0, words, (20, kernels))
    picked = np.take_along_axis(counts, (index % sharing.values)[..., None], axis=-1)[..., 0]
    return sharing, counts, index, np.where(index >= sharing.values, taps - picked, picked).sum(axis=-1)


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
@pytest.mark.parametrize(("words", "closed"), SHAPES)
def test_sums_of_chosen_popcounts(words: int, closed: bool, family: str) -> None:
    """Of any number of kernels, by the model and in Amaranth's simulator: the matches, and an excess that is known from the indices."""
    for kernels in (1, 2, 3, 5, 8, 11):
        sharing, counts, index, wanted = drawn(words, closed, kernels, family)
        codes = sharing.codes(index, kernels)
        picked = np.take_along_axis(counts, (index % sharing.values)[..., None], axis=-1)[..., 0]
        sums = sharing.sums(picked, codes)
        assert np.array_equal(sums - sharing.excess(index, kernels), wanted)
        assert sums.max() <= sharing.most(kernels)
        assert np.array_equal(simulated(sharing, counts, codes), sums)


def simulated(sharing: Sharing, counts: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The sums of one beat after the other."""
    beats, kernels = codes.shape
    latency, found = sharing.sum_latency(kernels) + 1, []
    dut = ChosenSum(sharing, latency, codes[:0])
    acts = [sum(int(count) << sharing.bits * at for at, count in enumerate(beat.reshape(-1))) for beat in counts]
    stored = [sum(int(code) << sharing.book.index_bits * at for at, code in enumerate(beat)) for beat in codes]

    async def bench(ctx: Any) -> None:
        for beat in range(beats + latency):
            ctx.set(dut.acts, acts[min(beat, beats - 1)])
            ctx.set(dut.weights, stored[min(beat, beats - 1)])
            await ctx.tick()
            if beat >= latency - 1:
                found.append(ctx.get(dut.count))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(found[:beats])


@pytest.mark.parametrize(("words", "closed", "family"), [*((*shape, "xc7") for shape in SHAPES), (4, True, "ecp5"), (8, True, "ecp5"),
                                                        (4, False, "ice40")])
def test_values_and_cycles(words: int, closed: bool, family: str) -> None:
    network, plan = shared_network(words, words, closed)
    plan = replace(plan, family=family)
    laid = lay_out(network.topology, plan)
    assert [stage.array.sharing.values for stage in laid.stages[:2]] == [words // 2 if closed else words] * 2
    codes = images(network, 3)
    seen = simulate(network, plan, codes)
    check(network, plan, seen, codes)
    ends = [cycle - seen.taken[0] for cycle in seen.given[laid.output.beats - 1::laid.output.beats]]
    estimated = cycles(laid)
    assert (ends[0], ends[-1] - ends[-2]) == (estimated.latency, estimated.interval)


@pytest.mark.parametrize(("words", "closed"), [(4, True), (8, True), (4, False)])
def test_all_at_once(words: int, closed: bool) -> None:
    """Nothing is folded: no counter, one code for each kernel."""
    layer = Builder(3, Ints(3, 3, 4, 0, 3))
    layer.conv(4, Engine(4, 3, 9, planes=2, lanes=18, codebook="shared"), (3, 3), book=(1, words), closed=closed)
    network, plan = layer.done()
    codes = images(network, 3)
    check(network, plan, simulate(network, plan, codes), codes)


@pytest.mark.parametrize("words", [4, 8])
@pytest.mark.parametrize("broken", ["sign", "choice", "codewords"])
def test_a_broken_table_is_found(broken: str, words: int) -> None:
    """The sign or the choice of one kernel, or a tap of one codeword, is another one in the hardware, whose sums come out as they are."""
    layer = Builder(1, Ints(3, 4, 4, 0, 1))
    layer.conv(4, Engine(2, 3, 9, lanes=27, codebook="shared"), (3, 3), book=(1, words), closed=True)
    network, plan = layer.done()
    codes, field = images(network, 3), "codewords" if broken == "codewords" else "index"
    params = network.params[1]
    entries = getattr(params.codebook, field).copy()
    if broken == "codewords":
        entries[0, params.codebook.index[0, 0] % (words // 2), 1, 1] *= -1
    else:
        entries[0, 0] = (entries[0, 0] + (words // 2 if broken == "sign" else 1)) % words
    other = replace(params, codebook=replace(params.codebook, **{field: entries}))
    check(network, plan, simulate(network, plan, codes), codes)
    with pytest.raises(AssertionError):
        check(network, plan, simulate(replace(network, params=(None, other)), plan, codes), codes)


def test_the_plan_says_so_in_its_file() -> None:
    _, plan = shared_network()
    assert from_json(to_json(plan)) == plan
    with pytest.raises(PlanError, match="engine 1: codebook must be 'none' or 'index' or 'shared', not 'share'"):
        from_json(to_json(plan).replace('"shared"', '"share"', 1))


@pytest.mark.parametrize(("engine", "fields", "message"), [
    ({"taps": 3}, {}, "needs taps 9 and lanes that are a multiple of it, not taps 3 and lanes 18"),
    ({"pe": 5, "simd": 3, "planes": 4, "engine": "unrolled"}, {}, "needs a folded engine, not an unrolled one"),
    ({}, {"codebook": None}, "needs a layer whose weights are constants from a codebook"),
    ({}, {"codebook": CodebookShape(4, 3, (3, 3), True)}, "of each channel needs simd 3, all channels, not 2"),
])
def test_what_cannot_be_is_refused(engine: dict[str, Any], fields: dict[str, Any], message: str) -> None:
    network, plan = shared_network()
    with pytest.raises(PlanError, match=f"^node 1: codebook 'shared' {message}|^node 1: codebook 'shared' .*{message}"):
        lay_out(changed(network, 1, **fields).topology, with_engine(plan, 1, **engine))
    with pytest.raises(PlanError, match="node 1: codebook 'shared' needs .* but it has none or is loadable"):
        lay_out(network.topology, replace(plan, loadable=True))

"""Estimates and resources: sums, names, what grows with what, and errors. Their truth is measured in benchmarks/."""

import json
import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bwnhw import resources as measured
from bwnhw.array_bill import tree
from bwnhw.array_block import Array, Step
from bwnhw.blocks import Best, Design, Fifo, Reduce, Scaler, Stage, Thresholds, Upsize, Window
from bwnhw.cli import report
from bwnhw.design import design
from bwnhw.errors import InputError, PlanError
from bwnhw.estimate import Uncoded, estimate
from bwnhw.fabric import Copy, Part, banked, delay, memory
from bwnhw.families import FAMILIES
from bwnhw.geometry import Geometry
from bwnhw.network import BIPOLAR_WEIGHTS, CodebookShape, Conv, Input, Ints, Pool, Threshold, Topology
from bwnhw.plan import Engine, Plan
from bwnhw.resources import block_resources, resources
from bwnhw.rom_bill import registered, rom_luts
from bwnhw.seam_bill import seam, upsized
from bwnhw.structure import bill
from bwnhw.window_address import addresses

sys.path.insert(0, str(Path(__file__).parent))

from random_designs import topologies  # noqa: E402  # the path above is this folder


def network() -> Topology:
    """A 3×3 conv from 8 to 16 channels on 8×8 pixels, and a pool."""
    bits = Ints(16, 8, 8, 0, 1)
    return Topology((Input(Ints(8, 8, 8, 0, 1), Fraction(1), Fraction(0), None),
                     Conv((0,), Ints(16, 8, 8, -72, 72), (3, 3), (1, 1), (1, 1, 1, 1), BIPOLAR_WEIGHTS, (2, -1)),
                     Threshold((1,), bits, True),
                     Pool((2,), Ints(16, 4, 4, 0, 1), "max", (2, 2), (2, 2), (0, 0, 0, 0))))


def folded(pe: int, simd: int, taps: int = 9, **more: Any) -> Plan:
    """A plan with one engine."""
    return Plan(((1, Engine(pe, simd, taps, **more)),), 8)


def test_every_layer_goes_at_the_designs_interval() -> None:
    """Also one of 64 cycles that runs ahead of one of 128 until the buffer in front of that is full, images later."""
    chain = Topology((*network().nodes[:3], Conv((2,), Ints(2, 8, 8, -16, 16), (1, 1), (1, 1), (0, 0, 0, 0), BIPOLAR_WEIGHTS, (2, -1))))
    plan = Plan(((1, Engine(16, 8, 9)), (3, Engine(1, 16, 1))), 8, buffers=((3, 512),))
    found = estimate(chain, plan)
    assert found.layers[0].busy < found.interval
    assert {layer.interval for layer in found.layers} == {found.interval}


def test_json_has_the_agreed_names() -> None:
    found = estimate(network(), folded(4, 8), "ecp5").to_json()
    json.dumps(found, allow_nan=False)
    assert found["latency_cycles"]["measured"] is None
    assert found["interval_cycles"]["estimated"] == 256
    assert found["images_per_second"] == {"value": 200e6 / 256, "clock_mhz": 200.0}
    assert found["luts"]["family"] == "ecp5"
    assert found["luts"]["synthesised"] is None
    conv, pool = found["layers"]
    assert (conv["pe"], conv["simd"], conv["fold"], conv["weight_bits"]) == (4, 72, 4, 16 * 72)
    assert (pool["pe"], pool["fold"], pool["busy_cycles"]) == (None, 0, 16 * 4 * 4)
    assert pool["latency_cycles"] == found["latency_cycles"]


@pytest.mark.parametrize("kind", ["index", "shared"])
def test_layers_with_a_codebook_tell_what_they_take_without(kind: str) -> None:
    """The numbers are those of the same plan without the codebook; layers without one tell nothing."""
    nodes = list(network().nodes)
    nodes[1] = replace(nodes[1], codebook=CodebookShape(4, 1, (3, 3), True))
    coded = estimate(Topology(tuple(nodes)), folded(4, 8, lanes=36, codebook=kind, memory="block"))
    plain = estimate(network(), folded(4, 8, lanes=72, memory="block"))
    with_book, pool = coded.layers
    assert with_book.uncoded == Uncoded(plain.layers[0].luts, plain.layers[0].brams, plain.layers[0].weight_bits)
    assert with_book.luts != with_book.uncoded.luts and with_book.brams < with_book.uncoded.brams
    assert pool.uncoded is None and all(layer.uncoded is None for layer in plain.layers)
    found = coded.to_json()["layers"]
    assert found[0]["without_codebook"] == {"luts": with_book.uncoded.luts, "brams": with_book.uncoded.brams, "weight_bits": 16 * 72}
    assert found[1]["without_codebook"] is None


def test_the_table_shows_what_a_codebook_saves(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns that are there only where a layer has a codebook."""
    nodes = list(network().nodes)
    nodes[1] = replace(nodes[1], codebook=CodebookShape(4, 1, (3, 3), True))
    report.estimated(estimate(network(), folded(4, 8)))
    assert "without" not in capsys.readouterr().out
    report.estimated(estimate(Topology(tuple(nodes)), folded(4, 8, lanes=72, codebook="shared")))
    out = capsys.readouterr().out
    assert "shared" in out and out.count("without") >= 3


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
def test_whole_is_the_sum_of_its_parts(family: str) -> None:
    found = resources(design(network(), folded(4, 8)), family)
    assert found.luts == found.shell.luts + sum(block.luts for stage in found.stages for block in stage.blocks)
    assert found.ffs == found.shell.ffs + sum(block.ffs for stage in found.stages for block in stage.blocks)
    assert found.weight_bits == 16 * 72


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
def test_more_hardware_costs_more(family: str) -> None:
    sizes = [resources(design(network(), folded(*size)), family).luts for size in ((1, 1, 1), (4, 4, 3), (8, 8, 9), (16, 8, 9))]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 3 * sizes[0]


def test_block_memory_takes_block_ram() -> None:
    assert resources(design(network(), folded(1, 1, 1, memory="block"))).brams == 1
    assert resources(design(network(), folded(1, 1, 1))).brams == 0


@pytest.mark.parametrize(("lanes", "shaped", "outputs", "chain"), [
    (3, "xc7", 0, 0), (4, "xc7", 2, 0), (12, "xc7", 3, 0), (32, "xc7", 13, 0), (6, "ecp5", 2, 0), (14, "ecp5", 8, 0), (32, "ecp5", 22, 5),
    (32, "ice40", 22, 5)])
def test_counters_of_the_popcount(lanes: int, shaped: str, outputs: int, chain: int) -> None:
    """By hand: 32 lanes are 16 carries, on xc7 counted by two 6:3, one 6:3, one table of three and three bits with four outputs."""
    assert tree(lanes, 9, shaped, shaped)[:2] == (outputs, chain)


@pytest.mark.parametrize(("depth", "width", "count"), [(512, 36, 1), (512, 64, 2), (1024, 18, 1), (1024, 64, 4), (2048, 64, 8),
                                                       (16384, 1, 1)])
def test_block_rams(depth: int, width: int, count: int) -> None:
    assert banked(depth, width, "xc7").brams == banked(depth, width, "ecp5").brams == count


@pytest.mark.parametrize(("depth", "width", "count"), [(256, 16, 1), (256, 17, 2), (512, 9, 2), (1024, 5, 2), (2048, 3, 2), (4096, 1, 1)])
def test_block_rams_of_4_kbit(depth: int, width: int, count: int) -> None:
    assert banked(depth, width, "ice40").brams == count


@pytest.mark.parametrize(("family", "depth", "width", "synchronous", "part"), [
    ("xc7", 32, 16, True, Part(12, 16)), ("xc7", 64, 16, False, Part(24)), ("xc7", 256, 16, True, Part(0, 0, 1)),
    ("xc7", 256, 10, True, Part(4 * 16 + 4 + 10, 10)), ("xc7", 256, 11, True, Part(0, 0, 1)), ("xc7", 64, 56, True, Part(76, 56)),
    ("ecp5", 16, 8, False, Part(12)), ("ecp5", 32, 16, True, Part(66, 16)),
    ("ice40", 8, 36, False, Part(224, 288)), ("ice40", 8, 20, True, Part(24, 45, 2)), ("ice40", 4, 36, True, Part(112, 180)),
])
def test_memories_as_yosys_maps_them(family: str, depth: int, width: int, synchronous: bool, part: Part) -> None:
    assert memory(depth, width, family, synchronous) == part


def test_delay_lines() -> None:
    assert delay(8, 2, "xc7") == Part(0, 16)
    assert delay(8, 3, "xc7") == Part(8)
    assert delay(8, 40, "xc7") == Part(16)
    assert delay(8, 3, "ecp5") == delay(8, 3, "ice40") == Part(0, 24)


def test_unknown_family_and_block() -> None:
    laid = design(network(), folded(1, 1))
    with pytest.raises(InputError, match="'spartan'"):
        resources(laid, "spartan")

    @dataclass(frozen=True)
    class Novel:
        lanes: int

    with pytest.raises(PlanError, match="Novel must have a rule"):
        block_resources(Novel(3), "xc7")  # type: ignore[arg-type]  # the point of the test


@settings(max_examples=100, deadline=None)
@given(topologies(), st.sampled_from(list(FAMILIES)))
def test_every_random_chain_has_an_estimate(drawn: tuple[Topology, Plan], family: str) -> None:
    """No feature without a cost, nothing negative."""
    found = estimate(*drawn, family)
    assert all(layer.luts >= 0 and layer.ffs >= 0 for layer in found.layers)
    assert found.luts > 0


@pytest.mark.parametrize("groups", [1, 2])
def test_the_other_cores_have_an_estimate(groups: int) -> None:
    for block in (Scaler(4, groups, 10, True, 6, 16), Best(4, groups, 4 * groups, 10, True, 3), Thresholds(4, groups, 10, True, 7, 3, True),
                  Reduce("sum", 4, groups, 3, True, 5, False, 15), Reduce("max", 4, groups, 3, True, 3, True, 7)):
        assert all(block_resources(block, family).luts > 0 for family in FAMILIES)


def test_a_feature_that_was_never_measured_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "_coefficients", lambda: {"xc7": {"fifo": 1.0}})
    with pytest.raises(PlanError, match="cost of fifo_bits must be in coefficients.json"):
        block_resources(Fifo(1, 1, 4), "xc7")


def test_every_stage_block_is_billed() -> None:
    """A deeper FIFO shows up in the stage that has it, and nowhere else."""
    laid = design(network(), folded(4, 8))
    first = laid.stages[0]
    deeper = replace(first, fifo=Fifo(first.fifo.lanes, first.fifo.bits, 64))
    before, after = resources(laid), resources(Design(laid.input, (deeper, *laid.stages[1:]), laid.output))
    assert after.stages[0].luts > before.stages[0].luts
    assert after.stages[1:] == before.stages[1:]
    assert bill(deeper.fifo, "xc7").weight_bits == 0


@pytest.mark.parametrize(("depth", "width", "brams", "lut4", "lut6"), [
    (1500, 12, 1, 24, 12), (2880, 12, 2, 24, 12), (2400, 16, 3, 32, 16), (5000, 8, 3, 16, 8), (1100, 20, 2, 40, 20), (6000, 3, 1, 6, 3),
    (4000, 12, 3, 0, 0), (600, 24, 2, 0, 0)])
def test_banks_of_deep_tables(depth: int, width: int, brams: int, lut4: int, lut6: int) -> None:
    """As Yosys 0.70 maps them (benchmarks/rom_grid.py): banks side by side in one row, with multiplexers behind."""
    ffs = 2 if lut6 else 0
    assert banked(depth, width, "ecp5") == Part(lut4, ffs, brams)
    assert banked(depth, width, "xc7") == Part(lut6, ffs, brams)


@pytest.mark.parametrize(("family", "depth", "width", "luts"), [
    ("ecp5", 16, 8, 8), ("ecp5", 64, 8, 68), ("ecp5", 256, 8, 321), ("ecp5", 1024, 8, 1107), ("ecp5", 2048, 16, 3473),
    ("xc7", 64, 8, 8), ("xc7", 96, 8, 16), ("xc7", 256, 8, 32), ("xc7", 320, 16, 125), ("xc7", 1152, 4, 112)])
def test_tables_of_constants(family: str, depth: int, width: int, luts: int) -> None:
    """Within 8 % of what Yosys 0.70 makes of random ones; padding costs nothing."""
    found = rom_luts(width, depth, 1.0, family)
    assert abs(found / luts - 1) <= 0.08
    assert depth <= FAMILIES[family].leaf or rom_luts(width, depth, 0.5, family) < 0.6 * found


@pytest.mark.parametrize(("words", "even", "luts"), [(4, True, 1241), (4, False, 1286), (8, True, 1696), (8, False, 1710),
                                                    (32, False, 3089), (64, False, 4895)])
def test_arrays_of_indices_on_narrow_luts(words: int, even: bool, luts: int) -> None:
    """Within 2 % of what Yosys 0.70 made of 4 × 72 lanes on ECP5, with random indices in tables of 64 words."""
    block = Array(4, 1, 72, 36, 1, (Step(0, 0, 0),), 64, 64, 1, "bits", 0, 0, 16, 1, False, "lut", "ecp5",
                  codebook=CodebookShape(words, 1, (3, 3), even=even))
    assert abs(block_resources(block, "ecp5").luts / luts - 1) < 0.02


@pytest.mark.parametrize(("family", "depth", "width", "part"), [
    ("ice40", 64, 18, None), ("ice40", 80, 10, Part(10, 1, 1)), ("ice40", 128, 6, None), ("ice40", 144, 6, Part(6, 1, 1)),
    ("ice40", 288, 10, Part(10, 1, 2)), ("ice40", 576, 9, Part(9, 1, 3)), ("ice40", 1100, 5, Part(5, 1, 3)),
    ("ecp5", 128, 10, None), ("ecp5", 144, 10, Part(10, 1, 1)), ("ecp5", 256, 6, None),
    ("ecp5", 288, 6, Part(6, 1, 1)), ("xc7", 256, 18, None), ("xc7", 288, 18, Part(0, 0, 1)), ("xc7", 512, 10, None)])
def test_large_tables_with_a_register_become_block_ram(family: str, depth: int, width: int, part: Part | None) -> None:
    """As Yosys 0.70 maps them (benchmarks/rom_grid.py)."""
    assert registered(depth, width, family) == part


def test_sums_of_an_even_number_of_signs_have_no_lowest_bit() -> None:
    """Ten rows of one beat: a register less in every row's sum and in its line to the last row's output, where nothing is padded."""
    even = Array(10, 1, 12, 12, 1, (Step(0, 0, 0),), 1, 1, 1, "sums", 1, 0, 5, 5, False, "lut", "ecp5", channels=10, weights=120)
    odd = replace(even, weights=130)
    assert bill(odd, "ecp5").part.ffs - bill(even, "ecp5").part.ffs == sum(range(1, 11))
    assert bill(replace(even, loaded=True), "ecp5").part.ffs >= bill(odd, "ecp5").part.ffs


def test_rows_of_padding_have_smaller_tables() -> None:
    """Two groups of eight rows for nine channels: seven rows have a table of one group only."""
    full = Array(8, 2, 16, 16, 1, (Step(0, 0, 0),), 64, 32, 2, "bits", 0, 0, 9, 1, False, "lut", "ecp5", channels=16, weights=16 * 32 * 16)
    padded = replace(full, channels=9, weights=9 * 32 * 16)
    saved = rom_luts(16, 64, 1.0, "ecp5") - rom_luts(16, 32, 1.0, "ecp5")
    assert bill(full, "ecp5").part.luts - bill(padded, "ecp5").part.luts == 7 * saved


def test_lines_go_on_across_the_seam() -> None:
    """Where there are shift registers, those of the fold counter, of `first`, and of the lane that no parity reads take in the window's."""
    stage = design(network(), folded(4, 8, 1, lanes=8)).stages[0]
    assert stage.window and stage.array and stage.array.columns == 1 and stage.array.fold_depth == 36 and stage.array.lanes == 8
    assert seam(stage.window, stage.array, "ecp5") == Part()
    found = seam(stage.window, stage.array, "xc7")
    # six bits of three registers each become shift registers; two registers of `first` and of the offset's six bits go,
    # and three of the lane
    assert found == Part(6 + 1, -6 * 3 - 2 * (1 + 6) - 3)


def test_an_upsizer_makes_a_fifo_block_ram() -> None:
    """As in a random network on iCE40, where Yosys made block RAM of two FIFOs in front of upsizers, but not of the last one."""
    fifo = Fifo(16, 1, 15)
    behind = Stage("behind", (1,), (Upsize(16, 2, 32, 1),), None, (), fifo)
    found = upsized(fifo, behind, "ice40")
    assert found.brams == 1 and found.ffs < -15 * 16 / 2
    assert upsized(fifo, replace(behind, resizers=()), "ice40") == Part()
    assert upsized(Fifo(4, 1, 15), behind, "ice40") == upsized(fifo, behind, "xc7") == upsized(fifo, behind, "ecp5") == Part()


@pytest.mark.parametrize(("depth", "same", "least", "most"), [
    (117, 0, 2, 2), (117, 13, 3.9, 4), (144, 72, 4, 4.5), (60, 40, 2, 2), (64, 76, 1, 1), (80, 80, 3, 3.3), (192, 0, 4, 4), (240, 0, 4, 4),
    (208, 0, 5, 6)])
def test_tables_of_wide_luts(depth: int, same: int, least: float, most: float) -> None:
    """LUT6 per bit as Yosys took for tables of 48 bits; what is the same at the end may cost something where it has an address bit."""
    assert least <= rom_luts(48, depth, 1.0, "xc7", same) / 48 <= most
    assert rom_luts(48, depth, 1.0, "ecp5", same) == rom_luts(48, depth, 1.0, "ecp5")


def test_copies_share_what_their_lowest_bits_choose() -> None:
    """Nine taps over a map 14 words wide, on iCE40: by twos they read even or odd words, two ways in place of nine."""
    window = Window(Geometry(14, 14, (3, 3), (1, 1), (0, 0, 0, 0)), 1, 1, 1, 9, 1, False, 1, (Step(0, 0, 0),), 1, 0, 1, 64)
    read = [row * 14 + column for row in range(3) for column in range(3)]
    assert addresses(window).different == tuple(len({word % (1 << low) for word in read}) for low in range(7))
    copies = [Copy(6)] * 9
    apart, shared = (memory(64, 1, "ice40", False, copies, different) for different in ((1,), addresses(window).different))
    assert apart.luts - shared.luts == 9 * 56 - (2 * 32 + 9 * 28) and apart.ffs == shared.ffs

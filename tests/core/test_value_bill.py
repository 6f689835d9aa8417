"""What the values of an array's tables spare: nothing where they are random, tables of equal bits once; and how bits are counted."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bwnhw import zoo
from bwnhw.design import design
from bwnhw.families import FAMILIES
from bwnhw.lower import lower
from bwnhw.network import BIPOLAR_WEIGHTS, Conv, ConvParams, Input, Ints, Network, NodeParams, Threshold, ThresholdParams, Topology
from bwnhw.onnx_read import load
from bwnhw.plan import Engine, Plan
from bwnhw.resources import Resources, resources
from bwnhw.rom_bill import rom_luts
from bwnhw.value_bill import spared, varying

ROWS, CHANNELS, SIDE = 64, 16, 6
PLAN = Plan(((1, Engine(4, 4, 9, lanes=36)),), CHANNELS)  # four rows, a fold depth of 64, nine border classes with offsets of their own


def network(weights: np.ndarray, thresholds: np.ndarray, pad: int = 1) -> Network:
    """A 3×3 conv with its threshold."""
    top, size = CHANNELS * 9, SIDE - 2 + 2 * pad
    chain = Topology((Input(Ints(CHANNELS, SIDE, SIDE, 0, 1), Fraction(1), Fraction(0), None),
                      Conv((0,), Ints(ROWS, size, size, -top, top), (3, 3), (1, 1), (pad,) * 4, BIPOLAR_WEIGHTS, (2, -1)),
                      Threshold((1,), Ints(ROWS, size, size, 0, 1), False)))
    return Network(chain, (None, ConvParams(weights.astype(np.int8)), ThresholdParams(thresholds[:, None], np.zeros(ROWS, bool))),
                   (None,) * 3)


def both(whole: Network, family: str) -> tuple[Resources, Resources]:
    """The estimate without values and with them."""
    laid = design(whole.topology, PLAN)
    return resources(laid, family), resources(laid, family, whole)


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(1).choice([-1, 1], (ROWS, CHANNELS, 3, 3))


@pytest.fixture
def thresholds() -> np.ndarray:
    return np.random.default_rng(2).integers(-70, 70, ROWS)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_tables_are_as_supposed(family: str, weights: np.ndarray, thresholds: np.ndarray) -> None:
    before, after = both(network(weights, thresholds), family)
    assert after.luts == pytest.approx(before.luts, rel=0.005) and after.ffs == pytest.approx(before.ffs, rel=0.005)
    assert after.brams == before.brams and after.weight_bits == before.weight_bits


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_taps_are_stored_once(family: str, weights: np.ndarray, thresholds: np.ndarray) -> None:
    """All channels alike: of 36 lanes nine are different before they are encoded. Without padding the few offsets are never block RAM."""
    equal = network(np.broadcast_to(weights[:, :1], weights.shape), thresholds, pad=0)
    found = spared(equal, design(equal.topology, PLAN).stages[0], family).part.luts
    expected = 0
    for bits, words in tables_one_by_one(equal.params[1]):
        numbers = (words - 1).bit_length()
        behind = rom_luts(numbers, 64, 1.0, family) + rom_luts(bits, words, 1.0, family)
        expected += min(rom_luts(bits, 64, 1.0, family), behind) - rom_luts(36, 64, 1.0, family)
    assert found == expected < 0


def tables_one_by_one(params: NodeParams) -> list[tuple[int, int]]:
    """Of each of the four rows: how many lanes (tap·4 + channel), the parities among them, have tables of their own, and how many
    different words there are."""
    assert isinstance(params, ConvParams)
    found = []
    for row in range(4):
        mine = params.weights[row::4].reshape(16, 4, 4, 9)  # group, word, channel, tap
        lanes = (mine > 0).transpose(0, 1, 3, 2).reshape(64, 36)
        encoded = [lanes[:, lane] if lane % 2 else lanes[:, :lane + 1].sum(axis=1) % 2 == 1 for lane in range(36)]
        tables = {tuple(table ^ table[0]) for table in encoded if table.any() and not table.all()}
        found.append((len(tables), len(set(zip(*encoded, strict=True)))))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_offsets_take_nothing(family: str, weights: np.ndarray, thresholds: np.ndarray) -> None:
    """Weights that sum up to 0 in every tap have no border classes that differ."""
    level = weights * np.where(np.arange(CHANNELS) % 2, 1, -1)[:, None, None]
    level[:, 1::2] = -level[:, ::2]
    before, after = both(network(level, np.zeros(ROWS, np.int64)), family)
    usual, _ = both(network(weights, thresholds), family)
    assert before == usual
    assert after.ffs < before.ffs or after.brams < before.brams
    assert after.luts < before.luts


def test_block_ram_is_as_wide_as_all_bits_that_change() -> None:
    """Of a layer that ships one row of five has nine, two of them alike: Yosys made one block RAM, none of the rows with eight."""
    whole = lower(load(zoo.find("mnist-lenet3x3-w1a1-p3")))
    plan = Plan(((1, Engine(4, 1, 1, 4)), (4, Engine(5, 8, 1, lanes=8, memory="block")), (7, Engine(1, 16, 1, lanes=16, memory="block")),
                 (10, Engine(1, 2, 1, lanes=2, memory="block"))), family="ice40")
    stage = next(stage for stage in design(whole.topology, plan).stages if stage.name == "s2_conv")
    assert spared(whole, stage, "ice40").part.brams == 1


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 12), st.integers(0, 1 << 30))
def test_varying_bits_are_counted_once(tables: int, entries: int, bits: int, seed: int) -> None:
    words = np.random.default_rng(seed).integers(0, 2, (tables, entries, bits)).astype(bool)
    expected = [len({tuple(column ^ column[0]) for column in table.T if column.any() and not column.all()}) for table in words]
    assert varying(words).tolist() == expected

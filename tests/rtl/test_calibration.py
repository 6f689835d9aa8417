"""The committed coefficients follow from the committed counts, and from nothing else."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bwnhw.clock import ROUTE, ROUTE_MORE, ROUTE_RAM
from bwnhw.design import design
from bwnhw.families import FAMILIES
from bwnhw.resources import resources

pytest.importorskip("scipy")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import calibration_designs  # noqa: E402  # the path above is its folder
import clock_accuracy  # noqa: E402
from calibrate_resources import fitted  # noqa: E402

COUNTS = json.loads((BENCHMARKS / "calibration_counts.json").read_text())["counts"]
COEFFICIENTS = json.loads((BENCHMARKS.parent / "bwnhw" / "coefficients.json").read_text())["luts"]


@pytest.mark.parametrize("family", FAMILIES)
def test_coefficients_follow_from_the_counts(family: str) -> None:
    table, _ = fitted(COUNTS[family], family)
    assert table.keys() == COEFFICIENTS[family].keys()
    for name, cost in table.items():
        assert abs(cost - COEFFICIENTS[family][name]) < 0.01, name  # least squares of another BLAS may round differently


@pytest.mark.parametrize("family", FAMILIES)
def test_a_changed_count_changes_them(family: str) -> None:
    changed = json.loads(json.dumps(COUNTS[family]))
    next(row for counts in changed.values() for name, row in counts.items() if "_array_" in name)["luts"] *= 2
    assert fitted(changed, family)[0] != COEFFICIENTS[family]


@pytest.mark.parametrize(("family", "mean", "worst"), [("xc7", 0.02, 0.05), ("ecp5", 0.02, 0.04), ("ice40", 0.02, 0.05)])
def test_error_over_whole_designs_is_as_documented(family: str, mean: float, worst: float) -> None:
    _, rows = fitted(COUNTS[family], family)
    errors = []
    for seed in sorted({row["design"] for row in rows if row["block"] == "rest"}):  # the others are in it without their arrays
        mine = [row for row in rows if row["design"] == seed]
        errors.append(abs(sum(row["estimated"]["luts"] for row in mine) / sum(row["luts"] for row in mine) - 1))
    assert sum(errors) / len(errors) < mean
    assert max(errors) < worst


@pytest.mark.parametrize("family", FAMILIES)
def test_arrays_with_codebooks_can_be_drawn(family: str) -> None:
    """From a seed on; every feature of theirs has a cost."""
    kinds = set()
    for seed in range(calibration_designs.CODED, calibration_designs.CODED + 12):
        network, plan = calibration_designs.draw(seed)
        kinds |= {engine.codebook for _, engine in plan.engines}
        assert resources(design(network.topology, replace(plan, family=family)), family).luts > 0
    assert kinds == {"none", "index", "shared"}


PLACES = json.loads((BENCHMARKS / "clock_places.json").read_text())


def test_routing_delays_follow_from_the_placed_designs() -> None:
    found = clock_accuracy.fitted(PLACES)
    assert found == pytest.approx((ROUTE, ROUTE_MORE, ROUTE_RAM), abs=0.01)
    assert clock_accuracy.fitted({**PLACES, "4": {"fmax_mhz": 60.0}}) != pytest.approx(found, abs=0.05)


def test_the_clock_of_designs_held_out_is_as_documented() -> None:
    errors = [abs(clock_accuracy.compared(PLACES, seed)["error"]) for seed in clock_accuracy.HELD_OUT]
    assert sum(errors) / len(errors) < 0.08 and max(errors) < clock_accuracy.MOST

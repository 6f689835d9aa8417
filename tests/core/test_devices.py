"""The catalogue of devices, and what fits into one."""

from dataclasses import dataclass

import pytest

from bwnhw.devices import catalogue, find, judge, uses
from bwnhw.errors import FitError, InputError
from bwnhw.families import FAMILIES


@dataclass(frozen=True)
class Sizes:
    luts: int
    ffs: int
    brams: int


def test_every_device_of_the_catalogue_is_whole() -> None:
    assert set(catalogue()) >= {"ice40up5k", "ice40hx8k", "ecp5-12", "ecp5-25", "ecp5-45", "ecp5-85", "xc7a35t", "xc7a100t", "xc7a200t",
                                "zynq7020", "zu3eg", "zu7ev", "vu9p"}
    for device in catalogue().values():
        assert device.family in FAMILIES
        assert device.ffs >= device.luts > 1000
        assert device.brams > 0 <= device.urams
        assert len(device.source) > 20


def test_a_device_that_is_just_full_fits() -> None:
    device = find("zynq7020")
    judge(device, Sizes(53_200, 106_400, 280))
    assert all(use.fits for use in uses(device, Sizes(1, 1, 0)))


def test_the_resource_that_does_not_fit_is_named() -> None:
    with pytest.raises(FitError, match=r"^xc7a35t: the design doesn't fit, it takes 20,801 LUT of 20,800 and 101 block RAM of 100$"):
        judge(find("xc7a35t"), Sizes(20_801, 41_600, 101))


def test_logic_cells_hold_a_lut_and_a_flip_flop() -> None:
    """5,328 LUTs and 4,903 flip-flops were 8,077 cells for nextpnr: neither is too many, together they are."""
    device = find("ice40hx8k")
    cells = {use.resource: use.used for use in uses(device, Sizes(5328, 4903, 31))}["logic cell"]
    assert abs(cells / 8077 - 1) < 0.06
    with pytest.raises(FitError, match=r"it takes 8,\d{3} logic cell of 7,680$"):
        judge(device, Sizes(5328, 4903, 31))
    assert FAMILIES["ice40"].cells(100, 10) == 100 and FAMILIES["ecp5"].cells(100, 900) == 100


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(InputError, match="zynq7020"):
        find("zynq")

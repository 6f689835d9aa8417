"""The catalogue of devices, `bwnhw/devices.toml`, and whether a design fits into one."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Protocol

from bwnhw.errors import FitError, InputError
from bwnhw.families import FAMILIES

ROUTABLE = 0.7  # the share of a device's LUTs that the planner fills: fuller ones are hard to route


@dataclass(frozen=True)
class Device:
    """What a device holds: LUTs and block RAMs as `family` counts them (18 kbit on xc7 and ecp5, 4 kbit on ice40), 288-kbit UltraRAMs.

    `nextpnr`: the options that name it to nextpnr; none where that doesn't know it.
    """

    name: str
    family: str
    luts: int
    ffs: int
    brams: int
    urams: int
    source: str
    nextpnr: tuple[str, ...] = ()


class Sized(Protocol):
    """What has LUTs, flip-flops and block RAMs: an estimate, or what synthesis counted."""

    @property
    def luts(self) -> int: ...  # noqa: D102  # as the class says

    @property
    def ffs(self) -> int: ...  # noqa: D102

    @property
    def brams(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Use:
    """How much of one resource a design takes of what there is."""

    resource: str
    used: int
    available: int

    @property
    def fits(self) -> bool:
        """Whether there is enough of it."""
        return self.used <= self.available


@cache
def catalogue() -> dict[str, Device]:
    """Every device by its name."""
    data = tomllib.loads(files("bwnhw").joinpath("devices.toml").read_text(encoding="utf-8"))
    return {name: Device(name, **{**fields, "nextpnr": tuple(fields.get("nextpnr", ()))}) for name, fields in data.items()}


def find(name: str) -> Device:
    """A device of the catalogue. Raises InputError with the names there are."""
    if name not in catalogue():
        raise InputError(f"--device: expected one of {', '.join(catalogue())}, found {name!r}")
    return catalogue()[name]


def uses(device: Device, sized: Sized) -> tuple[Use, ...]:
    """What a design takes of every resource of a device that it uses at all."""
    family = FAMILIES[device.family]
    cells = (Use("logic cell", family.cells(sized.luts, sized.ffs), device.luts),) if family.packed is not None else ()
    return (Use("LUT", sized.luts, device.luts), Use("FF", sized.ffs, device.ffs), *cells, Use("block RAM", sized.brams, device.brams))


def judge(device: Device, sized: Sized) -> None:
    """Raises FitError that names the resources of which the device has too little."""
    short = [f"{use.used:,} {use.resource} of {use.available:,}" for use in uses(device, sized) if not use.fits]
    if short:
        raise FitError(f"{device.name}: the design doesn't fit, it takes {' and '.join(short)}")

"""Place and route by nextpnr, on ECP5 and iCE40: what a design really takes of a device, and how fast its clock may be."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

from bwnhw.devices import Device
from bwnhw.errors import InputError, MissingError, ToolError
from bwnhw.rtl.process import NEVER, run_tool
from bwnhw.rtl.synth import netlist

CELLS: dict[str, dict[str, str | None]] = {
    "ecp5": {"luts": "TRELLIS_COMB", "ffs": "TRELLIS_FF", "brams": "DP16KD"},
    "ice40": {"luts": "ICESTORM_LC", "ffs": None, "brams": "ICESTORM_RAM"},
}
SEED = 1
FREQUENCY = 400  # MHz asked for: more than is reached, so that the placer doesn't rest before
REPORT = "report.json"


@dataclass(frozen=True)
class Placed:
    """What a placed and routed design takes, kind "placed", and the greatest clock in MHz that nextpnr allows it.

    On iCE40 a logic cell holds a LUT, a carry and a flip-flop: `luts` are those cells, and flip-flops aren't counted apart (None).
    """

    device: str
    luts: int
    ffs: int | None
    brams: int
    fmax_mhz: float
    tool: str


def place(verilog: Path, top: str, device: Device, *, yosys: Path | None = None, timeout: float = 3600.0, seed: int = SEED,
          progress: Callable[[str], None] | None = None, stop: Event = NEVER) -> Placed:
    """Synthesise module `top` of a Verilog file and place it on a device, its ports on any pins.

    `timeout` is in seconds and holds for each tool; `seed` is the placer's; `progress` is called with the names of passes and phases.
    Raises InputError for a device that nextpnr doesn't know, MissingError without the tools, ToolError where one fails, is stopped, or
    finds that the design doesn't fit.
    """
    if not device.nextpnr:
        raise InputError(f"{device.name}: expected a device that nextpnr places on (ECP5 or iCE40), found one of family {device.family}")
    tool = f"nextpnr-{device.family}"
    package = f"yowasp_nextpnr_{device.family}"
    if find_spec(package) is None:
        raise MissingError(f"placing needs yowasp-{tool}, which is not installed: pip install 'bwnhw[place]'")
    run = f"import sys, {package} as tool; sys.exit(tool.run_nextpnr_{device.family}(sys.argv[1:]))"
    with netlist(verilog, device.family, top, yosys, timeout, progress, stop) as (path, _):
        command = [sys.executable, "-c", run, *device.nextpnr, "--json", path.name, "--report", REPORT, "--seed", str(seed), "--freq",
                   str(FREQUENCY), "--timing-allow-fail"]

        def see(line: str) -> None:
            if progress and line.startswith("Info: ") and line.rstrip().endswith(".."):
                progress(line[6:].strip().rstrip("."))

        run_tool(tool, command, str(path.parent), timeout, see, stop)
        report = path.parent / REPORT
        if not report.is_file():
            raise ToolError(f"synth: {tool} ended without a report on {top}")
        return _read(json.loads(report.read_text()), device, tool)


def _read(report: dict[str, Any], device: Device, tool: str) -> Placed:
    """The numbers of nextpnr's report; the slowest of its clocks counts."""
    cells = CELLS[device.family]
    used = {name: None if cell is None else int(report["utilization"].get(cell, {"used": 0})["used"]) for name, cell in cells.items()}
    clocks = [clock["achieved"] for clock in report["fmax"].values()]
    if not clocks:
        raise ToolError(f"synth: {tool} found no clock in the design, expected one")
    return Placed(device.name, used["luts"] or 0, used["ffs"], used["brams"] or 0, round(min(clocks), 2), tool)

"""The estimated clock on ECP5 against nextpnr's, on small random designs; the designs of the fit apart from those held out.

    python benchmarks/clock_accuracy.py [--quick] [--json FILE] [--places FILE]

Every design of calibration_designs.py named here is synthesised, placed and routed once on an ECP5-25 (default speed grade, the pinned
nextpnr, seed 1), half a minute each. The clocks stand in clock_places.json, or another `--places FILE`, which is written after every
design: what is in it isn't done again. Printed are the three routing delays of `bwnhw.clock` as they follow from the designs of the fit,
and the errors. `--quick` places nothing. Exit status 1 where a held-out design is off by more than 15 %.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from calibration_designs import draw
from numpy.typing import NDArray
from scipy.optimize import least_squares

from bwnhw.blocks import Design
from bwnhw.clock import ROUTE, ROUTE_MORE, ROUTE_RAM, clock, ways
from bwnhw.design import design
from bwnhw.devices import find
from bwnhw.files import write_text
from bwnhw.rtl.emit import emit
from bwnhw.rtl.place import place
from bwnhw.rtl.top import build

FIT = (2, 4, 7, 8, 10, 14, 102, 104, 106, 109, 111, 112, 113, 116, 118, 121, 125, 129, 130, 136, 142, 149)
HELD_OUT = (115, 119, 124, 126, 127, 148, 150, 151, 152, 153, 154, 155, 156)  # those from 150 on placed only when the rules stood
DEVICE = "ecp5-25"
MOST = 0.15
PLACES = Path(__file__).parent / "clock_places.json"
Places = dict[str, dict[str, Any]]


def placed(seed: int) -> dict[str, Any]:
    """Clock in MHz and LUTs of a design that is placed."""
    network, plan = draw(seed, "ecp5")
    with tempfile.TemporaryDirectory(prefix="bwnhw-") as folder:
        verilog = Path(folder) / "net.v"
        write_text(verilog, emit(build(network, plan), "net"))
        found = place(verilog, "net", find(DEVICE))
    return {"fmax_mhz": found.fmax_mhz, "luts": found.luts, "tool": found.tool}


def fitted(places: Places, seeds: Sequence[int] = FIT) -> tuple[float, ...]:
    """(ROUTE, ROUTE_MORE, ROUTE_RAM) in ns: least squares of the period's relative errors."""
    found = [[way for _, _, way in ways(laid(seed))] for seed in seeds]
    periods = np.array([1000 / places[str(seed)]["fmax_mhz"] for seed in seeds])

    def errors(route: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([max(way.period(*route) for way in design) for design in found]) / periods - 1

    return tuple(round(float(delay), 3) for delay in least_squares(errors, [0.7, 0.5, 0.5]).x)


def laid(seed: int) -> Design:
    """A design for ECP5."""
    network, plan = draw(seed, "ecp5")
    return design(network.topology, plan)


def compared(places: Places, seed: int) -> dict[str, Any]:
    """A design's estimate beside what was placed."""
    guess, found = clock(laid(seed)), places[str(seed)]
    return {"design": seed, "held_out": seed in HELD_OUT, "limited_by": guess.block, "estimated_mhz": guess.fmax_mhz,
            "placed_mhz": found["fmax_mhz"], "luts": found["luts"], "error": round(guess.fmax_mhz / found["fmax_mhz"] - 1, 4)}


def main() -> int:
    """Place what isn't known yet, print, compare with the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--places", type=Path, default=PLACES)
    options = parser.parse_args()
    places: Places = json.loads(options.places.read_text()) if options.places.exists() else {}
    for seed in () if options.quick else (*FIT, *HELD_OUT):
        if str(seed) not in places:
            places[str(seed)] = placed(seed)
            write_text(options.places, json.dumps(places, indent=1) + "\n")
            print(f"design {seed}: {places[str(seed)]}", file=sys.stderr, flush=True)
    rows = [compared(places, seed) for seed in (*FIT, *HELD_OUT) if str(seed) in places]
    for row in rows:
        print(row)
    print(f"routing that follows from the fit: {fitted(places)}, in bwnhw/clock.py: {(ROUTE, ROUTE_MORE, ROUTE_RAM)}")
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1) + "\n")
    off = [abs(row["error"]) for row in rows if row["held_out"]]
    print(f"{len(off)} held-out designs: mean error {np.mean(off):.1%}, worst {max(off):.1%}; at most {MOST:.0%}")
    return int(max(off) > MOST)


if __name__ == "__main__":
    sys.exit(main())

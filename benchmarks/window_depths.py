"""What window buffers of powers of two cost: their memories beside the same at the least depth that keeps an array busy.

    python benchmarks/window_depths.py [--quick] [--json FILE]

For the networks of the zoo, each at its default plan and at 20,000 cycles an image (`--quick`: the digits network only). Addresses that
wrap elsewhere than at a power of two would need an adder and a comparison per tap on top, which are not in these numbers. Exit status 1
where an exact depth would save more than a tenth of a design's LUTs.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bwnhw import planner, zoo
from bwnhw.design import design, least_depth
from bwnhw.fabric import Copy, Part, index_bits, memory
from bwnhw.families import FAMILIES
from bwnhw.files import write_text
from bwnhw.lower import lower
from bwnhw.onnx_read import load
from bwnhw.resources import resources

FLOOR = 0.1


def rows(name: str) -> list[dict[str, Any]]:
    """A row per plan and family."""
    topology = lower(load(zoo.find(name))).topology
    found = []
    for interval in (None, 20_000):
        for family in FAMILIES:
            laid = design(topology, planner.plan(topology, interval=interval, family=family))
            rounded, exact = Part(), Part()
            for window in (stage.window for stage in laid.stages if stage.window):
                width = window.lanes * window.bits
                rounded += _copied(window.depth, width, family, window.taps)
                exact += _copied(min(window.depth, least_depth(window)), width, family, window.taps)
            found.append({"network": name, "interval": interval or "default", "family": family, "luts": rounded.luts,
                          "brams": rounded.brams, "exact_luts": exact.luts, "exact_brams": exact.brams,
                          "design_luts": resources(laid, family).luts})
    return found


def _copied(depth: int, width: int, family: str, copies: int) -> Part:
    """A memory in copies that are read at addresses of their own."""
    return memory(depth, width, family, True, [Copy(index_bits(depth))] * copies)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = [row for name in (["digits-conv"] if options.quick else zoo.names()) for row in rows(name)]
    print("| network | interval | family | LUT, power of two | exact | block RAM | exact |\n| --- | --- | --- | --- | --- | --- | --- |")
    for row in found:
        print(f"| {row['network']} | {row['interval']} | {row['family']} | {row['luts']:,} | {row['exact_luts']:,} | {row['brams']} "
              f"| {row['exact_brams']} |")
    worst = max((row["luts"] - row["exact_luts"]) / row["design_luts"] for row in found)
    print(f"an exact depth would save at most {worst:.1%} of a design's LUTs")
    if options.json:
        write_text(options.json, json.dumps(found, indent=1) + "\n")
    return int(worst > FLOOR)


if __name__ == "__main__":
    sys.exit(main())

"""Estimated against synthesised: whole designs of the zoo, each with the foldings in tests/data/plans, through the pinned Yosys.

    python benchmarks/estimate_vs_synth.py [--quick] [--family xc7|ecp5 ...] [--json FILE] [--only TEXT] [--limit-luts N]

`--quick` takes the digits network only. No design here was used for the calibration. Exit status 1 where the mean LUT error is above
15 % on a family.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bwnhw import zoo
from bwnhw.design import design
from bwnhw.families import FAMILIES
from bwnhw.files import write_text
from bwnhw.lower import lower
from bwnhw.onnx_read import load
from bwnhw.plan import from_json
from bwnhw.resources import resources
from bwnhw.rtl.generate import generate
from bwnhw.rtl.synth import synth

PLANS = Path(__file__).parent.parent / "tests" / "data" / "plans"
FLOOR = 0.15
COLUMNS = ("luts", "ffs", "brams")


def measured(path: Path, families: list[str], limit: int) -> list[dict[str, Any]]:
    """One row per family of a network with the plan in `path`; none where the estimate is above `limit` LUTs."""
    model = zoo.find(path.stem.rsplit("-", 1)[0])
    network, plan = lower(load(model)), from_json(path.read_text(encoding="utf-8"))
    laid = design(network.topology, plan)
    if resources(laid, families[0]).luts > limit:
        print(f"{path.stem}: left out, above --limit-luts", file=sys.stderr)
        return []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        verilog = generate(network, plan, model.read_bytes(), Path(folder) / "out", "net").verilog
        for family in families:
            began = time.perf_counter()
            estimated, found = resources(laid, family), synth(verilog, family, "net")
            rows.append({"design": path.stem, "family": family, "tool": found.tool, "seconds": round(time.perf_counter() - began, 1),
                         **{name: {"estimated": getattr(estimated, name), "synthesised": getattr(found, name)} for name in COLUMNS}})
            print(shown(rows[-1]), flush=True)
    return rows


def error(row: dict[str, Any], name: str) -> float:
    """Relative error of an estimate; 0 where both are 0."""
    pair = row[name]
    return abs(pair["estimated"] - pair["synthesised"]) / max(1, pair["synthesised"])


def shown(row: dict[str, Any]) -> str:
    """A row as text."""
    pairs = []
    for name in COLUMNS:
        estimated, found = row[name]["estimated"], row[name]["synthesised"]
        pairs.append(f"{name} {estimated:>7,} / {found:>7,} ({estimated / max(1, found):4.2f})")
    return f"{row['design']:30s} {row['family']:5s} {'  '.join(pairs)}  {row['seconds']:6.1f} s"


def main() -> int:
    """Measure, print, compare with the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--limit-luts", type=int, default=10**9)
    options = parser.parse_args()
    paths = [path for path in sorted(PLANS.glob("*.json")) if options.only in path.stem and (not options.quick or "digits" in path.stem)]
    print("design                         family estimated / synthesised (ratio)")
    rows = [row for path in paths for row in measured(path, options.family, options.limit_luts)]
    passed = True
    for family in options.family:
        mine = [row for row in rows if row["family"] == family]
        mean, worst = (function([error(row, "luts") for row in mine] or [0.0]) for function in (lambda x: sum(x) / len(x), max))
        ffs = sum(error(row, "ffs") for row in mine) / max(1, len(mine))
        passed &= mean <= FLOOR
        print(f"{family}: {len(mine)} designs, LUT mean error {mean:.1%}, worst {worst:.1%}; FF mean error {ffs:.1%}; "
              f"block RAM equal in {sum(not error(row, 'brams') for row in mine)}")
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

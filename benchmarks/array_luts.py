"""LUTs per lane of our arrays, beside a plain unit in FINN's manner through the same Yosys, and beside published figures.

    python benchmarks/array_luts.py [--quick] [--json FILE] [--reuse FILE] [--limit N]

Rows × lanes from 4 × 32 to 64 × 64, on xc7 in one column, on ecp5 in columns of 32 lanes; 64 × 64 on xc7 also in two columns, which is
what its limit of LUTs per lane is about (the ratios are of whole rows); weights at run time ("-": they come in by port,
nothing is counted for their storage), and fold depths 1, 8, 64 and 512. Both sides have 16-bit accumulators that begin at the threshold, a
register behind every second adder level at least, and the same flags (`bwnhw.rtl.synth.SCRIPTS`). Counted as in `bwnhw.rtl.netlist`.
Depth 512 is in block RAM on our side and left out on the plain one, whose LUT ROM nobody would build. Depth 1 is measured twice on our
side, systolic and unrolled (`unrolled_unit.py`: an adder graph with sums that rows share, a register behind every adder, the same
accumulators); the better one is ours, and both are printed.

`--quick` measures 4 × 32 and 16 × 32 at depth 8; `--limit` leaves out arrays of more lanes. `--reuse` takes the rows of an earlier
`--json FILE`. Exit status 1 where a floor isn't met.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from array_units import COLUMN_LANES, ours, plain
from unrolled_unit import unrolled

from bwnhw.files import write_text
from bwnhw.rtl.synth import synth

LARGEST = (64, 64)
SIZES = ((4, 32), (4, 64), (16, 32), (16, 64), (64, 32), LARGEST)
DEPTHS = (0, 1, 8, 64, 512)
PUBLISHED = (
    ("FINN, HLS unit, run-time weights", "2.5 to 3.1", "Vivado 2020.1, asadalam/FINN_MatrixVector_RTL, Doc/results.ipynb"),
    ("FINN, hand-written RTL unit", "3.0", "the same; paper arXiv 2201.11409"),
    ("FINN LFC-max / SFC-max, whole designs with weights and thresholds", "3.7 / 4.4", "derived from arXiv 1612.07119"),
    ("BISMO dot product unit, Dk = 256, without weights", "1.34", "cost model 1.17 Dk + 44, BISMO.scala v2"),
)
MOST = {("xc7", 0): 1.7, ("xc7", 8): 1.7, ("ecp5", 0): 2.7, ("ecp5", 8): 2.8}  # LUT per lane at 64 × 64
RATIOS = {0: 1.5, 1: 1.35, 8: 1.8, 64: 1.35}  # plain by ours on xc7, from 16 × 32 up
Row = dict[str, Any]
Case = tuple[int, int, int, str, int]


def cases(quick: bool, limit: int) -> Iterator[Case]:
    """(rows, lanes, depth, family, lanes of a column) of everything that is measured."""
    for rows, lanes in SIZES:
        for depth in DEPTHS:
            for family, column in COLUMN_LANES.items():
                if depth == 8 and lanes == 32 and rows < 64 if quick else rows * lanes <= limit:
                    yield rows, lanes, depth, family, min(column, lanes)
                    if family == "xc7" and (rows, lanes) == LARGEST and depth in (0, 8):
                        yield rows, lanes, depth, family, column // 2


def measured(rows: int, lanes: int, depth: int, family: str, column: int) -> Row:
    """Cells of both units of one size."""
    row: Row = {"rows": rows, "lanes": lanes, "depth": depth, "family": family, "column": column}
    began = time.perf_counter()
    texts = {"ours": ours(rows, lanes, depth, family, "block" if depth == 512 else "lut", column)}
    if depth != 512:
        texts["plain"] = plain(rows, lanes, depth)
    if depth == 1:
        texts |= {"systolic": texts.pop("ours"), "unrolled": unrolled(rows, lanes, family)}
    for name, text in texts.items():
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "unit.v").write_text(text)
            found = synth(Path(folder) / "unit.v", family, "top")
        row |= {"tool": found.tool, name: {"luts": found.luts, "carry_luts": found.detail.carry_luts, "ffs": found.ffs,
                                           "brams": found.brams, "muxes": found.detail.muxes}}
    if depth == 1:
        row["ours"] = min(row["systolic"], row["unrolled"], key=lambda cells: int(cells["luts"]))
    return row | {"seconds": round(time.perf_counter() - began, 1)}


def per_lane(row: Row, name: str) -> float:
    """LUT per lane of one side."""
    return float(row[name]["luts"] / (row["rows"] * row["lanes"]))


def ratio(row: Row) -> float:
    """How many times fewer LUTs ours has."""
    return float(row["plain"]["luts"] / row["ours"]["luts"])


def shown(row: Row) -> str:
    """A row as text."""
    cells = row["ours"]
    text = (f"{row['family']:5s} {row['rows']:3d} x {row['lanes']:3d} {row['column']:6d} {row['depth'] or '-':>5}  "
            f"{per_lane(row, 'ours'):6.3f} {cells['luts']:7,d} {cells['carry_luts']:6d} {cells['ffs']:7,d} {cells['brams']:5d} "
            f"{cells['muxes']:6d}")
    if "plain" in row:
        text += f"   {per_lane(row, 'plain'):6.3f} {row['plain']['luts']:7,d}  {ratio(row):5.2f}"
    if "unrolled" in row:
        text += f"   systolic {per_lane(row, 'systolic'):.3f}, unrolled {per_lane(row, 'unrolled'):.3f}"
    return text


def missed(rows: list[Row]) -> list[str]:
    """The floors that aren't met, of the sizes that were measured."""
    found = []
    for row in rows:
        where = f"{row['family']} {row['rows']} x {row['lanes']} in columns of {row['column']} lanes, depth {row['depth'] or 'run time'}"
        most = MOST.get((row["family"], row["depth"]))
        if most and (row["rows"], row["lanes"]) == LARGEST and per_lane(row, "ours") > most:
            found.append(f"{where}: {per_lane(row, 'ours'):.3f} LUT per lane, at most {most}")
        least = RATIOS.get(row["depth"])
        widest = row["column"] == min(row["lanes"], COLUMN_LANES["xc7"])
        if least and row["family"] == "xc7" and widest and row["rows"] >= 16 and ratio(row) < least:
            found.append(f"{where}: {ratio(row):.2f} times fewer, at least {least}")
    return found


def main() -> int:
    """Measure, print, compare with the floors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--reuse", type=Path)
    parser.add_argument("--limit", type=int, default=64 * 64)
    options = parser.parse_args()
    known = json.loads(options.reuse.read_text()) if options.reuse else []
    print("family rows x lanes column depth  ours: LUT/lane   LUTs  carry     FFs  RAMs  muxes   plain: LUT/lane  LUTs  ratio")
    done: list[Row] = []
    for case in cases(options.quick, options.limit):
        same = [row for row in known if tuple(row[name] for name in ("rows", "lanes", "depth", "family", "column")) == case]
        done.append(same[0] if same else measured(*case))
        print(shown(done[-1]), flush=True)
        if options.json:
            write_text(options.json, json.dumps(done, indent=1) + "\n")
    print(f"\nPublished, LUT6 per lane, counted by Vivado where ours is {done[0]['tool']}:")
    for what, figure, source in PUBLISHED:
        print(f"  {what}: {figure} ({source})")
    failed = missed(done)
    for line in failed:
        print(f"missed: {line}", file=sys.stderr)
    best = {family: min(per_lane(row, "ours") for row in done if row["family"] == family and row["depth"] == 8) for family in COLUMN_LANES}
    print(f"array_luts: with eight baked weights per lane {best['xc7']:.2f} LUT6 on xc7, {best['ecp5']:.2f} LUT4 on ecp5; "
          f"{len(failed)} floors missed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

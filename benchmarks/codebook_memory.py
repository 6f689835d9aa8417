"""Folded arrays with and without indices of kernels as weights: memory and LUTs, synthesised.

    python benchmarks/codebook_memory.py [--quick] [--json FILE]

Arrays of 4 × 108 lanes, weights in tables of LUTs, fold depths 8, 64, 128 and 512; of 2 × 324 lanes in block RAM, depth 512; without a
codebook (random weights), and with random codebooks of 2^p kernels of nine taps, p = 2 .. 6; PEs of 36 lanes. Family xc7, one Yosys, flags
of `bwnhw.rtl.synth.SCRIPTS`, LUTs counted as in `bwnhw.rtl.netlist`. The memory's share is what the array takes beyond the same one of fold
depth 2, whose tables are wires; codewords stand in the logic and are counted there.

`--quick` measures depths 64 and 512 in LUTs with p = 3. Exit status 1 where a floor isn't met: LUTs no higher than without for p ≤ 3
and in LUTs from depth 128 on, else at most 0.7 per lane higher; memory at most p/9 of that without, in LUTs with the codewords' bits
beside, or in whole block RAMs.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from array_units import SEED, array, window

from bwnhw.array_block import Array
from bwnhw.files import write_text
from bwnhw.network import CodebookShape
from bwnhw.resources import block_resources
from bwnhw.rtl.core import build_core
from bwnhw.rtl.emit import emit
from bwnhw.rtl.synth import synth
from bwnhw.tables import ArrayTables, KernelTables

TAPS, PE_LANES, LUT_BITS = 9, 36, 64
BITS, DEPTHS = (2, 3, 4, 5, 6), (8, 64, 128, 512)
BARE = 2  # the fold depth whose tables are wires
MORE = 0.7  # LUTs per lane
Row = dict[str, Any]


def block_of(rows: int, lanes: int, depth: int, memory: str, bits: int) -> Array:
    """The array; `bits` of an index, 9 without a codebook."""
    book = CodebookShape(1 << bits, 1, (3, 3)) if bits < TAPS else None
    return replace(array(rows, lanes, depth, "xc7", memory), pe_lanes=PE_LANES, codebook=book)


@cache
def cells(rows: int, lanes: int, depth: int, memory: str, bits: int) -> Row:
    """What one array takes, synthesised, with its estimate beside."""
    block, rng = block_of(rows, lanes, depth, memory, bits), np.random.default_rng(SEED)
    kernels = None
    if block.codebook:
        words = rng.integers(0, 2, (1, block.codebook.words, TAPS)).astype(bool)
        kernels = KernelTables(rng.integers(0, block.codebook.words, (rows, depth, lanes // TAPS)), words.repeat(lanes // TAPS, axis=0))
    return synthesised(block, kernels, rng)


def synthesised(block: Array, kernels: KernelTables | None, rng: np.random.Generator) -> Row:
    """What an array takes, with its estimate beside: of `kernels`, or of random weights."""
    shape = block.pe, block.fold_depth, block.lanes
    weights = kernels.weights if kernels else rng.integers(0, 2, shape).astype(bool)
    tables = ArrayTables(weights, rng.integers(-500, 0, (block.pe, 1)), np.zeros((block.pe, 1), bool), kernels)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "unit.v").write_text(emit(build_core(block, tables, window(block.lanes, block.fold_depth)), "top"))
        found = synth(Path(folder) / "unit.v", "xc7", "top")
    return {"luts": found.luts, "ffs": found.ffs, "brams": found.brams, "estimated_luts": block_resources(block, "xc7").luts}


def compared(rows: int, lanes: int, depth: int, memory: str, bits: int) -> Row:
    """One array with indices beside the one without, and which floors it misses."""
    ours, plain = cells(rows, lanes, depth, memory, bits), cells(rows, lanes, depth, memory, TAPS)
    row: Row = {"rows": rows, "lanes": lanes, "depth": depth, "kind": memory, "bits": bits, "ours": ours, "plain": plain, "missed": []}
    row["luts_per_lane"] = round((ours["luts"] - plain["luts"]) / rows / lanes, 3)
    cheap = bits <= 3 or memory == "lut" and depth >= 128
    if row["luts_per_lane"] > (0 if cheap else MORE):
        row["missed"].append(f"LUTs per lane {row['luts_per_lane']:+} (at most {0 if cheap else MORE})")
    if memory == "block":
        row["memory"], most = [ours["brams"], plain["brams"]], ceil(plain["brams"] * bits / TAPS)
    else:
        row["memory"] = [one["luts"] - cells(rows, lanes, BARE, memory, p)["luts"] for one, p in ((ours, bits), (plain, TAPS))]
        most = row["memory"][1] * bits / TAPS + ceil(TAPS * 2 ** bits / LUT_BITS)
    if memory == "lut" and ours["brams"]:
        row["missed"].append(f"the table in LUTs became {ours['brams']} block RAMs")
    elif depth > 8 and row["memory"][0] > most:  # eight weights are part of the first level: there is no memory
        row["missed"].append(f"memory {row['memory'][0]} (at most {most:.0f})")
    return row


def _line(row: Row) -> str:
    ours, plain = row["ours"], row["plain"]
    missed = f"; MISSED: {', '.join(row['missed'])}" if row["missed"] else ""
    return (f"{row['rows']} × {row['lanes']}, depth {row['depth']}, {row['kind']}, p = {row['bits']}: "
            f"{ours['luts']} / {plain['luts']} LUTs ({row['luts_per_lane']:+} per lane; "
            f"estimated {ours['estimated_luts']} / {plain['estimated_luts']}), memory {row['memory'][0]} / {row['memory'][1]}{missed}")


def main() -> int:
    """Print the table; the headline last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    wanted = [(4, 108, depth, "lut") for depth in ((64, 512) if options.quick else DEPTHS)]
    wanted += [] if options.quick else [(2, 324, 512, "block")]
    found = []
    for size in wanted:
        for bits in (3,) if options.quick else BITS:
            row = compared(*size, bits)
            found.append(row)
            print(_line(row), flush=True)
    if options.json:
        write_text(options.json, json.dumps(found, indent=1) + "\n")
    missed = sum(bool(row["missed"]) for row in found)
    most = max(row["luts_per_lane"] for row in found)
    print(f"{len(found) - missed} of {len(found)} within their floors; indices take at most {most:+} LUTs per lane more than weights")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Folded arrays with and without indices of kernels as weights: memory and LUTs, synthesised.

    python benchmarks/codebook_memory.py [--quick] [--json FILE]

Arrays of 4 × 144 lanes, weights in tables of LUTs, fold depths 8, 64, 128 and 256; of 2 × 324 lanes in block RAM, depth 512; without a
codebook (random weights), and with codebooks of 2^p kernels of nine taps, p = 2 .. 6; PEs of 72 lanes. Codebooks are chosen from random
kernels: such as indices in few bits are cheap with, and any. The former are even, from five bits on systematic (`bwnhw.structured_books`),
which training asks for with an option. Family xc7, one Yosys, flags of `bwnhw.rtl.synth.SCRIPTS`, LUTs counted as in `bwnhw.rtl.netlist`.
The memory's share is what the array takes beyond the same one with block RAM; codewords stand in the logic and are counted there. Up to
eight folds neither weights nor indices are memory.

`--quick` measures depths 64 and 256 in LUTs with p = 3. Exit status 1 where a codebook of the former kind misses a floor: LUTs no higher
than without for p ≤ 3 and in LUTs from depth 128 on, else at most 0.7 per lane higher; memory at most p/9 of that without, in LUTs with the
codewords' bits beside, or in whole block RAMs. A table that is to be in LUTs and that Yosys makes block RAM (it has a register behind it)
is held to the LUTs alone.
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

from bwnhw.array_block import BAKED_DEPTH, Array
from bwnhw.files import write_text
from bwnhw.kernels import signs
from bwnhw.network import Codebook
from bwnhw.resources import block_resources
from bwnhw.rtl.core import build_core
from bwnhw.rtl.emit import emit
from bwnhw.rtl.synth import synth
from bwnhw.structured_books import structured
from bwnhw.tables import ArrayTables, KernelTables

TAPS, PE_LANES, LUT_BITS = 9, 72, 64
BITS, DEPTHS = (2, 3, 4, 5, 6), (8, 64, 128, 256)
SYSTEMATIC = 5  # bits from which on codebooks are that instead of even
DRAWN = 4096  # random kernels that a codebook is chosen from
MORE = 0.7  # LUTs per lane
Row = dict[str, Any]


def book_of(bits: int, kind: str) -> Codebook:
    """A codebook of a kind: "any", or "cheap"."""
    drawn = np.random.default_rng(SEED).integers(0, 1 << TAPS, (1, DRAWN))
    if kind == "any":
        words = np.unique(drawn)[None, np.random.default_rng(SEED).permutation(len(np.unique(drawn)))[:1 << bits]]
    else:
        words = structured(drawn, TAPS, bits, systematic=bits >= SYSTEMATIC, even=bits < SYSTEMATIC)
    return Codebook(signs(words).reshape(1, 1 << bits, 3, 3), np.zeros((1, 1), np.int64))


@cache
def cells(rows: int, lanes: int, depth: int, memory: str, bits: int, kind: str) -> Row:
    """What one array takes, synthesised, with its estimate beside; `bits` of an index, 9 without a codebook."""
    block, rng = replace(array(rows, lanes, depth, "xc7", memory), pe_lanes=PE_LANES), np.random.default_rng(SEED)
    if bits == TAPS:
        return synthesised(block, None, rng)
    book = book_of(bits, kind)
    index = rng.integers(0, 1 << bits, (rows, depth, lanes // TAPS))
    words = book.codewords.reshape(1, -1, TAPS) > 0
    return synthesised(replace(block, codebook=book.shape), KernelTables(index, words.repeat(lanes // TAPS, axis=0)), rng)


def synthesised(block: Array, kernels: KernelTables | None, rng: np.random.Generator) -> Row:
    """What an array takes, with its estimate beside: of `kernels`, or of random weights."""
    shape = block.pe, block.fold_depth, block.lanes
    weights = kernels.weights if kernels else rng.integers(0, 2, shape).astype(bool)
    tables = ArrayTables(weights, rng.integers(-500, 0, (block.pe, 1)), np.zeros((block.pe, 1), bool), kernels)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "unit.v").write_text(emit(build_core(block, tables, window(block.lanes, block.fold_depth)), "top"))
        found = synth(Path(folder) / "unit.v", "xc7", "top")
    return {"luts": found.luts, "ffs": found.ffs, "brams": found.brams, "estimated_luts": block_resources(block, "xc7").luts}


def compared(rows: int, lanes: int, depth: int, memory: str, bits: int, kind: str) -> Row:
    """One array with indices beside the one without, and which floors it misses."""
    ours, plain = cells(rows, lanes, depth, memory, bits, kind), cells(rows, lanes, depth, memory, TAPS, "")
    row: Row = {"rows": rows, "lanes": lanes, "depth": depth, "memory_kind": memory, "bits": bits, "codewords": kind, "ours": ours,
                "plain": plain, "missed": []}
    row["luts_per_lane"] = round((ours["luts"] - plain["luts"]) / rows / lanes, 3)
    cheap = bits <= 3 or memory == "lut" and depth >= 128
    if row["luts_per_lane"] > (0 if cheap else MORE):
        row["missed"].append(f"LUTs per lane {row['luts_per_lane']:+} (at most {0 if cheap else MORE})")
    if memory == "block":
        row["memory"], most = [ours["brams"], plain["brams"]], ceil(plain["brams"] * bits / TAPS)
    elif depth <= BAKED_DEPTH:
        row["memory"], most = [0, 0], 0
    else:
        bare = cells(rows, lanes, depth, "block", bits, kind), cells(rows, lanes, depth, "block", TAPS, "")
        row["memory"] = [one["luts"] - other["luts"] for one, other in zip((ours, plain), bare, strict=True)]
        most = row["memory"][1] * bits / TAPS + ceil(TAPS * 2 ** bits / LUT_BITS)
    if row["memory"][0] > most:
        row["missed"].append(f"memory {row['memory'][0]} (at most {most:.0f})")
    return row


def _line(row: Row) -> str:
    ours, plain = row["ours"], row["plain"]
    missed = f"; {ours['brams']} block RAMs" if row["memory_kind"] == "lut" and ours["brams"] else ""
    missed += f"; MISSED: {', '.join(row['missed'])}" if row["missed"] else ""
    return (f"{row['rows']} × {row['lanes']}, depth {row['depth']}, {row['memory_kind']}, p = {row['bits']}, {row['codewords']}: "
            f"{ours['luts']} / {plain['luts']} LUTs ({row['luts_per_lane']:+} per lane; "
            f"estimated {ours['estimated_luts']} / {plain['estimated_luts']}), memory {row['memory'][0]} / {row['memory'][1]}{missed}")


def main() -> int:
    """Print the table; the headline last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    wanted = [(4, 144, depth, "lut") for depth in ((64, 256) if options.quick else DEPTHS)]
    wanted += [] if options.quick else [(2, 324, 512, "block")]
    found = []
    for size in wanted:
        for bits in (3,) if options.quick else BITS:
            for kind in ("cheap", "any"):
                found.append(compared(*size, bits, kind))
                print(_line(found[-1]), flush=True)
    if options.json:
        write_text(options.json, json.dumps(found, indent=1) + "\n")
    missed = {kind: sum(bool(row["missed"]) for row in found if row["codewords"] == kind) for kind in ("cheap", "any")}
    most = max(row["luts_per_lane"] for row in found if row["codewords"] == "cheap")
    print(f"within their floors: {len(found) // 2 - missed['cheap']} of {len(found) // 2} with even or systematic codewords, at most "
          f"{most:+} LUTs per lane more than weights; {len(found) // 2 - missed['any']} with any")
    return 1 if missed["cheap"] else 0


if __name__ == "__main__":
    sys.exit(main())

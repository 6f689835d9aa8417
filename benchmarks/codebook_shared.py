"""Folded arrays that count their codewords once, beside those that store indices and those that store weights: LUTs, synthesised.

    python benchmarks/codebook_shared.py [--quick] [--rows N] [--json FILE]

Arrays of 8 rows × 72 lanes (eight kernels of nine taps), tables in LUTs, fold depths 8, 64 and 256: without a codebook (random weights, PEs
of 72 lanes), and with random codebooks of four kernels in two pairs, of four without pairs, and of eight in four pairs, as indices that PEs
decode and as indices that choose from popcounts of the top edge. Family xc7, one Yosys, flags of `bwnhw.rtl.synth.SCRIPTS`, LUTs counted as
in `bwnhw.rtl.netlist`, accumulators and top edge included.

`--quick` measures four kernels in pairs at depth 8. Exit status 1 where a floor isn't met: fewer LUTs than without a codebook for four
kernels in pairs at every depth, and for eight in pairs where weights are no part of the first level, from depth 64 on.
"""

import argparse
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from array_units import SEED, array
from codebook_memory import PE_LANES, TAPS, Row, synthesised

from bwnhw.files import write_text
from bwnhw.foldings import SHARED_KERNELS
from bwnhw.network import CodebookShape
from bwnhw.tables import KernelTables

ROWS, LANES, DEPTHS = 8, 72, (8, 64, 256)
BOOKS = ((4, True), (4, False), (8, True))  # codewords, and whether they are pairs of complements


@cache
def cells(rows: int, depth: int, book: tuple[int, bool] | None, kind: str) -> Row:
    """What one array takes; `kind` as in the plan's `codebook`."""
    rng = np.random.default_rng(SEED)
    block = replace(array(rows, LANES, depth, "xc7", "lut"), pe_lanes=PE_LANES)
    if book is None:
        return synthesised(block, None, rng)
    words, closed = book
    codewords = rng.integers(0, 2, (1, words, TAPS)).astype(bool)
    if closed:
        codewords[:, words // 2:] = ~codewords[:, :words // 2]
    block = replace(block, codebook=CodebookShape(words, 1, (3, 3), closed), shared=kind == "shared",
                    pe_lanes=SHARED_KERNELS * TAPS if kind == "shared" else PE_LANES)
    index = rng.integers(0, words, (rows, depth, LANES // TAPS))
    return synthesised(block, KernelTables(index, codewords.repeat(LANES // TAPS, axis=0)), rng)


def compared(rows: int, depth: int, book: tuple[int, bool]) -> Row:
    """One array in the three ways, and whether it misses a floor."""
    row: Row = {"rows": rows, "lanes": LANES, "depth": depth, "words": book[0], "closed": book[1]}
    row |= {"weights": cells(rows, depth, None, "none"), **{kind: cells(rows, depth, book, kind) for kind in ("index", "shared")}}
    row["saved"] = round(1 - row["shared"]["luts"] / row["weights"]["luts"], 3)
    row["missed"] = row["saved"] <= 0
    return row


def _line(row: Row) -> str:
    luts = {kind: f"{row[kind]['luts']} (estimated {row[kind]['estimated_luts']})" for kind in ("shared", "index", "weights")}
    return (f"K = {row['words']}{' in pairs' if row['closed'] else ''}, {row['rows']} × {row['lanes']}, depth {row['depth']}: LUTs shared "
            f"{luts['shared']}, index {luts['index']}, weights {luts['weights']}; {row['saved']:+.1%} saved"
            f"{'; MISSED' if row['missed'] else ''}")


def main() -> int:
    """Print the table; the headline last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = []
    for book in BOOKS[:1] if options.quick else BOOKS:
        for depth in DEPTHS[:1] if options.quick else DEPTHS:
            found.append(compared(options.rows, depth, book))
            print(_line(found[-1]), flush=True)
    if options.json:
        write_text(options.json, json.dumps(found, indent=1) + "\n")
    missed = sum(row["missed"] for row in found)
    most = max(row["saved"] for row in found)
    print(f"{len(found) - missed} of {len(found)} within their floors; counting codewords once saves up to {most:.1%}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

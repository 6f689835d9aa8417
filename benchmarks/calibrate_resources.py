"""Measure what the blocks' features cost: synthesise seeded random blocks one by one, fit the costs, print the residuals.

    python benchmarks/calibrate_resources.py [--write] [--seed N] [--json FILE] [--reuse FILE]

`--write` replaces bwnhw/coefficients.json. The blocks are drawn at random and belong to no network of the zoo; a network's whole design is
held against its estimate by estimate_vs_synth.py. Takes about 20 minutes on one core. `--reuse` fits again to the counts of an earlier
`--json FILE` of the same seed, without synthesis.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from amaranth.back import verilog
from amaranth.lib import wiring
from random_blocks import Drawn, draw_blocks
from scipy.optimize import nnls

from bwnhw.fabric import FAMILIES
from bwnhw.files import write_text
from bwnhw.rtl.netlist import Count, count
from bwnhw.rtl.synth import SCRIPTS, run_yosys, yosys_command
from bwnhw.structure import bill

TARGET = Path(__file__).parent.parent / "bwnhw" / "coefficients.json"
BATCH = 30  # blocks in one synthesis run
PORT = re.compile(r"^\s*(input|output)\s+(\[[^\]]*\]\s*)?(\S+?)\s*;", re.MULTILINE)


class Measured(NamedTuple):
    """What synthesis made of a block."""

    luts: int
    ffs: int
    brams: int


def emitted(component: wiring.Component, number: int) -> str:
    """The component's Verilog, its top module b<number> kept apart from its neighbours through synthesis."""
    text = verilog.convert(component, name=f"b{number}", emit_src=False, strip_internal_attrs=True)
    return text.replace(f"module b{number}(", f"(* keep_hierarchy *) module b{number}(", 1)


def wrapper(texts: Sequence[str]) -> str:
    """A top module whose ports are all the ports of all blocks."""
    ports, instances = [], []
    for number, text in enumerate(texts):
        body = text[text.index(f"module b{number}("):]
        found = PORT.findall(body[:body.index("endmodule")])
        ports += [f"{way} {width} b{number}_{name}" for way, width, name in found]
        instances.append(f"b{number} i{number} ({', '.join(f'.{name}(b{number}_{name})' for _, _, name in found)});")
    return "\n".join([f"module top({', '.join(ports)});", *instances, "endmodule", ""])


def synthesised(drawn: Sequence[Drawn], family: str) -> tuple[list[Count], str]:
    """Counts of every block, `BATCH` of them at a time in one run; Yosys' version."""
    counts: list[Count] = []
    for start in range(0, len(drawn), BATCH):
        texts = [emitted(block.component, number) for number, block in enumerate(drawn[start:start + BATCH])]
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "blocks.v").write_text("\n".join([*texts, wrapper(texts)]))
            script = f"read_verilog blocks.v; {SCRIPTS[family].format(top='top')}; write_json blocks.json"
            tool = run_yosys([*yosys_command(None), "-p", script], folder, 7200)
            modules = json.loads((Path(folder) / "blocks.json").read_text())["modules"]
        counts += [count({"modules": {"block": modules[f"b{number}"]}}, family) for number in range(len(texts))]
        print(f"{family}: {len(counts)} of {len(drawn)} blocks", file=sys.stderr, flush=True)
    return counts, tool


def fitted(blocks: Sequence[Drawn], counts: Sequence[Measured], family: str) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """(cost of every feature, one row per block): non-negative least squares of relative errors."""
    bills = [bill(drawn.block, family) for drawn in blocks]
    names = sorted({name for found in bills for name, number in found.features.items() if number})
    matrix = np.array([[found.features[name] for name in names] for found in bills], float)
    wanted = np.array([c.luts - found.part.luts for c, found in zip(counts, bills, strict=True)], float)
    weights = 1 / np.array([max(20.0, c.luts) for c in counts])
    costs, _ = nnls(matrix * weights[:, None], wanted * weights)
    table = {name: round(float(cost), 4) for name, cost in zip(names, costs, strict=True)}
    estimates = [found.part.luts + sum(table[name] * number for name, number in found.features.items()) for found in bills]
    rows = [{"block": type(drawn.block).__name__, "luts": round(estimate), "measured_luts": c.luts, "ffs": found.part.ffs,
             "measured_ffs": c.ffs, "brams": found.part.brams, "measured_brams": c.brams, "what": drawn.what}
            for drawn, found, estimate, c in zip(blocks, bills, estimates, counts, strict=True)]
    return table, rows


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """Errors by kind of block."""
    lines = []
    for kind in sorted({row["block"] for row in rows}):
        mine = [row for row in rows if row["block"] == kind]
        errors = [abs(row["luts"] - row["measured_luts"]) / max(1, row["measured_luts"]) for row in mine]
        ffs = [abs(row["ffs"] - row["measured_ffs"]) / max(1, row["measured_ffs"]) for row in mine]
        total = sum(row["luts"] for row in mine) / max(1, sum(row["measured_luts"] for row in mine))
        rams = sum(row["brams"] != row["measured_brams"] for row in mine)
        lines.append(f"  {kind:11s} {len(mine):3d} blocks: LUT sum {total:5.2f} of measured, mean error {np.mean(errors):6.1%}, "
                     f"worst {max(errors):7.1%}; FF mean error {np.mean(ffs):6.1%}; {rams} with other BRAM count")
    return "\n".join(lines)


def main() -> None:
    """Draw, synthesise, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--reuse", type=Path)
    options = parser.parse_args()
    blocks = draw_blocks(options.seed)
    before = json.loads(options.reuse.read_text()) if options.reuse else None
    result: dict[str, Any] = {"seed": options.seed, "blocks": len(blocks), "luts": {}}
    rows: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    for family in FAMILIES:
        if before:
            counts, result["tool"] = [Measured(*numbers) for numbers in before["counts"][family]], before["tool"]
        else:
            found, result["tool"] = synthesised(draw_blocks(options.seed), family)
            counts = [Measured(c.luts, c.ffs, c.brams) for c in found]
        result["luts"][family], rows[family] = fitted(blocks, counts, family)
        measured[family] = [list(c) for c in counts]
        print(f"{family}, {result['tool']}\n{summary(rows[family])}")
    if options.json:
        write_text(options.json, json.dumps({**result, "counts": measured, "rows": rows}, indent=1) + "\n")
    if options.write:
        write_text(TARGET, json.dumps({"measured_by": "benchmarks/calibrate_resources.py --write", **result}, indent=1) + "\n")


if __name__ == "__main__":
    main()

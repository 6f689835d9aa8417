"""Measure what the blocks' features cost: synthesise seeded random designs block by block, fit the costs, print the residuals.

    python benchmarks/calibrate_resources.py [--write] [--json FILE] [--forget KIND ...] [--seeds N ...] [--family NAME ...] [--counts FILE]

Every design is synthesised once per family with its blocks kept apart, so that each is counted where it works. The counts stand in
calibration_counts.json, or another `--counts FILE`, which is written after every design: what is in it isn't synthesised again, and a
run that was ended goes on. `--forget` takes the blocks of some kinds out of it before, those whose generator changed (`array`, `window`,
..., `all`). `--seeds` and `--family` synthesise fewer designs, `--seeds` none with no number behind it; fitted is what there is. `--write`
replaces bwnhw/coefficients.json, `--json FILE` gets every block, measured and estimated. The designs are drawn at random and none is of
the zoo; whole designs are held against their estimates by estimate_accuracy.py. From nothing it takes about half an hour on one core.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from calibration_designs import draw
from scipy.optimize import nnls

from bwnhw.array_block import Array
from bwnhw.bill import Bill
from bwnhw.blocks import Best, Design, Downsize, Fifo, Reduce, Scaler, Thresholds, Upsize, Window
from bwnhw.design import design
from bwnhw.families import FAMILIES
from bwnhw.files import write_text
from bwnhw.network import Network
from bwnhw.rtl.emit import emit
from bwnhw.rtl.netlist import count
from bwnhw.rtl.synth import FLATTENED, SCRIPTS, run_yosys, yosys_command
from bwnhw.rtl.top import build
from bwnhw.structure import Block, bill, credits, shell, stage_blocks
from bwnhw.value_bill import spared

TARGET = Path(__file__).parent.parent / "bwnhw" / "coefficients.json"
COUNTS = Path(__file__).parent / "calibration_counts.json"
SEEDS = (*range(15), 20)  # every feature occurs in at least one of these designs
HEADS = (22, 24, 29, 41, 46, 48, 79, 84, 88, 98)  # of these only the blocks behind the arrays, which cycle through more groups here
Row = dict[str, Any]
Counts = dict[str, Any]  # family → seed → block → counts; "tool"


def block_names(laid: Design) -> list[tuple[str, Block]]:
    """The name of every block's module, without prefix, and the block."""
    named: list[tuple[str, Block]] = []
    for stage in laid.stages:
        resizers = cores = 0
        for block in stage_blocks(stage):
            if isinstance(block, Upsize | Downsize):
                part, resizers = f"resize_{resizers}", resizers + 1
            elif isinstance(block, Window | Fifo):
                part = type(block).__name__.lower()
            else:
                part, cores = f"{type(block).__name__.lower()}_{cores}", cores + 1
            named.append((f"{stage.name}_{part}", block))
    return named


def left_out(seed: int, known: dict[str, Row], laid: Design) -> set[str]:
    """Names of the blocks of a design that aren't to be synthesised: those whose counts are known, and of `HEADS` all in front."""
    skipped = {name for name, block in block_names(laid) if seed in HEADS and not isinstance(block, Reduce | Thresholds | Scaler | Best)}
    return skipped | set(known)


def synthesised(seed: int, family: str, known: dict[str, Row]) -> tuple[dict[str, Row], str]:
    """Counts of every block of a random design by the name of its module, and of what lies between them as "rest"; Yosys' version.

    Those `left_out` are left out of the synthesis.
    """
    network, plan = draw(seed, family)
    top = build(network, plan)
    names = {f"net_{name}" for name, _ in block_names(top.design)}
    skipped = left_out(seed, known, top.design)
    text = re.sub(r"^module (\w+)", lambda found: f"(* keep_hierarchy *) {found[0]}" if found[1] in names else found[0],
                  emit(top, "net"), flags=re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "net.v").write_text(text)
        script = SCRIPTS[family].format(top="net").removesuffix(FLATTENED)
        flatten = f"setattr -mod -unset keep_hierarchy *; setattr -mod -set keep_hierarchy 1 {' '.join(sorted(names))}; flatten; opt_clean"
        boxes = "".join(f"blackbox net_{name}; " for name in sorted(skipped - {"rest"}))
        command = f"read_verilog net.v; {boxes}{script} {flatten}; write_json net.json"
        tool = run_yosys([*yosys_command(None), "-p", command], folder, 7200)
        modules = json.loads((Path(folder) / "net.json").read_text())["modules"]
    counts = dict(known)
    for name, module in modules.items():
        if name.removeprefix("net_") in skipped:
            continue
        cells = {label: cell for label, cell in module["cells"].items() if not cell["type"].startswith("net_")}
        if name == "net" or name in names:
            found = count({"modules": {name: {"cells": cells}}}, family)
            counts[name.removeprefix("net_") if name != "net" else "rest"] = {"luts": found.luts, "ffs": found.ffs, "brams": found.brams}
    return counts, tool


def rest(laid: Design) -> Bill:
    """What lies between the blocks: shell and credits."""
    return sum((credits(stage.fifo) for stage in laid.stages), shell(laid))


def fitted(measured: dict[str, dict[str, Row]], family: str) -> tuple[dict[str, float], list[Row]]:
    """(cost of every feature, one row per block): non-negative least squares of relative errors."""
    rows: list[Row] = []
    bills = []
    for seed, counts in measured.items():
        network, plan = draw(int(seed), family)
        laid = design(network.topology, plan)
        for name, block in block_names(laid):
            # A block that does nothing is optimised away; others weren't synthesised (--seeds). A pool's window, kept apart, has a fold
            # counter that nothing reads.
            if name in counts and not (isinstance(block, Window) and block.depthwise):
                bills.append(_with_values(block, name, network, laid, family))
                rows.append({"design": seed, "name": name, "block": type(block).__name__, "what": str(block), **counts[name]})
        if "rest" in counts and int(seed) not in HEADS:
            bills.append(rest(laid))
            rows.append({"design": seed, "name": "rest", "block": "rest", "what": "shell and credits", **counts["rest"]})
    names = sorted({name for found in bills for name, number in found.features.items() if number})
    matrix = np.array([[found.features[name] for name in names] for found in bills], float)
    wanted = np.array([row["luts"] - found.part.luts for row, found in zip(rows, bills, strict=True)], float)
    weights = 1 / np.sqrt(np.array([max(20.0, row["luts"]) for row in rows]))
    costs, _ = nnls(matrix * weights[:, None], wanted * weights)
    table = {name: round(float(cost), 4) for name, cost in zip(names, costs, strict=True)}
    for row, found in zip(rows, bills, strict=True):
        luts = found.part.luts + sum(table[name] * number for name, number in found.features.items() if number)
        row["estimated"] = {"luts": round(luts), "ffs": found.part.ffs, "brams": found.part.brams}
    return table, rows


def _with_values(block: Block, name: str, network: Network, laid: Design, family: str) -> Bill:
    """A block's bill, an array's by the values of its tables."""
    if not isinstance(block, Array):
        return bill(block, family)
    return bill(block, family) + spared(network, next(stage for stage in laid.stages if name.startswith(f"{stage.name}_")), family)


def summary(rows: Sequence[Row]) -> str:
    """Errors by kind of block, and of whole designs."""
    lines = []
    for kind in sorted({row["block"] for row in rows}):
        lines.append(f"  {kind:11s}" + _errors([[row] for row in rows if row["block"] == kind]))
    whole = sorted({row["design"] for row in rows if row["block"] == "rest"})
    designs = [[row for row in rows if row["design"] == seed] for seed in whole]
    return "\n".join([*lines, "  designs    " + _errors(designs)])


def _errors(groups: Sequence[Sequence[Row]]) -> str:
    """LUT and flip-flop errors of sums over groups of rows."""
    text = f"{len(groups):4d}"
    for name in ("luts", "ffs"):
        pairs = [(sum(row["estimated"][name] for row in group), sum(row[name] for row in group)) for group in groups]
        errors = [abs(estimated - found) / max(1, found) for estimated, found in pairs]
        text += (f"  {name}: sum {sum(e for e, _ in pairs) / max(1, sum(f for _, f in pairs)):5.2f} of measured, "
                 f"mean error {np.mean(errors):6.1%}, worst {max(errors):7.1%};")
    wrong = sum(any(row["estimated"]["brams"] != row["brams"] for row in group) for group in groups)
    return f"{text}  {wrong} with other BRAM count"


def forget(measured: Counts, kinds: Sequence[str], families: Sequence[str]) -> None:
    """Take the counts of some kinds of blocks out, and what lies between blocks ("rest"), so that they are measured anew."""
    for family in families:
        for seed, counts in measured.get(family, {}).items():
            measured[family][seed] = {name: row for name, row in counts.items()
                                      if name != "rest" and "all" not in kinds and not any(f"_{kind}" in name for kind in kinds)}


def complete(measured: Counts, seeds: Sequence[int], families: Sequence[str], path: Path) -> None:
    """Synthesise what isn't counted yet, and write it after every design."""
    for seed in seeds:
        for family in families:
            known = measured.setdefault(family, {})
            if "rest" not in known.get(str(seed), {}):
                known[str(seed)], measured["tool"] = synthesised(seed, family, known.get(str(seed), {}))
                write_text(path, json.dumps({"counts": measured}, separators=(",", ":")) + "\n")
                print(f"{family}: design {seed}", file=sys.stderr, flush=True)


def main() -> None:
    """Draw, synthesise, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--counts", type=Path, default=COUNTS)
    parser.add_argument("--forget", nargs="+", default=[])
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS + HEADS)
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    options = parser.parse_args()
    measured: Counts = json.loads(options.counts.read_text())["counts"] if options.counts.exists() else {"tool": None}
    if options.forget:
        forget(measured, options.forget, options.family)
    complete(measured, options.seeds, options.family, options.counts)
    tables, blocks = {}, {}
    for family in FAMILIES:
        tables[family], blocks[family] = fitted(measured.get(family, {}), family)
        print(f"{family}, {measured['tool']}\n{summary(blocks[family])}")
    if options.json:
        write_text(options.json, json.dumps(blocks, indent=1) + "\n")
    if options.write:
        write_text(TARGET, json.dumps({"measured_by": "benchmarks/calibrate_resources.py --write", "tool": measured["tool"],
                                       "designs": {family: sorted(map(int, measured[family])) for family in FAMILIES},
                                       "luts": tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Unrolled layers: LUTs of our adder graphs beside those of da4ml and alkaid and beside plain sums, for the same matrices.

    python benchmarks/unrolled_luts.py [--quick] [--json FILE]

All graphs go through the same emitter and the same Yosys run (xc7, LUTs as `bwnhw.rtl.netlist` counts them), once with a register behind
every adder and once combinational; each side's better one counts. Those of 64×64 matrices are mapped one after the other and combinational
only, since together they take hours. All may be as many adder levels deep: two above the least of two-operand
adders, which is what the peers call `hard_dc=2`. Levels are counted in the graphs themselves: a peer that comes out deeper is asked again
for less, and said to be deeper where that doesn't help. Many graphs stay below the limit; so ours is also solved for the depth of every
peer, and a ratio is to the peer with which ours, no deeper than that one, compares worst.

Exit status 1 where ours has more LUTs than a peer at that peer's depth on any matrix, not fewer on one with repeated or close rows, or
where fewer than half of the matrices are won by our own solver.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from peer_graphs import PEERS, plain

from bwnhw.adders import Graph, cost, solve
from bwnhw.adders.solve import EXTRA_LEVELS, least_levels
from bwnhw.errors import PlanError
from bwnhw.files import write_text
from bwnhw.rtl.adder_graph import MatrixUnit
from bwnhw.rtl.emit import emit
from bwnhw.rtl.netlist import count
from bwnhw.rtl.synth import SCRIPTS, run_yosys, yosys_command

LARGE = 64 * 64  # weights of a matrix whose graphs are mapped by themselves


@dataclass(frozen=True)
class Case:
    """A matrix (rows, inputs) for inputs in 0..hi; `close`: it has repeated or close rows."""

    name: str
    matrix: NDArray[np.int64]
    hi: int
    close: bool = False


@dataclass(frozen=True)
class Row:
    """One side on one case: LUTs of both forms (None: not mapped), adder levels, the graph's own cost, seconds of the solver."""

    case: str
    side: str
    registered: int | None
    combinational: int
    levels: int
    cost: int
    seconds: float

    @property
    def luts(self) -> int:
        """The better form."""
        return self.combinational if self.registered is None else min(self.registered, self.combinational)


def cases(quick: bool) -> list[Case]:
    """Square matrices of random ±1, with repeated and close rows, and codebooks of K kernels of nine taps."""
    rng = np.random.default_rng(3)
    found = []
    for bits in (1, 4):
        hi = (1 << bits) - 1
        for size in (16,) if quick else (16, 32, 64):
            found.append(Case(f"{size}×{size}, {bits} bit", rng.choice([-1, 1], (size, size)), hi))
        for codewords in (16,) if quick else (8, 16, 32):
            words = rng.choice(512, codewords, replace=False)
            found.append(Case(f"9×{codewords} codebook, {bits} bit", (words[:, None] >> np.arange(9) & 1) * 2 - 1, hi))
        if not quick:
            found.append(Case(f"16×32 close rows, {bits} bit", _close(rng, 16, 32), hi, True))
            base = rng.choice([-1, 1], (12, 24))
            found.append(Case(f"24×24 repeated rows, {bits} bit", np.concatenate([base, base[:6], -base[4:10]]), hi, True))
    return found


def _close(rng: np.random.Generator, inputs: int, rows: int) -> NDArray[np.int64]:
    """Rows in groups of four that differ from each other in two or three places."""
    matrix = np.repeat(rng.choice([-1, 1], (rows // 4, inputs)), 4, axis=0)
    for row in matrix:
        row[rng.choice(inputs, 2, replace=False)] *= -1
    return matrix


def synthesised(graphs: dict[str, Graph], forms: tuple[bool, ...] = (True, False)) -> dict[str, int]:
    """LUTs of every graph, with registers and ("… combinational") without, from one Yosys run that maps each by itself."""
    names, text, ports, wires = {}, "", [], []
    for side, graph in graphs.items():
        for registers in forms:
            module = f"m{len(names)}"
            names[module] = side if registers else f"{side} combinational"
            unit = MatrixUnit(graph, registers=registers)
            text += re.sub(rf"^(?=module {module}\b)", "(* keep_hierarchy *) ", emit(unit, module), flags=re.MULTILINE)
            clock = ".clk(clk), " if registers else ""
            ports.append(f"output [{unit.width * len(graph.outputs) - 1}:0] {module}_o")
            wires.append(f"{module} {module}_i ({clock}.values(values), .sums({module}_o));")
    bits = graph.nodes[0].bits * graph.inputs
    text += f"module all(input clk, input [{bits - 1}:0] values, {', '.join(ports)});\n" + "\n".join(wires) + "\nendmodule\n"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "all.v").write_text(text)
        script = f"read_verilog all.v; {SCRIPTS['xc7'].format(top='all')}; write_json all.json"
        run_yosys([*yosys_command(None), "-p", script], folder, 7200)
        cells = json.loads((Path(folder) / "all.json").read_text())["modules"]["all"]["cells"]
    found = {}
    for name, side in names.items():
        own = {label: cell for label, cell in cells.items() if label.startswith((f"$flatten\\{name}_i.", f"{name}_i."))}
        found[side] = count({"modules": {name: {"cells": own}}}, "xc7").luts
    return found


def limit(case: Case) -> int:
    """Adder levels that all may use."""
    return least_levels(case.matrix) + EXTRA_LEVELS


def no_deeper(make: Callable[[NDArray[np.int64], int, int], Graph], case: Case) -> Graph:
    """A peer's graph within the limit; one that is deeper where it makes no other."""
    for extra in range(EXTRA_LEVELS, -1, -1):
        graph = make(np.ascontiguousarray(case.matrix), case.hi, extra)
        if graph.levels <= limit(case):
            break
    return graph


def measured(case: Case) -> list[Row]:
    """The rows of a case: ours at the limit and at every peer's depth, the peers, the plain sum."""
    graphs, seconds = {}, {}

    def add(side: str, make: Callable[[], Graph]) -> None:
        began = time.perf_counter()
        graphs[side] = make()
        seconds[side] = time.perf_counter() - began

    for side, peer in PEERS.items():
        add(side, partial(no_deeper, peer, case))
    add("plain", partial(plain, case.matrix, case.hi))
    for levels in sorted({limit(case), *(min(limit(case), graphs[side].levels) for side in PEERS)}, reverse=True):
        with suppress(PlanError):  # a depth that ours doesn't reach
            add(f"ours in {levels}", partial(solve, case.matrix, case.hi, levels, family="xc7"))
    if case.matrix.size >= LARGE:
        luts = dict(chain.from_iterable(synthesised({side: graph}, (False,)).items() for side, graph in graphs.items()))
    else:
        luts = synthesised(graphs)
    return [Row(case.name, side, luts.get(side), luts[f"{side} combinational"], graph.levels, cost(graph), round(seconds[side], 2))
            for side, graph in graphs.items()]


def compared(rows: dict[str, Row]) -> tuple[float, str]:
    """Ours by a peer's LUTs, ours no deeper than the peer, for the peer with which that is greatest; and that peer."""
    def ratio(peer: Row) -> float:
        ours = [row.luts for side, row in rows.items() if side.startswith("ours") and row.levels <= peer.levels]
        return min(ours) / peer.luts if ours else np.inf

    return max((ratio(rows[side]), side) for side in PEERS)


def main() -> int:
    """Measure, print, compare with the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    rows, ratios, passed, won, tried = [], [], True, 0, [c for c in cases(options.quick) if options.only in c.name]
    print("LUTs with registers / combinational; the ratio is ours, no deeper than the peer, to that peer")
    for case in tried:
        found = {row.side: row for row in measured(case)}
        rows += found.values()
        ratio, peer = compared(found)
        ratios.append(ratio)
        won += ratio < 1
        passed &= ratio < 1 if case.close else ratio <= 1
        shown = ", ".join(f"{row.side} {row.registered or '-'} / {row.combinational} ({row.levels} levels"
                          f"{', deeper than allowed' * (row.levels > limit(case))})" for row in found.values())
        print(f"{case.name}: {shown}; ratio {ratio:.2f} to {peer}", flush=True)
        if options.json:
            write_text(options.json, json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    passed &= 2 * won >= len(tried)
    mean = float(np.exp(np.mean(np.log(ratios))))
    print(f"unrolled_luts: {mean:.2f} of the peer's LUTs on average (geometric), {min(ratios):.2f} to {max(ratios):.2f}; "
          f"our own solver wins {won} of {len(tried)}; floors {'met' if passed else 'NOT met'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

"""Many small modules through one Yosys run, each counted by itself: what memory_grid.py and rom_grid.py have in common."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bwnhw.fabric import Part
from bwnhw.rtl.netlist import count
from bwnhw.rtl.synth import FLATTENED, SCRIPTS, run_yosys, yosys_command


@dataclass(frozen=True)
class Cell:
    """A module in Verilog: its `ports` besides the clock `clk`, as (direction, name, bits), and its `body`."""

    ports: tuple[tuple[str, str, int], ...]
    body: str


def measured(cells: Sequence[Cell], family: str) -> list[Part]:
    """What Yosys makes of every module, kept apart from the others."""
    modules, outer, instances = [], ["input clk"], []
    for n, cell in enumerate(cells):
        own = ", ".join(["input clk", *(f"{kind} [{bits - 1}:0] {name}" for kind, name, bits in cell.ports)])
        modules.append(f"(* keep_hierarchy *) module m{n}({own});\n{cell.body}\nendmodule\n")
        outer += [f"{kind.removesuffix(' reg')} [{bits - 1}:0] {name}{n}" for kind, name, bits in cell.ports]
        instances.append(f"m{n} i{n}({', '.join(['clk', *(f'{name}{n}' for _, name, _ in cell.ports)])});")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "grid.v").write_text("\n".join([*modules, f"module top({', '.join(outer)});", *instances, "endmodule", ""]))
        script = f"read_verilog grid.v; {SCRIPTS[family].format(top='top').removesuffix(FLATTENED)} write_json grid.json"
        run_yosys([*yosys_command(None), "-p", script], folder, 3600)
        found = json.loads((Path(folder) / "grid.json").read_text())["modules"]
    counts = [count({"modules": {"m": found[f"m{n}"]}}, family) for n in range(len(cells))]
    return [Part(one.luts, one.ffs, one.brams) for one in counts]

"""How Yosys maps memories of many widths and depths, beside the closed forms of `bwnhw.fabric.memory`.

    python benchmarks/memory_grid.py

Prints every memory whose block RAMs differ, or whose LUTs differ by more than 12 % and 4. Exit status 1 where more than one in fifty does.
Takes a minute or two.
"""

import json
import sys
import tempfile
from pathlib import Path

from bwnhw.fabric import Part, index_bits, memory
from bwnhw.families import FAMILIES
from bwnhw.rtl.netlist import count
from bwnhw.rtl.synth import FLATTENED, SCRIPTS, run_yosys, yosys_command

WIDTHS = (1, 2, 3, 4, 5, 8, 10, 11, 16, 20, 32, 64)
DEPTHS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
ASYNCHRONOUS = 64  # deepest memory that our hardware reads without a clock


def verilog(number: int, depth: int, width: int, synchronous: bool) -> str:
    """One memory with a write and a read port."""
    address = max(1, index_bits(depth))
    read = "always @(posedge clk) q <= words[r];" if synchronous else "always @* q = words[r];"
    return f"""(* keep_hierarchy *)
module m{number}(input clk, we, input [{address - 1}:0] w, r, input [{width - 1}:0] d, output reg [{width - 1}:0] q);
  reg [{width - 1}:0] words [0:{depth - 1}];
  always @(posedge clk) if (we) words[w] <= d;
  {read}
endmodule
"""


def measured(grid: list[tuple[int, int, bool]], family: str) -> list[Part]:
    """What Yosys makes of every (depth, width, synchronous), all in one run."""
    ports, instances = ["input clk"], []
    for n, (depth, width, _) in enumerate(grid):
        address = max(1, index_bits(depth)) - 1
        ports.append(f"input we{n}, input [{address}:0] w{n}, r{n}, input [{width - 1}:0] d{n}, output [{width - 1}:0] q{n}")
        instances.append(f"m{n} i{n}(clk, we{n}, w{n}, r{n}, d{n}, q{n});")
    texts = [verilog(n, *point) for n, point in enumerate(grid)]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "grid.v").write_text("\n".join([*texts, f"module top({', '.join(ports)});", *instances, "endmodule", ""]))
        script = f"read_verilog grid.v; {SCRIPTS[family].format(top='top').removesuffix(FLATTENED)} write_json grid.json"
        run_yosys([*yosys_command(None), "-p", script], folder, 3600)
        modules = json.loads((Path(folder) / "grid.json").read_text())["modules"]
    counts = [count({"modules": {"m": modules[f"m{n}"]}}, family) for n in range(len(grid))]
    return [Part(found.luts, found.ffs, found.brams) for found in counts]


def main() -> int:
    """Measure, compare, print."""
    grid = [(depth, width, synchronous) for synchronous in (True, False) for width in WIDTHS for depth in DEPTHS
            if synchronous or depth <= ASYNCHRONOUS]
    wrong = 0
    for family in FAMILIES:
        for (depth, width, synchronous), found in zip(grid, measured(grid, family), strict=True):
            guess = memory(depth, width, family, synchronous)
            if guess.brams != found.brams or not found.brams and abs(guess.luts - found.luts) > max(4, 0.12 * found.luts):
                print(f"{family} depth {depth} width {width} {'' if synchronous else 'a'}synchronous: expected {guess}, found {found}")
                wrong += 1
    print(f"{wrong} of {len(FAMILIES) * len(grid)} memories differ")
    return int(50 * wrong > len(FAMILIES) * len(grid))


if __name__ == "__main__":
    sys.exit(main())

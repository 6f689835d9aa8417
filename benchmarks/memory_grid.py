"""How Yosys maps memories of many widths and depths, beside the closed forms of `bwnhw.fabric.memory`.

    python benchmarks/memory_grid.py

Prints every memory whose block RAMs differ, or whose LUTs differ by more than 12 % and 4. Exit status 1 where more than one in fifty does.
Takes a minute or two.
"""

import sys

from yosys_grid import Cell, measured

from bwnhw.fabric import index_bits, memory
from bwnhw.families import FAMILIES

WIDTHS = (1, 2, 3, 4, 5, 8, 10, 11, 16, 20, 32, 64)
DEPTHS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
ASYNCHRONOUS = 64  # deepest memory that our hardware reads without a clock


def cell(depth: int, width: int, synchronous: bool) -> Cell:
    """One memory with a write and a read port."""
    address = max(1, index_bits(depth))
    read = "always @(posedge clk) q <= words[r];" if synchronous else "always @* q = words[r];"
    body = f"reg [{width - 1}:0] words [0:{depth - 1}];\nalways @(posedge clk) if (we) words[w] <= d;\n{read}"
    ports = ("input", "we", 1), ("input", "w", address), ("input", "r", address), ("input", "d", width), ("output reg", "q", width)
    return Cell(ports, body)


def main() -> int:
    """Measure, compare, print."""
    grid = [(depth, width, synchronous) for synchronous in (True, False) for width in WIDTHS for depth in DEPTHS
            if synchronous or depth <= ASYNCHRONOUS]
    wrong = 0
    for family in FAMILIES:
        for (depth, width, synchronous), found in zip(grid, measured([cell(*point) for point in grid], family), strict=True):
            guess = memory(depth, width, family, synchronous)
            if guess.brams != found.brams or not found.brams and abs(guess.luts - found.luts) > max(4, 0.12 * found.luts):
                print(f"{family} depth {depth} width {width} {'' if synchronous else 'a'}synchronous: expected {guess}, found {found}")
                wrong += 1
    print(f"{wrong} of {len(FAMILIES) * len(grid)} memories differ")
    return int(50 * wrong > len(FAMILIES) * len(grid))


if __name__ == "__main__":
    sys.exit(main())

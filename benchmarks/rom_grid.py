"""How Yosys maps tables of random constants, in LUTs and in block RAM, beside `bwnhw.rom_bill` and `bwnhw.fabric.banked`; and which of
them, with a register behind, it puts into block RAM by itself.

    python benchmarks/rom_grid.py [--family NAME ...]

Prints every table, measured and estimated. Exit status 1 where block RAMs differ, or what stands around them, or the LUTs of tables by more
than 10 % in the mean. Takes a few minutes for each family.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

import numpy as np
from yosys_grid import Cell, measured

from bwnhw.fabric import banked, index_bits
from bwnhw.families import FAMILIES
from bwnhw.rom_bill import registered, rom_luts

IN_LUTS = tuple((depth, width) for depth in (16, 18, 20, 24, 32, 36, 48, 64, 72, 96, 128, 136, 160, 192, 224, 256, 320, 384, 512, 640, 1024)
                for width in (1, 4, 16))
ALIKE = ((117, 13), (80, 80), (100, 60), (144, 72), (60, 40), (64, 76), (180, 20), (120, 60))  # random words and others behind, all ones
ALIKE_WIDTH = 16
IN_BLOCKS = ((300, 12), (600, 24), (700, 5), (1100, 20), (1500, 12), (2000, 12), (2400, 16), (2500, 30), (2880, 12), (3840, 4), (4000, 12),
             (5000, 8), (6000, 3))
WITH_REGISTERS = tuple((depth, width) for depth in (64, 80, 128, 144, 256, 288, 512, 600) for width in (2, 6, 10, 18)
                       if depth * width <= 6000)
SEED = 5
MOST = 0.1
Table = tuple[int, int]  # depth, width


def cells(tables: Sequence[Table], kind: Callable[[int, list[int]], str]) -> list[Cell]:
    """The tables, with random words, as a kind of Verilog."""
    rng = np.random.default_rng(SEED)
    return [Cell((("input", "at", index_bits(depth)), ("output reg", "q", width)), kind(width, rng.integers(0, 1 << width, depth).tolist()))
            for depth, width in tables]


def ended_alike() -> list[Cell]:
    """Tables of random words with ones at the end."""
    rng, ones = np.random.default_rng(SEED), (1 << ALIKE_WIDTH) - 1
    return [Cell((("input", "at", index_bits(depth + same)), ("output reg", "q", ALIKE_WIDTH)),
                 cases(ALIKE_WIDTH, [*rng.integers(0, ones + 1, depth).tolist(), *[ones] * same])) for depth, same in ALIKE]


def cases(width: int, words: list[int], name: str = "q") -> str:
    """Read by a case."""
    choices = "".join(f"{at}: {name} = {width}'d{word}; " for at, word in enumerate(words[:-1]))
    return f"always @* case (at) {choices}default: {name} = {width}'d{words[-1]}; endcase"


def with_register(width: int, words: list[int]) -> str:
    """Read by a case, with a register behind it that starts with the first word."""
    return (f"reg [{width - 1}:0] word; {cases(width, words, 'word')}\n"
            f"initial q = {width}'d{words[0]};\nalways @(posedge clk) q <= word;")


def in_block(width: int, words: list[int]) -> str:
    """Read from a block RAM."""
    contents = "".join(f"words[{at}] = {width}'d{word}; " for at, word in enumerate(words))
    return (f'(* rom_style = "block" *) reg [{width - 1}:0] words [0:{len(words) - 1}]; initial begin {contents} end\n'
            "always @(posedge clk) q <= words[at];")


def main() -> int:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    passed = True
    for family in parser.parse_args().family:
        errors = []
        for (depth, width), found in zip(IN_LUTS, measured(cells(IN_LUTS, cases), family), strict=True):
            guess = rom_luts(width, depth, 1.0, family)
            errors.append(abs(guess - found.luts) / found.luts)
            print(f"{family} {depth} x {width}: {guess} / {found.luts} LUTs")
        for (depth, same), found in zip(ALIKE, measured(ended_alike(), family), strict=True):
            guess = rom_luts(ALIKE_WIDTH, depth, 1.0, family, same)
            errors.append(abs(guess - found.luts) / found.luts)
            print(f"{family} {depth} x {ALIKE_WIDTH}, {same} more alike: {guess} / {found.luts} LUTs")
        for (depth, width), found in zip(IN_BLOCKS, measured(cells(IN_BLOCKS, in_block), family), strict=True):
            stored = banked(depth, width, family)
            passed &= stored.brams == found.brams
            print(f"{family} {depth} x {width} in block RAM: {stored.brams} / {found.brams}, {stored.luts} / {found.luts} LUTs")
        for (depth, width), found in zip(WITH_REGISTERS, measured(cells(WITH_REGISTERS, with_register), family), strict=True):
            block = registered(depth, width, family)
            passed &= found.brams == (block.brams if block else 0) and (block is None or found == block)
            print(f"{family} {depth} x {width} with a register: {block or 'LUTs'} / {found}")
        passed &= np.mean(errors) <= MOST
        print(f"{family}: LUTs of {len(errors)} tables, mean error {np.mean(errors):.1%}, worst {max(errors):.1%}")
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())

"""LUTs of a table of random constants, such as weights by fold, as Yosys' mapper builds it; read off by `benchmarks/rom_grid.py`."""

from math import log2

import numpy as np

from bwnhw.fabric import Part, banked, index_bits
from bwnhw.families import FAMILIES

# LUT4 of one bit of a word by depth: one for sixteen entries, and the multiplexers behind them; two entries more are little.
BY_DEPTH = ((8, 10, 16, 18, 20, 24, 32, 36, 40, 48, 64, 72, 80, 96, 128),
            (0.7, 0.9, 1.0, 2.1, 2.6, 3.0, 3.5, 4.9, 6.0, 7.2, 9.0, 11.0, 12.3, 14.0, 19.0))
DEEP = 2.4  # of sixteen entries of a deeper table
# The more sixteens there are in all, here the binary logarithm of their number, the more of them are alike: LUT4 of each at most.
BY_SIZE = ((7, 8, 9, 10, 11, 12), (2.44, 2.28, 2.08, 1.89, 1.7, 1.55))


def rom_luts(lanes: int, depth: int, fill: float, family: str) -> int:
    """LUTs of a table of `depth` words of `lanes` bits, a share `fill` of them random and the others padding. Up to two words are wires or
    one inverter."""
    leaf = FAMILIES[family].leaf
    if depth <= 2 or not lanes:
        return 0
    if FAMILIES[family].lut_inputs == 6:
        return lanes if depth <= leaf else round(_lut6(depth) * lanes * fill)
    leaves = lanes * depth * fill / leaf
    one = np.interp(depth, *BY_DEPTH) if depth <= BY_DEPTH[0][-1] else DEEP * depth / leaf
    return round(min(one * lanes * fill, leaves * np.interp(log2(leaves), *BY_SIZE)))


def registered(depth: int, width: int, family: str) -> Part | None:
    """A table of constants with a register behind it, where Yosys takes block RAM for it, as deep as there are addresses; None where it
    stays LUTs and registers."""
    depth = 1 << index_bits(depth)
    kind, stored = FAMILIES[family], banked(depth, width, family)
    if width * depth <= kind.table_limit * kind.leaf * stored.brams:
        return None
    return stored if kind.starts else stored + Part(width, 1)  # each bit is made up until the first read


def _lut6(depth: int) -> float:
    """LUT6 of one bit of a word. Wide multiplexers join two leaves for nothing, and three or four that are whole."""
    leaves = depth / 64
    if leaves <= 2:
        return 2
    if leaves in (3, 4):
        return 4
    return leaves * (1.9 if leaves < 4 else 1.55)

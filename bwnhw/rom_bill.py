"""LUTs of a table of random constants, such as weights by fold, as Yosys' mapper builds it; read off by `benchmarks/rom_grid.py`."""

from math import log2

import numpy as np

from bwnhw.fabric import Part, banked, index_bits
from bwnhw.families import FAMILIES

# LUT4 of one bit of a word by depth: one for sixteen entries, and the multiplexers behind them; two entries more are little.
BY_DEPTH = ((8, 10, 16, 18, 20, 24, 32, 36, 40, 48, 64, 72, 80, 96, 128),
            (0.7, 0.9, 1.0, 2.1, 2.6, 3.0, 3.5, 4.9, 6.0, 7.2, 9.0, 11.0, 12.3, 14.0, 19.0))
# LUT6 of one bit of a word by depth: wide multiplexers join two leaves of 64 for nothing, and four; a part of one costs more than a whole.
BY_DEPTH_LUT6 = ((129, 136, 144, 152, 160, 168, 176, 192, 196, 208, 216, 224, 232, 240, 256, 272, 304, 320, 350, 384, 400, 416, 448,
                  464, 480, 512, 544, 576, 640, 800, 1024, 1152, 3136),
                 (3.3, 3.8, 4.4, 4.9, 4.8, 4.5, 4.2, 4.0, 4.7, 5.8, 5.3, 4.8, 4.4, 4.0, 4.0, 7.0, 7.4, 7.2, 10.5, 7.9, 11.6, 10.6, 10.3,
                  12.0, 13.8, 12.2, 16.5, 13.7, 14.2, 21.0, 23.0, 28.0, 72.0))
DEEP = 2.4  # of sixteen entries of a deeper table
# The more sixteens there are in all, here the binary logarithm of their number, the more of them are alike: LUT4 of each at most.
BY_SIZE = ((7, 8, 9, 10, 11, 12), (2.44, 2.28, 2.08, 1.89, 1.7, 1.55))


def rom_luts(lanes: int, depth: int, fill: float, family: str, same: int = 0) -> int:
    """LUTs of a table of `depth` words of `lanes` bits, a share `fill` of them random and the others padding. Up to two words are wires or
    one inverter. `same` more words at the end are alike, which costs nothing on LUT4, nor where the others have as many address bits."""
    leaf = FAMILIES[family].leaf
    if depth <= 2 or not lanes:
        return 0
    if FAMILIES[family].lut_inputs == 6:
        return round((_lut6(depth) + _told_apart(depth, same)) * lanes * (fill if depth > leaf else 1))
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
    """LUT6 of one bit of a word."""
    if depth <= 128:
        return -(-depth // 64)
    deepest, most = BY_DEPTH_LUT6[0][-1], BY_DEPTH_LUT6[1][-1]
    return float(np.interp(depth, *BY_DEPTH_LUT6)) if depth <= deepest else most * depth / deepest


def _told_apart(depth: int, same: int) -> float:
    """LUT6 of one bit of a word more where as many words are alike at the end, in wide multiplexers of their own."""
    if index_bits(depth + same) == index_bits(max(depth, 64)):
        return 0
    if depth <= 64:
        return int(depth + same <= 128)
    return 1.2 if depth + same <= 160 and 2 * same >= depth else 2

"""LUTs of a table of random constants, such as weights by fold, as Yosys' mapper builds it; read off by `benchmarks/rom_grid.py`."""

from math import log2

import numpy as np

from bwnhw.families import FAMILIES

# LUT4 per sixteen entries of a table: one, and its share of the multiplexers. They grow with the depth, here its binary logarithm, ...
BY_DEPTH = ((4, 5, 6, 7, 8, 9), (1.0, 1.95, 2.25, 2.4, 2.5, 2.55))
# ... but the more sixteens there are in all, here the binary logarithm of their number, the more of them are alike.
BY_SIZE = ((7, 8, 9, 10, 11, 12), (2.44, 2.28, 2.08, 1.89, 1.7, 1.55))


def rom_luts(lanes: int, depth: int, fill: float, family: str) -> int:
    """LUTs of a table of `depth` words of `lanes` bits, a share `fill` of them random and the others padding."""
    leaf = FAMILIES[family].leaf
    if depth <= leaf:
        return lanes
    if FAMILIES[family].lut_inputs == 6:
        return round(_lut6(depth) * lanes * fill)
    leaves = lanes * depth * fill / leaf
    return round(leaves * min(np.interp(log2(depth), *BY_DEPTH), np.interp(log2(leaves), *BY_SIZE)))


def _lut6(depth: int) -> float:
    """LUT6 of one bit of a word. Wide multiplexers join two leaves for nothing, and three or four that are whole."""
    leaves = depth / 64
    if leaves <= 2:
        return 2
    if leaves in (3, 4):
        return 4
    return leaves * (1.9 if leaves < 4 else 1.55)

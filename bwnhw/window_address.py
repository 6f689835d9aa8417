"""Where a window's copies read: which bits of their addresses need an adder, which come from a table, which never change.

A copy's address is the cursor plus the distance of its tap from the kernel's corner, a table by tap beat. The cursor starts at the base of
the output pixel and goes over the words of a pixel.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from bwnhw.blocks import Window
from bwnhw.fabric import index_bits
from bwnhw.geometry import Geometry
from bwnhw.walk import pixel_tables


@dataclass(frozen=True)
class Addresses:
    """`bits` of an address; `base` bits of it that change from pixel to pixel, `cursor` bits that change at all.

    Of each copy: `summed`, bits behind a carry chain, and `fixed`, bits that are constant. `tables`: different bits in the tables of all
    copies that are neither constant nor a bit of the tap beat. `different`: how many copies there are that differ in the lowest 0, 1, ...,
    `bits` bits of their addresses.
    """

    bits: int
    base: int
    cursor: int
    summed: tuple[int, ...]
    fixed: tuple[int, ...]
    tables: int
    different: tuple[int, ...]


def addresses(window: Window) -> Addresses:
    """The addresses of a window's copies."""
    still = _still(window.geometry, window.words, window.depth)
    stays = window.groups == 1 if window.depthwise else window.inner == 1
    return _addresses(window.geometry, window.words, window.depth, window.taps, still, still if stays else 0)


@lru_cache(maxsize=1 << 12)
def _addresses(geometry: Geometry, words: int, depth: int, taps: int, still: int, low: int) -> Addresses:
    """`still` of the base's lowest bits never change, `low` of the cursor's."""
    bits, distances = index_bits(depth), _distances(geometry, words, depth, taps)
    columns = distances[:, None] >> np.arange(bits)[:, None] & 1  # (copies, bits, tap beats)
    varies = columns.min(axis=2) != columns.max(axis=2)
    beats = {(np.arange(distances.shape[1]) >> bit & 1).tobytes() for bit in range(index_bits(distances.shape[1]))}
    tables = {column.tobytes() for column in columns[varies]} - beats
    lowest = [trailing_zeros(int(every)) if every else bits for every in np.bitwise_or.reduce(distances, axis=1)]
    return Addresses(bits, bits - still, bits - low, tuple(max(0, bits - max(zeros, low)) for zeros in lowest),
                     tuple(int(count) for count in (~varies[:, :low]).sum(axis=1)), len(tables),
                     tuple(len({copy[:low].tobytes() for copy in columns}) for low in range(bits + 1)))


@lru_cache(maxsize=1 << 12)
def _still(geometry: Geometry, words: int, depth: int) -> int:
    """The lowest bits of the base, which never change: every move is a multiple of their number."""
    return trailing_zeros(gcd(depth, words * int(np.gcd.reduce(pixel_tables(geometry)["move"], axis=None))))


def _distances(geometry: Geometry, words: int, depth: int, taps: int) -> NDArray[np.int64]:
    """(copies, tap beats): the distance of a copy's tap from the kernel's corner, in words."""
    height, width = geometry.kernel
    found = (np.arange(height)[:, None] * geometry.width + np.arange(width)).reshape(-1) * words % depth
    return np.append(found, np.zeros(-len(found) % taps, np.int64)).reshape(-1, taps).T


def trailing_zeros(number: int) -> int:
    """Lowest bits of a positive number that are 0."""
    return (number & -number).bit_length() - 1

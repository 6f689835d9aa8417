"""What a window must know of every output pixel, as tables over the output map, and the range of the counters that pace it."""

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bwnhw.blocks import Window
from bwnhw.geometry import Geometry

Number = TypeVar("Number", int, NDArray[np.int64])


def walk_tables(window: Window) -> dict[str, NDArray[np.int64]]:
    """Of every output pixel, each (out height, out width), in words where they count words.

    `rows`, `columns`: kernel rows and columns inside the map, one bit each; `class_offset` = class·groups; and how much must be added
    for the next pixel: `move` (address of the first tap, modulo depth), `freed` (first word that must be kept), `demand` (number of
    words that must have come).
    """
    return {name: in_words(window, name, table) for name, table in pixel_tables(window.geometry).items()}


def in_words(window: Window, name: str, value: Number) -> Number:
    """A value of `pixel_tables`, or a whole table, as the window counts."""
    if name == "class_offset":
        return value * (window.groups * (window.classes > 1))
    if name == "move":
        return value * window.words % window.depth
    return value * window.words if name in ("freed", "demand") else value


def pixel_tables(geometry: Geometry) -> dict[str, NDArray[np.int64]]:
    """The same, in pixels of the map and border classes."""
    shape = geometry.out_height, geometry.out_width
    image = geometry.height * geometry.width
    row_origins, col_origins = geometry.origins
    base = (row_origins[:, None] * geometry.width + col_origins[None, :]).reshape(-1)
    return {
        "rows": np.broadcast_to(_inside(row_origins, geometry.kernel[0], geometry.height)[:, None], shape),
        "columns": np.broadcast_to(_inside(col_origins, geometry.kernel[1], geometry.width)[None, :], shape),
        "class_offset": geometry.class_of.reshape(shape),
        "move": _differences(base, image).reshape(shape),
        "freed": _differences(geometry.keep, image).reshape(shape),
        "demand": _differences(geometry.need, image).reshape(shape),
    }


def occupancy_ranges(window: Window) -> tuple[range, range]:
    """Values of the two counters that pace a window: free words − 1, and words that the current pixel still waits for − 1."""
    released, first, demand, held = _extremes(window.geometry)
    # A pixel may release words that haven't come yet, so there can be more than `depth`; and it never waits for more than from one
    # pixel's need to the next one's, since that one was met.
    return (range(-1, window.depth + max(0, released * window.words)),
            range(held * window.words - window.depth - 1, max(first * window.words, demand * window.words, 1)))


@lru_cache(maxsize=256)
def _extremes(geometry: Geometry) -> tuple[int, int, int, int]:
    """In pixels: the most that is released beyond what has come, the first need, the greatest step of it, the least that is held."""
    image, keep, need = geometry.height * geometry.width, geometry.keep, geometry.need
    next_keep, next_need = np.append(keep[1:], keep[0] + image), np.append(need[1:], need[0] + image)
    return int((next_keep - need).max()), int(need[0]), int((next_need - need).max()), int((need - keep).min())


def _inside(origins: NDArray[np.int64], kernel: int, size: int) -> NDArray[np.int64]:
    """For every origin the taps of one dimension that lie in 0..size−1, tap k in bit k."""
    taps = origins[:, None] + np.arange(kernel)
    inside: NDArray[np.int64] = ((taps >= 0) & (taps < size)) @ np.array([1 << k for k in range(kernel)])
    return inside


def _differences(values: NDArray[np.int64], image: int) -> NDArray[np.int64]:
    """From every pixel's value to the next one's; the first pixel of the next image lies `image` further."""
    found: NDArray[np.int64] = np.diff(values, append=values[0] + image)
    return found

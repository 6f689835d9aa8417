"""Sliding-window geometry: which input pixels an output pixel reads, when they are there, when they may be overwritten.

Pixels are numbered in raster order within one image. Used alike by lowering, golden model, cycle model, planner and hardware.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Geometry:
    """A window of `kernel` moved by `stride` over a `height × width` map with `pads` (top, left, bottom, right)."""

    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]

    @property
    def out_height(self) -> int:
        """Rows of the output map."""
        return (self.height + self.pads[0] + self.pads[2] - self.kernel[0]) // self.stride[0] + 1

    @property
    def out_width(self) -> int:
        """Columns of the output map."""
        return (self.width + self.pads[1] + self.pads[3] - self.kernel[1]) // self.stride[1] + 1

    @cached_property
    def origins(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Input row of each output row's first tap, and likewise for columns (negative in the padding)."""
        return (np.arange(self.out_height) * self.stride[0] - self.pads[0],
                np.arange(self.out_width) * self.stride[1] - self.pads[1])

    @cached_property
    def need(self) -> NDArray[np.int64]:
        """(pixels,) input pixels of the image that must have been written before the output pixel starts."""
        rows, cols = self.origins
        last_row = np.minimum(rows + self.kernel[0], self.height) - 1
        last_col = np.minimum(cols + self.kernel[1], self.width) - 1
        need: NDArray[np.int64] = last_row[:, None] * self.width + last_col[None, :] + 1
        return need.reshape(-1)

    @cached_property
    def keep(self) -> NDArray[np.int64]:
        """(pixels,) first input pixel that this or any later output pixel of the image still reads; never decreases.

        Pixels before it may be overwritten. It is the window's own first pixel, but row starts stay as long as the next
        row of outputs begins in the same (clipped) input row.
        """
        rows, cols = self.origins
        first = np.maximum(rows, 0)[:, None] * self.width + np.maximum(cols, 0)[None, :]
        next_row = np.maximum(rows + self.stride[0], 0)[:, None] * self.width
        keep: NDArray[np.int64] = np.minimum(first, next_row)
        return keep.reshape(-1)

    @cached_property
    def row_classes(self) -> tuple[tuple[int, int], ...]:
        """Distinct (first, last + 1) ranges of kernel rows inside the map, in order of first appearance."""
        return _ranges(self.origins[0], self.kernel[0], self.height)

    @cached_property
    def col_classes(self) -> tuple[tuple[int, int], ...]:
        """The same for kernel columns."""
        return _ranges(self.origins[1], self.kernel[1], self.width)

    @property
    def classes(self) -> int:
        """Number of border classes: row classes × column classes; class = row class · columns + column class."""
        return len(self.row_classes) * len(self.col_classes)

    @cached_property
    def class_of(self) -> NDArray[np.int64]:
        """(pixels,) border class of every output pixel."""
        rows = [self.row_classes.index(_clip(o, self.kernel[0], self.height)) for o in self.origins[0].tolist()]
        cols = [self.col_classes.index(_clip(o, self.kernel[1], self.width)) for o in self.origins[1].tolist()]
        classes: NDArray[np.int64] = np.array(rows)[:, None] * len(self.col_classes) + np.array(cols)[None, :]
        return classes.reshape(-1)

    @cached_property
    def class_masks(self) -> NDArray[np.bool_]:
        """(classes, kh, kw) True where the tap lies inside the map."""
        ky, kx = np.arange(self.kernel[0]), np.arange(self.kernel[1])
        return np.stack([((ky >= a) & (ky < b))[:, None] & ((kx >= c) & (kx < d))[None, :]
                         for a, b in self.row_classes for c, d in self.col_classes])


def _clip(origin: int, kernel: int, size: int) -> tuple[int, int]:
    return max(0, -origin), min(kernel, size - origin)


def _ranges(origins: NDArray[np.int64], kernel: int, size: int) -> tuple[tuple[int, int], ...]:
    return tuple(dict.fromkeys(_clip(o, kernel, size) for o in origins.tolist()))

"""Convolution (as products of matrices, in blocks) and pooling (tap by tap): memory stays near that of the maps."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bwnhw.graph import Op
from bwnhw.ops import integer, integers
from bwnhw.windows import Window, window_of

Array = NDArray[Any]

_BLOCK = 1 << 21
"""Elements of a matrix of taps, about; more doesn't make it faster."""


def conv(op: Op, x: Array, weights: Array, bias: Array | None) -> Array:
    """(N, C, H, W) by weights (O, C / group, kh, kw) and bias (O,) to (N, O, H', W')."""
    window, groups = window_of(op, weights.shape[2:], x.shape[2:]), integer(op, "group")
    rows, columns = window.outputs((x.shape[2], x.shape[3]))
    result = np.empty((len(x), groups, len(weights) // groups, rows, columns), np.result_type(x, weights))
    matrices = weights.reshape(groups, len(weights) // groups, -1)
    views = sliding_window_view(_padded(x, window, 0), window.reach, (2, 3))  # (N, C, rows, columns, taps, taps), no copy
    views = views[:, :, ::window.stride[0], ::window.stride[1], ::window.dilation[0], ::window.dilation[1]]
    row_elements = x.shape[1] * prod(window.kernel) * columns
    height = min(rows, -(-_BLOCK // row_elements))
    images = -(-_BLOCK // (row_elements * rows))
    for image in range(0, len(x), images):
        for row in range(0, rows, height):
            block = views[image:image + images, :, row:row + height].transpose(0, 1, 4, 5, 2, 3)
            columns_of = block.reshape(len(block), groups, matrices.shape[2], -1)
            result[image:image + images, :, :, row:row + height] = (matrices @ columns_of).reshape(
                len(block), groups, -1, block.shape[4], columns)
    total = result.reshape(len(x), len(weights), rows, columns)
    return total if bias is None else np.add(total, bias.reshape(-1, 1, 1))


def max_pool(op: Op, x: Array) -> Array:
    """Greatest of the taps inside the map."""
    window = window_of(op, integers(op, "kernel_shape") or (), x.shape[2:])
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    taps = _taps(x, window, lowest)
    best = next(taps).copy()
    for tap in taps:
        np.maximum(best, tap, out=best)
    return best


def average_pool(op: Op, x: Array) -> Array:
    """Mean of the taps inside the map, or of all where `count_include_pad` is set (padding counts as 0)."""
    window = window_of(op, integers(op, "kernel_shape") or (), x.shape[2:])
    total = _sum(x, window)
    whole = np.full((1, 1, 1, 1), prod(window.kernel), x.dtype)
    count = whole if integer(op, "count_include_pad") else _sum(np.ones((1, 1, *x.shape[2:]), x.dtype), window)
    mean: Array = total / count
    return mean


def global_average_pool(x: Array) -> Array:
    """Mean over all dimensions behind the channels, kept as ones."""
    result: Array = np.mean(x, axis=tuple(range(2, x.ndim)), keepdims=True, dtype=x.dtype)
    return result


def global_max_pool(x: Array) -> Array:
    """Greatest over all dimensions behind the channels, kept as ones."""
    result: Array = np.max(x, axis=tuple(range(2, x.ndim)), keepdims=True)
    return result


def _sum(x: Array, window: Window) -> Array:
    taps = _taps(x, window, 0)
    total = next(taps).copy()
    for tap in taps:
        total += tap
    return total


def _padded(x: Array, window: Window, value: float) -> Array:
    top, left, bottom, right = window.pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value) if any(window.pads) else x


def _taps(x: Array, window: Window, padding: float) -> Iterator[Array]:
    """For every tap of the kernel the elements (N, C, H', W') that it meets."""
    padded = _padded(x, window, padding)
    rows, columns = window.outputs((x.shape[2], x.shape[3]))
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            y, z = row * window.dilation[0], column * window.dilation[1]
            yield padded[:, :, y:y + (rows - 1) * window.stride[0] + 1:window.stride[0],
                         z:z + (columns - 1) * window.stride[1] + 1:window.stride[1]]

"""Convolution and pooling in float32, tap by tap: memory stays that of the maps, whatever the kernel."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.graph import Op
from bwnhw.ops import attribute
from bwnhw.windows import Window, window_of

Array = NDArray[Any]


def conv(op: Op, x: Array, weights: Array, bias: Array | None) -> Array:
    """(N, C, H, W) by weights (O, C / group, kh, kw) and bias (O,) to (N, O, H', W')."""
    window, groups = window_of(op, weights.shape[2:], x.shape[2:]), int(attribute(op, "group"))  # type: ignore[arg-type]  # an int
    images, outputs = len(x), len(weights)
    rows, columns = window.outputs(x.shape[2:])
    grouped = weights.reshape(groups, outputs // groups, *weights.shape[1:])
    total = np.zeros((images, groups, outputs // groups, rows * columns), np.result_type(x, weights))
    for (row, column), tap in _taps(x, window, 0):
        total += grouped[..., row, column] @ tap.reshape(images, groups, x.shape[1] // groups, rows * columns)
    result = total.reshape(images, outputs, rows, columns)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


def max_pool(op: Op, x: Array) -> Array:
    """Greatest of the taps inside the map."""
    window = window_of(op, attribute(op, "kernel_shape"), x.shape[2:])  # type: ignore[arg-type]  # checked: ints
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    taps = (tap for _, tap in _taps(x, window, lowest))
    best = next(taps).copy()
    for tap in taps:
        np.maximum(best, tap, out=best)
    return best


def average_pool(op: Op, x: Array) -> Array:
    """Mean of the taps inside the map, or of all where `count_include_pad` is set (padding counts as 0)."""
    window = window_of(op, attribute(op, "kernel_shape"), x.shape[2:])  # type: ignore[arg-type]  # checked: ints
    total = _sum(x, window)
    if attribute(op, "count_include_pad"):
        return total / x.dtype.type(prod(window.kernel))
    return total / _sum(np.ones((1, 1, *x.shape[2:]), x.dtype), window)


def global_average_pool(x: Array) -> Array:
    """Mean over all dimensions behind the channels, kept as ones."""
    return np.mean(x, axis=tuple(range(2, x.ndim)), keepdims=True, dtype=x.dtype)


def global_max_pool(x: Array) -> Array:
    """Greatest over all dimensions behind the channels, kept as ones."""
    return np.max(x, axis=tuple(range(2, x.ndim)), keepdims=True)


def _sum(x: Array, window: Window) -> Array:
    taps = (tap for _, tap in _taps(x, window, 0))
    total = next(taps).copy()
    for tap in taps:
        total += tap
    return total


def _taps(x: Array, window: Window, padding: float) -> Iterator[tuple[tuple[int, int], Array]]:
    """Every tap (row, column) of the kernel with the elements (N, C, H', W') that it meets."""
    top, left, bottom, right = window.pads
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=padding) if any(window.pads) else x
    rows, columns = window.outputs(x.shape[2:])
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            y, z = row * window.dilation[0], column * window.dilation[1]
            yield (row, column), padded[:, :, y:y + (rows - 1) * window.stride[0] + 1:window.stride[0],
                                        z:z + (columns - 1) * window.stride[1] + 1:window.stride[1]]

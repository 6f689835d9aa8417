"""The golden model: the integers of `bwnhw.reference`, fast.

Inside, maps are (N, H, W, C) in the smallest integer type that holds the edge's range, and images go through in chunks. Convolutions are
in `bwnhw.golden_conv`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.codes import check
from bwnhw.geometry import Geometry
from bwnhw.golden_conv import integer_type, kernel
from bwnhw.network import (
    Add,
    ArgMax,
    Conv,
    ConvParams,
    Ints,
    Network,
    Node,
    NodeParams,
    Pool,
    PoolParams,
    Scale,
    ScaleParams,
    Threshold,
    ThresholdParams,
)

_CHUNK = 1 << 22  # elements of the widest edge that are worked on at once
_FEW_LEVELS = 15  # up to here a threshold counts by comparing with each level, beyond by binary search
"""Both sizes only trade time for memory."""

Map = NDArray[Any]
"""(N, H, W, C)."""


@dataclass(frozen=True, eq=False)
class _Step:
    """`function` turns the maps of the nodes `src` into that of `node`."""

    node: int
    src: tuple[int, ...]
    function: Callable[[list[Map]], Map]


def run(network: Network, codes: NDArray[np.integer]) -> tuple[NDArray[np.int64], ...]:
    """One int64 array (N, C, H, W) per topology node; `codes` is (N, C, H, W), integers in the input's range (else ImageError)."""
    check(network.topology.nodes[0].out, codes)
    outs = tuple(np.empty((len(codes), *node.out.shape), np.int64) for node in network.topology.nodes)
    for start, maps in _chunks(network, _steps(network, len(codes)), codes):
        for out, chunk in zip(outs, maps, strict=True):
            out[start:start + len(chunk)] = _outside(chunk)
    return outs


def outputs(network: Network, codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """The last node's int64 (N, C, H, W): as `run(network, codes)[-1]`, in less memory and time."""
    check(network.topology.nodes[0].out, codes)
    out = np.empty((len(codes), *network.topology.nodes[-1].out.shape), np.int64)
    for start, maps in _chunks(network, _fused_steps(network, len(codes)), codes):
        last = deque(maps, maxlen=1)[0]
        out[start:start + len(last)] = _outside(last)
    return out


def apply(network: Network, index: int, sources: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    """One node alone: int64 (N, C, H, W) from its sources' integers (N, C, H, W), which must be in their edges' ranges."""
    ints = [network.topology.nodes[s].out for s in network.topology.nodes[index].src]
    maps = [_inside(source, edge) for source, edge in zip(sources, ints, strict=True)]
    result = _step(network, index, len(maps[0])).function(maps)
    return np.ascontiguousarray(_outside(result), dtype=np.int64)


def _inside(codes: NDArray[np.integer], ints: Ints) -> Map:
    """(N, C, H, W) as (N, H, W, C) in the edge's own type."""
    moved = codes.reshape(len(codes), 1, 1, -1) if ints.pixels == 1 else np.moveaxis(codes, 1, 3)
    return np.ascontiguousarray(moved, dtype=integer_type(ints.lo, ints.hi))


def _outside(chunk: Map) -> Map:
    """(N, H, W, C) as (N, C, H, W)."""
    return chunk.reshape(len(chunk), -1, 1, 1) if chunk.shape[1:3] == (1, 1) else np.moveaxis(chunk, 3, 1)


def _chunks(network: Network, steps: Sequence[_Step], codes: NDArray[np.integer]) -> Iterator[tuple[int, Iterator[Map]]]:
    """(first image, the input's map and every step's in turn) for chunk after chunk of images."""
    nodes = network.topology.nodes
    size = max(1, _CHUNK // max(node.out.channels * node.out.pixels for node in nodes))
    for start in range(0, len(codes), size):
        yield start, _maps(steps, _inside(codes[start:start + size], nodes[0].out))


def _maps(steps: Sequence[_Step], first: Map) -> Iterator[Map]:
    """The maps of one chunk, kept no longer than a later step needs them."""
    last_use = {s: index for index, step in enumerate(steps) for s in step.src}
    alive = {0: first}
    yield first
    for index, step in enumerate(steps):
        result = step.function([alive[s] for s in step.src])
        alive = {s: chunk for s, chunk in alive.items() if last_use[s] > index}
        if step.node in last_use:
            alive[step.node] = result
        yield result


def _steps(network: Network, images: int) -> list[_Step]:
    """A step per node behind the input."""
    return [_step(network, index, images) for index in range(1, len(network.topology.nodes))]


def _fused_steps(network: Network, images: int) -> list[_Step]:
    """As `_steps`, but a conv and the 1-bit threshold that alone reads it are one."""
    nodes, steps, index = network.topology.nodes, [], 1
    while index < len(nodes):
        node, behind = nodes[index], nodes[index + 1] if index + 1 < len(nodes) else None
        params, threshold = network.params[index], network.params[index + 1] if behind else None
        if (isinstance(node, Conv) and isinstance(params, ConvParams) and isinstance(behind, Threshold) and behind.out.hi == 1
                and isinstance(threshold, ThresholdParams) and network.topology.consumers(index) == (index + 1,)):
            layer = kernel(node, params, nodes[node.src[0]].out, images, threshold)
            steps.append(_Step(index + 1, node.src, partial(_first, layer)))
            index += 2
        else:
            steps.append(_step(network, index, images))
            index += 1
    return steps


def _step(network: Network, index: int, images: int) -> _Step:
    """What turns the sources' maps into the node's."""
    node, params = network.topology.nodes[index], network.params[index]
    return _Step(index, node.src, _function(node, params, [network.topology.nodes[s].out for s in node.src], images))


def _function(node: Node, params: NodeParams, ints: list[Ints], images: int) -> Callable[[list[Map]], Map]:
    match node, params:
        case Conv(), ConvParams():
            return partial(_first, kernel(node, params, ints[0], images))
        case Threshold(), ThresholdParams():
            return lambda maps: _threshold(node, params, maps[0])
        case Pool(), PoolParams():
            return lambda maps: _pool(node, params, maps[0], ints[0])
        case Scale(), ScaleParams():
            return lambda maps: np.asarray(params.mult * maps[0].astype(np.int64) + params.offset)
        case ArgMax(), None:
            return lambda maps: np.argmax(maps[0], axis=3, keepdims=True)
        case Add(), None:
            return lambda maps: _add(node, maps)
    raise TypeError(f"{type(node).__name__} doesn't go with {type(params).__name__}")


def _first(layer: Callable[[Map], Map], maps: list[Map]) -> Map:
    return layer(maps[0])


def _add(node: Add, sources: list[Map]) -> Map:
    total = np.zeros(sources[0].shape, np.int64)
    for mult, source in zip(node.mult, sources, strict=True):
        total += mult * source.astype(np.int64)
    return total


def _threshold(node: Threshold, params: ThresholdParams, source: Map) -> Map:
    out_type = integer_type(0, node.out.hi)
    if node.out.hi <= _FEW_LEVELS:
        count = _reached(source, params.thresholds[:, 0]).view(np.uint8)
        for level in params.thresholds.T[1:]:
            count += _reached(source, level)
    else:
        count = np.empty(source.shape, out_type)
        for channel, row in enumerate(params.thresholds):
            count[..., channel] = np.searchsorted(row, source[..., channel], side="right")
    return np.where(params.flip, node.out.hi - count, count).astype(out_type, copy=False) if params.flip.any() else count


def _reached(source: Map, level: NDArray[np.int64]) -> NDArray[np.bool_]:
    """source ≥ level per channel, compared in the source's type; a level beyond it is never reached."""
    info = np.iinfo(source.dtype)
    reached: NDArray[np.bool_] = source >= np.clip(level, info.min, info.max).astype(source.dtype)
    return reached & (level <= info.max) if (level > info.max).any() else reached


def _pool(node: Pool, params: PoolParams, source: Map, ints: Ints) -> Map:
    """Over the rows of the window first, then over its columns: max and sum are both separable."""
    geometry = Geometry(ints.height, ints.width, node.kernel, node.stride, node.pads)
    top, left, bottom, right = geometry.pads
    if any(geometry.pads):
        fill = ints.lo if node.kind == "max" else 0
        source = np.pad(source, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    join = np.maximum if node.kind == "max" else np.add
    maps = source.astype(integer_type(min(ints.lo, node.out.lo), max(ints.hi, node.out.hi)), copy=False)
    for axis, size in ((1, geometry.out_height), (2, geometry.out_width)):
        taps = [slice(tap, tap + geometry.stride[axis - 1] * (size - 1) + 1, geometry.stride[axis - 1])
                for tap in range(geometry.kernel[axis - 1])]
        maps = reduce(join, (maps[(slice(None),) * axis + (tap,)] for tap in taps))
    return np.asarray(np.where(params.flip, node.out.hi - maps, maps) if params.flip.any() else maps)

"""The golden model: the integers of `bwnhw.reference`, fast.

Inside, maps are (N, H, W, C) in the smallest integer type that holds the edge's range, and images go through in chunks. Convolutions are
in `bwnhw.golden_conv`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bwnhw.codes import check
from bwnhw.geometry import Geometry
from bwnhw.golden_conv import integer_type, kernel, windows
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

Map = NDArray[np.integer]
Step = Callable[[list[Map]], Map]


def run(network: Network, codes: NDArray[np.integer]) -> tuple[NDArray[np.int64], ...]:
    """One int64 array (N, C, H, W) per topology node; `codes` is (N, C, H, W), integers in the input's range (else ImageError)."""
    outs = tuple(np.empty((len(codes), *node.out.shape), np.int64) for node in network.topology.nodes)
    for start, maps in _chunks(network, codes):
        for out, chunk in zip(outs, maps, strict=True):
            out[start:start + len(chunk)] = np.moveaxis(chunk, 3, 1)
    return outs


def outputs(network: Network, codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """The last node's int64 (N, C, H, W): as `run(network, codes)[-1]`, in less memory and time."""
    out = np.empty((len(codes), *network.topology.nodes[-1].out.shape), np.int64)
    for start, maps in _chunks(network, codes):
        last = deque(maps, maxlen=1)[0]
        out[start:start + len(last)] = np.moveaxis(last, 3, 1)
    return out


def apply(network: Network, index: int, sources: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    """One node alone: int64 (N, C, H, W) from its sources' integers (N, C, H, W), which must be in their edges' ranges."""
    nodes = network.topology.nodes
    ints = [nodes[s].out for s in nodes[index].src]
    maps = [np.ascontiguousarray(np.moveaxis(source, 1, 3), dtype=integer_type(i.lo, i.hi))
            for source, i in zip(sources, ints, strict=True)]
    result = _step(nodes[index], network.params[index], ints, len(maps[0]))(maps)
    return np.ascontiguousarray(np.moveaxis(result, 3, 1), dtype=np.int64)


def _chunks(network: Network, codes: NDArray[np.integer]) -> Iterator[tuple[int, Iterator[Map]]]:
    """(first image, maps of every node in turn) for chunk after chunk of images."""
    nodes = network.topology.nodes
    check(nodes[0].out, codes)
    widest = max(node.out.channels * node.out.pixels for node in nodes)
    size = max(1, _CHUNK // widest)
    steps = tuple(_step(node, params, [nodes[s].out for s in node.src], len(codes))
                  for node, params in zip(nodes[1:], network.params[1:], strict=True))
    for start in range(0, len(codes), size):
        yield start, _maps(network, steps, codes[start:start + size])


def _maps(network: Network, steps: tuple[Step, ...], codes: NDArray[np.integer]) -> Iterator[Map]:
    """Every node's map of one chunk in turn, kept no longer than a later node needs it."""
    nodes = network.topology.nodes
    last_use = {s: index for index, node in enumerate(nodes) for s in node.src}
    first = np.ascontiguousarray(np.moveaxis(codes, 1, 3), dtype=integer_type(nodes[0].out.lo, nodes[0].out.hi))
    yield first
    alive = {0: first}
    for index, (node, step) in enumerate(zip(nodes[1:], steps, strict=True), 1):
        alive[index] = step([alive[s] for s in node.src])
        yield alive[index]
        for s in node.src:
            if last_use[s] == index:
                alive.pop(s, None)


def _step(node: Node, params: NodeParams, ints: list[Ints], images: int) -> Step:
    """What turns the sources' maps into the node's."""
    match node, params:
        case Conv(), ConvParams():
            layer = kernel(node, params, ints[0], images)
            return lambda maps: layer(maps[0])
        case Threshold(), ThresholdParams():
            return lambda maps: _threshold(node, params, maps[0])
        case Pool(), PoolParams():
            return lambda maps: _pool(node, params, maps[0], ints[0])
        case Scale(), ScaleParams():
            return lambda maps: params.mult * maps[0].astype(np.int64) + params.offset
        case ArgMax(), None:
            return lambda maps: np.argmax(maps[0], axis=3, keepdims=True)
        case Add(), None:
            return lambda maps: _add(node, maps)
    raise TypeError(f"{type(node).__name__} doesn't go with {type(params).__name__}")


def _add(node: Add, sources: list[Map]) -> Map:
    total = np.zeros(sources[0].shape, np.int64)
    for mult, source in zip(node.mult, sources, strict=True):
        total += mult * source.astype(np.int64)
    return total


def _threshold(node: Threshold, params: ThresholdParams, source: Map) -> Map:
    info = np.iinfo(source.dtype)
    out_type = integer_type(0, node.out.hi)
    # A level beyond the source's type is never reached (or, below it, always): count it apart, compare the rest in that type.
    always = params.thresholds <= info.min
    never = params.thresholds > info.max
    levels = np.clip(params.thresholds, info.min, info.max).astype(source.dtype)
    if node.out.hi == 1:
        bits: NDArray[np.bool_] = ((source >= levels[:, 0]) & ~never[:, 0] | always[:, 0]) != params.flip
        return bits.view(np.uint8)
    if node.out.hi <= _FEW_LEVELS:
        count = np.zeros(source.shape, out_type)
        for k in range(node.out.hi):
            count += (source >= levels[:, k]) & ~never[:, k] | always[:, k]
    else:
        count = np.empty(source.shape, out_type)
        for channel, row in enumerate(params.thresholds):
            count[..., channel] = np.searchsorted(row, source[..., channel], side="right")
    return np.where(params.flip, node.out.hi - count, count)


def _pool(node: Pool, params: PoolParams, source: Map, ints: Ints) -> Map:
    geometry = Geometry(ints.height, ints.width, node.kernel, node.stride, node.pads)
    out_type = integer_type(node.out.lo, node.out.hi)
    taps = (pixels for _, _, pixels in windows(source, geometry, ints.lo if node.kind == "max" else 0))
    out = next(taps).astype(out_type)
    for pixels in taps:
        if node.kind == "max":
            np.maximum(out, pixels, out=out)
        else:
            out += pixels
    return np.where(params.flip, node.out.hi - out, out) if params.flip.any() else out

"""The integer network node by node, in the formulas of docs/integer-network.md, as loops one can read against that page.

Slow on purpose; `bwnhw.golden` computes the same integers fast, and the hardware computes them as this module does: by matches.
"""

import numpy as np
from numpy.typing import NDArray

from bwnhw.codes import check
from bwnhw.geometry import Geometry
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
from bwnhw.tables import plane_bits

Map = NDArray[np.int64]


def run(network: Network, codes: NDArray[np.integer]) -> tuple[Map, ...]:
    """One int64 array (N, C, H, W) per topology node; `codes` is (N, C, H, W), integers in the input's range (else ImageError)."""
    nodes = network.topology.nodes
    check(nodes[0].out, codes)
    maps = [codes.astype(np.int64)]
    for node, params in zip(nodes[1:], network.params[1:], strict=True):
        maps.append(_node(node, params, [maps[s] for s in node.src], [nodes[s].out for s in node.src]))
    return tuple(maps)


def _node(node: Node, params: NodeParams, sources: list[Map], ints: list[Ints]) -> Map:
    match node, params:
        case Conv(), ConvParams():
            return _conv(node, params, sources[0], ints[0])
        case Threshold(), ThresholdParams():
            return _threshold(node, params, sources[0])
        case Pool(), PoolParams():
            return _pool(node, params, sources[0], ints[0])
        case Scale(), ScaleParams():
            scaled: Map = params.mult[:, None, None] * sources[0] + params.offset[:, None, None]
            return scaled
        case ArgMax(), None:
            best: Map = np.argmax(sources[0], axis=1, keepdims=True)  # the lowest index of equals
            return best
        case Add(), None:
            total = np.zeros_like(sources[0])
            for mult, source in zip(node.mult, sources, strict=True):
                total += mult * source
            return total
    raise TypeError(f"{type(node).__name__} doesn't go with {type(params).__name__}")


def _windows(source: Map, geometry: Geometry) -> list[tuple[int, int, slice, slice, Map]]:
    """For every output pixel: row, column, the kernel rows and columns inside the map, and those input pixels."""
    found = []
    for y, top in enumerate(geometry.origins[0].tolist()):
        for x, left in enumerate(geometry.origins[1].tolist()):
            rows = slice(max(0, -top), min(geometry.kernel[0], geometry.height - top))
            cols = slice(max(0, -left), min(geometry.kernel[1], geometry.width - left))
            patch = source[:, :, top + rows.start:top + rows.stop, left + cols.start:left + cols.stop]
            found.append((y, x, rows, cols, patch))
    return found


def _conv(node: Conv, params: ConvParams, source: Map, ints: Ints) -> Map:
    """z = m·ΣWa + c·ΣW over valid taps, ΣWa from the matches P of weight plane j and activation plane b.

    Σ S_j·a = Σ_b 2^b·P_jb − (2^A − 1)·negatives_j, and ΣWa = Σ_j 2^shift_j·Σ S_j·a / divisor.
    """
    m, c = node.value
    out = np.empty((len(source), *node.out.shape), np.int64)
    planes = plane_bits(params.weights, node.weights)  # (planes, out, in, kh, kw)
    for y, x, rows, cols, patch in _windows(source, Geometry(ints.height, ints.width, node.kernel, node.stride, node.pads)):
        total = np.zeros((len(source), node.out.channels), np.int64)
        for plane, shift in zip(planes[..., rows, cols], node.weights.plane_shifts, strict=True):
            negatives = (~plane).sum(axis=(1, 2, 3))
            total -= (negatives * ((1 << ints.bits) - 1)) << shift
            for b in range(ints.bits):
                bits = (patch >> b) & 1 == 1
                matches = (bits[:, None] == plane[None]).sum(axis=(2, 3, 4))  # XNOR, popcount
                total += matches << (shift + b)
        taps = params.weights[..., rows, cols].astype(np.int64).sum(axis=(1, 2, 3))
        out[:, :, y, x] = m * (total // node.weights.divisor) + c * taps
    return out


def _threshold(node: Threshold, params: ThresholdParams, source: Map) -> Map:
    count = np.zeros(source.shape, np.int64)
    for level in range(node.out.hi):
        count += source >= params.thresholds[:, level][:, None, None]
    flipped: Map = np.where(params.flip[:, None, None], node.out.hi - count, count)
    return flipped


def _pool(node: Pool, params: PoolParams, source: Map, ints: Ints) -> Map:
    out = np.empty((len(source), *node.out.shape), np.int64)
    for y, x, _, _, patch in _windows(source, Geometry(ints.height, ints.width, node.kernel, node.stride, node.pads)):
        out[:, :, y, x] = patch.max(axis=(2, 3)) if node.kind == "max" else patch.sum(axis=(2, 3))
    flipped: Map = np.where(params.flip[:, None, None], node.out.hi - out, out)
    return flipped

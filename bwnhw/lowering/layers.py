"""Convolutions, dense layers, pools and sums."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from bwnhw.errors import ModelError
from bwnhw.exact import TwoRootsError, surd
from bwnhw.geometry import Geometry
from bwnhw.graph import Op
from bwnhw.lowering.builder import Builder
from bwnhw.lowering.constants import Constants
from bwnhw.lowering.edge import Edge, PendingPool, Row, fresh, meaning
from bwnhw.lowering.weights import Weights, conv_weights, dense_weights
from bwnhw.network import Add, Conv, ConvParams, Input, Ints, Pool, PoolParams, Scale, ScaleParams, Threshold, WeightCode
from bwnhw.ops import attribute, label

_LARGEST_RATIO = 256


def conv(builder: Builder, constants: Constants, op: Op, edge: Edge) -> Edge:
    """A convolution of codes by constant weights; ModelError where that isn't an integer convolution."""
    _expect_map(op, edge)
    if attribute(op, "group") != 1 or set(_ints(op, "dilations")) - {1}:
        raise ModelError(f"{label(op)}: expected 1 group and dilation 1, found {attribute(op, 'group')} and {_ints(op, 'dilations')}")
    kernel, stride, pads = _ints(op, "kernel_shape"), _ints(op, "strides"), _ints(op, "pads")
    geometry = Geometry(*edge.shape[1:], kernel, stride, pads)  # type: ignore[arg-type]  # pairs and four, made explicit by simplify
    channels, where = edge.shape[0], label(op)
    weights = conv_weights(constants, op.inputs[1], op)
    if weights.params.weights.shape[1:] != (channels, *kernel):
        raise ModelError(f"{where}: expected weights (out, {channels}, {kernel[0]}, {kernel[1]}), found {weights.params.weights.shape}")
    result = _convolve(builder, op, edge, weights, geometry)
    if len(op.inputs) > 2 and op.inputs[2]:
        bias = constants.exact(op.inputs[2], op).reshape(-1)
        result = replace(result, offset=tuple(a + b for a, b in zip(result.offset, bias, strict=True)))
    if result.node is not None:
        builder.mean(result.node, meaning(result))
    return result


def dense(builder: Builder, constants: Constants, op: Op, edge: Edge) -> Edge:
    """MatMul of a vector, or of a flattened map in any order of its elements, by constant weights."""
    if op.inputs[0] in constants or edge.view.ndim != 1:
        raise ModelError(f"{label(op)}: expected vectors (N, inputs) on the left and constant weights on the right, found a left "
                         f"side of shape {('N', *edge.view.shape)}")
    weights = dense_weights(constants, op.inputs[1], op)
    flat = weights.params.weights[:, :, 0, 0]
    if flat.shape[1] != edge.view.size:
        raise ModelError(f"{label(op)}: expected weights ({edge.view.size}, outputs), found ({flat.shape[1]}, {flat.shape[0]})")
    placed = np.empty_like(flat)
    placed[:, edge.view] = flat
    kernel = edge.shape[1:]
    params = ConvParams(placed.reshape(len(flat), *edge.shape))
    result = _convolve(builder, op, edge, replace(weights, params=params), Geometry(*kernel, kernel, (1, 1), (0, 0, 0, 0)))
    result = replace(result, view=result.view.reshape(-1))
    if result.node is not None:
        builder.mean(result.node, meaning(result))
    return result


def _convolve(builder: Builder, op: Op, edge: Edge, weights: Weights, geometry: Geometry) -> Edge:
    """The Conv node on codes, with its row scales."""
    edge = pooled(builder, edge, op)
    source = codes_of(builder, edge, op)
    slope, zero = edge.slope[0], -(edge.offset[0] / edge.slope[0]).u
    value, rest = (1, 0), surd(0)
    if zero.denominator <= 2:
        value = (zero.denominator, -zero.numerator)  # m·(a − zero), so that padding, which adds nothing, is a real zero
    elif not any(geometry.pads):
        rest = edge.offset[0]
    else:
        raise ModelError(f"{label(op)}: expected an input whose zero is a code or half-way between two, to be padded with zeros, found "
                         f"its zero at code {float(zero):g}")
    channels = source.channels
    lo, hi = product_range(weights.code, value, source.hi, channels * prod(geometry.kernel))
    out = Ints(len(weights.scale), geometry.out_height, geometry.out_width, lo, hi)
    builder.afford(label(op), channels, geometry.kernel, out)
    codebook = weights.params.codebook
    node = builder.add(Conv((_node(edge, op),), out, geometry.kernel, geometry.stride, geometry.pads, weights.code, value,
                            None if codebook is None else codebook.shape), weights.params)
    try:
        rows = tuple(row * slope * surd(1) / value[0] for row in weights.scale)
        sums = weights.params.weights.astype(np.int64).sum(axis=(1, 2, 3)).tolist()
        offsets = tuple(row * rest * total for row, total in zip(weights.scale, sums, strict=True))
    except TwoRootsError:
        raise ModelError(f"{label(op)}: expected at most one root in the scales, found two") from None
    return fresh(op.outputs[0], node, out, out.shape, rows, offsets)


def product_range(code: WeightCode, value: tuple[int, int], hi: int, taps: int) -> tuple[int, int]:
    """(lo, hi) of Σ W·(m·a + c) over up to `taps` taps, by bounds alone."""
    m, c = value
    products = [w * v for w in (code.lo, code.hi) for v in (c, m * hi + c)]
    return taps * min(0, *products), taps * max(0, *products)


def codes_of(builder: Builder, edge: Edge, op: Op) -> Ints:
    """The integers of an edge that a layer sums over; ModelError unless they are unsigned and one affine function fits them all."""
    where, node = label(op), _node(edge, op)
    if edge.clamp:
        raise ModelError(f"{where}: expected a quantiser between the clip or Relu and this layer, found none")
    if not edge.uniform:
        raise ModelError(f"{where}: expected one scale and zero point for the whole tensor, since channels meet in a sum, found "
                         f"{len(set(zip(edge.slope, edge.offset, strict=True)))}")
    slope, offset = edge.slope[0], edge.offset[0]
    if not (slope.rational and offset.rational and slope.sign()):
        raise ModelError(f"{where}: expected a quantiser between the batch norm and this layer, found none")
    source = builder.ints(node)
    if source.lo < 0:
        raise ModelError(f"{where}: expected a quantiser between this layer and the sums before it, found none")
    return source


def max_pool(builder: Builder, op: Op, edge: Edge) -> Edge:
    """Max pool of a map: of codes at once, of sums behind the quantiser that follows."""
    _expect_map(op, edge)
    origin = builder.node(_node(edge, op))
    if set(op.attrs.get("dilations", (1,))) - {1}:  # type: ignore[arg-type]  # ints once checked
        raise ModelError(f"{label(op)}: expected dilation 1, found {op.attrs['dilations']}")
    pool = PendingPool(_pool_geometry(op, edge), tuple(s.sign() < 0 for s in edge.slope))
    result = _resized(replace(edge, pools=(*edge.pools, pool)), op, pool.geometry)
    is_code = isinstance(origin, Input | Threshold) or isinstance(origin, Pool) and origin.kind == "max"
    if is_code and not edge.clamp and len(result.pools) == 1 and not any(pool.down):
        result = pooled(builder, result, op)
        builder.mean(_node(result, op), meaning(result))
    return result


def average_pool(builder: Builder, op: Op, edge: Edge) -> Edge:
    """Average or global average pool as a sum; its divisor goes into the scale."""
    _expect_map(op, edge)
    edge = pooled(builder, edge, op)
    if edge.clamp:
        raise ModelError(f"{label(op)}: expected a quantiser between the clip or Relu and the average, found none")
    geometry = _pool_geometry(op, edge)
    if any(geometry.pads):
        if not attribute(op, "count_include_pad"):
            raise ModelError(f"{label(op)}: expected no padding or count_include_pad, found a divisor that depends on the position")
        if any(o.sign() for o in edge.offset):
            raise ModelError(f"{label(op)}: expected an input whose zero is code 0, to be padded with zeros, found another")
    source = _node(edge, op)
    taps, ints = prod(geometry.kernel), builder.ints(source)
    out = Ints(ints.channels, geometry.out_height, geometry.out_width, min(0, taps * ints.lo), max(0, taps * ints.hi))
    node = builder.add(Pool((source,), out, "sum", geometry.kernel, geometry.stride, geometry.pads),
                       PoolParams(np.zeros(ints.channels, bool)))
    share = surd(1) / taps
    result = _resized(replace(edge, node=node, slope=tuple(s * share for s in edge.slope)), op, geometry)
    builder.mean(node, meaning(result))
    return result


def pooled(builder: Builder, edge: Edge, op: Op) -> Edge:
    """The edge with the max pools that waited for a quantiser done on its own integers, since none comes."""
    if not edge.pools or edge.node is None:
        return edge
    edge = _rising(builder, edge, op)
    index = _node(edge, op)
    for pool in edge.pools:
        ints, geometry = builder.ints(index), pool.geometry
        out = replace(ints, height=geometry.out_height, width=geometry.out_width)
        index = builder.add(Pool((index,), out, "max", geometry.kernel, geometry.stride, geometry.pads),
                            PoolParams(np.zeros(ints.channels, bool)))
    return replace(edge, node=index, pools=())


def _rising(builder: Builder, edge: Edge, op: Op) -> Edge:
    """The edge with the integers of falling channels negated, so that all its pools take maxima."""
    down = edge.pools[0].down
    if any(pool.down != down for pool in edge.pools):
        raise ModelError(f"{label(op)}: expected a quantiser between two max pools with a negative scale between them, found none")
    if not any(down) or edge.node is None:
        return edge
    ints = builder.ints(edge.node)
    sign = np.where(down, -1, 1)
    out = replace(ints, lo=min(ints.lo, -ints.hi), hi=max(ints.hi, -ints.lo))
    node = builder.add(Scale((edge.node,), out), ScaleParams(sign, np.zeros_like(sign)))
    slope = tuple(s * int(k) for s, k in zip(edge.slope, sign, strict=True))
    return replace(edge, node=node, slope=slope)


def add(builder: Builder, op: Op, edges: Sequence[Edge]) -> Edge:
    """The sum of two tensors of the same shape whose scales have a ratio of small integers."""
    left, right = (pooled(builder, edge, op) for edge in edges)
    if left.clamp or right.clamp:
        raise ModelError(f"{label(op)}: expected quantised tensors to add, found a clip or a Relu")
    if left.shape != right.shape or not np.array_equal(left.view, right.view):
        raise ModelError(f"{label(op)}: expected two tensors of one shape and layout, found maps {left.shape} and {right.shape}")
    if op.kind == "Sub":
        right = replace(right, slope=tuple(-s for s in right.slope), offset=tuple(-o for o in right.offset))
    mult, slope = _common(left.slope, right.slope, op)
    nodes = _node(left, op), _node(right, op)
    ints = [builder.ints(node) for node in nodes]
    ends = [[m * i.lo, m * i.hi] for m, i in zip(mult, ints, strict=True)]
    out = replace(ints[0], lo=min(0, sum(map(min, ends))), hi=max(0, sum(map(max, ends))))
    node = builder.add(Add(nodes, out, mult))
    result = replace(left, tensor=op.outputs[0], node=node, slope=slope,
                     offset=tuple(a + b for a, b in zip(left.offset, right.offset, strict=True)))
    builder.mean(node, meaning(result))
    return result


def _common(left: Row, right: Row, op: Op) -> tuple[tuple[int, int], Row]:
    """Integers (i, j) and a scale per channel so that left = i·scale and right = j·scale."""
    try:
        ratios = {a / b for a, b in zip(left, right, strict=True) if b.sign()}
    except TwoRootsError:
        ratios = set()
    ratio = ratios.pop() if len(ratios) == 1 else surd(0)
    if (not ratio.rational or not ratio.sign() or any(not b.sign() for b in right)
            or max(abs(ratio.u.numerator), ratio.u.denominator) > _LARGEST_RATIO):
        raise ModelError(f"{label(op)}: expected two scales with one ratio of integers up to {_LARGEST_RATIO}, found others")
    i, j = ratio.u.numerator, ratio.u.denominator
    return (i, j), tuple(b / j for b in right)


def _node(edge: Edge, op: Op) -> int:
    if edge.node is None:
        raise ModelError(f"{label(op)}: expected integers, found the float input: annotate it (UINT8...) or add a Quant")
    return edge.node


def _expect_map(op: Op, edge: Edge) -> None:
    if not edge.is_map:
        raise ModelError(f"{label(op)}: expected maps (N, channels, height, width), found a tensor of shape {('N', *edge.view.shape)} "
                         "in another layout")


def _pool_geometry(op: Op, edge: Edge) -> Geometry:
    height, width = edge.shape[1:]
    if op.kind.startswith("Global"):
        return Geometry(height, width, (height, width), (1, 1), (0, 0, 0, 0))
    return Geometry(height, width, _ints(op, "kernel_shape"), _ints(op, "strides"), _ints(op, "pads"))  # type: ignore[arg-type]  # as conv


def _resized(edge: Edge, op: Op, geometry: Geometry) -> Edge:
    """The edge with the map's size behind a window."""
    shape = edge.shape[0], geometry.out_height, geometry.out_width
    return replace(edge, tensor=op.outputs[0], shape=shape, view=np.arange(prod(shape)).reshape(shape))


def _ints(op: Op, name: str) -> tuple[int, ...]:
    value: Any = op.attrs[name]  # explicit after simplify
    return tuple(value)



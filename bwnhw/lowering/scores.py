"""The network's end: scores on one integer scale, and the arg-max."""

from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from math import gcd, lcm

import numpy as np

from bwnhw.errors import ModelError
from bwnhw.exact import Surd, sign_of_two_roots, surd
from bwnhw.graph import Op
from bwnhw.lowering.builder import Builder
from bwnhw.lowering.edge import Edge, Row, meaning
from bwnhw.lowering.layers import pooled
from bwnhw.network import ArgMax, Ints, Scale, ScaleParams
from bwnhw.ops import label

_WORD = 64
_ROOT_BITS = 24
"""Bits that a score whose scale is a root is rounded to beyond the last place; proven to be enough, or refused."""
_MOST_COMPARISONS = 10**8


def comparable(builder: Builder, edge: Edge, op: Op) -> Edge:
    """The edge with integers that stand in the same order as its real values, across all channels; `op` is its last operator.

    Exact integers over a common denominator where the numbers are rational, else a Scale in which every pair of channels compares as
    the real values do, whatever the integers. Raises ModelError beyond 64 bits.
    """
    edge = pooled(builder, edge, op)
    if edge.node is None:
        raise ModelError(f"{label(op)}: expected a layer between the input and the output, found none")
    if edge.clamp:
        raise ModelError(f"{label(op)}: expected scores that aren't clipped, found a clip or Relu that makes unequal ones equal")
    if edge.uniform and edge.slope[0].sign() > 0:
        builder.mean(edge.node, meaning(edge) or builder.meaning(edge.node))
        return edge
    ints = builder.ints(edge.node)
    if all(s.rational and o.rational for s, o in zip(edge.slope, edge.offset, strict=True)):
        unit = _unit([number.u for number in (*edge.slope, *edge.offset)])
        mult, offset = _multiples(edge.slope, unit), _multiples(edge.offset, unit)
        slope, rest = (surd(unit),) * len(mult), (surd(0),) * len(mult)
    else:
        mult, offset = _rounded(edge.slope, edge.offset, ints, op)
        slope, rest = edge.slope, edge.offset
    ends = [m * z + o for m, o in zip(mult, offset, strict=True) for z in (ints.lo, ints.hi)]
    out = replace(ints, lo=min(0, *ends), hi=max(0, *ends))
    if max(out.bits, *(abs(number).bit_length() + 1 for number in (*mult, *offset))) > _WORD:
        raise ModelError(f"{label(op)}: expected scales and biases of the scores that fit {_WORD} bits together, found {out.bits}")
    node = builder.add(Scale((edge.node,), out), ScaleParams(np.array(mult, np.int64), np.array(offset, np.int64)))
    result = replace(edge, node=node, slope=slope, offset=rest)
    if edge.slope is not slope:
        builder.mean(node, meaning(result))
    return result


def arg_max(builder: Builder, edge: Edge, op: Op, tensor: str, keepdims: bool) -> Edge:
    """The index of the greatest channel of a 1×1 map, ties to the lowest index."""
    if edge.shape[1:] != (1, 1) or not edge.in_order:
        raise ModelError(f"{label(op)}: expected the arg-max of a vector of scores, found a map {edge.shape}")
    edge = comparable(builder, edge, op)
    assert edge.node is not None  # comparable has seen to it
    out = Ints(1, 1, 1, 0, max(1, edge.shape[0] - 1))
    node = builder.add(ArgMax((edge.node,), out))
    view = np.zeros((1,) * edge.view.ndim if keepdims else (), np.int64)
    result = Edge(tensor, node, out.shape, view, (surd(1),), (surd(0),))
    builder.mean(node, meaning(result))
    return result


def _unit(numbers: list[Fraction]) -> Fraction:
    """The greatest number of which all are multiples."""
    denominator = lcm(*(number.denominator for number in numbers))
    return Fraction(gcd(*(int(number * denominator) for number in numbers)) or 1, denominator)


def _multiples(numbers: Row, unit: Fraction) -> list[int]:
    return [int(number.u / unit) for number in numbers]


def _rounded(slope: Row, offset: Row, ints: Ints, op: Op) -> tuple[list[int], list[int]]:
    """Multipliers and offsets rounded to a power of two, shown to put every two scores in their exact order."""
    reach = max(abs(ints.lo), abs(ints.hi)) + 1
    size = max(abs(float(s)) for s in slope) or 1.0
    # The difference of two scores is known to (reach + 1)/scale; room for _ROOT_BITS below that.
    scale = Fraction(2) ** (_ROOT_BITS + reach.bit_length() - int(np.floor(np.log2(size))))
    half = Fraction(1, 2)
    mult, base = ([(s * scale + half).floor() for s in row] for row in (slope, offset))
    pairs = list(combinations(range(len(slope)), 2))
    if len(pairs) * (ints.hi - ints.lo) > _MOST_COMPARISONS:
        raise ModelError(f"{label(op)}: expected scales without roots for {len(slope)} classes of {ints.bits}-bit sums, found too "
                         "many pairs to show that rounding the roots keeps their order")
    for first, second in pairs:
        _prove((slope[first], offset[first], mult[first], base[first]), (slope[second], offset[second], mult[second], base[second]),
               ints, op)
    return mult, base


def _prove(a: tuple[Surd, Surd, int, int], b: tuple[Surd, Surd, int, int], ints: Ints, op: Op) -> None:
    """ModelError unless rounding changes the order of two channels' scores nowhere; each is (slope, offset, rounded slope and offset).

    Each rounded score is within (|z| + 1)/2 of the exact one. Only where two rounded scores are closer than twice that can the
    order differ; those few pairs of integers are compared exactly.
    """
    reach = max(abs(ints.lo), abs(ints.hi)) + 1
    a, b = (a, b) if b[2] else (b, a)
    if not b[2]:
        slack, pairs = float(any(number[0].sign() for number in (a, b))), [(0, 0)]
    else:
        # b's rounded score meets a's at this place; the float64 quotient's error is far below 2^-40 of the range
        z = np.arange(ints.lo, ints.hi + 1)
        place = (float(a[2]) * z + float(a[3] - b[3])) / b[2]
        slack, nearest = reach / abs(b[2]) + reach * 2.0**-40, np.rint(place)
        doubtful = (np.abs(place - nearest) <= slack) & (nearest >= ints.lo) & (nearest <= ints.hi)
        pairs = list(zip(z[doubtful].tolist(), nearest[doubtful].astype(np.int64).tolist(), strict=True))
    if slack >= 0.5:
        raise ModelError(f"{label(op)}: expected scales of the scores of similar size, found some too far apart to compare exactly")
    for p, q in pairs:
        exact = sign_of_two_roots(a[0] * p + a[1], b[0] * q + b[1])
        rounded = a[2] * p + a[3] - b[2] * q - b[3]
        if exact != (rounded > 0) - (rounded < 0):
            raise ModelError(f"{label(op)}: expected scores that {_WORD} bits tell apart, found two that are nearly equal")

"""A quantiser behind exact affine functions of integers becomes integer thresholds; in front of everything, the input's rounding."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import ModelError
from bwnhw.exact import Surd, TwoRootsError, surd
from bwnhw.graph import Op
from bwnhw.lowering.builder import Builder
from bwnhw.lowering.constants import Constants, Steps
from bwnhw.lowering.edge import Edge, Row, meaning, per_channel
from bwnhw.network import Input, Ints, Pool, PoolParams, Threshold, ThresholdParams
from bwnhw.ops import label
from bwnhw.rounding import least_rounding_to

Bound = tuple[Surd, bool]
"""Where a code is reached: (bound, True where the bound itself reaches it)."""


def quantise(builder: Builder, constants: Constants, op: Op, edge: Edge) -> Edge:
    """The quantiser's output: codes of a new Threshold (and of the max pools that waited for it), or of the Input.

    Raises ModelError where the model's numbers don't allow exact thresholds.
    """
    scale, steps = constants.steps(op)
    scales = per_channel(edge, scale, op)
    if edge.node is None:
        return _input(builder, op, edge, scales, steps)
    bounds = {s: _bounds(s, steps) for s in set(scales)}
    ints = builder.ints(edge.node)
    columns = []
    for channel, (slope, offset) in enumerate(zip(edge.slope, edge.offset, strict=True)):
        clamp = (edge.clamp.lo[channel], edge.clamp.hi[channel]) if edge.clamp else (None, None)
        try:
            columns.append(_levels(bounds[scales[channel]], slope, offset, clamp, ints))
        except TwoRootsError:
            raise ModelError(f"{label(op)}: expected at most one root per channel, found two in channel {channel}") from None
    thresholds = np.array(columns, np.int64)
    codes = _emit(builder, edge, thresholds)
    return _dequantised(builder, op, edge, codes, scales, steps)


def _bounds(scale: Surd, steps: Steps) -> list[Bound]:
    """The real values at which each of the codes 1, 2... begins, lowest first."""
    if steps.bipolar:
        return [(-steps.zero * scale, True)]
    found = []
    for integer in range(steps.lo + 1, steps.hi + 1):
        bound, inclusive = least_rounding_to(integer, steps.rounding)
        found.append(((surd(bound) - steps.zero) * scale, inclusive))
    return found


def _levels(bounds: Sequence[Bound], slope: Surd, offset: Surd, clamp: tuple[Surd | None, Surd | None], ints: Ints) -> list[int]:
    """Sorted thresholds on z of one channel, each in lo..hi+1; they count down from the last code where the slope is negative."""
    always, never = ints.lo, ints.hi + 1
    direction = slope.sign()
    levels = []
    for bound, inclusive in bounds:
        settled = _settled(bound, inclusive, *clamp)
        if settled is None and direction == 0:
            settled = offset > bound or inclusive and offset == bound
        if settled is not None:
            levels.append(always if settled == (direction >= 0) else never)
            continue
        place = (bound - offset) / slope
        # rising: z ≥ place, or z > place; falling: the code is reached for z ≤ place (z < place), left from the next integer on
        level = place.ceil() if inclusive == (direction > 0) else place.floor() + 1
        levels.append(min(max(level, ints.lo), ints.hi + 1))
    return sorted(levels)


def _settled(bound: Surd, inclusive: bool, lo: Surd | None, hi: Surd | None) -> bool | None:
    """Whether a clamped value reaches the bound whatever it is, or None where that depends on the value."""
    if lo is not None and (lo > bound or inclusive and lo == bound):
        return True
    if hi is not None and (hi < bound or not inclusive and hi == bound):
        return False
    return None


def _emit(builder: Builder, edge: Edge, thresholds: NDArray[np.int64]) -> int:
    """The Threshold, and behind it the max pools that waited: they commute, with flips where pooling and code run against each other."""
    assert edge.node is not None  # the caller handles the input
    ints, levels = builder.ints(edge.node), thresholds.shape[1]
    # Directions of the integers: as they come (rising), at each pool, and in the code. A step that turns them round flips.
    falling = [np.zeros(ints.channels, bool), *(np.array(pool.down) for pool in edge.pools),
               np.array([slope.sign() < 0 for slope in edge.slope])]
    constant = np.array([slope.sign() == 0 for slope in edge.slope])
    flips = [(before != after) & ~constant for before, after in zip(falling, falling[1:], strict=False)]
    out = Ints(ints.channels, ints.height, ints.width, 0, levels)
    identity = not edge.pools and ints == out and not flips[0].any() and (thresholds == np.arange(1, levels + 1)).all()
    if identity:
        return edge.node
    index = builder.add(Threshold((edge.node,), out, bool(flips[0].any())), ThresholdParams(thresholds, flips[0]))
    for pool, flip in zip(edge.pools, flips[1:], strict=True):
        geometry = pool.geometry
        out = replace(out, height=geometry.out_height, width=geometry.out_width)
        index = builder.add(Pool((index,), out, "max", geometry.kernel, geometry.stride, geometry.pads, bool(flip.any())), PoolParams(flip))
    return index


def _dequantised(builder: Builder, op: Op, edge: Edge, node: int, scales: Row, steps: Steps) -> Edge:
    slope, offset = _real(scales, steps)
    result = replace(edge, tensor=op.outputs[0], node=node, slope=slope, offset=offset, clamp=None, pools=())
    if builder.unnamed(node):
        builder.mean(node, meaning(result))
    return result


def _real(scales: Row, steps: Steps) -> tuple[Row, Row]:
    """Slope and offset that turn codes 0, 1... into the quantiser's real values."""
    step = 2 if steps.bipolar else 1
    return tuple(s * step for s in scales), tuple(s * (surd(steps.lo) - steps.zero) for s in scales)


def _input(builder: Builder, op: Op, edge: Edge, scales: Row, steps: Steps) -> Edge:
    """The host quantises: code = round((slope·x + offset)/scale + zero) − lo."""
    if edge.clamp or edge.pools or not edge.uniform or len(set(scales)) != 1 or edge.slope[0].sign() == 0:
        raise ModelError(f"{label(op)}: expected one scale and offset for the whole input before its quantiser, found several, a clip "
                         "or a pool")
    slope, offset, scale = edge.slope[0], edge.offset[0], scales[0]
    if not (slope.rational and offset.rational):
        raise ModelError(f"{label(op)}: expected rational constants before the input's quantiser, found a root")
    levels = 1 if steps.bipolar else steps.hi - steps.lo
    # codes per quotient (slope·x + offset)/scale, and the quotient's place among the codes
    per, shift = (Fraction(1, 2), Fraction(1, 2)) if steps.bipolar else (Fraction(1), Fraction(-steps.lo))
    unit = -scale if scale.sign() < 0 else scale  # a bipolar's sign doesn't depend on its scale
    zero = (offset / unit + steps.zero).u * per + shift
    out = Ints(*edge.shape, 0, levels)
    node = builder.add(Input(out, (unit / slope).u / per, zero, "SIGN" if steps.bipolar else steps.rounding,
                             origin=0 if steps.bipolar else -steps.lo))
    return _dequantised(builder, op, edge, node, scales, steps)

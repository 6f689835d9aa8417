"""Weights as small integers and one exact scale per output row."""

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import ModelError
from bwnhw.exact import Surd
from bwnhw.graph import Op
from bwnhw.lowering.constants import Constants, Factored
from bwnhw.network import BIPOLAR_WEIGHTS, UNIPOLAR_WEIGHTS, Codebook, ConvParams, WeightCode, signed_weights
from bwnhw.ops import label

MOST_BITS = 8
_LARGEST = 1 << MOST_BITS


@dataclass(frozen=True, eq=False)
class Weights:
    """real[o, ...] = scale[o]·params.weights[o, ...]."""

    params: ConvParams
    code: WeightCode
    scale: tuple[Surd, ...]


def conv_weights(constants: Constants, name: str, op: Op) -> Weights:
    """The weights (out, in, kh, kw) of a Conv; ModelError unless they are integers of at most 8 bits times a scale per row."""
    weights = _weights(constants.factored(name, op), op)
    lookup = constants.lookup(name, op)
    if lookup is None:
        return weights
    codebook = _codebook(*lookup)
    if codebook is None or not np.array_equal(codebook.weights, weights.params.weights):
        return weights  # rows were brought to other integers than the codebook holds: plain weights then
    return Weights(ConvParams(weights.params.weights, codebook), weights.code, weights.scale)


def _codebook(words: NDArray[np.float64], index: NDArray[np.int64]) -> Codebook | None:
    """Codewords of kernels or rows, and the index; a book per input channel where every channel keeps to a share of its own."""
    if not len(words) or (words.ndim, index.ndim) not in ((3, 2), (2, 3)):
        return None
    index, channels = index % len(words), index.shape[1]
    if len(words) % channels == 0:
        share = len(words) // channels
        own = (np.arange(channels) * share).reshape(-1, *(1,) * (index.ndim - 2))
        if np.array_equal(index // share * share, np.broadcast_to(own, index.shape)):
            return Codebook(words.astype(np.int8).reshape(channels, share, *words.shape[1:]), index - own)
    return Codebook(words.astype(np.int8)[None], index)


def dense_weights(constants: Constants, name: str, op: Op) -> Weights:
    """The weights (in, out) of a MatMul as (out, in, 1, 1)."""
    factored = constants.factored(name, op)
    if factored.values.ndim != 2:
        raise ModelError(f"{label(op)}: expected weights (inputs, outputs), found shape {factored.values.shape}")
    scale = np.broadcast_to(factored.scale, factored.values.shape).T if factored.scale.size > 1 else factored.scale.reshape(())
    return _weights(Factored(factored.values.T[:, :, None, None], scale[:, :, None, None] if scale.ndim else scale), op)


def _weights(factored: Factored, op: Op) -> Weights:
    values = factored.values
    row_scales = _row_scales(factored, op)
    units = [_unit(np.unique(row)) for row in values]
    row = next((index for index, unit in enumerate(units) if unit is None), None)
    if row is not None:
        raise ModelError(f"{label(op)}: expected weights that are two-valued or integers of at most {MOST_BITS} bits times a scale "
                         f"per output channel, found {len(np.unique(values[row]))} different values in channel {row}")
    choices = [_scaled(values, [unit for unit in units if unit is not None])]
    whole = _unit(np.unique(values))
    if whole is not None:  # one scale for all rows, where that costs no planes: then sums are scores as they are
        choices.insert(0, _scaled(values, [whole] * len(values)))
    found = [choice for choice in choices if choice[1] is not None]
    if not found:
        integers = choices[-1][0]
        raise ModelError(f"{label(op)}: expected weights of at most {MOST_BITS} bits, found {integers.min()}..{integers.max()}")
    integers, code, factors = min(found, key=lambda choice: len(choice[1].plane_shifts) if choice[1] else 0)
    assert code is not None  # those were left out above
    scale = tuple(s * factor for s, factor in zip(row_scales, factors, strict=True))
    return Weights(ConvParams(integers.astype(np.int8)), code, scale)


def _scaled(values: NDArray[np.float64], units: list[Fraction]) -> tuple[NDArray[np.int64], WeightCode | None, list[Fraction]]:
    """Integers, their code (None beyond 8 bits) and every row's factor, for a unit per row."""
    rows = np.array([float(unit) for unit in units]).reshape(-1, *(1,) * (values.ndim - 1))
    integers = np.rint(values / rows).astype(np.int64)
    signs = _signs(integers)
    integers *= signs.reshape(rows.shape)
    return integers, _code(integers), [unit * sign for unit, sign in zip(units, signs.tolist(), strict=True)]


def _row_scales(factored: Factored, op: Op) -> list[Surd]:
    """The scale of every output row."""
    rows = len(factored.values)
    if factored.scale.size == 1:
        return [factored.scale.reshape(-1)[0]] * rows
    try:
        spread = np.broadcast_to(factored.scale, factored.values.shape).reshape(rows, -1)
    except ValueError:
        raise ModelError(f"{label(op)}: expected weight scales that fit the shape {factored.values.shape}, "
                         f"found {factored.scale.shape}") from None
    if (spread != spread[:, :1]).any():
        raise ModelError(f"{label(op)}: expected one weight scale per output channel, found several in one channel")
    return list(spread[:, 0])


def _unit(values: NDArray[np.float64]) -> Fraction | None:
    """The greatest unit of which all values are multiples, each below 2**8 (1 where all are 0), or None.

    Values and unit are exact in float64, and so are their quotients.
    """
    if len(values) > 2 * _LARGEST:
        return None
    exact = [Fraction(value) for value in values.tolist()]
    denominator = lcm(*(value.denominator for value in exact))
    unit = Fraction(gcd(*(int(value * denominator) for value in exact)), denominator)
    return (unit or Fraction(1)) if max(map(abs, exact), default=0) <= unit * _LARGEST else None


def _signs(integers: NDArray[np.int64]) -> NDArray[np.int64]:
    """−1 for rows that hold 0 and negative integers only, where that makes the layer {0, 1}; else 1."""
    flat = integers.reshape(len(integers), -1)
    one_sided = (flat.min(axis=1) >= 0) | (flat.max(axis=1) <= 0)
    if np.abs(flat).max(initial=0) > 1 or not one_sided.all() or not (flat == 0).any():
        return np.ones(len(flat), np.int64)
    return np.where(flat.min(axis=1) < 0, -1, 1)


def _code(integers: NDArray[np.int64]) -> WeightCode | None:
    """The code of fewest planes that holds all the integers, or None beyond 8 bits."""
    lo, hi = int(integers.min(initial=0)), int(integers.max(initial=0))
    if (integers % 2 != 0).all():
        planes = max(abs(lo), abs(hi)).bit_length()
        if planes <= 1:
            return BIPOLAR_WEIGHTS
        return WeightCode(tuple(range(planes - 1, -1, -1)), 0) if -128 <= lo and hi <= 127 else None
    if lo >= 0 and hi <= 1:
        return UNIPOLAR_WEIGHTS
    bits = max(2, (-lo - 1).bit_length() + 1, hi.bit_length() + 1)
    return signed_weights(bits) if bits <= MOST_BITS else None



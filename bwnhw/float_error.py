"""How far a float32 executor's value may be from the exact one: a running error analysis of the float graph.

Every tensor is followed as `Tracked`: its float64 value, a magnitude M (the same computation with all terms made positive) and a depth k
(the most roundings on any way from an input or constant). Whatever the order of its sums, a float32 result lies within γ·M of the
exact one, γ = k·u/(1 − k·u), u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, lemma 3.1), the float64 value
within 2^-28 of that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import ModelError
from bwnhw.float_ops import execute
from bwnhw.graph import Op
from bwnhw.ops import attribute, label

Array = NDArray[Any]

_UNIT = 2.0**-24
_LAYOUT = frozenset({"Flatten", "Reshape", "Transpose", "MaxPool", "GlobalMaxPool", "Gather"})


@dataclass(frozen=True, eq=False)
class Tracked:
    """`value` and `magnitude` float64 of the tensor's shape; `depth` roundings at most."""

    value: Array
    magnitude: Array
    depth: int

    @property
    def bound(self) -> Array:
        """Greatest distance of any float32 evaluation, and of `value`, from the exact one together."""
        rounded = (self.depth + 1) * _UNIT
        return self.magnitude * (rounded / (1 - rounded)) * (1 + 2.0**-20)


def exactly(array: Array, depth: int = 0) -> Tracked:
    """A tensor known exactly (or, with a depth, up to as many roundings)."""
    value = array.astype(np.float64) if array.dtype.kind in "iuf" else array
    return Tracked(value, np.abs(value), depth)


def track(op: Op, inputs: Sequence[Tracked | None]) -> Tracked:
    """The first output of an operator; ModelError for one that isn't known here (quantisers: `quotient`)."""
    rule = _RULES.get(op.kind)
    if op.kind in _LAYOUT and inputs[0] is not None:
        rest = tuple(None if t is None else t.value.astype(np.int64) for t in inputs[1:])
        value, magnitude = (execute(op, (array, *rest))[0] for array in (inputs[0].value, inputs[0].magnitude))
        return Tracked(value, magnitude, inputs[0].depth)
    if rule is None:
        raise ModelError(f"{label(op)}: expected an operator whose rounding is known, found {op.kind}")
    known = [t for t in inputs if t is not None]
    magnitude, depth = rule(op, known)
    (value, *_) = execute(op, tuple(None if t is None else t.value for t in inputs))
    return Tracked(value, magnitude, depth)


def quotient(source: Tracked, scale: Tracked, zero: Tracked | None) -> Tracked:
    """source/scale + zero, what a quantiser rounds."""
    value, magnitude = source.value / scale.value, source.magnitude / np.abs(scale.value)
    if zero is not None:
        value, magnitude = value + zero.value, magnitude + zero.magnitude
    return Tracked(value, magnitude, source.depth + scale.depth + 2)


def _product(op: Op, inputs: list[Tracked]) -> tuple[Array, int]:
    """Sums of products."""
    x, weights = inputs[:2]
    (magnitude, *_) = execute(op, tuple(t.magnitude for t in inputs))
    terms = prod(weights.value.shape[1:]) if op.kind == "Conv" else weights.value.shape[0]
    return magnitude, x.depth + weights.depth + terms + 1


def _sum(op: Op, inputs: list[Tracked]) -> tuple[Array, int]:
    return inputs[0].magnitude + inputs[1].magnitude, max(inputs[0].depth, inputs[1].depth) + 1


def _ratio(op: Op, inputs: list[Tracked]) -> tuple[Array, int]:
    return inputs[0].magnitude / np.abs(inputs[1].value), inputs[0].depth + inputs[1].depth + 1


def _mul(op: Op, inputs: list[Tracked]) -> tuple[Array, int]:
    return inputs[0].magnitude * inputs[1].magnitude, inputs[0].depth + inputs[1].depth + 1


def _norm(op: Op, inputs: list[Tracked]) -> tuple[Array, int]:
    """(x + |mean|)·|gamma|/√(var + eps) + |beta| by the operator itself on magnitudes, the mean negated."""
    x, gamma, beta, mean, var = inputs
    (magnitude, *_) = execute(op, (x.magnitude, gamma.magnitude, beta.magnitude, -mean.magnitude, var.value))
    return magnitude, max(t.depth for t in inputs) + 8


def _average(op: Op, inputs: list[Tracked]) -> tuple[Array, int]:
    (magnitude, *_) = execute(op, (inputs[0].magnitude,))
    kernel: Any = inputs[0].value.shape[2:] if op.kind.startswith("Global") else attribute(op, "kernel_shape")
    return magnitude, inputs[0].depth + prod(kernel) + 1


def _same(op: Op, inputs: list[Tracked]) -> tuple[Array, int]:
    return inputs[0].magnitude, inputs[0].depth


def _root(op: Op, inputs: list[Tracked]) -> tuple[Array, int]:
    (magnitude, *_) = execute(op, tuple(t.value for t in inputs))
    return np.abs(magnitude), max(t.depth for t in inputs) + 4


_RULES: Mapping[str, Callable[[Op, list[Tracked]], tuple[Array, int]]] = {
    "Conv": _product, "MatMul": _product, "Add": _sum, "Sub": _sum, "Mul": _mul, "Div": _ratio, "Neg": _same, "Relu": _same,
    "Clip": _same, "BatchNormalization": _norm, "AveragePool": _average, "GlobalAveragePool": _average,
    "Sqrt": _root, "Pow": _root, "Reciprocal": _root, "Cast": _same,
}

"""Constants of a graph as exact numbers: parameters as `Surd`s, weights as machine numbers times a scale."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import ModelError
from bwnhw.exact import Surd, TwoRootsError, root, surd
from bwnhw.float_ops import quant_bits, quant_range
from bwnhw.graph import Graph, Op
from bwnhw.ops import attribute, label, quoted
from bwnhw.rounding import ROUNDINGS, round_exact

Exact = NDArray[np.object_]
"""An array of `Surd`s."""

_NEAR = 2.0**-20
"""Quotients this close to where rounding jumps are looked at exactly; the float64 quotient's error is far below."""


@dataclass(frozen=True)
class Steps:
    """The integers of a quantiser: lo..hi in steps of the scale, `zero` stands for 0; sign only where `bipolar`."""

    lo: int
    hi: int
    zero: Surd
    rounding: str
    bipolar: bool


@dataclass(frozen=True, eq=False)
class Factored:
    """A large constant as values·scale: `values` are float64 and exact, `scale` broadcasts against them."""

    values: NDArray[np.float64]
    scale: Exact


class Constants:
    """The constants of a graph and what its operators compute from constants alone."""

    def __init__(self, graph: Graph) -> None:
        self._arrays: Mapping[str, NDArray[Any]] = graph.constants
        self._producers: dict[str, Op] = {}
        for op in graph.ops:
            if all(name in self for name in op.inputs if name):
                self._producers.update(dict.fromkeys(op.outputs, op))

    def __contains__(self, name: object) -> bool:
        """True for a constant, and for what is computed from constants alone."""
        return name in self._arrays or name in self._producers

    def integers(self, name: str, op: Op) -> NDArray[np.int64]:
        """A stored constant that must hold integers."""
        array = self._arrays.get(name)
        if array is None or array.dtype.kind not in "iuf" or not np.array_equal(array, np.floor(array)):
            raise ModelError(f"{label(op)}: expected constant integers in {quoted(name)}, found none")
        return array.astype(np.int64)

    def exact(self, name: str, op: Op) -> Exact:
        """A constant of modest size, every element exactly; `op` is who asks. Raises ModelError for what isn't finite or known."""
        if name in self._arrays:
            return exact_array(_finite(self._arrays[name], name, op))
        producer = self._producers.get(name)
        if producer is None:
            raise ModelError(f"{label(op)}: expected {quoted(name)} to be a constant, found a computed tensor")
        rule = _EXACT_RULES.get(producer.kind)
        try:
            if rule is not None:
                return np.asarray(rule(producer, *(self.exact(i, producer) for i in producer.inputs if i)), object)
            factored = self.factored(name, op)
            return np.asarray(exact_array(factored.values) * factored.scale, object)
        except (TwoRootsError, ZeroDivisionError, ValueError) as error:
            raise ModelError(f"{label(producer)}: expected a number that can be held exactly, found {error}") from None

    def factored(self, name: str, op: Op) -> Factored:
        """A constant of any size (weights); `op` is who asks. Raises ModelError for what isn't finite or known."""
        if name in self._arrays:
            return Factored(_finite(self._arrays[name], name, op).astype(np.float64), np.full((), surd(1), object))
        producer = self._producers.get(name)
        if producer is None:
            raise ModelError(f"{label(op)}: expected constant weights, found that {quoted(name)} is computed from the input")
        rule: Callable[[Op], Factored] | None = {
            "BipolarQuant": self._quantised, "Quant": self._quantised, "Gather": self._gathered, "Transpose": self._transposed,
            "Mul": self._product, "Div": self._product, "Neg": self._negated, "Cast": self._passed}.get(producer.kind)
        if rule is None:
            raise ModelError(f"{label(producer)}: expected weights from constants through BipolarQuant, Quant, Gather, Mul or Div, "
                             f"found {producer.kind}")
        return rule(producer)

    def lookup(self, name: str, op: Op) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
        """Codebook and index where `name` is Gather(codebook, index) along axis 0, or BipolarQuant or Mul of that, else None."""
        producer = self._producers.get(name)
        bipolar = producer is not None and producer.kind == "BipolarQuant"
        if producer is not None and producer.kind in ("BipolarQuant", "Mul"):
            producer = self._producers.get(producer.inputs[0])
        if producer is None or producer.kind != "Gather" or attribute(producer, "axis") != 0:
            return None
        words = self.factored(producer.inputs[0], op).values
        return np.where(words >= 0, 1.0, -1.0) if bipolar else words, self.integers(producer.inputs[1], op)

    def steps(self, op: Op) -> tuple[Exact, Steps]:
        """Scale and integers of a quantiser."""
        scale = self.exact(op.inputs[1], op)
        if any(s.sign() == 0 or not s.rational for s in scale.reshape(-1)):
            raise ModelError(f"{label(op)}: expected scales other than 0, found one that is 0 or a root")
        if op.kind == "BipolarQuant":
            return scale, Steps(-1, 1, surd(0), "SIGN", True)
        zero = self.exact(op.inputs[2], op)
        bits = quant_bits(op, np.array(float(self.exact(op.inputs[3], op).reshape(-1)[0])))
        mode, signed = str(attribute(op, "rounding_mode")).upper(), bool(attribute(op, "signed"))
        if bits > 8:
            raise ModelError(f"{label(op)}: expected at most 8 bits, found {bits}")
        if any(s.sign() < 0 for s in scale.reshape(-1)):
            raise ModelError(f"{label(op)}: expected positive scales, found a negative one")
        if mode not in ROUNDINGS:
            raise ModelError(f"{label(op)}: expected a rounding mode of {', '.join(sorted(ROUNDINGS))}, found {quoted(mode)}")
        if len(set(zero.reshape(-1).tolist())) != 1:
            raise ModelError(f"{label(op)}: expected one zero point per tensor, found several")
        lo, hi = (-1, 1) if bits == 1 and signed else quant_range(bits, signed, bool(attribute(op, "narrow")))
        return scale, Steps(lo, hi, zero.reshape(-1)[0], mode, bits == 1 and signed)

    def _quantised(self, op: Op) -> Factored:
        source = self.factored(op.inputs[0], op)
        scale, steps = self.steps(op)
        if not all(s.rational for s in source.scale.reshape(-1)):
            raise ModelError(f"{label(op)}: expected rational numbers to quantise, found a root")
        if steps.zero.u.denominator != 1 or steps.bipolar and steps.zero.sign():
            raise ModelError(f"{label(op)}: expected a whole zero point for weights, found {float(steps.zero)}")
        try:
            ratio = np.broadcast_to(np.asarray(source.scale / scale, object), source.values.shape)
        except ValueError:
            raise ModelError(f"{label(op)}: expected scales that fit the shape {source.values.shape}, found {scale.shape}") from None
        if steps.bipolar:
            signs = _signs(source.scale)
            return Factored(np.where(source.values * signs >= 0, 1.0, -1.0), scale)
        return Factored(_rounded(source.values, ratio, steps) - int(steps.zero.u), scale)

    def _gathered(self, op: Op) -> Factored:
        book, axis = self.factored(op.inputs[0], op), int(attribute(op, "axis"))  # type: ignore[arg-type]  # an int once checked
        index = self.integers(op.inputs[1], op)
        size = book.values.shape[axis]
        if index.size and not -size <= index.min() <= index.max() < size:
            raise ModelError(f"{label(op)}: expected indices in 0..{size - 1}, found {index.min()}..{index.max()}")
        values = np.take(book.values, index, axis=axis)
        if book.scale.size == 1:
            return Factored(values, book.scale.reshape(()))
        return Factored(values, np.take(np.broadcast_to(book.scale, book.values.shape), index, axis=axis))

    def _transposed(self, op: Op) -> Factored:
        source, perm = self.factored(op.inputs[0], op), attribute(op, "perm")
        scale = source.scale if source.scale.size == 1 else np.transpose(np.broadcast_to(source.scale, source.values.shape), perm)  # type: ignore[arg-type]  # ints
        return Factored(np.transpose(source.values, perm), scale)  # type: ignore[arg-type]  # ints once checked

    def _product(self, op: Op) -> Factored:
        sides = list(op.inputs)
        if op.kind == "Mul" and self._size(sides[0]) < self._size(sides[1]):
            sides.reverse()
        source, other = self.factored(sides[0], op), self.exact(sides[1], op)
        if any(s.sign() == 0 for s in other.reshape(-1)):
            raise ModelError(f"{label(op)}: expected scales other than 0, found 0")
        return Factored(source.values, np.asarray(source.scale * other if op.kind == "Mul" else source.scale / other, object))

    def _size(self, name: str) -> int:
        return self._arrays[name].size if name in self._arrays else max(self._size(i) for i in self._producers[name].inputs if i)

    def _negated(self, op: Op) -> Factored:
        source = self.factored(op.inputs[0], op)
        return Factored(-source.values, source.scale)

    def _passed(self, op: Op) -> Factored:
        return self.factored(op.inputs[0], op)


def exact_array(array: NDArray[Any]) -> Exact:
    """Every element as a `Surd`."""
    values, places = np.unique(array, return_inverse=True)
    exact = np.empty(len(values), object)
    exact[:] = [surd(Fraction(value.item())) for value in values]
    return np.asarray(exact[places.reshape(-1)], object).reshape(array.shape)


def _finite(array: NDArray[Any], name: str, op: Op) -> NDArray[Any]:
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ModelError(f"{label(op)}: expected finite numbers in {quoted(name)}, found NaN, infinity or another type")
    return array


def _signs(scale: Exact) -> NDArray[np.int64]:
    return np.asarray(np.vectorize(lambda s: s.sign(), otypes=[np.int64])(scale))


def _rounded(values: NDArray[np.float64], ratio: Exact, steps: Steps) -> NDArray[np.float64]:
    """The quantiser's integers of values·ratio: in float64 where that decides, exactly where it is close to a jump."""
    zero = int(steps.zero.u)
    approximate = values * np.vectorize(float, otypes=[float])(ratio) + zero
    clipped = np.clip(approximate, steps.lo, steps.hi)
    distance = np.abs(clipped - np.round(clipped))
    near = distance > 0.5 - _NEAR if steps.rounding in _HALVES else distance < _NEAR
    result = np.round(clipped) if steps.rounding in _HALVES else np.vectorize(_DIRECTED[steps.rounding], otypes=[float])(clipped)
    for place in zip(*np.nonzero(near), strict=True):
        exact = Fraction(float(values[place])) * ratio[place].u + zero
        result[place] = round_exact(min(max(exact, Fraction(steps.lo)), Fraction(steps.hi)), steps.rounding)
    return np.asarray(result)


_HALVES = frozenset({"ROUND", "HALF_EVEN", "HALF_UP", "HALF_DOWN"})
_DIRECTED: Mapping[str, Callable[[float], float]] = {
    "CEIL": np.ceil, "FLOOR": np.floor, "UP": lambda y: float(np.copysign(np.ceil(abs(y)), y)), "DOWN": np.trunc}


def _power(op: Op, base: Exact, exponent: Exact) -> Exact:
    (power,) = set(exponent.reshape(-1).tolist())
    known: dict[Surd, Callable[[Surd], Surd]] = {surd(2): lambda x: x * x, surd(1): lambda x: x, surd(-1): lambda x: surd(1) / x,
                                                 surd(Fraction(1, 2)): root, surd(Fraction(-1, 2)): lambda x: surd(1) / root(x)}
    if power not in known:
        raise ValueError(f"the exponent {float(power):g}")
    return _each(known[power], base)


def _each(function: Callable[[Surd], Surd], array: Exact) -> Exact:
    return np.asarray(np.vectorize(function, otypes=[object])(array), object)


_EXACT_RULES: Mapping[str, Callable[..., Any]] = {
    "Add": lambda op, a, b: a + b, "Sub": lambda op, a, b: a - b, "Mul": lambda op, a, b: a * b, "Div": lambda op, a, b: a / b,
    "Neg": lambda op, a: -a, "Sqrt": lambda op, a: _each(root, a), "Reciprocal": lambda op, a: _each(lambda x: surd(1) / x, a),
    "Pow": _power,
    "Cast": lambda op, a: a,
}

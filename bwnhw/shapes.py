"""Shapes of every tensor of a `Graph`, before anything is computed; and the integers of its shape arithmetic.

Files compute shapes with operators (Shape, Gather, Concat, Reshape); those few integers are evaluated here, so that every Reshape's
target is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from bwnhw.element_types import dtype_of
from bwnhw.errors import ModelError
from bwnhw.float_ops import execute
from bwnhw.graph import Graph, Op
from bwnhw.limits import MAX_ELEMENTS, MAX_RANK
from bwnhw.ops import check, integer, label, quoted
from bwnhw.shape_rules import Array, Shape, output_shapes

_MAX_ARITHMETIC = 1024
"""Elements of an integer tensor that still counts as shape arithmetic."""
_ARITHMETIC = frozenset({"Gather", "Concat", "Slice", "Squeeze", "Unsqueeze", "Cast", "Reshape", "Identity", "Mul", "Add", "Sub", "Div"})


@dataclass(frozen=True, eq=False)
class Inferred:
    """`shapes` of all tensors; `values` of those that are constants or computed from shapes."""

    shapes: Mapping[str, Shape]
    values: Mapping[str, Array]


def infer_shapes(graph: Graph, batch: int = 1) -> dict[str, Shape]:
    """Shape of every tensor, constants included, with `batch` images where the graph leaves the batch free.

    Raises ModelError, naming the operator, what was expected and what was found, where shapes don't fit, an operator isn't known, a
    dimension other than the batch is free, or a tensor would be larger than `MAX_ELEMENTS`.
    """
    return dict(infer(graph, batch).shapes)


def infer(graph: Graph, batch: int = 1) -> Inferred:
    """As `infer_shapes`, with the values of constants and of shape arithmetic."""
    values: dict[str, Array] = dict(graph.constants)
    shapes: dict[str, Shape] = {name: array.shape for name, array in values.items()}
    for value in graph.inputs:
        if not value.shape or 0 in value.shape[1:]:
            raise ModelError(f"graph input {quoted(value.name)}: expected a batch and fixed dimensions behind it, found {value.shape}")
        shapes[value.name] = _limited((value.shape[0] or batch, *value.shape[1:]), f"graph input {quoted(value.name)}")
    same: dict[str, Array] = {}  # of a Cast from integer to integer, what it was cast from: an index of any size, not copied
    for op in graph.ops:
        check(op)
        inputs = tuple(shapes[name] if name else None for name in op.inputs)
        known = tuple(values.get(name) for name in op.inputs)
        seen = tuple(values.get(name, same.get(name)) for name in op.inputs)
        for name, shape in zip(op.outputs, output_shapes(op, inputs, seen), strict=False):
            shapes[name] = _limited(shape, label(op))
        arithmetic = _evaluate(op, inputs, known, shapes[op.outputs[0]])
        if op.kind == "Cast" and known[0] is not None and known[0].dtype.kind in "iu" and _widens(op, known[0].dtype):
            same[op.outputs[0]] = known[0]
        if arithmetic is not None:
            values[op.outputs[0]] = arithmetic
    return Inferred(shapes, values)


def _limited(shape: Shape, where: str) -> Shape:
    if prod(shape) > MAX_ELEMENTS or len(shape) > MAX_RANK or min(shape, default=1) < 1:
        raise ModelError(f"{where}: expected a shape of 1 to {MAX_ELEMENTS} elements and at most {MAX_RANK} dimensions, found {shape}")
    return shape


def _evaluate(op: Op, shapes: tuple[Shape | None, ...], known: tuple[Array | None, ...], out: Shape) -> Array | None:
    """The value of shape arithmetic, None for any other operator."""
    if op.kind == "Shape":
        return execute(op, (np.broadcast_to(np.int8(0), shapes[0] or ()),))[0]
    if op.kind not in _ARITHMETIC or prod(out) > _MAX_ARITHMETIC or op.kind == "Cast" and not _to_integer(op):
        return None
    if any(array is None or array.dtype.kind not in "iu" for name, array in zip(op.inputs, known, strict=True) if name):
        return None
    return execute(op, known)[0]


def _widens(op: Op, dtype: np.dtype[np.generic]) -> bool:
    """Whether a Cast leaves every integer as it is."""
    return _to_integer(op) and np.can_cast(dtype, dtype_of(integer(op, "to"), label(op)), "safe")


def _to_integer(op: Op) -> bool:
    return dtype_of(integer(op, "to"), label(op)).kind in "iu"

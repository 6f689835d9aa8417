"""Operators as ONNX wrote them before and after opset 17, brought into the form of opset 17.

Older files hold as attributes what is an input today (Clip's bounds, Squeeze's axes, TopK's k, Pad's pads, Slice's ranges); newer
ones the other way round (ReduceMean's axes), or add attributes that say nothing about the types we accept (Cast).
"""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import ModelError
from bwnhw.graph import Attribute, Op
from bwnhw.ops import label

OLDEST, NEWEST = 9, 25
"""Opsets that are read."""

Constants = MutableMapping[str, NDArray[np.generic]]


def modernise(op: Op, opset: int, constants: Constants) -> Op:
    """`op` of a file of `opset` as one of opset 17; arrays that were attributes are added to `constants` under new names.

    Raises ModelError where the operator is in a mode that can't be written so (a Dropout in training, axes that aren't constant).
    """
    rule = _RULES.get(op.kind)
    return rule(op, opset, constants) if rule else op


def _without(attrs: Mapping[str, Attribute], *names: str) -> Mapping[str, Attribute]:
    return MappingProxyType({name: value for name, value in attrs.items() if name not in names})


def _add(op: Op, name: str, value: object, dtype: str, constants: Constants) -> str:
    """A new constant that belongs to `op`; its name is made from the op's output and is not taken yet."""
    key = f"{op.outputs[0][:200]}.{name}"
    while key in constants:
        key += "'"
    array = np.array(value, dtype)
    array.setflags(write=False)
    constants[key] = array
    return key


def _to_inputs(names: tuple[str, ...], dtype: str, before: int) -> Callable[[Op, int, Constants], Op]:
    """A rule: up to opset `before` − 1 the attributes `names` stand for the inputs behind the first, in this order."""
    def rule(op: Op, opset: int, constants: Constants) -> Op:
        if opset >= before:
            return op
        added = [_add(op, name, op.attrs[name], dtype, constants) if name in op.attrs else "" for name in names]
        while added and not added[-1]:
            added.pop()
        return replace(op, inputs=(*op.inputs, *added), attrs=_without(op.attrs, *names))
    return rule


def _pad(op: Op, opset: int, constants: Constants) -> Op:
    op = _to_inputs(("pads",), "int64", 11)(op, opset, constants)
    return _to_inputs(("value",), "float32", 11)(op, opset, constants)


def _dropout(op: Op, opset: int, constants: Constants) -> Op:
    """Dropout at inference passes its input on, whatever its ratio."""
    if opset >= 12 and len(op.inputs) > 2 and op.inputs[2]:
        training = constants.get(op.inputs[2])
        if training is None or training.any():
            raise ModelError(f"{label(op)}: expected inference (training_mode false), found training or a computed mode")
    ratio = ("ratio",) if opset < 12 else ()
    return replace(op, inputs=op.inputs[:1], attrs=_without(op.attrs, *ratio))


def _reduce_mean(op: Op, opset: int, constants: Constants) -> Op:
    """From opset 18 the axes are an input; in opset 17 they are an attribute."""
    if opset < 18:
        return op
    empty_is_noop = op.attrs.get("noop_with_empty_axes", 0) != 0
    op = replace(op, attrs=_without(op.attrs, "noop_with_empty_axes"))
    if len(op.inputs) < 2 or not op.inputs[1]:
        return replace(op, kind="Identity", inputs=op.inputs[:1], attrs=_without(op.attrs, "keepdims")) if empty_is_noop else op
    axes = constants.get(op.inputs[1])
    if axes is None or axes.ndim != 1 or axes.dtype.kind != "i" or not axes.size:
        raise ModelError(f"{label(op)}: expected its axes as a constant list of integers, found another input")
    return replace(op, inputs=op.inputs[:1], attrs=MappingProxyType({**op.attrs, "axes": tuple(axes.tolist())}))


def _cast(op: Op, opset: int, constants: Constants) -> Op:
    """`saturate` and `round_mode` are about 8-bit floats, which aren't read."""
    names = (("saturate",) if opset >= 19 else ()) + (("round_mode",) if opset >= 24 else ())
    return replace(op, attrs=_without(op.attrs, *names))


_RULES: dict[str, Callable[[Op, int, Constants], Op]] = {
    "Cast": _cast,
    "Clip": _to_inputs(("min", "max"), "float32", 11),
    "Dropout": _dropout,
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Slice": _to_inputs(("starts", "ends", "axes"), "int64", 10),
    "Squeeze": _to_inputs(("axes",), "int64", 13),
    "TopK": _to_inputs(("k",), "int64", 10),
    "Unsqueeze": _to_inputs(("axes",), "int64", 13),
}

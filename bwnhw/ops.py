"""The operators a `Graph` may hold: domain, number of inputs and outputs, attributes with types and defaults.

A graph is written in one dialect, ONNX opset 17 and QONNX's general domain version 2; `bwnhw.onnx_opsets` brings files of other
opsets into it. `Quant` stands for `IntQuant` too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

import numpy as np

from bwnhw.errors import ModelError
from bwnhw.graph import Attribute, Op

OPSET = 17
QONNX_DOMAIN = "qonnx.custom_op.general"
QONNX_DOMAINS = frozenset({QONNX_DOMAIN, "onnx.brevitas", "finn.custom_op.general"})
QONNX_VERSION = 2

EPSILON = float(np.float32(1e-5))
"""Default of BatchNormalization's epsilon: a float32, as all attributes of a file are."""

REQUIRED = object()
"""Default of an attribute that a node must write."""


@dataclass(frozen=True)
class AttributeSpec:
    """`type` is "int", "float", "string" or "ints"; `default` is None where it depends on shapes (strides, pads, perm...)."""

    type: str
    default: object = None


@dataclass(frozen=True)
class OpSpec:
    """Domain ("" is ONNX's own), fewest and most inputs and outputs, and the attributes by name."""

    inputs: tuple[int, int]
    attributes: Mapping[str, AttributeSpec]
    outputs: tuple[int, int] = (1, 1)
    domain: str = ""


def _spec(fewest: int, most: int | None = None, outputs: tuple[int, int] = (1, 1), domain: str = "",
          **attributes: AttributeSpec) -> OpSpec:
    return OpSpec((fewest, fewest if most is None else most), MappingProxyType(attributes), outputs, domain)


def _int(default: object) -> AttributeSpec:
    return AttributeSpec("int", default)


def _float(default: object) -> AttributeSpec:
    return AttributeSpec("float", default)


def _string(default: object) -> AttributeSpec:
    return AttributeSpec("string", default)


_INTS = AttributeSpec("ints")
_NEEDED_INTS = AttributeSpec("ints", REQUIRED)
_PAD = _string("NOTSET")

OPS: Mapping[str, OpSpec] = MappingProxyType({
    "BipolarQuant": _spec(2, domain=QONNX_DOMAIN),
    "Quant": _spec(4, domain=QONNX_DOMAIN, signed=_int(REQUIRED), narrow=_int(REQUIRED), rounding_mode=_string("ROUND")),
    "MatMul": _spec(2),
    "Gemm": _spec(2, 3, alpha=_float(1.0), beta=_float(1.0), transA=_int(0), transB=_int(0)),
    "Conv": _spec(2, 3, group=_int(1), kernel_shape=_INTS, dilations=_INTS, auto_pad=_PAD, pads=_INTS, strides=_INTS),
    "BatchNormalization": _spec(5, epsilon=_float(EPSILON), momentum=_float(0.9), training_mode=_int(0)),
    "Mul": _spec(2), "Div": _spec(2), "Add": _spec(2), "Sub": _spec(2), "Pow": _spec(2),
    "Neg": _spec(1), "Sqrt": _spec(1), "Reciprocal": _spec(1), "Relu": _spec(1), "Clip": _spec(1, 3),
    "MaxPool": _spec(1, kernel_shape=_NEEDED_INTS, dilations=_INTS, ceil_mode=_int(0), storage_order=_int(0),
                     auto_pad=_PAD, pads=_INTS, strides=_INTS),
    "AveragePool": _spec(1, kernel_shape=_NEEDED_INTS, dilations=_INTS, ceil_mode=_int(0),
                         count_include_pad=_int(0), auto_pad=_PAD, pads=_INTS, strides=_INTS),
    "GlobalAveragePool": _spec(1), "GlobalMaxPool": _spec(1),
    "ReduceMean": _spec(1, axes=_INTS, keepdims=_int(1)),
    "Flatten": _spec(1, axis=_int(1)),
    "Reshape": _spec(2, allowzero=_int(0)),
    "Transpose": _spec(1, perm=_INTS),
    "Squeeze": _spec(1, 2), "Unsqueeze": _spec(2),
    "TopK": _spec(2, outputs=(2, 2), axis=_int(-1), largest=_int(1), sorted=_int(1)),
    "ArgMax": _spec(1, axis=_int(0), keepdims=_int(1), select_last_index=_int(0)),
    "Identity": _spec(1),
    "Dropout": _spec(1, 3, outputs=(1, 2), seed=_int(0)),
    "Cast": _spec(1, to=_int(REQUIRED)),
    "Gather": _spec(2, axis=_int(0)),
    "Pad": _spec(2, 3, mode=_string("constant")),
    "Shape": _spec(1, start=_int(0), end=_int(None)),
    "Concat": _spec(1, 256, axis=_int(REQUIRED)),
    "Slice": _spec(3, 5),
})

_PYTHON_TYPES = {"int": int, "float": float, "string": str}


def quoted(name: str) -> str:
    """A name of the model for an error message: escaped, and cut after 80 characters."""
    return repr(name if len(name) <= 80 else name[:77] + "...")


def label(op: Op) -> str:
    """How errors call an operator: its kind and its name, or its first output where it has none."""
    return f"{op.kind} {quoted(op.name or op.outputs[0])}"


def attribute(op: Op, name: str) -> Attribute | None:
    """The attribute as written or else its default; None where the default depends on the shapes.

    Raises KeyError for a name that the operator hasn't, and for one that it must write and didn't (`check` refuses it).
    """
    if name in op.attrs:
        return op.attrs[name]
    default = OPS[op.kind].attributes[name].default
    if default is REQUIRED:
        raise KeyError(name)
    return cast(Attribute | None, default)


def integer(op: Op, name: str) -> int:
    """An attribute of type int, of an operator that `check` let pass."""
    return cast(int, attribute(op, name))


def number(op: Op, name: str) -> float:
    """An attribute of type float, of an operator that `check` let pass."""
    return cast(float, attribute(op, name))


def text(op: Op, name: str) -> str:
    """An attribute of type string, of an operator that `check` let pass."""
    return cast(str, attribute(op, name))


def integers(op: Op, name: str) -> tuple[int, ...] | None:
    """An attribute of type ints, of an operator that `check` let pass; None where its default depends on the shapes."""
    return cast(tuple[int, ...] | None, attribute(op, name))


def check(op: Op) -> None:
    """Raise ModelError unless the operator is known and its attributes, inputs and outputs are as `OPS` says."""
    spec = OPS.get(op.kind)
    if spec is None:
        raise ModelError(f"node {quoted(op.name or '/'.join(op.outputs))}: expected one of {len(OPS)} supported operators, "
                         f"found {quoted(op.kind)}")
    for name in op.attrs:
        if name not in spec.attributes:
            known = ", ".join(sorted(spec.attributes)) or "none"
            raise ModelError(f"{label(op)}: unknown attribute {quoted(name)}; known are {known}")
    for name, field in spec.attributes.items():
        if name in op.attrs:
            _check_type(op, name, field)
        elif field.default is REQUIRED:
            raise ModelError(f"{label(op)}: expected the attribute {name!r}, found none")
    for what, count, (fewest, most) in (("inputs", len(op.inputs), spec.inputs), ("outputs", len(op.outputs), spec.outputs)):
        if not fewest <= count <= most:
            raise ModelError(f"{label(op)}: expected {fewest} to {most} {what}, found {count}")
    if not all(op.inputs[:spec.inputs[0]]) or not op.outputs[0]:
        raise ModelError(f"{label(op)}: expected a name for every required input and output, found an empty one")


def _check_type(op: Op, name: str, field: AttributeSpec) -> None:
    value = op.attrs[name]
    if field.type == "ints":
        good = isinstance(value, tuple) and all(type(item) is int for item in value)
    else:
        good = type(value) is _PYTHON_TYPES[field.type]
    if not good:
        raise ModelError(f"{label(op)}: attribute {name!r} must be {field.type}, not {quoted(repr(value))}")

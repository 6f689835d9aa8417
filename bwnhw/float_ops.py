"""Every operator on arrays in float32, as ONNX and QONNX define it: one image or many, no exactness beyond float32's.

Window operators stand in `bwnhw.float_maps`. Shapes are checked before, by `bwnhw.shapes`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.element_types import dtype_of
from bwnhw.errors import ModelError
from bwnhw.float_maps import average_pool, conv, global_average_pool, global_max_pool, max_pool
from bwnhw.graph import Op
from bwnhw.ops import integer, integers, label, number, quoted, text

Array = NDArray[Any]
Inputs = tuple[Any, ...]
"""Arrays, None where an optional input is omitted. NumPy's stubs give Any for arithmetic on arrays of any type, and so do the rules."""


def execute(op: Op, inputs: Inputs) -> tuple[Array, ...]:
    """The outputs of one operator; an omitted optional input is None.

    Division by zero and overflow give infinity or NaN as IEEE 754 says. Raises ModelError for an unknown operator or mode.
    """
    rule = _RULES.get(op.kind)
    if rule is None:
        raise ModelError(f"{label(op)}: expected an operator that can be executed, found {quoted(op.kind)}")
    padded = (*inputs, *([None] * (5 - len(inputs))))
    with np.errstate(all="ignore"):
        result = rule(op, padded if op.kind != "Concat" else inputs)
    results = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(array) for array in results)


def quant_range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """Least and greatest integer of a `Quant`: narrow leaves out −2**(bits−1), or 2**bits − 1 where unsigned."""
    if signed:
        return -(1 << bits - 1) + narrow, (1 << bits - 1) - 1
    return 0, (1 << bits) - 1 - narrow


def quant_bits(op: Op, bit_width: Array) -> int:
    """The bit width of a `Quant` from its fourth input; ModelError unless it is one whole number in 1..32."""
    width = float(bit_width.reshape(-1)[0]) if bit_width.size == 1 else float("nan")
    if not width.is_integer() or not 1 <= width <= 32:
        raise ModelError(f"{label(op)}: expected a bit width of one whole number in 1..32, found {bit_width.reshape(-1)[:4].tolist()}")
    return int(width)


_ROUNDINGS: Mapping[str, Callable[[Array], Array]] = {
    "ROUND": np.round,  # half to even
    "HALF_EVEN": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - np.float32(0.5)),
}


def _quant(op: Op, inputs: Inputs) -> Any:
    """QONNX's Quant: scale, shift, clip, round, and back; one signed bit is a bipolar (as qonnx 1.0.0 has it)."""
    x, scale, zero, bit_width = inputs[:4]
    bits, signed = quant_bits(op, bit_width), bool(integer(op, "signed"))
    mode = text(op, "rounding_mode").upper()
    if mode not in _ROUNDINGS:
        raise ModelError(f"{label(op)}: expected a rounding mode of {', '.join(_ROUNDINGS)}, found {quoted(mode)}")
    y = x / scale + zero
    if bits == 1 and signed:
        y = np.where(y >= 0, np.float32(1), np.float32(-1))
    else:
        low, high = quant_range(bits, signed, bool(integer(op, "narrow")))
        y = _ROUNDINGS[mode](np.clip(y, np.float32(low), np.float32(high)))
    return ((y - zero) * scale).astype(np.float32)


def _bipolar(op: Op, inputs: Inputs) -> Any:
    return np.where(inputs[0] >= 0, np.float32(1), np.float32(-1)) * inputs[1]


def _gemm(op: Op, inputs: Inputs) -> Any:
    a, b, c = inputs[:3]
    product = (a.T if integer(op, "transA") else a) @ (b.T if integer(op, "transB") else b)
    product = product * np.float32(number(op, "alpha"))
    return product if c is None else product + c * np.float32(number(op, "beta"))


def _batch_norm(op: Op, inputs: Inputs) -> Any:
    x = inputs[0]
    gamma, beta, mean, var = (np.reshape(array, (-1, *[1] * (x.ndim - 2))) for array in inputs[1:5])
    return (x - mean) * (gamma / np.sqrt(var + np.float32(number(op, "epsilon")))) + beta


def _divide(op: Op, inputs: Inputs) -> Any:
    a, b = inputs[:2]
    if a.dtype.kind == "f":
        return a / b
    if not np.all(b):
        raise ModelError(f"{label(op)}: expected an integer divisor other than 0, found 0")
    return (a - np.fmod(a, b)) // b  # towards zero, as C does


def _clip(op: Op, inputs: Inputs) -> Any:
    x, low, high = inputs[:3]
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _reshape(op: Op, inputs: Inputs) -> Any:
    data, shape = inputs[0], [int(size) for size in inputs[1]]
    if not integer(op, "allowzero"):
        shape = [data.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return data.reshape(shape)


def _flatten(op: Op, inputs: Inputs) -> Any:
    data, axis = inputs[0], integer(op, "axis")
    return data.reshape(int(np.prod(data.shape[:axis if axis >= 0 else data.ndim + axis])), -1)


def _squeeze(op: Op, inputs: Inputs) -> Any:
    return np.squeeze(inputs[0], None if inputs[1] is None else tuple(inputs[1].tolist()))


def _top_k(op: Op, inputs: Inputs) -> Any:
    """The k largest (or smallest) along an axis, of equal ones those of lower index first."""
    x, k, axis = inputs[0], int(inputs[1].reshape(-1)[0]), integer(op, "axis")
    keys = -x if integer(op, "largest") else x
    order = np.take(np.argsort(keys, axis=axis, kind="stable"), np.arange(k), axis=axis)
    return np.take_along_axis(x, order, axis), order.astype(np.int64)


def _arg_max(op: Op, inputs: Inputs) -> Any:
    x, axis = inputs[0], integer(op, "axis")
    if integer(op, "select_last_index"):
        best = x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis=axis)
    else:
        best = np.argmax(x, axis=axis)
    return np.expand_dims(best, axis) if integer(op, "keepdims") else best


def _reduce_mean(op: Op, inputs: Inputs) -> Any:
    return np.mean(inputs[0], axis=integers(op, "axes"), keepdims=bool(integer(op, "keepdims")), dtype=inputs[0].dtype)


def _pad(op: Op, inputs: Inputs) -> Any:
    data, pads, value = inputs[:3]
    before, after = pads[:data.ndim].tolist(), pads[data.ndim:].tolist()
    return np.pad(data, list(zip(before, after, strict=True)), constant_values=0 if value is None else value.reshape(-1)[0])


def _slice(op: Op, inputs: Inputs) -> Any:
    data, starts, ends, axes, steps = inputs[:5]
    count = len(starts)
    axes = np.arange(count) if axes is None else axes
    steps = np.ones(count, np.int64) if steps is None else steps
    where = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts.tolist(), ends.tolist(), axes.tolist(), steps.tolist(), strict=True):
        where[axis] = slice(start, None if step < 0 and end < -data.shape[axis] else end, step)
    return data[tuple(where)]


def _shape(op: Op, inputs: Inputs) -> Any:
    return np.array(inputs[0].shape[integer(op, "start"):op.attrs.get("end")], np.int64)


_RULES: Mapping[str, Callable[[Op, Any], Any]] = {
    "BipolarQuant": _bipolar, "Quant": _quant,
    "MatMul": lambda op, x: x[0] @ x[1], "Gemm": _gemm, "Conv": lambda op, x: conv(op, *x[:3]),
    "BatchNormalization": _batch_norm,
    "Mul": lambda op, x: x[0] * x[1], "Div": _divide, "Add": lambda op, x: x[0] + x[1], "Sub": lambda op, x: x[0] - x[1],
    "Pow": lambda op, x: (x[0] ** x[1]).astype(x[0].dtype), "Neg": lambda op, x: -x[0], "Sqrt": lambda op, x: np.sqrt(x[0]),
    "Reciprocal": lambda op, x: 1 / x[0], "Relu": lambda op, x: np.maximum(x[0], x[0].dtype.type(0)), "Clip": _clip,
    "MaxPool": lambda op, x: max_pool(op, x[0]), "AveragePool": lambda op, x: average_pool(op, x[0]),
    "GlobalAveragePool": lambda op, x: global_average_pool(x[0]), "GlobalMaxPool": lambda op, x: global_max_pool(x[0]),
    "ReduceMean": _reduce_mean,
    "Flatten": _flatten, "Reshape": _reshape, "Transpose": lambda op, x: np.transpose(x[0], integers(op, "perm")),
    "Squeeze": _squeeze, "Unsqueeze": lambda op, x: np.expand_dims(x[0], tuple(x[1].tolist())),
    "TopK": _top_k, "ArgMax": _arg_max, "Identity": lambda op, x: x[0], "Dropout": lambda op, x: x[0],
    "Cast": lambda op, x: x[0].astype(dtype_of(integer(op, "to"), label(op))),
    "Gather": lambda op, x: np.take(x[0], x[1], axis=integer(op, "axis")), "Pad": _pad, "Shape": _shape,
    "Concat": lambda op, x: np.concatenate(x, axis=integer(op, "axis")), "Slice": _slice,
}

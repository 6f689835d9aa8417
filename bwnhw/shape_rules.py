"""What shape each operator gives, and what shapes it takes: one rule per operator."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import ModelError
from bwnhw.float_ops import execute, quant_bits
from bwnhw.graph import Op
from bwnhw.limits import MAX_ELEMENTS, MAX_RANK
from bwnhw.ops import integer, integers, label, number, text
from bwnhw.windows import window_of

Shape = tuple[int, ...]
Array = NDArray[Any]


def output_shapes(op: Op, shapes: tuple[Shape | None, ...], known: tuple[Array | None, ...]) -> tuple[Shape, ...]:
    """Shapes of the outputs of one operator from those of its inputs, and their values where `known`; None where omitted.

    Raises ModelError where they don't fit.
    """
    padded = (*shapes, *([None] * (5 - len(shapes))))
    result = _RULES[op.kind](op, padded if op.kind != "Concat" else shapes, (*known, *([None] * (5 - len(known)))))
    return tuple(result) if isinstance(result, list) else (result,)


def _fail(op: Op, expected: str, found: object) -> ModelError:
    return ModelError(f"{label(op)}: expected {expected}, found {found}")


def _constant(op: Op, known: Any, index: int) -> list[int]:
    """The integers of an input that must be constant."""
    array = known[index]
    if array is None or array.dtype.kind not in "iu" or array.ndim > 1:
        raise _fail(op, f"constant integers as input {index}", "computed values" if array is None else f"{array.dtype} {array.shape}")
    return [int(item) for item in array.reshape(-1)]


def _axes(op: Op, axes: Any, rank: int) -> list[int]:
    """Axes as sorted numbers in 0..rank−1."""
    found = sorted({axis + rank if axis < 0 else axis for axis in axes})
    if len(found) != len(list(axes)) or any(not 0 <= axis < rank for axis in found):
        raise _fail(op, f"different axes in {-rank}..{rank - 1}", list(axes)[:8])
    return found


def _same(op: Op, shapes: Any, known: Any) -> Shape:
    return tuple(shapes[0])


def _broadcast(op: Op, shapes: Any, known: Any) -> Shape:
    try:
        return np.broadcast_shapes(*(shape for shape in shapes if shape is not None))
    except ValueError:
        raise _fail(op, "shapes that broadcast", " and ".join(str(shape) for shape in shapes if shape is not None)) from None


def _quantised(op: Op, shapes: Any, known: Any) -> Shape:
    if any(array is None for array in known[1:len(op.inputs)]):
        raise _fail(op, "a constant scale, zero point and bit width", "a computed one")
    if op.kind == "Quant":
        quant_bits(op, known[3])
    if not np.all(known[1] > 0):
        raise _fail(op, "a scale above 0", known[1].reshape(-1)[~(known[1].reshape(-1) > 0)][0])
    out = _broadcast(op, shapes[:3], known)
    if out != shapes[0]:
        raise _fail(op, f"a scale and zero point that broadcast to {shapes[0]}", shapes[1:3])
    return out


def _matmul(op: Op, shapes: Any, known: Any) -> Shape:
    a, b = shapes[:2]
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise _fail(op, "matrices (.., m, k) and (.., k, n)", f"{a} and {b}")
    return (*_broadcast(op, (a[:-2], b[:-2]), known), a[-2], b[-1])


def _gemm(op: Op, shapes: Any, known: Any) -> Shape:
    a, b, c = shapes[:3]
    if len(a) != 2 or len(b) != 2:
        raise _fail(op, "two matrices", f"{a} and {b}")
    rows, inner = a[::-1] if integer(op, "transA") else a
    depth, columns = b[::-1] if integer(op, "transB") else b
    if inner != depth:
        raise _fail(op, f"an inner dimension of {inner}", depth)
    if c is not None and _broadcast(op, ((rows, columns), c), known) != (rows, columns):
        raise _fail(op, f"a bias that broadcasts to {(rows, columns)}", c)
    return rows, columns


def _conv(op: Op, shapes: Any, known: Any) -> Shape:
    x, w, bias = shapes[:3]
    group = integer(op, "group")
    if len(x) != 4 or len(w) != 4:
        raise _fail(op, "maps (N, C, H, W) and weights (O, C, kh, kw)", f"{x} and {w}")
    if group < 1 or x[1] != w[1] * group or w[0] % group:
        raise _fail(op, f"weights for {x[1]} input channels in {group} groups", w)
    if integers(op, "kernel_shape") not in (None, w[2:]):
        raise _fail(op, f"a kernel_shape of {w[2:]} as the weights have", op.attrs["kernel_shape"])
    if bias is not None and bias != w[:1]:
        raise _fail(op, f"a bias of shape {w[:1]}", bias)
    return (x[0], w[0], *_map(op, w[2:], x[2:]))


def _pool(op: Op, shapes: Any, known: Any) -> Shape:
    x = shapes[0]
    if len(x) != 4:
        raise _fail(op, "maps (N, C, H, W)", x)
    kernel = integers(op, "kernel_shape") or ()
    window = window_of(op, kernel, x[2:])
    if any(pad >= window.kernel[axis % 2] for axis, pad in enumerate(window.pads)):
        raise _fail(op, f"pads smaller than the kernel's {window.kernel}", window.pads)
    if op.kind == "AveragePool" and window.dilation != (1, 1):
        raise _fail(op, "dilations of 1", window.dilation)
    return (*x[:2], *_map(op, kernel, x[2:]))


def _map(op: Op, kernel: Shape, size: Shape) -> Shape:
    rows, columns = window_of(op, kernel, size).outputs((size[0], size[1]))
    if rows < 1 or columns < 1:
        raise _fail(op, f"a map that a kernel of {kernel} fits into", f"{size} before padding")
    return rows, columns


def _global(op: Op, shapes: Any, known: Any) -> Shape:
    if len(shapes[0]) < 3:
        raise _fail(op, "maps (N, C, ...)", shapes[0])
    return (*shapes[0][:2], *[1] * (len(shapes[0]) - 2))


def _batch_norm(op: Op, shapes: Any, known: Any) -> Shape:
    if integer(op, "training_mode"):
        raise _fail(op, "inference (training_mode 0)", "training_mode 1")
    if len(shapes[0]) < 2:
        raise _fail(op, "a batch and channels", shapes[0])
    for shape in shapes[1:5]:
        if shape != shapes[0][1:2]:
            raise _fail(op, f"scale, bias, mean and variance of shape {shapes[0][1:2]}", shape)
    if known[4] is not None and np.any(known[4] + number(op, "epsilon") <= 0):
        raise _fail(op, "a variance + epsilon above 0", float(known[4].min()))
    return tuple(shapes[0])


def _reduce(op: Op, shapes: Any, known: Any) -> Shape:
    """ReduceMean and ArgMax."""
    shape = shapes[0]
    axes = integers(op, "axes") if op.kind == "ReduceMean" else (integer(op, "axis"),)
    reduced = _axes(op, range(len(shape)) if axes is None else axes, len(shape))
    keep = integer(op, "keepdims")
    return tuple(1 if axis in reduced else size for axis, size in enumerate(shape) if keep or axis not in reduced)


def _flatten(op: Op, shapes: Any, known: Any) -> Shape:
    shape, axis = shapes[0], integer(op, "axis")
    if not -len(shape) <= axis <= len(shape):
        raise _fail(op, f"an axis in {-len(shape)}..{len(shape)}", axis)
    axis += len(shape) if axis < 0 else 0
    return prod(shape[:axis]), prod(shape[axis:])


def _reshape(op: Op, shapes: Any, known: Any) -> Shape:
    shape, target = shapes[0], _constant(op, known, 1)
    copied = [shape[axis] if size == 0 and axis < len(shape) and not integer(op, "allowzero") else size
              for axis, size in enumerate(target)]
    rest = prod(size for size in copied if size != -1)
    if copied.count(-1) == 1 and rest > 0 and prod(shape) % rest == 0:
        copied[copied.index(-1)] = prod(shape) // rest
    if len(copied) > MAX_RANK or min(copied, default=1) < 1 or prod(copied) != prod(shape):
        raise _fail(op, f"a target for the {prod(shape)} elements of {shape}", target[:MAX_RANK])
    return tuple(copied)


def _transpose(op: Op, shapes: Any, known: Any) -> Shape:
    rank = len(shapes[0])
    perm = integers(op, "perm") or tuple(reversed(range(rank)))
    if sorted(perm) != list(range(rank)):
        raise _fail(op, f"a permutation of 0..{rank - 1}", perm[:MAX_RANK])
    return tuple(shapes[0][axis] for axis in perm)


def _squeeze(op: Op, shapes: Any, known: Any) -> Shape:
    shape = shapes[0]
    if shapes[1] is None:
        return tuple(size for size in shape if size != 1)
    axes = _axes(op, _constant(op, known, 1), len(shape))
    if any(shape[axis] != 1 for axis in axes):
        raise _fail(op, f"axes of size 1 in {shape}", axes)
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _unsqueeze(op: Op, shapes: Any, known: Any) -> Shape:
    added = _constant(op, known, 1)
    rank = len(shapes[0]) + len(added)
    axes, sizes = _axes(op, added, rank), iter(shapes[0])
    return tuple(1 if axis in axes else next(sizes) for axis in range(rank))


def _top_k(op: Op, shapes: Any, known: Any) -> list[Shape]:
    count, shape = _constant(op, known, 1), shapes[0]
    axis = _axes(op, (integer(op, "axis"),), len(shape))[0]
    if len(count) != 1 or not 1 <= count[0] <= shape[axis]:
        raise _fail(op, f"k in 1..{shape[axis]}", count[:8])
    out = tuple(count[0] if index == axis else size for index, size in enumerate(shape))
    return [out, out]


def _gather(op: Op, shapes: Any, known: Any) -> Shape:
    data, indices = shapes[:2]
    axis = _axes(op, (integer(op, "axis"),), len(data))[0]
    if known[1] is None or known[1].dtype.kind not in "iu":
        raise _fail(op, "constant integer indices", "others")
    if known[1].size and not -data[axis] <= int(known[1].min()) <= int(known[1].max()) < data[axis]:
        raise _fail(op, f"indices in 0..{data[axis] - 1}", f"{known[1].min()}..{known[1].max()}")
    return (*data[:axis], *indices, *data[axis + 1:])


def _pad(op: Op, shapes: Any, known: Any) -> Shape:
    shape, pads = shapes[0], _constant(op, known, 1)
    if text(op, "mode") != "constant" or len(pads) != 2 * len(shape) or any(not 0 <= pad <= MAX_ELEMENTS for pad in pads):
        raise _fail(op, f"mode 'constant' and {2 * len(shape)} pads of at least 0", f"mode {text(op, 'mode')!r:.20} and {pads[:16]}")
    return tuple(size + pads[axis] + pads[axis + len(shape)] for axis, size in enumerate(shape))


def _shape(op: Op, shapes: Any, known: Any) -> Shape:
    return (len(shapes[0][integer(op, "start"):op.attrs.get("end")]),)


def _concat(op: Op, shapes: Any, known: Any) -> Shape:
    axis = _axes(op, (integer(op, "axis"),), len(shapes[0]))[0]
    if len({(*shape[:axis], None, *shape[axis + 1:]) for shape in shapes}) != 1:
        raise _fail(op, f"shapes equal but for axis {axis}", shapes[:4])
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1:])


def _slice(op: Op, shapes: Any, known: Any) -> Shape:
    lists = [_constant(op, known, index) for index in range(1, len(op.inputs)) if op.inputs[index]]
    if any(len(numbers) != len(lists[0]) for numbers in lists) or op.inputs[4:5] and 0 in _constant(op, known, 4):
        raise _fail(op, "as many starts as ends, axes and steps, and no step of 0", [numbers[:4] for numbers in lists])
    if op.inputs[3:4] and op.inputs[3]:
        _axes(op, _constant(op, known, 3), len(shapes[0]))
    elif len(lists[0]) > len(shapes[0]):
        raise _fail(op, f"at most {len(shapes[0])} ranges", len(lists[0]))
    sample = np.broadcast_to(np.int8(0), shapes[0])  # takes one byte
    return execute(op, (sample, *known[1:len(op.inputs)]))[0].shape


_RULES: Mapping[str, Callable[[Op, Any, Any], Any]] = {
    **dict.fromkeys(("Neg", "Sqrt", "Reciprocal", "Relu", "Clip", "Identity", "Dropout", "Cast"), _same),
    **dict.fromkeys(("Mul", "Div", "Add", "Sub", "Pow"), _broadcast),
    **dict.fromkeys(("Quant", "BipolarQuant"), _quantised),
    **dict.fromkeys(("MaxPool", "AveragePool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global),
    **dict.fromkeys(("ReduceMean", "ArgMax"), _reduce),
    "MatMul": _matmul, "Gemm": _gemm, "Conv": _conv, "BatchNormalization": _batch_norm, "Flatten": _flatten, "Reshape": _reshape,
    "Transpose": _transpose, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "TopK": _top_k, "Gather": _gather, "Pad": _pad,
    "Shape": _shape, "Concat": _concat, "Slice": _slice,
}

"""The window of a Conv, MaxPool or AveragePool, with everything that ONNX leaves to defaults or to `auto_pad` made explicit."""

from dataclasses import dataclass

from bwnhw.errors import ModelError
from bwnhw.graph import Op
from bwnhw.ops import integer, integers, label, quoted, text

_LARGEST = 1 << 16  # of any entry: a larger one can't fit a map


@dataclass(frozen=True)
class Window:
    """Kernel, stride and dilation as (rows, columns); pads as (top, left, bottom, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[int, int, int, int]

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns that the dilated kernel spans."""
        return _span(self.kernel[0], self.dilation[0]), _span(self.kernel[1], self.dilation[1])

    def outputs(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the output map for an input map of `size`; not positive where the kernel doesn't fit."""
        rows, columns = (self._spare(size, axis) // self.stride[axis] + 1 for axis in (0, 1))
        return rows, columns

    def exact(self, size: tuple[int, int]) -> bool:
        """True where rounding the number of outputs up gives as many as rounding it down."""
        return all(self._spare(size, axis) % self.stride[axis] == 0 for axis in (0, 1))

    def _spare(self, size: tuple[int, int], axis: int) -> int:
        return size[axis] + self.pads[axis] + self.pads[axis + 2] - self.reach[axis]


def _span(kernel: int, dilation: int) -> int:
    return (kernel - 1) * dilation + 1


def window_of(op: Op, kernel: tuple[int, ...], size: tuple[int, ...]) -> Window:
    """The window of `op`, whose kernel is `kernel`, over a map of `size` rows and columns.

    `auto_pad` SAME_UPPER, SAME_LOWER and VALID are resolved as ONNX defines them. Raises ModelError where the map isn't
    two-dimensional, a list has the wrong length or values, or `ceil_mode` would add an output.
    """
    if len(size) != 2 or len(kernel) != 2:
        raise ModelError(f"{label(op)}: expected maps of rows and columns, found {len(size)} dimensions behind the channels "
                         f"and a kernel of {len(kernel)}")
    _check(op, "kernel_shape", kernel, 2, 1)
    stride = _entries(op, "strides", (1, 1), 1)
    dilation = _entries(op, "dilations", (1, 1), 1)
    mode = text(op, "auto_pad")
    pads = _entries(op, "pads", (0, 0, 0, 0), 0)
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        total = [max((-(-size[axis] // stride[axis]) - 1) * stride[axis] + _span(kernel[axis], dilation[axis]) - size[axis], 0)
                 for axis in (0, 1)]
        small, large = [amount // 2 for amount in total], [-(-amount // 2) for amount in total]
        pads = (*small, *large) if mode == "SAME_UPPER" else (*large, *small)
    elif mode == "VALID":
        pads = (0, 0, 0, 0)
    elif mode != "NOTSET":
        raise ModelError(f"{label(op)}: expected auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER, found {quoted(mode)}")
    window = Window((kernel[0], kernel[1]), (stride[0], stride[1]), (dilation[0], dilation[1]), (pads[0], pads[1], pads[2], pads[3]))
    if op.kind != "Conv" and integer(op, "ceil_mode") and not window.exact((size[0], size[1])):
        raise ModelError(f"{label(op)}: expected ceil_mode 0, or a map that the windows cover exactly, found ceil_mode 1 and another map")
    return window


def _entries(op: Op, name: str, default: tuple[int, ...], least: int) -> tuple[int, ...]:
    value = integers(op, name)
    if value is None:
        return default
    _check(op, name, value, len(default), least)
    return value


def _check(op: Op, name: str, value: tuple[int, ...], length: int, least: int) -> None:
    if len(value) != length or not all(least <= entry <= _LARGEST for entry in value):
        raise ModelError(f"{label(op)}: expected {name} to be {length} numbers of at least {least}, found {value[:8]}")

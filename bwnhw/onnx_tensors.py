"""Constants of a model file as NumPy arrays: every length checked before memory is taken, no external data, no NaN."""

from collections.abc import Iterable
from math import prod

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from bwnhw.element_types import dtype_of
from bwnhw.errors import ModelError
from bwnhw.limits import MAX_RANK
from bwnhw.ops import quoted

# Where ONNX keeps the elements that aren't raw bytes: narrow types share int32_data, float16 as its bits.
_FIELDS = {"float32": "float_data", "float64": "double_data", "int64": "int64_data", "uint32": "uint64_data", "uint64": "uint64_data"}
_EMPTY_FIELDS = ("float_data", "double_data", "int32_data", "int64_data", "uint64_data", "string_data")


def shape_of(dims: Iterable[int], where: str) -> tuple[int, ...]:
    """Dimensions as a tuple, none negative, at most `MAX_RANK`; ModelError otherwise."""
    shape = tuple(dims)
    if len(shape) > MAX_RANK:
        raise ModelError(f"{where}: expected at most {MAX_RANK} dimensions, found {len(shape)}")
    if any(size < 0 for size in shape):
        raise ModelError(f"{where}: expected dimensions of at least 0, found {min(shape)}")
    return shape


def array_of(tensor: TensorProto) -> NDArray[np.generic]:
    """The tensor as a read-only array of its own type.

    Raises ModelError for external or segmented data, a type that isn't in `DTYPES`, a number of elements that isn't the product of
    the dimensions, values that don't fit the type, NaN and infinity.
    """
    where = f"constant {quoted(tensor.name)}"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ModelError(f"{where}: expected its data inside the model file, found a reference to another file")
    if tensor.HasField("segment"):
        raise ModelError(f"{where}: expected the whole tensor, found a segment of one")
    dtype = dtype_of(tensor.data_type, where)
    shape = shape_of(tensor.dims, where)
    elements = prod(shape)  # Python's integers: no overflow
    flat = _raw(tensor, dtype, elements, where) if tensor.HasField("raw_data") else _typed(tensor, dtype, elements, where)
    if dtype.kind == "f" and not np.isfinite(flat).all():
        raise ModelError(f"{where}: expected finite values, found NaN or infinity")
    array = flat.reshape(shape)
    array.setflags(write=False)
    return array


def _raw(tensor: TensorProto, dtype: np.dtype[np.generic], elements: int, where: str) -> NDArray[np.generic]:
    """Elements from the little-endian bytes of `raw_data`."""
    if any(len(getattr(tensor, field)) for field in _EMPTY_FIELDS):
        raise ModelError(f"{where}: expected its data once, found it both as raw bytes and as numbers")
    raw = tensor.raw_data
    if len(raw) != elements * dtype.itemsize:
        raise ModelError(f"{where}: expected {elements * dtype.itemsize} bytes for {elements} elements of {dtype}, found {len(raw)}")
    if dtype.kind == "b" and raw.strip(b"\0\1"):
        raise ModelError(f"{where}: expected bool bytes of 0 or 1, found others")
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype)


def _typed(tensor: TensorProto, dtype: np.dtype[np.generic], elements: int, where: str) -> NDArray[np.generic]:
    """Elements from the repeated field that belongs to the type."""
    used = _FIELDS.get(dtype.name, "int32_data")
    counts = {field: len(getattr(tensor, field)) for field in _EMPTY_FIELDS}
    if counts[used] != elements or sum(counts.values()) != elements:
        raise ModelError(f"{where}: expected {elements} elements in {used}, found {counts[used]} there and {sum(counts.values())} in all")
    numbers = getattr(tensor, used)
    if dtype.kind == "f" and dtype.itemsize > 2:
        return np.array(numbers, dtype)
    stored = np.dtype("uint16") if dtype.name == "float16" else dtype
    wide = np.array(numbers, "uint64" if used == "uint64_data" else "int64")
    narrow = wide.astype(stored)
    if not np.array_equal(narrow.astype(wide.dtype), wide):
        raise ModelError(f"{where}: expected values that fit {dtype}, found {min(numbers)}..{max(numbers)}")
    return narrow.view(dtype) if dtype.name == "float16" else narrow

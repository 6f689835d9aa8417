"""ONNX's numbers for element types, as NumPy's types: those that a model may use."""

import numpy as np

from bwnhw.errors import ModelError

DTYPES: dict[int, np.dtype[np.generic]] = {number: np.dtype(name) for number, name in (
    (1, "float32"), (2, "uint8"), (3, "int8"), (4, "uint16"), (5, "int16"), (6, "int32"), (7, "int64"), (9, "bool"), (10, "float16"),
    (11, "float64"), (12, "uint32"), (13, "uint64"))}
"""By the values of ONNX's TensorProto.DataType, which are part of the file format."""


def dtype_of(element_type: int, where: str) -> np.dtype[np.generic]:
    """NumPy's type for ONNX's element type; ModelError, beginning with `where`, for strings, complex, bfloat16 and the like."""
    dtype = DTYPES.get(element_type)
    if dtype is None:
        raise ModelError(f"{where}: expected elements of a type like float32 or int64, found ONNX element type {element_type}")
    return dtype

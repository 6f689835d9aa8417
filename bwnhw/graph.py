"""The model as written: a float graph in QONNX's operators, checked field by field but not yet lowered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Op:
    """One operator: `kind` is the ONNX op type ("Conv", "BipolarQuant", ...); an omitted optional input is ""."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Attribute] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Value:
    """A graph input or output. `shape` includes the batch (0 where it is free); `dtype` is NumPy's name of the element type.

    `datatype` is QONNX's annotation ("UINT8", "BIPOLAR", ...) where there is one: which integers the tensor holds.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    datatype: str | None = None


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in topological order, one input, outputs, and every constant tensor by name."""

    ops: tuple[Op, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    constants: Mapping[str, NDArray[np.generic]]

"""Float graphs written down op by op."""

from types import MappingProxyType

import numpy as np

from bwnhw.graph import Graph, Op, Value


class graph_of:
    """A chain from input `x` of `shape` (without the batch); constants are given as arrays where an op takes them."""

    def __init__(self, shape, datatype=None, dtype="float32", batch=0):
        self._input = Value("x", (batch, *shape), dtype, datatype)
        self._ops, self._constants, self.top = [], {}, "x"

    def constant(self, array, dtype=None):
        name = f"c{len(self._constants)}"
        array = np.asarray(array)
        self._constants[name] = array.astype(dtype or ("int64" if array.dtype.kind == "i" and dtype else "float32"))
        return name

    def op(self, kind, *inputs, source=None, outputs=1, **attrs):
        names = tuple(item if isinstance(item, str) else self.constant(item) for item in inputs)
        results = tuple(f"t{len(self._ops)}{'ab'[i] if outputs > 1 else ''}" for i in range(outputs))
        self._ops.append(Op(kind, f"n{len(self._ops)}", (source or self.top, *names), results, MappingProxyType(attrs)))
        self.top = results[-1]
        return self.top

    def build(self):
        dtype = "int64" if self._ops[-1].kind in ("ArgMax", "TopK") else "float32"
        return Graph(tuple(self._ops), (self._input,), (Value(self.top, (), dtype),), MappingProxyType(dict(self._constants)))

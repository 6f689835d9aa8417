"""The independent oracle: qonnx, and onnxruntime below it, execute the file that we write."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx

from bwnhw.graph import Graph, Op, Value
from bwnhw.onnx_write import to_bytes

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes


def one_op(kind: str, shape: tuple[int, ...], constants: tuple[Any, ...] = (), outputs: int = 1, dtype: str = "float32",
           **attrs: Any) -> Graph:
    """A graph of one operator whose first input is the graph's; None among the constants is an omitted input."""
    names = tuple("" if array is None else f"c{index}" for index, array in enumerate(constants))
    arrays = {name: np.asarray(array) for name, array in zip(names, constants, strict=True) if name}
    results = tuple(f"y{index}" for index in range(outputs))
    op = Op(kind, "node", ("x", *names), results, MappingProxyType(attrs))
    out = {"ArgMax": "int64"}.get(kind, dtype)
    return Graph((op,), (Value("x", shape, dtype),), tuple(Value(name, (), out if index == 0 else "int64")
                                                         for index, name in enumerate(results)), arrays)


def qonnx_run(graph: Graph, x: np.ndarray) -> Mapping[str, np.ndarray]:
    """All tensors as qonnx computes them for images `x`."""
    fixed = replace(graph, inputs=(replace(graph.inputs[0], shape=x.shape),))
    proto = onnx.load_from_string(to_bytes(fixed))
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    return qonnx_execute(proto, graph.inputs[0].name, x.astype(graph.inputs[0].dtype))


def qonnx_execute(proto: onnx.ModelProto, name: str, x: np.ndarray) -> Mapping[str, np.ndarray]:
    """All tensors of an ONNX model as qonnx computes them."""
    version = onnx.IR_VERSION
    onnx.IR_VERSION = 10  # qonnx writes each node as a model of onnx's newest format, which onnxruntime may not know yet
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = ModelWrapper(proto).transform(InferShapes())
            return execute_onnx(model, {name: x}, return_full_exec_context=True)
    finally:
        onnx.IR_VERSION = version

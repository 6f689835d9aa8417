"""Write a `Graph` as a QONNX file: the same bytes for the same graph, on every machine."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from bwnhw.errors import ModelError
from bwnhw.files import write_bytes
from bwnhw.graph import Attribute, Graph, Op, Value
from bwnhw.ops import OPS, OPSET, QONNX_DOMAIN, QONNX_VERSION, check, quoted

_IR_VERSION = 8  # the one that came with opset 17
_ATTRIBUTE_TYPES = {"int": AttributeProto.INT, "float": AttributeProto.FLOAT, "string": AttributeProto.STRING,
                    "ints": AttributeProto.INTS}


def to_bytes(graph: Graph) -> bytes:
    """The graph as an ONNX model: opset 17, QONNX's domain version 2, every tensor as little-endian raw data.

    A free batch (0) is written as the parameter "N". Raises ModelError where an operator or attribute isn't in `bwnhw.ops.OPS`
    or a constant has a type that ONNX hasn't.
    """
    proto = ModelProto(ir_version=_IR_VERSION, producer_name="bwnhw")
    proto.opset_import.add(domain="", version=OPSET)
    proto.opset_import.add(domain=QONNX_DOMAIN, version=QONNX_VERSION)
    body = proto.graph
    body.name = "bwnhw"
    body.node.extend(_node(op) for op in graph.ops)
    body.initializer.extend(_tensor(name, graph.constants[name]) for name in sorted(graph.constants))
    body.input.extend(_value(value) for value in graph.inputs)
    body.output.extend(_value(value) for value in graph.outputs)
    for value in (*graph.inputs, *graph.outputs):
        if value.datatype is not None:
            _annotate(body, value.name, value.datatype)
    return bytes(proto.SerializeToString(deterministic=True))


def save(graph: Graph, path: Path) -> None:
    """Write the graph to `path`: the file is there whole or not at all.

    Raises ModelError as `to_bytes` does, OSError where the folder can't be written.
    """
    write_bytes(path, to_bytes(graph))


def _node(op: Op) -> NodeProto:
    check(op)
    spec = OPS[op.kind]
    node = NodeProto(op_type=op.kind, name=op.name, domain=spec.domain, input=op.inputs, output=op.outputs)
    for name in sorted(op.attrs):
        node.attribute.append(_attribute(name, spec.attributes[name].type, op.attrs[name]))
    return node


def _attribute(name: str, kind: str, value: Attribute) -> AttributeProto:
    proto = AttributeProto(name=name, type=_ATTRIBUTE_TYPES[kind])
    match value:
        case tuple():
            proto.ints.extend(int(item) for item in value)
        case str():
            proto.s = value.encode()
        case float():
            proto.f = value
        case int():
            proto.i = value
    return proto


def _tensor(name: str, array: NDArray[np.generic]) -> TensorProto:
    raw = np.asarray(array)
    return TensorProto(name=name, data_type=_element_type(name, raw.dtype), dims=raw.shape,
                       raw_data=raw.astype(raw.dtype.newbyteorder("<")).tobytes())


def _element_type(name: str, dtype: np.dtype[np.generic]) -> int:
    if dtype.kind not in "fiub":
        raise ModelError(f"constant {quoted(name)}: expected a numeric or bool array, found {dtype}")
    return helper.np_dtype_to_tensor_dtype(dtype.newbyteorder("="))


def _value(value: Value) -> ValueInfoProto:
    proto = ValueInfoProto(name=value.name)
    tensor = proto.type.tensor_type
    tensor.elem_type = _element_type(value.name, np.dtype(value.dtype))
    tensor.shape.SetInParent()  # a scalar has an empty shape, which isn't the same as none
    for axis, size in enumerate(value.shape):
        if size == 0 and axis == 0:
            tensor.shape.dim.add(dim_param="N")
        else:
            tensor.shape.dim.add(dim_value=size)
    return proto


def _annotate(body: GraphProto, name: str, datatype: str) -> None:
    """QONNX's way to say which integers a float tensor holds."""
    annotation = body.quantization_annotation.add(tensor_name=name)
    annotation.quant_parameter_tensor_names.add(key="finn_datatype", value=datatype)

"""Read a QONNX file into a `Graph`: hostile until shown otherwise, every field checked, nothing executed and no other file opened."""

import re
from collections.abc import Iterable
from heapq import heappop, heappush
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

from bwnhw.element_types import dtype_of
from bwnhw.errors import ModelError
from bwnhw.graph import Attribute, Graph, Op, Value
from bwnhw.limits import MAX_NAME, MAX_NODES
from bwnhw.onnx_limits import parse, read_file
from bwnhw.onnx_opsets import NEWEST, OLDEST, Constants, modernise
from bwnhw.onnx_tensors import array_of, shape_of
from bwnhw.ops import OPS, QONNX_DOMAIN, QONNX_DOMAINS, check, label, quoted

_ONNX_DOMAINS = ("", "ai.onnx")
_DATATYPE = re.compile(r"[A-Z][A-Z0-9<>,]{0,31}")


def load(path: Path) -> Graph:
    """The graph in a model file; raises ModelError where it can't be read or isn't a model that `bwnhw.ops.OPS` covers."""
    return from_bytes(read_file(path), str(path))


def from_bytes(data: bytes, name: str) -> Graph:
    """The graph in the bytes of a model file; `name` stands for the file in errors.

    Operators of opset 9 to 25 are brought into the form of opset 17, `IntQuant` becomes `Quant`, Constant nodes become constants,
    initializers that are also graph inputs are constants, operators are put into topological order. Raises ModelError.
    """
    proto = parse(data, name)
    _refuse_extras(proto, name)
    opset = _opset(proto, name)
    body = proto.graph
    constants = _initializers(body)
    datatypes = _datatypes(body)
    inputs = [_value(info, datatypes) for info in body.input if info.name not in constants]
    if len(inputs) != 1:
        found = ", ".join(quoted(value.name) for value in inputs[:4]) or "none"
        raise ModelError(f"{name}: expected one graph input that isn't an initializer, found {found}")
    ops = _ops(body, opset, constants, inputs[0].name)
    outputs = tuple(_value(info, datatypes) for info in body.output)
    graph = Graph(ops, (inputs[0],), outputs, MappingProxyType(constants))
    produced = {output for op in ops for output in op.outputs}
    for value in outputs:
        if value.name not in produced:
            raise ModelError(f"{name}: graph output {quoted(value.name)} must come from an operator, but none writes it")
    if not outputs:
        raise ModelError(f"{name}: expected a graph output, found none")
    return graph


def _refuse_extras(proto: ModelProto, name: str) -> None:
    """What ONNX allows and a feed-forward network has no use for, and counts."""
    body = proto.graph
    for what, items in (("functions", proto.functions), ("training information", proto.training_info),
                        ("sparse initializers", body.sparse_initializer)):
        if items:
            raise ModelError(f"{name}: expected a plain graph, found {what}")
    for what, items in (("operators", body.node), ("initializers", body.initializer), ("graph inputs", body.input),
                        ("graph outputs", body.output), ("quantization annotations", body.quantization_annotation)):
        if len(items) > MAX_NODES:
            raise ModelError(f"{name}: expected at most {MAX_NODES} {what}, found {len(items)}")
    if not body.node:
        raise ModelError(f"{name}: expected an ONNX model with operators, found none")


def _opset(proto: ModelProto, name: str) -> int:
    """Version of ONNX's own operators; those of other domains need no declaration and aren't looked at."""
    versions = [entry.version for entry in proto.opset_import if entry.domain in _ONNX_DOMAINS]
    if len(versions) != 1 or not OLDEST <= versions[0] <= NEWEST:
        found = ", ".join(map(str, versions[:4])) or "none"
        raise ModelError(f"{name}: expected one ONNX opset version in {OLDEST}..{NEWEST}, found {found}")
    return int(versions[0])


def _checked(name: str, what: str) -> str:
    """A name of the model: not empty, at most MAX_NAME bytes, valid UTF-8."""
    size = len(name.encode(errors="surrogatepass"))
    if not 0 < size <= MAX_NAME:
        raise ModelError(f"{what} {quoted(name)}: expected a name of 1 to {MAX_NAME} bytes, found {size}")
    return name


def _initializers(body: GraphProto) -> dict[str, NDArray[np.generic]]:
    constants: dict[str, NDArray[np.generic]] = {}
    for tensor in body.initializer:
        if _checked(tensor.name, "initializer") in constants:
            raise ModelError(f"initializer {quoted(tensor.name)}: expected one of this name, found two")
        constants[tensor.name] = array_of(tensor)
    return constants


def _datatypes(body: GraphProto) -> dict[str, str]:
    """QONNX's annotations: which integers a tensor holds, by the tensor's name."""
    found = {}
    for annotation in body.quantization_annotation:
        for entry in annotation.quant_parameter_tensor_names:
            if entry.key == "finn_datatype":
                if not _DATATYPE.fullmatch(entry.value):
                    raise ModelError(f"tensor {quoted(annotation.tensor_name)}: expected a QONNX data type, found {quoted(entry.value)}")
                found[annotation.tensor_name] = entry.value
    return found


def _value(info: ValueInfoProto, datatypes: dict[str, str]) -> Value:
    """A graph input or output; a free dimension is 0, and only the first, the batch, may be free."""
    name = _checked(info.name, "graph value")
    where = f"graph value {quoted(name)}"
    if not info.type.HasField("tensor_type"):
        raise ModelError(f"{where}: expected a tensor, found another type")
    tensor = info.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in tensor.shape.dim]
    return Value(name, shape_of(dims, where), dtype_of(tensor.elem_type, where).name, datatypes.get(name))


def _ops(body: GraphProto, opset: int, constants: Constants, source: str) -> tuple[Op, ...]:
    """All operators but Constant, checked, in the form of opset 17 and in topological order."""
    for node in body.node:  # first, since an operator may read a constant to be modernised
        if node.op_type == "Constant" and node.domain in _ONNX_DOMAINS:
            _constant(node, constants)
    ops = []
    for node in body.node:
        if node.op_type != "Constant" or node.domain not in _ONNX_DOMAINS:
            op = modernise(_op(node), opset, constants)
            check(op)
            ops.append(op)
    return _in_order(ops, {source, *constants})


def _op(node: NodeProto) -> Op:
    """The node as written, its domain resolved."""
    where = f"node {quoted(node.name or '/'.join(node.output))}"
    kind = node.op_type
    if node.domain in QONNX_DOMAINS:
        kind = "Quant" if kind == "IntQuant" else kind
    spec = OPS.get(kind)
    domains = QONNX_DOMAINS if spec and spec.domain == QONNX_DOMAIN else _ONNX_DOMAINS
    if spec is None or node.domain not in domains:
        raise ModelError(f"{where}: expected one of the supported operators, found {quoted(node.op_type)} of domain {quoted(node.domain)}")
    inputs, outputs = list(node.input), list(node.output)
    for names in (inputs, outputs):
        while names and not names[-1]:  # omitted optional ones at the end
            names.pop()
        for name in names:
            if name:
                _checked(name, f"{where}: tensor")
    if node.name:
        _checked(node.name, "node")
    if not outputs:
        raise ModelError(f"{where}: expected an output, found none")
    return Op(kind, node.name, tuple(inputs), tuple(outputs), MappingProxyType(_attributes(node, where)))


def _attributes(node: NodeProto, where: str) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for proto in node.attribute:
        name = _checked(proto.name, f"{where}: attribute")
        if name in found:
            raise ModelError(f"{where}: expected one attribute {quoted(name)}, found two")
        found[name] = _attribute(proto, f"{where}: attribute {quoted(name)}")
    return found


def _attribute(proto: AttributeProto, where: str) -> Attribute:
    """The value of a number, string or list attribute; graphs, tensors and references are refused."""
    if proto.ref_attr_name:
        raise ModelError(f"{where}: expected a value, found a reference to a function's attribute")
    match proto.type:
        case AttributeProto.INT:
            return int(proto.i)
        case AttributeProto.FLOAT:
            value = float(proto.f)
            if not np.isfinite(value):
                raise ModelError(f"{where}: expected a finite number, found {value}")
            return value
        case AttributeProto.STRING:
            try:
                return proto.s[:MAX_NAME].decode()
            except UnicodeDecodeError:
                raise ModelError(f"{where}: expected text, found bytes that aren't UTF-8") from None
        case AttributeProto.INTS if len(proto.ints) <= MAX_NAME:
            return tuple(int(item) for item in proto.ints)
    kind = AttributeProto.AttributeType.Name(proto.type) if proto.type in AttributeProto.AttributeType.values() else proto.type
    raise ModelError(f"{where}: expected an int, float, string or short list of ints, found {kind}")


def _constant(node: NodeProto, constants: Constants) -> None:
    """Add what a Constant node holds to `constants`."""
    where = f"Constant {quoted(node.name or '/'.join(node.output))}"
    if len(node.output) != 1 or len(node.attribute) != 1:
        raise ModelError(f"{where}: expected one output and one attribute, found {len(node.output)} and {len(node.attribute)}")
    name, proto = _checked(node.output[0], where), node.attribute[0]
    if name in constants:
        raise ModelError(f"{where}: expected a new tensor, found a second one of the name {quoted(name)}")
    match proto.name, proto.type:
        case "value", AttributeProto.TENSOR:
            array = array_of(proto.t)
        case "value_float" | "value_int", AttributeProto.FLOAT | AttributeProto.INT:
            value = _attribute(proto, where)
            array = np.array(value, "float32" if isinstance(value, float) else "int64")
        case "value_ints", AttributeProto.INTS:
            array = np.array(proto.ints, "int64")
        case "value_floats", AttributeProto.FLOATS if np.isfinite(proto.floats).all():
            array = np.array(proto.floats, "float32")
        case _:
            raise ModelError(f"{where}: expected a dense tensor or finite numbers, found {quoted(proto.name)}")
    array.setflags(write=False)
    constants[name] = array


def _in_order(ops: list[Op], known: Iterable[str]) -> tuple[Op, ...]:
    """The operators, each behind those that it reads, else as written.

    Raises ModelError for a tensor that is written twice, or read and never written, and for a cycle.
    """
    ready_tensors = set(known)
    producer: dict[str, int] = {}
    for index, op in enumerate(ops):
        for output in filter(None, op.outputs):
            if output in producer or output in ready_tensors:
                raise ModelError(f"{label(op)}: expected to write a new tensor, but {quoted(output)} is there already")
            producer[output] = index
    waiting: list[set[int]] = []
    readers: dict[int, list[int]] = {}
    for index, op in enumerate(ops):
        sources = set()
        for tensor in filter(None, op.inputs):
            if tensor not in ready_tensors:
                if tensor not in producer:
                    raise ModelError(f"{label(op)}: expected its input {quoted(tensor)} to be written somewhere, but nothing writes it")
                sources.add(producer[tensor])
        waiting.append(sources)
        for source in sources:
            readers.setdefault(source, []).append(index)
    heap = [index for index, sources in enumerate(waiting) if not sources]
    order = []
    while heap:
        index = heappop(heap)
        order.append(ops[index])
        for reader in readers.get(index, ()):
            waiting[reader].discard(index)
            if not waiting[reader]:
                heappush(heap, reader)
    if len(order) != len(ops):
        stuck = next(op for op, sources in zip(ops, waiting, strict=True) if sources)
        raise ModelError(f"{label(stuck)}: expected a feed-forward graph, found a cycle through or before it")
    return tuple(order)

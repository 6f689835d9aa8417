"""Files as they are met in the wild load and compute what onnxruntime or qonnx computes; broken ones are refused in a sentence."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from oracle import qonnx_execute

from bwnhw.errors import ModelError
from bwnhw.float_exec import run
from bwnhw.onnx_read import from_bytes, load
from bwnhw.onnx_write import to_bytes

RANDOM = np.random.default_rng(3)
FLOAT = TensorProto.FLOAT


def ints(*shape: int) -> np.ndarray:
    return RANDOM.integers(-8, 9, shape).astype(np.float32)


def model(nodes: list[Any], shape: list[Any], constants: dict[str, Any] | None = None, opset: int = 17,
          domains: tuple[str, ...] = (), output: str = "y", element: int = FLOAT, out_element: int = FLOAT) -> onnx.ModelProto:
    """A model with the graph input x and one output; no domain but ONNX's and `domains` is declared."""
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", element, shape)],
                              [helper.make_tensor_value_info(output, out_element, None)], tensors)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return helper.make_model(graph, opset_imports=imports, ir_version=8)


def refused(proto: onnx.ModelProto, message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        from_bytes(proto.SerializeToString(), "file.onnx")
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def same_as_onnxruntime(proto: onnx.ModelProto, x: np.ndarray) -> None:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    graph = from_bytes(proto.SerializeToString(), "file.onnx")
    expected, name = session.run(None, {"x": x})[0], graph.outputs[0].name
    np.testing.assert_array_equal(run(graph, x)[name], expected, strict=True)
    again = from_bytes(to_bytes(graph), "again")  # and as a file of ours, of opset 17
    np.testing.assert_array_equal(run(again, x)[name], expected, strict=True)


def node(kind: str, inputs: str, output: str = "y", name: str | None = None, **attrs: Any) -> Any:
    return helper.make_node(kind, inputs.split(), output.split(), name=name or f"{kind.lower()}-node", **attrs)


VARIANTS = [
    ([node("Clip", "x", min=-1.0, max=2.0)], {}, (9, 10)),
    ([node("Clip", "x", max=2.0)], {}, (9,)),
    ([node("Clip", "x")], {}, (9, 20)),
    ([node("Clip", "x lo hi")], {"lo": np.float32(-1), "hi": np.float32(3)}, (11, 13, 20)),
    ([node("Unsqueeze", "x", axes=[0, 3])], {}, (9, 11, 12)),
    ([node("Unsqueeze", "x a")], {"a": np.array([0, 3])}, (13, 20)),
    ([node("Unsqueeze", "x", "u", axes=[0]), node("Squeeze", "u", axes=[0])], {}, (9, 12)),
    ([node("Unsqueeze", "x a", "u"), node("Squeeze", "u a")], {"a": np.array([1])}, (13, 20)),
    ([node("Unsqueeze", "x a", "u"), node("Squeeze", "u")], {"a": np.array([1])}, (13,)),
    ([node("ReduceMean", "x", axes=[1], keepdims=0)], {}, (9, 11, 13, 17)),
    ([node("ReduceMean", "x a", keepdims=0)], {"a": np.array([-1])}, (18, 20)),
    ([node("ReduceMean", "x")], {}, (9, 18)),
    ([node("ReduceMean", "x", noop_with_empty_axes=1)], {}, (18,)),
    ([node("Dropout", "x", ratio=0.3)], {}, (9, 10)),
    ([node("Dropout", "x r t", seed=3)], {"r": np.float32(0.3), "t": np.array(False)}, (12, 20)),
    ([node("Dropout", "x")], {}, (9, 13)),
    ([node("TopK", "x", "y i", k=2)], {}, (9,)),
    ([node("TopK", "x k", "y i")], {"k": np.array([2])}, (10, 17)),
    ([node("Pad", "x", pads=[0, 1, 0, 2], value=5.0)], {}, (9, 10)),
    ([node("Pad", "x p v")], {"p": np.array([0, 1, 0, 2]), "v": np.float32(5)}, (11, 20)),
    ([node("Slice", "x", starts=[1], ends=[3], axes=[1])], {}, (9,)),
    ([node("Slice", "x", starts=[1], ends=[3])], {}, (9,)),
    ([node("Slice", "x s e a")], {"s": np.array([1]), "e": np.array([3]), "a": np.array([1])}, (10, 20)),
    ([node("BatchNormalization", "x s b m v", epsilon=1.0)],
     {"s": ints(4), "b": ints(4), "m": ints(4), "v": np.full(4, 3, np.float32)}, (9, 14, 15, 20)),
    ([node("Cast", "x", "i", to=6), node("Cast", "i", name="back", to=1, saturate=1)], {}, (19, 20)),
    ([node("Reshape", "x s")], {"s": np.array([0, 2, -1])}, (9, 14, 20)),
    ([node("Gemm", "x w c", transB=1, beta=2.0)], {"w": ints(3, 4), "c": ints(3)}, (9, 11, 20)),
    ([node("Constant", "", "c", value=numpy_helper.from_array(ints(4))), node("Mul", "x c")], {}, (9, 20)),
    ([node("Constant", "", "c", value_float=2.5), node("Mul", "x c")], {}, (12, 20)),
    ([node("Constant", "", "c", value_floats=[2.5, 1, 0, -1]), node("Mul", "x c")], {}, (12, 20)),
    ([node("Constant", "", "c", value_ints=[2, 6]), node("Reshape", "x c")], {}, (12, 20)),
    ([node("Constant", "", "k", value_int=1), node("Constant", "", "a", value_ints=[0]), node("Unsqueeze", "k a", "k1"),
      node("TopK", "x k1", "y i")], {}, (13, 20)),
]


@pytest.mark.parametrize(("nodes", "constants", "opset"), [(nodes, constants, opset) for nodes, constants, opsets in VARIANTS
                                                           for opset in opsets])
def test_every_opset_means_what_onnxruntime_makes_of_it(nodes: list[Any], constants: dict[str, Any], opset: int) -> None:
    same_as_onnxruntime(model(nodes, [3, 4], constants, opset), ints(3, 4))


@pytest.mark.parametrize("opset", [9, 13, 17, 20])
def test_a_convolutional_network_of_every_opset(opset: int) -> None:
    nodes = [node("Conv", "x w", "a", pads=[1, 0, 1, 2]), node("MaxPool", "a", "b", kernel_shape=[2, 2], strides=[2, 2]),
             node("AveragePool", "b", "c", kernel_shape=[2, 2]), node("GlobalAveragePool", "c", "d"), node("Flatten", "d", "e"),
             node("ArgMax", "e", axis=1)]
    proto = model(nodes, ["N", 2, 7, 8], {"w": ints(4, 2, 3, 3)}, opset, out_element=TensorProto.INT64)
    same_as_onnxruntime(proto, ints(3, 2, 7, 8) * 64)


@pytest.mark.parametrize("domain", ["qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"])
@pytest.mark.parametrize("kind", ["Quant", "IntQuant"])
def test_an_old_style_file(domain: str, kind: str) -> None:
    """Opset 9, an undeclared domain, MatMul behind Transpose, weights that are graph inputs too, Sub-Div-Mul-Add as batch norm."""
    constants = {"w": ints(5, 6), "one": np.float32(1), "half": np.float32(0.5), "zero": np.float32(0), "bits": np.float32(2),
                 "mean": ints(5), "std": np.float32([1, 2, 4, 8, 0.5]), "gamma": ints(5), "beta": ints(5)}
    nodes = [helper.make_node(kind, ["x", "half", "zero", "bits"], ["a"], domain=domain, signed=1, narrow=0, rounding_mode="ROUND"),
             helper.make_node("BipolarQuant", ["w", "one"], ["q"], domain=domain), node("Transpose", "q", "t", perm=[1, 0]),
             node("MatMul", "a t", "z"), node("Sub", "z mean", "s"), node("Div", "s std", "d"), node("Mul", "d gamma", "m"),
             node("Add", "m beta", "b"), helper.make_node("BipolarQuant", ["b", "one"], ["y"], domain=domain)]
    proto = model(nodes, [4, 6], constants, 9)
    proto.graph.input.extend(helper.make_tensor_value_info(name, FLOAT, np.shape(array)) for name, array in constants.items())
    graph, x = from_bytes(proto.SerializeToString(), "old.onnx"), ints(4, 6)
    assert [op.kind for op in graph.ops][:2] == ["Quant", "BipolarQuant"]
    assert [value.name for value in graph.inputs] == ["x"]
    del proto.graph.input[1:]
    for entry in proto.graph.node:
        if entry.domain:
            entry.domain = "qonnx.custom_op.general"
    np.testing.assert_array_equal(run(graph, x)["y"], qonnx_execute(proto, "x", x)["y"])


def test_operators_in_any_order() -> None:
    proto = model([node("Neg", "b", "y"), node("Relu", "a", "b"), node("Neg", "x", "a")], [1, 2])
    graph = from_bytes(proto.SerializeToString(), "unsorted")
    assert [op.outputs[0] for op in graph.ops] == ["a", "b", "y"]


def test_typed_data_fields() -> None:
    """Weights need not be raw bytes; narrow types and float16 share int32_data."""
    for element, values, dtype in ((1, [1.5, -2], "float32"), (11, [1.5, -2], "float64"), (7, [1, -2], "int64"), (3, [1, -2], "int8"),
                                   (2, [1, 255], "uint8"), (9, [1, 0], "bool"), (13, [1, 2**63], "uint64")):
        tensor = helper.make_tensor("c", element, [2], values)
        proto = model([node("Neg", "x")], [1, 2])
        proto.graph.initializer.append(tensor)
        found = from_bytes(proto.SerializeToString(), "typed").constants["c"]
        np.testing.assert_array_equal(found, np.array(values, dtype), strict=True)
    proto.graph.initializer[0].CopyFrom(TensorProto(name="c", data_type=10, dims=[1], int32_data=[0x3E00]))
    assert from_bytes(proto.SerializeToString(), "half").constants["c"].tolist() == [1.5]


def neg(shape: list[Any] | None = None, **tensor: Any) -> onnx.ModelProto:
    """A model of one Neg, with a constant c made from the fields `tensor`."""
    proto = model([node("Neg", "x")], shape or [1, 2])
    if tensor:
        proto.graph.initializer.append(TensorProto(**{"name": "c", "data_type": 1, "dims": [2], **tensor}))
    return proto


def with_node(**fields: Any) -> onnx.ModelProto:
    proto = neg()
    entry = proto.graph.node.add(name="odd", op_type="Relu", input=["x"], output=["z"])
    for name, value in fields.items():
        getattr(entry, name).append(value) if name == "attribute" else setattr(entry, name, value)
    return proto


REFUSED = [
    (neg(raw_data=b"\0" * 7), "8 bytes for 2 elements of float32, found 7"),
    (neg(float_data=[1, 2, 3]), "2 elements in float_data, found 3"),
    (neg(double_data=[1, 2]), "2 elements in float_data, found 0"),
    (neg(raw_data=b"\0" * 8, float_data=[1, 2]), "found it both"),
    (neg(float_data=[1, float("nan")]), "NaN"),
    (neg(float_data=[1, float("-inf")]), "infinity"),
    (neg(dims=[-1, -2], float_data=[1, 2]), "at least 0"),
    (neg(dims=[1] * 9, float_data=[1]), "at most 8 dimensions"),
    (neg(dims=[2**62, 4], float_data=[]), "expected 18446744073709551616 elements"),
    (neg(data_type=8, string_data=[b"a", b"b"]), "element type 8"),
    (neg(data_type=99), "element type 99"),
    (neg(data_type=2, int32_data=[1, 256]), r"fit uint8, found 1\.\.256"),
    (neg(data_type=9, raw_data=b"\1\2"), "bool bytes"),
    (neg(name="", float_data=[1, 2]), "name of 1 to 256 bytes, found 0"),
    (neg(name="n" * 257, float_data=[1, 2]), "found 257"),
    (neg(segment=TensorProto.Segment(begin=0, end=1), float_data=[1, 2]), "segment"),
    (with_node(op_type="Softmax"), "node 'odd'.*'Softmax' of domain ''"),
    (with_node(domain="com.evil"), "'Relu' of domain 'com.evil'"),
    (with_node(op_type="BipolarQuant"), "'BipolarQuant' of domain ''"),
    (with_node(op_type="Relu", domain="onnx.brevitas"), "domain 'onnx.brevitas'"),
    (with_node(attribute=helper.make_attribute("alpha", 1.0)), "Relu 'odd': unknown attribute 'alpha'"),
    (with_node(op_type="Dropout", attribute=helper.make_attribute("ratio", 0.5)), "unknown attribute 'ratio'"),
    (with_node(op_type="Flatten", attribute=helper.make_attribute("axis", 1.0)), "'axis' must be int"),
    (with_node(op_type="Flatten", attribute=helper.make_attribute("axis", [1])), "'axis' must be int"),
    (with_node(op_type="Gemm", attribute=helper.make_attribute("alpha", float("nan"))), "finite"),
    (with_node(op_type="Cast"), "expected the attribute 'to'"),
    (with_node(op_type="Constant"), "one output and one attribute"),
    (with_node(op_type="Constant", attribute=helper.make_attribute("value_string", b"x")), "dense tensor"),
    (with_node(op_type="Constant", attribute=helper.make_attribute("value_floats", [float("inf")])), "dense tensor or finite"),
    (model([node("Relu", "x", "a"), node("Relu", "x", "a"), node("Relu", "a")], [1, 2]), "'a' is there already"),
    (model([node("Relu", "x", "x")], [1, 2]), "'x' is there already"),
    (model([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b")], [1, 2]), "'add-node'.*cycle"),
    (model([node("Add", "x nowhere")], [1, 2]), "Add 'add-node'.*'nowhere'.*nothing writes it"),
    (model([node("Relu", "x", "z")], [1, 2]), "output 'y'.*none writes it"),
    (model([node("Relu", "x", "y z")], [1, 2]), "1 to 1 outputs, found 2"),
    (model([node("Dropout", "x r t")], [1, 2], {"r": np.float32(0.5), "t": np.array(True)}), "training"),
    (model([node("BatchNormalization", "x s s s s", "y m v sm sv")], [1, 2], {"s": ints(2)}), "1 to 1 outputs, found 5"),
    (model([node("Relu", "x")], [1, 2], opset=8), r"in 9\.\.25, found 8"),
    (model([node("Relu", "x")], [1, 2], opset=99), r"in 9\.\.25, found 99"),
    (model([], [1, 2]), "operators, found none"),
    (model([node("Relu", "x")], [1] * 9), "at most 8 dimensions"),
    (model([node("Relu", "x")], [1, 2], element=TensorProto.STRING), "element type 8"),
]


@pytest.mark.parametrize(("proto", "message"), REFUSED)
def test_refused_in_one_sentence(proto: onnx.ModelProto, message: str) -> None:
    refused(proto, message)


def test_several_inputs_are_refused() -> None:
    proto = model([node("Add", "x x2")], [1, 2])
    proto.graph.input.append(helper.make_tensor_value_info("x2", FLOAT, [1, 2]))
    refused(proto, "one graph input that isn't an initializer, found 'x', 'x2'")
    proto = model([node("Neg", "c")], [1, 2], {"c": ints(2), "x": ints(1, 2)})
    refused(proto, "found none")


def test_other_types_and_twice_the_same_are_refused() -> None:
    proto = neg(float_data=[1, 2])
    proto.graph.initializer.append(proto.graph.initializer[0])
    refused(proto, "one of this name, found two")
    proto = neg()
    proto.graph.input[0].type.Clear()
    refused(proto, "a tensor, found another type")
    proto = with_node(op_type="Flatten", attribute=helper.make_attribute("axis", 1))
    proto.graph.node[1].attribute.append(helper.make_attribute("axis", 1))
    refused(proto, "one attribute 'axis', found two")
    proto = neg()
    proto.opset_import.append(helper.make_opsetid("ai.onnx", 17))
    refused(proto, "one ONNX opset version")


def test_missing_and_other_files(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.onnx", "No such file"), (tmp_path, "regular file")):
        with pytest.raises(ModelError, match=message):
            load(path)


def test_every_truncation_is_refused_or_a_smaller_model() -> None:
    """No prefix of a file crashes the reader, and no changed byte does."""
    data = model([node("Conv", "x w")], [1, 2, 3, 3], {"w": ints(2, 2, 2, 2)}).SerializeToString()
    for size in range(len(data)):
        with pytest.raises(ModelError):
            from_bytes(data[:size], "cut")
    for position in range(len(data)):
        for flip in (1, 0x80, 0xFF):
            changed = bytearray(data)
            changed[position] ^= flip
            try:
                from_bytes(bytes(changed), "changed")
            except ModelError:
                pass

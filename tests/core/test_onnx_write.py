"""Files that we write: the same bytes every time, what qonnx expects, and the same graph when read back."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import one_op, qonnx_run

from bwnhw.element_types import DTYPES
from bwnhw.errors import ModelError
from bwnhw.float_exec import run
from bwnhw.graph import Graph, Op, Value
from bwnhw.onnx_read import from_bytes, load
from bwnhw.onnx_write import save, to_bytes

RANDOM = np.random.default_rng(2)


def small() -> Graph:
    """Two quantisers, a codebook, an annotation, a scalar: one of each thing that a file holds."""
    constants = {"one": np.float32(1), "book": RANDOM.choice([-1, 1], (4, 3, 3)).astype(np.float32),
                 "index": RANDOM.integers(0, 4, (5, 2), np.uint8), "bits": np.float32(2), "zero": np.float32(0)}
    ops = (Op("BipolarQuant", "first", ("x", "one"), ("a",)), Op("Cast", "", ("index",), ("i",), {"to": 7}),
           Op("Gather", "book", ("book", "i"), ("w",), {"axis": 0}),
           Op("Conv", "conv", ("a", "w"), ("z",), {"pads": (1, 1, 1, 1), "kernel_shape": (3, 3)}),
           Op("Quant", "act", ("z", "one", "zero", "bits"), ("y",), {"signed": 0, "narrow": 0, "rounding_mode": "ROUND"}))
    return Graph(ops, (Value("x", (0, 2, 4, 4), "float32", "INT4"),), (Value("y", (0, 5, 4, 4), "float32", "UINT2"),), constants)


def test_bytes_do_not_depend_on_the_order_of_constants_and_attributes() -> None:
    graph = small()
    shuffled = Graph(tuple(Op(op.kind, op.name, op.inputs, op.outputs, dict(reversed(op.attrs.items()))) for op in graph.ops),
                     graph.inputs, graph.outputs, dict(reversed(graph.constants.items())))
    assert to_bytes(graph) == to_bytes(shuffled)
    before = to_bytes(graph)
    graph.constants["book"][0, 0, 0] *= -1
    assert to_bytes(graph) != before


def test_bytes_are_those_of_the_first_release() -> None:
    graph = one_op("Clip", (0, 2), (np.float32(0), np.float32(1)))
    assert hashlib.sha256(to_bytes(graph)).hexdigest() == "aeb4b8180cb4a82dbffb82ca0706ae7441aacf5618637542fe7f6bd25dcf216c"


def test_read_back_is_written_the_same() -> None:
    data = to_bytes(small())
    graph = from_bytes(data, "small")
    assert to_bytes(graph) == data
    assert graph.inputs[0] == Value("x", (0, 2, 4, 4), "float32", "INT4")
    assert graph.outputs[0].datatype == "UINT2"
    assert graph.constants["one"].shape == () and graph.constants["index"].dtype == np.uint8
    assert not any(array.flags.writeable for array in graph.constants.values())


def test_qonnx_executes_it() -> None:
    graph, x = small(), RANDOM.integers(-8, 8, (3, 2, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(run(graph, x)["y"], qonnx_run(graph, x)["y"])


def test_header_says_opset_17_and_qonnx_2() -> None:
    proto = onnx.load_from_string(to_bytes(small()))
    assert {(entry.domain, entry.version) for entry in proto.opset_import} == {("", 17), ("qonnx.custom_op.general", 2)}
    assert {node.domain for node in proto.graph.node} == {"", "qonnx.custom_op.general"}
    assert proto.graph.quantization_annotation[0].quant_parameter_tensor_names[0].key == "finn_datatype"
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["float32", "float64", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]),
       st.lists(st.integers(0, 3), max_size=4))
def test_constants_of_every_type_come_back(dtype: str, shape: list[int]) -> None:
    array = RANDOM.integers(0, 100, shape).astype(dtype)
    graph = Graph((Op("Identity", "", ("x",), ("y",)), Op("Identity", "", ("c",), ("z",))), (Value("x", (1, 1), "float32"),),
                  (Value("y", (1, 1), "float32"),), {"c": array})
    back = from_bytes(to_bytes(graph), "constants").constants["c"]
    np.testing.assert_array_equal(back, array, strict=True)


def test_big_endian_arrays_are_written_alike() -> None:
    graph, other = (one_op("Add", (1, 2), (np.array([1, 2], dtype),)) for dtype in ("<f4", ">f4"))
    assert to_bytes(graph) == to_bytes(other)


@pytest.mark.parametrize(("graph", "message"), [
    (one_op("Neg", (1, 2), fast=1), "unknown attribute 'fast'"),
    (one_op("Softmax", (1, 2)), "'Softmax'"),
    (one_op("Cast", (1, 2)), "attribute 'to'"),
    (one_op("Cast", (1, 2), to=1.0), "'to' must be int"),
    (one_op("MatMul", (1, 2)), "2 to 2 inputs, found 1"),
    (one_op("Add", (1, 2), (np.array(["a"]),)), "numeric or bool"),
    (one_op("Add", (1, 2), (np.array([1j]),)), "numeric or bool"),
    (one_op("Add", (1, 2), (None,)), "empty one"),
])
def test_what_onnx_has_not_is_refused(graph: Graph, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        to_bytes(graph)


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    save(small(), path)
    assert to_bytes(load(path)) == path.read_bytes()
    with pytest.raises(ModelError):
        save(one_op("Softmax", (1, 2)), path)
    assert to_bytes(load(path)) == path.read_bytes() and list(tmp_path.iterdir()) == [path]


def test_element_types_are_onnx_own() -> None:
    assert {number: onnx.helper.tensor_dtype_to_np_dtype(number) for number in DTYPES} == DTYPES


def test_execution_needs_no_onnx() -> None:
    """Only reading and writing files imports onnx."""
    code = "import sys, bwnhw.simplify, bwnhw.float_exec, bwnhw.images; print('onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True).stdout == "False\n"

"""Each pass keeps what the graph computes, brings it into the promised form, and changes nothing the second time."""

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from oracle import one_op, qonnx_run

from bwnhw.errors import ModelError
from bwnhw.float_exec import run
from bwnhw.graph import Graph, Op, Value
from bwnhw.onnx_write import to_bytes
from bwnhw.simplify import PASSES, simplify

RANDOM = np.random.default_rng(4)
F32, I64 = np.float32, np.int64


def ints(*shape: int) -> np.ndarray:
    return RANDOM.integers(-8, 9, shape).astype(F32)


def graph(shape: tuple[int, ...], *ops: tuple[Any, ...], dtype: str = "float32", **constants: Any) -> Graph:
    """Operators as (kind, inputs, outputs, attributes); the last one writes the graph output."""
    made = tuple(Op(kind, f"n{index}", tuple(inputs.split()), tuple(outputs.split()), MappingProxyType(dict(*attrs)))
                 for index, (kind, inputs, outputs, *attrs) in enumerate(ops))
    return Graph(made, (Value("x", shape, dtype),), (Value(made[-1].outputs[0], (), "float32"),),
                 {name: np.asarray(array) for name, array in constants.items()})


def kinds(found: Graph) -> list[str]:
    return [op.kind for op in found.ops]


def simplified(before: Graph, batch: int = 3) -> Graph:
    """`simplify`, with the promises that hold for every graph: same values, any batch, idempotent, input untouched."""
    data = to_bytes(before)
    after = simplify(before)
    assert to_bytes(before) == data
    assert to_bytes(simplify(after)) == to_bytes(after)
    fixed = before.inputs[0].shape
    x = RANDOM.integers(0, 9, (batch, *fixed[1:]))
    if fixed[0] <= 1:
        expected = np.concatenate([run(before, image[None])[before.outputs[0].name] for image in x])
    else:
        expected = run(before, x[:fixed[0]])[before.outputs[0].name]
        x = x[:fixed[0]]
    np.testing.assert_array_equal(run(after, x)[after.outputs[0].name], expected)
    np.testing.assert_array_equal(qonnx_run(after, x)[after.outputs[0].name], expected)
    assert after.inputs[0].shape[0] == 0
    return after


def test_every_pass_is_idempotent_on_a_graph_that_needs_them_all() -> None:
    found = graph((0, 2, 6, 6), ("Cast", "x", "f", {"to": 1}), ("Pad", "f p", "g"), ("Identity", "cw", "w"), ("Conv", "g w", "h"),
                  ("ReduceMean", "h", "m", {"axes": (2, 3), "keepdims": 1}), ("Shape", "m", "s"), ("Gather", "s zero", "n", {"axis": 0}),
                  ("Unsqueeze", "n zeros", "u"), ("Concat", "u minus", "target", {"axis": 0}), ("Reshape", "m target", "r"),
                  ("BipolarQuant", "lw one", "q"), ("Gemm", "r q b", "y", {"transB": 1}),
                  dtype="uint8", p=I64([0, 0, 1, 0, 0, 0, 1, 1]), cw=ints(4, 2, 3, 2), zero=I64(0), zeros=I64([0]), minus=I64([-1]),
                  lw=ints(5, 4), one=F32(1), b=ints(5))
    for run_pass in PASSES:
        found = run_pass(found)
        assert to_bytes(run_pass(found)) == to_bytes(found), run_pass.__name__
    assert kinds(found) == ["Conv", "GlobalAveragePool", "Flatten", "BipolarQuant", "MatMul", "Add"]


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (1, 3, 4, 5), (2, 3, 4, 5)])
def test_dynamic_batch_reshape(shape: tuple[int, ...]) -> None:
    """Shape, Gather, Unsqueeze, Concat, Reshape, as torch writes x.view(x.size(0), -1)."""
    after = simplified(graph(shape, ("Shape", "x", "s"), ("Gather", "s zero", "n", {"axis": 0}), ("Unsqueeze", "n zeros", "u"),
                             ("Concat", "u minus", "target", {"axis": 0}), ("Reshape", "x target", "y"),
                             zero=I64(0), zeros=I64([0]), minus=I64([-1])))
    assert kinds(after) == ["Flatten"] and not after.constants


def test_dynamic_batch_reshape_by_slice() -> None:
    after = simplified(graph((0, 3, 4), ("Shape", "x", "s", {"start": 0, "end": 2}), ("Slice", "s a b", "n"), ("Cast", "n", "c", {"to": 7}),
                             ("Concat", "c d", "t", {"axis": 0}), ("Reshape", "x t", "y"), a=I64([0]), b=I64([1]), d=I64([2, 6])))
    assert kinds(after) == ["Reshape"] and after.constants[after.ops[0].inputs[1]].tolist() == [0, 2, 6]


@pytest.mark.parametrize(("ops", "constants", "expected"), [
    ([("Identity", "x", "a"), ("Dropout", "a", "b"), ("Neg", "b", "c"), ("Identity", "c", "y")], {}, ["Neg"]),
    ([("Cast", "x", "a", {"to": 1}), ("Neg", "a", "y")], {}, ["Neg"]),
    ([("Reshape", "x t", "a"), ("Flatten", "a", "b"), ("Neg", "b", "y")], {"t": I64([0, 6, 10])}, ["Flatten", "Neg"]),
    ([("Reshape", "x t", "a"), ("Reshape", "a u", "b"), ("Neg", "b", "y")], {"t": I64([1, 60]), "u": I64([1, 3, 4, 5])}, ["Neg"]),
    ([("Unsqueeze", "x t", "a"), ("Squeeze", "a t", "b"), ("Neg", "b", "y")], {"t": I64([2])}, ["Neg"]),
    ([("Transpose", "x", "a", {"perm": (0, 2, 3, 1)}), ("Transpose", "a", "b", {"perm": (0, 3, 1, 2)}), ("Neg", "b", "y")], {}, ["Neg"]),
    ([("Transpose", "x", "a", {"perm": (0, 2, 3, 1)}), ("Neg", "a", "y")], {}, ["Transpose", "Neg"]),
    ([("GlobalAveragePool", "x", "a"), ("Transpose", "a", "b", {"perm": (0, 2, 3, 1)}), ("Flatten", "b", "y")], {},
     ["GlobalAveragePool", "Flatten"]),
    ([("ReduceMean", "x", "a", {"axes": (3, 2), "keepdims": 0}), ("Neg", "a", "y")], {}, ["GlobalAveragePool", "Flatten", "Neg"]),
    ([("ReduceMean", "x", "a", {"axes": (-1, -2)}), ("Neg", "a", "y")], {}, ["GlobalAveragePool", "Neg"]),
    ([("ReduceMean", "x", "a", {"axes": (1,)}), ("Neg", "a", "y")], {}, ["ReduceMean", "Neg"]),
    ([("Neg", "x", "dead"), ("Relu", "x", "y")], {"unused": ints(3)}, ["Relu"]),
    ([("Pad", "x p v", "a"), ("Conv", "a w", "y", {"pads": (1, 0, 0, 0)})],
     {"p": I64([0, 0, 1, 2, 0, 0, 0, 1]), "v": F32(0), "w": ints(2, 3, 2, 2)}, ["Conv"]),
    ([("Pad", "x p v", "a"), ("Conv", "a w", "y")], {"p": I64([0, 0, 1, 2, 0, 0, 0, 1]), "v": F32(1), "w": ints(2, 3, 2, 2)},
     ["Pad", "Conv"]),
    ([("Pad", "x p", "a"), ("Conv", "a w", "y")], {"p": I64([0, 1, 0, 0, 0, 0, 0, 0]), "w": ints(2, 4, 2, 2)}, ["Pad", "Conv"]),
    ([("Pad", "x p", "a"), ("MaxPool", "a", "y", {"kernel_shape": (2, 2)})], {"p": I64([0, 0, 1, 0, 0, 0, 0, 0])}, ["Pad", "MaxPool"]),
])
def test_forms(ops: list[tuple[Any, ...]], constants: dict[str, Any], expected: list[str]) -> None:
    assert kinds(simplified(graph((0, 3, 4, 5), *ops, **constants))) == expected


@pytest.mark.parametrize("attrs", [{"transB": 1}, {"transB": 1, "alpha": 0.5, "beta": 2.0}, {}])
@pytest.mark.parametrize("bias", [True, False])
def test_gemm(attrs: dict[str, Any], bias: bool) -> None:
    found = graph((1, 6), ("BipolarQuant", "w s", "q"), ("Gemm", "x q b" if bias else "x q", "y", attrs),
                  w=ints(4, 6) if attrs else ints(6, 4), s=F32(0.25), b=ints(4))
    after = simplified(found)
    scaled = ["Mul"] if "alpha" in attrs else []
    assert kinds(after) == ["BipolarQuant", "MatMul", *scaled, *(["Add"] if bias else [])]
    assert after.constants[after.ops[0].inputs[0]].shape == (6, 4)


def test_gemm_with_a_bias_that_beta_rounds() -> None:
    found = graph((1, 2), ("Gemm", "x w b", "y", {"beta": 0.1}), w=ints(2, 2), b=F32([0.1, 3]))
    with pytest.raises(ModelError, match="Gemm 'n0'.*beta"):
        simplify(found)


@pytest.mark.parametrize("scale", [F32(0.5), F32([[1], [2], [4], [8]]), F32([1, 2, 4, 8, 16, 32])])
def test_transpose_goes_before_a_quantiser_of_a_constant(scale: np.ndarray) -> None:
    """Weights [out, in] behind Transpose, with one scale, one per row or one per column."""
    after = simplified(graph((1, 6), ("Quant", "w s z bits", "q", {"signed": 1, "narrow": 1}), ("Transpose", "q", "t"),
                             ("MatMul", "x t", "y"), w=ints(4, 6), s=scale, z=F32(0), bits=F32(3)))
    assert kinds(after) == ["Quant", "MatMul"]
    weights, scales = (after.constants[name] for name in after.ops[0].inputs[:2])
    assert weights.shape == (6, 4) and np.broadcast_shapes(scales.shape, (6, 4)) == (6, 4)


def test_reshape_of_quantised_weights() -> None:
    after = simplified(graph((1, 6), ("BipolarQuant", "w s", "q"), ("Reshape", "q t", "r"), ("MatMul", "x r", "y"),
                             w=ints(4, 6, 1), s=F32([0.5]), t=I64([6, 4])))
    assert kinds(after) == ["BipolarQuant", "MatMul"]
    per_row = graph((1, 6), ("BipolarQuant", "w s", "q"), ("Reshape", "q t", "r"), ("MatMul", "x r", "y"),
                    w=ints(4, 6, 1), s=F32([1, 2, 3, 4]).reshape(4, 1, 1), t=I64([6, 4]))
    assert kinds(simplified(per_row)) == ["BipolarQuant", "Reshape", "MatMul"]


def test_codebook_and_index_stay_apart() -> None:
    after = simplified(graph((1, 2, 4, 4), ("Cast", "index", "i", {"to": 7}), ("Gather", "book i", "w"),
                             ("Conv", "x w", "y"), index=RANDOM.integers(0, 3, (40, 2), np.uint8), book=ints(3, 3, 3)))
    assert kinds(after) == ["Gather", "Conv"]
    book, index = (after.constants[name] for name in after.ops[0].inputs)
    assert book.shape == (3, 3, 3) and index.shape == (40, 2) and index.dtype == np.int64


def test_integer_input_behind_a_cast_becomes_an_annotated_float() -> None:
    found = graph((1, 3), ("Cast", "x", "f", {"to": 1}), ("Neg", "f", "y"), dtype="uint8")
    assert simplified(found).inputs[0] == Value("x", (0, 3), "float32", "UINT8")
    wide = graph((1, 3), ("Cast", "x", "f", {"to": 1}), ("Neg", "f", "y"), dtype="int64")  # a float32 can't hold every int64
    assert kinds(simplify(wide)) == ["Cast", "Neg"]


@pytest.mark.parametrize(("kind", "attrs", "pads"), [
    ("Conv", {"auto_pad": "SAME_UPPER", "strides": (2, 2)}, (0, 0, 1, 1)),
    ("Conv", {"auto_pad": "SAME_LOWER"}, (1, 1, 1, 1)),
    ("Conv", {}, (0, 0, 0, 0)),
    ("MaxPool", {"kernel_shape": (3, 3), "auto_pad": "SAME_UPPER", "strides": (2, 2)}, (0, 0, 1, 1)),
    ("AveragePool", {"kernel_shape": (3, 3), "count_include_pad": 1}, (0, 0, 0, 0)),
    ("MaxPool", {"kernel_shape": (3, 3), "ceil_mode": 1, "storage_order": 0}, (0, 0, 0, 0)),
])
def test_windows_are_explicit(kind: str, attrs: dict[str, Any], pads: tuple[int, ...]) -> None:
    inputs, constants = ("x w", {"w": ints(4, 3, 3, 3)}) if kind == "Conv" else ("x", {})
    (op,) = simplified(graph((0, 3, 4, 4), (kind, inputs, "y", attrs), **constants)).ops
    assert op.attrs["kernel_shape"] == (3, 3) and op.attrs["pads"] == pads and "auto_pad" not in op.attrs and "ceil_mode" not in op.attrs
    assert op.attrs["strides"] == attrs.get("strides", (1, 1))


@pytest.mark.parametrize("found", [
    one_op("Transpose", (0, 4), perm=(1, 0)), one_op("Reshape", (1, 4), (I64([4, 1]),)), one_op("Add", (0, 4), (ints(3, 4),)),
    one_op("Squeeze", (1, 1, 4)), one_op("ReduceMean", (1, 4), axes=(0,), keepdims=0), one_op("Add", (0, 4), (ints(1, 3, 4),))],
    ids=lambda found: found.ops[0].kind)
def test_operators_that_mix_images_are_refused(found: Graph) -> None:
    with pytest.raises(ModelError, match="'node'.*(every image of a batch for itself|with a batch of one image or two)"):
        simplify(found)


def test_names_that_passes_make_do_not_collide() -> None:
    found = graph((1, 2), ("Neg", "x", "y.product"), ("Gemm", "y.product w b", "y", {"alpha": 2.0}),
                  ("Add", "y y.alpha", "z"), w=ints(2, 2), b=ints(2), **{"y.alpha": ints(2)})
    assert kinds(simplified(found)) == ["Neg", "MatMul", "Mul", "Add", "Add"]

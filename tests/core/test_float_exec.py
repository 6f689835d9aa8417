"""The float executor and shape inference against qonnx and onnxruntime, on inputs that float32 holds exactly: equal, not close."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracle import one_op, qonnx_run

from bwnhw.errors import ImageError, ModelError
from bwnhw.float_exec import run
from bwnhw.float_ops import quant_range
from bwnhw.graph import Graph, Op, Value
from bwnhw.ops import OPS
from bwnhw.shapes import infer_shapes

RANDOM = np.random.default_rng(1)
F32, I64 = np.float32, np.int64


def ints(*shape: int) -> np.ndarray:
    return RANDOM.integers(-8, 9, shape).astype(F32)


def check(graph: Graph, x: np.ndarray) -> None:
    """Every output of every operator equals the oracle's, in value, shape and dtype, and has the shape that was inferred."""
    ours, theirs, shapes = run(graph, x), qonnx_run(graph, x), infer_shapes(graph, len(x))
    for op in graph.ops:
        for name in op.outputs:
            assert ours[name].shape == shapes[name]
            assert ours[name].dtype == theirs[name].dtype
            np.testing.assert_array_equal(ours[name], theirs[name], strict=True)


CASES = [
    (one_op("MatMul", (2, 6), (ints(6, 4),)), (2, 6)),
    (one_op("MatMul", (2, 3, 6), (ints(6, 4),)), (2, 3, 6)),
    (one_op("Gemm", (2, 6), (ints(4, 6), ints(4)), transB=1, alpha=0.5, beta=2.0), (2, 6)),
    (one_op("Gemm", (2, 6), (ints(6, 4),)), (2, 6)),
    (one_op("Gemm", (6, 2), (ints(6, 4), ints(1, 4)), transA=1), (6, 2)),
    (one_op("Conv", (2, 3, 7, 6), (ints(4, 3, 3, 2), ints(4)), pads=(0, 1, 2, 0), strides=(2, 1)), (2, 3, 7, 6)),
    (one_op("Conv", (2, 4, 7, 6), (ints(6, 2, 3, 3),), group=2, dilations=(2, 1), kernel_shape=(3, 3)), (2, 4, 7, 6)),
    (one_op("Conv", (1, 1, 7, 6), (ints(2, 1, 3, 3),), auto_pad="SAME_UPPER", strides=(2, 3)), (1, 1, 7, 6)),
    (one_op("Conv", (1, 1, 7, 6), (ints(2, 1, 2, 3),), auto_pad="SAME_LOWER", strides=(2, 2)), (1, 1, 7, 6)),
    (one_op("Conv", (1, 1, 7, 6), (ints(2, 1, 3, 3),), auto_pad="VALID"), (1, 1, 7, 6)),
    (one_op("BatchNormalization", (3, 2, 2, 2), (F32([2, -3]), F32([1, 0]), F32([4, -1]), F32([3, 15])), epsilon=1.0), (3, 2, 2, 2)),
    (one_op("BatchNormalization", (3, 2), (F32([2, 0]), F32([1, 0]), F32([4, -1]), F32([3, 15])), epsilon=1.0), (3, 2)),
    (one_op("Mul", (2, 3, 4, 4), (ints(3, 1, 1),)), (2, 3, 4, 4)),
    (one_op("Div", (2, 3), (F32([2, 4, -8]),)), (2, 3)),
    (one_op("Div", (2, 3), (np.array([2, 3, -5]),), dtype="int64"), (2, 3)),
    (one_op("Add", (2, 3), (ints(3),)), (2, 3)),
    (one_op("Sub", (2, 3), (ints(2, 1),)), (2, 3)),
    (one_op("Pow", (2, 3), (F32(2),)), (2, 3)),
    (one_op("Neg", (2, 3)), (2, 3)),
    (one_op("Relu", (2, 3)), (2, 3)),
    (one_op("Clip", (2, 3), (F32(-1), F32(1))), (2, 3)),
    (one_op("Clip", (2, 3), (None, F32(3))), (2, 3)),
    (one_op("Clip", (2, 3), (F32(0),)), (2, 3)),
    (one_op("MaxPool", (2, 3, 7, 6), kernel_shape=(3, 2), strides=(2, 2), pads=(1, 0, 1, 1)), (2, 3, 7, 6)),
    (one_op("MaxPool", (2, 3, 7, 6), kernel_shape=(2, 2), dilations=(2, 3)), (2, 3, 7, 6)),
    (one_op("MaxPool", (2, 3, 7, 6), kernel_shape=(3, 3), strides=(2, 2), auto_pad="SAME_UPPER"), (2, 3, 7, 6)),
    (one_op("MaxPool", (2, 3, 6, 6), kernel_shape=(2, 2), strides=(2, 2), ceil_mode=1), (2, 3, 6, 6)),
    (one_op("AveragePool", (2, 3, 7, 6), kernel_shape=(2, 4)), (2, 3, 7, 6)),
    (one_op("AveragePool", (2, 3, 4, 6), kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0), count_include_pad=1), (2, 3, 4, 6)),
    (one_op("AveragePool", (2, 3, 8, 8), kernel_shape=(4, 2), pads=(2, 1, 2, 1), strides=(2, 2), count_include_pad=1), (2, 3, 8, 8)),
    (one_op("AveragePool", (2, 3, 8, 8), kernel_shape=(4, 2), pads=(2, 0, 2, 0), strides=(2, 2)), (2, 3, 8, 8)),
    (one_op("GlobalAveragePool", (2, 3, 4, 8)), (2, 3, 4, 8)),
    (one_op("GlobalMaxPool", (2, 3, 4, 8)), (2, 3, 4, 8)),
    (one_op("ReduceMean", (2, 3, 4, 8), axes=(2, -1), keepdims=0), (2, 3, 4, 8)),
    (one_op("ReduceMean", (2, 4, 8), axes=(1,)), (2, 4, 8)),
    (one_op("ReduceMean", (2, 4)), (2, 4)),
    (one_op("Flatten", (2, 3, 4, 5)), (2, 3, 4, 5)),
    (one_op("Flatten", (2, 3, 4, 5), axis=-1), (2, 3, 4, 5)),
    (one_op("Flatten", (2, 3), axis=0), (2, 3)),
    (one_op("Reshape", (2, 3, 4), (I64([0, -1]),)), (2, 3, 4)),
    (one_op("Reshape", (2, 3, 4), (I64([4, 1, 6]),), allowzero=1), (2, 3, 4)),
    (one_op("Transpose", (2, 3, 4), perm=(0, 2, 1)), (2, 3, 4)),
    (one_op("Transpose", (2, 3, 4)), (2, 3, 4)),
    (one_op("Squeeze", (2, 1, 4, 1), (I64([1, -1]),)), (2, 1, 4, 1)),
    (one_op("Squeeze", (2, 1, 4, 1)), (2, 1, 4, 1)),
    (one_op("Unsqueeze", (2, 4), (I64([3, 1]),)), (2, 4)),
    (one_op("TopK", (6, 9), (I64([3]),), outputs=2), (6, 9)),
    (one_op("TopK", (6, 9), (I64([2]),), outputs=2, axis=0, largest=0), (6, 9)),
    (one_op("ArgMax", (6, 9), axis=1), (6, 9)),
    (one_op("ArgMax", (6, 9), axis=-1, keepdims=0, select_last_index=1), (6, 9)),
    (one_op("Identity", (2, 3)), (2, 3)),
    (one_op("Dropout", (2, 3)), (2, 3)),
    (one_op("Gather", (2, 6), (I64([[3, -1], [0, 0]]),), axis=1), (2, 6)),
    (one_op("Pad", (2, 3, 4, 4), (I64([0, 0, 1, 2, 0, 0, 0, 1]),)), (2, 3, 4, 4)),
    (one_op("Pad", (2, 3), (I64([0, 1, 0, 2]), F32(7))), (2, 3)),
    (one_op("Slice", (4, 6), (I64([1, -1]), I64([4, -9]), I64([0, 1]), I64([2, -2]))), (4, 6)),
    (one_op("Slice", (4, 6), (I64([1]), I64([99]))), (4, 6)),
    (one_op("Concat", (2, 3), (ints(2, 4),), axis=1), (2, 3)),
    (one_op("BipolarQuant", (2, 3, 2, 2), (F32(0.5),)), (2, 3, 2, 2)),
    (one_op("BipolarQuant", (2, 3, 2, 2), (np.arange(1, 4, dtype=F32).reshape(1, 3, 1, 1),)), (2, 3, 2, 2)),
]


@pytest.mark.parametrize(("graph", "shape"), CASES, ids=[f"{index}-{graph.ops[0].kind}" for index, (graph, _) in enumerate(CASES)])
def test_operator_equals_onnxruntime(graph: Graph, shape: tuple[int, ...]) -> None:
    check(graph, ints(*shape))


@pytest.mark.parametrize("kind", ["Sqrt", "Reciprocal"])
def test_operators_on_powers_of_two(kind: str) -> None:
    check(one_op(kind, (1, 5)), 4.0 ** np.arange(-2, 3, dtype=F32)[None])


@pytest.mark.parametrize(("source", "to"), [("float32", "int64"), ("float32", "uint8"), ("uint8", "float32"), ("float32", "bool")])
def test_cast(source: str, to: str) -> None:
    number = {"int64": 7, "uint8": 2, "float32": 1, "bool": 9}[to]
    graph = one_op("Cast", (1, 4), dtype=source, to=number)
    graph = Graph(graph.ops, graph.inputs, (Value("y0", (), to),), graph.constants)
    check(graph, F32([[0, 1, 2.75, 200]]))


def test_every_operator_is_compared() -> None:
    compared = {graph.ops[0].kind for graph, _ in CASES} | {"Sqrt", "Reciprocal", "Cast", "Quant"}
    assert compared == set(OPS) - {"Shape"}  # test_simplify executes that in shape arithmetic


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_quant_equals_qonnx(data: st.DataObject) -> None:
    """All modes, widths, signs and ranges; the inputs are full of ties and of values beyond the range."""
    bits = data.draw(st.integers(1, 8))
    signed, narrow = data.draw(st.integers(0, 1)), data.draw(st.integers(0, 1))
    mode = data.draw(st.sampled_from(["ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN", "Round"]))
    scale = F32(data.draw(st.sampled_from([1, 0.5, 0.25, 3, 0.1, 0.007])))
    zero = F32(data.draw(st.sampled_from([0, 0, 0, 1, 0.5, -2])))
    x = data.draw(hnp.arrays(F32, (2, 9), elements=st.integers(-600, 600).map(lambda v: v / 4))) * scale
    check(one_op("Quant", x.shape, (scale, zero, F32(bits)), signed=signed, narrow=narrow, rounding_mode=mode), x)


def sees_pixels(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> bool:
    """Whether every window of a row has a tap in the image: the greatest of padding alone is left open by ONNX."""
    starts = range(-before, size + after - (kernel - 1) * dilation, stride)
    return all(any(0 <= start + tap * dilation < size for tap in range(kernel)) for start in starts)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_windows_equal_onnxruntime(data: st.DataObject) -> None:
    """Conv and pools with any kernel, stride, dilation and asymmetric pads."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, strides, dilations = data.draw(pair), data.draw(pair), data.draw(pair)
    pads = data.draw(st.tuples(*[st.integers(0, 2)] * 4))
    shape = (2, 2, data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8)))
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
    assume(all(shape[2 + axis] + pads[axis] + pads[axis + 2] >= reach[axis] for axis in (0, 1)))
    attrs = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    if data.draw(st.booleans()):
        check(one_op("Conv", shape, (ints(3, 2, *kernel),), **attrs), ints(*shape))
    else:
        assume(all(pad < kernel[axis % 2] for axis, pad in enumerate(pads)))
        rows, columns = zip(shape[2:], kernel, strides, dilations, pads[:2], pads[2:], strict=True)
        assume(sees_pixels(*rows) and sees_pixels(*columns))
        check(one_op("MaxPool", shape, **attrs), ints(*shape))


def test_bipolar_of_zero_and_negative_zero_is_plus_one() -> None:
    graph = one_op("BipolarQuant", (1, 3), (F32(1),))
    assert run(graph, F32([[0.0, -0.0, -1e-45]]))["y0"].tolist() == [[1, 1, -1]]
    check(graph, F32([[0.0, -0.0, -1e-45]]))


def test_quant_ranges() -> None:
    assert quant_range(8, True, True) == (-127, 127)
    assert quant_range(8, True, False) == (-128, 127)
    assert quant_range(8, False, True) == (0, 254)
    assert quant_range(2, True, True) == (-1, 1)  # ternary
    assert quant_range(1, False, False) == (0, 1)


def test_chosen_tensors_only() -> None:
    ops = (Op("Neg", "a", ("x",), ("p",)), Op("Relu", "b", ("p",), ("q",)), Op("Add", "c", ("q", "x"), ("y",)))
    graph = Graph(ops, (Value("x", (0, 2), "float32"),), (Value("y", (0, 2), "float32"),), {})
    assert run(graph, F32([[1, -2]]), {"q", "x"}).keys() == {"q", "x"}
    assert run(graph, F32([[1, -2]])).keys() == {"x", "p", "q", "y"}
    assert run(graph, F32([[1, -2]]))["y"].tolist() == [[1, 0]]


@pytest.mark.parametrize("shape", [(2,), (2, 5), (0, 3), ()])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=r"expected shape \('N', 3\)"):
        run(one_op("Neg", (0, 3)), np.zeros(shape))


def test_a_fixed_batch_is_kept() -> None:
    with pytest.raises(ImageError, match="with N = 2"):
        run(one_op("Neg", (2, 3)), np.zeros((5, 3)))


MISFITS = [
    (one_op("MatMul", (1, 6), (ints(5, 4),)), "expected matrices"),
    (one_op("Gemm", (1, 6), (ints(5, 4),)), "inner dimension of 6"),
    (one_op("Gemm", (1, 6), (ints(6, 4), ints(5))), "broadcast"),
    (one_op("Conv", (1, 3, 4, 4), (ints(2, 2, 3, 3),)), "3 input channels"),
    (one_op("Conv", (1, 3, 2, 2), (ints(2, 3, 3, 3),)), "fits into"),
    (one_op("Conv", (1, 3, 4, 4), (ints(2, 3, 3, 3), ints(3))), "bias of shape"),
    (one_op("Conv", (1, 3, 4, 4), (ints(2, 3, 3, 3),), kernel_shape=(2, 2)), "kernel_shape of"),
    (one_op("Conv", (1, 3, 4, 4), (ints(2, 3, 3, 3),), strides=(0, 1)), "strides to be 2 numbers of at least 1"),
    (one_op("Conv", (1, 3, 4, 4), (ints(2, 3, 3, 3),), pads=(1, 1)), "pads to be 4 numbers"),
    (one_op("Conv", (1, 3, 4, 4), (ints(2, 3, 3, 3),), auto_pad="SAME"), "auto_pad"),
    (one_op("Conv", (1, 3, 9), (ints(2, 3, 3),)), "maps"),
    (one_op("MaxPool", (1, 3, 5, 5), kernel_shape=(2, 2), strides=(2, 2), ceil_mode=1), "ceil_mode"),
    (one_op("MaxPool", (1, 3, 5, 5), kernel_shape=(2, 2), pads=(2, 0, 0, 0)), "smaller than the kernel"),
    (one_op("BatchNormalization", (1, 3), (ints(2),) * 4), r"shape \(3,\)"),
    (one_op("BatchNormalization", (1, 3), (ints(3), ints(3), ints(3), F32([1, -1, 1]))), "above 0"),
    (one_op("Mul", (1, 3), (ints(4),)), "broadcast"),
    (one_op("Reshape", (1, 3), (I64([2, 2]),)), "target for the 3 elements"),
    (one_op("Reshape", (1, 3), (I64([-1, -1]),)), "target"),
    (one_op("Transpose", (1, 3), perm=(0, 0)), "permutation"),
    (one_op("Squeeze", (1, 3), (I64([1]),)), "size 1"),
    (one_op("Unsqueeze", (1, 3), (I64([7]),)), "axes in"),
    (one_op("TopK", (1, 3), (I64([4]),), outputs=2), r"k in 1\.\.3"),
    (one_op("Gather", (1, 3), (I64([3]),), axis=1), r"indices in 0\.\.2"),
    (one_op("Pad", (1, 3), (I64([0, 1]),)), "pads of at least 0"),
    (one_op("Pad", (1, 3), (I64([0, 1, 0, -1]),)), "pads of at least 0"),
    (one_op("Concat", (1, 3), (ints(2, 3),), axis=1), "shapes equal"),
    (one_op("BipolarQuant", (1, 3), (F32(0),)), "scale above 0"),
    (one_op("BipolarQuant", (1, 3), (F32([[1], [1]]),)), r"broadcast to \(1, 3\)"),
    (one_op("Quant", (1, 3), (F32(1), F32(0), F32(2.5)), signed=1, narrow=0), "bit width"),
    (one_op("Quant", (1, 3), (F32(1), F32(0), F32(99)), signed=1, narrow=0), "bit width"),
    (one_op("Neg", (1, 0)), "fixed dimensions"),
]


@pytest.mark.parametrize(("graph", "message"), MISFITS, ids=[f"{index}-{graph.ops[0].kind}" for index, (graph, _) in enumerate(MISFITS)])
def test_shapes_that_do_not_fit_name_node_expected_and_found(graph: Graph, message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        infer_shapes(graph)
    assert "node" in str(error.value) or "graph input" in str(error.value)
    assert "expected" in str(error.value) and "found" in str(error.value)


def test_an_exploding_model_is_refused_before_memory_is_taken() -> None:
    """Threat T14: two valid constants whose outer sum has 10^12 elements."""
    wide = Graph((Op("Add", "boom", ("x", "c"), ("y",)),), (Value("x", (1, 1_000_000), "float32"),), (Value("y", (), "float32"),),
                 {"c": np.zeros((1_000_000, 1), np.int8)})
    with pytest.raises(ModelError, match="'boom'.*elements"):
        infer_shapes(wide)


def test_an_unknown_rounding_mode_is_refused() -> None:
    with pytest.raises(ModelError, match="rounding mode.*'STOCHASTIC'"):
        run(one_op("Quant", (1, 3), (F32(1), F32(0), F32(2)), signed=1, narrow=0, rounding_mode="STOCHASTIC"), np.zeros((1, 3)))

"""The network's beginning: which integers the graph's input holds, and in which order."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import ModelError
from bwnhw.exact import surd
from bwnhw.graph import Graph, Op, Value
from bwnhw.lowering.builder import Builder
from bwnhw.lowering.edge import Edge, meaning
from bwnhw.network import Input, Ints
from bwnhw.ops import quoted

_MOST_BITS = 16
_ELEMENTWISE = frozenset({"Mul", "Div", "Add", "Sub", "Neg", "Relu", "Clip", "Quant", "BipolarQuant", "BatchNormalization"})


def input_edge(builder: Builder, graph: Graph) -> Edge:
    """The graph's input: an Input node where it holds integers, else real values that a quantiser must follow.

    Vectors are 1×1 maps, (rows, columns) a map of one channel; maps that the graph transposes from channels-last are taken as such.
    """
    source = graph.inputs[0]
    view, shape = _view(source, _channels_last(graph))
    integers = _integers(source)
    ones, none = (surd(1),) * shape[0], (surd(0),) * shape[0]
    if integers is None:
        return Edge(source.name, None, shape, view, ones, none)
    hi, scale, zero = integers
    node = builder.add(Input(Ints(*shape, 0, hi), scale, zero, None))
    edge = Edge(source.name, node, shape, view, (surd(scale),) * shape[0], (surd(-zero * scale),) * shape[0])
    builder.mean(node, meaning(edge))
    return edge


def _view(source: Value, channels_last: bool) -> tuple[NDArray[np.int64], tuple[int, int, int]]:
    """The place of every element in the map, and the map's shape."""
    shape = source.shape[1:]
    if channels_last:
        height, width, channels = shape
        return np.arange(channels * height * width).reshape(channels, height, width).transpose(1, 2, 0), (channels, height, width)
    if not 1 <= len(shape) <= 3:
        raise ModelError(f"graph input {quoted(source.name)}: expected vectors (N, inputs) or maps (N, channels, height, width), found "
                         f"shape {source.shape}")
    whole = (shape[0], 1, 1) if len(shape) == 1 else (1, *shape) if len(shape) == 2 else shape
    return np.arange(int(np.prod(shape))).reshape(shape), (whole[0], whole[1], whole[2])


def _integers(source: Value) -> tuple[int, Fraction, Fraction] | None:
    """(greatest code, scale, zero) where the input is annotated or typed as integers: real = scale·(code − zero)."""
    name = source.datatype or (source.dtype.upper() if np.dtype(source.dtype).kind in "iu" else "FLOAT32")
    if name == "BIPOLAR":
        return 1, Fraction(2), Fraction(1, 2)
    if name == "BINARY":
        return 1, Fraction(1), Fraction(0)
    head, _, tail = name.partition("INT")
    if head not in ("", "U") or not tail.isdigit():
        return None
    bits = int(tail)
    if not 1 <= bits <= _MOST_BITS:
        raise ModelError(f"graph input {quoted(source.name)}: expected integers of at most {_MOST_BITS} bits, found {name}")
    return (1 << bits) - 1, Fraction(1), Fraction(0 if head else 1 << bits - 1)


def _channels_last(graph: Graph) -> bool:
    """True where element-wise operators only stand between the input and a Transpose from (N, H, W, C) to (N, C, H, W)."""
    tensor = graph.inputs[0].name
    while True:
        readers: list[Op] = [op for op in graph.ops if tensor in op.inputs]
        if len(readers) == 1 and readers[0].kind in _ELEMENTWISE:
            tensor = readers[0].outputs[0]
            continue
        return len(readers) == 1 and readers[0].kind == "Transpose" and readers[0].attrs.get("perm") == (0, 3, 1, 2)

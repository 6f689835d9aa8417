"""Lowering: from the float graph as written to the integer network, exactly.

The contract is the real-number meaning of the stored constants: rationals stay rationals, roots (batch norm's √(var + eps)) are never
rounded, and every threshold is where the exact expression crosses the quantiser's step. docs/integer-network.md is the normative text.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bwnhw.errors import ModelError
from bwnhw.exact import Surd, TwoRootsError, root, surd
from bwnhw.graph import Graph, Op
from bwnhw.lowering import layers
from bwnhw.lowering.builder import Builder
from bwnhw.lowering.constants import Constants, exact_array
from bwnhw.lowering.edge import Edge, Row, affine, clamped, per_channel
from bwnhw.lowering.flatten import flatten
from bwnhw.lowering.quantise import quantise
from bwnhw.lowering.scores import arg_max, comparable
from bwnhw.lowering.start import input_edge
from bwnhw.network import ArgMax, Network
from bwnhw.ops import attribute, label, quoted
from bwnhw.simplify import simplify


def lower(graph: Graph) -> Network:
    """The integer network that computes what `graph` computes, value by value.

    Raises ModelError, naming the operator, what was expected and what was found, for anything that has no exact integer form.
    """
    graph = simplify(graph)
    return flatten(_Lowering(graph).run())


class _Lowering:
    """One walk over the operators; `_edges` holds what is known of every tensor so far."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._constants = Constants(graph)
        self._builder = Builder()
        self._edges: dict[str, Edge] = {}

    def run(self) -> Network:
        """Lower every operator that depends on the input, then the output."""
        source = self._graph.inputs[0]
        self._edges[source.name] = input_edge(self._builder, self._graph)
        last = None
        for op in self._graph.ops:
            if not all(name in self._constants for name in op.inputs if name):
                self._op(op)
                last = op
        if last is None:
            raise ModelError(f"graph output {quoted(self._graph.outputs[0].name)}: expected it to depend on the input, but it doesn't")
        self._output(last)
        return self._builder.network()

    def _op(self, op: Op) -> None:
        rule = _RULES.get(op.kind)
        if rule is None:
            raise ModelError(f"{label(op)}: expected an operator with an integer form, found {op.kind}")
        self._edges.update(dict.fromkeys(op.outputs[-1:], rule(self, op)))

    def _source(self, op: Op) -> Edge:
        """The first input, which must be computed from the graph's input."""
        return self._operand(op, op.inputs[0])

    def _operand(self, op: Op, name: str) -> Edge:
        if name not in self._edges:
            raise ModelError(f"{label(op)}: expected {quoted(name)} to be computed from the input, found a constant or an unused output")
        return self._edges[name]

    def _output(self, last: Op) -> None:
        """Make the graph's output the last node."""
        wanted = [value.name for value in self._graph.outputs if value.name in self._edges]
        if len(wanted) != 1:
            raise ModelError(f"the graph: expected one output of scores, codes or classes, found {len(self._graph.outputs)}: "
                             f"{', '.join(quoted(value.name) for value in self._graph.outputs[:4])}")
        edge = self._edges[wanted[0]]
        producer = next((op for op in self._graph.ops if wanted[0] in op.outputs), last)
        if edge.node is None or not isinstance(self._builder.node(edge.node), ArgMax):
            edge = comparable(self._builder, edge, producer)
        if not edge.in_order or edge.node != len(self._builder.network().topology.nodes) - 1:
            raise ModelError(f"{label(producer)}: expected the graph's output to be its last layer, in the order of its channels, "
                             "found another layout or layers beside it")

    # Rules of operators, each from the operator to its output's edge.

    def conv(self, op: Op) -> Edge:
        return layers.conv(self._builder, self._constants, op, self._source(op))

    def dense(self, op: Op) -> Edge:
        return layers.dense(self._builder, self._constants, op, self._source(op))

    def quantiser(self, op: Op) -> Edge:
        return quantise(self._builder, self._constants, op, self._source(op))

    def max_pool(self, op: Op) -> Edge:
        return layers.max_pool(self._builder, op, self._source(op))

    def average_pool(self, op: Op) -> Edge:
        return layers.average_pool(self._builder, op, self._source(op))

    def arithmetic(self, op: Op) -> Edge:
        """Add, Sub, Mul, Div with a constant, or Add, Sub of two tensors."""
        names = op.inputs
        variable = [name for name in names if name not in self._constants]
        if len(variable) == 2:
            if op.kind not in ("Add", "Sub"):
                raise ModelError(f"{label(op)}: expected a constant operand, found the product or quotient of two computed tensors")
            return layers.add(self._builder, op, [self._operand(op, name) for name in names])
        edge = self._operand(op, variable[0])
        (constant,) = (name for name in names if name in self._constants)
        values = per_channel(edge, self._constants.exact(constant, op), op)
        one, none = (surd(1),) * len(values), (surd(0),) * len(values)
        first = names[0] == variable[0]
        if op.kind == "Mul":
            return affine(edge, values, none, op)
        if op.kind == "Div":
            if not first or any(not value.sign() for value in values):
                raise ModelError(f"{label(op)}: expected a constant divisor other than 0, found {'0' if first else 'a computed one'}")
            return affine(edge, tuple(surd(1) / value for value in values), none, op)
        if op.kind == "Add":
            return affine(edge, one, values, op)
        return affine(edge, one, _negated(values), op) if first else affine(edge, _negated(one), values, op)

    def negation(self, op: Op) -> Edge:
        edge = self._source(op)
        return affine(edge, (surd(-1),) * edge.shape[0], (surd(0),) * edge.shape[0], op)

    def batch_norm(self, op: Op) -> Edge:
        """(x − mean)·gamma/√(var + eps) + beta."""
        edge = self._source(op)
        shape = (1, -1, *(1,) * (edge.view.ndim - 1))
        gamma, beta, mean, var = (per_channel(edge, self._constants.exact(name, op).reshape(shape), op) for name in op.inputs[1:5])
        eps = exact_array(np.asarray(np.float32(attribute(op, "epsilon"))))[()]  # type: ignore[arg-type]  # a float once checked
        try:
            factor = tuple(g / root(v + eps) for g, v in zip(gamma, var, strict=True))
            term = tuple(b - f * m for f, b, m in zip(factor, beta, mean, strict=True))
        except (TwoRootsError, ValueError, ZeroDivisionError):
            raise ModelError(f"{label(op)}: expected rational numbers and var + epsilon above 0, found others") from None
        return affine(edge, factor, term, op)

    def clip(self, op: Op) -> Edge:
        """Relu is Clip from 0."""
        edge = self._source(op)
        bounds: list[Surd | None] = [surd(0), None] if op.kind == "Relu" else [self._bound(op, index) for index in (1, 2)]
        return clamped(edge, bounds[0], bounds[1], None if edge.node is None else self._builder.ints(edge.node), op)

    def _bound(self, op: Op, index: int) -> Surd | None:
        if len(op.inputs) <= index or not op.inputs[index]:
            return None
        array = self._graph.constants.get(op.inputs[index])
        if array is not None and array.size == 1 and np.isinf(array).all():
            return None
        found: Surd = self._constants.exact(op.inputs[index], op).reshape(-1)[0]
        return found

    def layout(self, op: Op) -> Edge:
        """Flatten, Reshape, Transpose: the view of the elements moves."""
        edge = self._source(op)
        view = edge.view[None]
        if op.kind == "Transpose":
            perm: Any = attribute(op, "perm")
            view = np.transpose(view, perm)
        elif op.kind == "Flatten":
            view = view.reshape(1, -1)
        else:
            view = view.reshape(self._constants.integers(op.inputs[1], op).tolist()[1:])[None]
        if len(view) != 1:
            raise ModelError(f"{label(op)}: expected the batch to stay the first dimension, found it moved")
        return replace(edge, tensor=op.outputs[0], view=view[0])

    def best(self, op: Op) -> Edge:
        """ArgMax, or the indices of TopK with k = 1."""
        edge = self._source(op)
        axis = int(attribute(op, "axis"))  # type: ignore[arg-type]  # an int once checked
        if op.kind == "TopK":
            k = self._constants.integers(op.inputs[1], op).reshape(-1).tolist()
            if k != [1] or attribute(op, "largest") != 1:
                raise ModelError(f"{label(op)}: expected the one largest, found k = {k}, largest = {attribute(op, 'largest')}")
        elif attribute(op, "select_last_index"):
            raise ModelError(f"{label(op)}: expected ties to go to the lowest index, found select_last_index")
        if axis % (edge.view.ndim + 1) != 1 or edge.view.shape[0] != edge.shape[0]:
            raise ModelError(f"{label(op)}: expected the arg-max over the classes (axis 1), found axis {axis}")
        keepdims = op.kind == "TopK" or bool(attribute(op, "keepdims"))
        return arg_max(self._builder, edge, op, op.outputs[-1], keepdims)

    def cast(self, op: Op) -> Edge:
        """A cast of classes, or between floats, changes no value."""
        edge = self._source(op)
        is_class = edge.node is not None and isinstance(self._builder.node(edge.node), ArgMax)
        if not is_class:
            raise ModelError(f"{label(op)}: expected casts between float types only, or of the arg-max, found one that rounds")
        return replace(edge, tensor=op.outputs[0])


_RULES: Mapping[str, Callable[[_Lowering, Op], Edge]] = {
    "Conv": _Lowering.conv, "MatMul": _Lowering.dense, "Quant": _Lowering.quantiser, "BipolarQuant": _Lowering.quantiser,
    "MaxPool": _Lowering.max_pool, "GlobalMaxPool": _Lowering.max_pool,
    "AveragePool": _Lowering.average_pool, "GlobalAveragePool": _Lowering.average_pool,
    "Add": _Lowering.arithmetic, "Sub": _Lowering.arithmetic, "Mul": _Lowering.arithmetic, "Div": _Lowering.arithmetic,
    "Neg": _Lowering.negation, "BatchNormalization": _Lowering.batch_norm, "Relu": _Lowering.clip, "Clip": _Lowering.clip,
    "Flatten": _Lowering.layout, "Reshape": _Lowering.layout, "Transpose": _Lowering.layout,
    "TopK": _Lowering.best, "ArgMax": _Lowering.best, "Cast": _Lowering.cast,
}


def _negated(row: Row) -> Row:
    return tuple(-value for value in row)

"""Growing an adder graph node by node, equal nodes once."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.graph import Graph, Node, Output, Terms, form, node_cost


class Builder:
    """Nodes so far, with the vector over the inputs that each one stands for: ranges follow from it, not from the ranges of the terms,
    since terms may share inputs. Inputs are the nodes 0..inputs−1, each in 0..hi."""

    def __init__(self, inputs: int, hi: int) -> None:
        self._inputs, self._hi = inputs, hi
        self.nodes: list[Node] = [Node((), 0, 0, hi, 0) for _ in range(inputs)]
        self._vectors: list[NDArray[np.int64] | None] = list(np.eye(inputs, dtype=np.int64))
        self._constants = [0] * inputs
        self._known: dict[tuple[Terms, int], int] = {}
        self._wires: dict[tuple[int, int], int] = {}

    @property
    def inputs(self) -> range:
        """The nodes that are inputs."""
        return range(self._inputs)

    def range(self, vector: NDArray[np.int64], constant: int = 0) -> tuple[int, int]:
        """Least and greatest value of a vector times the inputs."""
        low = int(vector[vector < 0].sum()) * self._hi
        return low + constant, int(vector[vector > 0].sum()) * self._hi + constant

    def node(self, terms: Terms, constant: int = 0) -> int:
        """The node Σ factor·value + constant. Raises ValueError where no table and no carry chain computes it."""
        if len(terms) == 1 and terms[0][1] == 1 and not constant:
            return terms[0][0]
        key = terms, constant
        if key not in self._known:
            vector: NDArray[np.int64] | None = np.zeros(self._inputs, np.int64)
            for source, factor in terms:
                known = self._vectors[source]
                vector = None if vector is None or known is None else vector + factor * known
            total = constant + sum(factor * self._constants[source] for source, factor in terms)
            low, high = self._sum(terms, constant) if vector is None else self.range(vector, total)
            self._known[key] = self._put(Node(terms, constant, low, high, 1 + self._deepest(terms)), vector, total)
        return self._known[key]

    def _sum(self, terms: Terms, constant: int) -> tuple[int, int]:
        """Least and greatest value of a sum of nodes as if they had nothing in common."""
        ends = [[factor * self.nodes[source].lo, factor * self.nodes[source].hi] for source, factor in terms]
        return constant + sum(map(min, ends)), constant + sum(map(max, ends))

    def _deepest(self, terms: Terms) -> int:
        return max((self.level(source) for source, _ in terms), default=0)

    def _put(self, node: Node, vector: NDArray[np.int64] | None, constant: int) -> int:
        form(node, self.nodes)
        self.nodes.append(node)
        self._vectors.append(vector)
        self._constants.append(constant)
        return len(self.nodes) - 1

    def bit(self, node: int, bit: int) -> int:
        """One bit of a node as a node of its own: a wire. Whoever reads some bits of a node has to read all of them, in proportion."""
        if self.nodes[node].bits == 1 and self.nodes[node].lo == 0:
            return node
        if (node, bit) not in self._wires:
            self._wires[node, bit] = self._put(Node(((node, 1),), 0, 0, 1, self.level(node), bit=bit), None, 0)
        return self._wires[node, bit]

    def inside(self, terms: Terms, constant: int) -> int:
        """A table Σ factor·value + constant that only column chains read."""
        return self._put(Node(terms, constant, *self._sum(terms, constant), self._deepest(terms), inside=True), None, 0)

    def columns(self, carried: Terms, tables: Terms, vector: NDArray[np.int64] | None = None, constant: int = 0) -> int:
        """A carry chain that carries some terms and takes in tables; `vector` and `constant` where it is known what it computes."""
        terms = carried + tables
        low, high = self._sum(terms, 0) if vector is None else self.range(vector, constant)
        return self._put(Node(terms, 0, low, high, 1 + self._deepest(terms), carried=len(carried)), vector, constant)

    def vector(self, node: int) -> NDArray[np.int64]:
        """What a node computes, over the inputs."""
        vector = self._vectors[node]
        if vector is None:
            raise ValueError("builder: a node that is read bit by bit has no vector")
        return vector

    def level(self, node: int) -> int:
        """Adder levels down to the inputs."""
        return self.nodes[node].level

    def bits(self, node: int) -> int:
        """Nets of a node."""
        return self.nodes[node].bits

    def constant(self, node: int) -> int:
        """What a node adds to its vector times the inputs."""
        return self._constants[node]

    @property
    def cost(self) -> int:
        """LUT6 of all nodes so far."""
        return self.cost_from(0)

    def cost_from(self, first: int) -> int:
        """LUT6 of the nodes from `first` on."""
        return sum(node_cost(node) for node in self.nodes[first:])

    def copy(self) -> "Builder":
        """One to try something with."""
        made = Builder(0, self._hi)
        made._inputs, made.nodes, made._vectors = self._inputs, self.nodes.copy(), self._vectors.copy()
        made._constants, made._known, made._wires = self._constants.copy(), self._known.copy(), self._wires.copy()
        return made

    def graph(self, outputs: list[tuple[int, int]]) -> Graph:
        """The graph with (node, factor) for every row; nodes that no output needs are left out."""
        needed = set(self.inputs) | {node for node, _ in outputs}
        for index in range(len(self.nodes) - 1, -1, -1):
            if index in needed:
                needed.update(source for source, _ in self.nodes[index].terms)
        number = {old: new for new, old in enumerate(sorted(needed))}
        nodes = tuple(replace(node, terms=tuple((number[source], factor) for source, factor in node.terms))
                      for old, node in enumerate(self.nodes) if old in needed)
        return Graph(self._inputs, nodes, tuple(Output(number[node], factor) for node, factor in outputs))

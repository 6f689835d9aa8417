"""Growing an adder graph node by node, equal nodes once."""

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.graph import Graph, Node, Output, Terms, form, node_cost


class Builder:
    """Nodes so far, with the vector over the inputs that each one stands for: ranges follow from it, not from the ranges of the terms,
    since terms may share inputs. Inputs are the nodes 0..inputs−1, each in 0..hi."""

    def __init__(self, inputs: int, hi: int) -> None:
        self._inputs, self._hi = inputs, hi
        self.nodes: list[Node] = [Node((), 0, 0, hi, 0) for _ in range(inputs)]
        self._vectors: list[NDArray[np.int64]] = list(np.eye(inputs, dtype=np.int64))
        self._constants = [0] * inputs
        self._known: dict[tuple[Terms, int], int] = {}

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
            vector = sum((factor * self._vectors[source] for source, factor in terms), np.zeros(self._inputs, np.int64))
            total = constant + sum(factor * self._constants[source] for source, factor in terms)
            made = Node(terms, constant, *self.range(vector, total), 1 + max(self.nodes[source].level for source, _ in terms))
            form(made, self.nodes)
            self._known[key] = len(self.nodes)
            self.nodes.append(made)
            self._vectors.append(vector)
            self._constants.append(total)
        return self._known[key]

    def vector(self, node: int) -> NDArray[np.int64]:
        """What a node computes, over the inputs."""
        return self._vectors[node]

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
        return sum(map(node_cost, self.nodes))

    def graph(self, outputs: list[tuple[int, int]]) -> Graph:
        """The graph with (node, factor) for every row; nodes that no output needs are left out."""
        needed = set(self.inputs) | {node for node, _ in outputs}
        for index in range(len(self.nodes) - 1, -1, -1):
            if index in needed:
                needed.update(source for source, _ in self.nodes[index].terms)
        number = {old: new for new, old in enumerate(sorted(needed))}
        nodes = tuple(Node(tuple((number[source], factor) for source, factor in node.terms), node.constant, node.lo, node.hi, node.level)
                      for old, node in enumerate(self.nodes) if old in needed)
        return Graph(self._inputs, nodes, tuple(Output(number[node], factor) for node, factor in outputs))

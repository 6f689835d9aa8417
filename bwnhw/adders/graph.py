"""An adder graph: a constant matrix times a vector of small unsigned integers, as sums of few terms each.

Costs are LUT6 of a fabric with carry chains. A bit of a carry chain is one LUT of up to six inputs: one of them is the carried term's bit
and passes to the carry as well, the other five may be any function. So a term plus *any* function of at most five nets costs one LUT
per bit, and a function of up to six nets costs the same without a chain.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bwnhw.network import Ints

TABLE_NETS = 6  # inputs of a LUT
FOLDED_NETS = TABLE_NETS - 1  # inputs of a carry chain's LUT beside the carried bit

Terms = tuple[tuple[int, int], ...]  # (node, factor) each


class Unreachable(Exception):
    """A way of building a graph can't do it: more levels or other weights would be needed. Never leaves the package."""


@dataclass(frozen=True)
class Node:
    """value = Σ factor·value of its terms + constant, always in lo..hi. An input has no terms.

    `level`: adder levels from the inputs, which are on level 0.
    """

    terms: Terms
    constant: int
    lo: int
    hi: int
    level: int

    @cached_property
    def bits(self) -> int:
        """Nets of the value: unsigned where lo ≥ 0, else two's complement."""
        return Ints(1, 1, 1, self.lo, self.hi).bits


@dataclass(frozen=True)
class Output:
    """A row of the matrix: factor·value(node), factor ±1 or 0 (a row of zeros, whose node is any)."""

    node: int
    factor: int


@dataclass(frozen=True)
class Graph:
    """`nodes` in an order in which terms come first, the `inputs` at the front; one output per row of the matrix."""

    inputs: int
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]

    @property
    def levels(self) -> int:
        """Adder levels of the deepest output."""
        return max((self.nodes[output.node].level for output in self.outputs), default=0)


def is_power(factor: int) -> bool:
    """True for ±1, ±2, ±4, ...: shifting and negating do."""
    return factor != 0 and abs(factor) & abs(factor) - 1 == 0


def form(node: Node, nodes: tuple[Node, ...] | list[Node]) -> str:
    """How a node is built. Raises ValueError where it can't be.

    "input"; "table": every bit a function of at most six nets; "fold": its first term on a carry chain, which takes in a function of at
    most five nets; "add": two terms on a carry chain; "negate".
    """
    if not node.terms:
        return "input"
    nets = [nodes[source].bits for source, _ in node.terms]
    if sum(nets) <= TABLE_NETS:
        return "table"
    if node.terms[0][1] == 1 and sum(nets[1:]) <= FOLDED_NETS:
        return "fold"
    factors = [factor for _, factor in node.terms]
    if len(nets) == 2 and all(map(is_power, factors)) and max(factors) > 0 and not node.constant:
        return "add"
    if factors == [-1] and not node.constant:
        return "negate"
    raise ValueError(f"node of {len(nets)} terms with {sum(nets)} nets: no table and no carry chain computes it")


def unchanged(node: Node) -> int:
    """Lowest bits of the node that are the first term's own, so that they cost nothing."""
    if not node.terms or node.terms[0][1] != 1:
        return 0
    others = [factor for _, factor in node.terms[1:]] + ([node.constant] if node.constant else [])
    return min((abs(factor) & -abs(factor)).bit_length() - 1 for factor in others) if others else node.bits


def node_cost(node: Node) -> int:
    """LUT6 of one node: its bits that have to be computed."""
    if not node.terms:
        return 0
    swapped = Node(node.terms[::-1], node.constant, node.lo, node.hi, node.level)
    return max(0, node.bits - max(unchanged(node), unchanged(swapped)))


def cost(graph: Graph) -> int:
    """LUT6 of a graph, registers not counted."""
    return sum(node_cost(node) for node in graph.nodes)


def evaluate(graph: Graph, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """(vectors, inputs) to (vectors, rows), node by node as the hardware does it: every node wraps at its own bits."""
    found: list[NDArray[np.int64]] = []
    for index, node in enumerate(graph.nodes):
        if index < graph.inputs:
            found.append(values[:, index].astype(np.int64))
            continue
        total = sum((factor * found[source] for source, factor in node.terms), np.full(len(values), node.constant, np.int64))
        base = -(1 << node.bits - 1) if node.lo < 0 else 0
        found.append((total - base) % (1 << node.bits) + base)
    return np.stack([output.factor * found[output.node] for output in graph.outputs], axis=1)


def kernel(graph: Graph) -> NDArray[np.int64]:
    """The matrix (rows, inputs) that the graph computes, from its terms alone. Raises ValueError where a constant is left over."""
    vectors = np.zeros((len(graph.nodes), graph.inputs + 1), np.int64)
    for index, node in enumerate(graph.nodes):
        if index < graph.inputs:
            vectors[index, index] = 1
        vectors[index, -1] = node.constant
        for source, factor in node.terms:
            vectors[index] += factor * vectors[source]
    rows = np.array([output.factor * vectors[output.node] for output in graph.outputs]).reshape(-1, graph.inputs + 1)
    if rows[:, -1].any():
        raise ValueError("graph: expected sums without a constant")
    return rows[:, :-1]

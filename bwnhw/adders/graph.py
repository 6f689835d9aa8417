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

    `level`: adder levels from the inputs, which are on level 0. `carried`: of a column chain, how many of its terms are carried; the others
    are tables. Wires of other nodes, and what is inside of chains, have the level of what they read, no LUT and no register:

    * `bit`: not the term's value but this one of its bits, 0 or 1;
    * `inside`: a table of at most five nets that only column chains take in, into the LUTs that they have anyway.
    """

    terms: Terms
    constant: int
    lo: int
    hi: int
    level: int
    carried: int = 0
    bit: int | None = None
    inside: bool = False

    @property
    def free(self) -> bool:
        """True for what has no LUT and no register of its own."""
        return self.inside or self.bit is not None

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

    "input"; "bit": a wire; "table": every bit a function of at most six nets, or five inside of a chain; "columns": terms that don't
    overlap on a carry chain, which takes in tables of at most five nets that don't overlap either; "fold": its first term on a carry chain,
    which takes in a function of at most five nets; "add": two terms on a carry chain; "negate".
    """
    if not node.terms and not node.inside:
        return "input"
    if node.bit is not None:
        return "bit"
    if node.carried and _columns(node, nodes):
        return "columns"
    nets = [nodes[source].bits for source, _ in node.terms]
    if node.carried or any(nodes[source].inside for source, _ in node.terms) or node.inside and sum(nets) > FOLDED_NETS:
        raise ValueError("column chain: terms must not overlap, and tables have at most five nets")
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


def enters(node: Node, nodes: tuple[Node, ...] | list[Node]) -> bool:
    """True where a column chain's first term isn't carried but enters its carry: one bit that stands where the second has bits as well."""
    if node.carried < 2 or nodes[node.terms[0][0]].bits > 1:
        return False
    (_, place), (second, start) = node.terms[:2]
    return start <= place < start << nodes[second].bits


def _columns(node: Node, nodes: tuple[Node, ...] | list[Node]) -> bool:
    """Whether a column chain's terms don't overlap, are where they can be, and only the highest have a sign."""
    entering = enters(node, nodes)
    carried, tables = node.terms[entering:node.carried], node.terms[node.carried:]
    if node.constant or any(nodes[source].inside for source, _ in node.terms[:node.carried]):
        return False
    good = bool(tables) and all(factor > 0 and is_power(factor) for _, factor in node.terms) and all(nodes[at].inside for at, _ in tables)
    for terms in (carried, tables):
        for (source, factor), (_, following) in zip(terms, terms[1:], strict=False):
            good &= nodes[source].lo >= 0 and factor << nodes[source].bits <= following
    return good and (not entering or nodes[node.terms[0][0]].lo == 0 and node.terms[0][1] <= tables[0][1])


def unchanged(node: Node) -> int:
    """Lowest bits of the node that are the first term's own, so that they cost nothing."""
    if node.carried:
        places = [factor.bit_length() - 1 for _, factor in node.terms]
        return min(places[0] if len(places) > 1 and places[1] <= places[0] else places[node.carried], places[node.carried])
    if not node.terms or node.terms[0][1] != 1:
        return 0
    others = [factor for _, factor in node.terms[1:]] + ([node.constant] if node.constant else [])
    return min((abs(factor) & -abs(factor)).bit_length() - 1 for factor in others) if others else node.bits


def node_cost(node: Node) -> int:
    """LUT6 of one node: its bits that have to be computed, a carry out included, which takes the place of a LUT to leave its chain."""
    if not node.terms or node.free:
        return 0
    if node.carried:
        return max(0, node.bits - unchanged(node))
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
        found.append(total >> node.bit & 1 if node.bit is not None else (total - base) % (1 << node.bits) + base)
    return np.stack([output.factor * found[output.node] for output in graph.outputs], axis=1)


def kernel(graph: Graph) -> NDArray[np.int64]:
    """The matrix (rows, inputs) that the graph computes, from its terms alone: what every row takes of every node, from the outputs down.

    Raises ValueError where a constant is left over, or where a row takes a node's bits in other proportions than the powers of two.
    """
    rows = len(graph.outputs)
    taken = np.zeros((len(graph.nodes), rows), np.int64)
    bits: dict[int, dict[int, NDArray[np.int64]]] = {}  # of nodes that are read bit by bit
    constants = np.zeros(rows, np.int64)
    for row, output in enumerate(graph.outputs):
        taken[output.node, row] += output.factor
    for index in range(len(graph.nodes) - 1, -1, -1):
        node, times = graph.nodes[index], taken[index]
        if index in bits:
            times += _whole(node, bits.pop(index), rows)
        if node.bit is not None:
            source = node.terms[0][0]
            bits.setdefault(source, {})[node.bit] = times + bits.get(source, {}).get(node.bit, 0)
            continue
        constants += node.constant * times
        for source, factor in node.terms:
            taken[source] += factor * times
    if constants.any():
        raise ValueError("graph: expected sums without a constant")
    return taken[:graph.inputs].T


def _whole(node: Node, bits: dict[int, NDArray[np.int64]], rows: int) -> NDArray[np.int64]:
    """How often rows take a node of which they take the bits so often. Raises ValueError where they aren't in proportion."""
    none = np.zeros(rows, np.int64)
    lowest = bits.get(0, none)
    for bit in range(node.bits):
        weight = -1 << bit if node.lo < 0 and bit == node.bits - 1 else 1 << bit
        if not np.array_equal(bits.get(bit, none), weight * lowest):
            raise ValueError("graph: the bits of a node must be taken together")
    return lowest

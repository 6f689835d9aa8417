"""What a graph costs on a family's LUTs, by which `solve` chooses.

Where LUTs have six inputs, a chain takes its tables in: the graph's own cost. Where they have four, a chain adds and no more; its tables
stand before it in LUTs of their own, and sums of few bits take no chain at all.
"""

from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.graph import TABLE_NETS, Graph, Node, Terms, cost, enters, form, node_cost
from bwnhw.adders.sums import NEVER
from bwnhw.families import FAMILIES, Family

LUT_NETS = 4  # inputs of the smaller LUTs

Table = tuple[Terms, int, int]  # terms, constant, bits
Bits = NDArray[np.int8]  # truth tables side by side: (2**nets, functions), 0 or 1


def price(graph: Graph, family: str) -> int:
    """LUTs of a graph on a family, registers not counted. Tables that several nodes have in common are made once."""
    kind, nodes = FAMILIES[family], graph.nodes
    if kind.lut_inputs == TABLE_NETS:
        return cost(graph)
    made = [node for node in nodes if node_cost(node)]
    tables = {table for node in made for table in _tables(node, nodes, kind)}
    return sum(_table_luts(*table, nodes) for table in tables) + sum(_sum_luts(node, nodes, kind) for node in made)


def _tables(node: Node, nodes: tuple[Node, ...], family: Family) -> list[Table]:
    """The tables of a node: itself, or what stands before its chain; what a chain can't subtract is inverted."""
    kind = form(node, nodes)
    if kind == "columns":
        return [(table.terms, table.constant, table.bits) for table in (nodes[source] for source, _ in node.terms[node.carried:])]
    if kind in ("table", "fold"):
        return [(node.terms[kind == "fold":], node.constant, node.bits)]
    return [] if family.subtracts else [(((source, -1),), -1, nodes[source].bits) for source, factor in node.terms if factor < 0]


def _sum_luts(node: Node, nodes: tuple[Node, ...], family: Family) -> int:
    """LUT4 of the addition in a node: a chain in whole cells, or where it is short a LUT for the sum and one for the carry of every bit but
    the highest; a carry of the two lowest bits is one LUT where nothing enters."""
    bits = node_cost(node)
    if form(node, nodes) == "table":
        return 0
    if bits > family.short_sum:
        return bits + -bits % family.chain_bits
    return max(1, 2 * bits - 2 - (not enters(node, nodes)))


def _table_luts(terms: Terms, constant: int, bits: int, nodes: tuple[Node, ...]) -> int:
    """LUT4 of a table Σ factor·value + constant."""
    weights = []
    for source, factor in terms:
        node = nodes[source]
        signs = [-1 if node.lo < 0 and bit == node.bits - 1 else 1 for bit in range(node.bits)]
        weights += [factor * sign << bit for bit, sign in enumerate(signs)]
    if len(weights) > LUT_NETS:  # the complement of a net is another function of it: as many tables as can be are alike
        constant += sum(weight for weight in weights if weight < 0)
        weights = [abs(weight) for weight in weights]
    return table_luts(tuple(sorted(weights)), constant % (1 << bits), bits)


@cache
def table_luts(weights: tuple[int, ...], constant: int, bits: int) -> int:
    """LUT4 of the lowest `bits` of Σ weight·net + constant, at most six nets: what the bits have in common is made once."""
    codes = np.arange(1 << len(weights))
    sums = sum((weight * (codes >> net & 1) for net, weight in enumerate(weights)), np.full_like(codes, constant))
    return _functions((sums[:, None] >> np.arange(bits) & 1).astype(np.int8).tobytes(), bits)


@cache
def _functions(tables: bytes, count: int) -> int:
    """LUT4 of `count` functions of the same nets: one each where they are of up to four; some nets that the others need are encoded first,
    in as many bits as tell apart what they do to them, of which some may be functions that are wanted anyway."""
    columns = np.unique(np.frombuffer(tables, np.int8).reshape(-1, count), axis=1)
    nets = range(len(columns).bit_length() - 1)
    read = [[net for net in nets if _depends(column, net)] for column in columns.T]
    few = [at for at, support in enumerate(read) if len(support) <= LUT_NETS]
    luts = sum(len(read[at]) > 1 or len(read[at]) == 1 and bool(columns[0, at]) for at in few)  # a net itself is none, inverted it is one
    if len(few) == len(read):
        return luts
    rest = columns[:, [at for at in range(len(read)) if at not in few]]
    ways = []
    for chosen in (list(some) for size in (3, 4) for some in combinations(nets, size)):
        known = [columns[:, at] for at in few if len(read[at]) > 1 and set(read[at]) <= set(chosen)]
        ways += [_encoded(rest, chosen, known[:count]) for count in range(min(2, len(known)) + 1)]
    return luts + min(ways)


def _depends(column: Bits, net: int) -> bool:
    halves = column.reshape(-1, 2, 1 << net)
    return not np.array_equal(halves[:, 0], halves[:, 1])


def _encoded(columns: Bits, chosen: list[int], known: list[Bits]) -> int:
    """LUT4 of functions of which the `chosen` nets are encoded first, by functions that are `known` from them and by more bits."""
    effects = _apart(columns, chosen)  # what every value of the chosen nets does
    given = sum((_apart(column, chosen)[:, 0].astype(int) << at for at, column in enumerate(known)), np.zeros(len(effects), int))
    classes: list[list[bytes]] = [[] for _ in range(1 << len(known))]
    for value, effect in zip(given, map(bytes, effects), strict=True):
        if effect not in classes[value]:
            classes[value].append(effect)
    more = (max(map(len, classes)) - 1).bit_length()
    if len(known) + more >= len(chosen):
        return NEVER  # no fewer nets than before
    spare = bytes(effects[0])  # for codes that don't occur
    made = b"".join((*found, *[spare] * (1 << more))[code] for code in range(1 << more) for found in classes)
    return more + _functions(made, columns.shape[1])


def _apart(columns: Bits, chosen: list[int]) -> Bits:
    """A row for every value of the chosen nets: all that columns are for the values of the others."""
    nets = len(columns).bit_length() - 1
    axes = [nets - 1 - net for net in reversed(chosen)]
    shaped = columns.reshape(*(2,) * nets, -1)
    return np.moveaxis(shaped, axes, range(len(axes))).reshape(1 << len(chosen), -1)

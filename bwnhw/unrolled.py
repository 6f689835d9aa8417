"""The values of an unrolled layer: its adder graph, its thresholds or offsets, and what they cost."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders import Graph, Node, solve
from bwnhw.adders.graph import TABLE_NETS
from bwnhw.adders.price import price
from bwnhw.adders.spanning import distinct, term_counts
from bwnhw.bill import Bill
from bwnhw.blocks import Unrolled, Window
from bwnhw.fabric import Part, delay, index_bits
from bwnhw.families import FAMILIES
from bwnhw.network import Conv, ConvParams, Ints, Network, ThresholdParams

COMPARED_BITS = 12  # of a sum up to which Yosys compares it with a constant by LUT6 alone, without a chain
MOST_TERMS = 1 << 15  # of a layer's different rows, about half a LUT6 each with inputs of one bit: half of a mid-size device
MOST_PAIRS = 1 << 21  # of terms within the rows, with inputs of several bits: about 3 µs each, and the solver looks at all


@dataclass(frozen=True, eq=False)
class UnrolledTables:
    """What an unrolled layer is made of; rows are the graph's outputs, each a node's value v times its factor.

    bits mode: bit = (v ≥ limits[row, class]) XOR flips[row]. sums mode: factors[row]·v + limits[row, class].
    """

    graph: Graph
    limits: NDArray[np.int64]
    flips: NDArray[np.bool_]
    factors: NDArray[np.int64]


def unrolled_tables(conv: Conv, params: ConvParams, threshold: ThresholdParams | None, source: Ints, window: Window,
                    block: Unrolled) -> UnrolledTables:
    """Tables of an unrolled layer; `threshold` where its 1-bit threshold is fused (bits mode)."""
    weights, matrix = params.weights.astype(np.int64), _matrix(params)
    graph = _solved(matrix.tobytes(), matrix.shape, source.hi, block.levels, block.family,
                    weights.shape[1] if params.codebook is not None else 0)
    factors = np.array([output.factor for output in graph.outputs], np.int64)[:, None]
    masks = window.geometry.class_masks[:window.classes]
    taps = weights.sum(axis=1)
    kappa = conv.value[1] * np.stack([(taps * mask).sum(axis=(1, 2)) for mask in masks], axis=1)  # (rows, classes)
    if threshold is None:
        return UnrolledTables(graph, kappa, np.zeros(len(factors), bool), conv.value[0] * factors[:, 0])
    reached = -((kappa - threshold.thresholds[:, :1]) // conv.value[0])  # z ≥ ceil((t − κ) / m)
    size = np.maximum(1, np.abs(factors))
    # factor·v ≥ T: v ≥ ceil(T / f) for f > 0; for f < 0, v ≤ floor(−T / |f|), the opposite of v ≥ that + 1.
    limits = np.where(factors > 0, -(-reached // size), -reached // size + 1)
    always = np.where(reached <= 0, -1 << 40, 1 << 40)  # a row of zeros
    limits = np.where(factors == 0, always, limits)
    return UnrolledTables(graph, limits, threshold.flip ^ (factors[:, 0] < 0), factors[:, 0])


def unrollable(network: Network, index: int) -> bool:
    """True where a conv is small enough for the planner to look at it unrolled, for which its graph has to be solved.

    Counted are the rows that are different, up to sign and power of two, by their terms: the signed powers of two in their weights.
    """
    params = network.params[index]
    if not isinstance(params, ConvParams):
        return False
    terms = term_counts(distinct(_matrix(params))[0])
    several = network.topology.nodes[index - 1].out.bits > 1
    return bool(terms.sum() <= MOST_TERMS and (not several or (terms ** 2).sum() <= MOST_PAIRS))


def _matrix(params: ConvParams) -> NDArray[np.int64]:
    """Weights (rows, inputs) in the order of a beat: input tap·channels + channel."""
    weights = params.weights.astype(np.int64)
    return np.ascontiguousarray(weights.transpose(0, 2, 3, 1).reshape(len(weights), -1))


@lru_cache(maxsize=64)
def _solved(weights: bytes, shape: tuple[int, int], hi: int, levels: int, family: str, channels: int) -> Graph:
    """The graph of a matrix for a family; estimate and generation ask for the same one. `channels` of a layer with a codebook, else 0."""
    groups = tuple(tuple(range(channel, shape[1], channels)) for channel in range(channels))
    return solve(np.frombuffer(weights, np.int64).reshape(shape), hi, levels, family=family, exact=False, groups=groups)


def unrolled_bill(tables: UnrolledTables, block: Unrolled, family: str) -> Bill:
    """What an unrolled layer is made of, from its solved graph: nodes, registers between levels, thresholds or offsets.

    The graph is that of the family which the plan is for, whatever `family` it is counted on. Nothing here is calibrated.
    """
    graph = tables.graph
    part = Part(0, block.latency + index_bits(block.classes) * block.levels)  # valid and border class travel along
    for row, output in enumerate(graph.outputs):
        waits = block.levels - graph.nodes[output.node].level
        part += Part(_finish_luts(block, tables, row, family)) + delay(block.out_bits, waits + 1, family)
    for node, bits in zip(graph.nodes, _read(graph), strict=True):
        if not node.free:
            part += _lines(node, bits, family)
    return Bill(part + Part(price(graph, family)), Counter(), 0)


def _read(graph: Graph) -> list[list[set[int]]]:
    """How many cycles after a node stands each of its bits is read."""
    read: list[list[set[int]]] = [[set() for _ in range(node.bits)] for node in graph.nodes]
    for output in graph.outputs:
        for bit in read[output.node]:
            bit.add(0)
    for node, bits in zip(reversed(graph.nodes), reversed(read), strict=True):
        for source, _ in node.terms:
            before = graph.nodes[source].level
            when = {node.level - 1 - before}
            if node.free:  # what has no register itself reads when it is read
                when = {node.level + cycle - before for bit in bits for cycle in bit}
            for bit in read[source] if node.bit is None else [read[source][node.bit]]:
                bit |= when
    return read


def _lines(node: Node, bits: list[set[int]], family: str) -> Part:
    """The registers behind a node whose bits are read after so many cycles: shift registers where nothing is read for long."""
    total = Part()
    for cycles, width in Counter(map(frozenset, bits)).items():
        before = -1 if node.terms else 0
        for cycle in sorted(cycles):
            total += delay(width, cycle - before, family)
            before = cycle
    return total


def _finish_luts(block: Unrolled, tables: UnrolledTables, row: int, family: str) -> int:
    """LUTs behind a row's sum: a chain, and a table for limits that depend on the border; one LUT after the other, each with what the lower
    bits say, for a comparison of few bits with one limit."""
    limits = tables.limits[row].tolist()
    node = tables.graph.nodes[tables.graph.outputs[row].node]
    bits = node.bits if block.mode == "bits" else block.out_bits
    columns = {tuple(limit >> bit & 1 for limit in limits) for bit in range(bits)}
    table = sum(len(set(column)) > 1 for column in columns)
    inputs = FAMILIES[family].lut_inputs
    if block.mode == "bits" and not table and bits <= (COMPARED_BITS if inputs == TABLE_NETS else TABLE_NETS):
        return max(1, -(-(bits - 1) // (inputs - 1)))
    return bits + table

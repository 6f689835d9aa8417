"""The worst case of a topology: what hardware must be able to hold where the weights are not known yet."""

from dataclasses import replace

from bwnhw.errors import PlanError
from bwnhw.network import Conv, Node, Pool, Scale, Threshold, Topology

SCALED_BITS = (32, 64)  # what scaled scores are given: scales are real numbers, and have no worst case


def worst_case(topology: Topology) -> Topology:
    """The topology with the ranges that any weights of its layers' kinds can reach, without codebooks, and with flips wherever some channel
    may have one.

    Raises PlanError where a scaled score may need more than 64 bits.
    """
    nodes: list[Node] = []
    for node in topology.nodes:
        nodes.append(_widened(node, nodes[node.src[0]]) if node.src else node)
    return Topology(tuple(nodes))


def _widened(node: Node, before: Node) -> Node:
    source = before.out
    if isinstance(node, Conv):
        values = [node.value[0] * code + node.value[1] for code in (source.lo, source.hi)]
        ends = [0, *(weight * value for weight in (node.weights.lo, node.weights.hi) for value in values)]
        terms = source.channels * node.kernel[0] * node.kernel[1]
        return replace(node, out=replace(node.out, lo=terms * min(ends), hi=terms * max(ends)), codebook=None)
    if isinstance(node, Threshold):
        return replace(node, flips=True)
    if isinstance(node, Pool):
        taps = node.kernel[0] * node.kernel[1] if node.kind == "sum" else 1
        lo, hi = (min(0, source.lo * taps), max(0, source.hi * taps)) if node.kind == "sum" else (source.lo, source.hi)
        # A maximum of codes may have been one of numbers that the threshold turned round, which moved in front of it.
        turned = node.kind == "max" and (isinstance(before, Threshold) or isinstance(before, Pool) and before.flips)
        return replace(node, out=replace(node.out, lo=lo, hi=hi), flips=node.flips or turned)
    if isinstance(node, Scale):
        bits = next((bits for bits in SCALED_BITS if node.out.bits <= bits), None)
        if bits is None:
            raise PlanError(f"loadable: scaled scores must fit {SCALED_BITS[-1]} bits, but need {node.out.bits}")
        return replace(node, out=replace(node.out, lo=-1 << bits - 1, hi=(1 << bits - 1) - 1))
    return node

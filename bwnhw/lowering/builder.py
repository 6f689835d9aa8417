"""The network under construction."""

from math import prod

from bwnhw.errors import ModelError
from bwnhw.network import Conv, Ints, Meaning, Network, Node, NodeParams, Topology

MAX_WEIGHTS = 10**8
MAX_MACS = 10**10
"""Per image. Larger networks are refused before memory is taken for them."""


class Builder:
    """Nodes with their values and meanings, appended one by one."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._params: list[NodeParams] = []
        self._meanings: list[Meaning | None] = []
        self._weights = 0
        self._macs = 0

    def add(self, node: Node, params: NodeParams = None, meaning: Meaning | None = None) -> int:
        """Append a node; its index."""
        self._nodes.append(node)
        self._params.append(params)
        self._meanings.append(meaning)
        return len(self._nodes) - 1

    def node(self, index: int) -> Node:
        """The node of that index."""
        return self._nodes[index]

    def ints(self, index: int) -> Ints:
        """What a node puts out."""
        return self._nodes[index].out

    def mean(self, index: int, meaning: Meaning | None) -> None:
        """Say what a node's integers stand for, once that is known."""
        self._meanings[index] = meaning

    def meaning(self, index: int) -> Meaning | None:
        """What a node's integers stand for, as far as known."""
        return self._meanings[index]

    def unnamed(self, index: int) -> bool:
        """True while no tensor is known for a node."""
        return self._meanings[index] is None

    def afford(self, name: str, inputs: int, kernel: tuple[int, int], out: Ints) -> None:
        """Count a layer; ModelError where the network grows beyond `MAX_WEIGHTS` or `MAX_MACS`."""
        self._weights += inputs * prod(kernel) * out.channels
        self._macs += inputs * prod(kernel) * out.channels * out.pixels
        for what, found, limit in (("weights", self._weights, MAX_WEIGHTS), ("multiplications per image", self._macs, MAX_MACS)):
            if found > limit:
                raise ModelError(f"{name}: expected a network of at most {limit:.0e} {what}, found {found:.1e} up to here")

    def network(self) -> Network:
        """All nodes so far."""
        return Network(Topology(tuple(self._nodes)), tuple(self._params), tuple(self._meanings))


def conv_macs(conv: Conv, source: Ints) -> int:
    """Multiplications of a layer per image, padded taps included."""
    return prod(conv.kernel) * source.channels * conv.out.channels * conv.out.pixels

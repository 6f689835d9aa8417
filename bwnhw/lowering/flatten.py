"""A one-channel image that goes straight into a dense layer is a vector: its pixels can then enter several at a time."""

from dataclasses import replace

import numpy as np

from bwnhw.network import Conv, ConvParams, Input, Ints, Network, Node, NodeParams, Threshold, ThresholdParams, Topology


def flatten(network: Network) -> Network:
    """The same network, with a one-channel input map as a vector of pixels where its first conv covers the whole map.

    Only thresholds may stand between the input and that conv; else the network comes back as it is. Raster order is the order of
    the vector's channels, so codes keep their order on the stream, and values don't change.
    """
    nodes, source = network.topology.nodes, network.topology.nodes[0].out
    first = next((index for index, node in enumerate(nodes) if not isinstance(node, Input | Threshold)), None)
    if first is None or source.channels != 1 or source.pixels == 1 or not _is_dense(nodes[first], source):
        return network
    if any(network.topology.consumers(index) != (index + 1,) for index in range(first)):
        return network
    ahead = [_as_vector(node, values, source.pixels) for node, values in zip(nodes[:first], network.params[:first], strict=True)]
    conv, weights = nodes[first], network.params[first]
    assert isinstance(conv, Conv) and isinstance(weights, ConvParams)  # _is_dense
    dense = replace(conv, kernel=(1, 1)), replace(weights, weights=weights.weights.reshape(len(weights.weights), -1, 1, 1))
    changed = [*ahead, dense]
    return Network(Topology((*(node for node, _ in changed), *nodes[first + 1:])),
                   (*(values for _, values in changed), *network.params[first + 1:]), network.meanings)


def _is_dense(node: Node, source: Ints) -> bool:
    return isinstance(node, Conv) and node.kernel == (source.height, source.width) and not any(node.pads) and node.codebook is None


def _as_vector(node: Node, values: NodeParams, pixels: int) -> tuple[Node, NodeParams]:
    """A node of a one-channel map as one of a vector; the channel's values are repeated for every pixel."""
    if isinstance(values, ThresholdParams):
        values = ThresholdParams(np.repeat(values.thresholds, pixels, axis=0), np.repeat(values.flip, pixels))
    return replace(node, out=Ints(pixels, 1, 1, node.out.lo, node.out.hi)), values

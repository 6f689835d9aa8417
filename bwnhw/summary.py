"""An integer network as a table: one row per node."""

from dataclasses import dataclass
from math import prod

import numpy as np

from bwnhw.network import (
    BIPOLAR_WEIGHTS,
    UNIPOLAR_WEIGHTS,
    CodebookShape,
    Conv,
    ConvParams,
    Network,
    Node,
    Pool,
    PoolParams,
    Threshold,
    ThresholdParams,
    WeightCode,
)


@dataclass(frozen=True)
class Row:
    """One node: `shape` (channels, height, width) and `bits` of what it puts out, weights and multiplications per image.

    `weight_bits` counts indices and codewords where there is a codebook. `macs` counts padded taps too. `kernels` and
    `distinct_kernels` count a conv's windows of more than one tap by their weights.
    """

    node: int
    kind: str
    tensor: str | None
    shape: tuple[int, int, int]
    bits: int
    detail: str = ""
    weights: int = 0
    weight_bits: int = 0
    macs: int = 0
    kernels: int = 0
    distinct_kernels: int = 0


def summary(network: Network) -> tuple[Row, ...]:
    """A row per node, in order."""
    return tuple(_row(network, index) for index in range(len(network.topology.nodes)))


def _row(network: Network, index: int) -> Row:
    nodes = network.topology.nodes
    node, params, meaning = nodes[index], network.params[index], network.meanings[index]
    row = Row(index, _kind(node), meaning.tensor if meaning else None, node.out.shape, node.out.bits, _detail(node, params))
    if not isinstance(node, Conv) or not isinstance(params, ConvParams):
        return row
    weights = params.weights
    taps = prod(node.kernel)
    kernels = weights.reshape(-1, taps) if taps > 1 and node.out.pixels > 1 else weights.reshape(-1, taps)[:0]
    return Row(**{**row.__dict__, "weights": weights.size, "weight_bits": stored_bits(node, weights.size),
                  "macs": weights.size * node.out.pixels, "kernels": len(kernels),
                  "distinct_kernels": len(np.unique(kernels, axis=0))})


def _kind(node: Node) -> str:
    if isinstance(node, Conv):
        return "dense" if node.out.pixels == 1 else "conv"
    if isinstance(node, Pool):
        return f"{node.kind} pool"
    return {"Input": "input", "Threshold": "threshold", "Scale": "scale", "ArgMax": "arg-max", "Add": "add"}[type(node).__name__]


def _detail(node: Node, params: object) -> str:
    """What else is worth knowing, in words."""
    if isinstance(node, Conv | Pool):
        words = ["×".join(map(str, node.kernel))]
        if node.stride != (1, 1):
            words.append("stride " + "×".join(map(str, node.stride)))
        if any(node.pads):
            words.append("pads " + ",".join(map(str, node.pads)))
        if isinstance(node, Conv):
            words.append(f"weights {_weights(node.weights)}")
            words += [_codewords(node.codebook)] if node.codebook else []
        elif isinstance(params, PoolParams) and node.flips:
            words.append(f"{int(params.flip.sum())} flipped")
        return ", ".join(words)
    if isinstance(node, Threshold) and isinstance(params, ThresholdParams):
        return f"{node.out.hi} levels, {int(params.flip.sum())} flipped" if node.flips else f"{node.out.hi} levels"
    return ""


def _codewords(shape: CodebookShape) -> str:
    words = ["closed"] if shape.closed else []
    words += ["rows"] if len(shape.taps) == 1 else []
    words += ["per channel"] if shape.books > 1 else []
    return f"{shape.words} codewords" + (f" ({', '.join(words)})" if words else "")


def stored_bits(node: Conv, weights: int) -> int:
    """Bits that a layer's weights, of that number, take as they were written: planes, or indices and codewords."""
    planes = len(node.weights.shifts)
    if node.codebook is None:
        return weights * planes
    return weights // prod(node.codebook.taps) * node.codebook.index_bits + node.codebook.codebook_bits * planes


def _weights(code: WeightCode) -> str:
    if code == BIPOLAR_WEIGHTS:
        return "±1"
    return "0, 1" if code == UNIPOLAR_WEIGHTS else f"{code.lo}..{code.hi}"

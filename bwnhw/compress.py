"""QBN on a model file alone: the kernels of its convolutions become codewords of small codebooks, written as Gather(codewords, index).

What stays at one bit per weight: the first layer with weights, dense and 1×1 layers, weights that aren't ±1 times a scale, and layers whose
codebook would cost more than it saves. Latent weights are used where the file has them, else signs, which are as far apart as taps that
differ.
"""

from dataclasses import dataclass, replace
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.close_filters import drawn
from bwnhw.codebook_graph import gathered
from bwnhw.codebooks import Scope, Selection, adders, select
from bwnhw.errors import ModelError
from bwnhw.graph import Graph, Op
from bwnhw.kernels import codes
from bwnhw.lowering.constants import Constants
from bwnhw.lowering.weights import conv_weights
from bwnhw.network import BIPOLAR_WEIGHTS, Codebook, Conv, ConvParams, Network
from bwnhw.simplify import drop_dead, simplify
from bwnhw.summary import stored_bits


@dataclass(frozen=True)
class LayerChange:
    """What a codebook did to a layer, which is called as its tensor.

    Of `weights`, `changed` have another sign now; `exact` of its `kernels` (or rows, where those are indexed) are as they were.
    `bits_before` and `bits_after` store it, codewords included, those of a codebook that several layers share with the first. `adders` are
    two-input additions that compute every codeword's sum once.
    """

    name: str
    weights: int
    kernels: int
    codewords: int
    changed: int
    exact: int
    bits_before: int
    bits_after: int
    adders: int

    @property
    def distance(self) -> float:
        """Mean Hamming distance of a kernel to its codeword."""
        return self.changed / self.kernels


@dataclass(frozen=True, eq=False)
class _Layer:
    """A convolution to compress: real or ±1 weights (out, in, kh, kw), and its scales, one or (out, 1, 1, 1)."""

    op: Op
    latent: NDArray[np.float64]
    scale: NDArray[np.float32]


def compress(graph: Graph, selection: Selection) -> Graph:
    """The graph with codebooks, simplified. ModelError where there is no layer that a codebook makes smaller."""
    graph = simplify(graph)
    layers = _layers(graph, selection)
    if not layers:
        raise ModelError(f"the model: expected a convolution of ±1 weights behind the first layer that a codebook of {selection.bits} bits "
                         "makes smaller, found none")
    everywhere = selection.scope is Scope.GLOBAL
    shared = select([layer.latent for layer in layers], selection) if everywhere else None
    constants, taken = dict(graph.constants), {name for op in graph.ops for name in op.outputs} | set(graph.constants)
    rewritten: dict[str, tuple[Op, ...]] = {}
    words_name: str | None = None
    for number, layer in enumerate(layers):
        words = select([layer.latent], selection) if shared is None else shared
        book = drawn(layer.latent, words, selection)
        prefix = _prefix(number, taken)
        ops, arrays = gathered(book, prefix, words_name if everywhere else None)
        words_name = words_name or f"{prefix}.codebook"
        constants |= {**arrays, f"{prefix}.scale": layer.scale}
        kind = "BipolarQuant" if (layer.scale > 0).all() else "Mul"  # a quantiser takes no negative scale
        scaled = Op(kind, f"{prefix}.scaled", (ops[-1].outputs[0], f"{prefix}.scale"), (f"{prefix}.weights",))
        inputs = (layer.op.inputs[0], scaled.outputs[0], *layer.op.inputs[2:])
        rewritten[layer.op.outputs[0]] = (*ops, scaled, replace(layer.op, inputs=inputs))
    ops = tuple(new for op in graph.ops for new in rewritten.get(op.outputs[0], (op,)))
    return drop_dead(replace(graph, ops=ops, constants=MappingProxyType(constants)))


def changes(before: Network, after: Network) -> tuple[LayerChange, ...]:
    """What codebooks did to the layers of a network that is otherwise the same, layer by layer."""
    found, known = [], list[Codebook]()
    for number, (old, new) in enumerate(zip(_convolutions(before), _convolutions(after), strict=True)):
        (name, node, weights, _), (_, _, changed, book) = old, new
        if book is None:
            continue
        shape, taps = book.shape, prod(book.shape.taps)
        same = (weights == changed).reshape(-1, taps).all(axis=1)
        shared = any(np.array_equal(book.codewords, other.codewords) for other in known)
        known.append(book)
        words = codes(book.codewords.reshape(shape.books, shape.words, taps))
        found.append(LayerChange(
            name or f"layer {number}", weights.size, same.size, shape.words, int((weights != changed).sum()), int(same.sum()),
            stored_bits(node, weights.size), same.size * shape.index_bits + (0 if shared else shape.codebook_bits),
            adders(words, taps, shape.closed)))
    return tuple(found)


def _convolutions(network: Network) -> list[tuple[str, Conv, NDArray[np.int8], Codebook | None]]:
    """Tensor, node, weights and codebook of every layer with weights, in order."""
    return [(meaning.tensor if meaning else "", node, params.weights, params.codebook)
            for node, params, meaning in zip(network.topology.nodes, network.params, network.meanings, strict=True)
            if isinstance(node, Conv) and isinstance(params, ConvParams)]


def _layers(graph: Graph, selection: Selection) -> list[_Layer]:
    """The convolutions that a codebook makes smaller, but the first layer with weights."""
    constants = Constants(graph)
    producers = {op.outputs[0]: op for op in graph.ops}
    found, first = [], True
    for op in graph.ops:
        if op.kind not in ("Conv", "MatMul") or op.inputs[0] in constants:
            continue
        if op.kind == "Conv" and not first:
            weights = conv_weights(constants, op.inputs[1], op)
            shape = weights.params.weights.shape
            scale = np.array([float(row) for row in weights.scale], np.float32)
            exact = all(row.rational and float(s) == row.u for row, s in zip(weights.scale, scale.tolist(), strict=True))
            if weights.code == BIPOLAR_WEIGHTS and prod(shape[2:]) > 1 and exact and selection.pays(shape):
                scale = scale.reshape(-1, 1, 1, 1)
                latent = _latent(graph, producers.get(op.inputs[1]), weights.params.weights)
                found.append(_Layer(op, latent, scale[0].reshape(()) if (scale == scale[0]).all() else scale))
        first = False
    return found


def _latent(graph: Graph, producer: Op | None, bits: NDArray[np.int8]) -> NDArray[np.float64]:
    """The real weights behind a quantiser where their signs are the layer's, else the layer's signs."""
    quantised = producer is not None and producer.kind in ("BipolarQuant", "Quant")
    array: NDArray[Any] | None = graph.constants.get(producer.inputs[0]) if producer is not None and quantised else None
    if array is None or array.shape != bits.shape or not np.array_equal(np.where(array >= 0, 1, -1), bits):
        return bits.astype(np.float64)
    return array.astype(np.float64)


def _prefix(number: int, taken: set[str]) -> str:
    """What the names of a compressed layer's tensors begin with; no tensor of the model does."""
    prefix = f"compressed{number}"
    while any(name.startswith(prefix) for name in taken):
        prefix += "'"
    return prefix

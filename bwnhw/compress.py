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

from bwnhw.codebook_graph import gathered
from bwnhw.codebooks import Scope, Selection, Words, adders, mapped, select, units
from bwnhw.errors import ModelError
from bwnhw.graph import Graph, Op
from bwnhw.kernels import codes
from bwnhw.lowering.constants import Constants
from bwnhw.lowering.weights import conv_weights
from bwnhw.network import BIPOLAR_WEIGHTS, Codebook
from bwnhw.ops import label
from bwnhw.simplify import drop_dead, simplify


@dataclass(frozen=True)
class LayerChange:
    """What a codebook did to a layer, called as its operator.

    Of `weights`, `changed` have another sign now; `exact` of its `kernels` (or rows) are as they were. `cosine` is that between latent
    kernel and codeword, the mean over kernels. `bits_before` and `bits_after` store it, codebook included (a global codebook in the
    first layer's). `adders` compute every codeword's sum once.
    """

    name: str
    weights: int
    kernels: int
    codewords: int
    changed: int
    exact: int
    cosine: float
    bits_before: int
    bits_after: int
    adders: int


@dataclass(frozen=True, eq=False)
class _Layer:
    """A convolution to compress: real weights (out, in, kh, kw), their ±1 signs, and positive scales, one or (out, 1, 1, 1)."""

    op: Op
    latent: NDArray[np.float64]
    signs: NDArray[np.int8]
    scale: NDArray[np.float32]


def compress(graph: Graph, selection: Selection) -> tuple[Graph, tuple[LayerChange, ...]]:
    """The graph with codebooks, simplified, and what that changed. ModelError where there is no layer that a codebook makes smaller."""
    graph = simplify(graph)
    layers = _layers(graph, selection)
    if not layers:
        raise ModelError(f"the model: expected a convolution of ±1 weights behind the first layer that a codebook of {selection.bits} bits "
                         "makes smaller, found none")
    everywhere = selection.scope is Scope.GLOBAL
    shared = select([layer.latent for layer in layers], selection) if everywhere else None
    constants, taken = dict(graph.constants), {name for op in graph.ops for name in op.outputs} | set(graph.constants)
    rewritten: dict[str, tuple[Op, ...]] = {}
    changes: list[LayerChange] = []
    words_name: str | None = None
    for number, layer in enumerate(layers):
        words = select([layer.latent], selection) if shared is None else shared
        book = mapped(layer.latent, words, selection)
        prefix = _prefix(number, taken)
        ops, arrays = gathered(book, prefix, words_name if everywhere else None)
        words_name = words_name or f"{prefix}.codebook"
        constants |= {**arrays, f"{prefix}.scale": layer.scale}
        scaled = Op("BipolarQuant", f"{prefix}.sign", (ops[-1].outputs[0], f"{prefix}.scale"), (f"{prefix}.weights",))
        inputs = (layer.op.inputs[0], scaled.outputs[0], *layer.op.inputs[2:])
        rewritten[layer.op.outputs[0]] = (*ops, scaled, replace(layer.op, inputs=inputs))
        changes.append(_change(layer, book, words, selection, everywhere and bool(changes)))
    ops = tuple(new for op in graph.ops for new in rewritten.get(op.outputs[0], (op,)))
    return drop_dead(replace(graph, ops=ops, constants=MappingProxyType(constants))), tuple(changes)


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
                side = np.where(scale < 0, np.int8(-1), np.int8(1))
                size = np.abs(scale[0].reshape(()) if (np.abs(scale) == np.abs(scale[0])).all() else scale)
                latent = _latent(graph, producers.get(op.inputs[1]), weights.params.weights)
                found.append(_Layer(op, side * latent, side * weights.params.weights, size))
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


def _change(layer: _Layer, book: Codebook, words: Words, selection: Selection, booked: bool) -> LayerChange:
    before, after = layer.signs, book.weights
    kernels = units(before, selection)
    same = codes(kernels) == codes(units(after, selection))
    latent, chosen = units(layer.latent, selection), units(after, selection)
    norms = np.linalg.norm(latent, axis=2) * np.sqrt(latent.shape[2])
    cosine = (latent * chosen).sum(axis=2) / np.where(norms > 0, norms, 1)
    shape = book.shape
    stored = book.index.size * shape.index_bits + (0 if booked else selection.shape(before.shape).codebook_bits)
    return LayerChange(label(layer.op), before.size, same.size, shape.words, int((before != after).sum()), int(same.sum()),
                       float(cosine.mean()), before.size, stored, adders(words, latent.shape[2], selection.complement_closed))

"""The float graph against the integer network, layer by layer, on the user's own images.

Every layer is fed with the float graph's own codes, so that a difference is found where it arises and doesn't spread. Codes and
classes must be equal. Where they aren't, the float graph's value must lie so close to the step between the two that float32's rounding
explains it (`bwnhw.float_error`): such values are listed apart as `near`. Sums and scores must agree within the same bound. All else is
a difference.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bwnhw import golden
from bwnhw.codes import encode
from bwnhw.errors import ModelError
from bwnhw.float_error import Tracked, exactly, quotient, track
from bwnhw.float_exec import run
from bwnhw.float_ops import execute
from bwnhw.graph import Graph
from bwnhw.network import ArgMax, Input, Meaning, Network, Pool, Threshold
from bwnhw.simplify import simplify

_BATCH = 64
_LISTED = 100
_QUANTISERS = frozenset({"Quant", "BipolarQuant"})

Array = NDArray[Any]
Executor = Callable[[Graph, Array], Mapping[str, Array]]
"""(simplified graph, images as its input has them) to all its tensors by name, computed in float32."""


@dataclass(frozen=True)
class Difference:
    """One value: which image, channel, row and column; the integer network's and the float graph's (codes, classes or reals)."""

    image: int
    channel: int
    row: int
    column: int
    integer: float
    floating: float


@dataclass(frozen=True)
class LayerComparison:
    """One node that stands for a tensor of the model: values compared, differences, and values so near a step that rounding decides.

    `near` and `different` list the first of them (at most 100 each); the counts are complete.
    """

    node: int
    kind: str
    tensor: str
    values: int
    near_count: int = 0
    different_count: int = 0
    near: tuple[Difference, ...] = ()
    different: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: one entry per node with a tensor of the model, in order."""

    images: int
    layers: tuple[LayerComparison, ...]

    @property
    def equal(self) -> bool:
        """True where no value differs beyond float32's rounding."""
        return not any(layer.different_count for layer in self.layers)

    @property
    def first(self) -> tuple[LayerComparison, Difference] | None:
        """The first layer that differs and its first value, if any."""
        return next(((layer, layer.different[0]) for layer in self.layers if layer.different), None)


def compare(graph: Graph, network: Network, images: ArrayLike, executor: Executor = run) -> Comparison:
    """Run both on `images` (N, ...), values of the graph's input, and hold every layer against the other.

    `executor` computes the float graph, in float32 with sums in any order. Raises ImageError for images that the graph can't take,
    ModelError where the network has no tensor of the graph.
    """
    graph = simplify(graph)
    source = graph.inputs[0]
    codes = encode(network, images)
    values = _as_graph(np.asarray(images), source.shape[1:])
    total: dict[int, LayerComparison] = {}
    for start in range(0, len(codes), _BATCH):
        for found in _layers(graph, network, executor, values[start:start + _BATCH], codes[start:start + _BATCH], start):
            total[found.node] = _joined(total[found.node], found) if found.node in total else found
    if len(codes) and not total:
        raise ModelError("the network: expected nodes that stand for tensors of the graph, found none: it comes from another model")
    return Comparison(len(codes), tuple(total.values()))


def _as_graph(images: Array, shape: tuple[int, ...]) -> Array:
    """Images in any of the layouts that `encode` takes, in the graph input's own."""
    found = images.shape[1:]
    if found != shape and len(found) == len(shape) == 3:
        images = np.moveaxis(images, 3, 1) if found == (*shape[1:], shape[0]) else np.moveaxis(images, 1, 3)
    return images.reshape(len(images), *shape)


def _layers(graph: Graph, network: Network, executor: Executor, images: Array, codes: Array, start: int) -> Iterator[LayerComparison]:
    """The comparison of one batch, node by node."""
    floats = executor(graph, images)
    bounds = cache(lambda: _bounds(graph, floats))  # costs two runs in float64, and is seldom asked for
    forced: list[Array] = []
    for index, (node, meaning) in enumerate(zip(network.topology.nodes, network.meanings, strict=True)):
        integers = codes if index == 0 else golden.apply(network, index, [forced[s] for s in node.src])
        if meaning is None or meaning.tensor not in floats:
            forced.append(integers)
            continue
        tensor = floats[meaning.tensor].reshape(integers.shape)
        if _is_code(network, index):
            decoded = _codes(meaning, tensor)
            differs = integers != decoded
            near = _near_codes(graph, meaning, bounds(), integers, decoded) if differs.any() else differs
            # values that are no code are differences: nothing to go on with but the integers themselves
            valid = (decoded == np.rint(decoded)) & (decoded >= node.out.lo) & (decoded <= node.out.hi)
            forced.append(np.where(valid, decoded, integers).astype(np.int64))
            yield _listed(network, index, meaning, integers, decoded, differs, near, start)
            continue
        forced.append(integers)
        real = _reals(meaning, integers)
        if isinstance(node, ArgMax):
            differs = integers != tensor
            near = _near_classes(graph, meaning, bounds(), integers, tensor) if differs.any() else differs
            yield _listed(network, index, meaning, integers, tensor, differs, near, start)
        else:
            differs = real != tensor
            if differs.any():
                differs = np.abs(real - tensor) > bounds()[meaning.tensor].bound.reshape(real.shape)
            yield _listed(network, index, meaning, real, tensor, differs, np.zeros(real.shape, bool), start)


def _bounds(graph: Graph, floats: Mapping[str, Array]) -> dict[str, Tracked]:
    """Every tensor's bound, each counted from the quantisers before it, whose outputs are exact in themselves."""
    known = {name: exactly(array) for name, array in graph.constants.items()}
    known[graph.inputs[0].name] = exactly(floats[graph.inputs[0].name])
    for op in graph.ops:
        if op.kind in _QUANTISERS:
            known[op.outputs[0]] = exactly(floats[op.outputs[0]], depth=1)  # (q − zero)·scale is one rounding
        elif op.kind not in ("TopK", "ArgMax") and all(name in known for name in op.inputs if name):  # nothing to say of classes
            known[op.outputs[0]] = track(op, [known[name] if name else None for name in op.inputs])
    return known


def _is_code(network: Network, index: int) -> bool:
    """True for nodes whose integers are a quantiser's codes, or maxima of them, or the input."""
    node = network.topology.nodes[index]
    if isinstance(node, Pool):
        return node.kind == "max" and _is_code(network, node.src[0])
    return isinstance(node, Input | Threshold)


def _codes(meaning: Meaning, tensor: Array) -> Array:
    """real/scale + zero, whole where it is within float32's rounding of an integer."""
    codes = tensor / _column(meaning.scale) + _column(meaning.zero)
    whole = np.rint(codes)
    return np.where(np.abs(codes - whole) <= 1e-5 * (1 + np.abs(whole)), whole, codes)


def _reals(meaning: Meaning, integers: Array) -> Array:
    return np.asarray(_column(meaning.scale) * (integers - _column(meaning.zero)))


def _column(values: tuple[Any, ...]) -> Array:
    return np.array([float(value) for value in values]).reshape(-1, 1, 1)


def _near_codes(graph: Graph, meaning: Meaning, bounds: dict[str, Tracked], integers: Array, decoded: Array) -> Array:
    """True where both codes are reached from within the error bound around what the quantiser rounds."""
    op = next((op for op in graph.ops if meaning.tensor in op.outputs), None)
    if op is None or op.kind not in _QUANTISERS:
        return np.zeros(integers.shape, bool)
    source, scale, *rest = (bounds[name] for name in op.inputs)
    rounds = quotient(source, scale, rest[0]) if rest else source
    ends = []
    for end in (rounds.value - rounds.bound, rounds.value + rounds.bound):
        if rest:
            (whole, *_) = execute(op, (end, np.ones(()), np.zeros(()), rest[1].value))
            real = (whole.astype(np.float64) - rest[0].value) * scale.value
        else:
            (real, *_) = execute(op, (end, scale.value))
        ends.append(_codes(meaning, real.reshape(integers.shape)))
    lower, upper = np.minimum(*ends), np.maximum(*ends)
    return np.asarray((lower <= np.minimum(integers, decoded)) & (np.maximum(integers, decoded) <= upper))


def _near_classes(graph: Graph, meaning: Meaning, bounds: dict[str, Tracked], integers: Array, tensor: Array) -> Array:
    """True where the two classes' scores are within their error bounds of each other."""
    op = next(op for op in graph.ops if meaning.tensor in op.outputs)
    scores = bounds[op.inputs[0]]
    rows = np.arange(len(integers))
    pair = [np.clip(classes.reshape(-1).astype(np.int64), 0, None) for classes in (integers, tensor)]
    value, bound = (array.reshape(len(rows), -1) for array in (scores.value, scores.bound))
    gap = np.abs(value[rows, pair[0]] - value[rows, pair[1]])
    return np.asarray(gap <= bound[rows, pair[0]] + bound[rows, pair[1]]).reshape(integers.shape)


def _listed(network: Network, index: int, meaning: Meaning, integers: Array, floats: Array, differs: Array, near: Array,
            start: int) -> LayerComparison:
    """One node's entry for one batch that starts at image `start`."""
    def some(mask: Array) -> tuple[Difference, ...]:
        places = np.argwhere(mask)[:_LISTED].tolist()
        return tuple(Difference(n + start, c, y, x, float(integers[n, c, y, x]), float(floats[n, c, y, x])) for n, c, y, x in places)

    close, wrong = differs & near, differs & ~near
    return LayerComparison(index, type(network.topology.nodes[index]).__name__, meaning.tensor, integers.size, int(close.sum()),
                           int(wrong.sum()), some(close), some(wrong))


def _joined(a: LayerComparison, b: LayerComparison) -> LayerComparison:
    """Two batches of one node as one entry."""
    return replace(a, values=a.values + b.values, near_count=a.near_count + b.near_count,
                   different_count=a.different_count + b.different_count, near=(a.near + b.near)[:_LISTED],
                   different=(a.different + b.different)[:_LISTED])

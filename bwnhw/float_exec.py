"""The float graph executed as written, in NumPy's float32: what `inspect` holds against the integer network."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bwnhw.errors import ImageError
from bwnhw.float_ops import execute
from bwnhw.graph import Graph
from bwnhw.ops import quoted
from bwnhw.shapes import infer_shapes


def run(graph: Graph, x: ArrayLike, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Values of the tensors `names` (default: the input and every operator's outputs) for images `x` (N, ...).

    `x` is taken in the graph input's dtype. Arithmetic is float32's, sums in NumPy's order, so that values that need more than
    24 bits may differ from another executor's in the last place. Raises ImageError where `x` doesn't have the graph input's shape,
    ModelError where the graph's shapes don't fit each other.
    """
    source = graph.inputs[0]
    images = np.asarray(x)
    shape = (source.shape[0] or len(images) if images.ndim else 0, *source.shape[1:])
    if images.shape != shape or not len(images):
        raise ImageError(f"images for {quoted(source.name)}: expected shape {('N', *source.shape[1:])}"
                         f"{f' with N = {source.shape[0]}' if source.shape[0] else ''}, found {images.shape}")
    infer_shapes(graph, len(images))
    last_use = {name: index for index, op in enumerate(graph.ops) for name in op.inputs}
    tensors: dict[str, NDArray[Any]] = {**graph.constants, source.name: images.astype(source.dtype)}
    wanted = {source.name, *(name for op in graph.ops for name in op.outputs)} if names is None else set(names)
    results = {source.name: tensors[source.name]} if source.name in wanted else {}
    for index, op in enumerate(graph.ops):
        outputs = execute(op, tuple(tensors[name] if name else None for name in op.inputs))
        tensors.update(zip(op.outputs, outputs, strict=False))
        results.update((name, array) for name, array in zip(op.outputs, outputs, strict=False) if name in wanted)
        for name in {*op.inputs, *op.outputs}:
            if last_use.get(name, index) == index:
                tensors.pop(name, None)
    return results

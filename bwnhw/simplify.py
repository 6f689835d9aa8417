"""Passes that bring a float graph into the few forms that lowering knows. Each is a pure function from `Graph` to `Graph`.

Values aren't changed: constants keep their numbers, quantisers of constants stay operators (so that integers and scale can be told
apart), Gather(codebook, index) stays too. Afterwards

* the batch is free, the input's dtype is a float, shape arithmetic and Identity, Dropout and idle Cast are gone;
* layout operators (Transpose, Reshape, Cast...) of constants are folded, also where the constant is behind a quantiser;
* Gemm is MatMul and Add; Conv, MaxPool and AveragePool have kernel_shape, strides, pads, dilations in full, Pad went into Conv;
* a mean over a map is GlobalAveragePool; what makes rows of maps is Flatten (axis 1), any other reshaping of activations is
  Reshape with a constant target whose first entry is 0 (the batch).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np

from bwnhw.element_types import dtype_of
from bwnhw.errors import ModelError
from bwnhw.graph import Graph, Op, Value
from bwnhw.ops import integer, label, quoted
from bwnhw.rewriting import bypass
from bwnhw.shapes import infer, infer_shapes
from bwnhw.simplify_layout import canonical_reshapes, fold_layout, layout_before_quantisers, merge_layout
from bwnhw.simplify_maps import explicit_windows, mean_to_pool, pad_into_conv, split_gemm


def simplify(graph: Graph) -> Graph:
    """All passes in order; applied to its own result it changes nothing.

    Raises ModelError where shapes don't fit, or where images of a batch aren't independent of each other.
    """
    return reduce(lambda found, run_pass: run_pass(found), PASSES, graph)


def fold_shapes(graph: Graph) -> Graph:
    """Shape arithmetic becomes constants, for one image."""
    values = infer(graph).values
    kept = tuple(op for op in graph.ops if op.outputs[0] not in values)
    return replace(graph, ops=kept, constants=MappingProxyType(dict(values)))


def float_input(graph: Graph) -> Graph:
    """An integer input that is only read by Casts to a float that holds it exactly becomes that float, annotated with its integers."""
    source = graph.inputs[0]
    readers = [op for op in graph.ops if source.name in op.inputs]
    types = {dtype_of(integer(op, "to"), label(op)) if op.kind == "Cast" else None for op in readers}
    found = types.pop() if len(types) == 1 else None
    if np.dtype(source.dtype).kind not in "iu" or found is None or not np.can_cast(source.dtype, found, "safe"):
        return graph
    value = replace(source, dtype=found.name, datatype=source.datatype or source.dtype.upper())
    return replace(graph, inputs=(value,))


def drop_idle(graph: Graph) -> Graph:
    """Without Identity, Dropout and Cast to the type that is there already."""
    dtypes = _dtypes(graph)

    def idle(op: Op) -> bool:
        to = dtype_of(integer(op, "to"), label(op)) if op.kind == "Cast" else None
        return op.kind in ("Identity", "Dropout") or to is not None and dtypes.get(op.inputs[0]) == to
    return bypass(graph, idle)


def _dtypes(graph: Graph) -> dict[str, np.dtype[Any]]:
    """Element type of every tensor."""
    found: dict[str, np.dtype[Any]] = {name: array.dtype for name, array in graph.constants.items()}
    found.update((value.name, np.dtype(value.dtype)) for value in graph.inputs)
    for op in graph.ops:
        dtype = found[op.inputs[0]]
        if op.kind == "Cast":
            dtype = dtype_of(integer(op, "to"), label(op))
        last = np.dtype("int64") if op.kind in ("ArgMax", "TopK", "Shape") else dtype
        found.update({name: dtype for name in op.outputs[:-1]} | {op.outputs[-1]: last})
    return found


def drop_dead(graph: Graph) -> Graph:
    """Without operators and constants that no graph output needs."""
    needed = {value.name for value in graph.outputs}
    kept = []
    for op in reversed(graph.ops):
        if needed.intersection(op.outputs):
            needed.update(op.inputs)
            kept.append(op)
    constants = {name: array for name, array in graph.constants.items() if name in needed}
    return replace(graph, ops=tuple(reversed(kept)), constants=MappingProxyType(constants))


def free_batch(graph: Graph) -> Graph:
    """The batch becomes free (0), shown possible by the shapes for one and for two images.

    Raises ModelError, naming the operator, where a tensor's first dimension isn't the batch.
    """
    source = replace(graph.inputs[0], shape=(0, *graph.inputs[0].shape[1:]))
    freed = replace(graph, inputs=(source,))
    try:
        one, two = infer_shapes(freed, 1), infer_shapes(freed, 2)
    except ModelError as error:
        raise ModelError(f"{error}, with a batch of one image or two in place of {graph.inputs[0].shape[0] or 'a free one'}") from None
    fixed = set(graph.constants)
    for op in graph.ops:
        for name in filter(None, op.outputs):
            if fixed.issuperset(filter(None, op.inputs)):
                fixed.add(name)
            elif (2, *one[name][1:]) != two[name] or one[name][:1] != (1,):
                raise ModelError(f"{label(op)}: expected every image of a batch for itself, found {quoted(name)} of shape {one[name]} "
                                 f"for one image and {two[name]} for two")
    outputs = tuple(_freed(value, one) for value in graph.outputs)
    return replace(freed, outputs=outputs)


def _freed(value: Value, shapes: Mapping[str, tuple[int, ...]]) -> Value:
    return replace(value, shape=(0, *shapes[value.name][1:]))


PASSES: tuple[Callable[[Graph], Graph], ...] = (
    fold_shapes, float_input, drop_idle, split_gemm, fold_layout, layout_before_quantisers, pad_into_conv, explicit_windows,
    mean_to_pool, canonical_reshapes, merge_layout, canonical_reshapes, drop_dead, free_batch)
"""In the order of `simplify`."""

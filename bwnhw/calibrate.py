"""Batch norm statistics taken anew: what weights were changed behind, must be measured again."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from bwnhw.float_exec import run
from bwnhw.graph import Graph, Op


def recalibrated(graph: Graph, images: ArrayLike) -> Graph:
    """The graph with mean and variance of every BatchNormalization as its input has them on `images` (N, ...), in order.

    Each sees what the ones before it give with their new statistics. Batch norms spelled out in other operators stay as they are.
    """
    for index, op in enumerate(graph.ops):
        if op.kind == "BatchNormalization":
            graph = _measured(graph, index, op, images)
    return graph


def _measured(graph: Graph, index: int, op: Op, images: ArrayLike) -> Graph:
    seen = run(graph, images, {op.inputs[0]})[op.inputs[0]].astype(np.float64)
    axes = (0, *range(2, seen.ndim))
    names = [f"{op.outputs[0]}.{what}" for what in ("mean", "variance")]
    while any(name in graph.constants for name in names):
        names = [f"{name}'" for name in names]
    found = {names[0]: seen.mean(axis=axes).astype(np.float32), names[1]: seen.var(axis=axes).astype(np.float32)}
    new = replace(op, inputs=(*op.inputs[:3], *names))
    ops = (*graph.ops[:index], new, *graph.ops[index + 1:])
    return replace(graph, ops=ops, constants=MappingProxyType({**graph.constants, **found}))

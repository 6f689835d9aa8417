"""Passes of `bwnhw.simplify` about layout: of constants, of quantised constants, of activations."""

from dataclasses import replace

import numpy as np

from bwnhw.float_ops import execute
from bwnhw.graph import Graph, Op
from bwnhw.ops import integers
from bwnhw.rewriting import Draft, bypass, fixed, frozen, rewrite
from bwnhw.shapes import infer_shapes

_LAYOUT = frozenset({"Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout"})
_RESHAPING = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten"})
_ROWS = frozenset({"Flatten", "Reshape"})  # what canonical_reshapes leaves
_QUANTISERS = frozenset({"Quant", "BipolarQuant"})


def fold_layout(graph: Graph) -> Graph:
    """Cast, Transpose, Reshape and the like of constants become constants."""
    def rule(op: Op, draft: Draft) -> tuple[Op, ...]:
        if op.kind not in _LAYOUT or not all(name in draft.constants for name in op.inputs if name):
            return (op,)
        (array,) = execute(op, tuple(draft.constants[name] if name else None for name in op.inputs))
        draft.constants[op.outputs[0]] = frozen(array)
        return ()
    return rewrite(graph, rule)


def layout_before_quantisers(graph: Graph) -> Graph:
    """Layout(Quant(constant)) becomes Quant(Layout(constant)), folded; left as it is where scales and layout don't go together."""
    producers = {op.outputs[0]: op for op in graph.ops}

    def rule(op: Op, draft: Draft) -> tuple[Op, ...]:
        quantiser = producers.get(op.inputs[0])
        if (op.kind not in _LAYOUT - {"Cast"} or quantiser is None or quantiser.kind not in _QUANTISERS
                or not all(name in draft.constants for name in (*quantiser.inputs, *op.inputs[1:]) if name)):
            return (op,)
        data = draft.constants[quantiser.inputs[0]]
        rest = tuple(draft.constants[name] for name in op.inputs[1:])
        moved = []
        for index, name in enumerate(quantiser.inputs[:3]):
            array = draft.constants[name]
            if index and array.size == 1:
                array = array.reshape(())
            elif op.kind == "Transpose":
                (array,) = execute(op, (array.reshape((1,) * (data.ndim - array.ndim) + array.shape),))
            elif not index or op.kind not in _RESHAPING:
                (array,) = execute(op, (array, *rest))
            else:
                return (op,)
            moved.append(draft.constant(f"{op.outputs[0]}.{index}", array))
        new = replace(quantiser, inputs=(*moved, *quantiser.inputs[3:]), outputs=op.outputs)
        producers[op.outputs[0]] = new
        return (new,)
    return rewrite(graph, rule)


def canonical_reshapes(graph: Graph) -> Graph:
    """Reshaping of activations becomes Flatten (axis 1) or Reshape (0, ...), and a Transpose of axes of size 1 a Reshape."""
    shapes = infer_shapes(graph)

    def rule(op: Op, draft: Draft) -> tuple[Op, ...]:
        before, after = shapes[op.inputs[0]], shapes[op.outputs[0]]
        moves = op.kind == "Transpose" and _moves_ones(op, before)
        if op.inputs[0] in draft.constants or op.kind not in _RESHAPING and not moves or before[:1] != after[:1]:
            return (op,)
        if len(after) == 2:
            return (replace(op, kind="Flatten", inputs=op.inputs[:1], attrs=fixed(axis=1)),)
        target = np.array((0, *after[1:]), np.int64)
        if op.kind == "Reshape" and np.array_equal(draft.constants[op.inputs[1]], target):
            return (replace(op, attrs=fixed()),)
        key = draft.constant(f"{op.outputs[0]}.shape", target)
        return (replace(op, kind="Reshape", inputs=(op.inputs[0], key), attrs=fixed()),)
    return rewrite(graph, rule)


def _moves_ones(op: Op, shape: tuple[int, ...]) -> bool:
    """True where a Transpose leaves the first axis alone and all longer axes in their order."""
    perm = integers(op, "perm") or tuple(reversed(range(len(shape))))
    longer = [axis for axis in perm if shape[axis] > 1]
    return perm[:1] == (0,) and longer == sorted(longer)


def merge_layout(graph: Graph) -> Graph:
    """One Reshape or Transpose for several in a row, and none where nothing changes."""
    shapes = infer_shapes(graph)
    producers: dict[str, Op] = {}
    ops = []
    for op in graph.ops:
        before = producers.get(op.inputs[0])
        if before is not None and op.kind in _ROWS and before.kind in _ROWS:
            op = replace(op, inputs=(before.inputs[0], *op.inputs[1:]))
        elif before is not None and op.kind == before.kind == "Transpose":
            perms = [integers(item, "perm") or tuple(reversed(range(len(shapes[item.inputs[0]])))) for item in (before, op)]
            op = replace(op, inputs=before.inputs, attrs=fixed(perm=tuple(perms[0][axis] for axis in perms[1])))
        producers[op.outputs[0]] = op
        ops.append(op)

    def unneeded(op: Op) -> bool:
        perm = op.attrs.get("perm") if op.kind == "Transpose" else None
        stays = op.kind in _RESHAPING and shapes[op.inputs[0]] == shapes[op.outputs[0]]
        return stays or perm == tuple(range(len(shapes[op.inputs[0]])))
    return bypass(replace(graph, ops=tuple(ops)), unneeded)

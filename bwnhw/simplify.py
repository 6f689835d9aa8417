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
from numpy.typing import NDArray

from bwnhw.errors import ModelError
from bwnhw.float_ops import execute
from bwnhw.graph import Attribute, Graph, Op, Value
from bwnhw.onnx_tensors import dtype_of
from bwnhw.ops import attribute, label, quoted
from bwnhw.shapes import infer, infer_shapes
from bwnhw.windows import window_of

Array = NDArray[Any]

_LAYOUT = frozenset({"Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout"})
_RESHAPING = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten"})
_QUANTISERS = frozenset({"Quant", "BipolarQuant"})


def simplify(graph: Graph) -> Graph:
    """All passes in order; applied to its own result it changes nothing.

    Raises ModelError where shapes don't fit, or where images of a batch aren't independent of each other.
    """
    return reduce(lambda found, run_pass: run_pass(found), PASSES, graph)


def with_constant(constants: Mapping[str, Array], name: str, array: Array) -> tuple[str, dict[str, Array]]:
    """`constants` with `array` added under a new name that begins with `name`, and that name."""
    while name in constants:
        name += "'"
    array.setflags(write=False)
    return name, {**constants, name: array}


def _attrs(**attrs: Attribute) -> Mapping[str, Attribute]:
    return MappingProxyType(attrs)


def _bypass(graph: Graph, unneeded: Callable[[Op], bool]) -> Graph:
    """Without the operators that pass their first input on; a graph output is then called as that input was."""
    alias: dict[str, str] = {}
    kept = []
    for op in graph.ops:
        op = replace(op, inputs=tuple(alias.get(name, name) for name in op.inputs))
        if unneeded(op):
            alias[op.outputs[0]] = op.inputs[0]
        else:
            kept.append(op)
    outputs = tuple(replace(value, name=alias.get(value.name, value.name)) for value in graph.outputs)
    return replace(graph, ops=tuple(kept), outputs=outputs)


def _rewrite(graph: Graph, rule: Callable[[Op, dict[str, Array]], tuple[Op, ...]]) -> Graph:
    """Every operator replaced by those that `rule` gives for it; the rule may add to the constants that it is handed."""
    constants = dict(graph.constants)
    ops = tuple(new for op in graph.ops for new in rule(op, constants))
    return replace(graph, ops=ops, constants=MappingProxyType(constants))


def fold_shapes(graph: Graph) -> Graph:
    """Shape arithmetic becomes constants, for one image."""
    values = infer(graph).values
    kept = tuple(op for op in graph.ops if op.outputs[0] not in values)
    return replace(graph, ops=kept, constants=MappingProxyType(dict(values)))


def fold_layout(graph: Graph) -> Graph:
    """Cast, Transpose, Reshape and the like of constants become constants."""
    def rule(op: Op, constants: dict[str, Array]) -> tuple[Op, ...]:
        if op.kind not in _LAYOUT or not all(name in constants for name in op.inputs if name):
            return (op,)
        (array,) = execute(op, tuple(constants[name] if name else None for name in op.inputs))
        constants[op.outputs[0]] = array = np.asarray(array, order="C")
        array.setflags(write=False)
        return ()
    return _rewrite(graph, rule)


def layout_before_quantisers(graph: Graph) -> Graph:
    """Layout(Quant(constant)) becomes Quant(Layout(constant)), folded; left as it is where scales and layout don't go together."""
    producers = {op.outputs[0]: op for op in graph.ops}

    def rule(op: Op, constants: dict[str, Array]) -> tuple[Op, ...]:
        quantiser = producers.get(op.inputs[0])
        if (op.kind not in _LAYOUT - {"Cast"} or quantiser is None or quantiser.kind not in _QUANTISERS
                or not all(name in constants for name in (*quantiser.inputs, *op.inputs[1:]) if name)):
            return (op,)
        data = constants[quantiser.inputs[0]]
        rest = tuple(constants[name] for name in op.inputs[1:])
        moved = []
        for index, name in enumerate(quantiser.inputs[:3]):
            array = constants[name]
            if index and array.size == 1:
                array = array.reshape(())
            elif op.kind == "Transpose":
                (array,) = execute(op, (array.reshape((1,) * (data.ndim - array.ndim) + array.shape),))
            elif not index or op.kind not in _RESHAPING:
                (array,) = execute(op, (array, *rest))
            else:
                return (op,)
            key, added = with_constant(constants, f"{op.outputs[0]}.{index}", np.asarray(array, order="C"))
            constants.update(added)
            moved.append(key)
        new = replace(quantiser, inputs=(*moved, *quantiser.inputs[3:]), outputs=op.outputs)
        producers[op.outputs[0]] = new
        return (new,)
    return _rewrite(graph, rule)


def float_input(graph: Graph) -> Graph:
    """An integer input that is only read by Casts to a float that holds it exactly becomes that float, annotated with its integers."""
    source = graph.inputs[0]
    readers = [op for op in graph.ops if source.name in op.inputs]
    types = {dtype_of(int(attribute(op, "to")), label(op)) if op.kind == "Cast" else None for op in readers}  # type: ignore[arg-type]  # an int
    found = types.pop() if len(types) == 1 else None
    if np.dtype(source.dtype).kind not in "iu" or found is None or not np.can_cast(source.dtype, found, "safe"):
        return graph
    value = replace(source, dtype=found.name, datatype=source.datatype or source.dtype.upper())
    return replace(graph, inputs=(value,))


def drop_idle(graph: Graph) -> Graph:
    """Without Identity, Dropout and Cast to the type that is there already."""
    dtypes = _dtypes(graph)

    def idle(op: Op) -> bool:
        to = dtype_of(int(attribute(op, "to")), label(op)) if op.kind == "Cast" else None  # type: ignore[arg-type]  # an int once checked
        return op.kind in ("Identity", "Dropout") or to is not None and dtypes.get(op.inputs[0]) == to
    return _bypass(graph, idle)


def _dtypes(graph: Graph) -> dict[str, np.dtype[Any]]:
    """Element type of every tensor."""
    found: dict[str, np.dtype[Any]] = {name: array.dtype for name, array in graph.constants.items()}
    found.update((value.name, np.dtype(value.dtype)) for value in graph.inputs)
    for op in graph.ops:
        dtype = found[op.inputs[0]]
        if op.kind == "Cast":
            dtype = dtype_of(int(attribute(op, "to")), label(op))  # type: ignore[arg-type]  # an int once checked
        last = np.dtype("int64") if op.kind in ("ArgMax", "TopK", "Shape") else dtype
        found.update({name: dtype for name in op.outputs[:-1]} | {op.outputs[-1]: last})
    return found


def split_gemm(graph: Graph) -> Graph:
    """Gemm becomes [Transpose,] MatMul, [Mul by alpha,] Add.

    Raises ModelError where beta isn't 1 and scaling the bias by it isn't exact in float32.
    """
    taken = {name for op in graph.ops for name in op.outputs}

    def rule(op: Op, constants: dict[str, Array]) -> tuple[Op, ...]:
        if op.kind != "Gemm":
            return (op,)
        steps: list[Op] = []

        def step(kind: str, inputs: tuple[str, ...], suffix: str, **attrs: Attribute) -> str:
            name = f"{op.outputs[0]}.{suffix}"
            while name in taken or name in constants:
                name += "'"
            taken.add(name)
            steps.append(Op(kind, op.name, inputs, (name,), _attrs(**attrs)))
            return name

        sides = [step("Transpose", (name,), flag, perm=(1, 0)) if attribute(op, flag) else name
                 for name, flag in zip(op.inputs[:2], ("transA", "transB"), strict=True)]
        result = step("MatMul", (sides[0], sides[1]), "product")
        if attribute(op, "alpha") != 1:
            alpha, added = with_constant(constants, f"{op.outputs[0]}.alpha", np.array(attribute(op, "alpha"), np.float32))
            constants.update(added)
            result = step("Mul", (result, alpha), "scaled")
        if len(op.inputs) > 2:
            result = step("Add", (result, _scaled_bias(op, constants)), "biased")
        steps[-1] = replace(steps[-1], outputs=op.outputs)
        return tuple(steps)
    return _rewrite(graph, rule)


def _scaled_bias(op: Op, constants: dict[str, Array]) -> str:
    """The name of beta·C."""
    beta, name = np.float32(op.attrs.get("beta", 1.0)), op.inputs[2]  # type: ignore[arg-type]  # a float once checked
    if beta == 1:
        return name
    bias = constants.get(name)
    scaled = None if bias is None else bias.astype(np.float64) * float(beta)  # exact: 24 by 24 bits
    if scaled is None or not np.array_equal(scaled.astype(np.float32), scaled):
        raise ModelError(f"{label(op)}: expected beta 1, or a constant bias that it scales exactly, found beta {beta}")
    key, added = with_constant(constants, f"{op.outputs[0]}.bias", scaled.astype(np.float32))
    constants.update(added)
    return key


def pad_into_conv(graph: Graph) -> Graph:
    """Pad with zeros of a map that is read by Convs only goes into their pads."""
    producers = {op.outputs[0]: op for op in graph.ops if op.kind == "Pad"}
    fits = {name: _map_pads(op, graph.constants) for name, op in producers.items()}

    def rule(op: Op, constants: dict[str, Array]) -> tuple[Op, ...]:
        pads = fits.get(op.inputs[0]) if op.kind == "Conv" and attribute(op, "auto_pad") in ("NOTSET", "VALID") else None
        if pads is None:
            return (op,)
        own: Any = op.attrs.get("pads", (0, 0, 0, 0)) if attribute(op, "auto_pad") == "NOTSET" else (0, 0, 0, 0)
        attrs = {**op.attrs, "auto_pad": "NOTSET", "pads": tuple(a + b for a, b in zip(own, pads, strict=True))}
        return (replace(op, inputs=(producers[op.inputs[0]].inputs[0], *op.inputs[1:]), attrs=_attrs(**attrs)),)
    return _rewrite(graph, rule)


def _map_pads(op: Op, constants: Mapping[str, Array]) -> tuple[int, ...] | None:
    """(top, left, bottom, right) where a Pad adds only zeros around maps, else None."""
    value = constants.get(op.inputs[2]) if op.inputs[2:] and op.inputs[2] else np.zeros(())
    pads = constants[op.inputs[1]].tolist()
    if value is None or value.any() or len(pads) != 8 or any(pads[axis] for axis in (0, 1, 4, 5)):
        return None
    return (*pads[2:4], *pads[6:8])


def explicit_windows(graph: Graph) -> Graph:
    """Conv, MaxPool and AveragePool state kernel_shape, strides, pads and dilations; auto_pad and ceil_mode are gone."""
    shapes = infer_shapes(graph)

    def rule(op: Op, constants: dict[str, Array]) -> tuple[Op, ...]:
        if op.kind not in ("Conv", "MaxPool", "AveragePool"):
            return (op,)
        kernel: Any = shapes[op.inputs[1]][2:] if op.kind == "Conv" else attribute(op, "kernel_shape")
        window = window_of(op, kernel, shapes[op.inputs[0]][2:])
        attrs: dict[str, Attribute] = {"kernel_shape": window.kernel, "strides": window.stride, "pads": window.pads,
                                       "dilations": window.dilation}
        if op.kind == "Conv":
            attrs["group"] = int(attribute(op, "group"))  # type: ignore[arg-type]  # an int once checked
        elif op.kind == "AveragePool":
            attrs["count_include_pad"] = int(bool(attribute(op, "count_include_pad")) and any(window.pads))
            del attrs["dilations"]  # opset 17 hasn't them
        return (replace(op, attrs=_attrs(**attrs)),)
    return _rewrite(graph, rule)


def mean_to_pool(graph: Graph) -> Graph:
    """ReduceMean over rows and columns becomes GlobalAveragePool, followed by Flatten where the dimensions go."""
    shapes = infer_shapes(graph)

    def rule(op: Op, constants: dict[str, Array]) -> tuple[Op, ...]:
        shape = shapes[op.inputs[0]]
        axes: Any = attribute(op, "axes") if op.kind == "ReduceMean" else None
        if axes is None or len(shape) != 4 or sorted(axis % 4 for axis in axes) != [2, 3]:
            return (op,)
        if attribute(op, "keepdims"):
            return (replace(op, kind="GlobalAveragePool", attrs=_attrs()),)
        middle = f"{op.outputs[0]}.map"
        while middle in shapes:
            middle += "'"
        return (replace(op, kind="GlobalAveragePool", outputs=(middle,), attrs=_attrs()),
                Op("Flatten", op.name, (middle,), op.outputs, _attrs(axis=1)))
    return _rewrite(graph, rule)


def canonical_reshapes(graph: Graph) -> Graph:
    """Reshaping of activations becomes Flatten (axis 1) or Reshape (0, ...), and a Transpose of axes of size 1 a Reshape."""
    shapes = infer_shapes(graph)

    def rule(op: Op, constants: dict[str, Array]) -> tuple[Op, ...]:
        before, after = shapes[op.inputs[0]], shapes[op.outputs[0]]
        moves = op.kind == "Transpose" and _moves_ones(op, before)
        if op.inputs[0] in constants or op.kind not in _RESHAPING and not moves or before[:1] != after[:1]:
            return (op,)
        if len(after) == 2:
            return (replace(op, kind="Flatten", inputs=op.inputs[:1], attrs=_attrs(axis=1)),)
        target = np.array((0, *after[1:]), np.int64)
        if op.kind == "Reshape" and np.array_equal(constants[op.inputs[1]], target):
            return (replace(op, attrs=_attrs()),)
        key, added = with_constant(constants, f"{op.outputs[0]}.shape", target)
        constants.update(added)
        return (replace(op, kind="Reshape", inputs=(op.inputs[0], key), attrs=_attrs()),)
    return _rewrite(graph, rule)


def _moves_ones(op: Op, shape: tuple[int, ...]) -> bool:
    """True where a Transpose leaves the first axis alone and all longer axes in their order."""
    perm: Any = attribute(op, "perm") or tuple(reversed(range(len(shape))))
    longer = [axis for axis in perm if shape[axis] > 1]
    return perm[:1] == (0,) and longer == sorted(longer)


def merge_layout(graph: Graph) -> Graph:
    """One Reshape or Transpose for several in a row, and none where nothing changes."""
    shapes = infer_shapes(graph)
    producers: dict[str, Op] = {}
    ops = []
    for op in graph.ops:
        before = producers.get(op.inputs[0])
        if before is not None and op.kind in _RESHAPING and before.kind in ("Flatten", "Reshape"):
            op = replace(op, inputs=(before.inputs[0], *op.inputs[1:]))
        elif before is not None and op.kind == before.kind == "Transpose":
            perms: Any = [attribute(item, "perm") or tuple(reversed(range(len(shapes[item.inputs[0]])))) for item in (before, op)]
            op = replace(op, inputs=before.inputs, attrs=_attrs(perm=tuple(perms[0][axis] for axis in perms[1])))
        producers[op.outputs[0]] = op
        ops.append(op)

    def unneeded(op: Op) -> bool:
        perm = op.attrs.get("perm") if op.kind == "Transpose" else None
        stays = op.kind in _RESHAPING and shapes[op.inputs[0]] == shapes[op.outputs[0]]
        return stays or perm == tuple(range(len(shapes[op.inputs[0]])))
    return _bypass(replace(graph, ops=tuple(ops)), unneeded)


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
    one, two = infer_shapes(freed, 1), infer_shapes(freed, 2)
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

"""Passes of `bwnhw.simplify` about products and windows: Gemm, Pad, Conv, pools, means."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bwnhw.errors import ModelError
from bwnhw.graph import Attribute, Graph, Op
from bwnhw.ops import integer, integers, label, number, text
from bwnhw.rewriting import Array, Draft, fixed, rewrite
from bwnhw.shapes import infer_shapes
from bwnhw.windows import window_of


def split_gemm(graph: Graph) -> Graph:
    """Gemm becomes [Transpose,] MatMul, [Mul by alpha,] Add.

    Raises ModelError where beta isn't 1 and scaling the bias by it isn't exact in float32.
    """
    def rule(op: Op, draft: Draft) -> tuple[Op, ...]:
        if op.kind != "Gemm":
            return (op,)
        steps: list[Op] = []

        def step(kind: str, inputs: tuple[str, ...], suffix: str, **attrs: Attribute) -> str:
            name = draft.name(f"{op.outputs[0]}.{suffix}")
            steps.append(Op(kind, op.name, inputs, (name,), fixed(**attrs)))
            return name

        sides = [step("Transpose", (name,), flag, perm=(1, 0)) if integer(op, flag) else name
                 for name, flag in zip(op.inputs[:2], ("transA", "transB"), strict=True)]
        result = step("MatMul", (sides[0], sides[1]), "product")
        if number(op, "alpha") != 1:
            alpha = draft.constant(f"{op.outputs[0]}.alpha", np.array(number(op, "alpha"), np.float32))
            result = step("Mul", (result, alpha), "scaled")
        if len(op.inputs) > 2:
            result = step("Add", (result, _scaled_bias(op, draft)), "biased")
        steps[-1] = replace(steps[-1], outputs=op.outputs)
        return tuple(steps)
    return rewrite(graph, rule)


def _scaled_bias(op: Op, draft: Draft) -> str:
    """The name of beta·C."""
    beta, name = np.float32(number(op, "beta")), op.inputs[2]
    if beta == 1:
        return name
    bias = draft.constants.get(name)
    scaled = None if bias is None else bias.astype(np.float64) * float(beta)  # exact: 24 by 24 bits
    if scaled is None or not np.array_equal(scaled.astype(np.float32), scaled):
        raise ModelError(f"{label(op)}: expected beta 1, or a constant bias that it scales exactly, found beta {beta}")
    return draft.constant(f"{op.outputs[0]}.bias", scaled.astype(np.float32))


def pad_into_conv(graph: Graph) -> Graph:
    """Pad with zeros of a map that is read by Convs only goes into their pads."""
    producers = {op.outputs[0]: op for op in graph.ops if op.kind == "Pad"}
    fits = {name: _map_pads(op, graph.constants) for name, op in producers.items()}

    def rule(op: Op, draft: Draft) -> tuple[Op, ...]:
        pads = fits.get(op.inputs[0]) if op.kind == "Conv" and text(op, "auto_pad") in ("NOTSET", "VALID") else None
        if pads is None:
            return (op,)
        own = integers(op, "pads") if text(op, "auto_pad") == "NOTSET" else None
        attrs = {**op.attrs, "auto_pad": "NOTSET", "pads": tuple(a + b for a, b in zip(own or (0, 0, 0, 0), pads, strict=True))}
        return (replace(op, inputs=(producers[op.inputs[0]].inputs[0], *op.inputs[1:]), attrs=fixed(**attrs)),)
    return rewrite(graph, rule)


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

    def rule(op: Op, draft: Draft) -> tuple[Op, ...]:
        if op.kind not in ("Conv", "MaxPool", "AveragePool"):
            return (op,)
        kernel = shapes[op.inputs[1]][2:] if op.kind == "Conv" else integers(op, "kernel_shape") or ()
        window = window_of(op, kernel, shapes[op.inputs[0]][2:])
        attrs: dict[str, Attribute] = {"kernel_shape": window.kernel, "strides": window.stride, "pads": window.pads,
                                       "dilations": window.dilation}
        if op.kind == "Conv":
            attrs["group"] = integer(op, "group")
        elif op.kind == "AveragePool":
            attrs["count_include_pad"] = int(bool(integer(op, "count_include_pad")) and any(window.pads))
            del attrs["dilations"]  # opset 17 hasn't them
        return (replace(op, attrs=fixed(**attrs)),)
    return rewrite(graph, rule)


def mean_to_pool(graph: Graph) -> Graph:
    """ReduceMean over rows and columns becomes GlobalAveragePool, followed by Flatten where the dimensions go."""
    shapes = infer_shapes(graph)

    def rule(op: Op, draft: Draft) -> tuple[Op, ...]:
        shape = shapes[op.inputs[0]]
        axes = integers(op, "axes") if op.kind == "ReduceMean" else None
        if axes is None or len(shape) != 4 or sorted(axis % 4 for axis in axes) != [2, 3]:
            return (op,)
        if integer(op, "keepdims"):
            return (replace(op, kind="GlobalAveragePool", attrs=fixed()),)
        middle = draft.name(f"{op.outputs[0]}.map")
        return (replace(op, kind="GlobalAveragePool", outputs=(middle,), attrs=fixed()),
                Op("Flatten", op.name, (middle,), op.outputs, fixed(axis=1)))
    return rewrite(graph, rule)

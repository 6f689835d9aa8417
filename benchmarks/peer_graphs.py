"""The adder graphs of da4ml and alkaid as graphs of ours, so that both sides go through the same emitter, cost and synthesis.

Both solvers return wrong results for Fortran-ordered matrices without a word: matrices are made contiguous, and the result is checked.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from alkaid.cmvm import cmvm_solve
from da4ml.cmvm import solve
from numpy.typing import NDArray

from bwnhw.adders import Graph, kernel
from bwnhw.adders.builder import Builder

Matrix = NDArray[np.int64]


def da4ml(matrix: Matrix, hi: int, extra: int) -> Graph:
    """da4ml's graph, at most `extra` adder levels above the least (negative: without a limit)."""
    wanted = np.ascontiguousarray(matrix.T, np.float32)
    found = solve(wanted, hard_dc=extra, **_inputs(matrix, hi))
    return _converted(found.solutions, matrix, hi)


def alkaid(matrix: Matrix, hi: int, extra: int) -> Graph:
    """alkaid's graph without its LUT packing (`binary_lut=False`)."""
    wanted = np.ascontiguousarray(matrix.T, np.float32)
    return _converted(cmvm_solve(wanted, hard_dc=extra, **_inputs(matrix, hi)), matrix, hi)


def alkaid_packed(matrix: Matrix, hi: int, extra: int) -> Graph:
    """alkaid's default for inputs of one bit: per row tables of six inputs each, added up; what is left over by its solver."""
    if hi > 1:
        return alkaid(matrix, hi, extra)
    builder = Builder(matrix.shape[1], hi)
    rest = matrix.copy()
    sums: list[list[tuple[int, int]]] = []
    for row, weights in enumerate(matrix):
        used = np.flatnonzero(weights)
        groups = [used[at:at + 6] for at in range(0, len(used) - 5, 6)]
        sums.append([(builder.node(tuple((int(i), int(weights[i])) for i in group)), 1) for group in groups])
        rest[row, np.concatenate(groups, dtype=np.int64) if groups else []] = 0
    if rest.any():
        left = cmvm_solve(np.ascontiguousarray(rest.T, np.float32), hard_dc=extra, **_inputs(matrix, hi))
        for terms, term in zip(sums, _stages(builder, left), strict=True):
            terms.append(term)
    return _checked(builder, [_added(builder, [term for term in terms if term[1]]) for terms in sums], matrix)


PEERS: dict[str, Callable[[Matrix, int, int], Graph]] = {"da4ml": da4ml, "alkaid": alkaid_packed, "alkaid, no LUTs": alkaid}


def plain(matrix: Matrix, hi: int) -> Graph:
    """Every row a balanced tree of its own."""
    builder = Builder(matrix.shape[1], hi)
    rows = []
    for weights in matrix:
        terms = [(int(at), int(weights[at])) for at in np.flatnonzero(weights)]
        while len(terms) > 1:
            terms = [_added(builder, terms[at:at + 2]) for at in range(0, len(terms), 2)]
        rows.append(terms[0] if terms else (0, 0))
    return _checked(builder, rows, matrix)


def _inputs(matrix: Matrix, hi: int) -> dict[str, Any]:
    return {"qintervals": [(0.0, float(hi), 1.0)] * matrix.shape[1], "latencies": [0.0] * matrix.shape[1]}


def _converted(stages: Sequence[Any], matrix: Matrix, hi: int) -> Graph:
    builder = Builder(matrix.shape[1], hi)
    return _checked(builder, _stages(builder, stages), matrix)


def _stages(builder: Builder, stages: Sequence[Any]) -> list[tuple[int, int]]:
    """The outputs (node, factor) of a chain of the peers' stages behind the inputs."""
    terms: list[tuple[int, int]] = [(at, 1) for at in range(len(builder.inputs))]
    for stage in stages:
        terms = _outputs(builder, stage, terms)
    return terms


def _outputs(builder: Builder, stage: Any, inputs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, float]] = []
    for op in stage.ops:
        sources, shift = (op.addr, op.data[0]) if hasattr(op, "addr") else ((op.id0, op.id1), op.data)
        if op.opcode == -1:
            at = shift if hasattr(op, "addr") else op.id0  # alkaid keeps an input's number apart from the nodes that are read
            node, factor = inputs[at]
            found.append((node, factor * 2.0 ** stage.inp_shifts[at]))
        elif op.opcode in (0, 1):
            (left, size), (right, other) = found[sources[0]], found[sources[1]]
            found.append(_added(builder, [(left, size), (right, (-1) ** op.opcode * other * 2.0 ** shift)]))
        else:
            raise ValueError(f"a peer's operation must be an addition, found {op.opcode}")
    return [(found[at][0], int(found[at][1] * 2.0 ** shift) * (-1 if negative else 1)) if at >= 0 else (0, 0)
            for at, shift, negative in zip(stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True)]


def _added(builder: Builder, terms: Sequence[tuple[int, float]]) -> tuple[int, Any]:
    """(node, factor) of a sum, one two-operand adder per term but the first."""
    total = terms[0]
    for term in terms[1:]:
        unit = min(abs(total[1]), abs(term[1])) * (1 if max(total[1], term[1]) > 0 else -1)
        total = builder.node(((total[0], int(total[1] / unit)), (term[0], int(term[1] / unit)))), unit
    return total


def _checked(builder: Builder, outputs: list[tuple[int, int]], matrix: Matrix) -> Graph:
    rows = [(builder.node(((node, -1),)), -factor) if factor < 0 else (node, factor) for node, factor in outputs]
    graph = builder.graph(rows)
    if not np.array_equal(kernel(graph), matrix):
        raise ValueError("the peer's graph computes another matrix")
    return graph

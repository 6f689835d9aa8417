"""The values of an unrolled layer: its adder graph, its thresholds or offsets, and what they cost."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders import Graph, solve
from bwnhw.blocks import Unrolled, Window
from bwnhw.network import Conv, ConvParams, Ints, ThresholdParams


@dataclass(frozen=True, eq=False)
class UnrolledTables:
    """What an unrolled layer is made of; rows are the graph's outputs, each a node's value v times its factor.

    bits mode: bit = (v ≥ limits[row, class]) XOR flips[row]. sums mode: factors[row]·v + limits[row, class].
    """

    graph: Graph
    limits: NDArray[np.int64]
    flips: NDArray[np.bool_]
    factors: NDArray[np.int64]


def unrolled_tables(conv: Conv, params: ConvParams, threshold: ThresholdParams | None, source: Ints, window: Window,
                    block: Unrolled) -> UnrolledTables:
    """Tables of an unrolled layer; `threshold` where its 1-bit threshold is fused (bits mode)."""
    weights = params.weights.astype(np.int64)
    matrix = np.ascontiguousarray(weights.transpose(0, 2, 3, 1).reshape(len(weights), -1))  # element of a beat: tap·channels + channel
    graph = _solved(matrix.tobytes(), matrix.shape, source.hi, block.levels)
    factors = np.array([output.factor for output in graph.outputs], np.int64)[:, None]
    masks = window.geometry.class_masks[:window.classes]
    taps = weights.sum(axis=1)
    kappa = conv.value[1] * np.stack([(taps * mask).sum(axis=(1, 2)) for mask in masks], axis=1)  # (rows, classes)
    if threshold is None:
        return UnrolledTables(graph, kappa, np.zeros(len(factors), bool), conv.value[0] * factors[:, 0])
    reached = -((kappa - threshold.thresholds[:, :1]) // conv.value[0])  # z ≥ ceil((t − κ) / m)
    size = np.maximum(1, np.abs(factors))
    # factor·v ≥ T: v ≥ ceil(T / f) for f > 0; for f < 0, v ≤ floor(−T / |f|), the opposite of v ≥ that + 1.
    limits = np.where(factors > 0, -(-reached // size), -reached // size + 1)
    always = np.where(reached <= 0, -1 << 40, 1 << 40)  # a row of zeros
    limits = np.where(factors == 0, always, limits)
    return UnrolledTables(graph, limits, threshold.flip ^ (factors[:, 0] < 0), factors[:, 0])


@lru_cache(maxsize=64)
def _solved(weights: bytes, shape: tuple[int, int], hi: int, levels: int) -> Graph:
    """The graph of a matrix; estimate and generation ask for the same one."""
    return solve(np.frombuffer(weights, np.int64).reshape(shape), hi, levels, exact=False)


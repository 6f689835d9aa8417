"""What the cores of a stage store, from the network: the hardware is made of it, and estimates look at its values."""

import numpy as np
from numpy.typing import NDArray

from bwnhw.array_block import Array
from bwnhw.blocks import Best, Core, Reduce, Scaler, Stage, Thresholds, Unrolled, Window
from bwnhw.network import Conv, ConvParams, Network, PoolParams, ScaleParams, ThresholdParams
from bwnhw.tables import ArrayTables, array_tables, reduce_flips, scale_tables, threshold_tables
from bwnhw.unrolled import UnrolledTables, unrolled_tables

Tables = (ArrayTables | UnrolledTables | NDArray[np.bool_] | tuple[NDArray[np.int64], NDArray[np.bool_]]
          | tuple[NDArray[np.int64], NDArray[np.int64]] | None)


def stage_tables(network: Network, stage: Stage) -> tuple[Tables, ...]:
    """What every core of a stage stores, in the order of `stage.cores`."""
    remaining = iter(stage.nodes)
    tables = []
    for core in stage.cores:
        index = next(remaining)
        fused = next(remaining) if isinstance(core, Array | Unrolled) and core.mode == "bits" else None
        tables.append(_core_tables(network, core, index, fused, stage.window))
    return tuple(tables)


def _core_tables(network: Network, core: Core, index: int, fused: int | None, window: Window | None) -> Tables:
    """The tables of the core that computes node `index`, and the threshold `fused` into it."""
    nodes, params = network.topology.nodes, network.params
    threshold = None if fused is None else params[fused]
    match core, nodes[index], params[index], threshold:
        case Array() as array, Conv() as conv, ConvParams() as values, ThresholdParams() | None as levels if window:
            return array_tables(conv, values, levels, nodes[conv.src[0]].out, window, array)
        case Unrolled() as unrolled, Conv() as conv, ConvParams() as values, ThresholdParams() | None as levels if window:
            return unrolled_tables(conv, values, levels, nodes[conv.src[0]].out, window, unrolled)
        case Reduce() as reduce, _, PoolParams() as values, None:
            return reduce_flips(values, reduce)
        case Thresholds() as thresholds, _, ThresholdParams() as values, None:
            return threshold_tables(values, thresholds)
        case Scaler() as scaler, _, ScaleParams() as values, None:
            return scale_tables(values, scaler)
        case Best(), _, None, None:
            return None
    raise TypeError(f"node {index}: expected the parameters of a {type(core).__name__}, found {type(params[index]).__name__}")

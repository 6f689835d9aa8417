"""From a core's description to its hardware."""

import numpy as np
from amaranth.lib import wiring

from bwnhw.array_block import Array
from bwnhw.blocks import Best, Core, Reduce, Scaler, Thresholds, Unrolled, Window
from bwnhw.errors import PlanError
from bwnhw.rtl.array import SystolicArray
from bwnhw.rtl.best import ArgMaxUnit
from bwnhw.rtl.reduce import Reducer
from bwnhw.rtl.scaler import ScaleUnit
from bwnhw.rtl.shared import SharedArray
from bwnhw.rtl.store import BAKED, Loaded
from bwnhw.rtl.thresholds import Thresholder
from bwnhw.rtl.unrolled import UnrolledUnit
from bwnhw.stage_tables import Tables
from bwnhw.tables import ArrayTables
from bwnhw.unrolled import UnrolledTables


def load_core(block: Core, window: Window | None = None) -> wiring.Component:
    """The component of a core whose tables are loaded at run time, with ports `load_i` and `load_o` where it has any."""
    match block:
        case Array() if window:
            return SystolicArray(block, None, window)
        case Reduce() if window:
            return Reducer(block, np.zeros((block.groups, block.lanes), bool), window, Loaded() if block.flips else BAKED)
        case Thresholds():
            blank = np.zeros((block.groups, block.lanes, block.levels), np.int64)
            return Thresholder(block, blank, blank[..., 0] > 0, Loaded())
        case Scaler():
            none = np.zeros((block.groups, block.lanes), np.int64)
            return ScaleUnit(block, none, none, Loaded())
        case Best():
            return ArgMaxUnit(block)
    raise PlanError(f"loadable: a {type(block).__name__} is made of its values, so expected a core that reads them from tables")


def build_core(block: Core, tables: Tables, window: Window | None = None) -> wiring.Component:
    """The component of a core, with ports `i` and `o` and the property `latency`.

    `tables`: what the function of `bwnhw.tables` for the block returns (None for `Best`). `window`: the window in front of an Array or
    a Reduce, whose `i` is a BeatSignature(window); every other `i`, and every `o`, is a FlowSignature.
    """
    match block, tables:
        case Array(), ArrayTables() if window:
            if block.sharing and tables.kernels:
                return SharedArray(block, tables, window, tables.kernels, block.sharing)
            return SystolicArray(block, tables, window)
        case Unrolled(), UnrolledTables() if window:
            return UnrolledUnit(block, tables, window)
        case Reduce(), np.ndarray() if window:
            return Reducer(block, tables, window)
        case Thresholds(), (thresholds, flips):
            return Thresholder(block, thresholds, flips.astype(np.bool_))
        case Scaler(), (mult, offset):
            return ScaleUnit(block, mult, offset.astype(np.int64))
        case Best(), None:
            return ArgMaxUnit(block)
    raise TypeError(f"{type(block).__name__}: tables of this block and the window of its stage expected, found {type(tables).__name__}")

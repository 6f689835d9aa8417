"""FINN's estimate of a matrix-vector unit's LUTs, as a baseline for ours.

The formula of `MVAU.lut_estimation` in github.com/Xilinx/finn (src/finn/custom_op/fpgadataflow/, from the FINN-R paper, M. Blott et al.,
2018, arXiv 1809.04570), for weights in the logic (LUTs up to 128 words, else block RAM) and thresholds in the unit.
"""

from math import ceil, log2

from bwnhw.array_block import Array
from bwnhw.blocks import Design

BASE, SLOPE = 300, 1.1


def unit(array: Array, activation_bits: int, inputs: int) -> float:
    """LUTs of one unit; `inputs`: of a row, taps × channels."""
    weight_bits = 1
    both = weight_bits + activation_bits
    multiply = array.lanes * (2 * ceil(both / 6) - 1) * both
    adders = both * (2 * array.lanes - 1)
    alpha = log2(inputs) + both - 1
    accumulator = ceil(alpha + log2(1 + 2 ** -alpha) + 1)
    thresholds = accumulator * (1 + array.groups / 64) if array.mode == "bits" else 0
    words = array.fold_depth
    memory = array.pe * array.lanes * weight_bits * ceil(words / 64) if words <= 128 else 0
    return BASE + SLOPE * array.pe * (multiply + adders + accumulator + thresholds) + memory


def whole(laid: Design) -> float:
    """The sum over a design's arrays: FINN adds its window units and FIFOs, which are left out here, as they are smaller."""
    total = 0.0
    for stage in laid.stages:
        if stage.array and stage.window:
            window = stage.window
            total += unit(stage.array, window.bits, window.lanes * window.words * window.geometry.kernel[0] * window.geometry.kernel[1])
    return total

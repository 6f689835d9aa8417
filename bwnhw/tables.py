"""What the hardware stores: weight bits, offsets, thresholds and flips in the order in which the blocks read them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bwnhw.array_block import Array
from bwnhw.blocks import Reduce, Scaler, Thresholds, Window
from bwnhw.design import accumulator_max
from bwnhw.network import Codebook, Conv, ConvParams, Ints, PoolParams, ScaleParams, ThresholdParams, WeightCode


@dataclass(frozen=True, eq=False)
class KernelTables:
    """index int64 (pe, fold_depth, kernels) into codewords bool (kernels, words, taps), for the kernels of a beat, channel by channel."""

    index: NDArray[np.int64]
    codewords: NDArray[np.bool_]

    @property
    def weights(self) -> NDArray[np.bool_]:
        """(pe, fold_depth, kernels·taps): the codeword of every index."""
        found = self.codewords[np.arange(len(self.codewords)), self.index]
        return found.reshape(*self.index.shape[:2], -1)


@dataclass(frozen=True, eq=False)
class ArrayTables:
    """weights bool (pe, fold_depth, lanes); offsets int64 (pe, classes·groups); flips bool (pe, groups); `kernels` where the weights are
    stored as indices."""

    weights: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    flips: NDArray[np.bool_]
    kernels: KernelTables | None = None


def plane_bits(weights: NDArray[np.int8], code: WeightCode) -> NDArray[np.bool_]:
    """(planes, *weights.shape) True for +1: the ±1 planes of integer weights, so that Σ 2**shift·S + constant = divisor·W."""
    doubled = code.divisor * weights.astype(np.int64) - code.constant
    raised = (doubled + sum(1 << s for s in code.shifts)) // 2
    planes = [(raised >> shift) & 1 == 1 for shift in code.shifts]
    if code.constant:
        planes.append(np.full(weights.shape, code.constant > 0))
    return np.stack(planes)


def array_tables(conv: Conv, params: ConvParams, threshold: ThresholdParams | None, source: Ints, window: Window,
                 array: Array) -> ArrayTables:
    """Tables of a conv layer's array; `threshold` where its 1-bit threshold is fused (bits mode)."""
    planes = plane_bits(params.weights, conv.weights)
    rows = params.weights.shape[0]
    shifts = np.array([1 << s for s in conv.weights.plane_shifts])
    negative = (~planes).reshape(len(planes), rows, -1).sum(axis=2)
    base = ((1 << source.bits) - 1) * (shifts[:, None] * negative).sum(axis=0)  # K of docs/integer-network.md, per row
    taps = params.weights.astype(np.int64).sum(axis=1)  # (rows, kh, kw)
    masks = window.geometry.class_masks[:window.classes]  # one class where c = 0, whose κ is 0 whatever the mask
    kappa = conv.value[1] * np.stack([(taps * mask).sum(axis=(1, 2)) for mask in masks])  # (classes, rows)
    m, d = conv.value[0], conv.weights.divisor
    if threshold is None:
        offsets = ((kappa << array.down) - (base << array.up))
        flip = np.zeros(rows, bool)
    else:
        top = accumulator_max(conv, source) + 1
        level = base + -((kappa - threshold.thresholds[:, 0]) * d // m)  # base + ceil((t − κ)·d/m)
        offsets = -np.clip(level, 0, top)
        flip = threshold.flip
    pad_offset = -(accumulator_max(conv, source) + 1) if threshold is not None else 0
    kernels = _kernels(params.codebook, window, array) if params.codebook and array.codebook else None
    if kernels:
        # Where a beat has no channel an activation of 0 meets codeword 0 and matches its −1.
        spare = window.words * window.lanes - params.weights.shape[1]
        idle = spare * int((~kernels.codewords[-1, 0]).sum()) * ((1 << source.bits) - 1) << (array.up if threshold is None else 0)
        offsets, pad_offset = offsets - idle, pad_offset - idle
    by_row = _by_row(offsets, array, pad_offset)
    if kernels and array.sharing:
        excess = array.sharing.excess(kernels.index, array.pe_lanes // array.kernel).reshape(array.pe, array.groups, window.words)
        every = excess.sum(axis=-1) * ((1 << source.bits) - 1) << (array.up if threshold is None else 0)
        by_row = by_row - np.tile(every, array.offsets // array.groups)
    return ArrayTables(kernels.weights if kernels else _fold(planes, window, array), by_row,
                       _by_row(flip[None, :], array, 0).astype(bool), kernels)


def _kernels(book: Codebook, window: Window, array: Array) -> KernelTables:
    """Indices in the order of the folds; codeword 0 where there is no row or no channel. Codewords of each channel of a beat."""
    rows, channels = book.index.shape
    index = np.zeros((array.groups * array.pe, window.words * window.lanes), np.int64)
    index[:rows, :channels] = book.index
    split = index.reshape(array.groups, array.pe, window.words, window.lanes).swapaxes(0, 1)
    words = book.codewords.reshape(*book.codewords.shape[:2], -1) > 0
    return KernelTables(split.reshape(array.pe, array.fold_depth, window.lanes), words[np.arange(window.lanes) % len(words)])


def _by_row(values: NDArray[np.int64], array: Array, pad: int) -> NDArray[np.int64]:
    """(classes, rows) to (pe, classes·groups): row g·pe + r of class k goes to [r, k·groups + g]; dummy rows get `pad`."""
    classes, rows = values.shape
    full = np.full((classes, array.groups * array.pe), pad, np.int64)
    full[:, :rows] = values
    return full.reshape(classes, array.groups, array.pe).transpose(2, 0, 1).reshape(array.pe, -1)


def _fold(planes: NDArray[np.bool_], window: Window, array: Array) -> NDArray[np.bool_]:
    """(planes, rows, in, kh, kw) to (pe, fold_depth, lanes).

    A lane that holds no weight is True (+1): its activation is 0, so XNOR gives 0 and it adds nothing.
    """
    count, rows, channels = planes.shape[:3]
    kernel_taps = window.geometry.kernel[0] * window.geometry.kernel[1]
    full = np.ones((count, array.groups * array.pe, window.words * window.lanes, window.tap_beats * window.taps), bool)
    full[:, :rows, :channels, :kernel_taps] = planes.reshape(count, rows, channels, kernel_taps)
    split = full.reshape(count, array.groups, array.pe, window.words, window.lanes, window.tap_beats, window.taps)
    # fold = ((group·planes + plane)·tap_beats + tap_beat)·words + word; lane = tap·simd + channel
    return split.transpose(2, 1, 0, 5, 3, 6, 4).reshape(array.pe, array.fold_depth, array.lanes)


def threshold_tables(params: ThresholdParams, block: Thresholds) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """thresholds (groups, lanes, levels) and flips (groups, lanes); dummy channels are never reached (None of their levels).

    A dummy channel's threshold is the greatest input value + 1.
    """
    channels = params.thresholds.shape[0]
    top = 1 << (block.bits - 1 if block.signed else block.bits)
    thresholds = np.full((block.groups * block.lanes, block.levels), top, np.int64)
    thresholds[:channels] = params.thresholds
    flips = np.zeros(block.groups * block.lanes, bool)
    flips[:channels] = params.flip
    return thresholds.reshape(block.groups, block.lanes, block.levels), flips.reshape(block.groups, block.lanes)


def search_trees(thresholds: NDArray[np.int64], flips: NDArray[np.bool_], block: Thresholds) -> list[NDArray[np.int64]]:
    """Per stage k the thresholds (lanes, groups, 2**k) by the k code bits found before.

    `levels` thresholds become 2**out_bits − 1: more that are never reached or, where a channel flips, more that always are. Then
    code = count, or its complement: levels − count = (2**out_bits − 1) − (count + always reached ones). A flipping channel's tree is
    mirrored, since it is walked by the bits of its code.
    """
    low, high = (-1 << block.bits - 1, 1 << block.bits - 1) if block.signed else (0, 1 << block.bits)
    size = (1 << block.out_bits) - 1
    full = np.full((block.groups, block.lanes, size), high, np.int64)
    full[..., :block.levels] = np.clip(thresholds, low, high)
    padded = np.concatenate([np.full((block.groups, block.lanes, size - block.levels), low), full[..., :block.levels]], axis=-1)
    full = np.where(flips[..., None], padded[..., ::-1], full).transpose(1, 0, 2)
    return [full[..., (1 << block.out_bits - 1 - k) - 1::1 << block.out_bits - k] for k in range(block.out_bits)]


def reduce_flips(params: PoolParams, block: Reduce) -> NDArray[np.bool_]:
    """flips (groups, lanes) of a pool."""
    flips = np.zeros(block.groups * block.lanes, bool)
    flips[:len(params.flip)] = params.flip
    return flips.reshape(block.groups, block.lanes)


def scale_tables(params: ScaleParams, block: Scaler) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """mult and offset, (groups, lanes) each; dummy channels 0."""
    mult, offset = np.zeros((2, block.groups * block.lanes), np.int64)
    mult[:len(params.mult)] = params.mult
    offset[:len(params.offset)] = params.offset
    return mult.reshape(block.groups, block.lanes), offset.reshape(block.groups, block.lanes)

"""The tables that hardware stores: beats in the window's order through the array's arithmetic give the layer's integers."""

import numpy as np
import pytest

from bwnhw.array_block import Array
from bwnhw.blocks import Reduce, Scaler, Thresholds, Window
from bwnhw.design import design
from bwnhw.geometry import Geometry
from bwnhw.network import (
    BIPOLAR_WEIGHTS,
    UNIPOLAR_WEIGHTS,
    Conv,
    ConvParams,
    Input,
    Ints,
    PoolParams,
    ScaleParams,
    Threshold,
    ThresholdParams,
    Topology,
    WeightCode,
    signed_weights,
)
from bwnhw.plan import Engine, Plan
from bwnhw.tables import ArrayTables, array_tables, plane_bits, reduce_flips, scale_tables, threshold_tables

CODES = [BIPOLAR_WEIGHTS, UNIPOLAR_WEIGHTS, WeightCode((0,), -1), WeightCode((1, 0), 0), signed_weights(2), signed_weights(4),
         signed_weights(8)]


def weights(rng, code, shape):
    """Random weights that the code can write."""
    values = np.arange(code.lo, code.hi + 1)
    return rng.choice(values if code.constant else values[::2], shape).astype(np.int8)


@pytest.mark.parametrize("code", CODES)
def test_planes_sum_to_the_weights(code):
    values = np.arange(code.lo, code.hi + 1, 1 if code.constant else 2).astype(np.int8)
    planes = plane_bits(values, code)
    signs = np.where(planes, 1, -1) * np.array([1 << shift for shift in code.plane_shifts])[:, None]
    assert (signs.sum(axis=0) == code.divisor * values.astype(int)).all()


def layer(rng):
    """A random conv layer with its threshold (or without): (conv, weights, thresholds or None, source, window, array)."""
    channels, height, width, rows = (int(rng.integers(low, high)) for low, high in ((1, 6), (2, 6), (2, 6), (1, 7)))
    kernel = (int(rng.integers(1, min(4, height + 1))), int(rng.integers(1, min(4, width + 1))))
    pads = tuple(int(rng.integers(0, kernel[side % 2])) for side in range(4))
    stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    bits = int(rng.integers(1, 4))
    value = [(2, 1 - (1 << bits)), (1, 0)][rng.integers(2)]
    code = CODES[rng.integers(6)]
    source = Ints(channels, height, width, 0, (1 << bits) - 1)
    geometry = Geometry(height, width, kernel, stride, pads)
    limit = (1 << bits) * max(abs(code.lo), abs(code.hi)) * channels * kernel[0] * kernel[1]
    out = Ints(rows, geometry.out_height, geometry.out_width, -limit, limit)
    conv = Conv((0,), out, kernel, stride, pads, code, value)
    params = ConvParams(weights(rng, code, (rows, channels, *kernel)))
    fused = ThresholdParams(rng.integers(-limit, limit + 2, (rows, 1)), rng.random(rows) < 0.5) if rng.integers(2) else None
    behind = (Threshold((1,), Ints(rows, out.height, out.width, 0, 1), True),) if fused else ()
    planes = int(rng.choice([p for p in range(1, bits + 1) if bits % p == 0]))
    engine = Engine(*(int(rng.integers(1, limit + 1)) for limit in (rows, channels, kernel[0] * kernel[1])), planes, 3)
    stage = design(Topology((Input(source, 1, 0, None), conv, *behind)), Plan(((1, engine),))).stages[0]
    return conv, params, fused, source, stage.window, stage.array


def convolve(conv: Conv, params: ConvParams, codes):
    """The layer's integers by its definition: a padded tap adds nothing."""
    top, left, bottom, right = conv.pads
    (kh, kw), (sy, sx) = conv.kernel, conv.stride
    values = np.pad(conv.value[0] * codes + conv.value[1], ((0, 0), (top, bottom), (left, right)))
    return np.array([[[(w * values[:, y * sy:y * sy + kh, x * sx:x * sx + kw]).sum() for x in range(conv.out.width)]
                      for y in range(conv.out.height)] for w in params.weights.astype(int)])


def word(window: Window, codes, pixel, tap, at):
    """The `lanes` elements of word `at` of a tap; code 0 in the padding, beyond the kernel and beyond the channels."""
    row, column = divmod(pixel, window.geometry.out_width)
    ky, kx = divmod(tap, window.geometry.kernel[1])
    y, x = window.geometry.origins[0][row] + ky, window.geometry.origins[1][column] + kx
    inside = ky < window.geometry.kernel[0] and 0 <= y < codes.shape[1] and 0 <= x < codes.shape[2]
    lanes = np.zeros(window.lanes, int)
    if inside:
        present = codes[at * window.lanes:(at + 1) * window.lanes, y, x]
        lanes[:len(present)] = present
    return lanes


def emulate(window: Window, array: Array, tables: ArrayTables, codes, rows):
    """What the array gives for every pixel: (rows, height, width)."""
    geometry = window.geometry
    out = np.zeros((array.pe * window.groups, geometry.out_height * geometry.out_width), int)
    for pixel in range(out.shape[1]):
        border = int(geometry.class_of[pixel]) if window.classes > 1 else 0
        for group in range(window.groups):
            acc = np.zeros(array.pe, int)
            for step in window.steps:
                acc <<= step.shift
                for tap_beat in range(window.tap_beats):
                    for at in range(window.words):
                        fold = ((group * window.weight_planes + step.weight_plane) * window.tap_beats + tap_beat) * window.words + at
                        beat = np.concatenate([word(window, codes, pixel, tap_beat * window.taps + tap, at) for tap in range(window.taps)])
                        for plane in range(window.planes):
                            bits = beat >> step.plane_group * window.planes + plane & 1
                            acc += (tables.weights[:, fold] == bits).sum(axis=1) << plane
            offset = tables.offsets[:, border * window.groups + group]
            if array.mode == "bits":
                result = (acc + offset >= 0) ^ tables.flips[:, group]
            else:
                result = ((acc << array.up) + offset) >> array.down
            out[group * array.pe:(group + 1) * array.pe, pixel] = result
    if array.mode == "bits":
        assert not out[rows:].any()  # rows without a channel give code 0
    return out[:rows].reshape(rows, geometry.out_height, geometry.out_width)


@pytest.mark.parametrize("seed", range(60))
def test_window_order_and_array_arithmetic_give_the_layer(seed):
    rng = np.random.default_rng(seed)
    conv, params, fused, source, window, array = layer(rng)
    tables = array_tables(conv, params, fused, source, window, array)
    codes = rng.integers(0, source.hi + 1, source.shape)
    want = convolve(conv, params, codes)
    if fused:
        want = (want >= fused.thresholds[:, 0, None, None]) ^ fused.flip[:, None, None]
    got = emulate(window, array, tables, codes, conv.out.channels)
    assert (got == want).all()


def test_a_weight_of_another_plane_is_found():
    """One bit changed in a lane that holds a weight, for an integer that no threshold hides."""
    rng = np.random.default_rng(3)
    conv, params, fused, source, window, array = layer(rng)
    while fused or source.hi == 0:
        conv, params, fused, source, window, array = layer(rng)
    tables = array_tables(conv, params, None, source, window, array)
    tables.weights[0, 0, 0] ^= True
    codes = rng.integers(0, source.hi + 1, source.shape)
    assert (emulate(window, array, tables, codes, conv.out.channels) != convolve(conv, params, codes)).any()


def test_thresholds_are_dealt_by_group_and_lane():
    block = Thresholds(lanes=2, groups=2, bits=4, signed=True, levels=2, out_bits=2, flips=True)
    params = ThresholdParams(np.array([[-8, 8], [0, 1], [2, 3]]), np.array([False, True, True]))
    thresholds, flips = threshold_tables(params, block)
    assert thresholds.tolist() == [[[-8, 8], [0, 1]], [[2, 3], [8, 8]]]  # the dummy channel's: greatest input + 1
    assert flips.tolist() == [[False, True], [True, False]]


def test_flips_and_scales_are_dealt_by_group_and_lane():
    flips = reduce_flips(PoolParams(np.array([True, False, True])), Reduce("max", 2, 2, 1, False, 1, True, 1))
    assert flips.tolist() == [[True, False], [True, False]]
    mult, offset = scale_tables(ScaleParams(np.array([1, 2, 3]), np.array([4, 5, 6])), Scaler(2, 2, 4, True, 3, 8))
    assert mult.tolist() == [[1, 2], [3, 0]] and offset.tolist() == [[4, 5], [6, 0]]

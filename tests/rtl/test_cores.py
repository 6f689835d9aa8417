"""Reduce, Thresholds, Scaler, Best and build_core against their definitions in numpy, values and cycles."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from bwnhw.array_block import Step
from bwnhw.blocks import Best, Reduce, Scaler, Thresholds, Window
from bwnhw.geometry import Geometry
from bwnhw.rtl.core import build_core

SEEDS = range(12)


def pack(values, bits):
    """Elements to a payload, element 0 in the low bits."""
    return sum((int(value) % (1 << bits)) << at * bits for at, value in enumerate(values))


def draw(rng, bits, signed, shape):
    low = -(1 << bits - 1) if signed else 0
    return rng.integers(low, low + (1 << bits), shape)


def simulate(dut, beats, data="payload"):
    """Drive one beat (a dict of `i`'s members, or None) per cycle; [(cycle, payload)] of the valid outputs."""
    seen = []

    async def bench(ctx):
        for cycle in range(len(beats) + dut.latency + 2):
            beat = beats[cycle] if cycle < len(beats) else None
            ctx.set(dut.i.valid, beat is not None)
            for name, value in (beat or {}).items():
                ctx.set(getattr(dut.i, name), value)
            if ctx.get(dut.o.valid):
                seen.append((cycle, ctx.get(dut.o.payload)))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def with_gaps(rng, beats):
    """Beats with some None between them, and the cycle of each beat."""
    line, at = [], []
    for beat in beats:
        line += [None] * int(rng.integers(0, 3) * rng.integers(0, 2))
        at.append(len(line))
        line.append(beat)
    return line, at


def run_flow(dut, rng, values, bits, out_bits, results):
    """Feed rows of `values`; compare with `results`, one per beat, `latency` cycles later."""
    line, at = with_gaps(rng, [{"payload": pack(row, bits)} for row in values])
    assert simulate(dut, line) == [(cycle + dut.latency, pack(row, out_bits)) for cycle, row in zip(at, results, strict=True)]


def threshold_case(rng):
    block = Thresholds(lanes=int(rng.integers(1, 4)), groups=int(rng.integers(1, 4)), bits=int(rng.integers(2, 7)),
                       signed=bool(rng.integers(2)), levels=0, out_bits=0, flips=bool(rng.integers(2)))
    levels = int(rng.integers(1, 10))
    block = Thresholds(**{**block.__dict__, "levels": levels, "out_bits": levels.bit_length()})
    low = -(1 << block.bits - 1) if block.signed else 0
    thresholds = np.sort(rng.integers(low, low + (1 << block.bits) + 1, (block.groups, block.lanes, levels)), axis=-1)
    flips = rng.integers(0, 2, (block.groups, block.lanes)).astype(bool) & block.flips
    values = draw(rng, block.bits, block.signed, (4 * block.groups, block.lanes))
    return block, thresholds, flips, values


def codes(block, thresholds, flips, values):
    groups = np.arange(len(values)) % block.groups
    count = (values[:, :, None] >= thresholds[groups]).sum(axis=-1)
    return np.where(flips[groups], block.levels - count, count)


@pytest.mark.parametrize("seed", SEEDS)
def test_thresholds(seed):
    rng = np.random.default_rng(seed)
    block, thresholds, flips, values = threshold_case(rng)
    run_flow(build_core(block, (thresholds, flips)), rng, values, block.bits, block.out_bits, codes(block, thresholds, flips, values))


def test_thresholds_of_every_value():
    block = Thresholds(lanes=1, groups=2, bits=5, signed=True, levels=6, out_bits=3, flips=True)
    thresholds = np.array([[[-16, -3, -3, 0, 15, 16]], [[-10, -1, 0, 1, 2, 16]]])
    flips = np.array([[False], [True]])
    values = np.repeat(np.arange(-16, 16), 2)[:, None]
    run_flow(build_core(block, (thresholds, flips)), np.random.default_rng(0), values, 5, 3, codes(block, thresholds, flips, values))


def test_a_broken_threshold_is_found():
    block = Thresholds(lanes=1, groups=1, bits=4, signed=False, levels=3, out_bits=2, flips=False)
    thresholds, flips, values = np.array([[[3, 7, 12]]]), np.zeros((1, 1), bool), np.arange(16)[:, None]
    with pytest.raises(AssertionError):
        run_flow(build_core(block, (thresholds + [0, 1, 0], flips)), np.random.default_rng(0), values, 4, 2,
                 codes(block, thresholds, flips, values))


def reduce_case(rng, kind=None):
    kind = kind or ["max", "sum"][rng.integers(2)]
    beats, groups, lanes = int(rng.integers(1, 6)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    flips = kind == "max" and bool(rng.integers(2))
    signed, bits = bool(rng.integers(2)) and not flips, int(rng.integers(1, 5))
    window = Window(Geometry(beats, 1, (beats, 1), (1, 1), (0, 0, 0, 0)), lanes, bits, groups, 1, groups, True, bits, (Step(0, 0, 0),),
                    1, 0, 1, 8)
    hi = (1 << bits - signed) - 1
    if flips:  # codes of a ternary or narrow quantiser leave the greatest ones out
        hi = int(rng.integers((1 << bits - 1), hi + 1))
    block = Reduce(kind, lanes, groups, bits, signed, bits + (3 if kind == "sum" else 0), flips, hi)
    return block, window, rng.integers(0, 2, (groups, lanes)).astype(bool) & flips


def run_reduce(block, window, built_flips, believed_flips, rng):
    line, wanted = [], []
    for _ in range(4):
        for group in range(block.groups):
            line += [None] * int(rng.integers(0, 3) * rng.integers(0, 2))
            values = np.minimum(draw(rng, block.bits, block.signed, (window.group_beats, block.lanes)), block.hi)
            line += [{"data": pack(row, block.bits), "first": int(at == 0), "last": int(at == len(values) - 1)}
                     for at, row in enumerate(values)]
            result = values.max(axis=0) if block.kind == "max" else values.sum(axis=0)
            result = np.where(believed_flips[group], block.hi - result, result)
            wanted.append((len(line) - 1 + block.latency, pack(result, block.out_bits)))
    assert simulate(build_core(block, built_flips, window), line) == wanted


@pytest.mark.parametrize("seed", SEEDS)
def test_reduce(seed):
    rng = np.random.default_rng(seed)
    block, window, flips = reduce_case(rng)
    run_reduce(block, window, flips, flips, rng)


def test_a_broken_flip_is_found():
    rng = np.random.default_rng(0)
    block, window, flips = reduce_case(rng, "max")
    block = Reduce(**{**block.__dict__, "flips": True, "signed": False})
    run_reduce(block, window, flips, flips, rng)
    broken = flips.copy()
    broken[-1, -1] ^= True
    with pytest.raises(AssertionError):
        run_reduce(block, window, broken, flips, rng)


@pytest.mark.parametrize("seed", SEEDS)
def test_scaler(seed):
    rng = np.random.default_rng(seed)
    block = Scaler(lanes=int(rng.integers(1, 4)), groups=int(rng.integers(1, 4)), bits=int(rng.integers(1, 8)),
                   signed=bool(rng.integers(2)), mult_bits=int(rng.integers(2, 9)), out_bits=18)
    mult = draw(rng, block.mult_bits, True, (block.groups, block.lanes))
    offset = rng.integers(-1000, 1000, (block.groups, block.lanes))
    values = draw(rng, block.bits, block.signed, (4 * block.groups, block.lanes))
    groups = np.arange(len(values)) % block.groups
    run_flow(build_core(block, (mult, offset)), rng, values, block.bits, block.out_bits, values * mult[groups] + offset[groups])


def test_a_broken_offset_of_the_scaler_is_found():
    block = Scaler(lanes=1, groups=2, bits=4, signed=True, mult_bits=4, out_bits=9)
    mult, offset, values = np.array([[3], [-5]]), np.array([[7], [-7]]), np.arange(-8, 8)[:, None]
    groups = np.arange(16) % 2
    with pytest.raises(AssertionError):
        run_flow(build_core(block, (mult, offset + [[0], [1]])), np.random.default_rng(0), values, 4, 9,
                 values * mult[groups] + offset[groups])


def run_best(built, believed, rng, images=6):
    values = draw(rng, built.bits, built.signed, (images, built.groups * built.lanes))
    line, at = with_gaps(rng, [{"payload": pack(beat, built.bits)} for image in values
                               for beat in image.reshape(built.groups, built.lanes)])
    wanted = [(at[(image + 1) * built.groups - 1] + built.latency, int(np.argmax(values[image, :believed.channels])))
              for image in range(images)]
    assert simulate(build_core(built, None), line) == wanted


def best_block(rng):
    lanes, groups = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    channels = lanes * groups - int(rng.integers(lanes))
    return Best(lanes, groups, channels, int(rng.integers(1, 5)), bool(rng.integers(2)), max(1, (channels - 1).bit_length()))


@pytest.mark.parametrize("seed", range(24))
def test_best(seed):
    rng = np.random.default_rng(seed)
    block = best_block(rng)
    run_best(block, block, rng)


def test_best_of_the_wrong_number_of_channels_is_found():
    block = Best(lanes=4, groups=2, channels=6, bits=3, signed=False, out_bits=3)
    with pytest.raises(AssertionError):
        run_best(Best(**{**block.__dict__, "channels": 8}), block, np.random.default_rng(0), images=20)


def test_tables_of_another_block_are_refused():
    with pytest.raises(TypeError, match="Best"):
        build_core(Best(1, 1, 1, 1, False, 1), np.zeros((1, 1), bool))

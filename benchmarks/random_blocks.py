"""Seeded random blocks with random contents, each as its description and its hardware, for the calibration."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from amaranth.lib import wiring

from bwnhw.blocks import Best, Downsize, Fifo, Reduce, Scaler, Stage, Thresholds, Upsize
from bwnhw.design import design
from bwnhw.network import BIPOLAR_WEIGHTS, Conv, ConvParams, Input, Ints, Node, Pool, Threshold, ThresholdParams, Topology, signed_weights
from bwnhw.plan import Engine, Plan
from bwnhw.rtl.core import build_core
from bwnhw.rtl.fifo import CreditFifo
from bwnhw.rtl.resize import Downsizer, Upsizer
from bwnhw.rtl.window import SlidingWindow
from bwnhw.structure import Block
from bwnhw.tables import array_tables


@dataclass(frozen=True)
class Drawn:
    """A block, its hardware, and a word about it for the printed rows."""

    block: Block
    component: wiring.Component
    what: str


def draw_blocks(seed: int, scale: int = 1) -> list[Drawn]:
    """148·scale blocks, the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    drawn: list[Drawn] = []
    for _ in range(40 * scale):
        drawn += _conv(rng)
    for _ in range(10 * scale):
        drawn += _pool(rng)
    for draw in (_upsize, _downsize, _fifo, _thresholds, _scaler, _best):
        drawn += [draw(rng) for _ in range(8 * scale)]
    return drawn


def _pick(rng: np.random.Generator, *values: int) -> int:
    return int(rng.choice(values))


def _conv(rng: np.random.Generator) -> list[Drawn]:
    """Window and array of a random layer: dense or 3×3 or 5×5, of 1, 2 or 8 bits, of all weight memories."""
    while True:
        size, kernel, bits = _pick(rng, 1, 8, 14, 28), _pick(rng, 1, 3, 3, 3, 5), _pick(rng, 1, 1, 1, 2, 8)
        kernel = min(kernel, size)
        pad = kernel // 2 if rng.random() < 0.6 else 0
        channels, rows = _pick(rng, 1, 8, 16, 24, 32, 64, 128), _pick(rng, 4, 10, 16, 32, 64)
        engine = Engine(int(rng.integers(1, min(rows, 8) + 1)), -(-channels // _pick(rng, 1, 1, 2, 4, 8)),
                        _pick(rng, 1, kernel, kernel * kernel), _pick(rng, 1, bits), _pick(rng, 9, 18, 24, 32, 36),
                        "block" if rng.random() < 0.1 else "lut")
        lanes = engine.simd * engine.taps
        if not 30 <= lanes * engine.planes * engine.pe <= 200:
            continue
        whole = _layer(rng, size, kernel, pad, channels, rows, bits, engine)
        if whole[0].array and whole[0].array.fold_depth * lanes * engine.pe <= 8_000:
            return _conv_blocks(rng, *whole)


def _layer(rng: np.random.Generator, size: int, kernel: int, pad: int, channels: int, rows: int, bits: int,
           engine: Engine) -> tuple[Stage, Conv, Threshold | None, Ints]:
    source = Ints(channels, size, size, 0, (1 << bits) - 1)
    weights = signed_weights(4) if rng.random() < 0.1 else BIPOLAR_WEIGHTS
    top = kernel * kernel * channels * source.hi * max(1, -weights.lo)
    out = Ints(rows, size + 2 * pad - kernel + 1, size + 2 * pad - kernel + 1, -top, top)
    conv = Conv((0,), out, (kernel, kernel), (1, 1), (pad,) * 4, weights, (2, -1) if bits == 1 else (1, 0))
    nodes: list[Node] = [Input(source, Fraction(1), Fraction(0), None), conv]
    threshold = Threshold((1,), Ints(*out.shape, 0, 1), bool(rng.random() < 0.5)) if rng.random() < 0.75 else None
    if threshold:
        nodes.append(threshold)
    return design(Topology(tuple(nodes)), Plan(((1, engine),))).stages[0], conv, threshold, source


def _conv_blocks(rng: np.random.Generator, stage: Stage, conv: Conv, threshold: Threshold | None, source: Ints) -> list[Drawn]:
    window, array = stage.window, stage.array
    if window is None or array is None:
        raise TypeError("a conv's stage has a window and an array")
    shape = (conv.out.channels, source.channels, *conv.kernel)
    values = rng.choice([-1, 1], shape) if conv.weights is BIPOLAR_WEIGHTS else rng.integers(-8, 8, shape)
    cuts = None
    if threshold:
        spread = int(2 * np.sqrt(conv.out.hi)) + 1
        cuts = ThresholdParams(rng.integers(-spread, spread, (conv.out.channels, 1)),
                               rng.random(conv.out.channels) < 0.5 * threshold.flips)
    tables = array_tables(conv, ConvParams(values.astype(np.int8)), cuts, source, window, array)
    what = (f"pe {array.pe} lanes {array.lanes}x{array.planes}/{array.pe_lanes} depth {array.fold_depth} {array.memory} "
            f"{array.mode} acc {array.acc_bits} beats {array.group_beats} offsets {array.offsets} steps {len(array.steps)}")
    where = f"{window.geometry} taps {window.taps} lanes {window.lanes}x{window.bits} words {window.words} depth {window.depth}"
    return [Drawn(array, build_core(array, tables, window), what), Drawn(window, SlidingWindow(window), where)]


def _pool(rng: np.random.Generator) -> list[Drawn]:
    size, kernel, lanes = _pick(rng, 8, 14, 28), _pick(rng, 2, 2, 3), _pick(rng, 1, 4, 8, 16, 32)
    low, high = [(0, 1), (0, 3), (-300, 300)][_pick(rng, 0, 0, 1, 2)]
    channels = lanes * _pick(rng, 1, 1, 2, 4)
    source = Ints(channels, size, size, low, high)
    kind = "max" if rng.random() < 0.75 else "sum"
    factor = kernel * kernel if kind == "sum" else 1
    out = Ints(channels, size // kernel, size // kernel, low * factor, high * factor)
    flips = kind == "max" and rng.random() < 0.3
    pool = Pool((0,), out, kind, (kernel, kernel), (kernel, kernel), (0, 0, 0, 0), bool(flips))
    nodes: tuple[Node, ...] = (Input(source, Fraction(1), Fraction(0), None), pool)
    stage = design(Topology(nodes), Plan((), lanes)).stages[0]
    window, reduce = stage.window, stage.cores[0]
    if window is None or not isinstance(reduce, Reduce):
        raise TypeError("a pool's stage has a window and a reduce")
    flags = rng.random((reduce.groups, reduce.lanes)) < 0.5 * reduce.flips
    return [Drawn(reduce, build_core(reduce, flags, window), f"{reduce}"), Drawn(window, SlidingWindow(window), f"{window}")]


def _upsize(rng: np.random.Generator) -> Drawn:
    block = Upsize(_pick(rng, 1, 2, 8), _pick(rng, 2, 3, 4, 8, 9), 0, _pick(rng, 1, 2, 8))
    block = Upsize(block.lanes_in, block.ratio, block.lanes_in * block.ratio, block.bits)
    return Drawn(block, Upsizer(block), f"{block}")


def _downsize(rng: np.random.Generator) -> Drawn:
    lanes, ratio = _pick(rng, 1, 2, 8), _pick(rng, 2, 3, 4, 8, 9)
    block = Downsize(lanes * ratio, ratio, lanes, _pick(rng, 1, 2, 8))
    return Drawn(block, Downsizer(block), f"{block}")


def _fifo(rng: np.random.Generator) -> Drawn:
    block = Fifo(_pick(rng, 1, 4, 10, 16, 32, 64), _pick(rng, 1, 1, 2, 10), _pick(rng, 2, 3, 4, 5, 8, 12, 16, 24, 40, 64))
    return Drawn(block, CreditFifo(block), f"{block}")


def _thresholds(rng: np.random.Generator) -> Drawn:
    lanes, groups, out_bits, bits = _pick(rng, 1, 4, 8), _pick(rng, 1, 2, 8), _pick(rng, 1, 2, 2, 4), _pick(rng, 6, 10, 12)
    block = Thresholds(lanes, groups, bits, True, (1 << out_bits) - 1, out_bits, bool(rng.random() < 0.3))
    cuts = np.sort(rng.integers(-1 << bits - 2, 1 << bits - 2, (groups, lanes, block.levels)), axis=-1)
    return Drawn(block, build_core(block, (cuts, rng.random((groups, lanes)) < 0.5 * block.flips)), f"{block}")


def _scaler(rng: np.random.Generator) -> Drawn:
    lanes, groups, bits, mult = _pick(rng, 1, 2, 5), _pick(rng, 1, 2, 10), _pick(rng, 8, 11), _pick(rng, 6, 12)
    block = Scaler(lanes, groups, bits, True, mult, bits + mult)
    values = rng.integers(1, 1 << mult - 1, (groups, lanes)), rng.integers(-1 << bits, 1 << bits, (groups, lanes))
    return Drawn(block, build_core(block, values), f"{block}")


def _best(rng: np.random.Generator) -> Drawn:
    channels, lanes, bits = _pick(rng, 10, 10, 16, 64), _pick(rng, 1, 2, 5, 10), _pick(rng, 8, 10, 14)
    block = Best(lanes, -(-channels // lanes), channels, bits, True, (channels - 1).bit_length())
    return Drawn(block, build_core(block, None), f"{block}")

"""Seeded random networks with random foldings, as large as a laptop synthesises in a minute: what the calibration measures.

Nothing here comes from a trained network: shapes, weights, thresholds and engines are drawn. Seeds from `CODED` on are the networks of the
seeds before with kernels from codebooks, in arrays that store indices or count codewords once.
"""

from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np

from bwnhw.design import design
from bwnhw.foldings import engine, indexed, shared
from bwnhw.network import (
    BIPOLAR_WEIGHTS,
    ArgMax,
    Codebook,
    Conv,
    ConvParams,
    Input,
    Ints,
    Network,
    Node,
    NodeParams,
    Pool,
    PoolParams,
    Scale,
    ScaleParams,
    Threshold,
    ThresholdParams,
    Topology,
    signed_weights,
)
from bwnhw.plan import Engine, Plan

SOURCES = (Ints(1, 14, 14, 0, 255), Ints(3, 10, 10, 0, 255), Ints(8, 8, 8, 0, 1), Ints(16, 8, 8, 0, 3), Ints(96, 1, 1, 0, 1),
           Ints(1, 12, 12, 0, 1))
CODED = 1000


def draw(seed: int, family: str = "xc7") -> tuple[Network, Plan]:
    """A chain of two or three convs with thresholds and pools, scores at the end, and a plan of it for a family, the same but for the lanes
    of a PE."""
    if seed >= CODED:
        return _coded(np.random.default_rng(seed), family, *draw(seed - CODED, family))
    rng = np.random.default_rng(seed)
    source = SOURCES[seed % len(SOURCES)]
    nodes: list[Node] = [Input(source, Fraction(1), Fraction(0), None)]
    params: list[NodeParams] = [None]
    engines: list[tuple[int, Engine]] = []
    if source.bits == 8 and seed // len(SOURCES) % 2:  # the input quantiser in hardware
        nodes.append(Threshold((0,), Ints(*source.shape, 0, 1), False))
        params.append(ThresholdParams(rng.integers(1, 255, (source.channels, 1)), np.zeros(source.channels, bool)))
    for _ in range(_pick(rng, 1, 2)):
        _layer(rng, nodes, params, engines, _pick(rng, 8, 12, 16, 24, 32), family, dense=False)
        if nodes[-1].out.height >= 4 and rng.random() < 0.6:
            _pool(rng, nodes, params)
    _layer(rng, nodes, params, engines, 10, family, dense=True)
    if rng.random() < 0.4:
        _scores(rng, nodes, params)
    lanes = source.channels if source.channels <= 16 else 8
    network = Network(Topology(tuple(nodes)), tuple(params), (None,) * len(nodes))
    plan = Plan(tuple(engines), lanes, family=family)
    design(network.topology, plan)
    return network, plan


def _pick(rng: np.random.Generator, *values: int) -> int:
    return int(rng.choice(values))


def _layer(rng: np.random.Generator, nodes: list[Node], params: list[NodeParams], engines: list[tuple[int, Engine]], rows: int,
           family: str, dense: bool) -> None:
    """A conv; behind all but the last a threshold of one or two bits."""
    source = nodes[-1].out
    kernel = (source.height, source.width) if dense else (min(source.height, _pick(rng, 1, 3, 3, 3)),) * 2
    pad = int(kernel == (3, 3) and not dense and rng.random() < 0.7)
    weights = signed_weights(4) if rng.random() < 0.08 else BIPOLAR_WEIGHTS
    bipolar = source.hi == 1 and rng.random() < 0.8
    top = kernel[0] * kernel[1] * source.channels * source.hi * max(1, -weights.lo)
    out = Ints(rows, source.height + 2 * pad - kernel[0] + 1, source.width + 2 * pad - kernel[1] + 1, -top, top)
    index = len(nodes)
    nodes.append(Conv((index - 1,), out, kernel, (1, 1), (pad,) * 4, weights, (2, -1) if bipolar else (1, 0)))
    shape = (rows, source.channels, *kernel)
    params.append(ConvParams((rng.choice([-1, 1], shape) if weights is BIPOLAR_WEIGHTS else rng.integers(-8, 8, shape)).astype(np.int8)))
    engines.append((index, _engine(rng, rows, source, kernel, family)))
    if not dense:
        levels, flips = _pick(rng, 1, 1, 1, 3), bool(rng.random() < 0.4)
        nodes.append(Threshold((index,), Ints(*out.shape, 0, levels), flips))
        spread = max(2, int(1.5 * np.sqrt(top)))
        params.append(ThresholdParams(np.sort(rng.integers(-spread, spread, (rows, levels)), axis=1), (rng.random(rows) < 0.5) & flips))


def _engine(rng: np.random.Generator, rows: int, source: Ints, kernel: tuple[int, int], family: str) -> Engine:
    while True:
        planes = _pick(rng, 1, *(n for n in range(1, source.bits + 1) if source.bits % n == 0))
        taps = _pick(rng, 1, kernel[1], kernel[0] * kernel[1])
        simd = -(-source.channels // _pick(rng, 1, 1, 2, 3, 4, 8))
        pe = rows if rng.random() < 0.25 else int(rng.integers(1, min(rows, 12) + 1))
        if 12 <= pe * simd * taps * planes <= 400 and taps <= 32:
            return engine(pe, simd, taps, planes, "block" if rng.random() < 0.1 else "lut", family)


def _coded(rng: np.random.Generator, family: str, network: Network, plan: Plan) -> tuple[Network, Plan]:
    """The network with codebooks wherever kernels can be indices, and engines of about as many lanes that make use of them."""
    nodes, params, engines = list(network.topology.nodes), list(network.params), dict(plan.engines)
    for index, plain in plan.engines:
        conv, source = nodes[index], nodes[index - 1].out
        if not isinstance(conv, Conv) or conv.kernel != (3, 3) or conv.weights is not BIPOLAR_WEIGHTS:
            continue
        words, way = _pick(rng, 2, 4, 4, 8, 16), (partial(indexed, family=family), shared)[_pick(rng, 0, 1)]
        half = rng.choice([-1, 1], (1, words // 2, *conv.kernel)).astype(np.int8)
        rest = -half if rng.random() < 0.7 else rng.choice([-1, 1], half.shape).astype(np.int8)
        book = Codebook(np.concatenate([half, rest], axis=1), rng.integers(0, words, (conv.out.channels, source.channels)))
        nodes[index], params[index] = replace(conv, codebook=book.shape), ConvParams(book.weights, book)
        whole = replace(plain, taps=9, simd=max(1, plain.simd * plain.taps // 9))
        engines[index] = way(nodes[index], source, whole) or plain
    return replace(network, topology=Topology(tuple(nodes)), params=tuple(params)), replace(plan, engines=tuple(engines.items()))


def _pool(rng: np.random.Generator, nodes: list[Node], params: list[NodeParams]) -> None:
    source = nodes[-1].out
    kind = "sum" if rng.random() < 0.2 else "max"
    factor, flips = 4 if kind == "sum" else 1, bool(kind == "max" and rng.random() < 0.3)
    out = Ints(source.channels, source.height // 2, source.width // 2, 0, source.hi * factor)
    nodes.append(Pool((len(nodes) - 1,), out, kind, (2, 2), (2, 2), (0, 0, 0, 0), flips))
    params.append(PoolParams((rng.random(source.channels) < 0.5) & flips))


def _scores(rng: np.random.Generator, nodes: list[Node], params: list[NodeParams]) -> None:
    """Scores on one scale, or their arg-max."""
    source = nodes[-1].out
    if rng.random() < 0.5:
        mult, offset = rng.integers(1, 60, source.channels), rng.integers(-500, 500, source.channels)
        nodes.append(Scale((len(nodes) - 1,), Ints(source.channels, 1, 1, 60 * source.lo - 500, 60 * source.hi + 500)))
        params.append(ScaleParams(mult, offset))
    else:
        nodes.append(ArgMax((len(nodes) - 1,), Ints(1, 1, 1, 0, source.channels - 1)))
        params.append(None)

"""Random small chains of layers with random foldings, for tests that hold models of a design against each other."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from bwnhw.blocks import Design, Window
from bwnhw.design import design
from bwnhw.foldings import indexed, shared
from bwnhw.network import (
    BIPOLAR_WEIGHTS,
    ArgMax,
    Codebook,
    CodebookShape,
    Conv,
    ConvParams,
    Input,
    Ints,
    Network,
    Node,
    NodeParams,
    Pool,
    PoolParams,
    Threshold,
    ThresholdParams,
    Topology,
)
from bwnhw.plan import Engine, Plan


def _window(draw: st.DrawFn, source: Ints) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    kernel = (draw(st.integers(1, min(3, source.height))), draw(st.integers(1, min(3, source.width))))
    stride = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    pads = tuple(draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4))
    return kernel, stride, pads  # type: ignore[return-value]  # four pads, by construction


def _size(source: Ints, kernel: tuple[int, int], stride: tuple[int, int], pads: tuple[int, int, int, int]) -> tuple[int, int]:
    return ((source.height + pads[0] + pads[2] - kernel[0]) // stride[0] + 1,
            (source.width + pads[1] + pads[3] - kernel[1]) // stride[1] + 1)


def _conv(draw: st.DrawFn, index: int, source: Ints) -> tuple[Conv, Engine]:
    kernel, stride, pads = _window(draw, source)
    if draw(st.booleans()) and source.pixels < 20:
        kernel, stride, pads = (source.height, source.width), (1, 1), (0, 0, 0, 0)
    channels = draw(st.integers(1, 6))
    total = kernel[0] * kernel[1] * source.channels * source.hi
    out = Ints(channels, *_size(source, kernel, stride, pads), -total, total)
    planes = draw(st.sampled_from([p for p in (1, 2, 4, 8) if source.bits % p == 0]))
    engine = Engine(draw(st.integers(1, channels)), draw(st.integers(1, source.channels)),
                    draw(st.integers(1, kernel[0] * kernel[1])), planes, draw(st.integers(1, 8)))
    value = (2, -source.hi) if source.hi == 1 else (1, 0)
    words = draw(st.integers(2, 6))
    closed = words % 2 == 0 and draw(st.booleans())
    book = CodebookShape(words, draw(st.sampled_from([1, source.channels])), kernel, closed) if draw(st.booleans()) else None
    conv = Conv((index - 1,), out, kernel, stride, pads, BIPOLAR_WEIGHTS, value, book)
    whole = replace(engine, taps=kernel[0] * kernel[1], simd=source.channels)
    return conv, draw(st.sampled_from([indexed, shared]))(conv, source, whole) or engine


@st.composite
def topologies(draw: st.DrawFn, shallow: bool = False) -> tuple[Topology, Plan]:
    """A chain of 1..4 layers on a small map, and a plan for it; `shallow` draws FIFO depths too small for full speed."""
    bits = draw(st.sampled_from([1, 2, 8]))
    source = Ints(draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 6)), 0, (1 << bits) - 1)
    lanes = draw(st.sampled_from([n for n in range(1, source.channels + 1) if source.channels % n == 0]))
    nodes: list[Node] = [Input(source, Fraction(1), Fraction(0), None)]
    engines: list[tuple[int, Engine]] = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 2)) == 0:
            kernel, stride, pads = _window(draw, source)
            height, width = _size(source, kernel, stride, pads)
            out = Ints(source.channels, height, width, source.lo, source.hi)
            nodes.append(Pool((len(nodes) - 1,), out, "max", kernel, stride, pads))
        else:
            conv, engine = _conv(draw, len(nodes), source)
            engines.append((len(nodes), engine))
            nodes.append(conv)
            levels = draw(st.sampled_from([1, 3]))
            nodes.append(Threshold((len(nodes) - 1,), Ints(*conv.out.shape, 0, levels), draw(st.booleans())))
        source = nodes[-1].out
    if source.pixels == 1 and source.channels > 1 and draw(st.booleans()):
        nodes.append(ArgMax((len(nodes) - 1,), Ints(1, 1, 1, 0, source.channels - 1)))
    fifos = tuple((i, draw(st.integers(1, 3))) for i in range(1, len(nodes)) if shallow and draw(st.booleans()))
    return Topology(tuple(nodes)), Plan(tuple(engines), lanes, fifos)


def with_values(topology: Topology) -> Network:
    """Weights ±1 of which some rows repeat, and thresholds, always the same for a topology."""
    rng = np.random.default_rng(1)
    params: list[NodeParams] = []
    for node in topology.nodes:
        if isinstance(node, Conv):
            shape = (node.out.channels, topology.nodes[node.src[0]].out.channels, *node.kernel)
            row = np.where(rng.random(node.out.channels) < 0.3, 0, np.arange(node.out.channels))
            book = _codebook(node.codebook, shape[:2], rng) if node.codebook else None
            params.append(ConvParams(book.weights if book else rng.choice([-1, 1], shape).astype(np.int8)[row], book))
        elif isinstance(node, Threshold):
            levels = np.sort(rng.integers(-4, 5, (node.out.channels, node.out.hi)), axis=1)
            params.append(ThresholdParams(levels, (rng.random(node.out.channels) < 0.5) & node.flips))
        elif isinstance(node, Pool):
            params.append(PoolParams(np.zeros(node.out.channels, bool)))
        else:
            params.append(None)
    return Network(topology, tuple(params), (None,) * len(params))


def _codebook(shape: CodebookShape, kernels: tuple[int, int], rng: np.random.Generator) -> Codebook:
    words = rng.choice([-1, 1], (shape.books, shape.words, *shape.taps)).astype(np.int8)
    if shape.closed:
        words[:, shape.words // 2:] = -words[:, :shape.words // 2]
    return Codebook(words, rng.integers(0, shape.words, kernels))


@st.composite
def designs(draw: st.DrawFn) -> Design:
    """The design of a random chain, sometimes with shallow FIFOs, sometimes with the least possible window buffers."""
    topology, plan = draw(topologies(shallow=draw(st.booleans())))
    whole = design(topology, plan)
    if draw(st.booleans()):
        return whole
    buffers = tuple((stage.nodes[0], _least(stage.window)) for stage in whole.stages if stage.window)
    return design(topology, replace(plan, buffers=buffers))


def _least(window: Window) -> int:
    """Least depth with which every output pixel can be read."""
    return 1 << max(0, int((window.geometry.need - window.geometry.keep).max()) * window.words - 1).bit_length()

"""Small random networks with values, and plans for them."""

from fractions import Fraction

import numpy as np

from bwnhw.geometry import Geometry
from bwnhw.network import (
    BIPOLAR_WEIGHTS,
    UNIPOLAR_WEIGHTS,
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


class Builder:
    """Appends nodes with random values to a chain."""

    def __init__(self, seed: int, source: Ints) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Node] = [Input(source, Fraction(1), Fraction(0), None)]
        self.params: list[NodeParams] = [None]
        self.engines: list[tuple[int, Engine]] = []

    @property
    def last(self) -> Ints:
        return self.nodes[-1].out

    def add(self, node: Node, params: NodeParams) -> None:
        self.nodes.append(node)
        self.params.append(params)

    def conv(self, channels: int, engine: Engine, kernel: tuple[int, int] | None = None, stride: tuple[int, int] = (1, 1),
             pads: tuple[int, int, int, int] = (0, 0, 0, 0), weights: str = "bipolar", bipolar: bool | None = None,
             book: tuple[int, int] | None = None, closed: bool = False, even: bool = False) -> None:
        """`kernel` None is a dense layer; codes stand for ±1 where they have one bit unless `bipolar` says otherwise. `book`: how many
        codebooks of how many words the weights come from."""
        source = self.last
        kernel = kernel or (source.height, source.width)
        code = {"bipolar": BIPOLAR_WEIGHTS, "unipolar": UNIPOLAR_WEIGHTS, "signed3": signed_weights(3)}[weights]
        shape = channels, source.channels, *kernel
        choices = {"bipolar": [-1, 1], "unipolar": [0, 1], "signed3": list(range(-4, 4))}[weights]
        codebook = None
        if book:
            codewords = self.rng.choice([-1, 1], (*book, *kernel)).astype(np.int8)
            if closed:
                codewords[:, book[1] // 2:] = -codewords[:, :book[1] // 2]
            if even:
                codewords[..., -1, -1] *= np.prod(codewords, axis=(2, 3)) * self.rng.choice([-1, 1])
            codebook = Codebook(codewords, self.rng.integers(0, book[1], shape[:2]))
        values = codebook.weights if codebook else self.rng.choice(choices, shape).astype(np.int8)
        value = (2, -1) if (source.hi == 1 if bipolar is None else bipolar) else (1, 0)
        greatest = max(abs(value[1]), abs(value[0] * source.hi + value[1]))
        bound = int(np.abs(values.astype(int)).sum(axis=(1, 2, 3)).max()) * greatest
        geometry = Geometry(source.height, source.width, kernel, stride, pads)
        out = Ints(channels, geometry.out_height, geometry.out_width, -bound, bound)
        self.engines.append((len(self.nodes), engine))
        shape_of = codebook.shape if codebook else None
        self.add(Conv((len(self.nodes) - 1,), out, kernel, stride, pads, code, value, shape_of), ConvParams(values, codebook))

    def threshold(self, levels: int = 1, flips: bool = True) -> None:
        source = self.last
        spread = max(2, source.hi // 3)
        thresholds = np.sort(self.rng.integers(-spread, spread + 1, (source.channels, levels)), axis=1).astype(np.int64)
        thresholds = np.clip(thresholds, source.lo, source.hi + 1)
        flip = self.rng.integers(0, 2, source.channels).astype(bool) & flips
        out = Ints(source.channels, source.height, source.width, 0, levels)
        self.add(Threshold((len(self.nodes) - 1,), out, flips), ThresholdParams(thresholds, flip))

    def pool(self, kind: str, kernel: tuple[int, int], stride: tuple[int, int], pads: tuple[int, int, int, int] = (0, 0, 0, 0),
             flips: bool = False) -> None:
        source = self.last
        geometry = Geometry(source.height, source.width, kernel, stride, pads)
        times = kernel[0] * kernel[1] if kind == "sum" else 1
        out = Ints(source.channels, geometry.out_height, geometry.out_width, min(0, source.lo * times) if times > 1 else source.lo,
                   source.hi * times)
        flip = self.rng.integers(0, 2, source.channels).astype(bool) & flips
        self.add(Pool((len(self.nodes) - 1,), out, kind, kernel, stride, pads, flips), PoolParams(flip))

    def scale(self) -> None:
        source = self.last
        mult, offset = self.rng.integers(-3, 4, source.channels), self.rng.integers(-20, 21, source.channels)
        bound = 3 * max(-source.lo, source.hi) + 20
        out = Ints(source.channels, source.height, source.width, -bound, bound)
        self.add(Scale((len(self.nodes) - 1,), out), ScaleParams(mult, offset))

    def argmax(self) -> None:
        self.add(ArgMax((len(self.nodes) - 1,), Ints(1, 1, 1, 0, self.last.channels - 1)), None)

    def done(self, input_lanes: int = 1) -> tuple[Network, Plan]:
        return (Network(Topology(tuple(self.nodes)), tuple(self.params), (None,) * len(self.nodes)),
                Plan(tuple(self.engines), input_lanes))


def conv_network(seed: int = 0) -> tuple[Network, Plan]:
    """Raw 4-bit pixels, padded convolutions, pool before and after, dense scores, arg-max: about 1,000 cycles per image."""
    b = Builder(seed, Ints(2, 6, 5, 0, 15))
    b.conv(5, Engine(2, 2, taps=3, planes=2, lanes=4), (3, 3), (1, 1), (1, 1, 1, 1))
    b.threshold()
    b.conv(6, Engine(3, 2, taps=3, lanes=3), (3, 3), (1, 1), (1, 1, 1, 1))
    b.pool("max", (2, 2), (2, 2), flips=False)
    b.threshold(3)
    b.conv(7, Engine(4, 3, planes=2, lanes=2), weights="signed3")
    b.argmax()
    return b.done(1)


def dense_network(seed: int = 0) -> tuple[Network, Plan]:
    """A small MLP on one-bit inputs with scores at the end."""
    b = Builder(seed, Ints(24, 1, 1, 0, 1))
    b.conv(10, Engine(3, 8, lanes=3))
    b.threshold()
    b.conv(4, Engine(4, 5, lanes=5))
    b.scale()
    return b.done(6)


def mixed_network(seed: int = 0) -> tuple[Network, Plan]:
    """Resizers of every kind, sums, strides, thresholds of their own, a max pool that flips."""
    b = Builder(seed, Ints(3, 7, 6, 0, 3))
    b.conv(8, Engine(8, 1, lanes=1), (2, 3), (2, 1), (1, 0, 0, 2), weights="unipolar")
    b.threshold(3)
    b.pool("max", (2, 2), (1, 2), (0, 1, 1, 0), flips=True)
    b.conv(6, Engine(2, 4, taps=2, lanes=8), (3, 1), (1, 1), (1, 0, 1, 0))
    b.threshold()
    b.pool("sum", (2, 2), (1, 1))
    b.threshold(2)
    b.conv(3, Engine(1, 6, taps=1, planes=1, lanes=4))
    return b.done(3)


def codebook_network(seed: int = 0, words: int = 8, even: bool = False) -> tuple[Network, Plan]:
    """Kernels as indices: channels and rows that don't divide, two planes at once, one codebook for all channels or one for each."""
    b = Builder(seed, Ints(3, 5, 4, 0, 3))
    b.conv(5, Engine(2, 2, 9, planes=2, lanes=9, codebook="index"), (3, 3), (1, 1), (1, 1, 1, 1), book=(1, words), even=even)
    b.threshold()
    b.conv(6, Engine(3, 5, 9, lanes=27, memory="block", codebook="index"), (3, 3), (1, 1), (1, 1, 1, 1), book=(5, words), even=even)
    b.pool("max", (2, 2), (2, 2))
    b.threshold(3)
    b.conv(3, Engine(2, 4, 4, lanes=8, codebook="index"), book=(1, words), even=even)
    return b.done(1)


def banked_network(seed: int = 0, words: int = 16) -> tuple[Network, Plan]:
    """Indices in block RAM, more of them than one is wide, for several columns in two planes."""
    b = Builder(seed, Ints(13, 3, 4, 0, 3))
    b.conv(4, Engine(2, 13, 9, planes=2, lanes=27, memory="block", codebook="index"), (3, 3), (1, 1), (1, 1, 1, 1), book=(1, words))
    b.pool("max", (3, 4), (1, 1))
    return b.done(13)


def row_kernels_network(seed: int = 0, words: int = 4) -> tuple[Network, Plan]:
    """Kernels of three taps and of two as indices, all of one parity: PEs of one, whose popcount has no register, beside wider ones."""
    b = Builder(seed, Ints(3, 4, 6, 0, 1))
    b.conv(5, Engine(2, 3, 3, lanes=3, codebook="index"), (1, 3), book=(1, words), even=True)
    b.threshold()
    b.conv(4, Engine(4, 5, 3, lanes=6, codebook="index"), (1, 3), book=(1, words), even=True)
    b.threshold()
    b.conv(3, Engine(3, 4, 2, lanes=8, codebook="index"), (2, 1), book=(1, 2), even=True)
    b.pool("max", (3, 2), (1, 1))
    return b.done(1)


def shared_network(seed: int = 0, words: int = 4, closed: bool = True) -> tuple[Network, Plan]:
    """Codewords counted once: channels and rows that don't divide, planes at once and in steps, one codebook or one for each channel."""
    b = Builder(seed, Ints(3, 5, 4, 0, 15))
    b.conv(5, Engine(2, 2, 9, planes=2, lanes=18, codebook="shared"), (3, 3), (1, 1), (1, 1, 1, 1), book=(1, words), closed=closed)
    b.threshold()
    b.conv(7, Engine(3, 5, 9, lanes=27, memory="block", codebook="shared"), (3, 3), (1, 1), (1, 1, 1, 1), book=(5, words), closed=closed)
    b.pool("max", (2, 2), (2, 2))
    b.threshold(3)
    b.conv(20, Engine(2, 7, 4, planes=2, lanes=28, codebook="shared"), book=(1, words), closed=closed)
    b.threshold()
    b.conv(3, Engine(1, 20, 1, lanes=32))
    return b.done(1)


ALL = (conv_network, dense_network, mixed_network)

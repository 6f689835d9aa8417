"""Random float graphs of small binary networks, as a trainer could write them, with knobs and a summary of what each one exercises.

    rng = np.random.default_rng(seed)
    drawn = draw_graph(rng, Knobs(layers=(3, 4)))
    drawn.graph, drawn.features, draw_images(rng, drawn.graph, 10)

Only constants are drawn, never results. The same seed gives the same graph.
"""

from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from bwnhw.graph import Graph, Op, Value


@dataclass(frozen=True)
class Knobs:
    """What may be drawn: inclusive ranges, choices, and probabilities in 0..1."""

    layers: tuple[int, int] = (1, 4)
    size: tuple[int, int] = (1, 8)  # height and width of the input
    channels: tuple[int, int] = (1, 8)
    kernels: tuple[int, ...] = (1, 2, 3)
    strides: tuple[int, ...] = (1, 1, 2)
    inputs: tuple[str, ...] = ("bipolar", "uint8", "float")
    activations: tuple[str, ...] = ("bipolar", "bipolar", "unsigned", "signed", "ternary")
    weights: tuple[str, ...] = ("bipolar", "bipolar", "scaled", "unipolar", "ternary", "int", "codebook")
    ends: tuple[str, ...] = ("scores", "bias", "argmax", "topk", "codes")
    padded: float = 0.5
    pool_before: float = 0.3
    pool_after: float = 0.2
    average: float = 0.2  # of the pools after the quantiser
    norm: float = 0.8  # a batch norm, or its spelled-out form, before the quantiser
    clip: float = 0.2
    dense: float = 0.25  # layers after which the network goes on flattened
    batch: int = 0


@dataclass(frozen=True)
class Features:
    """What a drawn graph exercises."""

    layers: int = 0
    padded_bipolar: bool = False
    multi_bit: bool = False
    pool_before_negative: bool = False
    zero_slope: bool = False
    codebook: bool = False
    average: bool = False


@dataclass(frozen=True, eq=False)
class Drawn:
    """A graph and its summary."""

    graph: Graph
    features: Features


@dataclass
class _Maker:
    """The graph being written; `top` is the current tensor, `shape` its (C, H, W), `zero` how its zero is coded."""

    rng: np.random.Generator
    knobs: Knobs
    ops: list = field(default_factory=list)
    constants: dict = field(default_factory=dict)
    features: Features = Features()
    top: str = "x"
    shape: tuple = ()
    flat: bool = False
    kind: str = ""  # of the current codes: bipolar, unsigned, signed, pixels, offset (no exact zero to pad with)

    def op(self, kind, *inputs, outputs=1, **attrs):
        names = tuple(f"t{len(self.ops)}{'ab'[i] if outputs > 1 else ''}" for i in range(outputs))
        self.ops.append(Op(kind, f"n{len(self.ops)}", (self.top, *inputs), names, MappingProxyType(attrs)))
        self.top = names[-1]

    def constant(self, array, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array, dtype)
        return name

    def choose(self, options):
        return options[int(self.rng.integers(len(options)))]

    def between(self, bounds):
        return int(self.rng.integers(bounds[0], bounds[1] + 1))

    def happens(self, probability):
        return bool(self.rng.random() < probability)

    def note(self, **features):
        self.features = replace(self.features, **features)

    def dyadic(self, size, bits=6, scale=4.0):
        """Random multiples of 2**-bits in ±scale: exact in float32, and ties are likely."""
        return np.round(self.rng.uniform(-scale, scale, size) * 2**bits) / 2**bits


def draw_graph(rng, knobs=Knobs()):
    """A random graph with its features."""
    make = _Maker(rng, knobs)
    source = _input(make)
    count = make.between(knobs.layers)
    for layer in range(count):
        last = layer + 1 == count
        _layer(make, last)
        if last:
            _end(make)
        else:
            _activation(make)
    make.note(layers=count)
    out_type = "int64" if make.ops[-1].kind in ("TopK", "ArgMax") else "float32"
    graph = Graph(tuple(make.ops), (source,), (Value(make.top, _out_shape(make), out_type),), MappingProxyType(make.constants))
    return Drawn(graph, make.features)


def draw_images(rng, graph, images):
    """Values of the graph's input (images, ...), float32: pixels for an integer input, ±1 for a bipolar one, else reals."""
    source = graph.inputs[0]
    shape = (images, *source.shape[1:])
    if source.datatype == "UINT8":
        return rng.integers(0, 256, shape).astype(np.float32)
    if source.datatype == "BIPOLAR":
        return (rng.integers(0, 2, shape) * 2 - 1).astype(np.float32)
    return (np.round(rng.uniform(-2, 2, shape) * 64) / 64).astype(np.float32)


def _input(make):
    """Draw the input and what stands before the first layer."""
    knobs = make.knobs
    make.shape = (make.between(knobs.channels), make.between(knobs.size), make.between(knobs.size))
    kind = make.choose(knobs.inputs)
    datatype = {"bipolar": "BIPOLAR", "uint8": "UINT8", "float": None}[kind]
    make.kind = {"bipolar": "bipolar", "uint8": "pixels", "float": ""}[kind]
    source = Value("x", (knobs.batch, *make.shape), "float32", datatype)
    if kind == "float":
        if make.happens(0.3):
            make.op("Sub", make.constant(make.dyadic(())))
        _quantise(make)
    elif kind == "uint8":
        choice = make.rng.integers(4)
        if choice == 0:
            make.op("Mul", make.constant(1 / 255))
        elif choice == 1:  # preprocessing, then a quantiser: thresholds on pixels
            make.op("Mul", make.constant(1 / 64))
            make.op("Sub", make.constant(make.dyadic((make.shape[0], 1, 1), scale=2.0) + 2))
            _quantise(make)
        elif choice == 2:
            make.op("Mul", make.constant(2 / 256))
            make.op("Sub", make.constant(1.0))
    return source


def _layer(make, last):
    """A convolution or a dense layer."""
    channels, height, width = make.shape
    out = make.between(make.knobs.channels)
    if make.flat or last and make.happens(0.6) or make.happens(make.knobs.dense):
        if not make.flat:
            make.op("Flatten", axis=1)
            make.flat = True
        weights = _weights(make, (out, channels * height * width), transposed=True)
        make.op("MatMul", weights)
        make.shape = (out, 1, 1)
        return
    kernel = [min(make.choose(make.knobs.kernels), length) for length in (height, width)]
    pads = [0, 0, 0, 0]
    if make.kind != "offset" and make.happens(make.knobs.padded):
        pads = [int(make.rng.integers(0, kernel[axis % 2])) for axis in range(4)]
    stride = [make.choose(make.knobs.strides) for _ in range(2)]
    weights = _weights(make, (out, channels, *kernel))
    bias = (make.constant(make.dyadic(out)),) if make.happens(0.3) else ()
    make.op("Conv", weights, *bias, kernel_shape=tuple(kernel), strides=tuple(stride), pads=tuple(pads), dilations=(1, 1), group=1)
    if any(pads) and make.kind == "bipolar":
        make.note(padded_bipolar=True)
    make.shape = (out, *((length + pads[i] + pads[i + 2] - kernel[i]) // stride[i] + 1 for i, length in enumerate((height, width))))


def _weights(make, shape, transposed=False):
    """The name of a weight tensor: a constant, or quantisers or a look-up of constants."""
    kind = make.choose(make.knobs.weights)
    if kind == "codebook" and len(shape) == 4 and shape[2:] == (3, 3):
        return _codebook(make, shape)
    signs = make.rng.integers(0, 2, shape) * 2 - 1
    rows = (shape[0],) + (1,) * (len(shape) - 1)
    if kind == "scaled":
        values = signs * (np.abs(make.dyadic(rows)) + 0.25)
    elif kind == "unipolar":
        values = (signs > 0) * (np.abs(make.dyadic(rows)) + 0.25)
    elif kind == "ternary":
        values = make.rng.integers(-1, 2, shape) * 0.5
    elif kind == "int":
        return _quantised_weights(make, shape, transposed)
    else:
        values = signs * 1.0
    return make.constant(values.T if transposed else values)


def _quantised_weights(make, shape, transposed):
    """Quant or BipolarQuant of latent weights with a scale per row, or one for all."""
    latent = make.dyadic(shape, scale=1.0)
    rows = (1, shape[0]) if transposed else (shape[0],) + (1,) * (len(shape) - 1)
    scale = np.abs(make.dyadic(rows if make.happens(0.5) else ())) + 0.0625
    latent = make.constant(latent.T if transposed else latent)
    bits = int(make.rng.integers(1, 9))
    top, make.top = make.top, latent
    if bits == 1:
        make.op("BipolarQuant", make.constant(scale))
    else:
        make.op("Quant", make.constant(scale / 4), make.constant(0.0), make.constant(float(bits)), signed=1,
                narrow=int(make.rng.integers(2)), rounding_mode="ROUND")
    name, make.top = make.top, top
    return name


def _codebook(make, shape):
    """Gather(codebook, index) along axis 0; of every second codebook the second half are the complements of the first."""
    words = int(make.rng.integers(2, 9))
    values = make.rng.integers(0, 2, (words, 3, 3)) * 2 - 1
    if words % 2 == 0 and make.rng.random() < 0.5:
        values[words // 2:] = -values[:words // 2]
    book = make.constant(values)
    index = make.constant(make.rng.integers(0, words, shape[:2]), np.int64)
    top, make.top = make.top, book
    make.op("Gather", index, axis=0)
    name, make.top = make.top, top
    make.note(codebook=True)
    return name


def _activation(make):
    """What stands between a layer's sums and the next layer."""
    pooled = not make.flat and make.happens(make.knobs.pool_before) and _pool(make, "MaxPool")
    slopes = _norm(make) if make.happens(make.knobs.norm) else np.ones(make.shape[0])
    if pooled and (slopes < 0).any():
        make.note(pool_before_negative=True)
    if (slopes == 0).any():
        make.note(zero_slope=True)
    if not pooled and not make.flat and make.happens(make.knobs.pool_before / 2):
        _pool(make, "MaxPool")
    if make.happens(make.knobs.clip):
        if make.happens(0.5):
            make.op("Relu")
        else:
            make.op("Clip", make.constant(-1.0), make.constant(1.0))
    _quantise(make)
    if not make.flat and make.happens(make.knobs.pool_after):
        average = make.happens(make.knobs.average)
        if _pool(make, "AveragePool" if average else "MaxPool") and average:
            make.note(average=True)
            make.kind = "unsigned" if make.kind == "unsigned" else "offset"


def _norm(make):
    """A batch norm or its spelled-out form; the slope's sign per channel."""
    channels = make.shape[0]
    gamma = make.dyadic(channels, scale=2.0) * (make.rng.random(channels) > 0.1)
    rows = (channels,) if make.flat else (channels, 1, 1)
    if make.happens(0.7):
        values = (gamma, make.dyadic(channels), make.dyadic(channels, bits=1), np.abs(make.dyadic(channels)) + 0.125)
        make.op("BatchNormalization", *(make.constant(v) for v in values), epsilon=float(np.float32(1e-5)))
    else:
        make.op("Sub", make.constant(make.dyadic(rows, bits=1)))
        make.op("Mul", make.constant(gamma.reshape(rows)))
        make.op("Add", make.constant(make.dyadic(rows)))
    return gamma


def _quantise(make):
    """A quantiser of activations."""
    kind = make.choose(make.knobs.activations)
    scale = float(2.0 ** make.rng.integers(-3, 2))
    make.kind = kind if kind in ("bipolar", "unsigned") else "signed"
    if kind == "bipolar":
        make.op("BipolarQuant", make.constant(scale))
        return
    bits = 2 if kind == "ternary" else int(make.rng.integers(2, 5))
    make.note(multi_bit=True)
    mode = make.choose(("ROUND", "ROUND", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN"))
    make.op("Quant", make.constant(scale), make.constant(0.0), make.constant(float(bits)), signed=int(kind != "unsigned"),
            narrow=int(kind == "ternary" or make.happens(0.2)), rounding_mode=mode)


def _pool(make, kind):
    """A pool, unless the map is too small; True where there is one."""
    channels, height, width = make.shape
    kernel = [min(2, height), min(2, width)]
    if kernel == [1, 1]:
        return False
    stride = [make.choose((1, 2)) for _ in range(2)]
    pads = [0, 0, 0, 0]
    if kind == "MaxPool" and make.happens(0.2):
        pads = [int(make.rng.integers(0, kernel[axis % 2])) for axis in range(4)]
    make.op(kind, kernel_shape=tuple(kernel), strides=tuple(stride), pads=tuple(pads))
    make.shape = (channels, *((length + pads[i] + pads[i + 2] - kernel[i]) // stride[i] + 1 for i, length in enumerate((height, width))))
    return True


def _end(make):
    """From the last sums to the output."""
    kind = make.choose(make.knobs.ends)
    channels = make.shape[0]
    if kind == "codes":
        _activation(make)
        return
    if kind in ("bias", "argmax") and make.happens(0.5 if kind == "argmax" else 1.0):
        rows = (channels,) if make.flat else (channels, 1, 1)
        make.op("Mul", make.constant(np.abs(make.dyadic(rows)) + 0.25))
        make.op("Add", make.constant(make.dyadic(rows)))
    if kind in ("argmax", "topk") and make.shape[1:] == (1, 1):
        if not make.flat:
            make.op("Flatten", axis=1)
            make.flat = True
        if kind == "argmax":
            make.op("ArgMax", axis=1, keepdims=1, select_last_index=0)
        else:
            make.op("TopK", make.constant([1], np.int64), outputs=2, axis=1, largest=1, sorted=1)


def _out_shape(make):
    if make.ops[-1].kind in ("TopK", "ArgMax"):
        return (make.knobs.batch, 1)
    return (make.knobs.batch, make.shape[0]) if make.flat else (make.knobs.batch, *make.shape)

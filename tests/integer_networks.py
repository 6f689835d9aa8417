"""Random integer networks (`bwnhw.network`) for tests: every node kind, valid ranges, no float graph behind them."""

from fractions import Fraction

import numpy as np

from bwnhw.geometry import Geometry
from bwnhw.network import (
    BIPOLAR_WEIGHTS,
    UNIPOLAR_WEIGHTS,
    ArgMax,
    Conv,
    ConvParams,
    Input,
    Ints,
    Network,
    Pool,
    PoolParams,
    Scale,
    ScaleParams,
    Threshold,
    ThresholdParams,
    Topology,
    WeightCode,
    signed_weights,
)

ODD_WEIGHTS = WeightCode((1, 0), 0)


def random_network(rng, layers=3, size=8, channels=(1, 12)):
    """A chain of `layers` convs with thresholds and pools between them, then scale or arg-max or nothing."""
    bits = int(rng.integers(1, 4))
    shape = [int(rng.integers(1, size + 1)) for _ in range(2)]
    nodes = [Input(Ints(int(rng.integers(*channels)), *shape, 0, (1 << bits) - 1), Fraction(1), Fraction(0), None)]
    params = [None]

    def push(node, values):
        nodes.append(node)
        params.append(values)

    for layer in range(layers):
        push(*random_conv(rng, len(nodes) - 1, nodes[-1].out, int(rng.integers(*channels))))
        if rng.random() < 0.3:
            push(*random_pool(rng, len(nodes) - 1, nodes[-1].out, flips=False))
        if layer + 1 < layers:
            push(*random_threshold(rng, len(nodes) - 1, nodes[-1].out))
            if rng.random() < 0.4:
                push(*random_pool(rng, len(nodes) - 1, nodes[-1].out, flips=True))
    if rng.random() < 0.5:
        push(*random_scale(rng, len(nodes) - 1, nodes[-1].out))
    if nodes[-1].out.pixels == 1:
        push(ArgMax((len(nodes) - 1,), Ints(1, 1, 1, 0, max(1, nodes[-1].out.channels - 1))), None)
    return Network(Topology(tuple(nodes)), tuple(params), (None,) * len(nodes))


def random_window(rng, ints, most=3):
    """Kernel, stride and pads of a window that fits the map."""
    pads = [int(rng.integers(0, 2)) for _ in range(4)]
    kernel = [int(rng.integers(1, most + 1)) for _ in range(2)]
    for axis, length in enumerate((ints.height, ints.width)):
        kernel[axis] = min(kernel[axis], length)
        if kernel[axis] == 1:
            pads[axis] = pads[axis + 2] = 0
    stride = tuple(int(rng.integers(1, 3)) for _ in range(2))
    geometry = Geometry(ints.height, ints.width, tuple(kernel), stride, tuple(pads))
    return geometry


def random_conv(rng, src, ints, out_channels):
    """A conv of a random weight code and value."""
    code = [BIPOLAR_WEIGHTS, UNIPOLAR_WEIGHTS, signed_weights(2), signed_weights(4), ODD_WEIGHTS][rng.integers(5)]
    value = [(2, -1), (1, 0), (1, -2), (2, -3)][rng.integers(4)]
    geometry = random_window(rng, ints)
    if rng.random() < 0.2:
        geometry = Geometry(ints.height, ints.width, (ints.height, ints.width), (1, 1), (0, 0, 0, 0))
    weights = rng.integers(code.lo, code.hi + 1, (out_channels, ints.channels, *geometry.kernel))
    if code in (BIPOLAR_WEIGHTS, ODD_WEIGHTS):
        weights |= 1
    ends = [weights * (value[0] * edge + value[1]) for edge in (ints.lo, ints.hi)]
    hi = np.maximum(0, np.maximum(*ends)).sum(axis=(1, 2, 3)).max()
    lo = np.minimum(0, np.minimum(*ends)).sum(axis=(1, 2, 3)).min()
    out = Ints(out_channels, geometry.out_height, geometry.out_width, int(lo), int(hi))
    return (Conv((src,), out, geometry.kernel, geometry.stride, geometry.pads, code, value),
            ConvParams(weights.astype(np.int8)))


def random_threshold(rng, src, ints, levels=None):
    """One to fifteen levels, unsorted ranges clipped to what the source can reach, some channels flipped."""
    levels = levels or int(rng.choice([1, 1, 2, 3, 15, 20]))
    thresholds = np.sort(rng.integers(ints.lo, ints.hi + 2, (ints.channels, levels)), axis=1)
    flip = rng.random(ints.channels) < 0.4
    out = Ints(ints.channels, ints.height, ints.width, 0, levels)
    return Threshold((src,), out, bool(flip.any())), ThresholdParams(thresholds, flip)


def random_pool(rng, src, ints, flips):
    """Max or sum over a window."""
    geometry = random_window(rng, ints, 2)
    kind = str(rng.choice(["max", "sum"]))
    taps = geometry.kernel[0] * geometry.kernel[1]
    if kind == "sum":
        lo, hi = min(0, ints.lo * taps), max(0, ints.hi * taps)
    else:
        lo, hi = ints.lo, ints.hi
    flip = (rng.random(ints.channels) < 0.4) if flips and kind == "max" else np.zeros(ints.channels, bool)
    out = Ints(ints.channels, geometry.out_height, geometry.out_width, lo, hi)
    return Pool((src,), out, kind, geometry.kernel, geometry.stride, geometry.pads, bool(flip.any())), PoolParams(flip)


def random_scale(rng, src, ints):
    """A multiplier and an offset per channel."""
    mult, offset = rng.integers(-9, 10, (2, ints.channels))
    ends = np.stack([mult * ints.lo + offset, mult * ints.hi + offset])
    out = Ints(ints.channels, ints.height, ints.width, min(0, int(ends.min())), max(0, int(ends.max())))
    return Scale((src,), out), ScaleParams(mult, offset)


def random_codes(rng, network, images):
    """Input codes int64 (images, C, H, W), uniform over the input's range."""
    out = network.topology.nodes[0].out
    return rng.integers(out.lo, out.hi + 1, (images, *out.shape))

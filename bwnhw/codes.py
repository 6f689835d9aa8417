"""Images as the network's input codes, and what its output says about labels."""

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bwnhw.errors import ImageError
from bwnhw.network import Input, Ints, Network
from bwnhw.rounding import HALF, round_exact


def check(out: Ints, codes: NDArray[np.generic]) -> None:
    """Raise ImageError unless `codes` are integers (N, C, H, W) of the edge's shape and range."""
    if codes.dtype.kind not in "iu":
        raise ImageError(f"codes: expected integers, found {codes.dtype}")
    if codes.ndim != 4 or codes.shape[1:] != out.shape:
        raise ImageError(f"codes: expected shape (N, {', '.join(map(str, out.shape))}), found {codes.shape}")
    if codes.size and (codes.min() < out.lo or codes.max() > out.hi):
        raise ImageError(f"codes: expected values in {out.lo}..{out.hi}, found {codes.min()}..{codes.max()}")


def encode(network: Network, images: ArrayLike) -> NDArray[np.int64]:
    """Input codes int64 (N, C, H, W) of `images`: raw integers, or float values of the graph input.

    `images` is (N, C, H, W); also (N, H, W) where there is one channel, (N, C·H·W), (N, H, W, C) unless that is the first, and any
    shape of C elements each where the map is 1×1. Integers are taken as the codes' real values (raw pixels). Where the host
    quantises (`Input.rounding`), values must be floats as the graph takes them, and are rounded exactly as the model's quantiser does.
    Raises ImageError for wrong shape, dtype, NaN, or values that are no code.
    """
    node = network.topology.nodes[0]
    assert isinstance(node, Input)  # node 0 is the input by definition of a Topology
    array = _shaped(np.asarray(images), node.out)
    wanted = "iuf" if node.rounding is None else "f"
    if array.dtype.kind not in wanted:
        raise ImageError(f"images: expected the graph input's values as {'floats' if wanted == 'f' else 'numbers'}, found {array.dtype}")
    if not np.isfinite(array).all():
        raise ImageError("images: expected finite values, found NaN or infinity")
    if node.rounding is None and array.dtype.kind in "iu" and node.scale == 1 and node.zero.denominator == 1:
        codes = array.astype(np.int64) + int(node.zero)  # as below, without looking at every value
        check(node.out, codes)
        return codes
    values, places = np.unique(array, return_inverse=True)
    codes = np.array([_code(node, Fraction(value.item())) for value in values], np.int64)
    return codes[places].reshape(array.shape)


def _shaped(array: NDArray[np.generic], out: Ints) -> NDArray[np.generic]:
    """The array as (N, C, H, W)."""
    channels, height, width = out.shape
    shape = array.shape[1:]
    if array.ndim:
        if shape == out.shape or shape == (out.channels * out.pixels,) or channels == 1 and shape == (height, width):
            return array.reshape(len(array), *out.shape)
        if out.pixels == 1 and np.prod(shape) == channels:  # a graph that takes flattened images
            return array.reshape(len(array), *out.shape)
        if shape == (height, width, channels):
            return np.moveaxis(array, 3, 1)
    raise ImageError(f"images: expected shape (N, {', '.join(map(str, out.shape))}), found {array.shape}")


def _code(node: Input, value: Fraction) -> int:
    """The code of one real value."""
    code = value / node.scale + node.zero
    if node.rounding is None:
        if code.denominator != 1 or not node.out.lo <= code <= node.out.hi:
            raise ImageError(f"images: expected integer codes in {node.out.lo}..{node.out.hi}, found the value {float(value):g}")
        return int(code)
    if node.rounding == "SIGN":
        return int(code >= HALF)
    clipped = min(max(code, Fraction(node.out.lo)), Fraction(node.out.hi))
    return round_exact(clipped - node.origin, node.rounding) + node.origin


def accuracy(output: NDArray[np.int64], labels: ArrayLike) -> float:
    """Share of images whose class is the label; `output` is the last edge (N, C, 1, 1): scores, or the arg-max where C is 1."""
    wanted = np.asarray(labels).reshape(-1)
    if len(wanted) != len(output) or wanted.dtype.kind not in "iu":
        raise ImageError(f"labels: expected {len(output)} integers, found {wanted.dtype} {np.asarray(labels).shape}")
    flat = output.reshape(len(output), -1)
    found = flat[:, 0] if flat.shape[1] == 1 else flat.argmax(axis=1)
    return float((found == wanted).mean()) if len(wanted) else 0.0

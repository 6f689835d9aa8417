"""Convolutions of the golden model: by table look-up for codes of few bits, else by BLAS in floats that are exact.

Both sum ΣWa, where padding needs no care (a padded tap reads as code 0); z = m·ΣWa + κ, where κ = c·(sum of the weights of the
valid taps) is a constant per output row and border class. A 1-bit threshold behind the layer can be compared with the sums as they are.

Look-up: the codes of neighbouring channels are joined into bytes. For every byte a table holds all output channels' partial sums,
raised by a constant so that they are bytes too; per output pixel one table row per byte is added, all channels at once. The adds are
exact: sums of bytes are emptied into wider integers before they can overflow.

BLAS: sgemm where every partial sum is below 2^24, dgemm below 2^53, else NumPy's integers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.geometry import Geometry
from bwnhw.network import Conv, ConvParams, Ints, ThresholdParams

_BLOCK_ROWS = 1 << 13  # output pixels that are worked on at once, and
_SLICE = 128  # output channels: their byte sums and a table stay in a core's caches
_LEAST_ADDS = 4  # additions of bytes before they must be emptied
_LEAST_CHANNELS = 4
_LEAST_ROWS = 1 << 11  # output pixels, or making tables isn't worth it
"""All of these only choose the faster way."""

Map = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Affine:
    """From raw sums to z = factor·sum − correction; `correction` (OH·OW·out,) of the type of the result."""

    factor: int
    correction: Map

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the result."""
        return self.correction.dtype

    def __call__(self, sums: Map, out: Map) -> None:
        """(N, OH·OW·out) sums to z in `out`."""
        if self.factor != 1:
            sums = np.multiply(sums, self.factor, out=out, dtype=self.dtype, casting="unsafe")
        np.subtract(sums, self.correction, out=out, dtype=self.dtype, casting="unsafe")


@dataclass(frozen=True, eq=False)
class Compare:
    """From raw sums to bits (sum ≥ level) ≠ flip; `level` int64, `flip` bool, both (OH·OW·out,)."""

    level: NDArray[np.int64]
    flip: NDArray[np.bool_]

    dtype = np.dtype(np.uint8)

    def __call__(self, sums: Map, out: Map) -> None:
        """(N, OH·OW·out) sums to bits in `out`."""
        bits = out.view(np.bool_)
        np.greater_equal(sums, self.level.astype(sums.dtype), out=bits)
        if self.flip.any():
            np.not_equal(bits, self.flip, out=bits)


@dataclass(frozen=True, eq=False)
class Matrix:
    """ΣWa as one matrix product; `weights` is (kh·kw·in, out) in the type that is exact."""

    weights: NDArray[Any]

    @classmethod
    def of(cls, weights: NDArray[np.int8], reach: int) -> "Matrix":
        """`reach` bounds every partial sum's magnitude."""
        dtype = np.float32 if reach < 1 << 24 else np.float64 if reach < 1 << 53 else np.int64
        return cls(np.ascontiguousarray(weights.transpose(2, 3, 1, 0).reshape(-1, len(weights)), dtype=dtype))

    def __call__(self, source: Map, geometry: Geometry) -> Map:
        """(N·OH·OW, out) sums."""
        if source.shape[1:3] == geometry.kernel and not any(geometry.pads):
            return np.asarray(source.reshape(-1, len(self.weights)).astype(self.weights.dtype) @ self.weights)
        planes = np.ascontiguousarray(np.moveaxis(source, 3, 0))
        taps = geometry.kernel[0] * geometry.kernel[1]
        columns = np.empty((taps, len(planes), len(source), geometry.out_height, geometry.out_width), self.weights.dtype)
        for column, pixels in zip(columns, windows(planes, geometry), strict=True):
            column[:] = pixels
        return np.asarray(columns.reshape(len(self.weights), -1).T @ self.weights)


@dataclass(frozen=True, eq=False)
class Tables:
    """ΣWa + `raised` as sums of table rows; a byte holds 8 // width codes.

    `tables` is uint8 (kh·kw·bytes, 256, out) for one slice of the output channels after the other.
    """

    width: int
    tables: tuple[NDArray[np.uint8], ...]
    adds: int  # table rows that can be added before a byte overflows
    raised: NDArray[np.int64]

    @classmethod
    def of(cls, weights: NDArray[np.int8], bits: int) -> "Tables":
        """The tables of weights (out, in, kh, kw) and codes of `bits` bits."""
        width = _width(bits)
        tables = tuple(_table(weights[start:start + _SLICE], bits, 8 // width) for start in range(0, len(weights), _SLICE))
        greatest = max(int(table.max(initial=0)) for table in tables)
        raised = np.concatenate([table[:, 0].astype(np.int64).sum(axis=0) for table in tables])
        return cls(width, tables, 255 // max(1, greatest), raised)

    def __call__(self, source: Map, geometry: Geometry) -> Map:
        """(N·OH·OW, out) raised sums."""
        planes = np.ascontiguousarray(np.moveaxis(_bytes(source, self.width), 3, 0))
        columns = [column for pixels in windows(planes, geometry) for column in pixels.reshape(len(planes), -1)]
        total = np.empty((len(columns[0]), len(self.raised)), np.int32 if len(columns) * 255 >= 1 << 15 else np.int16)
        for index, tables in enumerate(self.tables):
            self._slice(columns, tables, total[:, index * _SLICE:(index + 1) * _SLICE])
        return total

    def _slice(self, columns: list[Map], tables: NDArray[np.uint8], total: Map) -> None:
        """The sums of one slice of the output channels into `total`."""
        sums, row = np.empty((2, *total.shape), np.uint8)
        total[:] = 0
        for index, (table, column) in enumerate(zip(tables, columns, strict=True)):
            target = row if index % self.adds else sums
            table.take(column, axis=0, out=target, mode="clip")  # nothing is clipped: the mode spares NumPy a copy
            if index % self.adds:
                np.add(sums, row, out=sums)
            if index % self.adds == self.adds - 1 or index == len(columns) - 1:
                np.add(total, sums, out=total)


def _table(weights: NDArray[np.int8], bits: int, size: int) -> NDArray[np.uint8]:
    """(kh·kw·bytes, 256, out), by doubling: one more bit of the byte adds its weight to all rows so far."""
    out, channels = weights.shape[:2]
    width = 8 // size
    full = np.zeros((weights.shape[2] * weights.shape[3], -(-channels // size) * size, out), np.int16)
    full[:, :channels] = weights.transpose(2, 3, 1, 0).reshape(-1, channels, out)
    full = full.reshape(-1, size, out)
    table = np.empty((len(full), 256, out), np.uint8)
    table[:, 0] = -np.minimum(full, 0).sum(axis=1) * ((1 << bits) - 1)
    for k in range(8):
        # modulo 256: a negative step brings the byte down; codes have `bits` bits, those above them are never set
        step = (full[:, k // width] << k % width if k % width < bits else full[:, 0] * 0).astype(np.uint8)
        np.add(table[:, :1 << k], step[:, None], out=table[:, 1 << k:2 << k])
    return table


@dataclass(frozen=True, eq=False)
class Kernel:
    """A conv layer made ready: `sums` gives the raw sums, `finish` what is wanted of them."""

    geometry: Geometry
    sums: Tables | Matrix
    finish: Affine | Compare
    size: int  # OH·OW·out

    def __call__(self, source: Map) -> Map:
        """(N, H, W, C) codes to (N, OH, OW, out), some images at a time."""
        pixels = self.geometry.out_height * self.geometry.out_width
        block = max(1, _BLOCK_ROWS // pixels)
        source = source.reshape(len(source), self.geometry.height, self.geometry.width, -1)
        out = np.empty((len(source), self.size), self.finish.dtype)
        for start in range(0, len(source), block):
            part = slice(start, start + block)
            self.finish(self.sums(source[part], self.geometry).reshape(-1, self.size), out[part])
        return out.reshape(len(source), self.geometry.out_height, self.geometry.out_width, -1)


def integer_type(lo: int, hi: int) -> np.dtype[Any]:
    """The smallest NumPy integer that holds lo..hi."""
    for name in ("uint8", "int16", "int32", "int64"):
        info = np.iinfo(name)
        if info.min <= lo and hi <= info.max:
            return np.dtype(name)
    raise OverflowError(f"{lo}..{hi} is beyond 64 bits")


def kernel(node: Conv, params: ConvParams, source: Ints, images: int, threshold: ThresholdParams | None = None) -> Kernel:
    """The layer made ready for `images` images (their number only chooses the faster way), with the 1-bit `threshold` behind it."""
    geometry = Geometry(source.height, source.width, node.kernel, node.stride, node.pads)
    weights = params.weights
    if node.kernel == (source.height, source.width) and not any(node.pads):  # dense: the whole map as channels of one pixel
        weights = weights.transpose(0, 2, 3, 1).reshape(len(weights), -1, 1, 1)
        geometry = Geometry(1, 1, (1, 1), (1, 1), (0, 0, 0, 0))
    m, c = node.value
    shape = geometry.out_height, geometry.out_width, node.out.channels
    kappa = np.zeros(shape, np.int64)
    if c:
        taps = weights.astype(np.int64).sum(axis=1)
        classes = c * np.einsum("oyx,kyx->ko", taps, geometry.class_masks.astype(np.int64))
        kappa = classes[geometry.class_of].reshape(shape)
    reach = source.hi * int(np.abs(weights.astype(np.int64)).sum(axis=(1, 2, 3)).max(initial=0))
    sums: Tables | Matrix = (Tables.of(weights, source.bits) if _by_table(weights, source.bits, images * node.out.pixels)
                             else Matrix.of(weights, reach))
    raised = sums.raised if isinstance(sums, Tables) else np.zeros(node.out.channels, np.int64)
    if threshold is not None:
        # m·s + κ ≥ t where s ≥ ceil((t − κ)/m); beyond ±reach every such level is never or always met
        level = np.clip(-((kappa - threshold.thresholds[:, 0]) // m), -reach, reach + 1) + raised
        return Kernel(geometry, sums, Compare(level.reshape(-1), np.broadcast_to(threshold.flip, shape).reshape(-1)), kappa.size)
    bound = m * (2 * reach + int(raised.max(initial=0)) + 1) + int(np.abs(kappa).max(initial=0))
    correction = (m * raised - kappa).reshape(-1).astype(integer_type(-bound, bound))
    return Kernel(geometry, sums, Affine(m, correction), kappa.size)


def windows(planes: Map, geometry: Geometry, fill: int = 0) -> Iterator[Map]:
    """For every tap of the kernel, row-major, the (..., OH, OW) elements of (..., H, W) that it reads, `fill` in the padding."""
    top, left, bottom, right = geometry.pads
    if any(geometry.pads):
        padded = np.full((*planes.shape[:-2], geometry.height + top + bottom, geometry.width + left + right), fill, planes.dtype)
        padded[..., top:top + geometry.height, left:left + geometry.width] = planes
        planes = padded
    sy, sx = geometry.stride
    for ky in range(geometry.kernel[0]):
        for kx in range(geometry.kernel[1]):
            yield planes[..., ky:ky + sy * (geometry.out_height - 1) + 1:sy, kx:kx + sx * (geometry.out_width - 1) + 1:sx]


def _width(bits: int) -> int:
    """Bits that a code takes in a byte: 1, 2, 4 or 8."""
    return 1 << (bits - 1).bit_length()


def _bytes(source: Map, width: int) -> Map:
    """(N, H, W, C) codes joined to (N, H, W, bytes): code j of a byte at bits j·width and up, the last byte filled with zeros."""
    size = 8 // width
    short = -source.shape[3] % size
    if short:
        source = np.concatenate([source, np.zeros((*source.shape[:3], short), source.dtype)], axis=3)
    source = np.ascontiguousarray(source, np.uint8)
    if width == 1:
        return np.packbits(source, bitorder="little").reshape(*source.shape[:3], -1)
    joined = source[..., ::size].copy()
    for j in range(1, size):
        joined |= source[..., j::size] << (j * width)
    return joined


def _by_table(weights: NDArray[np.int8], bits: int, rows: int) -> bool:
    """True where look-up is the faster way for `rows` output pixels."""
    width = _width(bits)
    if width > 4 or weights.shape[1] < _LEAST_CHANNELS or rows < _LEAST_ROWS:
        return False
    greatest = int(np.abs(weights.astype(np.int64)).max(initial=1))
    return 8 // width * ((1 << bits) - 1) * greatest * _LEAST_ADDS <= 255

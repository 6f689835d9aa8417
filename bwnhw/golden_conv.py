"""Convolutions of the golden model: by table look-up for codes of few bits, else by BLAS in floats that are exact.

Both compute z = m·ΣWa + κ, where ΣWa needs no care for padding (a padded tap reads as code 0) and κ = c·(sum of the weights of the
valid taps) is a constant per output row and border class.

Look-up: codes of neighbouring channels are joined into an index of up to `_MAX_INDEX` bits. For every index value a table holds
all output channels' partial sums, raised by a constant so that they are bytes; per output pixel one table row per index is added, all
channels at once. The adds are exact: bytes are emptied into wider integers before they can overflow.

BLAS: sgemm where every partial sum is below 2^24, dgemm below 2^53, else NumPy's integers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bwnhw.geometry import Geometry
from bwnhw.network import Conv, ConvParams, Ints

_MAX_INDEX = 12  # bits
_TABLE_BYTES = 1 << 18  # of one table: it stays in a core's second-level cache
_ALL_TABLES_BYTES = 1 << 26
_BLOCK_BYTES = 1 << 19  # of one block of byte sums
_LEAST_ADDS = 4  # additions of bytes before they must be emptied
_LEAST_CODES = 4  # of one index; below that BLAS is faster
_ROWS_PER_ENTRY = 4  # output pixels per table entry, or making the tables isn't worth it
"""All of these only choose the faster way."""

Map = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A conv layer made ready: `shift` is m times what the sums are too high, less κ; int64 (out_height, out_width, out), or (out,)."""

    geometry: Geometry
    factor: int
    correction: NDArray[np.int64]
    dtype: np.dtype[np.integer]
    sums: "Tables | Matrix"

    def __call__(self, source: Map) -> Map:
        """(N, H, W, C) codes to (N, OH, OW, out) integers of `dtype`."""
        total = self.sums(source, self.geometry)
        shaped = total.reshape(len(source), self.geometry.out_height, self.geometry.out_width, -1)
        if self.factor != 1:
            shaped = np.multiply(shaped, self.factor, dtype=self.dtype, casting="unsafe")
        result: Map = np.subtract(shaped, self.correction.astype(self.dtype), dtype=self.dtype, casting="unsafe")
        return result


def integer_type(lo: int, hi: int) -> np.dtype[np.integer]:
    """The smallest NumPy integer that holds lo..hi."""
    for name in ("uint8", "int16", "int32", "int64"):
        info = np.iinfo(name)
        if info.min <= lo and hi <= info.max:
            return np.dtype(name)
    raise OverflowError(f"{lo}..{hi} is beyond 64 bits")


def kernel(node: Conv, params: ConvParams, source: Ints, images: int) -> Kernel:
    """The layer made ready for `images` images (their number only chooses the faster way)."""
    geometry = Geometry(source.height, source.width, node.kernel, node.stride, node.pads)
    m, c = node.value
    correction = np.zeros(node.out.channels, np.int64)
    if c:
        taps = params.weights.astype(np.int64).sum(axis=1)
        kappa = c * np.einsum("oyx,kyx->ko", taps, geometry.class_masks.astype(np.int64))
        correction = -kappa[geometry.class_of].reshape(geometry.out_height, geometry.out_width, -1)
    rows = images * geometry.out_height * geometry.out_width
    split = _split(params, source, rows)
    reach = 2 * source.hi * int(np.abs(params.weights.astype(np.int64)).sum(axis=(1, 2, 3)).max(initial=0))
    bound = m * (reach + 1) + int(np.abs(correction).max(initial=0))
    dtype = integer_type(-bound, bound)
    if split is None:
        return Kernel(geometry, m, correction, dtype, Matrix.of(params.weights, reach))
    negative = np.minimum(params.weights, 0).astype(np.int64).sum(axis=(1, 2, 3))
    raised = -negative * ((1 << source.bits) - 1)
    return Kernel(geometry, m, correction + m * raised, dtype, Tables.of(params.weights, split, source.bits))


@dataclass(frozen=True, eq=False)
class Matrix:
    """ΣWa as one matrix product; `weights` is (kh·kw·in, out) in the type that is exact."""

    weights: NDArray[np.generic]

    @classmethod
    def of(cls, weights: NDArray[np.int8], reach: int) -> "Matrix":
        """`reach` bounds every partial sum's magnitude."""
        dtype = np.float32 if reach < 1 << 24 else np.float64 if reach < 1 << 53 else np.int64
        return cls(np.ascontiguousarray(weights.transpose(2, 3, 1, 0).reshape(-1, len(weights)), dtype=dtype))

    def __call__(self, source: Map, geometry: Geometry) -> NDArray[np.generic]:
        """(N·OH·OW, out) sums."""
        columns = np.empty((len(source), geometry.out_height, geometry.out_width, *geometry.kernel, source.shape[3]), self.weights.dtype)
        for ky, kx, pixels in windows(source, geometry):
            columns[:, :, :, ky, kx] = pixels
        sums: NDArray[np.generic] = columns.reshape(-1, len(self.weights)) @ self.weights
        return sums


@dataclass(frozen=True)
class _Split:
    """The `channels` of a pixel as `groups` of `size` codes of `bits` bits (the last filled with zeros)."""

    groups: int
    size: int
    bits: int


@dataclass(frozen=True, eq=False)
class Tables:
    """ΣWa + a constant as sums of table rows; `tables` is uint8 (kh·kw·groups, 2**index bits, out)."""

    split: _Split
    tables: NDArray[np.uint8]
    adds: int  # table rows that can be added before a byte overflows

    @classmethod
    def of(cls, weights: NDArray[np.int8], split: _Split, bits: int) -> "Tables":
        """Tables by doubling: one more bit of the index adds its weight to all rows so far."""
        out, channels = weights.shape[:2]
        full = np.zeros((weights.shape[2] * weights.shape[3], split.groups * split.size, out), np.int64)
        full[:, :channels] = weights.transpose(2, 3, 1, 0).reshape(-1, channels, out)
        full = full.reshape(-1, split.size, out)
        tables = np.empty((len(full), 1 << split.size * bits, out), np.uint8)
        tables[:, 0] = -np.minimum(full, 0).sum(axis=1) * ((1 << bits) - 1)
        for k in range(split.size * bits):
            step = (full[:, k // bits] << k % bits).astype(np.uint8)  # modulo 256: a negative step brings the byte down
            np.add(tables[:, :1 << k], step[:, None], out=tables[:, 1 << k:2 << k])
        return cls(split, tables, 255 // max(1, int(tables.max(initial=0))))

    def __call__(self, source: Map, geometry: Geometry) -> NDArray[np.generic]:
        """(N·OH·OW, out) raised sums."""
        index = self._index(source)
        columns = [column for _, _, pixels in windows(index, geometry)
                   for column in np.moveaxis(pixels, 3, 0).reshape(self.split.groups, -1)]
        rows, out = len(columns[0]), self.tables.shape[2]
        total = np.empty((rows, out), np.int32 if len(self.tables) * 255 >= 1 << 15 else np.int16)
        block = max(256, _BLOCK_BYTES // out)
        for start in range(0, rows, block):
            self._block([column[start:start + block] for column in columns], total[start:start + block])
        return total

    def _block(self, columns: list[NDArray[np.generic]], total: NDArray[np.generic]) -> None:
        """Fill `total`, the rows of one block, from their indices."""
        sums, row = np.empty((2, *total.shape), np.uint8)
        total[:] = 0
        for first in range(0, len(self.tables), self.adds):
            batch = list(zip(self.tables, columns, strict=True))[first:first + self.adds]
            batch[0][0].take(batch[0][1], axis=0, out=sums, mode="clip")  # nothing is clipped: the mode spares NumPy a copy
            for table, column in batch[1:]:
                table.take(column, axis=0, out=row, mode="clip")
                np.add(sums, row, out=sums)
            np.add(total, sums, out=total)

    def _index(self, source: Map) -> NDArray[np.generic]:
        """(N, H, W, C) codes to (N, H, W, groups) indices, uint8 or uint16: code j of a group at bits j·bits and up."""
        split = self.split
        padded = _channels(source.astype(np.uint8, copy=False), split.groups * split.size)
        codes = padded.reshape(*source.shape[:3], split.groups, split.size)
        width = 8 if split.size * split.bits <= 8 else 16
        if (split.size, split.bits) == (width, 1):
            bits = codes
        else:
            bits = np.zeros((*codes.shape[:4], width), np.uint8)
            for b in range(split.bits):
                bits[..., b:split.size * split.bits:split.bits] = (codes >> b) & 1 if split.bits > 1 else codes
        packed = np.packbits(bits, axis=None, bitorder="little")
        return packed.view("<u1" if width == 8 else "<u2").reshape(codes.shape[:4])


def _channels(source: Map, channels: int) -> Map:
    """The map with zero channels added up to `channels`."""
    if source.shape[3] == channels:
        return source
    full = np.zeros((*source.shape[:3], channels), source.dtype)
    full[..., :source.shape[3]] = source
    return full


def windows(source: NDArray[np.generic], geometry: Geometry, fill: int = 0) -> Iterator[tuple[int, int, NDArray[np.generic]]]:
    """For every tap of the kernel, row-major: its row, column, and the (N, OH, OW, C) elements it reads, `fill` in the padding."""
    top, left, bottom, right = geometry.pads
    if any(geometry.pads):
        source = np.pad(source, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    sy, sx = geometry.stride
    for ky in range(geometry.kernel[0]):
        for kx in range(geometry.kernel[1]):
            yield ky, kx, source[:, ky:ky + sy * (geometry.out_height - 1) + 1:sy, kx:kx + sx * (geometry.out_width - 1) + 1:sx]


def _split(params: ConvParams, source: Ints, rows: int) -> _Split | None:
    """How to look up a layer with `rows` output pixels in all, or None where BLAS is the better way."""
    out, channels, kh, kw = params.weights.shape
    bits = source.bits
    greatest = int(np.abs(params.weights.astype(np.int64)).max(initial=1))
    for index_bits in range(_MAX_INDEX, 0, -1):
        size = min(index_bits // bits, channels)
        groups = -(-channels // max(1, size))
        size = -(-channels // groups)  # as even as can be
        table = out << size * bits
        fits = table <= _TABLE_BYTES and (kh * kw * groups * table <= _ALL_TABLES_BYTES or index_bits <= 8)
        worth_it = size >= _LEAST_CODES and _ROWS_PER_ENTRY << size * bits <= rows
        if fits and worth_it and size * ((1 << bits) - 1) * greatest * _LEAST_ADDS <= 255:
            return _Split(groups, size, bits)
    return None

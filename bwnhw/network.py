"""The integer network: what is computed, with no word about how.

A `Network` is a `Topology` (nodes, edges, shapes, integer ranges that follow from bounds; no values) with its `Params`
(weights, thresholds, constants) in the same order as the nodes. `docs/integer-network.md` is the normative text.

Every edge carries integers in a known range. A conv reads unsigned codes `a` in 0..hi and each node says how a code becomes
a value: `v = m*a + c` (bipolar: m, c = 2, -1). A padded tap adds nothing, whatever the codes are.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import prod

import numpy as np
from numpy.typing import NDArray

from bwnhw.compressor import prefix_parity


@dataclass(frozen=True)
class Ints:
    """A map of `channels × height × width` integers, each in `lo..hi` (a vector is a 1×1 map)."""

    channels: int
    height: int
    width: int
    lo: int
    hi: int

    @property
    def signed(self) -> bool:
        """True when negative values occur; the hardware then uses two's complement."""
        return self.lo < 0

    @property
    def bits(self) -> int:
        """Bits of one element, at least 1."""
        if self.signed:
            return max((-self.lo - 1).bit_length(), self.hi.bit_length()) + 1
        return max(1, self.hi.bit_length())

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def pixels(self) -> int:
        """height × width."""
        return self.height * self.width


@dataclass(frozen=True)
class WeightCode:
    """How integer weights split into planes of ±1: W = (Σ_j 2**shifts[j]·S_j + constant) / (2 if constant else 1).

    `constant` is 0, +1 or -1 and stands for one more plane, all +1 or all -1, of weight 1.
    ±1 is ((0,), 0); {0, 1} is ((0,), +1); k-bit two's complement is ((k-1, ..., 0), -1); odd integers are ((k-1, ..., 0), 0).
    """

    shifts: tuple[int, ...]
    constant: int

    @property
    def divisor(self) -> int:
        """1, or 2 where there is a constant plane."""
        return 2 if self.constant else 1

    @property
    def plane_shifts(self) -> tuple[int, ...]:
        """Shift of every ±1 plane, the constant one last."""
        return self.shifts + ((0,) if self.constant else ())

    @property
    def lo(self) -> int:
        """Least weight that can be written."""
        return (self.constant - sum(1 << s for s in self.shifts)) // self.divisor

    @property
    def hi(self) -> int:
        """Greatest weight that can be written."""
        return (self.constant + sum(1 << s for s in self.shifts)) // self.divisor


BIPOLAR_WEIGHTS = WeightCode((0,), 0)
UNIPOLAR_WEIGHTS = WeightCode((0,), 1)


def signed_weights(bits: int) -> WeightCode:
    """The code of `bits`-bit two's complement weights, 2..8 bits."""
    return WeightCode(tuple(range(bits - 1, -1, -1)), -1)


@dataclass(frozen=True)
class CodebookShape:
    """How a layer's kernels are written as indices: `words` codewords of `taps` (kh, kw), or (kw,) where rows of kernels are indexed.

    `books` is 1, or the number of input channels where each has codewords of its own. `closed` says that codeword words/2 + j is the
    negative of codeword j, so that the index's top bit is a sign and half of the codewords need storing. `even` says that the codewords
    of all books have an even number of taps that differ from one another. `direct`, of the taps as arrays encode them
    (`compressor.prefix_parity`): how many need no table to be decoded in any book, since they are constant or, up to inversion, an index
    bit or one of the others. No value and no cycle depends on it, so shapes that differ in it are equal.
    """

    words: int
    books: int
    taps: tuple[int, ...]
    closed: bool = False
    even: bool = False
    direct: int = field(default=0, compare=False)

    @property
    def decoded(self) -> int:
        """Encoded taps of a codeword that are tables of the index."""
        return prod(self.taps) - self.direct

    @property
    def index_bits(self) -> int:
        """Bits of one index."""
        return (self.words - 1).bit_length()

    @property
    def codebook_bits(self) -> int:
        """Bits of all codewords that need storing."""
        return self.books * self.words * prod(self.taps) // (2 if self.closed else 1)


@dataclass(frozen=True)
class Input:
    """The graph's input as codes: real value = scale·(code − zero).

    `rounding` is None where the graph input already holds the integers (raw pixels, code = value); otherwise it names the
    quantiser that the host applies to get codes ("SIGN" for bipolar, or a QONNX rounding mode): for a real input x,
    code = [x/scale + zero ≥ 1/2], or round(x/scale + zero − origin) + origin clipped to the range of `out`.
    """

    out: Ints
    scale: Fraction
    zero: Fraction
    rounding: str | None
    src: tuple[int, ...] = ()
    origin: int = 0  # code of the host quantiser's integer 0, about which some modes round symmetrically


@dataclass(frozen=True)
class Conv:
    """z[o, y, x] = Σ over valid taps of W[o, i, ky, kx]·(m·a + c); a dense layer has a kernel as large as its input map.

    `pads` is (top, left, bottom, right); a padded tap adds nothing. Dilation and groups are 1. `codebook` is there where
    the weights are Gather(codebook, index); it changes no value.
    """

    src: tuple[int]
    out: Ints
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    weights: WeightCode
    value: tuple[int, int]
    codebook: CodebookShape | None = None


@dataclass(frozen=True)
class Threshold:
    """code[c] = number of thresholds t[c, k] with z[c] ≥ t[c, k], k < levels = out.hi; `levels − count` where flip[c].

    `flips` says that some channel may flip (so that hardware for it is there).
    """

    src: tuple[int]
    out: Ints
    flips: bool


@dataclass(frozen=True)
class Pool:
    """Max, or sum, over a window of integers of each channel; `hi − max` where flip[c] (max only).

    A padded tap doesn't take part in a max and adds 0 to a sum. `flips` as in `Threshold`.
    """

    src: tuple[int]
    out: Ints
    kind: str  # "max" or "sum"
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    flips: bool = False


@dataclass(frozen=True)
class Scale:
    """y[c] = mult[c]·z[c] + offset[c]: scores brought to one common integer scale."""

    src: tuple[int]
    out: Ints


@dataclass(frozen=True)
class ArgMax:
    """Index of the greatest channel of a 1×1 map, ties to the lowest index."""

    src: tuple[int]
    out: Ints


@dataclass(frozen=True)
class Add:
    """Element-wise Σ_i mult_i·x_i of several edges (`mult` in the node: ratios of scales)."""

    src: tuple[int, ...]
    out: Ints
    mult: tuple[int, ...]


Node = Input | Conv | Threshold | Pool | Scale | ArgMax | Add


@dataclass(frozen=True)
class Topology:
    """Nodes in topological order, node 0 the input, the last one the output; `src` are indices into `nodes`."""

    nodes: tuple[Node, ...]

    def consumers(self, index: int) -> tuple[int, ...]:
        """Indices of the nodes that read node `index`."""
        return tuple(i for i, node in enumerate(self.nodes) if index in node.src)


@dataclass(frozen=True, eq=False)
class Codebook:
    """codewords int8 (books, words, *taps); index int64 (out, in), or (out, in, kh) where codewords are rows; see `CodebookShape`."""

    codewords: NDArray[np.int8]
    index: NDArray[np.int64]

    @property
    def shape(self) -> CodebookShape:
        """Its sizes; `closed`, `even` and `direct` as the codewords are."""
        books, words, *taps = self.codewords.shape
        first, second = self.codewords[:, :words // 2], self.codewords[:, words // 2:]
        parity = np.prod(self.codewords.reshape(books, words, -1), axis=2)
        return CodebookShape(words, books, tuple(taps), np.array_equal(first, -second), bool((parity == parity[0, 0]).all()),
                             prod(taps) - max(map(_tables, self.codewords.reshape(books, words, -1) > 0)))

    @property
    def _books(self) -> NDArray[np.int64]:
        """The book of every input channel, shaped to go with the index."""
        return (np.arange(self.index.shape[1]) % len(self.codewords)).reshape(-1, *(1,) * (self.index.ndim - 2))

    @property
    def weights(self) -> NDArray[np.int8]:
        """int8 (out, in, kh, kw): the codeword of every index."""
        return self.codewords[self._books, self.index]

    @property
    def flat(self) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """All books one after the other (books·words, *taps), and the index into them, as a Gather has both."""
        return self.codewords.reshape(-1, *self.codewords.shape[2:]), self.index + self._books * self.codewords.shape[1]


def _tables(words: NDArray[np.bool_]) -> int:
    """How many different tables of the index the encoded taps of codewords (words, taps) are, up to inversion, index bits left out."""
    index = np.arange(len(words))
    bits = {(index >> bit & 1).astype(bool).tobytes() for bit in range((len(words) - 1).bit_length())}
    encoded = prefix_parity(words)
    return len({tap.tobytes() for tap in (encoded ^ encoded[:1]).T if tap.any()} - bits)


@dataclass(frozen=True, eq=False)
class ConvParams:
    """weights int8 (out, in, kh, kw), and their codebook where they were written with one."""

    weights: NDArray[np.int8]
    codebook: Codebook | None = None


@dataclass(frozen=True, eq=False)
class ThresholdParams:
    """thresholds int64 (channels, levels), not decreasing along levels, within lo..hi+1 of the source; flip bool (channels,)."""

    thresholds: NDArray[np.int64]
    flip: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PoolParams:
    """flip bool (channels,)."""

    flip: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ScaleParams:
    """mult, offset int64 (channels,)."""

    mult: NDArray[np.int64]
    offset: NDArray[np.int64]


NodeParams = ConvParams | ThresholdParams | PoolParams | ScaleParams | None


@dataclass(frozen=True)
class Meaning:
    """Which tensor of the model an edge stands for: real[c] = scale[c]·(code − zero[c]), one entry or one per channel.

    `tensor` is the model's own name (it never reaches HDL). None is kept where the real value isn't a rational
    affine function of the integer (accumulators behind a batch norm, say).
    """

    tensor: str
    scale: tuple[Fraction, ...]
    zero: tuple[Fraction, ...]


@dataclass(frozen=True)
class Network:
    """A topology with its values: `params[i]` and `meanings[i]` belong to `topology.nodes[i]`."""

    topology: Topology
    params: tuple[NodeParams, ...]
    meanings: tuple[Meaning | None, ...]


def topology_of(network: Network | Topology) -> Topology:
    """The shapes of what may come with its values or without."""
    return network.topology if isinstance(network, Network) else network

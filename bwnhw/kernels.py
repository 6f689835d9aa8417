"""Binary kernels as numbers: the codes of 3×3 kernels, how often each occurs, how few bits they could be written with.

code(K) = Σ_j 2**j·[K_j ≥ 0] over the taps in row-major order (sign(0) = +1), 0..511 for 3×3. A code's complement is 511 − code.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import InputError
from bwnhw.network import BIPOLAR_WEIGHTS, Conv, ConvParams, Network

TAPS = 9
KERNELS = 1 << TAPS
MOST_TAPS = 62


def codes(kernels: NDArray[Any]) -> NDArray[np.int64]:
    """The codes of kernels (..., taps), real or ±1: shape (...). InputError beyond 62 taps."""
    taps = kernels.shape[-1]
    if taps > MOST_TAPS:
        raise InputError(f"kernels: expected at most {MOST_TAPS} taps, found {taps}")
    found: NDArray[np.int64] = (kernels >= 0) @ (np.int64(1) << np.arange(taps))
    return found


def signs(numbers: NDArray[np.int64], taps: int = TAPS) -> NDArray[np.int8]:
    """The ±1 kernels (..., taps) of codes (...)."""
    return (2 * (numbers[..., None] >> np.arange(taps) & 1) - 1).astype(np.int8)


def complement(numbers: NDArray[np.int64], taps: int = TAPS) -> NDArray[np.int64]:
    """The codes of the negated kernels."""
    flipped: NDArray[np.int64] = (1 << taps) - 1 - numbers
    return flipped


@dataclass(frozen=True, eq=False)
class KernelCounts:
    """How often each of the 512 kernels occurs in a layer, or in several: `counts` int64 (512,)."""

    name: str
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Kernels counted."""
        return int(self.counts.sum())

    @property
    def distinct(self) -> int:
        """Different kernels among them."""
        return int(np.count_nonzero(self.counts))

    @property
    def entropy(self) -> float:
        """Bits per kernel below which no lossless code gets on average: −Σ f·log2 f, 0..9."""
        share = self.counts[self.counts > 0] / max(1, self.total)
        return float(-(share * np.log2(share)).sum()) + 0.0  # one kernel alone would give -0.0

    @property
    def ranking(self) -> NDArray[np.int64]:
        """All codes, the most frequent first and the larger code first of equals."""
        return np.lexsort((-np.arange(len(self.counts)), -self.counts))

    @property
    def masses(self) -> NDArray[np.float64]:
        """(512,): entry K − 1 is the share of all kernels that are among the K most frequent."""
        mass: NDArray[np.float64] = np.cumsum(self.counts[self.ranking]) / max(1, self.total)
        return mass


def count(weights: NDArray[Any], name: str = "") -> KernelCounts:
    """The counts of 3×3 kernels (out, in, 3, 3)."""
    return KernelCounts(name, np.bincount(codes(weights.reshape(-1, TAPS)), minlength=KERNELS))


def study(network: Network) -> tuple[KernelCounts, ...]:
    """The counts of every convolution of 3×3 kernels of ±1, called as its tensor or its node, in order."""
    found = []
    for index, (node, params, meaning) in enumerate(zip(network.topology.nodes, network.params, network.meanings, strict=True)):
        if (isinstance(node, Conv) and isinstance(params, ConvParams) and node.weights == BIPOLAR_WEIGHTS and node.kernel == (3, 3)
                and node.out.pixels > 1):
            found.append(count(params.weights, meaning.tensor if meaning else f"node {index}"))
    return tuple(found)


def whole(layers: Iterable[KernelCounts]) -> KernelCounts:
    """The counts of several layers together."""
    return KernelCounts("whole", sum((layer.counts for layer in layers), np.zeros(KERNELS, np.int64)))


def bit_operations(outputs: int, inputs: int, pixels: int, bits: int) -> int:
    """Bit operations of a 3×3 layer of `pixels` output pixels per image whose kernels are `bits`-bit indices.

    Where 2**bits < outputs, each codeword's sum is computed once per input channel and gathered: 9·2**bits operations per
    pixel and input channel, and half an operation for every kernel that reads one; else 9 for every kernel. The formula reproduces the
    published numbers of sub-bit networks for ResNet-18.
    """
    words = 1 << bits
    if words >= outputs:
        return pixels * inputs * outputs * TAPS
    return pixels * inputs * TAPS * words + pixels * inputs * outputs // 2

"""Codewords counted once for all rows: the plan of an array that has its codewords' popcounts at the top and lets the rows select.

At the top edge stand, for every channel, the popcounts of the codewords that need storing, `bits` wide each; they travel down the rows in
place of activations. A row's index says which of them is a kernel's, and in a complement-closed codebook whether it is the complement's:
that is the inverse of all bits, less a constant (`excess`) which the row's offsets take off. A PE adds up its kernels two by two.

On LUT6 that is cheap in two ways. With up to two popcounts to choose from, the choice fits into the adder's LUTs beside the other summand
(`absorbed`). With more, the sign waits until the kernel is added (`late`), where it is one more net of the LUT: inverted is then whatever
has been summed up so far, by the sign that it has relative to the summand on its left.
"""

from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from bwnhw.compressor import adds_rows, levels
from bwnhw.families import FAMILIES
from bwnhw.network import CodebookShape

Round = tuple[tuple[int, int | None], ...]
"""Which partial sums meet in one cycle, each called by its leftmost kernel; None beside one that waits."""


@cache
def rounds(kernels: int) -> tuple[Round, ...]:
    """How a PE adds up its kernels: neighbours meet, and an odd one out waits."""
    found = []
    leaders: list[int | None] = list(range(kernels))
    while len(leaders) > 1:
        right = [*leaders[1::2], *[None] * (len(leaders) % 2)]
        found.append(tuple(zip(leaders[::2], right, strict=True)))
        leaders = leaders[::2]
    return tuple(found)  # type: ignore[arg-type]  # none of the left ones is None


@dataclass(frozen=True)
class Sharing:
    """The plan for codebooks of a shape on the LUTs of a family."""

    book: CodebookShape
    family: str

    @property
    def taps(self) -> int:
        """Lanes of a kernel."""
        return prod(self.book.taps)

    @property
    def values(self) -> int:
        """Popcounts that travel for each kernel: of a complement-closed codebook those of its first half."""
        return self.book.words // 2 if self.book.closed else self.book.words

    @property
    def bits(self) -> int:
        """Bits of one popcount."""
        return self.taps.bit_length()

    @property
    def width(self) -> int:
        """Bits that travel for each kernel."""
        return self.values * self.bits

    @property
    def select_bits(self) -> int:
        """Bits that choose a popcount; above them stands the sign, if there is one. Together they are as many as the index has."""
        return (self.values - 1).bit_length()

    @property
    def absorbed(self) -> bool:
        """Whether the choice of a right summand fits into the LUT of the adder."""
        return self._wide and self.values + self.book.index_bits + 1 <= FAMILIES[self.family].lut_inputs

    @property
    def late(self) -> bool:
        """Whether signs wait until kernels are added."""
        return self._wide and self.book.closed and not self.absorbed

    @property
    def _wide(self) -> bool:
        return FAMILIES[self.family].lut_inputs == 6

    @property
    def count_latency(self) -> int:
        """Cycles of the popcounts at the top edge."""
        return len(levels((self.taps,), self.family)) + adds_rows((self.taps,), self.family)

    def sum_latency(self, kernels: int) -> int:
        """Cycles of a PE from the popcounts to its sum: one for every round, and one where there is nothing to add."""
        return max(1, len(rounds(kernels)))

    def widths(self, kernels: int) -> list[dict[int, int]]:
        """Bits of every partial sum, by its leftmost kernel: of the kernels themselves, and behind every round."""
        found = [dict.fromkeys(range(kernels), self.bits)]
        for meeting in rounds(kernels):
            last = found[-1]
            found.append({left: last[left] if right is None else max(last[left], last[right]) + 1 for left, right in meeting})
        return found

    def most(self, kernels: int) -> int:
        """The greatest sum of a PE: inverses reach up to all ones."""
        if self.late:
            return (1 << self.widths(kernels)[-1][0]) - 1
        return kernels * ((1 << self.bits) - 1 if self.book.closed else self.taps)

    def baked(self, depth: int, memory: str) -> bool:
        """Whether the fold counter chooses, instead of an index from a table: where it is no more nets than a LUT has."""
        nets = self.values + (depth - 1).bit_length() + self.absorbed
        return memory == "lut" and not self.late and nets <= FAMILIES[self.family].lut_inputs

    def codes(self, index: NDArray[np.int64], together: int) -> NDArray[np.int64]:
        """What rows store for indices (..., kernels), `together` of them in a PE: the choice and above it the sign; a late sign relative
        to that of the sum on its left when it is added."""
        signs = self._signs(index)
        if self.late:
            place = np.arange(index.shape[-1])
            inside = place % together
            beside = inside & inside - 1  # the leftmost kernel of the sum that it meets; that of the PE's first has its sign already
            signs = np.where(beside > 0, signs ^ signs[..., place - inside + beside], signs)
        return index % self.values | signs << self.select_bits

    def sums(self, counts: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """What a PE makes of chosen popcounts (..., kernels) and of its codes, bit by bit as the hardware does: (...)."""
        kernels = counts.shape[-1]
        signs = codes >> self.select_bits if self.book.closed else np.zeros_like(codes)
        ones = (1 << self.bits) - 1
        early = {0} if self.late else set(range(kernels))
        parts = {k: counts[..., k] ^ (signs[..., k] * ones if k in early else 0) for k in range(kernels)}
        for meeting, widths in zip(rounds(kernels), self.widths(kernels), strict=False):
            for left, right in meeting:
                if right is not None:
                    inverted = signs[..., right] * ((1 << widths[right]) - 1) if self.late else 0
                    parts[left] = parts[left] + (parts[right] ^ inverted)
        return parts[0]

    def excess(self, index: NDArray[np.int64], together: int) -> NDArray[np.int64]:
        """By how much the sums of a row are too high: indices (..., kernels) to (...). It depends on nothing else."""
        found = np.zeros(index.shape[:-1], np.int64)
        for first in range(0, index.shape[-1], together):
            part = index[..., first:first + together]
            none = np.zeros_like(part)  # a negated kernel's complement then matches in all taps
            found += self.sums(none, self.codes(part, together)) - self.taps * self._signs(part).sum(axis=-1)
        return found

    def _signs(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        return index // self.values if self.book.closed else np.zeros_like(index)

"""The plan of a popcount tree: which bits every counter takes, level by level, shaped for the fabric's LUTs.

Lanes come prefix-encoded (`prefix_parity`), so each two further lanes give one carry of weight 2 straight from three encoded lanes, and
all but one bit of weight 1 vanish. `levels` is the tree over those carries. It fixes latency and cost; `bwnhw.rtl.popcount` builds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bwnhw.families import FAMILIES

DECODED = {6: 5, 4: 10}  # by inputs of a LUT: indices of so many bits and more are decoded in front of the carries, not in them
SEGMENT = {6: 6, 4: 8}  # by inputs of a LUT: lanes whose parity is found in one cycle


@dataclass(frozen=True)
class Counter:
    """Adds up bits: `taken[k]` of weight 2**(at + k). Its sum has the bits 2**at, 2**(at + 1), ... (`width` of them).

    `kept`: how many of the sum's lowest bits it doesn't make. The bits that it takes then stay, for the one who makes these
    (`bwnhw.absorption`).
    """

    at: int
    taken: tuple[int, ...]
    kept: int = 0

    @property
    def width(self) -> int:
        """Bits of the sum, the kept ones among them."""
        return sum(count << k for k, count in enumerate(self.taken)).bit_length()


Level = tuple[Counter, ...]
Heights = tuple[int, ...]
"""How many bits there are of every power of two, the lowest first."""


def prefix_parity(bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Lanes along the last axis, encoded: lane 2k becomes the parity of lanes 0..2k, the odd ones stay.

    Activations and weights are encoded alike. Lane 2k of both is then equal where an odd number of lanes 0..2k match.
    """
    encoded = bits.copy()
    encoded[..., ::2] = np.logical_xor.accumulate(bits, axis=-1)[..., ::2]
    return encoded


@cache
def levels(heights: Heights, family: str) -> tuple[Level, ...]:
    """The counters over so many bits of weight 1, 2, ..., level by level; a bit that no counter takes waits for the next level.

    Behind the last level every weight has one bit where a LUT has six inputs, at most two where it has four: there a carry chain adds
    the last two rows.
    """
    left = list(heights)
    found: list[Level] = []
    while max(left) > rows(family):
        level = _six(left) if FAMILIES[family].lut_inputs == 6 else _three(left)
        found.append(level)
        left = after(left, level)
    return tuple(found)


def carries(lanes: int) -> int:
    """Carries of weight 2 that the first level makes of `lanes` encoded lanes."""
    return lanes // 2


def counted(lanes: int, kernel: int, even: bool = False) -> Heights:
    """Bits of weight 1, 2, ... that the tree adds up, in units of its lowest bit.

    Without kernels (0) those are the carries alone, since the odd bit needs no adding; with prefix chains of `kernel` lanes each the odd
    bits of all of them, and their carries. Of `even` kernels the odd bits come already counted: the count's lowest bit needs no adding
    either, the others stand beside the carries.
    """
    if not kernel:
        return (carries(lanes),)
    made = lanes // kernel * carries(kernel)
    return (made + (odds_bits(lanes, kernel) > 1), *(1,) * (odds_bits(lanes, kernel) - 2)) if even else (lanes // kernel, made)


def odds_bits(lanes: int, kernel: int) -> int:
    """Bits of the number of kernels whose odd bit is set."""
    return (lanes // kernel).bit_length()


@cache
def adds_rows(heights: Heights, family: str) -> bool:
    """Whether a carry chain adds two rows of bits behind the last level."""
    left = list(heights)
    for level in levels(heights, family):
        left = after(left, level)
    return max(left) > 1


@cache
def popcount_latency(lanes: int, family: str, kernel: int = 0, even: bool = False) -> int:
    """Register levels of a PE's popcount over `lanes` lanes, in chains as of `counted`, not counting the partial-sum register.

    One behind the carries, one behind every level, one behind the chain that adds two rows. None up to three lanes.
    """
    bits = counted(lanes, kernel, even)
    return 1 + len(levels(bits, family)) + adds_rows(bits, family) if max(bits) > 1 else 0


def rows(family: str) -> int:
    """Bits of one weight that may be left behind the last level."""
    return 1 if FAMILIES[family].lut_inputs == 6 else 2


def after(heights: Sequence[int], level: Level) -> list[int]:
    """How many bits of each weight there are behind a level."""
    left = [*heights, *[0] * 8]
    for counter in level:
        for k, count in enumerate(() if counter.kept else counter.taken):
            left[counter.at + k] -= count
        for k in range(counter.kept, counter.width):
            left[counter.at + k] += 1
    return left[:max(k for k, count in enumerate(left) if count) + 1]


def full(heights: Sequence[int]) -> Level:
    """As many 6:3 counters as there are."""
    return tuple(Counter(at, (6,)) for at, height in enumerate(heights) for _ in range(height // 6))


def _six(heights: Sequence[int]) -> Level:
    """As many 6:3 counters as there are; else one counter of the six lowest bits that have company."""
    if level := full(heights):
        return level
    at = next(k for k, height in enumerate(heights) if height > 1)
    taken: list[int] = []
    for height in heights[at:]:
        taken.append(min(height, 6 - sum(taken)))
    while not taken[-1]:
        taken.pop()
    return (Counter(at, tuple(taken)),)


def _three(heights: Sequence[int]) -> Level:
    """As many full adders as there are."""
    return tuple(Counter(at, (3,)) for at, height in enumerate(heights) for _ in range(height // 3))

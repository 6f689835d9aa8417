"""What the synthesiser makes of memories, tables and delay lines on each FPGA family, as closed forms.

Families: "xc7" (LUT6, SRL, distributed RAM, RAMB18) and "ecp5" (LUT4, DPR16X4, DP16KD). Block RAMs are counted in 18-kbit blocks.
The rules were read off Yosys 0.70's results over a grid of widths and depths (docs/estimates.md).
"""

from dataclasses import dataclass

FAMILIES = ("xc7", "ecp5")
# Block RAM shapes (depth, width) of one 18-kbit block.
BLOCK_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
# Yosys prefers LUT memory while (width + a)·banks ≤ b for each block RAM that it would need; family → depth of a bank, a, b.
LUT_MEMORY = {"xc7": (64, 0.3, 41.4), "ecp5": (16, 2.5, 109.0)}
SHORTEST_SRL = 3  # a shorter line of registers stays registers


@dataclass(frozen=True)
class Part:
    """LUTs, flip-flops and 18-kbit block RAMs of a piece of logic."""

    luts: int = 0
    ffs: int = 0
    brams: int = 0

    def __add__(self, other: "Part") -> "Part":
        return Part(self.luts + other.luts, self.ffs + other.ffs, self.brams + other.brams)

    def times(self, count: int) -> "Part":
        """`count` of it."""
        return Part(self.luts * count, self.ffs * count, self.brams * count)


def blocks(depth: int, width: int) -> int:
    """18-kbit block RAMs of a memory, in the best of the shapes."""
    return min(-(-depth // deep) * -(-width // wide) for deep, wide in BLOCK_SHAPES)


def lut_memory(depth: int, width: int, family: str) -> int:
    """LUTs of a memory with one write and one read port in distributed RAM, its bank decoder and multiplexer included."""
    if family == "xc7":
        if depth <= 64:
            return 4 * -(-width // (6 if depth <= 32 else 3))
        banks = -(-depth // 64)
        return banks * 4 * -(-width // 3) + banks + width * -(-(banks - 1) // 3)
    banks = -(-depth // 16)
    return 6 * banks * -(-width // 4) + (2 * banks - 2 if banks > 1 else 0) + width * -(-3 * (banks - 1) // 4)


def memory(depth: int, width: int, family: str, synchronous: bool, copies: int = 1) -> Part:
    """A memory in `copies` that are written alike, as Yosys maps it: distributed, or block RAM where that is cheaper and the read port
    is synchronous."""
    luts = lut_memory(depth, width, family)
    if depth * width <= 4 or depth <= 2 and width < 3:  # too small for any RAM: registers
        return Part(2 * width + depth, width * (depth + synchronous)).times(copies)
    count = blocks(depth, width)
    deep, overhead, limit = LUT_MEMORY[family]
    if not synchronous or (width + overhead) * -(-depth // deep) <= limit * count:
        return Part(luts, width if synchronous else 0).times(copies)
    if family == "xc7":
        return Part(0, 0, count * copies)
    # ECP5's block RAM doesn't read old data in a collision: Yosys compares the addresses and brings the written word round.
    return Part(copies * (width + index_bits(depth) // 2 + 1), width + 2 * copies, count * copies)


def delay(width: int, cycles: int, family: str) -> Part:
    """A line of `cycles` registers without reset."""
    if family == "xc7" and cycles >= SHORTEST_SRL:
        return Part(width * -(-cycles // 32))
    return Part(0, width * cycles)


def index_bits(count: int) -> int:
    """Bits of a number in 0..count−1; none where there is only one."""
    return (count - 1).bit_length()

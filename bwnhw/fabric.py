"""What the synthesiser makes of memories, tables and delay lines on each FPGA family, as closed forms.

What a family has, says `bwnhw.families`. The rules were read off Yosys 0.70's results over a grid of widths and depths (docs/estimates.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from bwnhw.families import FAMILIES, LutRam

MOST_REGISTERS = 68  # bits in place of a block RAM, where LUTs are no memory; read off between 66 and 72
BLOCK_LUTS = 64  # LUTs of multiplexers that Yosys takes at most in place of one block RAM; read off between 24 and 325


@dataclass(frozen=True)
class Part:
    """LUTs, flip-flops and block RAMs of a piece of logic."""

    luts: int = 0
    ffs: int = 0
    brams: int = 0

    def __add__(self, other: "Part") -> "Part":
        return Part(self.luts + other.luts, self.ffs + other.ffs, self.brams + other.brams)

    def times(self, count: int) -> "Part":
        """`count` of it."""
        return Part(self.luts * count, self.ffs * count, self.brams * count)


def banked(depth: int, width: int, family: str) -> Part:
    """A memory in block RAM, with the multiplexers behind its banks: where it is deeper than a block RAM, all banks lie side by side in
    rows as wide as they need, and the rows in as many block RAMs."""
    wide_luts = FAMILIES[family].lut_inputs == 6
    found = []
    for deep, wide in FAMILIES[family].block_shapes:
        banks = -(-depth // deep)
        choosers = -(-(banks - 1) // 3) if wide_luts else -(-2 * (banks - 1) // 3)  # LUTs of a multiplexer of so many
        found.append(Part(width * choosers, index_bits(banks), -(-width * banks // wide)))
    return min(found, key=lambda part: BLOCK_LUTS * part.brams + part.luts)


def bank_width(depth: int, family: str) -> int:
    """The widest word of one block RAM that is so deep, 1 where none is."""
    return max((wide for deep, wide in FAMILIES[family].block_shapes if deep >= depth), default=1)


@dataclass(frozen=True)
class Copy:
    """A copy of a memory, by the bits of its read address: `own`, which other copies don't have, and `fixed`, which never change."""

    own: int
    fixed: int = 0


def memory(depth: int, width: int, family: str, synchronous: bool, copies: Sequence[Copy] = (), different: Sequence[int] = (1,)) -> Part:
    """A memory in `copies` that are written alike (none named: one), as Yosys maps it: in LUTs (registers, where LUTs are no memory), or
    block RAM where that is cheaper and the read port is synchronous. `different`: how many of the copies differ in so many of the lowest
    bits of their addresses, from none on (`window_address.Addresses`)."""
    kind, stored = FAMILIES[family], banked(depth, width, family)
    copies = copies or (Copy(index_bits(depth)),)
    count = stored.brams
    read = Part(0, len(copies) * width if synchronous else 0)
    if kind.lut_ram is None:
        prefers_blocks, found = depth * width > MOST_REGISTERS * count, _register_memory(depth, width, copies, different)
    elif depth == 1 or depth * width <= kind.lut_ram.least or depth == 2 and width in kind.lut_ram.pairs:  # too small for any RAM
        prefers_blocks, found = False, _register_memory(depth, width, copies, different)
    else:
        banks = -(-depth // kind.lut_ram.pieces[-1][0])
        prefers_blocks = (width + kind.lut_ram.overhead) * banks > kind.lut_ram.limit * count
        found = Part(_lut_memory(kind.lut_ram, depth, width, len(copies)))
    if not (synchronous and prefers_blocks):
        return found + read
    return stored.times(len(copies)) + (_around(depth, width, kind.forward_luts, copies) if kind.forward_luts else Part())


def fifo_memory(depth: int, width: int, family: str) -> Part:
    """The memory of a FIFO, which only a deep one reads through a register."""
    return memory(depth, width, family, depth > 64)


def _register_memory(depth: int, width: int, copies: Sequence[Copy], different: Sequence[int]) -> Part:
    """A memory of registers, which copies share, with LUT4s for its multiplexers; a copy chooses from what it can reach. Copies that agree
    in their lowest bits share what those choose, where that is cheaper."""
    multiplexers = min(count * (depth >> low) * _multiplexer(1 << low) + sum(_multiplexer(depth >> max(low, copy.fixed)) for copy in copies)
                       for low, count in enumerate(different))
    return Part(depth + width * multiplexers, depth * width)


def _multiplexer(count: int) -> int:
    """LUT4s of a multiplexer."""
    return count - 1 if count <= 4 else min(count - 2, -(-7 * count // 8))


def _lut_memory(ram: LutRam, depth: int, width: int, copies: int) -> int:
    """LUTs of a memory in distributed RAM, the multiplexers of its banks included, and their decoder, which copies share."""
    deep, wide, luts = next((piece for piece in ram.pieces if depth <= piece[0]), ram.pieces[-1])
    banks = -(-depth // deep)
    found = banks * luts * -(-width // wide) * copies
    return found if banks == 1 else found + ram.decoder * banks - ram.spared + copies * width * ceil(ram.mux * (banks - 1))


def _around(depth: int, width: int, luts: Fraction, copies: Sequence[Copy]) -> Part:
    """What stands around block RAMs that are to read old data in a collision. All copies share the registers of the written and of the old
    word and of the address, and the comparison of those bits of it that are no copy's own."""
    address = index_bits(depth)
    shared = address - max(copy.own for copy in copies)
    compared = floor(luts * shared) + sum(floor(luts * copy.own) for copy in copies)
    return Part(len(copies) * (width + 1) + compared, 2 * width + address + 1 + len(copies))


def adder(bits: int, family: str) -> int:
    """LUTs of an adder on a carry chain, whole cells of it."""
    return bits + -bits % FAMILIES[family].chain_bits


def delay(width: int, cycles: int, family: str) -> Part:
    """A line of `cycles` registers without reset."""
    shortest = FAMILIES[family].shortest_srl
    if shortest is not None and cycles >= shortest:
        return Part(width * -(-cycles // 32))
    return Part(0, width * cycles)


def index_bits(count: int) -> int:
    """Bits of a number in 0..count−1; none where there is only one."""
    return (count - 1).bit_length()

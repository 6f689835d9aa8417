"""FPGA families: what tells one from another, as far as arrays are shaped for it and resources are estimated on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

Shape = tuple[int, int]  # depth, width


@dataclass(frozen=True)
class LutRam:
    """Distributed RAM with a write and a read port.

    `pieces`: (depth, width, LUTs) of one, the shallowest first; a deeper memory has several banks of the deepest. Up to `least` bits, and
    two words of one of the widths `pairs`, are registers instead. Behind banks stand
    `decoder` LUTs for each, less `spared` in all, and for each bit of a word `mux` LUTs for each bank but one, rounded up. Yosys takes
    block RAM instead where the read port is synchronous and (width + `overhead`)·banks > `limit` for each block RAM.
    """

    pieces: tuple[tuple[int, int, int], ...]
    least: int
    pairs: tuple[int, ...]
    decoder: int
    spared: int
    mux: Fraction
    overhead: float
    limit: float


@dataclass(frozen=True)
class Family:
    """One FPGA family.

    `lut_inputs` of a LUT. `chain_bits`: positions in the carry chain's cell, of which an adder takes whole ones. `short_sum`: bits of a sum
    up to which Yosys builds it of LUTs, without a chain. `subtracts`: whether the chain's cell inverts what is taken away; else LUTs in
    front of it do. `shortest_srl`: the shortest line of registers that becomes a shift register, None where there are none. `lut_ram`:
    None where LUTs are no memory, and what isn't block RAM is registers. `block_kbits` and `block_shapes` (depth, width) of a block RAM;
    `forward_luts`: None where a block RAM by itself reads what was there before a write in the same cycle; else its ports don't know of
    each other, Yosys compares the addresses and brings a word round, and this is the LUTs that it takes per bit of an address. A table of
    constants with a register behind it becomes block RAM where it has more than `table_limit` entries of one bit by the LUT's size, for
    each block RAM, its depth rounded up to a power of two. `starts`: whether the block RAM's register can start with a value, as one of
    such a table does. `sets`: whether a register can start with 1; else it is kept inverted, and inverters stand where others begin.
    `packed`: None where LUTs and flip-flops of a device don't compete; else a logic cell holds one of each, and this is the share of LUTs
    whose flip-flop is in the same cell (0.25 and 0.40 in two designs that nextpnr placed).
    """

    lut_inputs: int
    chain_bits: int
    short_sum: int
    subtracts: bool
    shortest_srl: int | None
    lut_ram: LutRam | None
    block_kbits: int
    block_shapes: tuple[Shape, ...]
    forward_luts: Fraction | None
    table_limit: int
    starts: bool
    sets: bool
    packed: float | None = None

    def cells(self, luts: int, ffs: int) -> int:
        """What a design takes of a device's LUTs: they, or logic cells with flip-flops in them."""
        return luts if self.packed is None else max(luts, ffs, round(luts + ffs - self.packed * luts))

    @property
    def leaf(self) -> int:
        """Entries of a table of constants that one LUT holds."""
        return 1 << self.lut_inputs


_18_KBIT = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
# The rules for memories were read off Yosys 0.70 over a grid of widths and depths (benchmarks/memory_grid.py).
FAMILIES: Mapping[str, Family] = MappingProxyType({
    "xc7": Family(6, 1, 2, True, 3, LutRam(((32, 6, 4), (64, 3, 4)), 4, (1, 2, 3), 1, 0, Fraction(1, 3), 0.3, 41.4), 18, _18_KBIT, None,
                  136, True, True),
    "ecp5": Family(4, 2, 4, True, None, LutRam(((16, 4, 6),), 6, (1, 2, 3, 5), 2, 2, Fraction(3, 4), 2.5, 109.0), 18, _18_KBIT,
                   Fraction(1, 2), 136, False, True),
    "ice40": Family(4, 1, 2, False, None, None, 4, ((256, 16), (512, 8), (1024, 4), (2048, 2)), Fraction(1), 68, False, False, 0.33),
})

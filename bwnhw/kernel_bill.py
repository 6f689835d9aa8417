"""What a PE of kernels that are stored as indices costs: the decoding first level, and the memory of the indices."""

from collections import Counter

from bwnhw.array_block import Array
from bwnhw.compressor import DECODED, carries, odds_bits
from bwnhw.fabric import Part, bank_width, banked, delay
from bwnhw.families import FAMILIES
from bwnhw.network import CodebookShape
from bwnhw.rom_bill import registered, rom_luts

LUT4_OF_TAPS = (1, 1, 1, 13 / 9, 2, 38 / 9, 88 / 9)  # by index bits, per tap: measured on single PEs of random codebooks (nine taps)


def kernel_first(book: CodebookShape, lanes: int, family: str) -> Part:
    """The first level of `lanes` lanes: carries and, unless all are even, one odd bit per kernel, each a function of three lanes and the
    index."""
    taps, bits = _taps(book), book.index_bits
    if FAMILIES[family].lut_inputs == 4:
        each = LUT4_OF_TAPS[min(bits, len(LUT4_OF_TAPS) - 1)]
        spared = book.direct * (each - 1) if bits > 3 else 0.0  # those of up to three bits are part of a carry's LUTs anyway
        odd = 1 << max(0, bits - 3) if book.even else 0
        return Part(round(lanes // taps * (taps * each - spared - odd)))
    if bits >= DECODED[FAMILIES[family].lut_inputs]:
        luts = (book.decoded << max(0, bits - FAMILIES[family].lut_inputs)) + carries(taps)
    else:
        luts = carries(taps) * (2 if bits == 4 else 1)
    return Part(luts + (not book.even)).times(lanes // taps)


def odds_count(lanes: int, taps: int, column: int, family: str) -> Part:
    """The count of a column's odd kernels at the top edge, and its way to the first row's register."""
    kernels, bits = lanes // taps, odds_bits(lanes, taps)
    return Part(2 * (kernels - bits) + bits) + delay(bits, column + 2, family) + Part(0, -bits)


def kernel_memory(book: CodebookShape, lanes: int, depth: int, family: str) -> Part:
    """The table in LUTs of the indices of the `lanes` lanes of a row's column, with its read register; wires at depth 1."""
    width = lanes // _taps(book) * book.index_bits
    if depth == 1:
        return Part()
    if stored := registered(depth, width, family):
        return stored
    return Part(rom_luts(width, depth, 1.0, family), width)


def bank_columns(block: Array, family: str) -> tuple[int, ...]:
    """For every bank of a row's indices in block RAM the column beside whose fold register it is read."""
    bits = block.codebook.index_bits if block.codebook else 0
    wide = bank_width(block.fold_depth, family)
    return tuple(at // bits * block.kernel // block.pe_lanes for at in range(0, block.lanes // block.kernel * bits, wide))


def banked_memory(block: Array, family: str) -> Part:
    """The block RAM of the indices of a row, and the lines from its banks to the columns."""
    bits = block.codebook.index_bits if block.codebook else 0
    wide, reads = bank_width(block.fold_depth, block.family), bank_columns(block, block.family)
    width = block.lanes // block.kernel * bits
    found = sum((banked(block.fold_depth, min(wide, width - at), family) for at in range(0, width, wide)), Part())
    cycles = Counter(plane * block.lane_columns + at // bits * block.kernel // block.pe_lanes - reads[at // wide]
                     for plane in range(block.planes) for at in range(width))
    return found + sum((delay(count, wait, family) for wait, count in cycles.items()), Part())


def _taps(book: CodebookShape) -> int:
    """Lanes of a kernel."""
    height, width = book.taps
    return height * width

"""What a PE of kernels that are stored as indices costs: the decoding first level, and the memory of the indices."""

from bwnhw.compressor import DECODED, carries
from bwnhw.fabric import Part, banked, delay
from bwnhw.families import FAMILIES
from bwnhw.network import CodebookShape
from bwnhw.rom_bill import registered

LUT4_OF_TAPS = (1, 1, 1, 13 / 9, 2, 38 / 9, 88 / 9)  # by index bits, per tap: measured on single PEs of random codebooks (nine taps)


def kernel_first(book: CodebookShape, lanes: int, family: str) -> Part:
    """The first level of `lanes` lanes: carries and one odd bit per kernel, each a function of three lanes and the index."""
    taps, bits = _taps(book), book.index_bits
    if FAMILIES[family].lut_inputs == 4:
        return Part(round(lanes * LUT4_OF_TAPS[min(bits, len(LUT4_OF_TAPS) - 1)]))
    if bits >= DECODED[FAMILIES[family].lut_inputs]:
        luts = (taps << max(0, bits - FAMILIES[family].lut_inputs)) + carries(taps) + 1
    else:
        luts = carries(taps) * (2 if bits == 4 else 1) + 1
    return Part(luts).times(lanes // taps)


def kernel_memory(book: CodebookShape, lanes: int, column: int, depth: int, memory: str, family: str) -> Part:
    """The memory of the indices of the `lanes` lanes of a row's column: a table with its read register, in LUTs where it is small; where it
    is to be in block RAM, which all columns share (`shared_memory`), the line from there; wires at depth 1."""
    width = lanes // _taps(book) * book.index_bits
    if depth == 1:
        return Part()
    if memory == "block":
        return delay(width, column, family)
    if stored := registered(depth, width, family):
        return stored
    leaves = -(-depth >> FAMILIES[family].lut_inputs)
    if FAMILIES[family].lut_inputs == 6:  # beyond two wide multiplexers a LUT joins four results
        return Part(width * (leaves + (leaves > 4) * -(-leaves // 16)) if depth > 2 else 0, width)
    return Part(width * (2 * leaves - 1) if depth > 2 else 0, width)


def shared_memory(book: CodebookShape, lanes: int, depth: int, memory: str, family: str) -> Part:
    """The block RAM of the indices of a row of `lanes` lanes, if that is what holds them."""
    width = lanes // _taps(book) * book.index_bits
    return banked(depth, width, family) if memory == "block" and depth > 1 else Part()


def _taps(book: CodebookShape) -> int:
    """Lanes of a kernel."""
    height, width = book.taps
    return height * width

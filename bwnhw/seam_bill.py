"""What changes where blocks are synthesised as one: registers on both sides of a seam are one line, or the register of a memory.

Blocks are measured apart from each other, where a line of registers ends at a block's port. Within a whole design it goes on, and where the
family has shift registers, those in front of the seam cost nothing more. A FIFO is read without a clock, but an upsizer behind it has a
register that takes nothing else: the two are a memory with a synchronous port, which may be block RAM.
"""

from bwnhw.array_bill import array_columns, marks_way, unread
from bwnhw.array_block import Array
from bwnhw.blocks import Fifo, Stage, Upsize, Window
from bwnhw.fabric import Part, delay, fifo_memory, index_bits, memory


def seam(window: Window, array: Array, family: str) -> Part:
    """What is to be added to the bills of a window and of the array behind it; nothing where lines of registers stay registers."""
    found = _folds(window, array, family)
    for bits, cycles in marks_way(array):
        found += _longer(bits, cycles, 2, family)
    for column, (lanes, _, _) in enumerate(array_columns(array)):
        found += _longer(unread(lanes, array), column + 2, 1, family)
    return found


def upsized(fifo: Fifo, behind: Stage, family: str) -> Part:
    """What is to be added to the bills of a stage's FIFO and of the stage behind it."""
    width = fifo.lanes * fifo.bits
    before, joined = fifo_memory(fifo.depth, width, family), memory(fifo.depth, width, family, True)
    if before.brams or not joined.brams or not (behind.resizers and isinstance(behind.resizers[0], Upsize)):
        return Part()
    return joined + before.times(-1) + Part(0, -width)


def _longer(bits: int, cycles: int, before: int, family: str) -> Part:
    """A line of `cycles` registers that takes in as many as were counted `before` it."""
    return delay(bits, cycles + before, family) + delay(bits, cycles, family).times(-1) + Part(0, -bits * before)


def _folds(window: Window, array: Array, family: str) -> Part:
    """The way of the fold counter into the first row, where no other column and no memory reads it before."""
    if array.columns > 1 or array.memory == "block" or array.codebook or array.loaded:
        return Part()
    before = 1 if index_bits(window.tap_beats * window.inner) else 2  # nothing is added to the address of the group
    return _longer(index_bits(array.fold_depth), 2, before, family)

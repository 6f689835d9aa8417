"""What changes where a window and its array are synthesised as one: registers on both sides of the seam are one line.

Blocks are measured apart from each other, where a line of registers ends at a block's port. Within a whole design it goes on, and where the
family has shift registers, those in front of the seam cost nothing more.
"""

from bwnhw.array_bill import array_columns, marks_way, unread
from bwnhw.array_block import Array
from bwnhw.blocks import Window
from bwnhw.fabric import Part, delay, index_bits


def seam(window: Window, array: Array, family: str) -> Part:
    """What is to be added to the bills of a window and of the array behind it; nothing where lines of registers stay registers."""
    found = _folds(window, array, family)
    for bits, cycles in marks_way(array):
        found += _longer(bits, cycles, 2, family)
    for column, (lanes, _, _) in enumerate(array_columns(array)):
        found += _longer(unread(lanes, array), column + 2, 1, family)
    return found


def _longer(bits: int, cycles: int, before: int, family: str) -> Part:
    """A line of `cycles` registers that takes in as many as were counted `before` it."""
    return delay(bits, cycles + before, family) + delay(bits, cycles, family).times(-1) + Part(0, -bits * before)


def _folds(window: Window, array: Array, family: str) -> Part:
    """The way of the fold counter into the first row, where no other column and no memory reads it before."""
    if array.columns > 1 or array.memory == "block" or array.codebook or array.loaded:
        return Part()
    before = 1 if index_bits(window.tap_beats * window.inner) else 2  # nothing is added to the address of the group
    return _longer(index_bits(array.fold_depth), 2, before, family)

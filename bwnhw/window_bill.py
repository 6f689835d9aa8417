"""What a window is made of: its registers one by one, as `bwnhw.rtl.window` and `window_control` have them, and features of its logic."""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from bwnhw.bill import Bill
from bwnhw.blocks import Window
from bwnhw.fabric import Part, index_bits, memory
from bwnhw.walk import occupancy_ranges, walk_tables


def window_bill(block: Window, family: str) -> Bill:
    """The bill of a window. A pool's has no fold, and no offset: nothing reads them."""
    data, address = block.taps * block.lanes, index_bits(block.depth)
    walked, walk = _walk(block)
    padded, occupied = _padded_taps(block), sum(_signed_bits(values) for values in occupancy_ranges(block))
    counted = sum(map(index_bits, (block.inner, block.tap_beats, len(block.steps), block.groups)))
    group, base, fold = (0, 0, 0) if block.depthwise else _fold(block)
    position = index_bits(block.tap_beats * block.inner) if fold else 0
    shifts = [0, *(step.shift for step in block.steps)]
    planes = index_bits(max(step.plane_group for step in block.steps) + 1)
    registers = [data * block.planes, 3 * address, occupied, walked, walk, counted, block.group_beats > 1, padded, planes,
                 group + base + 2 * position + fold, _marks(block), 2 * distinct(shifts),
                 max(shifts) > 0 and block.tap_beats * block.inner > 1]
    found = Bill(memory(block.depth, block.lanes * block.bits, family, True, block.taps) + Part(0, sum(map(int, registers))))
    found.features = Counter(
        window=1, window_address_bits=block.taps * address, window_count_bits=counted, window_walk_bits=walk, window_table_bits=walked,
        window_free_bits=occupied, window_fold_bits=group + (fold if base else 0), window_classes=block.classes,
        window_pad_bits=data * block.bits * (padded > 0), window_plane_bits=data * block.planes * (block.bits // block.planes - 1),
        window_tap_bits=block.taps * address * (block.tap_beats - 1))
    return found


def distinct(values: Iterable[int]) -> int:
    """Bits of a number that goes through the values, without those that never change and those that always equal another."""
    seen = np.unique(np.fromiter(values, np.int64))
    columns = {(seen >> bit & 1).tobytes() for bit in range(int(np.abs(seen).max()).bit_length() + 1)}
    return len(columns - {np.zeros_like(seen).tobytes(), np.ones_like(seen).tobytes()})


@lru_cache(maxsize=1 << 12)
def _walk(block: Window) -> tuple[int, int]:
    """Registers of the walk's tables, and of the counters that go over the map as far as a table depends on them."""
    tables = [table for name, table in walk_tables(block).items() if not (block.depthwise and name == "class_offset")]
    by_row = any((table != table[:1]).any() for table in tables)
    by_column = any((table != table[:, :1]).any() for table in tables)
    geometry = block.geometry
    counters = (index_bits(geometry.out_width) if by_row or by_column else 0) + (index_bits(geometry.out_height) if by_row else 0)
    return sum(distinct(table.ravel().tolist()) for table in tables), counters


def _padded_taps(block: Window) -> int:
    """Copies of the buffer whose taps lie in the map for some pixels or beats only."""
    height, width = block.geometry.kernel
    rows, columns = (walk_tables(block)[name] for name in ("rows", "columns"))
    found = 0
    for copy in range(block.taps):
        kinds = set[int]()
        for tap in range(copy, block.tap_beats * block.taps, block.taps):
            kinds.update(np.unique(rows >> tap // width & columns >> tap % width & 1).tolist() if tap < height * width else [0])
        found += len(kinds) > 1
    return found


def _fold(block: Window) -> tuple[int, int, int]:
    """Registers of the group's first weight address, of the step's, and of the address itself."""
    beats = block.tap_beats * block.inner
    groups = [group * block.weight_planes * beats for group in range(block.groups)]
    steps = [group + step.weight_plane * beats for group in groups for step in block.steps]
    return distinct(groups), distinct(steps), index_bits(block.fold_depth)


def _marks(block: Window) -> int:
    """Two registers each of valid, last, first (where that differs from beat to beat) and the offset's bits."""
    if block.depthwise:
        return 6
    return 2 * (2 + (block.group_beats > 1) + index_bits(block.classes * block.groups))


def _signed_bits(values: range) -> int:
    """Bits of a signed number in a range."""
    return max((-values[0] - 1).bit_length(), values[-1].bit_length()) + 1

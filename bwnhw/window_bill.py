"""What a window is made of: its registers one by one, as `bwnhw.rtl.window` and `window_control` have them, and features of its logic."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bwnhw.bill import Bill
from bwnhw.blocks import Window
from bwnhw.fabric import Part, index_bits, memory
from bwnhw.geometry import Geometry
from bwnhw.walk import in_words, occupancy_ranges, pixel_tables


def window_bill(block: Window, family: str) -> Bill:
    """The bill of a window. A pool's has no fold, and no offset: nothing reads them."""
    data, address = block.taps * block.lanes, index_bits(block.depth)
    walked, walk = _walk(block)
    padded, occupied = _padded_taps(block.geometry, block.taps), sum(_signed_bits(values) for values in occupancy_ranges(block))
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
    seen = list(set(values))
    columns = {tuple(value >> bit & 1 for value in seen) for bit in range(max(map(abs, seen)).bit_length() + 1)}
    return len(columns - {(0,) * len(seen), (1,) * len(seen)})


def _walk(block: Window) -> tuple[int, int]:
    """Registers of the walk's tables, and of the counters that go over the map as far as a table depends on them."""
    registers, by_row, by_column = 0, False, False
    for name, kind in _kinds(block.geometry).items():
        if not (block.depthwise and name == "class_offset"):
            bits = distinct(in_words(block, name, value) for value in kind.values)
            registers += bits
            by_row |= bits > 0 and kind.by_row
            by_column |= bits > 0 and kind.by_column
    geometry = block.geometry
    counters = (index_bits(geometry.out_width) if by_row or by_column else 0) + (index_bits(geometry.out_height) if by_row else 0)
    return registers, counters


@dataclass(frozen=True)
class _Kind:
    """A table of the walk: the values in it, and whether they differ from row to row and from column to column."""

    values: tuple[int, ...]
    by_row: bool
    by_column: bool


@lru_cache(maxsize=256)
def _kinds(geometry: Geometry) -> dict[str, _Kind]:
    return {name: _Kind(tuple(np.unique(table).tolist()), bool((table != table[:1]).any()), bool((table != table[:, :1]).any()))
            for name, table in pixel_tables(geometry).items()}


@lru_cache(maxsize=1 << 12)
def _padded_taps(geometry: Geometry, taps: int) -> int:
    """Copies of the buffer, `taps` of them, whose taps lie in the map for some pixels or beats only."""
    height, width = geometry.kernel
    rows, columns = (pixel_tables(geometry)[name] for name in ("rows", "columns"))
    inside = [set(np.unique(rows >> row & columns >> column & 1).tolist()) for row in range(height) for column in range(width)]
    inside += [{0}] * (-len(inside) % taps)
    return sum(len(set().union(*inside[copy::taps])) > 1 for copy in range(taps))


def _fold(block: Window) -> tuple[int, int, int]:
    """Registers of the group's first weight address, of the step's, and of the address itself."""
    beats = block.tap_beats * block.inner
    return (_multiples(block.groups, block.weight_planes * beats), _multiples(block.groups * block.weight_planes, beats),
            index_bits(block.fold_depth))


@lru_cache(maxsize=1 << 12)
def _multiples(count: int, of: int) -> int:
    return distinct(number * of for number in range(count))


def _marks(block: Window) -> int:
    """Two registers each of valid, last, first (where that differs from beat to beat) and the offset's bits."""
    if block.depthwise:
        return 6
    return 2 * (2 + (block.group_beats > 1) + index_bits(block.classes * block.groups))


def _signed_bits(values: range) -> int:
    """Bits of a signed number in a range."""
    return max((-values[0] - 1).bit_length(), values[-1].bit_length()) + 1

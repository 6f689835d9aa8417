"""What a window is made of: its registers one by one, as `bwnhw.rtl.window` and `window_control` have them, and features of its logic."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bwnhw.bill import Bill
from bwnhw.blocks import Window
from bwnhw.fabric import Copy, Part, adder, index_bits, memory
from bwnhw.geometry import Geometry
from bwnhw.walk import in_words, occupancy_ranges, pixel_tables
from bwnhw.window_address import Addresses, addresses, trailing_zeros


def window_bill(block: Window, family: str) -> Bill:
    """The bill of a window. A pool's has no fold, and no offset: nothing reads them."""
    where, walk = addresses(block), _walk(block)
    copies = [Copy(own, fixed) for own, fixed in zip(where.summed, where.fixed, strict=True)]
    part = memory(block.depth, block.lanes * block.bits, family, True, copies, where.different)
    return Bill(part + Part(sum(adder(bits, family) for bits in _sums(block, where)), _registers(block, where, walk)),
                _features(block, where, walk))


def _sums(block: Window, where: Addresses) -> list[int]:
    """Bits of every sum: the addresses that are written, of the pixel, of its words, of the copies; words that are free and missing; and
    the fold, from the group's and the step's."""
    group, base, fold = _fold(block)
    beats = block.tap_beats * block.inner
    return [where.bits, where.base, where.cursor * (block.words > 1), *where.summed, *map(_signed_bits, occupancy_ranges(block)),
            group, fold * (block.groups > 1) * (block.weight_planes > 1), fold * (group + base > 0) * (beats > 1)]


def _registers(block: Window, where: Addresses, walk: tuple[int, int]) -> int:
    """Registers besides those of the memory."""
    group, base, fold = _fold(block)
    position = index_bits(block.tap_beats * block.inner) if fold else 0
    shifts = [0, *(step.shift for step in block.steps)]
    planes = index_bits(max(step.plane_group for step in block.steps) + 1)
    data = block.taps * block.lanes * block.planes
    shifted = max(shifts) > 0 and block.tap_beats * block.inner > 1
    return (data + where.bits + where.base + where.cursor + sum(map(_signed_bits, occupancy_ranges(block))) + sum(walk)
            + sum(map(index_bits, _loops(block))) + (block.group_beats > 1) + _padded_taps(block.geometry, block.taps) + planes
            + group + base + 2 * position + fold + _marks(block) + 2 * distinct(tuple(shifts)) + shifted)


def _features(block: Window, where: Addresses, walk: tuple[int, int]) -> Counter[str]:
    """What the logic depends on."""
    walked, counters = walk
    counted = sum(map(index_bits, _loops(block)))
    if block.inner > 1 and block.tap_beats > 1:  # else the position's counter is that of the words or of the tap beats
        counted += index_bits(block.tap_beats * block.inner)
    return Counter(
        window=1, window_cursor_bits=where.cursor, window_count_bits=counted, window_walk_bits=counters, window_table_bits=walked,
        window_free_bits=sum(map(_signed_bits, occupancy_ranges(block))),
        window_pad_taps=_padded_taps(block.geometry, block.taps) * block.tap_beats,
        window_distance_bits=where.tables, window_step_bits=_step_bits(block),
        window_plane_bits=block.taps * block.lanes * block.planes * (block.bits // block.planes - 1))


def _loops(block: Window) -> tuple[int, ...]:
    """Sizes of the sequencer's loops."""
    return block.inner, block.tap_beats, len(block.steps), block.groups


@lru_cache(maxsize=1 << 12)
def distinct(values: tuple[int, ...]) -> int:
    """Bits of a number that goes through the values, without those that never change and those that always equal another."""
    seen = list(set(values))
    columns = {tuple(value >> bit & 1 for value in seen) for bit in range(max(map(abs, seen)).bit_length() + 1)}
    return len(columns - {(0,) * len(seen), (1,) * len(seen)})


def _walk(block: Window) -> tuple[int, int]:
    """Registers of the walk's tables, and of the counters that go over the map as far as a table depends on them."""
    registers, by_row, by_column = 0, False, False
    for name, kind in _kinds(block.geometry).items():
        if not (block.depthwise and name == "class_offset"):
            bits = distinct(tuple(in_words(block, name, value) for value in kind.values))
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
    """Registers of the group's first weight address, of the step's, and of the address itself; a pool has none."""
    if block.depthwise:
        return 0, 0, 0
    beats = block.tap_beats * block.inner
    return (_multiples(block.groups, block.weight_planes * beats), _multiples(block.groups * block.weight_planes, beats),
            index_bits(block.fold_depth))


def _step_bits(block: Window) -> int:
    """Different bits in the tables of the steps: their weights, their activation planes, the shifts before them."""
    tables = ([step.weight_plane for step in block.steps], [step.plane_group for step in block.steps], [step.shift for step in block.steps])
    return len({column for table in tables for bit in range(max(table).bit_length())
                if len(set(column := tuple(value >> bit & 1 for value in table))) > 1})


def _multiples(count: int, of: int) -> int:
    """Bits of a register that goes through 0, `of`, ..., `count` numbers in all, without the lowest, which are 0."""
    return ((count - 1) * of).bit_length() - trailing_zeros(of) if count > 1 else 0


def _marks(block: Window) -> int:
    """Two registers each of valid, last, first (where that differs from beat to beat) and the offset's bits."""
    if block.depthwise:
        return 6
    return 2 * (2 + (block.group_beats > 1) + index_bits(block.classes * block.groups))


def _signed_bits(values: range) -> int:
    """Bits of a signed number in a range."""
    return max((-values[0] - 1).bit_length(), values[-1].bit_length()) + 1

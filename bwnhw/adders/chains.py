"""Which carry chain to build over columns of bits: by counts alone.

A chain carries one bit of every column, and takes in tables of up to five more: windows of columns that their sum fits. Three columns with
five bits are three LUTs, which carry three bits more and hand three on: five bits fewer for three LUTs, where adding numbers takes away one
bit per LUT. One more bit enters the carry for nothing; a carry out takes the place of a LUT.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bwnhw.adders.graph import FOLDED_NETS, TABLE_NETS

WINDOWS = ((5, 0, 0), (3, 2, 0), (1, 3, 0), (3, 0, 1), (1, 1, 1), (4, 1, 0), (2, 2, 0), (3, 1, 0), (2, 1, 0), (4, 0, 0), (1, 2, 0),
           (2, 0, 1), (3, 0), (1, 1), (2, 0), (1,))  # bits of each column; of equally good ones the first


class Column(NamedTuple):
    """Bits of a column: how many are added, which can be carried, and how many are subtracted."""

    added: int
    subtracted: int

    @property
    def bits(self) -> int:
        """All of them."""
        return self.added + self.subtracted


@dataclass(frozen=True)
class Chain:
    """A chain from column `low` up: whether a bit `enters` its carry, the bits of every column in its windows' tables, and whether it
    `carries` one of that column too. `rate`: bits taken away per LUT, 0 where it is only to leave fewer in a column."""

    rate: float
    low: int
    enters: bool
    windows: tuple[tuple[int, ...], ...]
    carries: tuple[bool, ...]

    def fits(self, columns: Sequence[Column]) -> bool:
        """Whether there are bits enough for it; tables take subtracted ones first."""
        tables = [count for window in self.windows for count in window]
        for at, (count, carried) in enumerate(zip(tables, self.carries, strict=True)):
            column = columns[self.low + at] if self.low + at < len(columns) else Column(0, 0)
            kept = carried + (self.enters and at == 0)
            if column.added < kept or column.bits < kept + count:
                return False
        return True


def best(columns: Sequence[Column]) -> Chain | None:
    """The chain that takes away most bits per LUT, the longest of equals; None where none takes away any."""
    found = [chain for low, column in enumerate(columns) if (chain := longest(columns, low) if column.added else plain(column, low))]
    return max(found, key=lambda chain: (chain.rate, len(chain.carries)), default=None)


def longest(columns: Sequence[Column], low: int) -> Chain | None:
    """The best chain from a column up, window by window the best one."""
    enters = columns[low].bits > 2 and columns[low].added > 1
    left = [*columns[low:], Column(0, 0), Column(0, 0), Column(0, 0)]
    left[0] = Column(left[0].added - enters, left[0].subtracted)
    place, taken, total = 0, int(enters), int(enters)
    windows, carries, found = list[tuple[int, ...]](), list[bool](), None
    while left[place].bits > 1:
        window, carried = _window(left[place:place + 3])
        for column, (count, carry) in enumerate(zip(window, carried, strict=True)):
            taken += count + carry
            total += count + carry << place + column
        windows.append(window)
        carries += carried
        place += len(window)
        luts = max(total.bit_length(), place)  # a carry out takes the place of one
        rate = (taken - luts) / luts
        if rate > 0 and (found is None or rate >= found.rate):
            found = Chain(rate, low, enters, tuple(windows), tuple(carries))
    return found


def _window(left: Sequence[Column]) -> tuple[tuple[int, ...], list[bool]]:
    """The window that takes away most bits per LUT, and which columns have a bit to carry beside; the first column has one left over."""
    def carried(window: tuple[int, ...]) -> list[bool]:
        return [column.added > max(0, count - column.subtracted) for count, column in zip(window, left, strict=False)]

    fitting = [window for window in WINDOWS
               if window[0] < left[0].bits and all(count <= column.bits for count, column in zip(window, left, strict=False))]
    window = max(fitting, key=lambda window: (sum(window) + sum(carried(window))) / len(window))
    return window, carried(window)


def plain(column: Column, low: int) -> Chain | None:
    """A table of its own for a column in which nothing can be carried."""
    count = min(column.subtracted, TABLE_NETS)
    luts = count.bit_length()
    return Chain((count - luts) / luts, low, False, ((count,),), (False,)) if count > luts else None


def ripple(columns: Sequence[Column], constant: int) -> Chain | None:
    """A chain that takes a second bit, or else one of the constant, out of every column, where no chain takes any away."""
    low = next((at for at, column in enumerate(columns) if column.added and (column.bits > 1 or constant >> at & 1)), None)
    if low is None:
        return None
    windows = tuple((int(column.bits > 1),) for column in columns[low:])
    carries = tuple(column.added > max(0, count - column.subtracted) for column, (count,) in zip(columns[low:], windows, strict=True))
    return Chain(0.0, low, columns[low].added > 1 and columns[low].bits > 2, windows, carries)


class Tile(NamedTuple):
    """A window of the last chain: its columns, and what of the constant its table adds."""

    place: int
    columns: int
    constant: int


def tiled(left: list[int], lifts: list[int], place: int, constant: int) -> list[Tile] | None:
    """Windows for all bits `left` from a column up and the constant; None where there are none. The highest may take any part of the
    constant, since a sign goes on for nothing.

    `lifts`: bits of every column that are subtracted, which a window makes positive by adding as much.
    """
    while place < len(left) and not left[place] and not constant >> place & 1:
        place += 1
    if place >= len(left):
        return [Tile(place, 0, constant >> place)] if constant else []
    lift = sum(count << column for column, count in enumerate(lifts[place:]))
    if 0 < sum(left[place:]) <= FOLDED_NETS:
        return [Tile(place, len(left) - place, (constant >> place) - lift)]
    for columns in (3, 2, 1, 4, 5):
        nets = left[place:place + columns]
        lift = sum(count << column for column, count in enumerate(lifts[place:place + columns]))
        some = (constant >> place) - lift & (1 << columns) - 1
        most = sum(count << column for column, count in enumerate(nets)) + some
        if sum(nets) <= FOLDED_NETS and 0 < most < 1 << columns:
            rest = tiled(left, lifts, place + columns, constant - (lift + some << place))
            if rest is not None:
                return [Tile(place, columns, some), *rest]
    return None

"""A heap of bits, column by column, added up level by level by chains that `chains` chooses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.builder import Builder
from bwnhw.adders.chains import Chain, Column, Tile, best, ripple, tiled
from bwnhw.adders.graph import Terms, Unreachable

LAST = 9  # bits, about, that a last chain adds up


@dataclass(frozen=True)
class Schedule:
    """When to build a chain: where it takes away at least `rate` bits per LUT, or where more bits are left than levels that each leave one
    in `shrink` would add up; one per level in any case."""

    rate: float
    shrink: float


class Heap:
    """Σ terms, bit by bit: nodes by column, column c counting 2**c, and a constant that is still to be added."""

    def __init__(self, builder: Builder, terms: Terms) -> None:
        self._builder = builder
        self._constant = 0
        self._waiting: list[list[tuple[int, int, int]]] = []  # (level, node, sign) by column
        self._added: list[list[int]] = []  # nodes by column that the present level may read
        self._subtracted: list[list[int]] = []
        for node, factor in terms:
            self._put(abs(factor).bit_length() - 1, node, 1 if factor > 0 else -1)
            self._constant -= factor * builder.constant(node)

    def total(self, vector: NDArray[np.int64], levels: int, schedule: Schedule, base: int | None = None, scale: int = 1) -> int:
        """The node base + scale·(everything), which is `vector` times the inputs. Raises Unreachable where the levels don't suffice."""
        for level in range(1, levels + 1):
            self._ready(level)
            if not any(self._waiting) and (tiles := self._tiles(base is None)):
                if base is None or self._builder.level(base) < level:
                    return self._finished(tiles, vector, base, scale)
                continue
            self._stage(schedule.rate, LAST * schedule.shrink ** (levels - level - 1))
        raise Unreachable(f"{levels} levels are too few")

    def _put(self, column: int, node: int, sign: int) -> None:
        """Put in the bits of a node."""
        made = self._builder.nodes[node]
        self._waiting += [[] for _ in range(column + made.bits - len(self._waiting))]
        for bit in range(made.bits):
            turned = -sign if made.lo < 0 and bit == made.bits - 1 else sign
            self._waiting[column + bit].append((made.level, self._builder.bit(node, bit), turned))

    def _ready(self, level: int) -> None:
        """What the level may read, with what the one before left."""
        self._added += [[] for _ in range(len(self._waiting) - len(self._added))]
        self._subtracted += [[] for _ in range(len(self._waiting) - len(self._subtracted))]
        for column, bits in enumerate(self._waiting):
            self._added[column] += [node for at, node, sign in bits if at < level and sign > 0]
            self._subtracted[column] += [node for at, node, sign in bits if at < level and sign < 0]
            self._waiting[column] = [bit for bit in bits if bit[0] >= level]

    def _columns(self) -> list[Column]:
        return [Column(len(added), len(subtracted)) for added, subtracted in zip(self._added, self._subtracted, strict=True)]

    def _stage(self, rate: float, most: float) -> None:
        """The chains of a level, which are to leave at most so many bits."""
        alone = not any(self._waiting)
        columns = self._columns()
        chain = best(columns)
        if chain is None:
            chain = ripple(columns, self._constant) if alone else None
            if chain:
                self._build(chain)
            return
        built = 0
        while chain and (not built or chain.rate >= rate or sum(map(len, self._waiting)) + sum(column.bits for column in columns) > most):
            self._build(chain)
            built += 1
            columns = self._columns()
            if not chain.fits(columns):  # as long as it fits no other takes away more
                chain = best(columns)

    def _build(self, chain: Chain) -> None:
        """Make the chain's node, and put its bits in."""
        if not any(chain.carries):  # a plain table of subtracted bits
            (count,), = chain.windows
            self._constant -= count << chain.low
            self._put(chain.low, self._builder.node(tuple(self._taken(chain.low, count)), count), 1)
            return
        carried = [(self._added[chain.low].pop(0), 1)] if chain.enters else []
        tables: list[tuple[int, int]] = []
        place, carries = chain.low, iter(chain.carries)
        for window in chain.windows:
            shift, width = place - chain.low, (1 << len(window)) - 1
            carried += [(self._added[place + column].pop(0), 1 << shift + column) for column in range(len(window)) if next(carries)]
            terms = tuple((node, sign << column) for column, count in enumerate(window)
                          for node, sign in self._taken(place + column, count))
            most = sum(factor for _, factor in carried) + sum(self._builder.nodes[table].hi * factor for table, factor in tables)
            full = sum(abs(factor) for _, factor in terms)
            room = (1 << (most + (full << shift)).bit_length()) - 1 - most >> shift  # what gives the sum no further bit
            spare = width - full if not chain.rate else min(width, room) - full
            if terms or not chain.rate and self._constant >> place & 1:
                tables.append(self._table(terms, place, shift, spare))
            place += len(window)
        self._put(chain.low, self._builder.columns(tuple(carried), tuple(tables)), 1)

    def _taken(self, column: int, count: int) -> list[tuple[int, int]]:
        """So many ready bits (node, sign) of a column for a table, subtracted ones first."""
        added, subtracted = (self._added[column], self._subtracted[column]) if count else ([], [])
        return [(subtracted.pop(0), -1) if subtracted else (added.pop(0), 1) for _ in range(count)]

    def _table(self, terms: Terms, place: int, shift: int, spare: int) -> tuple[int, int]:
        """A table of a chain, with what makes it positive, and with as much of the constant as there is room for."""
        lift = -sum(factor for _, factor in terms if factor < 0)
        self._constant -= lift << place
        some = next(part for part in (self._constant >> place & 3, self._constant >> place & 1, 0) if part <= spare)
        self._constant -= some << place
        return self._builder.inside(terms, lift + some), 1 << shift

    def _enters(self, carried: bool) -> int | None:
        """The column of which a bit enters the last chain's carry, beside one in a table and, with `carried`, one that is carried."""
        low = next(at for at, column in enumerate(self._columns()) if column.bits)
        column = self._columns()[low]
        return low if column.bits > 1 + carried and column.added > carried else None

    def _tiles(self, carried: bool) -> list[Tile] | None:
        """Windows of one last chain that adds up everything. `carried`: it carries a bit of every column, else a number that stands."""
        columns = self._columns()
        if carried and not any(column.added for column in columns):
            return None
        enters = self._enters(carried)
        left = [column.bits - (carried and column.added > 0) - (at == enters) for at, column in enumerate(columns)]
        return tiled(left, [column.subtracted for column in columns], 0, self._constant)

    def _finished(self, tiles: list[Tile], vector: NDArray[np.int64], base: int | None, scale: int) -> int:
        """The last chain."""
        low = self._enters(base is None)
        carried = [] if low is None else [(self._added[low].pop(0), scale << low)]
        carried += [(base, 1)] if base is not None else [(nodes.pop(0), 1 << column) for column, nodes in enumerate(self._added) if nodes]
        tables = []
        for tile in tiles:
            terms = tuple((node, sign << column) for column in range(min(tile.columns, len(self._added) - tile.place))
                          for node, sign in self._taken(tile.place + column, self._columns()[tile.place + column].bits))
            lift = -sum(factor for _, factor in terms if factor < 0)
            tables.append((self._builder.inside(terms, lift + tile.constant), scale << tile.place))
        return self._builder.columns(tuple(carried), tuple(tables), vector)

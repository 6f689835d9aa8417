"""Rows from rows: every row of a matrix as another one plus the few terms in which they differ (a tree of least cost, Prim's way)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.builder import Builder
from bwnhw.adders.graph import FOLDED_NETS, Node, Terms, Unreachable
from bwnhw.adders.sums import NEVER, Base, Plan, alone, attached, plan

TRIES = 1500  # rows × first rows that are tried


@dataclass(frozen=True)
class Step:
    """Row `row`, times `sign`, from row `source` as it stands there (None: from nothing) plus `scale` times the difference."""

    row: int
    sign: int
    source: int | None
    scale: int
    how: Plan


@dataclass(frozen=True)
class Tree:
    """Steps in an order in which sources come first, and what they cost together."""

    cost: int
    steps: tuple[Step, ...]


def grow(builder: Builder, rows: NDArray[np.int64], levels: int, *, exact: bool) -> list[tuple[int, int]]:
    """(node, sign) of every row of `rows` (rows, inputs), none of them zero. Raises Unreachable where the levels don't suffice.

    With `exact` the cheapest tree counts what it costs to negate the rows that come out negated.
    """
    pairs = Pairs(builder, rows, split=builder.nodes[0].bits > FOLDED_NETS - 2)  # no table takes in another wide input
    tree = _cheapest(pairs, builder.nodes[0].bits, levels, exact)
    if not tree.steps:
        raise Unreachable(f"{levels} levels are too few")
    made: dict[int, tuple[int, int]] = {}
    for step in tree.steps:
        row = step.sign * rows[step.row]
        if step.source is None:
            node, factor = alone(builder, step.how, row_terms(row, split=pairs.split))
            made[step.row] = node, factor * step.sign
        else:
            source = made[step.source][0]
            difference = (row - builder.vector(source)) // step.scale
            made[step.row] = attached(builder, step.how, row_terms(difference, split=pairs.split), source, step.scale), step.sign
    return [made[row] for row in sorted(made)]


def _cheapest(pairs: "Pairs", bits: int, levels: int, exact: bool) -> Tree:
    """The cheapest tree over some first rows and levels for them."""
    best = Tree(NEVER, ())
    for first in range(min(len(pairs.own), max(1, TRIES // len(pairs.own)))):
        cheaper = NEVER
        for limit in range(_room(levels, pairs.led[first], exact) + 1):
            root = Step(first, pairs.led[first], None, 1, plan(int(pairs.own[first]), limit, bits, pairs.unit))
            if root.how.cost < cheaper:
                cheaper = root.how.cost
                best = min(best, _tree(pairs, root, levels, bits, exact), key=lambda found: found.cost)
    return best


class Pairs:
    """What every row has in common with every other: terms of the difference and of the sum, the power of two in them, a row's width.

    `split`: factors that are no powers of two count as several terms.
    """

    def __init__(self, builder: Builder, rows: NDArray[np.int64], *, split: bool) -> None:
        self.split = split
        differences = [rows - row for row in rows], [rows + row for row in rows]
        self.terms = np.array([[term_counts(found, split=split) for found in half] for half in differences])
        self.scales = np.array([[_power(found) for found in half] for half in differences])
        self.units = np.array([[np.abs(found).max(axis=1) for found in half] for half in differences]) <= self.scales
        self.unit = bool(np.abs(rows).max() == 1)
        self.own = term_counts(rows, split=split)
        self.led = [1 if (row > 0).any() else -1 for row in rows]
        self.widths = {(at, sign): Node((), 0, *builder.range(sign * row), 0).bits for at, row in enumerate(rows) for sign in (1, -1)}


def _tree(pairs: Pairs, root: Step, levels: int, bits: int, exact: bool) -> Tree:
    """Prim's tree from a first row, every further one by the step that costs least then."""
    total, steps = root.how.cost + _penalty(pairs, root, exact), [root]
    open_rows = [row for row in range(len(pairs.own)) if row != root.row]
    offers: dict[int, tuple[int, Step]] = {}
    for row in open_rows:  # from nothing, as the first one
        step = Step(row, pairs.led[row], None, 1, plan(int(pairs.own[row]), _room(levels, pairs.led[row], exact), bits, pairs.unit))
        offers[row] = step.how.cost + _penalty(pairs, step, exact), step
    latest = root
    while open_rows:
        for row in open_rows:
            for relative in (0, 1):
                step = _step(pairs, row, latest, relative, levels, bits, exact)
                price = step.how.cost + _penalty(pairs, step, exact)
                if price < offers[row][0]:
                    offers[row] = price, step
        row = min(open_rows, key=lambda row: (offers[row][0], offers[row][1].how.level, row))
        price, latest = offers[row]
        total += price
        steps.append(latest)
        open_rows.remove(row)
    return Tree(total, tuple(steps))


def _step(pairs: Pairs, row: int, source: Step, relative: int, levels: int, bits: int, exact: bool) -> Step:
    """The cheapest step from a row that stands to another one, of equal (`relative` 0) or opposite sign."""
    sign = -source.sign if relative else source.sign
    terms, scale = int(pairs.terms[relative][source.row][row]), int(pairs.scales[relative][source.row][row])
    base = Base(source.how.level, pairs.widths[row, sign] - scale.bit_length() + 1)
    how = plan(terms, _room(levels, sign, exact), bits, bool(pairs.units[relative][source.row][row]), base)
    return Step(row, sign, source.row, scale, how)


def _room(levels: int, sign: int, exact: bool) -> int:
    """Levels for a row that is then still to be negated, or isn't."""
    return levels - (exact and sign < 0)


def _penalty(pairs: Pairs, step: Step, exact: bool) -> int:
    """LUTs that negate a row which comes out negated: all bits but the lowest."""
    return pairs.widths[step.row, -1] - 1 if exact and step.sign < 0 else 0


def row_terms(row: NDArray[np.int64], *, split: bool) -> Terms:
    """(input, factor) of a row; with `split` only powers of two."""
    return tuple((int(at), digit) for at in np.flatnonzero(row) for digit in (digits(int(row[at])) if split else (int(row[at]),)))


def distinct(matrix: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int], list[int]]:
    """The different rows up to sign and power of two, as they first occur; which one every row is, and times what."""
    scales = np.maximum(1, np.bitwise_or.reduce(np.abs(matrix), axis=1))
    scales &= -scales
    lead = np.take_along_axis(matrix, (matrix != 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    signs = np.where(lead < 0, -1, 1)
    rows, first, index = np.unique(matrix * signs[:, None] // scales[:, None], axis=0, return_index=True, return_inverse=True)
    index = index.ravel()
    return rows * signs[first, None], index.tolist(), (signs * signs[first][index] * scales).tolist()


def digits(number: int) -> tuple[int, ...]:
    """The fewest powers of two, with signs, that add up to a number (its non-adjacent form)."""
    found, power = [], 1
    while number:
        if number & 1:
            digit = 2 - (number & 3)
            found.append(digit * power)
            number -= digit
        number >>= 1
        power <<= 1
    return tuple(found)


def term_counts(rows: NDArray[np.int64], *, split: bool = True) -> NDArray[np.int64]:
    """Terms of every row (rows, inputs): inputs that it uses; with `split` signed powers of two of its weights."""
    if not split:
        return np.asarray(np.count_nonzero(rows, axis=1), np.int64)
    tripled = 3 * np.abs(rows)  # the bits in which x and 3x differ are the digits of x's non-adjacent form
    return np.asarray(np.bitwise_count((tripled ^ np.abs(rows)) >> 1).sum(axis=1, dtype=np.int64))


def _power(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The greatest power of two that divides every row, 1 for a row of zeros."""
    merged = np.bitwise_or.reduce(np.abs(rows), axis=1)
    return np.asarray(np.maximum(merged & -merged, 1))

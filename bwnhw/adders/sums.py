"""The cheapest way to add up many inputs of few bits, alone or to a node that is there: tables, and carry chains that take in tables.

A plan says how; it follows from counts and widths alone (a dynamic program), and is then built with the terms at hand.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bwnhw.adders.builder import Builder
from bwnhw.adders.graph import FOLDED_NETS, TABLE_NETS, Terms, is_power

NEVER = 1 << 30  # the cost of what can't be done within the levels
# Inputs of one bit that one carry chain takes in at once: groups of (inputs, nets); a group of more than one input is a table of its own.
GROUPS: tuple[tuple[tuple[int, int], ...], ...] = (((6, 3), (1, 1), (1, 1)), ((6, 3), (3, 2)), ((3, 2), (3, 2), (1, 1)))


@dataclass(frozen=True)
class Base:
    """What the terms are added to: its level, and the bits of the sum that a carry chain has to compute."""

    level: int
    width: int


@dataclass(frozen=True)
class Plan:
    """How to add `count` inputs; `cost` in LUT6, `level` the adder level of the result.

    `kind`: "base" (nothing to add), "table", "fold" (`parts[0]` plus groups of inputs) or "add" (of both parts, or part and base).
    """

    kind: str
    cost: int
    level: int = 0
    count: int = 0
    groups: tuple[int, ...] = ()
    parts: tuple["Plan", ...] = ()


IMPOSSIBLE = Plan("none", NEVER)


@cache
def plan(count: int, levels: int, bits: int, unit: bool, base: Base | None = None) -> Plan:
    """The cheapest plan for `count` terms of `bits` each within `levels` adder levels, added to `base` or alone.

    `unit`: all factors are ±1, so that tables of several inputs have few bits.
    """
    if base and count == 0:
        return Plan("base", 0, base.level) if base.level <= levels else IMPOSSIBLE
    table = TABLE_NETS // bits
    if base is None and count <= max(1, table):
        level = int(count > 1)
        return Plan("table", level * _width(count, bits), level, count) if levels >= level else IMPOSSIBLE
    if levels < 1:
        return IMPOSSIBLE
    options = [_folded(count, levels, bits, unit, base, groups) for groups in _groups(count, bits, unit)]
    if base:
        if base.level < levels:
            rest = plan(count, levels - 1, bits, unit)
            options.append(Plan("add", rest.cost + base.width, 1 + max(rest.level, base.level), count, (), (rest,)))
    else:
        parts = tuple(plan(part, levels - 1, bits, unit) for part in (count - count // 2, count // 2))
        total, level = sum(part.cost for part in parts) + _width(count, bits), 1 + max(part.level for part in parts)
        options.append(Plan("add", total, level, count, (), parts))
    return min(options, key=lambda option: (option.cost, option.level), default=IMPOSSIBLE)


def _width(count: int, bits: int) -> int:
    return (count * ((1 << bits) - 1)).bit_length()


def _groups(count: int, bits: int, unit: bool) -> list[tuple[tuple[int, int], ...]]:
    single = [((1, bits),) * number for number in range(1, max(1, FOLDED_NETS // bits) + 1) if number <= count]
    return single + [groups for groups in GROUPS if bits == 1 and unit and sum(inputs for inputs, _ in groups) <= count]


def _folded(count: int, levels: int, bits: int, unit: bool, base: Base | None, groups: tuple[tuple[int, int], ...]) -> Plan:
    taken = sum(inputs for inputs, _ in groups)
    tables = sum(nets for inputs, nets in groups if inputs > 1)
    if tables and levels < 2 or base is None and taken == count:
        return IMPOSSIBLE
    rest = plan(count - taken, levels - 1, bits, unit, base)
    width = base.width if base else _width(count, bits)
    level = 1 + max(rest.level, int(tables > 0))
    return Plan("fold", rest.cost + tables + width, level, count, tuple(inputs for inputs, _ in groups), (rest,))


def alone(builder: Builder, how: Plan, terms: Terms, constant: int | None = 0) -> tuple[int, int]:
    """(node, factor) of Σ terms + constant, built as planned; `terms` are of inputs.

    Without a constant, where inputs have one bit, it is the one that makes the least value 0: that saves bits.
    """
    if how.count == 1 and is_power(terms[0][1]):
        return terms[0]
    terms, sign = _led(terms) if _starts_bare(how) else (terms, 1)
    vector = _vector(builder, terms)
    wanted = -builder.range(vector)[0] if constant is None else sign * constant
    if how.kind == "table":
        return builder.node(terms, wanted), sign
    first, kept = how.parts[0], terms[:how.parts[0].count]
    inner = None if builder.nodes[terms[0][0]].bits == 1 else 0
    if how.kind == "fold":
        parts = alone(builder, first, kept, inner), *_groups_of(builder, how, terms[len(kept):])
        return builder.node(parts, wanted - _lift(builder, parts)), sign
    right = alone(builder, how.parts[1], terms[len(kept):], inner)
    left = alone(builder, first, kept, wanted - _lift(builder, (right,)))  # a chain of two wide terms takes no constant itself
    return builder.node((left, right) if left[1] > 0 else (right, left)), sign


def attached(builder: Builder, how: Plan, terms: Terms, base: int, scale: int) -> int:
    """The node base + scale·Σ terms, built as planned for that base."""
    if how.kind == "base":
        return base
    if how.kind == "add":
        node, factor = alone(builder, how.parts[0], terms)
        return builder.node(((base, 1), (node, factor * scale)))
    first = how.parts[0]
    kept = terms[:first.count]
    groups = _groups_of(builder, how, terms[len(kept):])
    parts = (attached(builder, first, kept, base, scale), 1), *((node, factor * scale) for node, factor in groups)
    return builder.node(parts, -_lift(builder, parts))


def _groups_of(builder: Builder, how: Plan, terms: Terms) -> Terms:
    """What a carry chain takes in: single inputs, and tables of several."""
    found, at = [], 0
    for size in how.groups:
        group, at = terms[at:at + size], at + size
        found.append(group[0] if size == 1 else alone(builder, Plan("table", 0, 1, size), group, None))
    return tuple(found)


def _lift(builder: Builder, terms: Terms) -> int:
    return sum(factor * builder.constant(node) for node, factor in terms)


def _vector(builder: Builder, terms: Terms) -> NDArray[np.int64]:
    vector: NDArray[np.int64] = np.sum([factor * builder.vector(node) for node, factor in terms], axis=0)
    return vector


def _starts_bare(how: Plan) -> bool:
    """True where the carried term of the first chain is an input itself, which can't be subtracted there."""
    while how.parts:
        how = how.parts[0]
    return how.count == 1


def _led(terms: Terms) -> tuple[Terms, int]:
    """The terms with a positive one in front, or all of them negated."""
    sign = 1 if any(factor > 0 for _, factor in terms) else -1
    return tuple(sorted(((node, sign * factor) for node, factor in terms), key=lambda term: term[1] < 0)), sign

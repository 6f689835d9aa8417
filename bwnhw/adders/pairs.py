"""Sums that share their parts: the pair of terms that saves most becomes a node of its own, again and again (common subexpressions).

A row's terms on levels l may still be summed within L levels as long as Σ 2**l ≤ 2**L: a pair is shared only by rows that it leaves so.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from random import Random

from bwnhw.adders.builder import Builder
from bwnhw.adders.graph import Terms, Unreachable

Pair = tuple[int, int, int, int]  # two nodes, and the powers of two and sign by which the second one differs
Place = tuple[int, int]  # a node and the power of two of its factor


class _Row:
    """Terms still to be summed: place → sign; `room`: what Σ 2**level may still grow by."""

    def __init__(self, builder: Builder, terms: Terms, levels: int) -> None:
        self._builder = builder
        self.signs: dict[Place, int] = {}
        self.room = 1 << levels
        for node, factor in terms:
            place = node, abs(factor).bit_length() - 1
            self.signs[place] = 1 if factor > 0 else -1
            self.room -= 1 << builder.level(node)

    def pairs(self, one: Place, others: Iterable[Place]) -> Iterable[Pair]:
        """The pairs of a term with others of the row."""
        return (_pair(one, other, self.signs[one] * self.signs[other]) for other in others if other != one)

    def allows(self, one: Place, other: Place) -> bool:
        """Whether the levels suffice when the two are added first."""
        first, second = self._builder.level(one[0]), self._builder.level(other[0])
        return (2 << max(first, second)) - (1 << first) - (1 << second) <= self.room

    def replace(self, one: Place, other: Place, node: int, shift: int, sign: int) -> Place:
        """Put the node that is the two's sum in their place."""
        self.room += (1 << self._builder.level(one[0])) + (1 << self._builder.level(other[0])) - (1 << self._builder.level(node))
        del self.signs[one], self.signs[other]
        while self.signs.get((node, shift)) == sign:  # twice the same is once the next power of two
            del self.signs[node, shift]
            self.room += 1 << self._builder.level(node)
            shift += 1
        if (node, shift) in self.signs:
            raise ValueError("terms of a row must not cancel each other")
        self.signs[node, shift] = sign
        return node, shift


def share(builder: Builder, rows: list[Terms], levels: list[int], seed: int | None = None) -> list[tuple[int, int]]:
    """(node, factor) of Σ factor·node for every row, at most its `levels` deep; factors are ± powers of two, no row is empty.

    Of pairs that save as much the first one is taken, with a `seed` any. Raises Unreachable where a row's levels don't suffice.
    """
    states = [_Row(builder, terms, max(0, limit)) for terms, limit in zip(rows, levels, strict=True)]
    if min(levels) < 0 or any(state.room < 0 for state in states):
        raise Unreachable("a row's terms must fit its levels")
    _extract(builder, states, Random(seed).random if seed is not None else float)
    return [_summed(builder, state) for state in states]


def _extract(builder: Builder, rows: list[_Row], tie: Callable[[], float]) -> None:
    """Share pairs as long as any saves something; `tie` draws what decides between equals."""
    found: dict[Pair, set[int]] = defaultdict(set)
    for at, row in enumerate(rows):
        places = sorted(row.signs)
        for number, one in enumerate(places):
            for pair in row.pairs(one, places[number + 1:]):
                found[pair].add(at)
    heap = [(-_saved(builder, pair, len(users)), tie(), pair) for pair, users in found.items() if len(users) > 1]
    heapify(heap)
    while heap:
        price, _, pair = heappop(heap)
        users = [at for at in sorted(found[pair]) if (ends := _ends(rows[at], pair)) and rows[at].allows(*ends)]
        saved = _saved(builder, pair, len(users))
        if saved != -price:  # fewer rows than there were when it was put in line
            if saved > 0:
                heappush(heap, (-saved, tie(), pair))
            continue
        if saved <= 0:
            break
        node = _node(builder, pair)
        for at in users:
            for new in _applied(builder, rows[at], at, pair, node, found):
                heappush(heap, (-_saved(builder, new, len(found[new])), tie(), new))


def _applied(builder: Builder, row: _Row, at: int, pair: Pair, node: int, found: dict[Pair, set[int]]) -> Iterator[Pair]:
    """Put a pair's node into a row; the new pairs that other rows have as well."""
    ends = _ends(row, pair)
    while ends and row.allows(*ends):
        one, other = ends
        for gone in (*row.pairs(one, row.signs), *row.pairs(other, row.signs)):
            found[gone].discard(at)
        place = row.replace(one, other, node, min(one[1], other[1]), row.signs[one])
        for new in row.pairs(place, row.signs):
            users = found[new]
            users.add(at)
            if len(users) > 1:
                yield new
        ends = _ends(row, pair)


def _pair(one: Place, other: Place, sign: int) -> Pair:
    one, other = sorted((one, other))
    return one[0], other[0], other[1] - one[1], sign


def _ends(row: _Row, pair: Pair) -> tuple[Place, Place] | None:
    """Where a pair stands in a row, at its lowest power of two."""
    first, second, shift, sign = pair
    for place, one in row.signs.items():
        other = second, place[1] + shift
        if place[0] == first and other != place and row.signs.get(other) == one * sign:
            return place, other
    return None


def _terms(pair: Pair) -> Terms:
    """The two terms of a pair's node; a term that is taken away comes second."""
    first, second, shift, sign = pair
    return (first, 1 << max(0, -shift)), (second, sign << max(0, shift))


def _node(builder: Builder, pair: Pair) -> int:
    return builder.node(_terms(pair))


def _saved(builder: Builder, pair: Pair, users: int) -> int:
    """LUTs saved by adding a pair once instead of once per row, about: the bits that its adder has."""
    first, second, shift, _ = pair
    return (users - 1) * (max(builder.bits(first), builder.bits(second) + abs(shift)) + 1 - min(abs(shift), builder.bits(first)))


def _summed(builder: Builder, row: _Row) -> tuple[int, int]:
    """Add up what is left, the narrowest first, as long as the levels suffice; else the lowest."""
    while len(row.signs) > 1:
        order = sorted(row.signs, key=lambda place: (builder.bits(place[0]) + place[1], builder.level(place[0]), place))
        choices = ((one, other) for at, one in enumerate(order) for other in order[at + 1:])
        one, other = next(choice for choice in choices if row.allows(*choice))
        shift, signs = min(one[1], other[1]), (row.signs[one], row.signs[other])
        if signs[0] < signs[1]:
            one, other = other, one
        sign = max(signs)
        terms = (one[0], 1 << one[1] - shift), (other[0], signs[0] * signs[1] << other[1] - shift)
        row.replace(one, other, builder.node(terms), shift, sign)
    (place, sign), = row.signs.items()
    return place[0], sign << place[1]

"""What lowering knows about a tensor of the model: which integers it is an exact function of, and which one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import ModelError
from bwnhw.exact import Surd, TwoRootsError
from bwnhw.geometry import Geometry
from bwnhw.graph import Op
from bwnhw.network import Ints, Meaning
from bwnhw.ops import label

Row = tuple[Surd, ...]
"""One number per channel."""


@dataclass(frozen=True)
class Clamp:
    """min(max(y, lo), hi) per channel; None is no bound."""

    lo: tuple[Surd | None, ...]
    hi: tuple[Surd | None, ...]


@dataclass(frozen=True)
class PendingPool:
    """A max pool of real values whose integers aren't pooled yet; `down[c]` where they fall as the real value rises."""

    geometry: Geometry
    down: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Edge:
    """A tensor as clamp(slope[c]·z + offset[c]) of the integers z of a node, max-pooled by `pools` in turn.

    `node` is None for the graph input's own real values, before the host's quantiser. `shape` is (channels, height, width) behind
    the pools. `view` has the tensor's shape without the batch and holds, for every element, its place in the map of that shape:
    layout operators move the view, the integers stay where they are.
    """

    tensor: str
    node: int | None
    shape: tuple[int, int, int]
    view: NDArray[np.int64]
    slope: Row
    offset: Row
    clamp: Clamp | None = None
    pools: tuple[PendingPool, ...] = ()

    @property
    def in_order(self) -> bool:
        """True where the tensor's elements stand in the map's own order (channel, row, column)."""
        return bool(np.array_equal(self.view.reshape(-1), np.arange(self.view.size)))

    @property
    def is_map(self) -> bool:
        """True where the tensor is (channels, height, width) as convolutions take it."""
        return self.in_order and self.view.shape == self.shape

    @property
    def uniform(self) -> bool:
        """True where all channels have one slope and one offset."""
        return len(set(self.slope)) == 1 and len(set(self.offset)) == 1


def fresh(tensor: str, node: int | None, ints: Ints, shape: Sequence[int], slope: Row, offset: Row) -> Edge:
    """A node's own tensor, of `shape` (without the batch), elements in the map's order."""
    view = np.arange(ints.channels * ints.pixels).reshape(tuple(shape))
    return Edge(tensor, node, ints.shape, view, slope, offset)


def per_channel(edge: Edge, values: NDArray[np.object_], op: Op) -> Row:
    """One number per channel of `values`, which broadcast against the tensor (batch first).

    Raises ModelError where a channel has several.
    """
    channels = edge.shape[0]
    if values.size == 1:
        return (values.reshape(-1)[0],) * channels
    full = (1, *edge.view.shape)
    try:
        spread = np.broadcast_to(values, full)[0]
    except ValueError:
        raise ModelError(f"{label(op)}: expected a constant that broadcasts to {full}, found shape {values.shape}") from None
    ordered = np.empty(edge.view.size, object)
    ordered[edge.view.reshape(-1)] = spread.reshape(-1)
    rows = ordered.reshape(channels, -1)
    if (rows != rows[:, :1]).any():
        raise ModelError(f"{label(op)}: expected a constant per channel, found values that differ within one of the {channels} channels")
    return tuple(rows[:, 0].tolist())


def affine(edge: Edge, factor: Row, term: Row, op: Op) -> Edge:
    """factor·y + term of the tensor y; the result is called as the operator's output. Raises ModelError where two roots meet."""
    try:
        slope = tuple(f * s for f, s in zip(factor, edge.slope, strict=True))
        offset = tuple(f * o + t for f, o, t in zip(factor, edge.offset, term, strict=True))
        clamp = edge.clamp and _clamp_affine(edge.clamp, factor, term)
    except TwoRootsError:
        raise ModelError(f"{label(op)}: expected a quantiser between two batch norms, found none: their roots can't be told "
                         "apart exactly") from None
    return replace(edge, tensor=op.outputs[0], slope=slope, offset=offset, clamp=clamp)


def _clamp_affine(clamp: Clamp, factor: Row, term: Row) -> Clamp:
    def moved(bounds: tuple[Surd | None, ...]) -> list[Surd | None]:
        return [None if b is None else f * b + t for b, f, t in zip(bounds, factor, term, strict=True)]

    lo, hi = moved(clamp.lo), moved(clamp.hi)
    swapped = [(h, low) if f.sign() < 0 else (low, h) for low, h, f in zip(lo, hi, factor, strict=True)]
    return Clamp(tuple(low for low, _ in swapped), tuple(h for _, h in swapped))


def clamped(edge: Edge, lo: Surd | None, hi: Surd | None, ints: Ints | None, op: Op) -> Edge:
    """min(max(y, lo), hi), left out where the integers' range never reaches the bounds."""
    before = edge.clamp or Clamp((None,) * len(edge.slope), (None,) * len(edge.slope))
    after = Clamp(tuple(_clip(b, lo, hi) if b is not None else lo for b in before.lo),
                  tuple(_clip(b, lo, hi) if b is not None else hi for b in before.hi))
    edge = replace(edge, tensor=op.outputs[0])
    if ints is None or not all(_inside(ends, low, high) for ends, low, high in zip(_ends(edge, ints), after.lo, after.hi, strict=True)):
        return replace(edge, clamp=after)
    return replace(edge, clamp=None)


def _clip(value: Surd, lo: Surd | None, hi: Surd | None) -> Surd:
    if lo is not None and value < lo:
        value = lo
    return hi if hi is not None and value > hi else value


def _ends(edge: Edge, ints: Ints) -> list[tuple[Surd, Surd]]:
    return [(s * ints.lo + o, s * ints.hi + o) for s, o in zip(edge.slope, edge.offset, strict=True)]


def _inside(ends: tuple[Surd, Surd], lo: Surd | None, hi: Surd | None) -> bool:
    return (lo is None or min(ends) >= lo) and (hi is None or max(ends) <= hi)


def meaning(edge: Edge) -> Meaning | None:
    """The tensor as scale·(code − zero), where it is one, with the elements in the map's order."""
    plain = edge.clamp is None and not edge.pools and edge.in_order
    if not plain or not all(s.rational and o.rational and s.sign() for s, o in zip(edge.slope, edge.offset, strict=True)):
        return None
    pairs = [(s.u, -o.u / s.u) for s, o in zip(edge.slope, edge.offset, strict=True)]
    if len(set(pairs)) == 1:
        pairs = pairs[:1]
    return Meaning(edge.tensor, tuple(s for s, _ in pairs), tuple(z for _, z in pairs))

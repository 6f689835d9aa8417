"""Constants that depend on a counter, as logic: compare-and-choose where values come in long runs, a table where they don't."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeVar

import numpy as np
from amaranth import Array, Const, Mux, Shape, Value, ValueCastable
from numpy.typing import NDArray

T = TypeVar("T")


def shape_of(values: Sequence[int]) -> Shape:
    """The narrowest shape (at least 1 bit) that holds every value."""
    low, high = min(values), max(values)
    return Shape.cast(range(min(low, 0), max(high, 1) + 1))


def by_row_and_column(table: NDArray[np.int64], row: Value, column: Value) -> Value:
    """table[row, column], for a table of few different rows, each of few runs of equal values."""
    shape = shape_of(table.reshape(-1).tolist())
    rows = [tuple(values) for values in table.tolist()]
    return _by_run(rows, row, lambda values: _by_run(values, column, lambda value: Const(value, shape)))


def by_index(values: Sequence[int], index: Value) -> Value | ValueCastable:
    """values[index]; a constant where they are all equal."""
    shape = shape_of(values)
    if len(set(values)) == 1:
        return Const(values[0], shape)
    return Array(Const(value, shape) for value in values)[index]


def _by_run(items: Sequence[T], index: Value, make: Callable[[T], Value]) -> Value:
    """make(items[index]) by one comparison with the start of every run of equal items but the first."""
    starts = [next(run)[0] for _, run in groupby(enumerate(items), key=lambda pair: pair[1])]
    chosen = make(items[0])
    for start in starts[1:]:
        chosen = Mux(index >= start, make(items[start]), chosen)
    return chosen

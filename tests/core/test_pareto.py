"""Pareto sets against their definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bwnhw.pareto import pareto

POINTS = st.integers(1, 3).flatmap(lambda d: st.lists(st.lists(st.integers(0, 6), min_size=d, max_size=d), min_size=1, max_size=40))


@given(POINTS, st.integers(2, 8))
def test_equals_its_definition(rows: list[list[int]], limit: int) -> None:
    points = np.array(rows, np.int64)
    kept = pareto(points, np.full(points.shape[1], limit)).tolist()
    inside = [row for row in rows if max(row) <= limit]
    best = {tuple(row) for row in inside
            if not any(other != row and all(a <= b for a, b in zip(other, row, strict=True)) for other in inside)}
    assert [rows[at] for at in kept] == sorted(map(list, best))
    assert all(rows.index(rows[at]) == at for at in kept)

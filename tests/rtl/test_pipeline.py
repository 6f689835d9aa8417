# amaranth: UnusedElaboratable=no
"""Constant tables: what they refuse."""

import pytest
from amaranth import Module, Signal, signed, unsigned

from bwnhw.rtl.pipeline import lookup


@pytest.mark.parametrize(("shape", "entry"), [(unsigned(3), 8), (unsigned(3), -1), (signed(3), 4), (signed(3), -5)])
def test_an_entry_too_wide_is_refused(shape, entry):
    with pytest.raises(ValueError, match="table x: entries must be in"):
        lookup(Module(), Signal(1), [0, entry], shape, "x")


@pytest.mark.parametrize(("shape", "entries"), [(unsigned(3), [0, 7]), (signed(3), [-4, 3])])
def test_the_widest_entries_are_taken(shape, entries):
    assert lookup(Module(), Signal(1), entries, shape, "x").shape() == shape

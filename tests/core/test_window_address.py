"""Which bits of a window's addresses move: by hand."""

from collections.abc import Sequence

import pytest

from bwnhw.array_block import Step
from bwnhw.blocks import Window
from bwnhw.geometry import Geometry
from bwnhw.window_address import addresses


def window(size: int, kernel: int, words: int, taps: int, depth: int, groups: int = 1, depthwise: bool = False) -> Window:
    """A window without padding."""
    stride = kernel if depthwise else 1
    geometry = Geometry(size, size, (kernel, kernel), (stride, stride), (0, 0, 0, 0))
    return Window(geometry, 4, 1, words, taps, groups, depthwise, 1, (Step(0, 0, 0),), 1, 0, 1, depth)


def test_a_whole_map_is_read_without_adders() -> None:
    """The next pixel is the next image, 64 words further; copy k reads tap 8·beat + k, so that three bits are constant and three a beat."""
    found = addresses(window(8, 8, 1, 8, 128))
    assert (found.bits, found.base, found.cursor, found.tables) == (7, 1, 1, 0)
    assert found.summed == (1,) * 8
    assert found.fixed == (3,) * 8


def test_the_cursor_goes_over_the_words_of_a_pixel() -> None:
    """16 pixels of three words: the base moves by 48, the cursor by single words."""
    found = addresses(window(4, 4, 3, 4, 64))
    assert (found.base, found.cursor) == (6 - 4, 6)
    assert found.summed == (6 - 2, 6, 6 - 1, 6)  # 0, 12, 24, 36 words; 3, 15, ...; 6, 18, ...; 9, 21, ...
    assert found.fixed == (0, 0, 0, 0)


@pytest.mark.parametrize(("taps", "summed", "tables"), [
    (9, (0, 5, 4, 3, 5, 4, 2, 5, 4), 0),  # distances 0, 1, 2; 12, 13, 14; 24, 25, 26
    (1, (5,), 5),  # no bit of them, by beat, is a bit of the beat
])
def test_a_small_kernel(taps: int, summed: Sequence[int], tables: int) -> None:
    found = addresses(window(12, 3, 1, taps, 32))
    assert (found.base, found.cursor, found.tables) == (5, 5, tables)
    assert found.summed == summed


@pytest.mark.parametrize(("groups", "cursor"), [(1, 3), (2, 4)])
def test_a_pool_goes_over_its_words_by_groups(groups: int, cursor: int) -> None:
    """Pixels of one word: moves are even, so the lowest bit stays. Of two words: even as well, but the cursor goes over both."""
    found = addresses(window(6, 2, groups, 1, 16, groups, depthwise=True))
    assert found.cursor == cursor

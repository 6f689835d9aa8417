"""Packing: a value comes back from its bits, against a slow reading of the rule, and what doesn't fit is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bwnhw.errors import InputError
from bwnhw.sim.interface import Stream
from bwnhw.sim.packing import pack, unpack


@st.composite
def streams(draw: st.DrawFn) -> tuple[Stream, NDArray[np.int64]]:
    bits = draw(st.integers(1, 40))
    stream = Stream(draw(st.integers(1, 9)), bits, draw(st.integers(bits, 48)), draw(st.booleans()),
                    (draw(st.integers(1, 9)), draw(st.integers(1, 3)), draw(st.integers(1, 3))))
    lo = -(1 << bits - 1) if stream.signed else 0
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    return stream, rng.integers(lo, lo + (1 << bits), (draw(st.integers(0, 3)), *stream.shape))


def by_the_rule(codes: NDArray[np.int64], stream: Stream) -> list[list[int]]:
    """Every beat of every image as a Python integer, element by element."""
    images = []
    for image in codes:
        beats = [0] * stream.beats
        for channel, y, x in np.ndindex(image.shape):
            group, lane = divmod(channel, stream.lanes)
            element = int(image[channel, y, x]) % (1 << stream.pitch)
            beats[(y * stream.shape[2] + x) * stream.groups + group] |= element << lane * stream.pitch
        images.append(beats)
    return images


@given(streams())
def test_round_trip_and_rule(case: tuple[Stream, NDArray[np.int64]]) -> None:
    stream, codes = case
    beats = pack(codes, stream)
    assert beats.shape == (len(codes), stream.beats, stream.beat_bytes)
    assert [[int.from_bytes(beat.tobytes(), "little") for beat in image] for image in beats] == by_the_rule(codes, stream)
    np.testing.assert_array_equal(unpack(beats, stream), codes)


def test_place_names_the_element() -> None:
    stream = Stream(2, 1, 1, False, (3, 2, 4))
    assert stream.place(0, 1) == (1, 0, 0)
    assert stream.place(11, 0) == (2, 1, 1)


def test_wrong_extension_shows() -> None:
    stream = Stream(1, 3, 8, True, (1, 1, 1))
    assert unpack(np.array([[[0b00000100]]], np.uint8), stream)[0, 0, 0, 0] == 4  # -4 without its sign: not taken for -4


@pytest.mark.parametrize(("codes", "message"), [
    (np.zeros((1, 2, 1, 1), int), r"^codes: shape must be \(images, 1, 1, 1\), not \(1, 2, 1, 1\)$"),
    (np.full((1, 1, 1, 1), 4), r"^codes: values must be in 0..3, not 4..4$"),
    (np.full((1, 1, 1, 1), -1), r"^codes: values must be in 0..3, not -1..-1$"),
])
def test_what_does_not_fit_is_refused(codes: NDArray[np.int64], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pack(codes, Stream(1, 2, 2, False, (1, 1, 1)))

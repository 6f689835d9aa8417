"""Trace files: what is written is read back, and what isn't a trace is one sentence."""

from pathlib import Path

import numpy as np
import pytest

from bwnhw.errors import InputError
from bwnhw.trace import Trace, read, write


def test_json_and_npz_are_read_alike(tmp_path: Path) -> None:
    trace = Trace((True, False, True), (False, True))
    write(trace, tmp_path / "t.json")
    np.savez(tmp_path / "t.npz", source=np.array([1, 0, 1], np.uint8), sink=np.array([False, True]))
    assert read(tmp_path / "t.json") == trace == read(tmp_path / "t.npz")


def test_a_pattern_left_out_never_pauses(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"format": "bwnhw-trace", "version": 1, "sink": "01"}')
    assert read(tmp_path / "t.json") == Trace((True,), (False, True))


@pytest.mark.parametrize(("text", "message"), [
    ("[", "trace as JSON"), ("[1]", "bwnhw-trace"), ('{"format": "bwnhw-trace", "version": 2}', "version 1"),
    ('{"format": "bwnhw-trace", "version": 1, "stall": "1"}', "something else"),
    ('{"format": "bwnhw-trace", "version": 1, "sink": "012"}', "characters 0 and 1"),
    ('{"format": "bwnhw-trace", "version": 1, "sink": ""}', "characters 0 and 1"),
    ('{"format": "bwnhw-trace", "version": 1, "sink": "00"}', "ready in some cycle"),
    ('{"format": "bwnhw-trace", "version": 1, "source": "01"}', "cycle 0")])
def test_bad_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "t.json")


def test_bad_npz_is_refused(tmp_path: Path) -> None:
    for number, (content, message) in enumerate([(b"PK", "npz of arrays"), (np.ones((2, 2), np.uint8), "of shape"),
                                                 (np.array([1, 2]), "zeros and ones"), (np.ones(3), "float64")]):
        path = tmp_path / f"{number}.npz"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.savez(path, source=content)
        with pytest.raises(InputError, match=message):
            read(path)

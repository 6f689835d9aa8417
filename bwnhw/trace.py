"""When the outside world plays along: a trace of source gaps and sink stalls, the same for the cycle model and for simulation.

A trace is two patterns of cycles, each repeated for ever. As a file it is JSON,

    {"format": "bwnhw-trace", "version": 1, "source": "1101", "sink": "1000"}

where the n-th character says whether the source may begin to offer a beat, the sink is ready, in cycle n (cycle 0 is the first input
handshake); a pattern that is left out is "1". Or it is an .npz of arrays `source` and `sink` of zeros and ones.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bwnhw.errors import InputError
from bwnhw.files import write_text

ALWAYS = (True,)
LONGEST = 1 << 22  # cycles of a pattern
FIELDS = {"format", "version", "source", "sink"}


@dataclass(frozen=True)
class Trace:
    """Two patterns, each repeated for ever, indexed by cycle.

    `source[t]`: the source may begin to offer a beat in cycle t (and then holds it until it is taken); source[0] must be true, since
    cycle 0 is the first handshake. `sink[t]`: the sink is ready in cycle t; it must be so in some cycle.
    """

    source: Sequence[bool] = ALWAYS
    sink: Sequence[bool] = ALWAYS

    def checked(self) -> "Trace":
        """The trace itself. Raises InputError where no handshake could ever come of it."""
        if not self.source or not self.source[0]:
            raise InputError("trace: expected a source that offers a beat in cycle 0, the first handshake; found one that doesn't")
        if not any(self.sink):
            raise InputError("trace: expected a sink that is ready in some cycle, found one that never is")
        return self


STEADY = Trace()
"""The source always offers, the sink is always ready."""


def read(path: Path) -> Trace:
    """The trace in a file, .npz or else JSON. Raises InputError, OSError."""
    data = path.read_bytes()
    if len(data) > 4 * LONGEST:
        raise InputError(f"{path.name}: expected a trace of at most {4 * LONGEST} bytes, found {len(data)}")
    return (_from_arrays if path.suffix == ".npz" else _from_json)(data, path.name).checked()


def write(trace: Trace, path: Path) -> None:
    """Write a trace as JSON."""
    patterns = {name: "".join("01"[bool(value)] for value in getattr(trace, name)) for name in ("source", "sink")}
    write_text(path, json.dumps({"format": "bwnhw-trace", "version": 1, **patterns}, indent=1) + "\n")


def _from_json(data: bytes, name: str) -> Trace:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: expected a trace as JSON or .npz, but {str(error)[:100]}") from None
    if not isinstance(fields, dict) or fields.get("format") != "bwnhw-trace" or fields.get("version") != 1 or set(fields) - FIELDS:
        raise InputError(f"{name}: expected an object of format 'bwnhw-trace' version 1 with source and sink, found something else")
    return Trace(_from_text(fields.get("source", "1"), name, "source"), _from_text(fields.get("sink", "1"), name, "sink"))


def _from_text(value: Any, name: str, which: str) -> tuple[bool, ...]:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST or set(value) - {"0", "1"}:
        raise InputError(f"{name}: expected {which} as a text of 1 to {LONGEST} characters 0 and 1, found {str(value)[:20]!a}")
    return tuple(char == "1" for char in value)


def _from_arrays(data: bytes, name: str) -> Trace:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            patterns = {which: arrays[which] for which in ("source", "sink") if which in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise InputError(f"{name}: expected an .npz of arrays source and sink, but {str(error)[:100]}") from None
    for which, values in patterns.items():
        if values.ndim != 1 or not 1 <= values.size <= LONGEST or values.dtype.kind not in "bui" or not np.isin(values, (0, 1)).all():
            raise InputError(f"{name}: expected {which} as 1 to {LONGEST} zeros and ones, found {values.dtype} of shape {values.shape}")
    return Trace(**{which: tuple(map(bool, values.tolist())) for which, values in patterns.items()})

"""A training kept on disk after every epoch: what was trained so far, and what was reported."""

from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from bwnhw.errors import InputError
from bwnhw.files import write_bytes
from bwnhw.models.log import EpochReport
from bwnhw.models.state import State


def write_checkpoint(path: Path, state: State, reports: list[EpochReport]) -> None:
    """Write a training between two epochs. Raises OSError."""
    buffer = BytesIO()
    torch.save({"state": state.state_dict(), "reports": [asdict(report) for report in reports]}, buffer)
    write_bytes(path, buffer.getvalue())


def read_checkpoint(path: Path, state: State) -> list[EpochReport]:
    """Bring a state that was just started to where the checkpoint was written; returns the reports until then.

    InputError where the file can't be read, or belongs to another recipe. Nothing but tensors and plain values is unpickled.
    """
    try:
        kept: dict[str, Any] = torch.load(path, weights_only=True)
    except OSError as error:
        raise InputError(f"checkpoint {path}: can't be read, {error.strerror or error}") from None
    except (RuntimeError, UnpicklingError, EOFError, ValueError) as error:
        raise InputError(f"checkpoint {path}: expected what a training wrote, found {type(error).__name__}") from None
    if kept["state"]["recipe"] != state.recipe.table():
        raise InputError(f"checkpoint {path}: expected the recipe {state.recipe.name!r} as it is now, found another")
    state.load_state_dict(kept["state"])
    return [EpochReport(**report) for report in kept["reports"]]

"""Files that are there whole or not at all: written under a temporary name beside their place, then moved into it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bwnhw.errors import InputError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole; one that is there is replaced only when everything is written. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)  # mkstemp's 0600 is for secrets
        os.replace(name, path)
    except BaseException:  # an interrupt too leaves nothing half-written
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, in UTF-8 with the line ends as given. Raises OSError."""
    write_bytes(path, text.encode())


@contextmanager
def new_folder(path: Path, ours: str) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place at the end of the block, and is deleted where the block fails.

    Folders above it are made. A folder that is there is replaced only where it is empty or holds a file `ours` (a pattern), which says
    that it is one that we wrote before. Raises InputError otherwise, OSError.
    """
    if path.is_symlink() or path.exists() and not (path.is_dir() and (any(path.glob(ours)) or not any(path.iterdir()))):
        raise InputError(f"{path}: expected a new folder, an empty one, or one with a {ours} that was written before")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        made.chmod(0o755)
        yield made
        if path.exists():
            old = made.with_name(made.name + ".old")
            path.rename(old)
            made.rename(path)
            shutil.rmtree(old)
        else:
            made.rename(path)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise

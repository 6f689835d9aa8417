"""What isn't installed is one sentence, not a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

from bwnhw.errors import MissingError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around the imports of a command: raises MissingError that names the package and the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "bwnhw":
            raise
        raise MissingError(f"{error.name.split('.')[0]} is not installed, get it with: pip install 'bwnhw[{extra}]'") from None

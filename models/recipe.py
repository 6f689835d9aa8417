"""A training recipe: every number that decides a training's result, read from a TOML file."""

import re
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

from bwnhw.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how.

    `shift` (pixels), `rotate` (degrees) and `zoom` (fraction) bound the random distortion of every training image.
    `validation` images of the training set are held out and only reported on. `threads` is torch's number of CPU threads;
    it stands here because it changes the order of sums, and so the result.
    """

    name: str
    dataset: str
    architecture: str
    activation_bits: int
    epochs: int
    batch: int
    learning_rate: float
    seed: int
    shift: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    validation: int = 0
    threads: int = 1


_RANGES: dict[str, tuple[float, float]] = {
    "activation_bits": (1, 8),
    "epochs": (1, 10_000),
    "batch": (2, 65_536),
    "learning_rate": (1e-9, 10.0),
    "seed": (0, 2**32 - 1),
    "shift": (0, 16),
    "rotate": (0, 180),
    "zoom": (0, 0.9),
    "validation": (0, 10_000_000),
    "threads": (1, 1024),
}


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. InputError where the file can't be read, a key is unknown, missing, of the wrong type or out of range."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"recipe {path}: can't be read, {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path}: expected TOML, found {error}") from None
    known = {field.name: field for field in fields(Recipe)}
    for key, value in table.items():
        if key not in known:
            raise InputError(f"recipe {path}: expected one of {', '.join(known)}, found the key {key!r}")
        _check(path, key, value, known[key].type)
    missing = [name for name, field in known.items() if field.default is MISSING and name not in table]
    if missing:
        raise InputError(f"recipe {path}: expected a value for {missing[0]!r}, found none")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", table["name"]):  # it becomes a file name
        raise InputError(f"recipe {path}: expected a name of letters, digits, '-' and '_', found {table['name']!r}")
    return Recipe(**table)


def _check(path: Path, key: str, value: object, kind: object) -> None:
    accepted: tuple[type, ...] = {str: (str,), int: (int,), float: (int, float)}[kind]  # type: ignore[index]  # plain classes
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise InputError(f"recipe {path}: expected {accepted[-1].__name__} for {key!r}, found {value!r}")
    if isinstance(value, (int, float)):
        low, high = _RANGES[key]
        if not low <= value <= high:
            raise InputError(f"recipe {path}: expected {key!r} in {low:g}..{high:g}, found {value!r}")


def find_recipe(recipe: str | Path) -> Path:
    """A file that exists, or else the shipped recipe of that name. InputError where there is neither."""
    path = Path(recipe)
    shipped = {file.stem: file for file in sorted((Path(__file__).parent / "recipes").glob("*.toml"))}
    if path.is_file():
        return path
    if str(recipe) in shipped:
        return shipped[str(recipe)]
    raise InputError(f"recipe {recipe}: expected a TOML file or one of {', '.join(shipped)}, found neither")

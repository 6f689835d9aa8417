"""A training recipe: every number that decides a training's result, read from a TOML file."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from bwnhw.errors import InputError

Option = bool | int | float | str


@dataclass(frozen=True)
class Part:
    """What a table of a recipe names, and the options it gives; `models/methods.py` checks both against the named class."""

    name: str
    options: Mapping[str, Option] = field(default_factory=dict)

    def table(self) -> dict[str, Option]:
        """As it stands in a recipe."""
        return {"name": self.name, **self.options}


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how.

    `activation_bits` is 1 (±1) or 2..8; `edge_bits` 1 (binary) or 2..8 (integer weights) in first and last layer. `shift` (pixels),
    `rotate` (degrees) and `zoom` (fraction) bound the random distortion of every training image, `mirror` flips half of them.
    `validation` images of the training set are held out and only reported on. `threads` is torch's number of CPU threads and
    `precision` "float32" or "bfloat16" (autocast); they stand here because they change sums, and so the result.

    `surrogate` is the slope of ±1 activations: "identity", "hardtanh", "bireal" or "sign-swish"; with `sample_std` it is taken at the
    activation over its sample's standard deviation; with `centred` a mean is taken off before the sign (`layers.CentredSignAct`).

    `start` names a network of the zoo, or a file, that has the weights to begin with; without it they are drawn.

    The tables: `binarizer` makes the weights, `codebook` quantises their kernels, `hook` edits their gradients, `loss` adds to the cross
    entropy, `optimizer` (adam, sgd, or one that is for binary weights alone, with Adam for the rest) and `schedule` (of the learning rate)
    as they say.
    """

    name: str
    dataset: str
    architecture: str
    activation_bits: int
    epochs: int
    batch: int
    learning_rate: float
    seed: int
    edge_bits: int = 1
    label_smoothing: float = 0.0
    shift: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    mirror: bool = False
    validation: int = 0
    threads: int = 1
    precision: str = "float32"
    surrogate: str = "bireal"
    sample_std: bool = False
    centred: bool = False
    start: str = ""
    binarizer: Part = Part("ste")
    codebook: Part | None = None
    hook: Part | None = None
    loss: Part | None = None
    optimizer: Part = Part("adam")
    schedule: Part = Part("cosine")

    def table(self) -> dict[str, Any]:
        """As a recipe states it: what differs from the defaults."""
        values = {key.name: (getattr(self, key.name), key.default) for key in fields(self)}
        return {name: value.table() if isinstance(value, Part) else value for name, (value, default) in values.items() if value != default}


_RANGES: dict[str, tuple[float, float]] = {
    "activation_bits": (1, 8),
    "edge_bits": (1, 8),
    "epochs": (1, 10_000),
    "batch": (2, 65_536),
    "learning_rate": (1e-9, 10.0),
    "seed": (0, 2**32 - 1),
    "label_smoothing": (0, 0.5),
    "shift": (0, 16),
    "rotate": (0, 180),
    "zoom": (0, 0.9),
    "validation": (0, 10_000_000),
    "threads": (1, 1024),
}
_PRECISIONS = ("float32", "bfloat16")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe. InputError where the file can't be read, or as `recipe_of` raises it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"recipe {path}: can't be read, {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path}: expected TOML, found {error}") from None
    return recipe_of(table, f"recipe {path}")


def recipe_of(table: Mapping[str, object], where: str) -> Recipe:
    """A recipe from its table. InputError, beginning with `where`: a key that is unknown, missing, of the wrong type or out of range."""
    known = {key.name: key for key in fields(Recipe)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise InputError(f"{where}: expected one of {', '.join(known)}, found the key {key!r}")
        kind = known[key].type
        values[key] = _plain(where, key, value, kind) if kind in _ACCEPTED else _part(where, key, value)
    missing = [name for name, key in known.items() if key.default is MISSING and name not in table]
    if missing:
        raise InputError(f"{where}: expected a value for {missing[0]!r}, found none")
    recipe = Recipe(**values)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", recipe.name):  # it becomes a file name
        raise InputError(f"{where}: expected a name of letters, digits, '-' and '_', found {recipe.name!r}")
    if recipe.precision not in _PRECISIONS:
        raise InputError(f"{where}: expected 'precision' {' or '.join(_PRECISIONS)}, found {recipe.precision!r}")
    return recipe


_ACCEPTED: dict[object, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float), bool: (bool,)}


def _plain(where: str, key: str, value: object, kind: object) -> object:
    accepted = _ACCEPTED[kind]
    if not isinstance(value, accepted) or isinstance(value, bool) and kind is not bool:
        raise InputError(f"{where}: expected {accepted[-1].__name__} for {key!r}, found {value!r}")
    if key in _RANGES and isinstance(value, (int, float)):
        low, high = _RANGES[key]
        if not low <= value <= high:
            raise InputError(f"{where}: expected {key!r} in {low:g}..{high:g}, found {value!r}")
    return value


def _part(where: str, key: str, value: object) -> Part:
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise InputError(f"{where}: expected a table [{key}] with a name, found {value!r}")
    options = {name: option for name, option in value.items() if name != "name"}
    for name, option in options.items():
        if not isinstance(option, (bool, int, float, str)):
            raise InputError(f"{where}: expected a number, a word, true or false for {name!r} in [{key}], found {option!r}")
    return Part(value["name"], options)


def find_recipe(recipe: str | Path) -> Path:
    """A file that exists, or else the shipped recipe of that name. InputError where there is neither."""
    path = Path(recipe)
    shipped = {file.stem: file for file in sorted((Path(__file__).parent / "recipes").glob("*.toml"))}
    if path.is_file():
        return path
    if str(recipe) in shipped:
        return shipped[str(recipe)]
    raise InputError(f"recipe {recipe}: expected a TOML file or one of {', '.join(shipped)}, found neither")

"""The trained networks that ship with the package: NAME.onnx, a card NAME.json, and test images where they are small."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from bwnhw.errors import InputError


def folder() -> Path:
    """Where the networks lie (the package is installed as plain files)."""
    return Path(str(files("bwnhw"))) / "models" / "zoo"


def names() -> tuple[str, ...]:
    """Names of the networks, in alphabetical order."""
    return tuple(sorted(path.stem for path in folder().glob("*.onnx")))


def find(model: str | Path) -> Path:
    """The ONNX file of a network in the zoo, or the user's file; a file that exists wins. Raises InputError where there is neither."""
    path = Path(model)
    if path.is_file():
        return path
    if str(model) in names():
        return folder() / f"{model}.onnx"
    raise InputError(f"{model}: expected an ONNX file or one of the networks {', '.join(names())}, found neither")


def card(model: str | Path) -> dict[str, Any] | None:
    """The card beside a network of the zoo (data, accuracies, seed, command); None for a user's file."""
    path = find(model).with_suffix(".json")
    if path.parent != folder() or not path.is_file():
        return None
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def test_images(model: str | Path) -> Path | None:
    """The file of test images (x uint8, y labels) that ships for a network of the zoo; None where none ships."""
    data = card(model)
    path = folder() / str(data["test_images"]) if data and "test_images" in data else None
    return path if path and path.is_file() else None

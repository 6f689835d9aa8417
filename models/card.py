"""The card of a trained network: what it was trained on and how, and how accurate it is as floats and as integers.

Once a network is trained, `python -m bwnhw.models.card MODEL --data DATA.npz` measures the accuracy of its integer network
on the test images and writes it into the card. It needs no torch.
"""

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from bwnhw import __version__, golden, zoo
from bwnhw.errors import BwnhwError, InputError
from bwnhw.files import write_text
from bwnhw.lower import lower
from bwnhw.models.data import Dataset, load_dataset, load_npz
from bwnhw.models.recipe import Recipe
from bwnhw.onnx_read import load


def card_of(recipe: Recipe, data: Dataset, file: Path | None, validation: float | None, test: float,
            signs: dict[str, dict[str, float]] | None = None) -> dict[str, Any]:
    """The card of a network that was just trained; accuracies are fractions. The integer accuracy is None until measured.

    `signs` are statistics of the signs' flips by layer, where they were watched.
    """
    option = "" if file is None else f" --data {file.name}"
    card: dict[str, Any] = {
        "name": recipe.name,
        "data": data.source,
        "train_images": len(data.y_train) - recipe.validation,
        "validation_images": recipe.validation,
        "test_count": len(data.y_test),
        "test_sha256": data.test_digest(),
        "accuracy_float": test,
        "accuracy_integer": None,
        "accuracy_validation": validation,
        "checkpoint": "last epoch",
        "first_and_last_layer": "binary weights" if recipe.edge_bits == 1 else f"{recipe.edge_bits}-bit integer weights",
        "command": f"bwnhw train {recipe.name}{option} --epochs {recipe.epochs}",
        "seed": recipe.seed,
        "epochs": recipe.epochs,
        "recipe": recipe.table(),
        "versions": {"bwnhw": __version__, "python": platform.python_version(), "machine": platform.machine(), **_versions()},
    }
    if signs is not None:
        card["signs"] = signs
    if data.test_file is not None:
        card["test_images"] = data.test_file
    return card


def _versions() -> dict[str, str]:
    found = {}
    for package in ("numpy", "scikit-learn", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def measure(model: Path, data: Dataset) -> float:
    """Fraction of the test images on which the integer network's greatest score, ties to the lowest index, is at the label."""
    scores = golden.outputs(lower(load(model)), data.x_test[:])
    return float(np.mean(scores.reshape(len(scores), -1).argmax(axis=1) == data.y_test))


def update(model: Path, data: Dataset) -> dict[str, Any]:
    """Measure the integer accuracy of a network and write it into the card beside it; returns the card.

    InputError where there is no card, or it was written for other test images.
    """
    path = model.with_suffix(".json")
    if not path.is_file():
        raise InputError(f"{model}: expected a card {path.name} beside it, found none")
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if card["test_sha256"] != data.test_digest():
        raise InputError(f"{path}: expected the test images of {card['data']!r}, found others in {data.source!r}")
    card["accuracy_integer"] = measure(model, data)
    write_text(path, json.dumps(card, indent=2) + "\n")
    return card


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bwnhw.models.card", description=__doc__)
    parser.add_argument("model", help="a network of the zoo, or an ONNX file with a card beside it")
    parser.add_argument("--data", type=Path, help="x_train, y_train, x_test, y_test as .npz; not for the digits")
    options = parser.parse_args()
    try:
        model = zoo.find(options.model)
        card = update(model, load_dataset("digits", None) if options.data is None else load_npz(options.data))
    except BwnhwError as error:
        parser.exit(error.exit_status, f"{parser.prog}: {error}\n")
    print(f"{card['name']}: {card['accuracy_float']:.2%} float, {card['accuracy_integer']:.2%} integer, {card['test_count']} images")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

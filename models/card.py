"""The card of a trained network: what it was trained on and how, and how accurate it is as floats and as integers.

Once a network is trained, `python -m bwnhw.models.card FILE.onnx --data DATA.npz` measures the accuracy of its integer network
on the test images and writes it into the card. It needs no torch.
"""

import argparse
import json
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bwnhw import __version__
from bwnhw.files import write_text
from bwnhw.models.data import Dataset, load_dataset
from bwnhw.models.recipe import Recipe


def card_of(recipe: Recipe, data: Dataset, file: Path | None, validation: float | None, test: float) -> dict[str, Any]:
    """The card of a network that was just trained; accuracies are fractions. The integer accuracy is None until measured."""
    option = "" if file is None else f" --data {file.name}"
    card: dict[str, Any] = {
        "name": recipe.name,
        "data": data.source,
        "train_images": len(data.y_train) - recipe.validation,
        "validation_images": recipe.validation,
        "test_count": len(data.y_test),
        "accuracy_float": test,
        "accuracy_integer": None,
        "accuracy_validation": validation,
        "checkpoint": "last epoch",
        "first_and_last_layer": "binary weights",
        "command": f"bwnhw train {recipe.name}{option} --epochs {recipe.epochs}",
        "seed": recipe.seed,
        "epochs": recipe.epochs,
        "recipe": asdict(recipe),
        "versions": {"bwnhw": __version__, "python": platform.python_version(), "machine": platform.machine(), **_versions()},
    }
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

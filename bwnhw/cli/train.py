"""`bwnhw train`."""

import argparse
from pathlib import Path
from typing import Any

from bwnhw.cli import console
from bwnhw.cli.options import add_command, positive
from bwnhw.extras import needs


def add(commands: Any) -> None:
    """Declare the command."""
    parser = add_command(commands, "train", _train, "train a network from a recipe, write it as QONNX with a card of what was done",
                         "bwnhw train digits-conv -o trained")
    parser.add_argument("recipe", metavar="RECIPE", help="a TOML file, or the name of a recipe that ships (digits-conv)")
    parser.add_argument("-o", "--out", metavar="DIR", type=Path, required=True,
                        help="folder for NAME.onnx, its card NAME.json and its log NAME.csv")
    parser.add_argument("--data", metavar="FILE", type=Path,
                        help=".npz with x_train, y_train, x_test, y_test (default: the data set is downloaded, or comes with scikit-learn)")
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted training left NAME.checkpoint in the folder")
    parser.add_argument("--stats", action="store_true", help="count the flips of signs, into the log and the card")
    parser.add_argument("--epochs", metavar="N", type=positive, help="instead of the recipe's own number")


def _train(options: argparse.Namespace) -> None:
    from bwnhw.models.recipe import find_recipe

    recipe = find_recipe(options.recipe)
    with needs("train"):
        from bwnhw.models import train

    with console.progress(f"training {recipe.stem}") as update:
        result = train.run(recipe, options.data, options.out, lambda report: update(report.epoch, report.epochs), options.epochs,
                           resume=options.resume, watch_signs=options.stats)
    if result is None:  # one of several processes, not the one that writes
        return
    card = result.card
    console.table("", ("network", "test images", "accuracy (float)", "seed", "epochs"),
                  [(str(result.path), card["test_count"], f"{100 * result.accuracy_float:.2f} %", card["seed"], card["epochs"])])
    console.write_json(options.json, {"model": result.path.stem, "accuracy": result.accuracy_float, "images": card["test_count"],
                                      "versions": card["versions"], "card": card})

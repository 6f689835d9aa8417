"""What every training method reaches, costs in training, and costs in hardware: the table of docs/training.md.

    python benchmarks/training_methods.py --data mnist.npz --work FOLDER [METHOD ...]
    python benchmarks/training_methods.py --work FOLDER --write          # training_methods.json and the tables of docs/training.md

Each method of `bwnhw.models.catalogue` trains the digits network (3 seeds) and LeNet-3x3 with ±1 weights and activations on MNIST (1 seed),
plus plain sign with each scale, with and without batch norm, on the digits. Every run is a file in FOLDER; those that are
there aren't run again, so the command goes on where it was interrupted, and several may run at once. Test images are looked at once per
run. What `--write` finds no runs of stays as it was written before.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bwnhw import golden
from bwnhw.codes import accuracy, encode
from bwnhw.estimate import estimate
from bwnhw.files import write_bytes, write_text
from bwnhw.kernels import study, whole
from bwnhw.lower import lower
from bwnhw.models.architectures import ARCHITECTURES
from bwnhw.models.catalogue import BASELINE, METHODS, with_method
from bwnhw.models.data import Dataset, load_dataset
from bwnhw.models.export import to_graph
from bwnhw.models.methods import binarizers_by_name
from bwnhw.models.recipe import Part, Recipe, find_recipe, load_recipe
from bwnhw.models.train import train
from bwnhw.onnx_read import load
from bwnhw.onnx_write import to_bytes
from bwnhw.plan import from_json

ROOT = Path(__file__).parent.parent
WRITTEN = ROOT / "benchmarks" / "training_methods.json"
SCALES = ("none", "layer", "channel", "learned")


@dataclass(frozen=True)
class Column:
    """One network that all methods train: recipe, its epochs, seeds, and the folding whose LUTs are estimated."""

    recipe: str
    epochs: int
    seeds: tuple[int, ...]
    plan: str


COLUMNS = {
    "digits": Column("digits-conv", 40, (1, 2, 3), "digits-conv-middle"),
    "mnist": Column("mnist-lenet3x3-w1a1", 10, (1,), "mnist-lenet3x3-w1a1-middle"),
}


@dataclass(frozen=True)
class Run:
    """One training: its file's name and its recipe."""

    name: str
    column: Column
    recipe: Recipe


def runs(column_names: list[str], methods: list[str]) -> Iterator[Run]:
    """All trainings that the tables need, column by column, seed by seed."""
    for name in column_names:
        column = COLUMNS[name]
        plain = replace(load_recipe(find_recipe(column.recipe)), epochs=column.epochs)
        for seed in column.seeds:
            for method in methods:
                yield Run(f"{name}--{method.replace(', ', '-').replace(' ', '-')}--{seed}", column,
                          replace(with_method(plain, method), seed=seed))


def scale_runs() -> Iterator[Run]:
    """Plain sign with every scale, with and without batch norm, on the digits."""
    column = COLUMNS["digits"]
    plain = replace(load_recipe(find_recipe(column.recipe)), epochs=column.epochs)
    for seed in column.seeds:
        for scale in SCALES:
            for architecture in ("digits-conv", "digits-conv-no-norm"):
                recipe = replace(plain, architecture=architecture, seed=seed, binarizer=Part("ste", {"scale": scale}))
                yield Run(f"scales--{architecture}-{scale}--{seed}", column, recipe)


def measure(run: Run, data: Dataset, work: Path) -> dict[str, Any]:
    """Train and export: what the tables say of the training itself. Writes the network beside it."""
    cpu = time.process_time()
    trained = train(run.recipe, data, lambda report: None, watch_signs=True)
    seconds = time.process_time() - cpu
    write_bytes(work / f"{run.name}.onnx", to_bytes(to_graph(trained.network, ARCHITECTURES[run.recipe.architecture])))
    assert trained.signs is not None  # they were watched
    weights = {name: item.latent.numel() for name, item in binarizers_by_name(trained.network).items()}
    return {"recipe": run.recipe.table(), "accuracy": trained.test_accuracy, "cpu_seconds": round(seconds, 1),
            **{key: _mean(trained.signs, weights, key) for key in ("flips_per_step", "never_flipped", "fixed_at_25%")}}


def _mean(signs: dict[str, dict[str, float]], weights: dict[str, int], key: str) -> float:
    return float(np.average([row[key] for row in signs.values()], weights=list(weights.values())))


def collect(run: Run, data: Dataset | None, work: Path) -> dict[str, Any] | None:
    """What was measured in a run, with accuracy of the integers, kernels and estimated LUTs; None where it is still to be made.

    The integers' accuracy needs the data; LUTs are estimated at the folding that all methods share.
    """
    file = work / f"{run.name}.json"
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    network = lower(load(file.with_suffix(".onnx")))
    if data is not None:
        found["accuracy_integer"] = accuracy(golden.outputs(network, encode(network, data.x_test[:])), data.y_test)
    plan = from_json((ROOT / "tests" / "data" / "plans" / f"{run.column.plan}.json").read_text())
    return {**found, "kernel_entropy": whole(study(network)).entropy, "luts": estimate(network, plan).luts}


def summary(found: list[dict[str, Any]], baseline: list[dict[str, Any]]) -> dict[str, Any]:
    """One method's cells of one column: means over the seeds that were run, accuracies one by one."""
    def mean(key: str, rows: list[dict[str, Any]]) -> float:
        return float(np.mean([row[key] for row in rows]))

    accuracies = [row["accuracy"] for row in found]
    return {"seeds": len(found), "epochs": found[0]["recipe"]["epochs"], "accuracy": mean("accuracy", found), "accuracies": accuracies,
            "time": mean("cpu_seconds", found) / mean("cpu_seconds", baseline),
            **{key: mean(key, found) for key in ("flips_per_step", "never_flipped", "fixed_at_25%", "kernel_entropy", "luts")}}


def results(work: Path, data: dict[str, Dataset], before: dict[str, Any]) -> dict[str, Any]:
    """All columns by method, and the scales; rows of `before` where the folder has no runs of them."""
    tables: dict[str, Any] = {}
    for name in COLUMNS:
        by_method = {method: [found for run in runs([name], [method]) if (found := _checked(run, data, work))] for method in METHODS}
        found = {method: summary(found, by_method[BASELINE]) for method, found in by_method.items() if found}
        rows = before.get(name, {}) | found
        tables[name] = {method: rows[method] for method in METHODS if method in rows}
    scales: dict[str, list[float]] = {}
    for run in scale_runs():
        file = work / f"{run.name}.json"
        if file.exists():
            scales.setdefault(run.name.split("--")[1], []).append(json.loads(file.read_text())["accuracy"])
    return {**tables, "scales": before.get("scales", {}) | scales}


def _checked(run: Run, data: dict[str, Dataset], work: Path) -> dict[str, Any] | None:
    found = collect(run, data.get(run.column.recipe), work)
    if found and found.get("accuracy_integer", found["accuracy"]) != found["accuracy"]:
        raise SystemExit(f"{run.name}: torch and integers differ, {found['accuracy']} and {found['accuracy_integer']}")
    return found


HEADS = ("digits, mean (spread)", "time", "flips per 1000 steps", "never flipped", "settled at 25 %", "kernel entropy", "LUTs",
         "MNIST", "never flipped", "LUTs")


def methods_table(found: dict[str, Any]) -> str:
    """The table of methods in Markdown."""
    rows = [_row(method, found["digits"][method], found["mnist"].get(method)) for method in METHODS if method in found["digits"]]
    return "\n".join([f"| method | {' | '.join(HEADS)} |", "| --- " + "| ---: " * len(HEADS) + "|", *rows]) + "\n"


def _row(method: str, digits: dict[str, Any], mnist: dict[str, Any] | None) -> str:
    cells = [method, _spread(digits["accuracies"]), f"{digits['time']:.1f}", f"{1000 * digits['flips_per_step']:.1f}"]
    cells += [_percent(digits[key]) for key in ("never_flipped", "fixed_at_25%")]
    cells += [f"{digits['kernel_entropy']:.2f}", f"{digits['luts']:,.0f}"]
    if mnist is None:
        cells += ["not run", "-", "-"]
    else:
        cells += [f"{100 * mnist['accuracy']:.2f} %", _percent(mnist["never_flipped"]), f"{mnist['luts']:,.0f}"]
    return f"| {' | '.join(cells)} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _spread(accuracies: list[float]) -> str:
    """Mean and, of several seeds, the distance from least to greatest."""
    spread = f" ({100 * (max(accuracies) - min(accuracies)):.2f})" if len(accuracies) > 1 else " (one seed)"
    return f"{100 * np.mean(accuracies):.2f} %{spread}"


def scales_table(scales: dict[str, list[float]]) -> str:
    """The table of scales in Markdown."""
    lines = ["| scale | with batch norm, mean (spread) | without |", "| --- | ---: | ---: |"]
    for scale in SCALES:
        cells = [scales.get(f"{architecture}-{scale}") for architecture in ("digits-conv", "digits-conv-no-norm")]
        lines.append(f"| {scale} | " + " | ".join(_spread(cell) if cell else "not run" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def write(found: dict[str, Any]) -> None:
    """Results and tables into their files."""
    write_text(WRITTEN, json.dumps(found, indent=1) + "\n")
    document = ROOT / "docs" / "training.md"
    text = document.read_text(encoding="utf-8")
    for name, table in (("methods", methods_table(found)), ("scales", scales_table(found["scales"]))):
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, rest = text.split(start, 1)
        text = before + start + table + end + rest.split(end, 1)[1]
    write_text(document, text)


def main() -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=f"of {', '.join(METHODS)} (default: all)")
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--data", type=Path, help="MNIST as .npz; without it the digits alone")
    parser.add_argument("--columns", nargs="+", choices=[*COLUMNS, "scales"], default=[*COLUMNS, "scales"])
    parser.add_argument("--write", action="store_true", help="write the tables from the runs that are there")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    data = {"digits-conv": load_dataset("digits", None)}
    if options.data:
        data["mnist-lenet3x3-w1a1"] = load_dataset("mnist", options.data)
    if options.write:
        write(results(options.work, data, json.loads(WRITTEN.read_text())))
        return 0
    columns = [name for name in options.columns if name in COLUMNS and COLUMNS[name].recipe in data]
    wanted = [*runs(columns, options.methods or list(METHODS)), *(scale_runs() if "scales" in options.columns else ())]
    for run in wanted:
        file, claim = options.work / f"{run.name}.json", options.work / f"{run.name}.running"
        if file.exists() or claim.exists():
            continue
        claim.touch()
        try:
            found = measure(run, data[run.column.recipe], options.work)
            write_text(file, json.dumps(found, indent=1) + "\n")
            print(f"{run.name}: {found['accuracy']:.2%}, {found['cpu_seconds']} s", flush=True)
        finally:
            claim.unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

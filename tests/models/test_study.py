"""The tables of docs/training.md are those of the results that stand beside the benchmark, and its trainings are the catalogue's."""

import importlib.util
import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

pytestmark = pytest.mark.train

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("training_methods", ROOT / "benchmarks" / "training_methods.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def found():
    return json.loads((ROOT / "benchmarks" / "training_methods.json").read_text())


def test_tables_in_the_document(benchmark, found):
    document = (ROOT / "docs" / "training.md").read_text()
    assert f"<!-- methods -->\n{benchmark.methods_table(found)}<!-- end of methods -->" in document
    assert f"<!-- scales -->\n{benchmark.scales_table(found['scales'])}<!-- end of scales -->" in document


def test_runs_are_told_apart(benchmark):
    runs = [*benchmark.runs(["digits", "mnist"], list(benchmark.METHODS)), *benchmark.scale_runs()]
    assert len({run.name for run in runs}) == len(runs) == 4 * len(benchmark.METHODS) + 24
    assert len({str(run.recipe) for run in runs if not run.name.startswith("scales")}) == 4 * len(benchmark.METHODS)


def test_a_run_is_measured_and_read_back(benchmark, tmp_path):
    from dataclasses import replace

    from bwnhw.models.data import load_digits

    data = load_digits()
    run = next(benchmark.runs(["digits"], ["ste, scale channel"]))
    run = replace(run, recipe=replace(run.recipe, epochs=1))
    measured = benchmark.measure(run, data, tmp_path)
    (tmp_path / f"{run.name}.json").write_text(json.dumps(measured))
    row = benchmark.collect(run, data, tmp_path)
    assert row["accuracy_integer"] == row["accuracy"] == measured["accuracy"] > 0.2
    assert 0 < row["never_flipped"] < 1 and 8 < row["kernel_entropy"] < 9 and row["luts"] > 1000
    assert benchmark.summary([row, row], [row])["time"] == 1
    assert " | 2.0 | " in benchmark._row("m", benchmark.summary([{**row, "cpu_seconds": 2 * row["cpu_seconds"]}], [row]), None)

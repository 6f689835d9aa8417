"""The Python API: the verbs in a few calls, and names that modules and functions share."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bwnhw
from bwnhw import zoo
from bwnhw.codes import accuracy
from bwnhw.errors import InputError
from bwnhw.images import read_images

MODEL = "digits-conv"


def test_all_is_there() -> None:
    assert all(hasattr(bwnhw, name) for name in bwnhw.__all__)
    assert {"load", "lower", "plan", "generate", "simulate", "estimate"} <= set(bwnhw.__all__)


@pytest.mark.parametrize("name", ["lower", "plan", "estimate"])
def test_a_function_that_shares_its_name_with_a_module_stays_one(name: str) -> None:
    code = f"import importlib, bwnhw; importlib.import_module('bwnhw.{name}'); print(callable(bwnhw.{name}))"
    assert subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True).stdout.strip() == "True"
    assert importlib.import_module(f"bwnhw.{name}").__name__ == f"bwnhw.{name}"


def test_every_verb(tmp_path: Path) -> None:
    network = bwnhw.lower(bwnhw.load(MODEL))
    plan = bwnhw.plan(network, interval=2000)
    estimate = bwnhw.estimate(network, plan)
    assert estimate.interval <= 2000
    made = bwnhw.generate(MODEL, tmp_path / "out", plan, name="little")
    assert made.verilog.read_text().count("\nmodule little ") + made.verilog.read_text().count("\nmodule little(") == 1
    path = zoo.test_images(MODEL)
    assert path is not None
    images, labels = read_images(path, (1, 8, 8))
    found = bwnhw.simulate(made.folder, images[:32], seed=3)
    assert found.passed and found.images == 32
    assert (found.latency, found.interval) == (estimate.latency, estimate.interval)
    assert labels is not None and accuracy(found.outputs, labels[:32]) > 0.9


def test_random_codes_without_images(tmp_path: Path) -> None:
    made = bwnhw.generate(MODEL, tmp_path / "out", bwnhw.plan(bwnhw.lower(bwnhw.load(MODEL)), interval=2000))
    one, other = (bwnhw.simulate(made.folder, seed=seed).outputs for seed in (1, 2))
    assert not np.array_equal(one, other)


def test_unknown_network_names_those_that_ship() -> None:
    with pytest.raises(InputError, match=r"^no-such: expected an ONNX file or one of the networks digits-conv, .*, found neither$"):
        bwnhw.load("no-such")


@pytest.mark.parametrize("name", zoo.names())
def test_every_network_of_the_zoo_has_a_card(name: str) -> None:
    card = zoo.card(name)
    assert card is not None
    assert card["accuracy_float"] > 0.9 and card["accuracy_integer"] > 0.9
    assert {"data", "seed", "command"} <= set(card)
    json.dumps(card, allow_nan=False)

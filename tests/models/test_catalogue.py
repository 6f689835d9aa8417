"""Every method on the digits: within two points of plain sign, and one and the same network in torch, as integers and in qonnx."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw import golden  # noqa: E402  # after importorskip
from bwnhw.codes import encode  # noqa: E402
from bwnhw.compare import compare  # noqa: E402
from bwnhw.lower import lower  # noqa: E402
from bwnhw.models.architectures import ARCHITECTURES  # noqa: E402
from bwnhw.models.binarizers import BINARIZERS  # noqa: E402
from bwnhw.models.catalogue import BASELINE, METHODS, with_method  # noqa: E402
from bwnhw.models.codebooks import CODEBOOKS  # noqa: E402
from bwnhw.models.data import load_digits  # noqa: E402
from bwnhw.models.export import to_graph  # noqa: E402
from bwnhw.models.hooks import HOOKS  # noqa: E402
from bwnhw.models.losses import LOSSES  # noqa: E402
from bwnhw.models.optimizers import OPTIMIZERS  # noqa: E402
from bwnhw.models.recipe import find_recipe, load_recipe  # noqa: E402
from bwnhw.models.train import train  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))

from oracle import qonnx_run  # noqa: E402  # stands with the core's tests

pytestmark = [pytest.mark.train, pytest.mark.slow]

EPOCHS = 40
POINTS = 0.02
SHORT = {"proxquant": 0.82, "reverse-proxconnect": 0.85}  # what they reach instead after a search of their options (docs/training.md)


def plain():
    return replace(load_recipe(find_recipe("digits-conv")), epochs=EPOCHS)


def trained(method, data):
    return train(with_method(plain(), method), data, lambda report: None)


@pytest.fixture(scope="module")
def data():
    return load_digits()


@pytest.fixture(scope="module")
def baseline(data):
    return trained(BASELINE, data).test_accuracy


@pytest.mark.parametrize("method", [method for method in METHODS if method != BASELINE])
def test_method(method, data, baseline):
    result = trained(method, data)
    assert result.test_accuracy >= SHORT.get(method, baseline - POINTS)
    graph = to_graph(result.network, ARCHITECTURES["digits-conv"])
    network = lower(graph)
    codes = golden.outputs(network, encode(network, data.x_test)).reshape(len(data.x_test), -1)
    with torch.no_grad():
        scores = result.network(torch.from_numpy(data.x_test).float()).numpy()
    assert np.array_equal(codes.argmax(axis=1), scores.argmax(axis=1))
    assert compare(graph, network, data.x_test).equal
    assert np.allclose(qonnx_run(graph, data.x_test)["scores"], scores, rtol=1e-5, atol=1e-5)


def test_every_registered_name_is_in_the_catalogue():
    tables = [tables for tables in METHODS.values()]

    def named(table):
        return {entry[table]["name"] for entry in tables if table in entry}

    assert named("binarizer") | {"ste"} == set(BINARIZERS)
    assert named("codebook") == set(CODEBOOKS)
    assert named("hook") == set(HOOKS)
    assert named("loss") == set(LOSSES)
    assert named("optimizer") - {"adam", "sgd"} == set(OPTIMIZERS) - {"qp-sbgd"}  # which is for dense layers: test_qp_sbgd


def test_a_method_is_the_recipes_tables_and_nothing_else():
    recipe = with_method(plain(), "ovsw")
    assert recipe.hook is not None and recipe.hook.name == "ovsw"
    assert replace(recipe, hook=None, binarizer=plain().binarizer) == plain()

"""Every method on the digits: within two points of plain sign, and one network in torch, as integers, in qonnx and in Verilator."""

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw import golden  # noqa: E402  # after importorskip
from bwnhw.codes import encode  # noqa: E402
from bwnhw.compare import compare  # noqa: E402
from bwnhw.design import design  # noqa: E402
from bwnhw.loading import with_scale  # noqa: E402
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
from bwnhw.onnx_read import load  # noqa: E402
from bwnhw.onnx_write import save  # noqa: E402
from bwnhw.plan import from_json  # noqa: E402
from bwnhw.rtl.generate import generate  # noqa: E402
from bwnhw.sim.case import first_difference  # noqa: E402
from bwnhw.sim.interface import read_interface  # noqa: E402
from bwnhw.sim.loadable import LoadableBuild  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))

from oracle import qonnx_run  # noqa: E402  # stands with the core's tests

pytestmark = [pytest.mark.train, pytest.mark.slow]

PLANS = Path(__file__).parent.parent / "data" / "plans"
EPOCHS = 40
POINTS = 0.02
SHORT = {"proxquant": 0.89, "reverse-proxconnect": 0.91}  # what they reach instead after a search of their options (docs/training.md)


def plain():
    return replace(load_recipe(find_recipe("digits-conv")), epochs=EPOCHS)


class Build:
    """Loadable Verilog of one folding, Verilated once: scores have a scale, so that methods with and without one share it."""

    def __init__(self, folder):
        self.folder = folder
        self.plan = replace(from_json((PLANS / "digits-conv-uneven.json").read_text()), loadable=True)
        self.made = None

    def check(self, model, images):
        """The first difference between Verilator and golden, or None."""
        plain = lower(load(model))
        network, codes = with_scale(plain), encode(plain, images)
        if self.made is None:
            made = generate(network, self.plan, b"", self.folder / "made", "common").folder
            self.made = LoadableBuild(read_interface(made), self.plan, design(network.topology, self.plan), self.folder / "cache")
        return first_difference(golden.outputs(plain, codes), self.made.run(network, codes).outputs, len(network.topology.nodes) - 1)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return Build(tmp_path_factory.mktemp("loadable"))


@cache
def data():
    return load_digits()


@cache
def trained(method, seed=1):
    return train(replace(with_method(plain(), method), seed=seed), data(), lambda report: None)


def mean_accuracy(method):
    """Over three seeds: which seed is a lucky one depends on the machine's float sums."""
    return np.mean([trained(method, seed).test_accuracy for seed in (1, 2, 3)])


@pytest.mark.parametrize("method", [method for method in METHODS if method != BASELINE])
def test_method(method, build, tmp_path):
    result, images = trained(method), data().x_test
    if result.test_accuracy < SHORT.get(method, trained(BASELINE).test_accuracy - POINTS):
        assert method not in SHORT and mean_accuracy(method) >= mean_accuracy(BASELINE) - POINTS
    graph = to_graph(result.network, ARCHITECTURES["digits-conv"])
    network = lower(graph)
    codes = golden.outputs(network, encode(network, images)).reshape(len(images), -1)
    with torch.no_grad():
        scores = result.network(torch.from_numpy(images).float()).numpy()
    assert np.array_equal(codes.argmax(axis=1), scores.argmax(axis=1))
    assert compare(graph, network, images).equal
    assert np.allclose(qonnx_run(graph, images)["scores"], scores, rtol=1e-5, atol=1e-5)
    save(graph, tmp_path / "n.onnx")
    assert build.check(tmp_path / "n.onnx", images) is None


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

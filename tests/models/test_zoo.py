"""The shipped networks: readable without torch, honest about themselves, above their floors."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from bwnhw import zoo
from bwnhw.errors import InputError
from bwnhw.images import read_images
from bwnhw.models.card import measure, update
from bwnhw.models.data import load_digits, load_npz
from bwnhw.models.recipe import find_recipe, load_recipe, recipe_of
from bwnhw.onnx_read import load

FLOORS = {"digits-conv": 0.97, "mnist-sfc": 0.975, "mnist-lenet3x3-w1a1": 0.988, "mnist-lenet3x3-w1a2": 0.988,
          "mnist-lenet3x3-w1a1-p6": 0.985, "mnist-lenet3x3-w1a1-p5": 0.985, "mnist-lenet3x3-w1a1-p4": 0.985, "mnist-lenet3x3-w1a1-p3": 0.98,
          "mnist-lenet3x3-w1a1-p2": 0.965, "mnist-lenet3x3-w1a1-p4-pull": 0.98, "mnist-lenet3x3-w1a1-p3-pull": 0.97,
          "mnist-lenet3x3-w1a1-p2-pull": 0.96, "mnist-lenet5-w1a1": 0.992, "mnist-lenet5-w1a8": 0.994, "mnist-lenet5-w1a8-parq": 0.994}


def test_names():
    assert set(zoo.names()) == set(FLOORS)


def test_zoo_loads_without_torch():
    code = ("import sys; sys.modules.update(torch=None, sklearn=None)\n"
            "from bwnhw import zoo; from bwnhw.onnx_read import load\n"
            "import bwnhw.models.card\n"
            "print(len([load(zoo.find(name)) for name in zoo.names()]))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (f"{len(FLOORS)}\n", 0), done.stderr


@pytest.mark.parametrize("name", FLOORS)
def test_card(name):
    card = zoo.card(name)
    assert card["name"] == name
    assert card["accuracy_float"] >= FLOORS[name]
    assert card["accuracy_integer"] >= FLOORS[name]
    assert card["command"].startswith(f"bwnhw train {name}")
    assert recipe_of(card["recipe"], name) == load_recipe(find_recipe(name))  # the recipe that ships is the one that was run


def test_two_bits_are_better_than_one():
    one, two = zoo.card("mnist-lenet3x3-w1a1"), zoo.card("mnist-lenet3x3-w1a2")
    assert two["accuracy_integer"] > one["accuracy_integer"]
    differ = {"name": "", "activation_bits": 0}
    assert two["recipe"] | differ == one["recipe"] | differ


@pytest.mark.parametrize("name", FLOORS)
def test_graph(name):
    graph = load(zoo.find(name))
    (image,), (scores,) = graph.inputs, graph.outputs
    assert image.datatype == ("UINT5" if name == "digits-conv" else "UINT8")
    assert scores.shape == (1, 10)


@pytest.mark.train
def test_shipped_digits_are_the_test_split():
    data = load_digits()
    x, y = read_images(zoo.test_images("digits-conv"), (1, 8, 8))
    assert np.array_equal(x, data.x_test) and np.array_equal(y, data.y_test)


@pytest.mark.train
def test_integer_accuracy_of_the_digits():
    data = load_digits()
    model = zoo.find("digits-conv")
    assert measure(model, data) == zoo.card("digits-conv")["accuracy_integer"]
    wrong = replace(data, y_test=(data.y_test + 1) % 10)
    assert measure(model, wrong) < 0.05


@pytest.mark.needs_data
@pytest.mark.parametrize("name", [name for name in FLOORS if name.startswith("mnist")])
def test_integer_accuracy_on_mnist(name, pytestconfig):
    """Needs MNIST as data/mnist.npz in the root of the checkout."""
    data = load_npz(pytestconfig.rootpath / "data" / "mnist.npz")
    assert measure(zoo.find(name), data) == zoo.card(name)["accuracy_integer"]


@pytest.fixture
def copied(tmp_path):
    for suffix in (".onnx", ".json"):
        (tmp_path / f"n{suffix}").write_bytes(zoo.find("digits-conv").with_suffix(suffix).read_bytes())
    return tmp_path / "n.onnx"


@pytest.mark.train
def test_update_writes_the_integer_accuracy(copied):
    data = load_digits()
    path = copied.with_suffix(".json")
    before = json.loads(path.read_text())
    path.write_text(json.dumps({**before, "accuracy_integer": None}))
    card = update(copied, data)
    assert card == json.loads(path.read_text()) == {**before, "accuracy_integer": measure(copied, data)}


@pytest.mark.train
def test_update_refuses_other_data(copied):
    data = load_digits()
    with pytest.raises(InputError, match="expected the test images of 'scikit-learn .*', found others in 'scikit-learn .*'"):
        update(copied, replace(data, x_test=data.x_test[::-1].copy()))


@pytest.mark.train
def test_update_wants_a_card(copied):
    copied.with_suffix(".json").unlink()
    with pytest.raises(InputError, match="expected a card n.json beside it, found none"):
        update(copied, load_digits())

"""Recipes: the shipped ones load, and each kind of mistake is one clear sentence."""

import re
from pathlib import Path

import pytest

from bwnhw.errors import InputError
from bwnhw.models.recipe import find_recipe, load_recipe

GOOD = """name = "n"
dataset = "digits"
architecture = "digits-conv"
activation_bits = 1
epochs = 2
batch = 64
learning_rate = 0.01
seed = 1
"""


def recipe(tmp_path, text):
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults(tmp_path):
    loaded = load_recipe(recipe(tmp_path, GOOD))
    assert (loaded.shift, loaded.validation, loaded.threads) == (0, 0, 1)


@pytest.mark.parametrize(("text", "message"), [
    (GOOD + "lr = 1", "expected one of name, dataset, architecture, .*, found the key 'lr'"),
    (GOOD.replace("seed = 1\n", ""), "expected a value for 'seed', found none"),
    (GOOD.replace("seed = 1", "seed = '1'"), "expected int for 'seed', found '1'"),
    (GOOD.replace("seed = 1", "seed = true"), "expected int for 'seed', found True"),
    (GOOD.replace("seed = 1", "seed = 1.5"), "expected int for 'seed', found 1.5"),
    (GOOD.replace("epochs = 2", "epochs = 0"), "expected 'epochs' in 1..10000, found 0"),
    (GOOD.replace("= 0.01", "= nan"), "expected 'learning_rate' in .*, found nan"),
    (GOOD.replace('"n"', '"../n"'), r"expected a name of letters, digits, '-' and '_', found '../n'"),
    ("name = ", "expected TOML, found .*"),
])
def test_mistakes(tmp_path, text, message):
    path = recipe(tmp_path, text)
    with pytest.raises(InputError, match=rf"^recipe {re.escape(str(path))}: {message}$"):
        load_recipe(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="can't be read, No such file or directory"):
        load_recipe(tmp_path / "none.toml")


def test_not_text(tmp_path):
    path = tmp_path / "r.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="expected TOML, found"):
        load_recipe(path)


@pytest.mark.parametrize("name", ["digits-conv", "mnist-sfc", "mnist-lenet3x3-w1a1", "mnist-lenet3x3-w1a2"])
def test_shipped_recipes(name):
    assert load_recipe(find_recipe(name)).name == name


def test_a_file_is_found_before_a_shipped_recipe(tmp_path):
    path = recipe(tmp_path, GOOD)
    assert find_recipe(path) == path


def test_unknown_recipe():
    with pytest.raises(InputError, match="recipe nope: expected a TOML file or one of digits-conv, .*, found neither"):
        find_recipe(Path("nope"))

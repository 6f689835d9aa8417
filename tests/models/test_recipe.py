"""Recipes: the shipped ones load, and each kind of mistake is one clear sentence."""

import re
from pathlib import Path

import pytest

import bwnhw.models.recipe
from bwnhw.errors import InputError
from bwnhw.models.recipe import find_recipe, load_recipe, recipe_of

RECIPES = sorted((Path(bwnhw.models.recipe.__file__).parent / "recipes").glob("*.toml"))
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


def test_a_file_is_found_before_a_shipped_recipe(tmp_path):
    path = recipe(tmp_path, GOOD)
    assert find_recipe(path) == path


def test_unknown_recipe():
    with pytest.raises(InputError, match="recipe nope: expected a TOML file or one of .*, digits-conv, .*, found neither"):
        find_recipe(Path("nope"))


HEADLINES = ["mnist-lenet5-w1a8", "cifar10-vgg-small-group-power", "cifar10-resnet18-group-power", "cifar10-wrn28-10-group-power",
             "cifar100-wrn28-10-group-power", "imagenet-resnet18-ovsw", "imagenet-resnet34-ovsw"]


def test_every_published_headline_has_its_recipe():
    assert set(HEADLINES) <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe_of(recipe.table(), "again") == recipe


@pytest.mark.parametrize("text", ["[binarizer]\nscale = 'none'", "binarizer = 'ste'"])
def test_a_table_needs_a_name(tmp_path, text):
    with pytest.raises(InputError, match=r"expected a table \[binarizer\] with a name, found "):
        load_recipe(recipe(tmp_path, GOOD + text))


def test_options_are_plain_values(tmp_path):
    with pytest.raises(InputError, match=r"expected a number, a word, true or false for 'scale' in \[binarizer\], found \[1\]"):
        load_recipe(recipe(tmp_path, GOOD + "[binarizer]\nname = 'ste'\nscale = [1]"))


@pytest.mark.train
@pytest.mark.parametrize(("tables", "message"), [
    ("[binarizer]\nname = 'sto'", r"expected a \[binarizer\] of ste, .*, found 'sto'"),
    ("[binarizer]\nname = 'ste'\nclop = true", r"expected an option of \[binarizer\] ste: scale, clip, found 'clop'"),
    ("[binarizer]\nname = 'ste'\nclip = 1", r"expected bool for 'clip' in \[binarizer\] ste, found 1"),
    ("[optimizer]\nname = 'bop'", r"expected the \[binarizer\] direct with the \[optimizer\] bop or bop2, and neither without .*'bop'"),
    ("[binarizer]\nname = 'direct'", r"expected the \[binarizer\] direct with the \[optimizer\] bop or bop2, .*'direct' and 'adam'"),
    ("[binarizer]\nname = 'direct'\n[optimizer]\nname = 'bop'\n[hook]\nname = 'ovsw'",
     r"expected no \[hook\] beside the \[binarizer\] direct, which has no latent weights, found 'ovsw'"),
    ("[binarizer]\nname = 'direct'\n[optimizer]\nname = 'bop2'\n[codebook]\nname = 'qbn'",
     r"expected no \[codebook\] beside the \[binarizer\] direct, which has no latent weights, found 'qbn'"),
    ("[schedule]\nname = 'cosine'\nwarmup = 0.1", r"expected an option of \[schedule\] cosine: warm_up, found 'warmup'"),
    ("[optimizer]\nname = 'sgd'\nweight_decay = 'much'", r"expected float for 'weight_decay' in \[optimizer\] sgd, found 'much'"),
])
def test_tables_that_cant_be_honoured(tmp_path, tables, message):
    pytest.importorskip("torch")
    from bwnhw.models.methods import check

    with pytest.raises(InputError, match=f"^recipe 'n': {message}$"):
        check(load_recipe(recipe(tmp_path, GOOD + tables)))

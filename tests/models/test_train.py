"""Training: deterministic, learning, and blind to the test images until the end."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw.errors import InputError  # noqa: E402  # after importorskip
from bwnhw.models.architectures import ARCHITECTURES  # noqa: E402
from bwnhw.models.data import load_digits  # noqa: E402
from bwnhw.models.export import to_graph  # noqa: E402
from bwnhw.models.recipe import find_recipe, load_recipe  # noqa: E402
from bwnhw.models.train import accuracy, distort, run, train  # noqa: E402
from bwnhw.onnx_write import to_bytes  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def digits():
    return load_digits()


@pytest.fixture
def recipe():
    return replace(load_recipe(find_recipe("digits-conv")), epochs=2)


def quiet(report):
    del report


def exported(trained):
    return to_bytes(to_graph(trained.network, ARCHITECTURES[trained.recipe.architecture]))


def test_two_trainings_are_equal_and_better_than_chance(recipe, digits):
    first, second = train(recipe, digits, quiet), train(recipe, digits, quiet)
    assert exported(first) == exported(second)
    assert first.test_accuracy == second.test_accuracy > 0.3


def test_another_seed_is_another_network(recipe, digits):
    assert exported(train(recipe, digits, quiet)) != exported(train(replace(recipe, seed=2), digits, quiet))


def test_training_leaves_torchs_random_state_and_threads_alone(recipe, digits):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train(replace(recipe, epochs=1), digits, quiet)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_test_images_decide_nothing(recipe, digits):
    other = replace(digits, x_test=digits.x_test[::-1].copy(), y_test=np.zeros_like(digits.y_test))
    assert exported(train(recipe, digits, quiet)) == exported(train(recipe, other, quiet))


def test_validation_images_are_held_out(recipe, digits):
    reports = []
    trained = train(replace(recipe, validation=300), digits, reports.append)
    assert [report.epoch for report in reports] == [1, 2]
    assert reports[-1].validation_accuracy == trained.validation_accuracy is not None
    assert exported(trained) != exported(train(recipe, digits, quiet))


@pytest.mark.parametrize(("change", "message"), [
    ({"architecture": "vgg"}, "recipe 'digits-conv': expected an architecture of digits-conv, sfc, lenet3x3, .*, found 'vgg'"),
    ({"architecture": "sfc"}, r"architecture 'sfc': expected images \(1, 28, 28\), found \(1, 8, 8\)"),
    ({"validation": 1400}, "recipe 'digits-conv': expected at least validation [+] batch training images, found 1437"),
])
def test_recipes_that_dont_fit_the_data(recipe, digits, change, message):
    with pytest.raises(InputError, match=f"^{message}$"):
        train(replace(recipe, **change), digits, quiet)


def test_pixels_that_are_too_large(recipe, digits):
    with pytest.raises(InputError, match=r"expected pixels of 0\.\.31, found 32"):
        train(recipe, replace(digits, x_train=digits.x_train * 2), quiet)


def test_distortion_keeps_integers_and_range(recipe, digits):
    torch.manual_seed(0)
    x = torch.from_numpy(digits.x_train[:50]).float()
    y = distort(x, recipe)
    assert not torch.equal(x, y)
    assert torch.equal(y, y.round())
    assert 0 <= y.min() and y.max() <= 16


def test_no_distortion_is_the_identity(recipe, digits):
    x = torch.from_numpy(digits.x_train[:5]).float()
    assert torch.equal(distort(x, replace(recipe, shift=0.0, rotate=0.0, zoom=0.0)), x)


def test_accuracy_counts(digits):
    class Scores(torch.nn.Module):
        def forward(self, x):
            return torch.zeros(len(x), 10)  # ties: class 0

    assert accuracy(Scores(), digits.x_test, digits.y_test) == np.mean(digits.y_test == 0)


def test_run_writes_network_card_and_test_images(tmp_path, digits):
    result = run(find_recipe("digits-conv"), None, tmp_path / "out", quiet, epochs=1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["digits-conv.json", "digits-conv.onnx", "digits-test.npz"]
    card = json.loads((tmp_path / "out" / "digits-conv.json").read_text())
    assert card == result.card
    assert card["epochs"] == 1 and card["accuracy_float"] == result.accuracy_float and card["accuracy_integer"] is None
    with np.load(tmp_path / "out" / card["test_images"], allow_pickle=False) as shipped:
        assert np.array_equal(shipped["x"], digits.x_test) and np.array_equal(shipped["y"], digits.y_test)


def test_a_folder_that_cant_be_made_is_known_before_training(tmp_path):
    (tmp_path / "out").write_text("a file")
    reports = []
    with pytest.raises(FileExistsError):
        run(find_recipe("digits-conv"), None, tmp_path / "out", reports.append, epochs=1)
    assert reports == []

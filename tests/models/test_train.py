"""Training: deterministic, learning, and blind to the test images until the end."""

import csv
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw.errors import InputError  # noqa: E402  # after importorskip
from bwnhw.models.architectures import ARCHITECTURES  # noqa: E402
from bwnhw.models.data import load_digits  # noqa: E402
from bwnhw.models.export import to_graph  # noqa: E402
from bwnhw.models.recipe import Part, find_recipe, load_recipe  # noqa: E402
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
    ({"architecture": "vgg"}, "recipe 'digits-conv': expected an architecture of digits-conv, .*, sfc, .*, found 'vgg'"),
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
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "digits-conv-events", "digits-conv.csv", "digits-conv.json", "digits-conv.onnx", "digits-test.npz"]
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


class Interrupted(Exception):
    pass


def interrupted_after(epoch):
    def progress(report):
        if report.epoch == epoch:
            raise Interrupted

    return progress


METHODS = [
    {},
    {"binarizer": Part("bnn++"), "optimizer": Part("sgd", {"weight_decay": 1e-4})},
    {"hook": Part("ovsw"), "loss": Part("kurtosis")},
    {"binarizer": Part("direct"), "optimizer": Part("bop2", {"unbiased": True})},
    {"binarizer": Part("rbnn"), "loss": Part("cmim", {"negatives": 16})},
    {"codebook": Part("snn", {"bits": 5})},
]


@pytest.mark.parametrize("parts", METHODS, ids=lambda parts: "-".join(part.name for part in parts.values()) or "plain")
def test_a_resumed_training_gives_the_same_bits(recipe, digits, tmp_path, parts):
    recipe = replace(recipe, epochs=4, validation=100, **parts)
    checkpoint = tmp_path / "n.checkpoint"
    whole_reports, reports = [], []
    whole = train(recipe, digits, whole_reports.append, watch_signs=True)
    with pytest.raises(Interrupted):
        train(recipe, digits, interrupted_after(2), checkpoint=checkpoint, watch_signs=True)
    resumed = train(recipe, digits, reports.append, checkpoint=checkpoint, watch_signs=True)
    assert exported(whole) == exported(resumed)
    assert whole.signs == resumed.signs
    assert [replace(report, seconds=0) for report in whole_reports] == [replace(report, seconds=0) for report in reports]


def test_a_checkpoint_without_random_state_is_seen(recipe, digits, tmp_path):
    recipe = replace(recipe, epochs=2)
    checkpoint = tmp_path / "n.checkpoint"
    with pytest.raises(Interrupted):
        train(recipe, digits, interrupted_after(1), checkpoint=checkpoint)
    kept = torch.load(checkpoint, weights_only=True)
    kept["state"]["random"] = torch.Generator().manual_seed(5).get_state()
    torch.save(kept, checkpoint)
    assert exported(train(recipe, digits, quiet, checkpoint=checkpoint)) != exported(train(recipe, digits, quiet))


def test_checkpoints_of_another_recipe_and_other_files(recipe, digits, tmp_path):
    checkpoint = tmp_path / "n.checkpoint"
    train(recipe, digits, quiet, checkpoint=checkpoint)
    with pytest.raises(InputError, match="expected the recipe 'digits-conv' as it is now, found another"):
        train(replace(recipe, seed=9), digits, quiet, checkpoint=checkpoint)
    checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="n.checkpoint: expected what a training wrote, found "):
        train(recipe, digits, quiet, checkpoint=checkpoint)


def test_run_resumes_and_then_leaves_no_checkpoint(tmp_path):
    digits_conv, out = find_recipe("digits-conv"), tmp_path / "out"
    with pytest.raises(Interrupted):
        run(digits_conv, None, out, interrupted_after(1), epochs=2)
    assert (out / "digits-conv.checkpoint").exists()
    reports = []
    run(digits_conv, None, out, reports.append, epochs=2, resume=True)
    run(digits_conv, None, tmp_path / "whole", quiet, epochs=2)
    assert [report.epoch for report in reports] == [1, 2]
    assert not (out / "digits-conv.checkpoint").exists()
    assert (out / "digits-conv.onnx").read_bytes() == (tmp_path / "whole" / "digits-conv.onnx").read_bytes()


def test_watching_signs_changes_nothing_and_is_logged(tmp_path):
    with_signs = run(find_recipe("digits-conv"), None, tmp_path / "a", quiet, epochs=2, watch_signs=True)
    without = run(find_recipe("digits-conv"), None, tmp_path / "b", quiet, epochs=2)
    assert with_signs.path.read_bytes() == without.path.read_bytes()
    assert "signs" not in without.card
    layer = with_signs.card["signs"]["4"]
    rows = list(csv.DictReader((tmp_path / "a" / "digits-conv.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["never_flipped 4"]) == layer["never_flipped_by_epoch"] < 1
    assert float(rows[0]["learning_rate"]) > float(rows[1]["learning_rate"]) > 0
    assert list((tmp_path / "a" / "digits-conv-events").glob("events.out.tfevents.*"))


def test_bfloat16_trains_other_bits_as_well(recipe, digits):
    half = train(replace(recipe, precision="bfloat16"), digits, quiet)
    assert half.test_accuracy > 0.3
    assert exported(half) != exported(train(recipe, digits, quiet))


@pytest.mark.slow
def test_two_processes(tmp_path, digits):
    """Gradients are averaged: both processes end with one network, which the first writes."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, "-m", "bwnhw.cli", "train", "digits-conv", "-o", str(tmp_path), "--epochs", "2"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "digits-conv.json").read_text())
    assert card["accuracy_float"] > 0.3
    assert done.stdout.count("digits-conv.onnx") == 1

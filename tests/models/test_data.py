"""Data sets: the digits' split, and files that aren't what they should be."""

import sys

import numpy as np
import pytest

from bwnhw.errors import ImageError, InputError, MissingError
from bwnhw.models.data import DIGITS_TEST, load_dataset, load_npz, write_test_images

X, Y = np.zeros((6, 28, 28), np.uint8), np.arange(6, dtype=np.uint8)
GOOD = {"x_train": X, "y_train": Y, "x_test": X[:2], "y_test": Y[:2]}


@pytest.mark.train
def test_digits_split_is_stratified_and_disjoint():
    data = load_dataset("digits", None)
    assert data.x_train.shape == (1437, 1, 8, 8) and data.x_test.shape == (DIGITS_TEST, 1, 8, 8)
    assert data.x_train.max() == data.x_test.max() == 16
    whole, test = np.bincount(np.concatenate([data.y_train, data.y_test])), np.bincount(data.y_test)
    assert np.abs(test - whole * DIGITS_TEST / whole.sum()).max() <= 1
    assert not {x.tobytes() for x in data.x_train} & {x.tobytes() for x in data.x_test}


@pytest.mark.train
def test_digits_need_no_file(tmp_path):
    with pytest.raises(InputError, match="expected no file"):
        load_dataset("digits", tmp_path / "x.npz")


def test_unknown_data_set():
    with pytest.raises(InputError, match="^data set 'cifar': expected 'digits' or 'mnist'$"):
        load_dataset("cifar", None)


def test_npz(tmp_path):
    np.savez(tmp_path / "d.npz", **GOOD)
    data = load_dataset("mnist", tmp_path / "d.npz")
    assert data.x_train.shape == (6, 1, 28, 28) and data.y_test.tolist() == [0, 1]
    assert data.source == "d.npz, its own split"


@pytest.mark.parametrize("change", [
    {"x_train": X.astype(np.float32)}, {"x_train": X[0]}, {"x_test": X[:0], "y_test": Y[:0]}, {"y_train": Y[:3]},
    {"y_test": Y[:2].astype(np.float32)}, {"x_train": np.array([None] * 6, object)},
], ids=["float images", "no batch", "empty", "too few labels", "float labels", "pickle"])
def test_wrong_arrays(tmp_path, change):
    np.savez(tmp_path / "d.npz", **{**GOOD, **change})
    with pytest.raises(ImageError, match="d.npz.* expected .*, found "):
        load_npz(tmp_path / "d.npz")


def test_missing_array(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=X)
    with pytest.raises(ImageError, match="y_train"):
        load_npz(tmp_path / "d.npz")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 truncated"])
def test_not_npz(tmp_path, content):
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(ImageError, match="d.npz"):
        load_npz(tmp_path / "d.npz")


def test_missing_file(tmp_path):
    with pytest.raises(ImageError, match="d.npz.*No such file"):
        load_npz(tmp_path / "d.npz")


def test_test_images_are_the_same_bytes_each_time(tmp_path):
    np.savez(tmp_path / "d.npz", **GOOD)
    data = load_npz(tmp_path / "d.npz")
    for name in ("a.npz", "b.npz"):
        write_test_images(data, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.train
def test_download(monkeypatch):
    calls = []

    def fetch(name, **options):
        calls.append((name, options))
        return np.broadcast_to(np.arange(784.0) % 256, (70_000, 784)), np.array(["7"] * 70_000, object)

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    data = load_dataset("mnist", None)
    assert calls == [("mnist_784", {"version": 1, "as_frame": False, "parser": "liac-arff", "return_X_y": True})]
    assert data.x_train.shape == (60_000, 1, 28, 28) and data.x_test.shape == (10_000, 1, 28, 28)
    assert data.x_test[0, 0, 1, 0] == 28 and data.y_test[0] == 7


@pytest.mark.train
def test_download_without_a_connection(monkeypatch):
    def fetch(name, **options):
        raise OSError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    with pytest.raises(InputError, match=r"the download from OpenML failed \(no route to host\), expected a connection or --data FILE"):
        load_dataset("mnist", None)


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_without_scikit_learn(name, monkeypatch):
    for module in ("sklearn", "sklearn.datasets", "sklearn.model_selection"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingError, match=f"^data set '{name}': scikit-learn is not installed"):
        load_dataset(name, None)

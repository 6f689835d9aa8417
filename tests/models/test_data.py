"""Data sets: the digits' split, and files that aren't what they should be."""

import io
import sys
import tarfile

import numpy as np
import pytest

from bwnhw.errors import ImageError, InputError, MissingError
from bwnhw.models.data import DIGITS_TEST, load_dataset, load_npz, write_test_images
from bwnhw.models.download import CIFARS

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
    with pytest.raises(InputError, match="^data set 'cifar': expected one of digits, mnist, fashion-mnist, cifar10, cifar100, imagenet$"):
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


def cifar_archive(path, cifar, count=3):
    """An archive in the layout of the binary version, `count` records a file; images numbered by their first pixel."""
    with tarfile.open(path, "w:gz") as files:
        for number, name in enumerate((*cifar.train, *cifar.test)):
            records = np.zeros((count, cifar.labels + 3072), np.uint8)
            records[:, 0] = 9  # the coarse label of CIFAR-100
            records[:, cifar.labels - 1] = np.arange(count)
            records[:, cifar.labels] = 10 * number + np.arange(count)
            records[:, cifar.labels + 2 * 1024 + 33] = 200  # blue, row 1, column 1
            info = tarfile.TarInfo(name)
            info.size = records.size
            files.addfile(info, io.BytesIO(records.tobytes()))


@pytest.mark.train
@pytest.mark.parametrize(("name", "train"), [("cifar10", 15), ("cifar100", 3)])
def test_cifar(name, train, tmp_path, monkeypatch):
    cifar_archive(tmp_path / "c.tar.gz", CIFARS[name])
    asked = []
    monkeypatch.setattr("pooch.retrieve", lambda url, known_hash: asked.append((url, known_hash)) or str(tmp_path / "c.tar.gz"))
    data = load_dataset(name, None)
    assert asked == [(CIFARS[name].url, f"md5:{CIFARS[name].md5}")]
    assert data.x_train.shape == (train, 3, 32, 32) and data.x_test.shape == (3, 3, 32, 32)
    assert data.y_test.tolist() == [0, 1, 2]
    assert data.x_train[:, 0, 0, 0].tolist() == [10 * file + image for file in range(train // 3) for image in range(3)]
    assert (data.x_test[:, 2, 1, 1] == 200).all() and data.x_test[:, :, 1, 1].sum() == 600


@pytest.mark.train
def test_cifar_that_cant_be_had(tmp_path, monkeypatch):
    def refuse(url, known_hash):
        raise ValueError("MD5 hash of downloaded file doesn't match")

    monkeypatch.setattr("pooch.retrieve", refuse)
    with pytest.raises(InputError, match=r"the download failed \(MD5 hash .*\), expected a connection or --data FILE"):
        load_dataset("cifar10", None)
    (tmp_path / "c.tar.gz").write_bytes(b"not an archive")
    monkeypatch.setattr("pooch.retrieve", lambda url, known_hash: str(tmp_path / "c.tar.gz"))
    with pytest.raises(ImageError, match="c.tar.gz: expected the binary version of a CIFAR data set, found "):
        load_dataset("cifar10", None)
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingError, match="pooch is not installed"):
        load_dataset("cifar10", None)


def picture(path, width, height, colour):
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.new("RGB", (width, height), colour).save(path)


@pytest.fixture
def folder(tmp_path):
    for part in ("train", "val"):
        picture(tmp_path / part / "n02" / "b.png", 300, 500, (200, 0, 0))
        picture(tmp_path / part / "n01" / "a.JPEG", 500, 300, (0, 100, 0))
        picture(tmp_path / part / "n01" / "c.png", 100, 90, (0, 0, 50))
    (tmp_path / "train" / "n01" / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.mark.train
def test_folder(folder):
    data = load_dataset("imagenet", folder)
    assert data.x_train.shape == data.x_test.shape == (3, 3, 224, 224)
    assert data.y_train.tolist() == [0, 0, 1]
    assert data.x_train[np.array([2, 1])][:, :, 100, 100].tolist() == [[200, 0, 0], [0, 0, 50]]
    assert data.test_digest() == load_dataset("imagenet", folder).test_digest()


@pytest.mark.train
def test_folders_that_dont_fit(folder):
    (folder / "val" / "n03").mkdir()
    with pytest.raises(ImageError, match="expected folders train/CLASS and val/CLASS of the same classes, found 2 and 3"):
        load_dataset("imagenet", folder)
    with pytest.raises(InputError, match="expected a folder with train/CLASS and val/CLASS as --data, found none"):
        load_dataset("imagenet", None)


@pytest.mark.train
def test_a_picture_that_is_none(folder):
    (folder / "val" / "n02" / "b.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match="b.png: expected a picture, found "):
        load_dataset("imagenet", folder).x_test[:]

"""Data sets as raw pixels: scikit-learn's digits, .npz files, downloads of MNIST, Fashion-MNIST and CIFAR, ImageNet from a folder."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from bwnhw.errors import ImageError, InputError, MissingError
from bwnhw.files import write_bytes
from bwnhw.models.download import CIFARS, fetch, read
from bwnhw.models.folder import FolderImages, read_folder

DIGITS_TEST = 360
_DIGITS_SEED = 0


Images = NDArray[np.uint8] | FolderImages


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images uint8 (N, channels, height, width) and labels int64 (N,), split into training and test; `source` says which.

    Images that don't fit into memory are read where they are indexed.

    `test_file` names the file in which the test images may ship beside a network, None where they are too large for that.
    """

    source: str
    x_train: Images
    y_train: NDArray[np.int64]
    x_test: Images
    y_test: NDArray[np.int64]
    test_file: str | None = None

    def test_digest(self) -> str:
        """SHA-256 of the test images and labels, in hexadecimal: whether two files hold the same test."""
        digest = sha256()
        for start in range(0, len(self.y_test), 1000):
            digest.update(self.x_test[start : start + 1000].tobytes())
        digest.update(self.y_test.tobytes())
        return digest.hexdigest()


def load_dataset(name: str, file: Path | None) -> Dataset:
    """The data set a recipe names, from `file` or, without one, from where it is published; "imagenet" from a folder (`folder`).

    InputError for another name, a file where none is read or none where one is; ImageError for a file that isn't as it should be.
    """
    if name not in DATA_SETS:
        raise InputError(f"data set {name!r}: expected one of {', '.join(DATA_SETS)}")
    if name == "digits" and file is not None:
        raise InputError(f"data set 'digits': expected no file, it comes with scikit-learn, found {file}")
    if file is not None:
        return load_folder(file) if file.is_dir() else load_npz(file)
    return DATA_SETS[name]()


def load_folder(folder: Path) -> Dataset:
    """Images in folders, as `folder.read_folder` says."""
    return Dataset(f"{folder.name}, its folders train and val", *read_folder(folder))


def load_digits() -> Dataset:
    """scikit-learn's 1797 digits, 8×8 pixels of 0..16; a fixed stratified split holds out 360 for the test."""
    try:
        from sklearn.datasets import load_digits as sklearn_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise MissingError("data set 'digits': scikit-learn is not installed, expected the extra bwnhw[train]") from None
    images, labels = sklearn_digits(return_X_y=True)
    x = images.astype(np.uint8).reshape(-1, 1, 8, 8)
    y = labels.astype(np.int64)
    train, test = train_test_split(np.arange(len(y)), test_size=DIGITS_TEST, stratify=y, random_state=_DIGITS_SEED)
    source = f"scikit-learn digits, stratified split, {DIGITS_TEST} test images, split seed {_DIGITS_SEED}"
    return Dataset(source, x[train], y[train], x[test], y[test], "digits-test.npz")


def load_npz(path: Path) -> Dataset:
    """MNIST-like arrays x_train, y_train, x_test, y_test; images uint8 (N, H, W) or (N, C, H, W). Pickles are refused."""
    try:
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in ("x_train", "y_train", "x_test", "y_test")}
    except OSError as error:
        raise ImageError(f"data file {path}: can't be read, {error.strerror or error}") from None
    except (BadZipFile, EOFError, KeyError, ValueError, zlib.error) as error:
        raise ImageError(f"data file {path}: expected arrays x_train, y_train, x_test, y_test without pickles, found {error}") from None
    x_train, y_train = _checked(path, arrays, "train")
    x_test, y_test = _checked(path, arrays, "test")
    return Dataset(f"{path.name}, its own split", x_train, y_train, x_test, y_test)


def _checked(path: Path, arrays: dict[str, NDArray[np.generic]], part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or len(x) == 0:
        raise ImageError(f"data file {path}: expected x_{part} uint8 (N, H, W) or (N, C, H, W), found {x.dtype} {x.shape}")
    if y.shape != x.shape[:1] or y.dtype.kind not in "iu":
        raise ImageError(f"data file {path}: expected y_{part} integers ({len(x)},), found {y.dtype} {y.shape}")
    return x.reshape(len(x), -1, *x.shape[-2:]).astype(np.uint8), y.astype(np.int64)


def _openml(title: str, name: str) -> Dataset:
    """70,000 images of 28×28 from OpenML through scikit-learn, which keeps them in its cache; the first 60,000 train, the rest test."""
    try:
        from sklearn.datasets import fetch_openml
    except ImportError:
        raise MissingError(f"data set {title!r}: scikit-learn is not installed, expected the extra bwnhw[train], or --data FILE") from None
    try:
        images, labels = fetch_openml(name, version=1, as_frame=False, parser="liac-arff", return_X_y=True)
    except OSError as error:
        raise InputError(f"data set {title!r}: the download from OpenML failed ({error}), expected a connection or --data FILE") from None
    x = images.astype(np.uint8).reshape(-1, 1, 28, 28)
    y = labels.astype(np.int64)
    return Dataset(f"{title} from OpenML, its own split", x[:60_000], y[:60_000], x[60_000:], y[60_000:])


def _cifar(name: str) -> Dataset:
    (x_train, y_train), (x_test, y_test) = read(CIFARS[name], fetch(CIFARS[name]))
    return Dataset(f"{name}, its own split", x_train, y_train, x_test, y_test)


def _imagenet() -> Dataset:
    raise InputError("data set 'imagenet': expected a folder with train/CLASS and val/CLASS as --data, found none")


DATA_SETS: dict[str, Callable[[], Dataset]] = {
    "digits": load_digits,
    "mnist": partial(_openml, "mnist", "mnist_784"),
    "fashion-mnist": partial(_openml, "fashion-mnist", "Fashion-MNIST"),
    "cifar10": partial(_cifar, "cifar10"),
    "cifar100": partial(_cifar, "cifar100"),
    "imagenet": _imagenet,
}


def write_test_images(data: Dataset, path: Path) -> None:
    """The test images as .npz with x uint8 (N, C, H, W) and y int64 (N,): the same bytes for the same images."""
    buffer = BytesIO()
    np.savez_compressed(buffer, x=data.x_test[:], y=data.y_test)
    write_bytes(path, buffer.getvalue())

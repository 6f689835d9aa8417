"""Data sets that are fetched once, held against their published checksums, and kept in pooch's cache."""

import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import ImageError, InputError, MissingError

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Cifar:
    """The binary version of a CIFAR data set (Krizhevsky 2009): records of `labels` bytes, the last of which counts, and 3×32×32 pixels."""

    url: str
    md5: str
    labels: int
    train: tuple[str, ...]
    test: tuple[str, ...]


_TEN = "cifar-10-batches-bin"

CIFARS = {
    "cifar10": Cifar("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 1,
                     tuple(f"{_TEN}/data_batch_{number}.bin" for number in range(1, 6)), (f"{_TEN}/test_batch.bin",)),
    "cifar100": Cifar("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", 2,
                      ("cifar-100-binary/train.bin",), ("cifar-100-binary/test.bin",)),
}

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def fetch(cifar: Cifar) -> Path:
    """The archive in the cache. InputError where the download or its checksum fails, MissingError without pooch."""
    try:
        import pooch
    except ImportError:
        raise MissingError("pooch is not installed, get it with: pip install 'bwnhw[train]', or give the data as --data FILE") from None
    try:
        return Path(pooch.retrieve(cifar.url, f"md5:{cifar.md5}"))
    except (OSError, ValueError) as error:
        raise InputError(f"data set {cifar.url}: the download failed ({error}), expected a connection or --data FILE") from None


def read(cifar: Cifar, archive: Path) -> tuple[Part, Part]:
    """Training and test images (N, 3, 32, 32) with labels (N,) from the archive. ImageError where it isn't as `cifar` says."""
    try:
        with tarfile.open(archive) as files:
            return _records(cifar, files, cifar.train), _records(cifar, files, cifar.test)
    except (OSError, EOFError, KeyError, ValueError, tarfile.TarError) as error:
        raise ImageError(f"data file {archive}: expected the binary version of a CIFAR data set, found {error}") from None


def _records(cifar: Cifar, files: tarfile.TarFile, names: tuple[str, ...]) -> Part:
    members = [files.extractfile(name) for name in names]
    data = np.concatenate([np.frombuffer(member.read(), np.uint8) for member in members if member is not None])
    records = data.reshape(-1, cifar.labels + _PIXELS)
    return records[:, cifar.labels:].reshape(-1, 3, 32, 32).copy(), records[:, cifar.labels - 1].astype(np.int64)

"""Images in folders, one per class, decoded when they are asked for: ImageNet as it is usually unpacked.

    FOLDER/train/CLASS/*.JPEG        FOLDER/val/CLASS/*.JPEG

Every image is scaled so that its shorter side is 256 and its middle 224×224 is taken (what papers test on); the recipe's distortions
act on that, so a crop at random is a `shift` and a `zoom`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import ImageError, MissingError

_SHORT, _SIDE = 256, 224
_KINDS = {".jpeg", ".jpg", ".png"}


@dataclass(frozen=True, eq=False)
class FolderImages:
    """Behaves as an array uint8 (N, 3, 224, 224) that is read image by image: `len`, `shape`, and indexing by an array or a slice."""

    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, 3, 224, 224)."""
        return len(self.files), 3, _SIDE, _SIDE

    def __getitem__(self, index: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
        numbers = np.arange(len(self))[index]
        return np.stack([decode(self.files[number]) for number in numbers])


def decode(path: Path) -> NDArray[np.uint8]:
    """One image (3, 224, 224). ImageError where it can't be decoded."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingError("pillow is not installed, get it with: pip install 'bwnhw[train]'") from None
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise ImageError(f"image {path}: expected a picture, found {error}") from None
    factor = _SHORT / min(image.size)
    wide, high = (max(_SIDE, round(side * factor)) for side in image.size)
    left, top = (wide - _SIDE) // 2, (high - _SIDE) // 2
    cropped = image.resize((wide, high), Image.Resampling.BILINEAR).crop((left, top, left + _SIDE, top + _SIDE))
    return np.asarray(cropped, np.uint8).transpose(2, 0, 1)


def read_folder(folder: Path) -> tuple[FolderImages, NDArray[np.int64], FolderImages, NDArray[np.int64]]:
    """Training and test (`val`) images and labels; classes count from 0 in the order of their folders' names.

    ImageError where there are no images, or the two parts don't have the same classes.
    """
    classes = sorted(path.name for path in (folder / "train").glob("*") if path.is_dir())
    found = sorted(path.name for path in (folder / "val").glob("*") if path.is_dir())
    if not classes or classes != found:
        raise ImageError(f"data folder {folder}: expected folders train/CLASS and val/CLASS of the same classes, found {len(classes)} and "
                         f"{len(found)}")
    train, test = (_part(folder / part, classes) for part in ("train", "val"))
    return *train, *test


def _part(folder: Path, classes: list[str]) -> tuple[FolderImages, NDArray[np.int64]]:
    files = [sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in _KINDS) for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(each) for each in files])
    if not len(labels):
        raise ImageError(f"data folder {folder}: expected images ({', '.join(sorted(_KINDS))}), found none")
    return FolderImages(tuple(path for each in files for path in each)), labels

"""Image files that NumPy writes are read as NumPy reads them; everything else is refused before memory is taken."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bwnhw.errors import ImageError
from bwnhw.images import read_images

RANDOM = np.random.default_rng(5)
SHAPE = (1, 4, 3)


def pixels(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def written(folder: Path, data: bytes) -> Path:
    path = folder / "images"
    path.write_bytes(data)
    return path


def archive(folder: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    path = folder / "images.npz"
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def refused(path: Path, message: str, shape: tuple[int, ...] = SHAPE) -> None:
    with pytest.raises(ImageError, match=message) as error:
        read_images(path, shape)
    assert str(path) in str(error.value) and "expected" in str(error.value) and "found" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("keys", [("x", "y"), ("x_test", "y_test")])
def test_npz(tmp_path: Path, save: object, keys: tuple[str, str]) -> None:
    x, y = pixels(7, *SHAPE), np.arange(7, dtype=np.uint8)
    path = tmp_path / "images.npz"
    save(path, **{keys[0]: x, keys[1]: y, "other": np.array([{}])})  # type: ignore[operator]
    images, labels = read_images(path, SHAPE)
    np.testing.assert_array_equal(images, x, strict=True)
    np.testing.assert_array_equal(labels, y.astype(np.int64), strict=True)


def test_a_stream_written_npz(tmp_path: Path) -> None:
    """Sizes behind the data, as writers that can't seek leave them."""
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            super().__init__()
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += data  # type: ignore[operator]
            return len(data)  # type: ignore[arg-type]

    pipe, x = Pipe(), pixels(7, *SHAPE)
    np.savez_compressed(pipe, x=x, y=np.arange(7))
    np.testing.assert_array_equal(read_images(written(tmp_path, bytes(pipe.data)), SHAPE)[0], x)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["uint8", "float32"]), st.sampled_from(["C", "F"]), st.sampled_from(["<", ">"]), st.integers(1, 3))
def test_npy_of_any_order(tmp_path_factory: pytest.TempPathFactory, dtype: str, order: str, endian: str, count: int) -> None:
    x = np.asarray(pixels(count, *SHAPE), np.dtype(dtype).newbyteorder(endian), order=order)
    images, labels = read_images(written(tmp_path_factory.mktemp("npy"), npy(x)), SHAPE)
    np.testing.assert_array_equal(images, x.astype(dtype), strict=True)
    assert labels is None


@pytest.mark.parametrize(("found", "shape", "result"), [
    ((5, 4, 3), (1, 4, 3), (5, 1, 4, 3)), ((5, 1, 4, 3), (12,), (5, 12)), ((5, 4, 3), (12,), (5, 12)), ((5, 12), (12,), (5, 12))])
def test_layouts(tmp_path: Path, found: tuple[int, ...], shape: tuple[int, ...], result: tuple[int, ...]) -> None:
    x = pixels(*found)
    images, _ = read_images(written(tmp_path, npy(x)), shape)
    np.testing.assert_array_equal(images, x.reshape(result), strict=True)


@pytest.mark.parametrize(("array", "message"), [
    (pixels(5, 3, 4), r"shape \(N, 1, 4, 3\), found \(5, 3, 4\)"),
    (pixels(5, 4, 3, 1), r"shape \(N, 1, 4, 3\)"),
    (pixels(0, 1, 4, 3), r"found \(0, 1, 4, 3\)"),
    (np.uint8(3), r"shape \(N, 1, 4, 3\)"),
    (pixels(5, *SHAPE).astype(np.float64), "float32 or uint8, found float64"),
    (pixels(5, *SHAPE).astype(np.int64), "float32 or uint8, found int64"),
    (pixels(5, *SHAPE).astype(np.complex64), "plain numbers"),
    (np.full((5, *SHAPE), np.nan, np.float32), "NaN"),
    (np.full((5, *SHAPE), np.inf, np.float32), "infinity"),
    (np.array([{}, {}]), "plain numbers"),
    (np.zeros(5, [("a", "<f4")]), "plain numbers"),
    (np.array(["a"]), "plain numbers"),
])
def test_wrong_arrays(tmp_path: Path, array: np.ndarray, message: str) -> None:
    refused(written(tmp_path, npy(array)), message)


@pytest.mark.parametrize(("labels", "message"), [
    (np.arange(4), r"label for each of 5 images, found labels of shape \(4,\)"),
    (np.zeros((5, 10), np.uint8), r"shape \(5, 10\)"),
    (np.zeros(5), "found float64"),
])
def test_wrong_labels(tmp_path: Path, labels: np.ndarray, message: str) -> None:
    refused(archive(tmp_path, {"x.npy": npy(pixels(5, *SHAPE)), "y.npy": npy(labels)}), message)


def header(text: str, data: bytes = b"", version: bytes = b"\1\0", size: int | None = None) -> bytes:
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text) if size is None else size)
    return b"\x93NUMPY" + version + length + text.encode() + data


HUGE = "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 2), }\n"


@pytest.mark.parametrize(("data", "message"), [
    (b"", "another or a truncated"),
    (b"hello", "another or a truncated"),
    (npy(pixels(2, *SHAPE))[:-1], "expected 24 bytes"),
    (npy(pixels(2, *SHAPE)) + b"\0", "expected 24 bytes"),
    (npy(pixels(2, *SHAPE))[:50], "plain numbers"),
    (header(HUGE), "8796093022208 bytes"),  # T8: 244 bytes that ask for 8 TiB
    (header(HUGE, version=b"\2\0"), "8796093022208 bytes"),
    (header("", version=b"\2\0", size=2**32 - 1), "header of at most 4096"),
    (header(HUGE, version=b"\7\0"), "another or a truncated"),
    (header("{'descr': '|u1', 'fortran_order': False, 'shape': (__import__('os').getpid(),), }\n"), "plain numbers"),
    (header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }\n"), "plain numbers"),
    (header("{'descr': '|u1', 'fortran_order': False, 'shape': (" + "9" * 40 + ",), }\n"), "plain numbers"),
    (header("{'descr': '<f3', 'fortran_order': False, 'shape': (1,), }\n"), "plain numbers"),
])
def test_bad_npy(tmp_path: Path, data: bytes, message: str) -> None:
    refused(written(tmp_path, data), message)


@pytest.mark.parametrize("name", ["/x.npy", "../x.npy", "a/../../x.npy", "C:x.npy", "\\x.npy", "x/"])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    refused(archive(tmp_path, {"x.npy": npy(pixels(5, *SHAPE)), name: b""}), "plain names")


def test_duplicate_members(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", npy(pixels(5, *SHAPE)))
        file.writestr("x.npy", npy(pixels(6, *SHAPE)))
    refused(path, "each once")


def test_a_bomb(tmp_path: Path) -> None:
    """Zeros compress a thousandfold; small members may."""
    refused(archive(tmp_path, {"x.npy": npy(np.zeros((10**6, *SHAPE), np.uint8))}, zipfile.ZIP_DEFLATED), "at most 100 times")
    path = archive(tmp_path, {"x.npy": npy(np.zeros((5000, *SHAPE), np.uint8))}, zipfile.ZIP_DEFLATED)
    assert read_images(path, SHAPE)[0].shape == (5000, *SHAPE)


def test_other_compressions_and_encryption(tmp_path: Path) -> None:
    refused(archive(tmp_path, {"x.npy": npy(pixels(5, *SHAPE))}, zipfile.ZIP_LZMA), "stored or deflated")
    path = archive(tmp_path, {"x.npy": npy(pixels(5, *SHAPE))})
    data = bytearray(path.read_bytes())
    data[data.rfind(b"PK\1\2") + 8] |= 1
    refused(written(tmp_path, bytes(data)), "encrypted")


def test_missing_keys_and_files(tmp_path: Path) -> None:
    refused(archive(tmp_path, {"images.npy": npy(pixels(5, *SHAPE))}), "called x .*found 'images.npy'")
    refused(tmp_path / "none.npz", "No such file")
    refused(tmp_path, "regular file")


def test_zip_confusion(tmp_path: Path) -> None:
    """T9: parsers that disagree about a file are no way in: prefix, trailing data, gaps, overlaps, names that differ."""
    path = archive(tmp_path, {"x.npy": npy(pixels(5, *SHAPE)), "y.npy": npy(np.arange(5))})
    data = path.read_bytes()
    read_images(path, SHAPE)
    refused(written(tmp_path, b"PK\3\4" + data), "one behind the other|broken")
    refused(written(tmp_path, data + b"\0"), "nothing else")
    refused(written(tmp_path, data[:-2] + b"\1\0!"), "nothing else")
    second = data.find(b"PK\3\4", 4)
    refused(written(tmp_path, data[:second] + b"\0" * 7 + data[second:]), "one behind the other|broken")
    refused(written(tmp_path, data.replace(b"y.npy", b"z.npy", 1)), "broken")
    entry = data.rfind(b"PK\1\2")
    overlapping = data[:entry + 42] + struct.pack("<I", 0) + data[entry + 46:]  # both entries point to the first member
    refused(written(tmp_path, overlapping), "one behind the other")
    refused(written(tmp_path, data[:-30]), "broken")
    flipped = bytearray(data)
    flipped[data.find(b"NUMPY") + 130] ^= 1  # a pixel: the checksum notices
    refused(written(tmp_path, bytes(flipped)), "broken")


def test_no_changed_byte_crashes(tmp_path: Path) -> None:
    x = pixels(3, *SHAPE)
    with io.BytesIO() as file:
        np.savez_compressed(file, x=x)
        data = file.getvalue()
    for position in range(len(data)):
        for flip in (1, 0x80, 0xFF):
            changed = bytearray(data)
            changed[position] ^= flip
            try:
                images, _ = read_images(written(tmp_path, bytes(changed)), SHAPE)
            except ImageError:
                continue
            np.testing.assert_array_equal(images, x)  # the change was in a time stamp or the like

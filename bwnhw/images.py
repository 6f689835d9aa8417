"""Images from .npy and .npz files, read by a parser of our own: no pickle, and nothing allocated before the sizes have been checked."""

import os
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import ImageError
from bwnhw.ops import quoted

MAX_BYTES = 2 << 30
"""Bytes of an array, and of a file."""
MAX_RATIO = 100
"""How many times smaller than its content a compressed member above 1 MiB may be."""

_SMALL = 1 << 20
_MAX_MEMBERS = 1024
_MAX_HEADER = 4096
_ENCRYPTED, _DESCRIPTOR = 1, 8  # bits of a member's flags
_LOCAL_HEADER, _END_RECORD = 30, 22  # bytes
_DESCRIPTORS = (12, 16, 20, 24)  # bytes behind a member whose sizes weren't known when it was begun
_HEADER = re.compile(r"\{'descr': '([<>|=]?[biuf][1248])', 'fortran_order': (True|False), "
                     r"'shape': \(((?:\d{1,18}, )*(?:\d{1,18},?)?)\),? ?\} *\n?")
_LABELS = ("x", "y"), ("x_test", "y_test")
_INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})


@dataclass(frozen=True)
class _Header:
    """What a .npy header says, and how many bytes it took."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    size: int


def read_images(path: Path, shape: tuple[int, ...], dtype: str = "float32") -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """Images (N, *shape) as raw uint8 or in the graph input's `dtype`, and labels int64 (N,) where the file has any.

    `path` is a .npy file, or an .npz with `x` and optionally `y` (or `x_test`, `y_test`). (N, H, W) stands for one channel, and
    where the model takes rows, `shape` = (n,), anything of n elements each is laid out in a row. Raises ImageError, before
    memory is taken, for a file that isn't one, another shape or dtype, compression above `MAX_RATIO`, and for NaN or infinity.
    """
    allowed = frozenset({"uint8", dtype})
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):  # a pipe would block, a device never end
            raise ImageError(f"{path}: expected a regular file, found something else")
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic == b"PK\3\4":
                x, y = _read_zip(file, path, allowed)
            else:
                x, y = _read_array(file, status.st_size, str(path), allowed), None
    except OSError as error:
        raise ImageError(f"{path}: expected a readable image file, found: {error.strerror or error}") from None
    images = _shaped(x, shape, path)
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise ImageError(f"{path}: expected finite values, found NaN or infinity")
    if y is not None and y.shape != images.shape[:1]:
        raise ImageError(f"{path}: expected one label for each of {len(images)} images, found labels of shape {y.shape}")
    return images, None if y is None else y.astype(np.int64)


def _shaped(x: NDArray[Any], shape: tuple[int, ...], path: Path) -> NDArray[Any]:
    """`x` as (N, *shape)."""
    found = x.shape[1:]
    single = len(shape) == 3 and shape[0] == 1 and found == shape[1:]
    row = len(shape) == 1 and prod(found) == shape[0]
    if not x.ndim or not len(x) or not (found == shape or single or row):
        raise ImageError(f"{path}: expected images of shape (N, {', '.join(map(str, shape))}), found {x.shape}")
    return x.reshape(len(x), *shape)


def _read_zip(file: IO[bytes], path: Path, allowed: frozenset[str]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """x and y of an .npz file."""
    try:
        with ZipFile(file) as archive:
            members = _checked_members(file, archive, path)
            for images, labels in _LABELS:
                if f"{images}.npy" in members:
                    x = _read_member(archive, members[f"{images}.npy"], path, allowed)
                    label = members.get(f"{labels}.npy")
                    return x, None if label is None else _read_member(archive, label, path, _INTEGERS)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, struct.error) as error:
        raise ImageError(f"{path}: expected an .npz file, found a broken one: {str(error)[:80]}") from None
    raise ImageError(f"{path}: expected an array called x (or x_test), found {', '.join(quoted(name) for name in sorted(members)[:8])}")


def _checked_members(file: IO[bytes], archive: ZipFile, path: Path) -> Mapping[str, ZipInfo]:
    """Members by name: plain names, none twice, none encrypted, none blown up, in one seamless row."""
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise ImageError(f"{path}: expected at most {_MAX_MEMBERS} arrays, found {len(members)}")
    names: dict[str, ZipInfo] = {}
    for member in members:
        name = member.filename
        if name in names or name.startswith(("/", "\\")) or ":" in name or ".." in name or member.is_dir():
            raise ImageError(f"{path}: expected plain names, each once, found the member {quoted(name)}")
        if member.flag_bits & _ENCRYPTED or member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise ImageError(f"{path}: expected members stored or deflated, found {quoted(name)} encrypted or otherwise compressed")
        if member.file_size > max(_SMALL, MAX_RATIO * member.compress_size):
            raise ImageError(f"{path}: expected at most {MAX_RATIO} times what is stored, found {quoted(name)} with {member.file_size} "
                             f"bytes in {member.compress_size}")
        names[name] = member
    _check_layout(file, sorted(members, key=lambda member: member.header_offset), archive.start_dir, path)
    return names


def _check_layout(file: IO[bytes], members: list[ZipInfo], directory: int, path: Path) -> None:
    """Members fill the file from its first byte to the directory, and nothing comes behind that, so that every reader sees the same."""
    starts = {0}
    for member in members:
        if member.header_offset not in starts:
            raise ImageError(f"{path}: expected members one behind the other, found {quoted(member.filename)} elsewhere")
        file.seek(member.header_offset)
        name_size, extra_size = struct.unpack("<26xHH", file.read(_LOCAL_HEADER))
        end = member.header_offset + _LOCAL_HEADER + name_size + extra_size + member.compress_size
        starts = {end + size for size in _DESCRIPTORS} if member.flag_bits & _DESCRIPTOR else {end}
    file.seek(-_END_RECORD, os.SEEK_END)
    end_record = file.read(_END_RECORD)
    if directory not in starts or not end_record.startswith(b"PK\5\6") or end_record[-2:] != b"\0\0":
        raise ImageError(f"{path}: expected an .npz of members, a directory and nothing else, found further bytes")


def _read_member(archive: ZipFile, member: ZipInfo, path: Path, allowed: frozenset[str]) -> NDArray[Any]:
    with archive.open(member) as stream:  # compares the local header's name with the directory's
        array = _read_array(stream, member.file_size, f"{path}: {quoted(member.filename)}", allowed)
        if stream.read(1):  # at the end of the member its checksum is compared
            raise ImageError(f"{path}: expected {member.file_size} bytes in {quoted(member.filename)}, found more")
        return array


def _read_array(stream: IO[bytes], size: int, where: str, allowed: frozenset[str]) -> NDArray[Any]:
    """A .npy array from the `size` bytes of `stream`, of one of the dtypes `allowed`."""
    header = _read_header(stream, where)
    if header.dtype.name not in allowed:
        raise ImageError(f"{where}: expected an array of {' or '.join(sorted(allowed))}, found {header.dtype.name}")
    wanted = prod(header.shape) * header.dtype.itemsize  # Python's integers: no overflow
    if wanted != size - header.size or wanted > MAX_BYTES:
        raise ImageError(f"{where}: expected {wanted} bytes for shape {header.shape} of {header.dtype.name} and at most {MAX_BYTES}, "
                         f"found {size - header.size}")
    data = stream.read(wanted)
    if len(data) != wanted:
        raise ImageError(f"{where}: expected {wanted} bytes, found {len(data)}")
    array = np.frombuffer(data, header.dtype).reshape(header.shape, order="F" if header.fortran else "C")
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _read_header(stream: IO[bytes], where: str) -> _Header:
    """The header that NumPy writes, matched literally instead of evaluated."""
    start = stream.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY" or start[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ImageError(f"{where}: expected a .npy or .npz file, found another or a truncated one")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _MAX_HEADER:
        raise ImageError(f"{where}: expected a header of at most {_MAX_HEADER} bytes, found {length}")
    text = stream.read(length).decode("latin-1")
    match = _HEADER.fullmatch(text)
    if len(text) != length or match is None:
        raise ImageError(f"{where}: expected an array of plain numbers, found the header {quoted(text)}")
    shape = tuple(int(entry) for entry in re.findall(r"\d+", match[3]))
    return _Header(np.dtype(match[1]), shape, match[2] == "True", 8 + width + length)

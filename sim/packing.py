"""Between maps of integers and the beats of a stream, as arrays of bytes."""

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import InputError
from bwnhw.sim.interface import Stream


def pack(codes: NDArray[np.integer], stream: Stream) -> NDArray[np.uint8]:
    """uint8 (N, beats, beat_bytes) of integers (N, C, H, W); little-endian, dummies and padding 0.

    Raises InputError where the shape isn't the stream's or a value needs more than `stream.bits`.
    """
    if codes.ndim != 4 or codes.shape[1:] != stream.shape:
        raise InputError(f"codes: shape must be (images, {', '.join(map(str, stream.shape))}), not {codes.shape}")
    lo, hi = (-(1 << stream.bits - 1), (1 << stream.bits - 1) - 1) if stream.signed else (0, (1 << stream.bits) - 1)
    if codes.size and not lo <= int(codes.min()) <= int(codes.max()) <= hi:
        raise InputError(f"codes: values must be in {lo}..{hi}, not {int(codes.min())}..{int(codes.max())}")
    images, channels = len(codes), stream.shape[0]
    elements = np.zeros((images * stream.shape[1] * stream.shape[2], stream.groups * stream.lanes), "<i8")
    elements[:, :channels] = codes.transpose(0, 2, 3, 1).reshape(-1, channels)
    octets = elements.reshape(-1, stream.lanes, 1).view(np.uint8)[:, :, :-(-stream.pitch // 8)]
    bits = np.unpackbits(octets, axis=2, bitorder="little", count=stream.pitch)
    beats = np.packbits(bits.reshape(len(bits), stream.lanes * stream.pitch), axis=1, bitorder="little")
    return beats.reshape(images, stream.beats, stream.beat_bytes)


def unpack(beats: NDArray[np.uint8], stream: Stream) -> NDArray[np.int64]:
    """int64 (N, C, H, W) of beats uint8 (N, beats, beat_bytes); an element's whole pitch counts, so a wrong extension shows."""
    images = len(beats)
    bits = np.unpackbits(beats.reshape(-1, stream.beat_bytes), axis=1, bitorder="little", count=stream.lanes * stream.pitch)
    octets = np.packbits(bits.reshape(-1, stream.pitch), axis=1, bitorder="little")
    whole = np.zeros((len(octets), 8), np.uint8)
    whole[:, :octets.shape[1]] = octets
    values = whole.view("<i8")[:, 0]
    if stream.signed:
        values = (values << 64 - stream.pitch) >> 64 - stream.pitch
    pixels = values.reshape(images, stream.shape[1], stream.shape[2], stream.groups * stream.lanes)[..., :stream.shape[0]]
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))

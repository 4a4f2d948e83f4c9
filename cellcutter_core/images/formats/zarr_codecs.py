"""Unpacks the chunks of a Zarr array, with imagecodecs, which is installed for TIFF anyway.

A chunk that would unpack to more than its array says is refused.
"""

from __future__ import annotations

import bz2
import lzma
import math
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from cellcutter_core.images.reading.contents import Array, Unreadable

_MOST_OF_LZMA = 100 * 1024**2


@dataclass(frozen=True)
class Codec:
    """One step in the encoding of a chunk, which reading has to undo."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def unpacked(
    data: bytes, codecs: tuple[Codec, ...], *, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    """The numbers of a chunk.

    Raises
    ------
    Unreadable
        If a codec is not supported, or the chunk is damaged or has the wrong size.
    """
    size = math.prod(shape) * dtype.itemsize
    orders = []
    for codec in reversed(codecs):
        if codec.name == "transpose":
            orders.append([int(axis) for axis in codec.settings["order"]])
        elif codec.name != "bytes":
            unpack = UNPACK.get(codec.name)
            if unpack is None:
                raise Unreadable(f"is compressed with {codec.name}, which is not supported")
            try:
                data = unpack(data, size)
            except Unreadable:
                raise
            except Exception as error:
                raise Unreadable(
                    f"has a damaged chunk ({codec.name}: {str(error)[:80]}); copy or save it again"
                ) from None
    if len(data) != size:
        raise Unreadable(
            f"has a damaged chunk, {len(data)} bytes where {size} are expected; copy or save it "
            "again"
        )
    stored = list(range(len(shape)))
    for order in reversed(orders):
        if sorted(order) != list(range(len(shape))):
            raise Unreadable(f"has an invalid order of axes, {order}")
        stored = [stored[axis] for axis in order]
    array = np.frombuffer(data, dtype).reshape([shape[axis] for axis in stored])
    return array.transpose(np.argsort(stored))


def _deflated(bits: int) -> Callable[[bytes, int], bytes]:
    def unpack(data: bytes, size: int) -> bytes:
        return zlib.decompressobj(bits).decompress(data, size + 1)

    return unpack


def _blosc(data: bytes, size: int) -> bytes:
    import imagecodecs

    # The library trusts the header's sizes of packed and unpacked data, so check them here.
    if len(data) < 16 or struct.unpack("<I4xI", data[4:16]) != (size, len(data)):
        raise ValueError("its header has other sizes")
    return bytes(imagecodecs.blosc_decode(data, numthreads=1, out=size))


def _zstd(data: bytes, size: int) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.zstd_decode(data, out=size))


def _lz4(data: bytes, size: int) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.lz4_decode(data[4:], out=size))


def _crc32c(data: bytes, size: int) -> bytes:
    # Computed byte by byte this checksum is too slow for pixels, so it is not compared.
    del size
    return data[:-4]


@cache
def _crc32c_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """Compute the checksum of a shard's list of chunks (Castagnoli, RFC 3720, appendix B.4).

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    table, value = _crc32c_table(), 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


UNPACK: dict[str, Callable[[bytes, int], bytes]] = {
    "zlib": _deflated(zlib.MAX_WBITS),
    "gzip": _deflated(zlib.MAX_WBITS | 16),
    "bz2": lambda data, size: bz2.BZ2Decompressor().decompress(data, size + 1),
    "lzma": lambda data, size: lzma.LZMADecompressor(memlimit=_MOST_OF_LZMA).decompress(
        data, size + 1
    ),
    "blosc": _blosc,
    "zstd": _zstd,
    "lz4": _lz4,
    "crc32c": _crc32c,
}
"""For each codec: a function that unpacks to at most one byte more than the given size."""

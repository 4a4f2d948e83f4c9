"""Reads arrays of Zarr 2 and 3, only the chunks that are needed.

Written after the two specifications (https://zarr-specs.readthedocs.io).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

import numpy as np

from cellcutter_core.images.formats.zarr_codecs import Codec, crc32c, unpacked
from cellcutter_core.images.formats.zarr_stores import LARGEST_METADATA, Store
from cellcutter_core.images.reading.contents import Array, Unreadable
from cellcutter_core.images.reading.stored import spans_and_chunks

MOST_CHUNKS = 100_000
"""Most chunks of one plane or region. More would take minutes to find."""

# Bytes that a format may add to a chunk that compression did not make smaller.
_AROUND = 65536
_MISSING = 2**64 - 1

Index = tuple[int | slice, ...]


@dataclass(frozen=True)
class Shards:
    """Files that hold several chunks each, with a list of chunk positions at one end.

    Attributes
    ----------
    counts : number of chunks in a file, along each axis
    at_start : whether the list comes first
    checksum : number of bytes after the list
    found : the lists read so far, by file
    """

    counts: tuple[int, ...]
    at_start: bool
    checksum: int
    found: dict[str, bytes | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ZarrArray:
    """An array, not read yet.

    Attributes
    ----------
    store, path : where its files are
    shape, chunks : lengths of the axes, of the array and of a chunk
    dtype : data type, in the byte order of the chunks
    fill : the value where there is no chunk
    codecs : in the order in which they were applied
    name_of : takes the position of a chunk, returns the name of its file
    shards : where the chunks are, if a file holds several
    """

    store: Store
    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: Any
    codecs: tuple[Codec, ...]
    name_of: Callable[[tuple[int, ...]], str]
    shards: Shards | None = None

    @property
    def bytes_of_chunk(self) -> int:
        """The size of an unpacked chunk."""
        return math.prod(self.chunks) * self.dtype.itemsize

    def read(self, index: Index) -> Array:
        """A part of the array, given one number or slice for each axis."""
        spans, touched = spans_and_chunks(self.shape, index, self.chunks)
        if math.prod(map(len, touched)) > MOST_CHUNKS:
            raise Unreadable(
                f"has its {[len(span) for span in spans]} pixels in more than {MOST_CHUNKS} "
                "chunks; save it with larger ones"
            )
        found = np.full([len(span) for span in spans], self.fill, self.dtype)
        places = product(*touched)
        with ThreadPoolExecutor(self.store.parallel) as pool:
            # Submit only as many as are read at the same time, so that few chunks are in memory.
            while several := list(islice(places, self.store.parallel)):
                for place, chunk in zip(several, pool.map(self._chunk, several), strict=True):
                    if chunk is not None:
                        _put(chunk, found, place=place, sizes=self.chunks, spans=spans)
        return found[tuple(slice(None) if isinstance(at, slice) else 0 for at in index)]

    def _chunk(self, place: tuple[int, ...]) -> Array | None:
        most = self.bytes_of_chunk * 9 // 8 + _AROUND
        if self.shards is None:
            data = self.store.get(f"{self.path}{self.name_of(place)}", most)
        else:
            data = self._of_shard(place, self.shards, most)
        if data is None:
            return None
        return unpacked(data, self.codecs, shape=self.chunks, dtype=self.dtype)

    def _of_shard(self, place: tuple[int, ...], shards: Shards, most: int) -> bytes | None:
        """The bytes of a chunk that is in one file with others."""
        pairs = list(zip(place, shards.counts, strict=True))
        path = f"{self.path}{self.name_of(tuple(at // n for at, n in pairs))}"
        if path not in shards.found:
            n_bytes = 16 * math.prod(shards.counts) + shards.checksum
            listed = self.store.get_range(path, 0 if shards.at_start else None, n_bytes)
            if listed is not None and len(listed) < n_bytes:
                raise Unreadable(f"has a damaged file {path}: it ends before its list of chunks")
            if listed is not None and shards.checksum:
                wanted = int.from_bytes(listed[-shards.checksum :], "little")
                if crc32c(listed[: -shards.checksum]) != wanted:
                    raise Unreadable(f"has a damaged file {path}: its list of chunks has changed")
            shards.found[path] = None if listed is None else listed[: 16 * math.prod(shards.counts)]
        listed = shards.found[path]
        if listed is None:
            return None
        places = np.frombuffer(listed, "<u8").reshape(*shards.counts, 2)
        offset, length = (int(number) for number in places[tuple(at % n for at, n in pairs)])
        if offset == length == _MISSING:
            return None
        if length > most or offset > 2**62:
            raise Unreadable(f"has a damaged file {path}: a chunk of {length} bytes at {offset}")
        return self.store.get_range(path, offset, length)


def _put(
    chunk: Array,
    found: Array,
    *,
    place: tuple[int, ...],
    sizes: tuple[int, ...],
    spans: list[range],
) -> None:
    """Copy the overlap of a chunk with the requested part."""
    source, target = [], []
    for number, size, span in zip(place, sizes, spans, strict=True):
        start, stop = max(number * size, span.start), min((number + 1) * size, span.stop)
        source.append(slice(start - number * size, stop - number * size))
        target.append(slice(start - span.start, stop - span.start))
    found[tuple(target)] = chunk[tuple(source)]


# Metadata ---------------------------------------------------------------------------------------


def read_json(store: Store, path: str) -> dict[str, Any] | None:
    """A file of metadata, None if it does not exist.

    Raises
    ------
    Unreadable
        If it is not a JSON object.
    """
    data = store.get(path, LARGEST_METADATA)
    if data is None:
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise Unreadable(f"has a damaged file {path}; copy or save it again") from None
    if not isinstance(found, dict):
        raise Unreadable(f"has a damaged file {path}; copy or save it again")
    return found


def open_array(store: Store, path: str) -> ZarrArray:
    """The array in a folder of a Zarr.

    Raises
    ------
    Unreadable
        If there is none, or its metadata hold something unknown.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Unreadable(f"names an array {path!r} outside of itself")
    prefix = "".join(f"{part}/" for part in parts)
    try:
        if (about := read_json(store, f"{prefix}zarr.json")) is not None:
            return _version_3(store, prefix, about)
        if (about := read_json(store, f"{prefix}.zarray")) is not None:
            return _version_2(store, prefix, about)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        detail = f"{type(error).__name__}: {error}"
        raise Unreadable(f"has invalid metadata of its array {path!r} ({detail})") from None
    raise Unreadable(f"lacks its array {path!r}; its copy may be incomplete")


def _version_2(store: Store, prefix: str, about: dict[str, Any]) -> ZarrArray:
    if about.get("filters"):
        raise Unreadable(f"has filters {about['filters']}, which are not supported; save it again")
    dtype = np.dtype(about["dtype"]) if isinstance(about["dtype"], str) else np.dtype("V")
    codecs = []
    shape, chunks = _lengths(about["shape"]), _lengths(about["chunks"])
    if about.get("order", "C") == "F":
        codecs.append(Codec("transpose", {"order": list(range(len(shape)))[::-1]}))
    if (compressor := about.get("compressor")) is not None:
        codecs.append(Codec(str(compressor["id"]), compressor))
    mark = about.get("dimension_separator", ".")
    return _checked(
        ZarrArray(
            *(store, prefix, shape, chunks, dtype, _fill(about.get("fill_value"), dtype)),
            codecs=tuple(codecs),
            name_of=lambda place: mark.join(map(str, place)) or "0",
        )
    )


def _version_3(store: Store, prefix: str, about: dict[str, Any]) -> ZarrArray:
    if about.get("node_type") != "array":
        raise Unreadable(f"has no array in {prefix or 'its folder'}; its copy may be incomplete")
    if not isinstance(about["data_type"], str):
        raise Unreadable(f"has numbers of type {about['data_type']}; save integers or floats")
    if about["chunk_grid"]["name"] != "regular" or about.get("storage_transformers"):
        raise Unreadable("has chunks of several sizes; save it with chunks of one size")
    codecs = _codecs(about["codecs"])
    chunks, shards = _lengths(about["chunk_grid"]["configuration"]["chunk_shape"]), None
    if codecs and codecs[0].name == "sharding_indexed":
        chunks, codecs, shards = _sharded(chunks, codecs)
    try:
        dtype = _byte_order(np.dtype(about["data_type"]), codecs)
    except TypeError:
        raise Unreadable(f"has numbers of unknown type {about['data_type']!r}") from None
    naming = about["chunk_key_encoding"]
    plain = naming["name"] == "v2"
    mark = naming.get("configuration", {}).get("separator", "." if plain else "/")
    start = "" if plain else f"c{mark}"
    return _checked(
        ZarrArray(
            *(store, prefix, _lengths(about["shape"])),
            chunks=chunks,
            dtype=dtype,
            fill=_fill(about.get("fill_value"), dtype),
            codecs=codecs,
            name_of=lambda place: start + mark.join(map(str, place)),
            shards=shards,
        )
    )


def _sharded(
    outer: tuple[int, ...], codecs: tuple[Codec, ...]
) -> tuple[tuple[int, ...], tuple[Codec, ...], Shards]:
    """The shape of chunks, their codecs and their shards, from the shape and codec of the files."""
    settings = codecs[0].settings
    chunks = _lengths(settings["chunk_shape"])
    fit = len(chunks) == len(outer) and 0 not in chunks
    if len(codecs) > 1 or not fit or any(o % c for o, c in zip(outer, chunks, strict=True)):
        raise Unreadable(f"has files of {outer} numbers in chunks of {chunks}, not supported")
    counts = tuple(o // c for o, c in zip(outer, chunks, strict=True))
    if math.prod(counts) > MOST_CHUNKS:
        raise Unreadable(f"has {math.prod(counts)} chunks in a file; save it with larger ones")
    index = [codec.name for codec in _codecs(settings["index_codecs"])]
    if index not in (["bytes"], ["bytes", "crc32c"]):
        raise Unreadable(f"has lists of chunks in {index}, not supported")
    at_start = settings.get("index_location", "end") == "start"
    return chunks, _codecs(settings["codecs"]), Shards(counts, at_start, 4 * (len(index) - 1))


def _checked(array: ZarrArray) -> ZarrArray:
    if len(array.chunks) != len(array.shape) or 0 in array.chunks or len(array.shape) > 32:
        raise Unreadable(f"has an array of shape {array.shape} in chunks of {array.chunks}")
    return array


def _lengths(given: Any) -> tuple[int, ...]:
    if not all(isinstance(length, int) and 0 <= length < 2**48 for length in given):
        raise Unreadable(f"has an array or chunk of shape {given}")
    return tuple(given)


def _fill(value: Any, dtype: np.dtype[Any]) -> Any:
    if value is None or dtype.kind not in "biuf":
        return 0
    try:
        return np.array(float(value) if isinstance(value, str) else value).astype(dtype)[()]
    except ValueError:
        raise Unreadable(f"has the fill value {value!r}, which is not a number") from None


def _codecs(given: Any) -> tuple[Codec, ...]:
    return tuple(Codec(str(codec["name"]), codec.get("configuration") or {}) for codec in given)


def _byte_order(dtype: np.dtype[Any], codecs: tuple[Codec, ...]) -> np.dtype[Any]:
    """The data type in the byte order of the chunks, which a codec gives in version 3."""
    big = any(c.name == "bytes" and c.settings.get("endian") == "big" for c in codecs)
    return dtype.newbyteorder(">" if big else "<")

"""Reads a data set of an HDF5 file through h5py, as ilastik, MATLAB (7.3) and others write it.

Some programs name the axes in attributes. Without these, a data set is read like an array whose
axes have no names. Links to other files, and data stored in other files, are never followed.
"""

from __future__ import annotations

import contextlib
import json
import math
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cellcutter_core.images.formats.numpy_files import SMALLEST_IMAGE
from cellcutter_core.images.formats.zip_archives import LARGEST_RATIO
from cellcutter_core.images.pixel_size import PixelSize, of_sides
from cellcutter_core.images.reading.axes import MAX_CHANNELS, channel_axis
from cellcutter_core.images.reading.contents import (
    Array,
    Contents,
    Unreadable,
    check_header,
    check_size,
)
from cellcutter_core.images.reading.parts import MOST_LISTED, Listed, Part
from cellcutter_core.images.reading.stored import Stored, spans_and_chunks

MOST_OBJECTS = 10_000
"""Most groups and data sets of a file that are looked at."""

DEFLATE = 1
"""The number of the deflate filter in HDF5."""


def read_hdf5(path: Path, part: Part, max_bytes: int, *, of_labels: bool = False) -> Contents:
    """Read one plane, with all its channels, of a data set.

    `part.scene` chooses the data set, by its name or its number in the order of the names. With
    `of_labels`, no choice is needed if only one data set holds whole numbers.

    Raises
    ------
    Unreadable
        If no data set can be an image, several can and none is chosen, it is a stack and no plane
        is chosen, its axes are not known, or it needs more than `max_bytes`.
    """
    # Locking would need write access to the folder.
    with h5py.File(path, "r", locking=False) as file:
        images = _images(file)
        whole = [one for one in images if one.image[0].dtype.kind in "biu"]
        images = whole if of_labels and len(whole) == 1 else images
        if not images:
            raise Unreadable(
                "is an HDF5 file without a data set that can be an image: numbers, with at least "
                f"{SMALLEST_IMAGE} rows and columns"
            )
        if part.scene is not None and isinstance(part.scene, str):
            part = Part(part.z, part.t, part.scene.strip("/"), part.region, part.reduced_to)
        dataset, axes = part.choose(images, most_named=MOST_LISTED)
        _check(dataset, max_bytes)

        def read(index: tuple[int | slice, ...]) -> Array:
            _check_chunks(dataset, index, max_bytes)
            return np.asarray(dataset[index])

        stored = Stored(dataset.shape, axes, dataset.dtype, read).without(UNKNOWN)
        found = part.contents(_named(stored, part), max_bytes=max_bytes)
        found.pixel_size = _pixel_size(dataset)
        return found


UNKNOWN = "Q"


def _images(file: Any) -> list[Listed[tuple[Any, str]]]:
    """The data sets that can be images, with their axes, which are `UNKNOWN` if not named."""
    found: list[Listed[tuple[Any, str]]] = []
    n_seen = 0

    def look(name: str, item: Any) -> bool | None:
        nonlocal n_seen
        n_seen += 1
        is_array = isinstance(item, h5py.Dataset) and item.shape is not None
        if is_array and item.dtype.kind in "biuf" and item.dtype.itemsize <= 8:
            axes = _axes(item)
            lengths = [n for n in item.shape if n > 1]
            if "Y" in axes and "X" in axes:
                plane = item.shape[axes.index("Y")], item.shape[axes.index("X")]
            elif len(lengths) in (2, 3, 4):
                plane = _plane(lengths)
            else:
                return None
            if min(plane) >= SMALLEST_IMAGE:
                is_thumbnail = "thumbnail" in name.lower()
                found.append(Listed(name, plane, (item, axes), is_thumbnail, item.shape))
        return True if n_seen > MOST_OBJECTS else None

    # This visits each object once, and none in another file.
    file.visititems(look)
    return found


def _plane(lengths: list[int]) -> tuple[int, int]:
    """The lengths of rows and columns among axes without names."""
    if len(lengths) > 2:
        with contextlib.suppress(Unreadable):
            axis = channel_axis(tuple(lengths[-3:]))
            if axis is not None and lengths[-3:][axis] <= MAX_CHANNELS:
                rows, cols = (n for at, n in enumerate(lengths[-3:]) if at != axis)
                return rows, cols
    return lengths[-2], lengths[-1]


def _axes(dataset: Any) -> str:
    """A letter for each axis, from the attributes of ilastik, h5py's labels or other programs."""
    named: list[Any] = []
    with contextlib.suppress(Exception):
        named = [axis["key"] for axis in json.loads(dataset.attrs["axistags"])["axes"]]
    if not named:
        with contextlib.suppress(Exception):
            named = [axis.label for axis in dataset.dims]
    if not any(named):
        with contextlib.suppress(Exception):
            named = list(dataset.attrs["axes"])
    letters = "".join(str(one).strip().upper()[:1] for one in named)
    known = len(letters) == len(dataset.shape) == len(set(letters)) and set(letters) <= set("TZCYX")
    return letters if known and {"Y", "X"} <= set(letters) else UNKNOWN * len(dataset.shape)


def _named(stored: Stored, part: Part) -> Stored:
    """Give a meaning to axes that the file does not name."""
    if UNKNOWN not in stored.axes:
        return stored
    shape = stored.shape
    if len(shape) == 3 and part.z is None:
        axis = None
        with contextlib.suppress(Unreadable):
            axis = channel_axis(shape)
        if axis is None or shape[axis] > MAX_CHANNELS:
            raise Unreadable(
                f"has a data set of shape {shape} that does not say what its axes are; for planes "
                f"of a stack give z=0 to {shape[0] - 1}, or z='max' for the maximum projection"
            )
        axes = "YXC" if axis == 2 else "CYX"
    elif len(shape) == 4 and part.z is not None and min(shape[1], shape[3]) <= MAX_CHANNELS:
        axes = "ZYXC" if shape[3] <= MAX_CHANNELS else "ZCYX"
    elif len(shape) in (2, 3):
        axes = "ZYX"[-len(shape) :]
    else:
        raise Unreadable(
            f"has a data set of shape {shape} that does not say what its axes are; save one plane, "
            "or the letters of the axes in its attribute 'axes', such as ZCYX"
        )
    return Stored(shape, axes, stored.dtype, stored.read)


def _check(dataset: Any, max_bytes: int) -> None:
    """Refuse, by its header, a data set that cannot be read or needs too much memory."""
    check_header(dataset.shape, dataset.dtype)
    if dataset.is_virtual or dataset.external:
        raise Unreadable("has its data in other files, which are not read; copy them into it")
    if dataset.chunks is not None:
        check_size(
            math.prod(dataset.chunks) * dataset.dtype.itemsize,
            max_bytes,
            advice="its chunks are read whole; save it with smaller ones",
        )


def _check_chunks(dataset: Any, index: tuple[int | slice, ...], max_bytes: int) -> None:
    """Refuse a chunk that unpacks to more than its stated size, before h5py uses the memory."""
    if dataset.chunks is None:
        return
    created = dataset.id.get_create_plist()
    filters = [created.get_filter(n)[0] for n in range(created.get_nfilters())]
    if DEFLATE not in filters:
        return
    size = math.prod(dataset.chunks) * dataset.dtype.itemsize
    _, touched = spans_and_chunks(dataset.shape, index, dataset.chunks)
    for at in np.ndindex(*map(len, touched)):
        place = tuple(
            span[n] * chunk for span, n, chunk in zip(touched, at, dataset.chunks, strict=True)
        )
        about = dataset.id.get_chunk_info_by_coord(place)
        if about.byte_offset is None or LARGEST_RATIO * about.size <= max_bytes:
            continue
        check_size(about.size, max_bytes)
        _, packed = dataset.id.read_direct_chunk(place)
        # Other filters, such as checksums, may add a few bytes.
        unpacked = zlib.decompressobj().decompress(packed, size + 65)
        if len(unpacked) > size + 64:
            raise Unreadable("has a damaged chunk, which is larger than it says; save it again")


def _pixel_size(dataset: Any) -> PixelSize | None:
    """µm per pixel, from the attribute that ImageJ's HDF5 plugin writes for z, y and x."""
    with contextlib.suppress(Exception):
        height, width = (float(size) for size in dataset.attrs["element_size_um"][-2:])
        return of_sides(height, width)
    return None

"""Reads NumPy's files, .npy and .npz. Pickled objects are never opened.

An .npz file is a zip archive of .npy files. Each of these begins with a header that gives shape and
data type, so the total size is known without unpacking pixels. The formats are described in the
documentation of `numpy.lib.format`.
"""

from __future__ import annotations

import dataclasses
import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from cellcutter_core.images.formats.zip_archives import open_archive
from cellcutter_core.images.reading.axes import (
    channel_axis,
    channels_last,
    without_idle_axes,
)
from cellcutter_core.images.reading.contents import (
    Array,
    Contents,
    Unreadable,
    check_header,
    check_size,
)
from cellcutter_core.images.reading.parts import Part
from cellcutter_core.images.reading.stored import Stored

Header = tuple[tuple[int, ...], np.dtype[Any]]

PAPER_CHANNELS = ("fluorescence", "bright field", "nucleus")

SEEN_OF_OBJECTS = 4096
"""Bytes of pickled objects that are searched for the words of Cellpose's files."""

MOST_LISTED = 10
"""Most arrays listed in a message."""

LONGEST_HEADER = 16 * 1024
"""Most bytes of a header that are read. NumPy refuses headers of more than 10,000 characters."""

SMALLEST_IMAGE = 16
"""An array with fewer rows or columns is a table, such as a list of points, not an image."""


def read_npy(path: Path, part: Part, max_bytes: int) -> Contents:
    """Read a .npy file that holds an image of two or three axes, or a region of it.

    Raises
    ------
    Unreadable
        If it is not an image, is cut short, is pickled or is larger than `max_bytes`.
    """
    with path.open("rb") as file:
        header = read_header(file)
        start = file.read(SEEN_OF_OBJECTS) if header[1].hasobject else b""
    of_cellpose = path.name.endswith("_seg.npy") or b"outlines" in start or b"masks" in start
    if of_cellpose and header[1].hasobject:
        raise Unreadable(
            "is Cellpose's own format: pickled Python objects, which can run any code when opened "
            "and are never read; save its masks as PNG or TIFF (in Cellpose File, Save "
            "masks as PNG/tif), or in Python: tifffile.imwrite('masks.tif', "
            f"numpy.load({path.name!r}, allow_pickle=True).item()['masks'])"
        )
    check_header(*header)
    part.which_scene()
    stored = Stored(header[0], "", header[1], lambda index: _of_npy(path, index)).without_idle()
    axes = {None: "YX", 0: "CYX", 2: "YXC"}[channel_axis(stored.shape)]
    return part.contents(dataclasses.replace(stored, axes=axes), max_bytes=max_bytes)


def _of_npy(path: Path, index: tuple[int | slice, ...]) -> Array:
    """Read a part of an array from its file."""
    with path.open("rb") as file:
        header = read_header(file)
        _check_complete(path.stat().st_size - file.tell(), _n_bytes(header))
    return np.array(np.lib.format.open_memmap(path, mode="r")[index])


def read_npz(path: Path, max_bytes: int) -> Contents:
    """Read an .npz file in one of three layouts.

    1. That of the paper's files: `data` (H, W, 6) with fluorescence, bright field, nucleus, marker
       labels, and two masks, which are not read; `test_id` (K,) and `test_label` (K, S, S) for
       validation.
    2. `image` (H, W, C) or (H, W), and optionally `channels` (C names), `cells` and `nuclei` (label
       images) and `ignore` (bool). An array `markers` counts as truth and is not read.
    3. Any archive with exactly one array that can be an image.

    Raises
    ------
    Unreadable
        If it has none of these layouts, or the arrays to read are damaged, pickled or together
        larger than `max_bytes`.
    """
    with open_archive(path) as archive:
        headers = _headers(archive)
        data_shape = headers["data"][0] if "data" in headers else ()
        of_the_paper = len(data_shape) == 3 and data_shape[2] == 6
        beside: tuple[str, ...] = ()
        if of_the_paper:
            image, beside = "data", ("test_id", "test_label")
        elif "image" in headers:
            image, beside = "image", ("channels", "cells", "nuclei", "ignore")
        else:
            image = _only_image(headers)
        keys = [image, *(key for key in beside if key in headers)]
        for key in keys:
            # The names of channels are the only array that may be text.
            if key != "channels" or headers[key][1].kind not in "US":
                check_header(*headers[key], what=f"the array {key!r}")
        check_size(sum(_n_bytes(headers[key]) for key in keys), max_bytes)
        n_names = math.prod(headers["channels"][0]) if "channels" in keys else None
        shape = without_idle_axes(headers[image][0])
        channel_axis(shape, n_names=n_names)
        arrays = {key: _member(archive, key) for key in keys}
    if of_the_paper:
        return _paper(arrays)
    names = arrays.pop("channels", None)
    return Contents(
        pixels=channels_last(arrays.pop(image).reshape(shape), n_names=n_names),
        channels=None if names is None else tuple(names.astype(str).ravel().tolist()),
        companions=arrays,
    )


def _paper(arrays: dict[str, Array]) -> Contents:
    data = arrays.pop("data")
    return Contents(
        # A copy, so that three channels do not keep all six in memory.
        pixels=data[..., :3].copy(),
        channels=PAPER_CHANNELS,
        companions={"markers": data[..., 3].copy(), **arrays},
    )


def _headers(archive: zipfile.ZipFile) -> dict[str, Header]:
    headers = {}
    for info in archive.infolist():
        if info.filename.endswith(".npy"):
            key = info.filename.removesuffix(".npy")
            with archive.open(info) as file:
                headers[key] = read_header(file)
                if not headers[key][1].hasobject:
                    present, promised = info.file_size - file.tell(), _n_bytes(headers[key])
                    _check_complete(present, promised, what=f"the array {key!r}")
    if not headers:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        listed = ", ".join(name[:40] for name in names[:MOST_LISTED])
        more = ", …" if len(names) > MOST_LISTED else ""
        raise Unreadable(
            f"is a zip archive of {listed}{more}; unpack it and give the image in it"
            if names
            else "is an empty zip archive; give an image"
        )
    return headers


def _only_image(headers: dict[str, Header]) -> str:
    if len(headers) == 1:
        return next(iter(headers))
    images = [
        key
        for key, (shape, dtype) in headers.items()
        if len(without_idle_axes(shape)) in (2, 3)
        and sorted(shape)[-2] >= SMALLEST_IMAGE
        and dtype.kind in "biuf"
    ]
    if len(images) == 1:
        return images[0]
    described = [f"{key[:40]} {shape} {dtype}" for key, (shape, dtype) in headers.items()]
    found = ", ".join(described[:MOST_LISTED]) + (" …" if len(described) > MOST_LISTED else "")
    count = "none" if not images else f"{len(images)}"
    raise Unreadable(
        f"holds the arrays {found}, of which {count} can be the image; save the one that is "
        "under the name 'image'"
    )


def read_header(file: IO[bytes]) -> Header:
    """Read shape and data type of an array from the beginning of its file, up to its numbers.

    At most `LONGEST_HEADER` bytes are read, because a damaged header may claim a length of 4 GB.

    Raises
    ------
    Unreadable
        If the version of the format is not one for plain arrays.
    Exception
        Whatever NumPy raises for a damaged header.
    """
    start = io.BytesIO(file.read(LONGEST_HEADER))
    version = np.lib.format.read_magic(start)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(start)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(start)
    else:
        # Version 3 is for structured arrays, which are not images.
        raise Unreadable(f"has an array of format {version}; save a plain array of numbers")
    file.seek(start.tell())
    return shape, dtype


def _n_bytes(header: Header) -> int:
    shape, dtype = header
    return math.prod(shape) * dtype.itemsize


def _check_complete(present: int, promised: int, *, what: str = "the image") -> None:
    if present < promised:
        raise Unreadable(
            f"{what} is cut short, {present} bytes where its header promises {promised}; "
            "copy or save it again"
        )


def _member(archive: zipfile.ZipFile, key: str) -> Array:
    with archive.open(f"{key}.npy") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        # The checksum of the archive is compared at the end of the member, so read up to it.
        if file.read(1):
            raise Unreadable(f"the array {key!r} is followed by other bytes; save it again")
        return np.asarray(array)

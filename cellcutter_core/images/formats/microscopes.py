"""Reads files of microscope makers' programs: ND2 (Nikon), CZI (Zeiss), LIF (Leica).

Each format needs a package that is installed only if wanted:

    ND2  nd2, BSD-3, brings dask and ome-types
    CZI  czifile, BSD-3, from Python 3.12
    LIF  liffile, BSD-3, nothing else
"""

from __future__ import annotations

import contextlib
import importlib
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cellcutter_core.images.pixel_size import PixelSize, of_sides
from cellcutter_core.images.reading.contents import (
    Array,
    Contents,
    Unreadable,
    check_header,
    check_size,
)
from cellcutter_core.images.reading.parts import Listed, Part
from cellcutter_core.images.reading.stored import Stored, in_memory, of_frames, spans_of


def read_microscope(path: Path, part: Part, max_bytes: int, *, kind: str) -> Contents:
    """Read one plane, with all its channels. Other planes are not read.

    Some files can only be read as a whole, such as a LIF in colours or an ND2 with its positions in
    an odd order. Then the whole image must fit into memory.

    Parameters
    ----------
    path : Path
    part : Part
    max_bytes : int
    kind : "nd2", "czi" or "lif"

    Raises
    ------
    Unreadable
        If its package is not installed, the file holds several images and none is chosen, is a
        stack and no plane is chosen, or needs more than `max_bytes`.
    """
    package, read = FORMATS[kind]
    try:
        module = importlib.import_module(package)
    except ImportError:
        raise Unreadable(
            f"is a {kind.upper()} file, which needs the package {package}; {_advice(kind)}"
        ) from None
    return read(module, path, part, max_bytes)


def _advice(kind: str) -> str:
    """How to get the package for a format, on this Python."""
    package, _ = FORMATS[kind]
    install = f"'pip install -U {package}'"
    if kind == "czi" and sys.version_info < FIRST_PYTHON_OF_CZI:
        here = ".".join(map(str, sys.version_info[:2]))
        return (
            f"export the file as OME-TIFF, or install Python 3.12 or later and run {install} "
            f"(for Python {here} there is only a version that is too old)"
        )
    return f"install it with {install}, or export the file as OME-TIFF"


def _nd2(nd2: Any, path: Path, part: Part, max_bytes: int) -> Contents:
    with nd2.ND2File(path) as file:
        names, size = None, None
        with contextlib.suppress(Exception):
            names = tuple(str(channel.channel.name) for channel in file.metadata.channels)
        with contextlib.suppress(Exception):
            voxel = file.voxel_size()
            size = of_sides(float(voxel.y), float(voxel.x))
        scene = part.which_scene(file.sizes.get("P", 1), _positions(file))
        stored = _frames(file, part, max_bytes)
        if "P" in stored.axes:
            stored = stored.at("P", scene)
        return _plane(stored, part, max_bytes, names=names, pixel_size=size)


def _frames(file: Any, part: Part, max_bytes: int) -> Stored:
    """The image of an ND2 file; each of its frames holds channels, rows and columns."""
    shape, axes, dtype = _checked(file)
    lead = min((axes.index(axis) for axis in "CYXS" if axis in axes), default=0)
    if set(axes[lead:]) - set("CYXS"):
        return _whole(file, part, max_bytes)

    def read(index: tuple[int | slice, ...]) -> Array:
        def frame(number: int) -> Array:
            return np.array(file.read_frame(number).reshape(shape[lead:])[index[lead:]])

        return of_frames(shape, index, frame, lead=lead)

    return Stored(shape, axes, dtype, read)


def _positions(file: Any) -> list[str]:
    """The names of the positions of an ND2 file, if it has any."""
    names: list[str] = []
    with contextlib.suppress(Exception):
        for loop in file.experiment:
            if loop.type == "XYPosLoop":
                names += [str(point.name or "") for point in loop.parameters.points]
    return names


def _czi(czifile: Any, path: Path, part: Part, max_bytes: int) -> Contents:
    with czifile.CziFile(path) as file:
        if not hasattr(file, "scenes"):
            raise Unreadable(
                f"is a CZI file, and the package czifile here is too old for it; {_advice('czi')}"
            )
        called = {}
        with contextlib.suppress(Exception):
            for scene in file.xml_element.iterfind(".//Scenes/Scene"):
                called[int(scene.get("Index"))] = scene.get("Name")
        image = _scene([(called.get(n), scene) for n, scene in file.scenes.items()], part)
        names = None
        with contextlib.suppress(Exception):
            names = tuple(map(str, image.channels))
        size = _pixel_size(image)
        return _plane(_tiles(image), part, max_bytes, names=names, pixel_size=size)


def _tiles(image: Any) -> Stored:
    """A scene of a CZI file; only the tiles that a plane or region touches are unpacked."""
    shape, axes, dtype = _checked(image)
    # Planes and pixels are counted through the whole file, so these are the first of the scene.
    first = dict(zip(axes, image.start, strict=True))
    left, top, *_ = image.bbox

    def read(index: tuple[int | slice, ...]) -> Array:
        chosen = dict(zip(axes, index, strict=True))
        spans = spans_of(chosen, shape)
        rows, cols = spans["Y"], spans["X"]
        box = (left + cols.start, top + rows.start, len(cols), len(rows))
        planes = {axis: first[axis] + at for axis, at in chosen.items() if isinstance(at, int)}
        lengths = [len(span) for span in spans.values()]
        try:
            part = image(roi=box, **planes).asarray()
        except ValueError as error:
            # Between tiles there may be gaps.
            if "matches no subblocks" not in str(error):
                raise
            return np.zeros(lengths, dtype)
        return np.asarray(part).reshape(lengths)

    return Stored(shape, axes, dtype, read)


def _lif(liffile: Any, path: Path, part: Part, max_bytes: int) -> Contents:
    with liffile.LifFile(path) as file:
        image = _scene([(image.name, image) for image in file.images], part)
        stored = _mapped(image) or _whole(image, part, max_bytes)
        return _plane(stored, part, max_bytes, pixel_size=_pixel_size(image))


def _mapped(image: Any) -> Stored | None:
    """An image of a LIF file, mapped into memory; None if it is not stored in one piece."""
    try:
        mapped = image.asarray(out="memmap")
    except ValueError:
        # The package reverses colours in place, which a read-only file does not allow.
        return None
    return Stored(*_checked(image), lambda index: np.array(mapped[index]))


FORMATS: dict[str, tuple[str, Callable[[Any, Path, Part, int], Contents]]] = {
    "nd2": ("nd2", _nd2),
    "czi": ("czifile", _czi),
    "lif": ("liffile", _lif),
}
"""The package and the function for each format."""

FIRST_PYTHON_OF_CZI = (3, 12)
"""On earlier versions pip installs a czifile that is too old."""


def _scene(images: Sequence[tuple[str | None, Any]], part: Part) -> Any:
    """The requested image, given all images with their names."""
    return part.choose(
        [
            Listed(
                str(name or ""),
                (one.sizes.get("Y", 0), one.sizes.get("X", 0)),
                one,
                shape=tuple(one.sizes.values()),
            )
            for name, one in images
        ]
    )


def _pixel_size(image: Any) -> PixelSize | None:
    """µm per pixel from czifile or liffile, whose coordinates are in metres."""
    return of_sides(*(_step(image, axis) for axis in "YX"))


def _step(image: Any, axis: str) -> float | None:
    with contextlib.suppress(Exception):
        first, second = image.coords[axis][:2]
        return abs(float(second - first)) * 1e6
    return None


def _checked(image: Any) -> tuple[tuple[int, ...], str, np.dtype[Any]]:
    """Shape, axes and data type of an image."""
    shape, dtype = tuple(int(length) for length in image.sizes.values()), np.dtype(image.dtype)
    check_header(shape, dtype)
    return shape, "".join(image.sizes), dtype


def _whole(image: Any, part: Part, max_bytes: int) -> Stored:
    """An image that is read as a whole."""
    shape, axes, dtype = _checked(image)
    part.check_plane(shape, axes)
    check_size(math.prod(shape) * dtype.itemsize, max_bytes)
    return in_memory(np.asarray(image.asarray()), axes)


def _plane(
    stored: Stored,
    part: Part,
    max_bytes: int,
    *,
    names: tuple[str, ...] | None = None,
    pixel_size: PixelSize | None = None,
) -> Contents:
    found = part.contents(stored, max_bytes=max_bytes)
    n_channels = found.pixels.shape[2]
    if names is not None and len(names) == n_channels:
        found.channels = names
    else:
        found.colour = "S" in stored.axes and n_channels == 3
    found.pixel_size = pixel_size
    return found

"""Files of microscopes' own programs: ND2 (Nikon), CZI (Zeiss), LIF (Leica).

Each through a package that is installed only by those who need it:

    ND2  nd2, BSD-3, brings dask and ome-types
    CZI  czifile, BSD-3, from Python 3.12
    LIF  liffile, BSD-3, nothing else
"""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellcutter_core.reading.axes import to_channels_last
from cellcutter_core.reading.contents import (
    Array,
    Contents,
    Part,
    Stored,
    Unreadable,
    check_header,
    check_size,
    in_memory,
    of_frames,
)


@dataclass(frozen=True)
class Found:
    """One image of a file, not read yet.

    Attributes
    ----------
    sizes : length of each axis, by its letter
    dtype : data type of the pixels
    read : gives the array
    names : of the channels, if there are any
    pixel_size : µm per pixel, if known
    frame : gives the channels, rows and columns of one place in the stack, by its number
    position : index along the axis P, where there is one
    """

    sizes: dict[str, int]
    dtype: np.dtype[Any]
    read: Callable[[], Array]
    names: tuple[str, ...] | None = None
    pixel_size: float | None = None
    frame: Callable[[int], Array] | None = None
    position: int | None = None


def read_microscope(path: Path, part: Part, max_bytes: int, *, kind: str) -> Contents:
    """Read one plane, with all its channels. Of CZI and LIF the whole stack is in memory meanwhile.

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
            f"is a {kind.upper()} file, which takes the package {package} to read; install it with "
            f"'pip install {package}', or export the file as OME-TIFF"
        ) from None
    return read(module, path, part, max_bytes)


def _nd2(nd2: Any, path: Path, part: Part, max_bytes: int) -> Contents:
    with nd2.ND2File(path) as file:
        names, size = None, None
        with contextlib.suppress(Exception):
            names = tuple(str(channel.channel.name) for channel in file.metadata.channels)
        with contextlib.suppress(Exception):
            size = float(file.voxel_size().x)
        sizes = dict(file.sizes)
        scene = part.which_scene(sizes.get("P", 1), _positions(file))
        found = Found(
            *(sizes, np.dtype(file.dtype), file.asarray, names, size, file.read_frame),
            position=scene if "P" in sizes else None,
        )
        return _plane(found, part, max_bytes)


def _positions(file: Any) -> list[str]:
    """The names of the positions of an ND2 file, as far as it has some."""
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
                "is a CZI file, and the package czifile here is too old for it; install the one of "
                "2026 (Python 3.12 or later), or export the file as OME-TIFF"
            )
        called = {}
        with contextlib.suppress(Exception):
            for scene in file.xml_element.iterfind(".//Scenes/Scene"):
                called[int(scene.get("Index"))] = scene.get("Name")
        image = _scene([(called.get(n), scene) for n, scene in file.scenes.items()], part)
        names = None
        with contextlib.suppress(Exception):
            names = tuple(map(str, image.channels))
        return _plane(_measured(image, names), part, max_bytes)


def _lif(liffile: Any, path: Path, part: Part, max_bytes: int) -> Contents:
    with liffile.LifFile(path) as file:
        image = _scene([(image.name, image) for image in file.images], part)
        return _plane(_measured(image, None), part, max_bytes)


FORMATS: dict[str, tuple[str, Callable[[Any, Path, Part, int], Contents]]] = {
    "nd2": ("nd2", _nd2),
    "czi": ("czifile", _czi),
    "lif": ("liffile", _lif),
}
"""The package and the function for each format."""


SMALLEST_SCENE = 0.25
"""Images with less than this share of the bytes of the largest are thumbnails and the like."""


def _scene(images: Sequence[tuple[str | None, Any]], part: Part) -> Any:
    """The image that is asked for, of all those with their names that are no thumbnails."""
    if not images:
        raise Unreadable("holds no image; export it as OME-TIFF")
    smallest = SMALLEST_SCENE * max(image.nbytes for _, image in images)
    scenes = [(name, image) for name, image in images if image.nbytes >= smallest]
    names = [str(name or "") for name, _ in scenes]
    return scenes[part.which_scene(len(scenes), names)][1]


def _measured(image: Any, names: tuple[str, ...] | None) -> Found:
    """What czifile and liffile say of an image; their coordinates are in metres."""
    size = None
    with contextlib.suppress(Exception):
        first, second = image.coords["X"][:2]
        size = float(second - first) * 1e6
    return Found(dict(image.sizes), np.dtype(image.dtype), image.asarray, names, size)


def _plane(found: Found, part: Part, max_bytes: int) -> Contents:
    shape = tuple(int(length) for length in found.sizes.values())
    check_header(shape, found.dtype)
    axes = "".join(found.sizes)
    lead = min((axes.index(axis) for axis in "CYXS" if axis in axes), default=0)
    if found.frame is not None and not set(axes[lead:]) - set("CYXS"):
        frame = found.frame
        stored = Stored(
            *(shape, axes, found.dtype),
            lambda index: of_frames(
                shape,
                index,
                lambda number: np.array(frame(number).reshape(shape[lead:])[index[lead:]]),
                lead=lead,
            ),
        )
    else:
        part.check_plane(shape, axes)
        check_size(math.prod(shape) * found.dtype.itemsize, max_bytes)
        stored = in_memory(np.asarray(found.read()), axes)
    if found.position is not None:
        stored = stored.at("P", found.position)
    array, axes = part.read(stored, max_bytes=max_bytes)
    pixels = to_channels_last(array, axes)
    named = found.names is not None and len(found.names) == pixels.shape[2]
    known = found.pixel_size is not None and 0 < found.pixel_size < np.inf
    return Contents(
        pixels,
        channels=found.names if named else None,
        colour=not named and "S" in axes and pixels.shape[2] == 3,
        pixel_size=found.pixel_size if known else None,
        full_shape=part.full_shape(stored.shape, stored.axes),
    )

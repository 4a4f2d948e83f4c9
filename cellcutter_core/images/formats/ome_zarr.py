"""Reads images in OME-Zarr, versions 0.1 to 0.5 (https://ngff.openmicroscopy.org).

The level of full resolution is read, and only the chunks that a plane or region touches. A lower
resolution is read if the image is to be reduced. Label images in it are not read, because the
format does not say whether they are truth or a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellcutter_core.images.formats.zarr_arrays import open_array, read_json
from cellcutter_core.images.formats.zarr_stores import Store
from cellcutter_core.images.pixel_size import PixelSize, of_sides
from cellcutter_core.images.reading.contents import Contents, Unreadable, check_header, check_size
from cellcutter_core.images.reading.parts import Part
from cellcutter_core.images.reading.stored import Stored
from cellcutter_core.images.reading.units import in_micrometres

# The axes in versions that do not name them.
OLD_AXES = "TCZYX"
LETTER_OF_TYPE = {"time": "T", "channel": "C"}

MOST_LEVELS = 32
"""Most levels of resolution that are looked at. Each halves the image."""


def read_ome_zarr(store: Store, part: Part, max_bytes: int) -> Contents:
    """Read one plane, with all its channels, of an OME-Zarr image.

    Raises
    ------
    Unreadable
        If it is not an OME-Zarr image, is a plate or holds several images, lacks something, is a
        stack and no plane is chosen, or needs more than `max_bytes`.
    """
    about = _attributes(store)
    scales = about.get("multiscales")
    if not scales:
        raise Unreadable(_what_it_is(about, store))
    part.which_scene()
    try:
        scale = scales[0]
        first = scale["datasets"][0]
        array = open_array(store, str(first["path"]))
        full = array.shape
        axes = _axes(scale.get("axes"), len(array.shape))
        if part.reduced_to is not None:
            levels = scale["datasets"][1:MOST_LEVELS]
            smaller = [open_array(store, str(level["path"])) for level in levels]
            array = part.version([array, *smaller], axes)
        units = _units(scale.get("axes"))
        steps = [*first.get("coordinateTransformations", ())]
        steps += scale.get("coordinateTransformations", ())
        pixel_size = _pixel_size(steps, axes=axes, units=units)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise Unreadable(
            f"has metadata that do not follow OME-Zarr ({type(error).__name__}: {error})"
        ) from None
    check_header(array.shape, array.dtype)
    check_size(
        array.bytes_of_chunk * store.parallel,
        max_bytes,
        advice="its chunks are read whole; save it with smaller ones",
    )
    stored = Stored(array.shape, axes, array.dtype, array.read)
    found = part.contents(stored, max_bytes=max_bytes, full=full)
    found.pixel_size = pixel_size
    names = _names(about.get("omero"))
    if names is not None and len(names) == found.pixels.shape[2]:
        found.channels = names
    return found


def _attributes(store: Store) -> Mapping[str, Any]:
    """The attributes of the folder; in Zarr 3, those under `ome`."""
    group = read_json(store, "zarr.json")
    if group is not None:
        inside = group.get("attributes")
        ome = inside.get("ome") if isinstance(inside, dict) else None
        found = ome if isinstance(ome, dict) else inside
    else:
        found = read_json(store, ".zattrs")
    return found if isinstance(found, dict) else {}


def _what_it_is(about: Mapping[str, Any], store: Store) -> str:
    if "plate" in about or "well" in about:
        kind = "plate" if "plate" in about else "well"
        inside = "A/1/0" if kind == "plate" else "0"
        return f"is a {kind} of several images; give the path of one, such as {inside} in it"
    if "bioformats2raw.layout" in about:
        return "is a folder of images; give the path of one, such as 0 in it"
    if "labels" in about:
        return "is a folder of label images; give the path of the image, two folders above"
    for name in ("zarr.json", ".zarray"):
        if (found := read_json(store, name)) is not None and "shape" in found:
            return "is a bare array of a Zarr; give the OME-Zarr folder that it lies in"
    return "is not an OME-Zarr image, or is not readable: it has no multiscales in its attributes"


def _axes(named: Any, n_axes: int) -> str:
    """One letter for each axis."""
    if not named:
        if n_axes != len(OLD_AXES):
            raise Unreadable(f"does not name its {n_axes} axes; save it as version 0.4")
        return OLD_AXES
    letters = ""
    for axis in named:
        name, kind = (axis, "") if isinstance(axis, str) else (axis["name"], axis.get("type", ""))
        letter = LETTER_OF_TYPE.get(kind, str(name).upper())
        if len(letter) != 1 or letter in letters:
            raise Unreadable(
                f"has an axis {name!r}, which is not known; save it with t, c, z, y, x"
            )
        letters += letter
    if len(letters) != n_axes:
        raise Unreadable(f"has {n_axes} axes and names {len(letters)} of them")
    return letters


def _units(named: Any) -> list[str]:
    return [
        str(axis.get("unit", "")) if isinstance(axis, dict) else "" for axis in named or OLD_AXES
    ]


def _pixel_size(steps: list[Any], *, axes: str, units: list[str]) -> PixelSize | None:
    """µm per pixel; None if there is no unit, because the number means nothing without it."""
    return of_sides(*(_step(steps, axes.find(axis), units) for axis in "YX"))


def _step(steps: list[Any], at: int, units: list[str]) -> float | None:
    """µm per pixel along one axis."""
    if at < 0:
        return None
    length = 1.0
    for step in steps:
        if step.get("type") == "scale":
            length *= float(step["scale"][at])
    return in_micrometres(length, units[at])


def _names(omero: Any) -> tuple[str, ...] | None:
    """The names of the channels; None if none has a name."""
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list):
        return None
    names = [channel.get("label") if isinstance(channel, dict) else None for channel in channels]
    if not any(names):
        return None
    return tuple(str(name or f"channel {index}") for index, name in enumerate(names))

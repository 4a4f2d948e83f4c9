"""The image and its cells as OME-Zarr.

It follows two short specifications directly, so that no package is needed: OME-NGFF 0.4
(https://ngff.openmicroscopy.org/0.4/) on Zarr 2 (https://zarr-specs.readthedocs.io, "v2"). Of the
versions in use, most programs read this one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.export.formats.table import FRAME
from cellcutter_core.export.formats.zarr_pyramid import (
    Planes,
    blocks,
    every_other,
    means,
    n_levels,
    pyramid,
)
from cellcutter_core.images.blocks import pixels_of, with_margin
from cellcutter_core.images.pixel_size import PixelSize, checked, height_and_width
from cellcutter_core.label_image import check_labels
from cellcutter_core.view.coloring import NEAR, colors_of, neighbour_pairs
from cellcutter_core.view.render import NUCLEUS_COLOR, display_window

VERSION = "0.4"
FOLDER = "image.ome.zarr"
"""Name of the image's folder in an archive."""


def ome_zarr(
    pixels: npt.NDArray[Any],
    labels: npt.ArrayLike,
    *,
    name: str = "image",
    channels: Sequence[str] | None = None,
    nucleus: int | None = None,
    pixel_size: PixelSize | None = None,
    origin: tuple[int, int] = (0, 0),
    table: Mapping[str, npt.NDArray[Any]] | None = None,
    colors: npt.ArrayLike | None = None,
) -> dict[str, bytes]:
    """Return all files of an OME-Zarr image with its cells as the label image ``cells``.

    Parameters
    ----------
    pixels : (H, W, C) array
        The image, of any integer or float type.
    labels : (H, W) array of integers
        0 for background.
    name : str
        Name of the image.
    channels : sequence of str, optional
        Names of the C channels; default "channel 1" and so on.
    nucleus : int, optional
        Index of the channel to show in blue.
    pixel_size : float or (float, float), optional
        Micrometres per pixel, or (height, width) of a pixel that is not square. Without it the
        scale is 1 and has no unit.
    origin : (int, int)
        (row, col) of the first pixel in the whole image; written as the translation.
    table : mapping, optional
        The table that `cell_table` returns. Its columns, except for those of `FRAME`, become the
        properties of the cells.
    colors : (N,) array of integers, optional
        The colour of each cell, see `label_colors`.

    Returns
    -------
    dict
        Path in the folder of the image, with ``/`` → content.

    Raises
    ------
    ValueError
        If the shapes differ or `labels` is no label image.
    """
    cells = check_labels(labels)
    image = np.asarray(pixels)
    if image.ndim != 3 or image.shape[:2] != cells.shape or image.size == 0:
        raise ValueError(
            f"pixels has shape {image.shape}, but must be (H, W, channels) with the labels' "
            f"H and W, {cells.shape}, and have a pixel"
        )
    planes = np.moveaxis(image, -1, 0)
    return dict(
        ome_zarr_files(
            planes,
            cells,
            shown=planes,
            name=name,
            channels=channels,
            nucleus=nucleus,
            pixel_size=pixel_size,
            origin=origin,
            table=table,
            colors=colors,
        )
    )


def ome_zarr_files(
    planes: Planes,
    cells: Planes,
    *,
    shown: npt.NDArray[Any],
    name: str = "image",
    channels: Sequence[str] | None = None,
    nucleus: int | None = None,
    pixel_size: PixelSize | None = None,
    origin: tuple[int, int] = (0, 0),
    table: Mapping[str, npt.NDArray[Any]] | None = None,
    colors: npt.ArrayLike | None = None,
    new: Callable[[tuple[int, ...], np.dtype[Any]], npt.NDArray[Any]] = np.empty,
    done: Callable[[], None] = lambda: None,
) -> Iterator[tuple[str, bytes]]:
    """Make the files of `ome_zarr` one by one, with one block of the image in memory at a time.

    Parameters
    ----------
    planes : Planes
        (C, H, W) image.
    cells : Planes
        (H, W) labels, 0 for background.
    shown : (C, h, w) array
        The image at a reduced size, from which the display window is computed.
    name, channels, nucleus, pixel_size, origin, table, colors
        As for `ome_zarr`.
    new : callable
        Takes shape and data type, and returns an array to write a smaller resolution level to.
    done : callable
        Called after each of the `blocks` of the image.

    Yields
    ------
    name, content : str, bytes
    """
    shape, size = cells.shape, checked(pixel_size)
    names = channels or [f"channel {number + 1}" for number in range(len(shown))]
    yield from _group(
        {
            "multiscales": [_multiscales(name, "cyx", shape, size, origin, "mean")],
            "omero": {"channels": _display(shown, names, nucleus)},
        }
    )
    yield from pyramid(planes, means, new=new, done=done)
    yield from _within("labels", _group({"labels": ["cells"]}))
    of_cells = _group(
        {
            "multiscales": [_multiscales("cells", "yx", shape, size, origin, "nearest")],
            "image-label": _meaning(cells, table, colors),
        }
    )
    yield from _within("labels/cells", of_cells)
    yield from _within("labels/cells", pyramid(cells, every_other, new=new))


def _multiscales(
    name: str,
    axes: str,
    shape: tuple[int, ...],
    pixel_size: PixelSize | None,
    origin: tuple[int, int],
    method: str,
) -> dict[str, Any]:
    unit = {} if pixel_size is None else {"unit": "micrometer"}
    kinds = {
        "c": {"type": "channel"},
        "y": {"type": "space", **unit},
        "x": {"type": "space", **unit},
    }
    size = dict(zip("yx", height_and_width(pixel_size or 1.0), strict=True))
    first = dict(zip("yx", origin, strict=True))
    datasets = []
    for level in range(n_levels(shape)):
        factor = 2**level
        scale = [1.0 if axis == "c" else size[axis] * factor for axis in axes]
        # A pixel of a smaller level covers several pixels; its centre is the mean of theirs.
        moved = [
            0.0 if axis == "c" else size[axis] * (first[axis] + (factor - 1) / 2) for axis in axes
        ]
        transformations = [{"type": "scale", "scale": scale}]
        if any(moved):
            transformations.append({"type": "translation", "translation": moved})
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    return {
        "version": VERSION,
        "name": name,
        "axes": [{"name": axis, **kinds[axis]} for axis in axes],
        "datasets": datasets,
        "type": method,
    }


def _display(
    planes: npt.NDArray[Any], names: Sequence[str], nucleus: int | None
) -> list[dict[str, Any]]:
    """Return colour and display window of each channel, as napari, OMERO and vizarr read them."""
    shown = []
    for number, (plane, name) in enumerate(zip(planes, names, strict=True)):
        start, end = display_window(plane)
        red, green, blue = NUCLEUS_COLOR if number == nucleus else (255, 255, 255)
        window = {"min": float(plane.min()), "max": float(plane.max()), "start": start, "end": end}
        color = f"{red:02X}{green:02X}{blue:02X}"
        shown.append({"label": name, "color": color, "window": window, "active": True})
    return shown


def _meaning(
    cells: Planes,
    table: Mapping[str, npt.NDArray[Any]] | None,
    colors: npt.ArrayLike | None,
) -> dict[str, Any]:
    """Return colours and measurements of the cells."""
    about: dict[str, Any] = {
        "version": VERSION,
        "colors": [
            {"label-value": cell, "rgba": color}
            for cell, color in zip(*_colors(cells, colors), strict=True)
        ],
        "source": {"image": "../../"},
    }
    if table is not None and len(table["id"]):
        names = [name for name in table if name not in ("id", *FRAME)]
        rows = zip(*(table[name].tolist() for name in names), strict=True)
        about["properties"] = [
            {"label-value": cell}
            | {n: v for n, v in zip(names, row, strict=True) if np.isfinite(v)}
            for cell, row in zip(table["id"].tolist(), rows, strict=True)
        ]
    return about


def _colors(cells: Planes, colors: npt.ArrayLike | None) -> tuple[list[int], list[list[int]]]:
    """Return the id of each cell and its colour, as in `label_colors`."""
    ids: set[int] = set()
    pairs: set[tuple[int, int]] = set()
    for box in blocks(cells.shape):
        part = cells[..., *pixels_of(with_margin(box, NEAR, cells.shape))]
        ids.update(np.unique(part).tolist())
        pairs.update(neighbour_pairs(part, distance=NEAR))
    there = sorted(ids - {0})
    return there, colors_of(np.array(there, np.int64), sorted(pairs), colors=colors).tolist()


def _group(attributes: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    yield ".zgroup", _json({"zarr_format": 2})
    yield ".zattrs", _json(attributes)


def _within(folder: str, files: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    for name, content in files:
        yield f"{folder}/{name}", content


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode("utf-8")

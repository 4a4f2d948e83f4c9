"""The image and its cells as OME-Zarr.

Written to the letter of two short documents, so that nothing has to be installed for it: OME-NGFF
0.4 (https://ngff.openmicroscopy.org/0.4/) on Zarr 2 (https://zarr-specs.readthedocs.io, "v2"). Of
the versions in use this is the one that most programs read.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.labels import check_labels
from cellcutter_core.view.coloring import label_colors
from cellcutter_core.view.render import NUCLEUS_COLOR, display_window

VERSION = "0.4"
_CHUNK = 512
# Levels are halved until the whole fits a thumbnail.
_SMALLEST = 256


def ome_zarr(
    pixels: npt.NDArray[Any],
    labels: npt.ArrayLike,
    *,
    name: str = "image",
    channels: Sequence[str] | None = None,
    nucleus: int | None = None,
    pixel_size: float | None = None,
    table: Mapping[str, npt.NDArray[Any]] | None = None,
) -> dict[str, bytes]:
    """All files of an OME-Zarr image with its cells as the label image ``cells``.

    Parameters
    ----------
    pixels : (H, W, C) array
        Of any integer or float type.
    labels : (H, W) array of integers
        0 for background.
    name : str
        What the image is called.
    channels : sequence of str, optional
        Names of the C channels; default "channel 1" and so on.
    nucleus : int, optional
        Index of the channel to show in blue.
    pixel_size : float, optional
        Micrometres per pixel; without it the scale is 1 and has no unit.
    table : mapping, optional
        As of `cell_table`; becomes the properties of the cells.

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
    names = channels or [f"channel {number + 1}" for number in range(image.shape[2])]
    planes = np.moveaxis(image, -1, 0)
    shown = {
        "multiscales": [_multiscales(name, "cyx", cells.shape, pixel_size, "mean")],
        "omero": {"channels": _display(planes, names, nucleus)},
    }
    of_cells = {
        "multiscales": [_multiscales("cells", "yx", cells.shape, pixel_size, "nearest")],
        "image-label": _meaning(cells, table),
    }
    files = _group(shown) | _pyramid(planes, _means)
    files |= _within("labels", _group({"labels": ["cells"]}))
    files |= _within("labels/cells", _group(of_cells) | _pyramid(cells, _every_other))
    return files


def _n_levels(shape: tuple[int, ...]) -> int:
    return max(0, int(np.ceil(np.log2(max(shape) / _SMALLEST)))) + 1


def _multiscales(
    name: str, axes: str, shape: tuple[int, ...], pixel_size: float | None, method: str
) -> dict[str, Any]:
    unit = {} if pixel_size is None else {"unit": "micrometer"}
    kinds = {
        "c": {"type": "channel"},
        "y": {"type": "space", **unit},
        "x": {"type": "space", **unit},
    }
    size = pixel_size or 1.0
    datasets = []
    for level in range(_n_levels(shape)):
        factor = 2**level
        scale = [1.0 if axis == "c" else size * factor for axis in axes]
        # The centre of a pixel that was made of several is between theirs.
        moved = [0.0 if axis == "c" else size * (factor - 1) / 2 for axis in axes]
        transformations = [{"type": "scale", "scale": scale}]
        if level:
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
    """Colour and window of every channel, as napari, OMERO and vizarr read them."""
    shown = []
    for number, (plane, name) in enumerate(zip(planes, names, strict=True)):
        start, end = display_window(plane)
        red, green, blue = NUCLEUS_COLOR if number == nucleus else (255, 255, 255)
        window = {"min": float(plane.min()), "max": float(plane.max()), "start": start, "end": end}
        color = f"{red:02X}{green:02X}{blue:02X}"
        shown.append({"label": name, "color": color, "window": window, "active": True})
    return shown


def _meaning(
    cells: npt.NDArray[Any], table: Mapping[str, npt.NDArray[Any]] | None
) -> dict[str, Any]:
    """Colours and measurements of the cells."""
    ids, first = np.unique(cells, return_index=True)
    colors = label_colors(cells).reshape(-1, 4)[first].tolist()
    about: dict[str, Any] = {
        "version": VERSION,
        "colors": [
            {"label-value": int(cell), "rgba": color}
            for cell, color in zip(ids, colors, strict=True)
            if cell
        ],
        "source": {"image": "../../"},
    }
    if table is not None and len(table["id"]):
        names = [name for name in table if name != "id"]
        rows = zip(*(table[name].tolist() for name in names), strict=True)
        about["properties"] = [
            {"label-value": cell}
            | {n: v for n, v in zip(names, row, strict=True) if np.isfinite(v)}
            for cell, row in zip(table["id"].tolist(), rows, strict=True)
        ]
    return about


def _pyramid(
    image: npt.NDArray[Any], halved: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> dict[str, bytes]:
    """The arrays of an image, each half as large as the one before."""
    files: dict[str, bytes] = {}
    level = image
    for number in range(_n_levels(image.shape[-2:])):
        if number:
            level = halved(level)
        files |= _within(str(number), _array(level))
    return files


def _means(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(..., H, W) → (..., ⌈H/2⌉, ⌈W/2⌉): means of 2 × 2 pixels, fewer at an odd edge."""
    odd = [(0, 0)] * (image.ndim - 2) + [(0, n % 2) for n in image.shape[-2:]]
    padded = np.pad(image, odd, mode="edge").astype(np.float64)
    parts = [padded[..., row::2, col::2] for row, col in product((0, 1), repeat=2)]
    means = sum(parts[1:], parts[0]) / 4
    if np.issubdtype(image.dtype, np.integer):
        means = np.rint(means)
    return np.asarray(means).astype(image.dtype)


def _every_other(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return labels[::2, ::2]


def _array(image: npt.NDArray[Any]) -> dict[str, bytes]:
    """An array of Zarr 2 in chunks, those at the edge filled up with zeros."""
    image = image.astype(image.dtype.newbyteorder("<"))
    chunks = (1,) * (image.ndim - 2) + (_CHUNK, _CHUNK)
    about = {
        "zarr_format": 2,
        "shape": image.shape,
        "chunks": chunks,
        "dtype": image.dtype.str,
        "compressor": {"id": "zlib", "level": 6},
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }
    files = {".zarray": _json(about)}
    counts = [-(-n // size) for n, size in zip(image.shape, chunks, strict=True)]
    for place in product(*map(range, counts)):
        part = image[tuple(slice(i * n, (i + 1) * n) for i, n in zip(place, chunks, strict=True))]
        chunk = np.zeros(chunks, image.dtype)
        chunk[tuple(map(slice, part.shape))] = part
        files["/".join(map(str, place))] = zlib.compress(chunk.tobytes(), 6)
    return files


def _group(attributes: Mapping[str, Any]) -> dict[str, bytes]:
    return {".zgroup": _json({"zarr_format": 2}), ".zattrs": _json(attributes)}


def _within(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in files.items()}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode("utf-8")

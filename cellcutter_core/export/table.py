"""The cells as a table: where each is, how large, of which form, how bright."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.labels import along_border, check_labels, compact

# Our column → that of skimage.measure.regionprops_table.
_SHAPES = {
    "row": "centroid-0",
    "col": "centroid-1",
    "area": "area",
    "perimeter": "perimeter",
    "major_axis": "axis_major_length",
    "minor_axis": "axis_minor_length",
    "eccentricity": "eccentricity",
    "solidity": "solidity",
}
# Column → unit and the power of the pixel size that leads there.
_LENGTHS = {"row": 1, "col": 1, "area": 2, "perimeter": 1, "major_axis": 1, "minor_axis": 1}
_UNITS = {1: "um", 2: "um2"}


def cell_table(
    labels: npt.ArrayLike,
    pixels: npt.NDArray[Any] | None = None,
    *,
    channels: Sequence[str] | None = None,
    pixel_size: float | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Measure every cell.

    Form is measured as by `skimage.measure.regionprops_table`, whose documentation has the
    formulas; the axes are those of the ellipse with the same second moments.

    Parameters
    ----------
    labels : (H, W) array of integers
        0 for background.
    pixels : (H, W, C) array, optional
        The intensities to measure, of any integer or float type.
    channels : sequence of str, optional
        Names of the C channels; default "channel 1" and so on.
    pixel_size : float, optional
        Micrometres per pixel.

    Returns
    -------
    dict
        Column → (N,) array, one entry a cell, ids ascending: ``id``; ``row`` and ``col`` of the
        centre, where pixel (0, 0) has its centre at (0, 0); ``area``, ``perimeter``,
        ``major_axis``, ``minor_axis`` in pixels; ``eccentricity`` and ``solidity`` without unit;
        with `pixel_size` those that have one again in micrometres, such as ``row_um`` and
        ``area_um2``; with `pixels` ``mean``, ``min``, ``max`` and ``sum`` of every channel, such as
        ``mean_nucleus``; ``touches_border``, whether the image ends at the cell, which then may
        be cut off.

    Raises
    ------
    ValueError
        If `labels` is no label image, or shapes, names or the pixel size do not fit it.

    Examples
    --------
    >>> table = cell_table(np.array([[0, 0, 0, 0], [0, 5, 5, 0], [0, 0, 0, 0]]), pixel_size=0.5)
    >>> table["id"].tolist(), table["col"].tolist(), table["area_um2"].tolist()
    ([5], [1.5], [0.5])
    """
    image = check_labels(labels)
    if pixel_size is not None and not (math.isfinite(pixel_size) and pixel_size > 0):
        raise ValueError(
            f"pixel_size is {pixel_size}, but must be a positive number of micrometres per pixel; "
            "leave it out where it is not known"
        )
    numbers, ids = compact(image)
    table: dict[str, npt.NDArray[Any]] = {"id": ids, **_shapes(numbers)}
    if pixel_size is not None:
        for name, power in _LENGTHS.items():
            table[f"{name}_{_UNITS[power]}"] = table[name] * pixel_size**power
    if pixels is not None:
        for name, channel in _named(np.asarray(pixels), image.shape, channels):
            table |= _intensities(numbers, len(ids), channel, name)
    at_edge = np.zeros(len(ids) + 1, bool)
    at_edge[along_border(numbers)] = True
    table["touches_border"] = at_edge[1:]
    return table


def table_file(table: dict[str, npt.NDArray[Any]]) -> bytes:
    """The content of a CSV file of such a table.

    Comma and decimal point, UTF-8, a line of column names first. Numbers are written so that they
    read back equal; what is true or false is 1 or 0, which every program can sort and filter by.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table)
    columns = [
        (column.astype(int) if column.dtype == bool else column).tolist()
        for column in table.values()
    ]
    writer.writerows(zip(*columns, strict=True))
    return stream.getvalue().encode("utf-8")


def _shapes(numbers: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[np.float64]]:
    from skimage.measure import regionprops_table

    if not numbers.any():
        return {name: np.zeros(0) for name in _SHAPES}
    wanted = ("centroid", *(name for name in _SHAPES.values() if "centroid" not in name))
    found = regionprops_table(numbers, properties=wanted)
    return {name: np.asarray(found[theirs], np.float64) for name, theirs in _SHAPES.items()}


def _named(
    pixels: npt.NDArray[Any], shape: tuple[int, ...], channels: Sequence[str] | None
) -> list[tuple[str, npt.NDArray[Any]]]:
    """Name and image of every channel."""
    if pixels.ndim != 3 or pixels.shape[:2] != shape:
        raise ValueError(
            f"pixels has shape {pixels.shape}, but must be (H, W, channels) with the labels' "
            f"H and W, {shape}"
        )
    names = channels or [f"channel {number + 1}" for number in range(pixels.shape[2])]
    if len(set(names)) != pixels.shape[2]:
        raise ValueError(
            f"channels is {list(names)}, but {pixels.shape[2]} different names are needed"
        )
    return [(name, pixels[..., index]) for index, name in enumerate(names)]


def _intensities(
    numbers: npt.NDArray[np.int32], n_cells: int, channel: npt.NDArray[Any], name: str
) -> dict[str, npt.NDArray[Any]]:
    inside = numbers > 0
    cell, value = numbers[inside] - 1, channel[inside]
    order = np.argsort(cell, kind="stable")
    value = value[order]
    if not n_cells:
        value = np.zeros(0)
    starts = np.searchsorted(cell[order], np.arange(n_cells))
    sums = np.add.reduceat(value.astype(np.float64), starts)
    return {
        f"mean_{name}": sums / np.bincount(cell, minlength=n_cells),
        f"min_{name}": np.minimum.reduceat(value, starts),
        f"max_{name}": np.maximum.reduceat(value, starts),
        f"sum_{name}": sums,
    }

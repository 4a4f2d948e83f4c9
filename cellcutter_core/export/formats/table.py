"""The cells as a table: position, size, shape and intensities of each."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cellcutter_core.images.pixel_size import PixelSize, checked, height_and_width
from cellcutter_core.label_image import along_border, check_labels, compact

# Our column → the column of skimage.measure.regionprops_table.
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
_LENGTHS = ("perimeter", "major_axis", "minor_axis")

FRAME = ("pixel_height_um", "pixel_width_um", "region_row", "region_col")
"""Columns that describe the frame of the others; they are the same for all cells of an image."""


def cell_table(
    labels: npt.ArrayLike,
    pixels: npt.NDArray[Any] | None = None,
    *,
    channels: Sequence[str] | None = None,
    pixel_size: PixelSize | None = None,
    origin: tuple[int, int] = (0, 0),
    region: tuple[int, int] | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Measure every cell.

    Shapes are measured as by `skimage.measure.regionprops_table`, whose documentation has the
    formulas. The axes are those of the ellipse with the same second moments.

    Parameters
    ----------
    labels : (H, W) array of integers
        0 for background.
    pixels : (H, W, C) array, optional
        The intensities to measure, of any integer or float type.
    channels : sequence of str, optional
        Names of the C channels; default "channel 1" and so on.
    pixel_size : float or (float, float), optional
        Micrometres per pixel, or (height, width) of a pixel that is not square.
    origin : (int, int)
        (row, col) of the labels' first pixel in the whole image; positions are given in it.
    region : (int, int), optional
        (row, col) of the first pixel of the region that was worked on, if the labels are only a
        part of it. Default: `origin`.

    Returns
    -------
    dict
        Column → (N,) array, one entry per cell, ids ascending:

        - ``id``;
        - ``row`` and ``col`` of the centre in the whole image, whose pixel (0, 0) has its centre
          at (0, 0);
        - ``area``, ``perimeter``, ``major_axis``, ``minor_axis`` in pixels;
        - ``eccentricity`` and ``solidity`` without unit;
        - with `pixel_size` all columns with a unit also in micrometres, such as ``row_um`` and
          ``area_um2``, and ``pixel_height_um`` and ``pixel_width_um``;
        - with `pixels` ``mean``, ``min``, ``max`` and ``sum`` of every channel, such as
          ``mean_nucleus``;
        - of a region ``region_row`` and ``region_col`` of its first pixel in the whole image;
        - ``touches_border``: whether the cell touches the border of image or region, which may
          cut it off.

        If pixels are not square, columns in micrometres and ``eccentricity`` take this into
        account; columns in pixels do not.

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
    size, begin = checked(pixel_size), origin if region is None else region
    numbers, ids = compact(image)
    table: dict[str, npt.NDArray[Any]] = {"id": ids, **_shapes(numbers)}
    for name, first in zip(("row", "col"), origin, strict=True):
        table[name] = table[name] + first
    if size is not None:
        table |= _in_micrometres(table, numbers, size)
    if pixels is not None:
        for name, channel in _named(np.asarray(pixels), image.shape, channels):
            table |= _intensities(numbers, len(ids), channel, name)
    if begin != (0, 0):
        table |= {
            f"region_{name}": np.full(len(ids), n)
            for name, n in zip(("row", "col"), begin, strict=True)
        }
    at_edge = np.zeros(len(ids) + 1, bool)
    at_edge[along_border(numbers)] = True
    table["touches_border"] = at_edge[1:]
    return table


def table_file(table: dict[str, npt.NDArray[Any]]) -> bytes:
    """Return the content of a CSV file of such a table.

    It has commas and decimal points, UTF-8, and a first line of column names. Numbers read back
    equal. True and false are written as 1 and 0, which every program can sort and filter.
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


def _in_micrometres(
    table: dict[str, npt.NDArray[Any]], numbers: npt.NDArray[np.int32], size: PixelSize
) -> dict[str, npt.NDArray[Any]]:
    height, width = height_and_width(size)
    found = {"row_um": table["row"] * height, "col_um": table["col"] * width}
    found["area_um2"] = table["area"] * (height * width)
    lengths = {name: table[name] * height for name in _LENGTHS}
    if height != width and len(table["id"]):
        lengths, found["eccentricity"] = _stretched(numbers, height, width)
    found |= {f"{name}_um": lengths[name] for name in _LENGTHS}
    n_cells = len(table["id"])
    sides = {"pixel_height_um": height, "pixel_width_um": width}
    return found | {name: np.full(n_cells, side) for name, side in sides.items()}


def _stretched(
    numbers: npt.NDArray[np.int32], height: float, width: float
) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[Any]]:
    """Lengths in micrometres and eccentricity, of pixels that are not square."""
    from skimage.measure import regionprops

    cells = regionprops(numbers, spacing=(height, width))
    lengths = {
        "perimeter": [_perimeter(cell.image, height, width) for cell in cells],
        "major_axis": [cell.axis_major_length for cell in cells],
        "minor_axis": [cell.axis_minor_length for cell in cells],
    }
    eccentricity = np.array([cell.eccentricity for cell in cells], np.float64)
    return {name: np.array(values, np.float64) for name, values in lengths.items()}, eccentricity


def _perimeter(cell: npt.NDArray[np.bool_], height: float, width: float) -> float:
    """As `skimage.measure.perimeter`, with steps of their lengths where pixels are not square.

    There each pixel of the border stands for a step of 1 where it has border beside, above or
    below it twice, of √2 where it has it at its corners, and of their mean where it has one of
    each.
    """
    padded = np.pad(cell, 1).astype(np.uint8)
    border = padded - ndimage.binary_erosion(padded).astype(np.uint8)
    kinds = ndimage.convolve(border, np.array([[10, 2, 10], [2, 1, 2], [10, 2, 10]], np.uint8))
    across = ndimage.convolve(border, np.array([[0, 0, 0], [1, 0, 1], [0, 0, 0]], np.uint8))
    along = ndimage.convolve(border, np.array([[0, 1, 0], [0, 0, 0], [0, 1, 0]], np.uint8))
    beside = (across * width + along * height) / np.maximum(across + along, 1)
    diagonal = np.hypot(height, width)
    length = (
        beside[np.isin(kinds, (5, 7, 15, 17, 25, 27))].sum()
        + diagonal * np.isin(kinds, (21, 33)).sum()
        + (beside[np.isin(kinds, (13, 23))] + diagonal).sum() / 2
    )
    return float(length)


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

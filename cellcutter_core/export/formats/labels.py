"""A label image as a TIFF that other programs open directly."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.files import atomic
from cellcutter_core.images.pixel_size import PixelSize, checked, height_and_width
from cellcutter_core.label_image import check_labels

# Size of a compressed strip.
ROWS = 64

LARGEST_WHOLE = 100_000_000
"""For images of up to this many pixels, the labels of a region are written into a label image of
the whole image."""


def write_labels(
    path: str | os.PathLike[str],
    labels: npt.ArrayLike,
    *,
    pixel_size: PixelSize | None = None,
    origin: tuple[int, int] = (0, 0),
    whole_shape: tuple[int, int] | None = None,
    compressed: bool = False,
) -> None:
    """Write a label image as a TIFF that ImageJ, napari, QuPath and Pillow open directly.

    Up to id 65535 it is a 16-bit ImageJ TIFF whose display range ends at the highest id. (Without
    the range, a viewer stretches 0..65535 and the picture looks black.) The ImageJ format has no
    32-bit integers, only floats, which suit no labels. So with higher ids the file is a plain
    unsigned 32-bit TIFF.

    Labels of a region are written into a label image of the whole image, so that they match it and
    its ROIs. If that has more than `LARGEST_WHOLE` pixels, or its size is not known, the file holds
    only the region. In both cases the file states where the region lies: as `region_row` and
    `region_col` in its description and in the text that ImageJ shows with *Image, Show Info*. A
    file with only the region also sets the origin of ImageJ's coordinates there.

    Parameters
    ----------
    path : path
        The file, usually ``.tif``; an existing one is replaced.
    labels : (H, W) array of integers
        0 for background, ids up to 2**32 - 1.
    pixel_size : float or (float, float), optional
        Micrometres per pixel, or (height, width) of a pixel that is not square; written as the
        resolution.
    origin : (int, int)
        (row, col) of the labels' first pixel in the whole image.
    whole_shape : (int, int), optional
        (rows, columns) of the whole image, if the labels are those of a region of it.
    compressed : bool
        Deflate strips of rows, which makes a large image some fifty times smaller. All programs
        named above still open it.

    Raises
    ------
    ValueError
        If `labels` is no label image, `pixel_size` is not positive, the region does not lie in the
        whole image, or the file cannot be written.
    """
    with atomic(path) as temporary:
        _write(temporary, labels, pixel_size, origin, whole_shape, compressed)


def _write(
    target: Path | io.BytesIO,
    labels: npt.ArrayLike,
    pixel_size: PixelSize | None,
    origin: tuple[int, int],
    whole_shape: tuple[int, int] | None,
    compressed: bool,
) -> None:
    image = check_labels(labels)
    if image.size == 0:
        raise ValueError(f"labels has shape {image.shape}: there is no pixel to write")
    size = checked(pixel_size)
    image, place = _placed(image, origin, whole_shape)
    compressed |= "Info" in place and image.shape == whole_shape
    highest = int(image.max())
    if highest > np.iinfo(np.uint32).max:
        raise ValueError(
            f"labels holds the id {highest}, but a TIFF holds ids up to {np.iinfo(np.uint32).max}; "
            "renumber the cells"
        )
    options: dict[str, Any] = {}
    if highest <= np.iinfo(np.uint16).max:
        metadata: dict[str, Any] = {"axes": "YX", "min": 0.0, "max": float(max(highest, 1))}
        if size is not None:
            # ImageJ uses the unit in its own metadata and sets that of the TIFF to "none".
            metadata["unit"] = "um"
            height, width = height_and_width(size)
            options = {"resolution": (1 / width, 1 / height), "resolutionunit": "NONE"}
        options |= {"imagej": True, "metadata": metadata | place}
        image = image.astype(np.uint16, copy=False)
    else:
        if size is not None:
            height, width = height_and_width(size)
            options = {"resolution": (1e4 / width, 1e4 / height), "resolutionunit": "CENTIMETER"}
        options |= {"metadata": {"axes": "YX"} | place}
        image = image.astype(np.uint32, copy=False)
    if compressed:
        options |= {"compression": "zlib", "rowsperstrip": ROWS}
    import tifffile

    tifffile.imwrite(target, image, photometric="minisblack", **options)


def label_file(
    labels: npt.ArrayLike,
    *,
    pixel_size: PixelSize | None = None,
    origin: tuple[int, int] = (0, 0),
    whole_shape: tuple[int, int] | None = None,
) -> bytes:
    """Return the content of the file that `write_labels` writes."""
    stream = io.BytesIO()
    _write(stream, labels, pixel_size, origin, whole_shape, compressed=False)
    return stream.getvalue()


def segmented_region(path: str | os.PathLike[str]) -> tuple[int, int, int, int] | None:
    """Read from a file of `write_labels` the region that was segmented.

    Returns
    -------
    (row, col, row, col) or None
        First row and column, and end row and column (excluded); None if the file names no region.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            (of_file,) = tif.shaped_metadata or ({},)
            about = tif.imagej_metadata or of_file
        top, left = int(about["region_row"]), int(about["region_col"])
        return top, left, top + int(about["region_rows"]), left + int(about["region_cols"])
    except (tifffile.TiffFileError, OSError, KeyError, TypeError, ValueError):
        return None


def _placed(
    labels: npt.NDArray[Any], origin: tuple[int, int], whole_shape: tuple[int, int] | None
) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    """Put labels of a region into the whole image if that is not too large; return them with a
    description of the region.
    """
    n_rows, n_cols = labels.shape
    top, left = origin
    if origin == (0, 0) and whole_shape in (None, labels.shape):
        return labels, {}
    said = (
        f"The cells of rows {top} to {top + n_rows - 1} and columns {left} to {left + n_cols - 1} "
        "of the whole image, counted from 0; pixels outside this region were not segmented."
    )
    place = {"region_row": top, "region_col": left, "region_rows": n_rows, "region_cols": n_cols}
    if whole_shape is None or math.prod(whole_shape) > LARGEST_WHOLE:
        # ImageJ counts coordinates from this origin.
        return labels, {**place, "xorigin": -left, "yorigin": -top, "Info": said}
    if min(top, left) < 0 or top + n_rows > whole_shape[0] or left + n_cols > whole_shape[1]:
        raise ValueError(
            f"labels of shape {labels.shape} from pixel {origin} on do not lie in an image of "
            f"shape {whole_shape}; give as origin the region's first pixel in the whole image"
        )
    whole = np.zeros(whole_shape, labels.dtype)
    whole[top : top + n_rows, left : left + n_cols] = labels
    return whole, {**place, "Info": said}

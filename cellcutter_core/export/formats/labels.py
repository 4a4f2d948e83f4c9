"""A label image as a TIFF that other programs open as it is."""

from __future__ import annotations

import math
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.files import atomic
from cellcutter_core.images.pixel_size import PixelSize, checked, height_and_width
from cellcutter_core.labels import check_labels

# Of a compressed strip.
ROWS = 64

LARGEST_WHOLE = 100_000_000
"""Of a region of an image of up to so many pixels, the label image is as large as that image."""


def write_labels(
    path: str | os.PathLike[str],
    labels: npt.ArrayLike,
    *,
    pixel_size: PixelSize | None = None,
    origin: tuple[int, int] = (0, 0),
    whole_shape: tuple[int, int] | None = None,
    compressed: bool = False,
) -> None:
    """Write a label image as a TIFF that ImageJ, napari, QuPath and Pillow open as it is.

    Up to id 65535 it is a 16-bit ImageJ TIFF whose display range ends at the highest id (without
    it a viewer stretches 0..65535 and the picture looks black). The ImageJ format has no 32-bit
    integers, and its 32-bit floats would no longer be labels; so with higher ids the file is a
    plain unsigned 32-bit TIFF.

    Labels of a region lie in a label image of the whole image, so that they lie on it and on its
    ROIs. Of an image of more than `LARGEST_WHOLE` pixels, or of which the size is not known, the
    file holds the region alone. In both cases it says where the region lies, as `region_row` and
    `region_col` in its description and in the text that ImageJ shows with *Image, Show Info*; a
    region alone has the origin of ImageJ's coordinates there as well.

    Parameters
    ----------
    path : path
        The file, usually ``.tif``; a file already there is replaced.
    labels : (H, W) array of integers
        0 for background, ids up to 2**32 - 1.
    pixel_size : float or (float, float), optional
        Micrometres per pixel, or height and width where it is not square, written as the
        resolution.
    origin : (int, int)
        (row, col) of the labels' first pixel in the whole image.
    whole_shape : (int, int), optional
        Rows and columns of the whole image, where the labels are those of a region of it.
    compressed : bool
        Deflate strips of rows, which makes a large image some fifty times smaller. All of the
        programs above still open it.

    Raises
    ------
    ValueError
        If `labels` is no label image or `pixel_size` no positive number, the region does not lie
        in the whole image, or the file cannot be written.
    """
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
            # ImageJ counts in the unit of its own metadata and leaves the TIFF's at "none".
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

    with atomic(path) as temporary:
        tifffile.imwrite(temporary, image, photometric="minisblack", **options)


def label_file(
    labels: npt.ArrayLike,
    *,
    pixel_size: PixelSize | None = None,
    origin: tuple[int, int] = (0, 0),
    whole_shape: tuple[int, int] | None = None,
) -> bytes:
    """The content of the file that `write_labels` writes."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "labels.tif"
        write_labels(file, labels, pixel_size=pixel_size, origin=origin, whole_shape=whole_shape)
        return file.read_bytes()


def segmented_region(path: str | os.PathLike[str]) -> tuple[int, int, int, int] | None:
    """The region that a file of `write_labels` says its cells are those of.

    Returns
    -------
    (row, col, row, col) or None
        First row and column, and those after the last; None where it says nothing of one.
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
    """Labels of a region in the whole image, where that is not too large, and what is said."""
    n_rows, n_cols = labels.shape
    top, left = origin
    if origin == (0, 0) and whole_shape in (None, labels.shape):
        return labels, {}
    said = (
        f"The cells of rows {top} to {top + n_rows - 1} and columns {left} to {left + n_cols - 1} "
        "of the whole image, counted from 0; what lies beside this region was not segmented."
    )
    place = {"region_row": top, "region_col": left, "region_rows": n_rows, "region_cols": n_cols}
    if whole_shape is None or math.prod(whole_shape) > LARGEST_WHOLE:
        # ImageJ shows coordinates from this origin on.
        return labels, {**place, "xorigin": -left, "yorigin": -top, "Info": said}
    if min(top, left) < 0 or top + n_rows > whole_shape[0] or left + n_cols > whole_shape[1]:
        raise ValueError(
            f"labels of shape {labels.shape} from pixel {origin} on do not lie in an image of "
            f"shape {whole_shape}; give where the region begins in the whole image"
        )
    whole = np.zeros(whole_shape, labels.dtype)
    whole[top : top + n_rows, left : left + n_cols] = labels
    return whole, {**place, "Info": said}

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
from cellcutter_core.labels import check_labels

# Of a compressed strip.
ROWS = 64


def write_labels(
    path: str | os.PathLike[str],
    labels: npt.ArrayLike,
    *,
    pixel_size: float | None = None,
    compressed: bool = False,
) -> None:
    """Write a label image as a TIFF that ImageJ, napari, QuPath and Pillow open as it is.

    Up to id 65535 it is a 16-bit ImageJ TIFF whose display range ends at the highest id (without
    it a viewer stretches 0..65535 and the picture looks black). The ImageJ format has no 32-bit
    integers, and its 32-bit floats would no longer be labels; so with higher ids the file is a
    plain unsigned 32-bit TIFF.

    Parameters
    ----------
    path : path
        The file, usually ``.tif``; a file already there is replaced.
    labels : (H, W) array of integers
        0 for background, ids up to 2**32 - 1.
    pixel_size : float, optional
        Micrometres per pixel, written as the resolution.
    compressed : bool
        Deflate strips of rows, which makes a large image some fifty times smaller. All of the
        programs above still open it.

    Raises
    ------
    ValueError
        If `labels` is no label image or `pixel_size` no positive number, or the file cannot be
        written.
    """
    image = check_labels(labels)
    if image.size == 0:
        raise ValueError(f"labels has shape {image.shape}: there is no pixel to write")
    if pixel_size is not None and not (math.isfinite(pixel_size) and pixel_size > 0):
        raise ValueError(
            f"pixel_size is {pixel_size}, but must be a positive number of micrometres per pixel; "
            "leave it out where it is not known"
        )
    highest = int(image.max())
    if highest > np.iinfo(np.uint32).max:
        raise ValueError(
            f"labels holds the id {highest}, but a TIFF holds ids up to {np.iinfo(np.uint32).max}; "
            "renumber the cells"
        )
    options: dict[str, Any] = {}
    if highest <= np.iinfo(np.uint16).max:
        metadata: dict[str, Any] = {"axes": "YX", "min": 0.0, "max": float(max(highest, 1))}
        if pixel_size is not None:
            # ImageJ counts in the unit of its own metadata and leaves the TIFF's at "none".
            metadata["unit"] = "um"
            options = {"resolution": (1 / pixel_size, 1 / pixel_size), "resolutionunit": "NONE"}
        options |= {"imagej": True, "metadata": metadata}
        image = image.astype(np.uint16, copy=False)
    else:
        if pixel_size is not None:
            per_cm = 1e4 / pixel_size
            options = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
        options |= {"metadata": {"axes": "YX"}}
        image = image.astype(np.uint32, copy=False)
    if compressed:
        options |= {"compression": "zlib", "rowsperstrip": ROWS}
    import tifffile

    with atomic(path) as temporary:
        tifffile.imwrite(temporary, image, photometric="minisblack", **options)


def label_file(labels: npt.ArrayLike, *, pixel_size: float | None = None) -> bytes:
    """The content of the file that `write_labels` writes."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "labels.tif"
        write_labels(file, labels, pixel_size=pixel_size)
        return file.read_bytes()

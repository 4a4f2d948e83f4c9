"""Everything a user takes home: label images, pictures, records."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from cellcutter_core.files import atomic
from cellcutter_core.labels import check_labels


def write_labels(
    path: str | os.PathLike[str], labels: npt.ArrayLike, *, pixel_size: float | None = None
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
        image, options = image.astype(np.uint16), {**options, "imagej": True, "metadata": metadata}
    else:
        if pixel_size is not None:
            per_cm = 1e4 / pixel_size
            options = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
        image, options = image.astype(np.uint32), {**options, "metadata": {"axes": "YX"}}
    import tifffile

    with atomic(path) as temporary:
        tifffile.imwrite(temporary, image, photometric="minisblack", **options)


def label_file(labels: npt.ArrayLike, *, pixel_size: float | None = None) -> bytes:
    """The content of the file that `write_labels` writes."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "labels.tif"
        write_labels(file, labels, pixel_size=pixel_size)
        return file.read_bytes()


def write_png(path: str | os.PathLike[str], rgb: npt.NDArray[np.uint8]) -> None:
    """Write a picture as PNG, without loss.

    Parameters
    ----------
    path : path
        The file; one already there is replaced.
    rgb : (H, W, 3) or (H, W, 4) uint8 array
        Red, green, blue and, where there are four, alpha.

    Raises
    ------
    ValueError
        If `rgb` is no such array, or the file cannot be written.
    """
    picture = np.asarray(rgb)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise ValueError(
            f"rgb is {picture.dtype} of shape {picture.shape}, but a picture is uint8 of shape "
            "(H, W, 3) or (H, W, 4); make one with cellcutter_core.view.render"
        )
    if picture.size == 0:
        raise ValueError(f"rgb has shape {picture.shape}: there is no pixel to write")
    with atomic(path) as temporary:
        PillowImage.fromarray(picture).save(temporary, format="PNG")


def write_json(path: str | os.PathLike[str], mapping: Mapping[str, Any]) -> None:
    """Write a record as indented UTF-8 JSON that every reader accepts.

    NumPy scalars and arrays become numbers and lists, paths become text. JSON knows no NaN and no
    infinity: they become null, so that a diverged loss does not cost a finished run its record.

    Parameters
    ----------
    path : path
        The file; one already there is replaced.
    mapping : mapping
        Keys are strings.

    Raises
    ------
    ValueError
        If the file cannot be written.
    TypeError
        If a value has no form in JSON.
    """
    text = json.dumps(_plain(mapping), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    """The same value in the types that JSON has."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

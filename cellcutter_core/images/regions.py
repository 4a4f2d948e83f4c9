"""Crop an image to a region, and find the region with the most detail."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cellcutter_core.images.formats.validation import Validation
from cellcutter_core.images.guesses.unimaged_gaps import filled_gaps
from cellcutter_core.images.image import PLANES, Image
from cellcutter_core.images.reading.parts import Region

SAMPLES = 128
"""Pixels that are looked at along the shorter side of a square, at least; others are skipped."""

DIM_SHARE = 0.05
"""Share of the range of brightness below which its log scale is nearly linear."""

NEIGHBOURHOOD = 9
"""Side in looked-at pixels of the square whose mean a pixel is compared with."""

ABOUT_EQUAL = 0.999
"""Squares with this share of the largest sum of detail count as equal to the best one."""


def cut_out(image: Image, box: Region) -> Image:
    """Crop an image to a region, with its markers, truth and so on.

    Parameters
    ----------
    image : Image
    box : (row, col, row, col)
        First row and column, and those after the last.

    Returns
    -------
    Image
        Its arrays are views, not copies, and it knows its position in the whole image. Validation
        crops that lie completely in the box stay.

    Raises
    ------
    ValueError
        If the box is empty or reaches beyond the image, or a channel in use is constant in it.

    Examples
    --------
    >>> import numpy as np
    >>> image = Image(np.arange(12).reshape(3, 4, 1), ("cell",))
    >>> cut_out(image, (1, 0, 3, 2)).pixels[..., 0]
    array([[4, 5],
           [8, 9]])
    """
    top, left, bottom, right = box
    n_rows, n_cols = image.shape
    if not (0 <= top < bottom <= n_rows and 0 <= left < right <= n_cols):
        raise ValueError(
            f"the region {box} does not lie in the image of {n_rows}×{n_cols} pixels; choose rows "
            f"from 0 to {n_rows} and columns from 0 to {n_cols}"
        )
    if box == (0, 0, n_rows, n_cols):
        return image
    part = (slice(top, bottom), slice(left, right))
    planes: dict[str, Any] = {
        name: None if (plane := getattr(image, name)) is None else plane[part] for name in PLANES
    }
    cropped = dataclasses.replace(
        image,
        pixels=image.pixels[part],
        validation=_validation(image.validation, box),
        origin=(image.origin[0] + top, image.origin[1] + left),
        whole_shape=image.whole_shape or image.shape,
        **planes,
    )
    # Raises if a channel in use is constant in the region.
    return cropped.with_roles()


def _validation(known: Validation | None, box: Region) -> Validation | None:
    if known is None:
        return None
    corners = known.corners - np.array(box[:2], np.int32)
    last = np.array(box[2:]) - np.array(box[:2]) - known.crop_size
    inside = np.all((corners >= 0) & (corners <= last), axis=1)
    if not inside.any():
        return None
    return Validation(corners[inside], known.crops[inside], known.markers[inside])


def full_region(shape: tuple[int, int]) -> Region:
    """Return the box of all pixels."""
    return (0, 0, *shape)


def interesting_region(image: Image, side: int = 512) -> Region:
    """Return the square with the most detail.

    Detail is how much the cell channel varies within a few pixels. Brightness is on a log scale, so
    that one bright clump does not outweigh many dim cells.

    Parameters
    ----------
    image : Image
        It may be reduced, see `Image.full_shape`.
    side : int
        Of the square, in pixels. Along an axis that is shorter, all of the image is taken.

    Returns
    -------
    Region
        In rows and columns of the full image.
    """
    if image.full_shape is None:
        return _most_detailed(image, side)
    reduction = image.full_shape[0] / image.shape[0]
    row, col, *_ = _most_detailed(image, max(1, round(side / reduction)))
    height, width = (min(side, n) for n in image.full_shape)
    top = min(round(row * reduction), image.full_shape[0] - height)
    left = min(round(col * reduction), image.full_shape[1] - width)
    return (top, left, top + height, left + width)


def _most_detailed(image: Image, side: int) -> Region:
    """Return the square with the most detail, in rows and columns of the image as it is."""
    n_rows, n_cols = image.shape
    height, width = min(side, n_rows), min(side, n_cols)
    if (height, width) == image.shape:
        return full_region(image.shape)
    step = max(1, min(height, width) // SAMPLES)
    cell = filled_gaps(image.pixels[..., image.cell[0]])[::step, ::step].astype(np.float32)
    low, high = np.percentile(cell, [1, 99])
    dim = max(DIM_SHARE * float(high - low), 1e-12)
    level = np.log1p(np.clip(cell - low, 0, None) / dim)
    detail = np.abs(level - ndimage.uniform_filter(level, NEIGHBOURHOOD))
    top, left = (int(step * at) for at in _densest(detail, -(-height // step), -(-width // step)))
    top, left = min(top, n_rows - height), min(left, n_cols - width)
    return (top, left, top + height, left + width)


def _densest(field: npt.NDArray[np.float32], n_rows: int, n_cols: int) -> tuple[int, int]:
    """Return the first row and column of the window with the largest sum.

    If several have about the same, it is the most central of them.
    """
    total = np.zeros((field.shape[0] + 1, field.shape[1] + 1))
    total[1:, 1:] = field.cumsum(0, dtype=np.float64).cumsum(1)
    sums = (
        total[n_rows:, n_cols:]
        - total[:-n_rows, n_cols:]
        - total[n_rows:, :-n_cols]
        + total[:-n_rows, :-n_cols]
    )
    best = np.argwhere(sums >= ABOUT_EQUAL * sums.max())
    middle = (np.array(sums.shape) - 1) / 2
    row, col = best[np.argmin(((best - middle) ** 2).sum(axis=1))]
    return int(row), int(col)

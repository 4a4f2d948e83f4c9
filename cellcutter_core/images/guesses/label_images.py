"""Recognises a label image, whose numbers are ids of cells instead of intensities."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.images.reading.contents import Unreadable
from cellcutter_core.label_image import as_whole_numbers

# In a label image, at least this share of neighbours on cells have the same number. Intensities
# have noise.
SMALLEST_SHARE = 0.8
# In a label image, there are at most this many pieces per number: most cells are in one piece.
MOST_PIECES = 1.5


LARGEST = 2**31
"""Ids of cells are smaller than this."""


def refuse_labels(pixels: npt.NDArray[Any]) -> None:
    """Raise an `Unreadable` for a label image, because it cannot be segmented."""
    first = pixels[..., :1]
    # Some formats can store only colours.
    gray = pixels.shape[2] == 3 and bool((pixels == first).all())
    if shows_labels(first if gray else pixels):
        raise Unreadable(
            "is a label image, which cannot be segmented; give the image that its labels were made "
            "of. If its numbers are intensities after all, add 0.5 to all of them and save it as "
            "32-bit floats: in Fiji Image, Type, 32-bit, then Process, Math, Add"
        )


def shows_labels(pixels: npt.NDArray[Any]) -> bool:
    """Whether pixels are the labels of cells: 0 between cells, a different number on each cell.

    Parameters
    ----------
    pixels : (H, W, C) array
        Finite.

    Returns
    -------
    bool
        False for a mask, which does not separate cells.

    Examples
    --------
    >>> shows_labels(np.kron([[0, 1], [2, 0]], np.ones((9, 9), int))[..., None])
    True
    """
    if pixels.shape[2] != 1 or pixels.min() != 0:
        return False
    if pixels.dtype.kind == "f" and pixels.max() >= LARGEST:
        return False
    # Programs without 32-bit integers write whole numbers as floats.
    plane = as_whole_numbers(pixels[..., 0])
    if plane.dtype.kind not in "iu":
        return False
    beside = plane[:, 1:], plane[:, :-1]
    on_cells = (beside[0] > 0) & (beside[1] > 0)
    if not on_cells.any() or (beside[0] == beside[1])[on_cells].mean() < SMALLEST_SHARE:
        return False
    from skimage.measure import label

    numbers = np.unique(plane)
    n_cells = len(numbers) - 1
    return n_cells > 1 and int(label(plane, background=0).max()) <= MOST_PIECES * n_cells

"""Whether an image shows no intensities but numbers which cell each pixel is of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.images.contents import Unreadable
from cellcutter_core.labels import as_whole_numbers

# Of neighbours on cells so many have the same number. Intensities have noise.
SMALLEST_SHARE = 0.8
# A cell is in one piece, but for some that were cut.
MOST_PIECES = 1.5


LARGEST = 2**31
"""Numbers of cells are smaller."""


def refuse_labels(pixels: npt.NDArray[Any]) -> None:
    """Raise an `Unreadable` for labels where an image is to be segmented."""
    first = pixels[..., :1]
    # Some formats have colours only.
    gray = pixels.shape[2] == 3 and bool((pixels == first).all())
    if shows_labels(first if gray else pixels):
        raise Unreadable(
            "is a label image, in which there are no cells to find; give the image that its cells "
            "are in. If its numbers are intensities after all, add 0.5 to all of them and save it "
            "as 32-bit floats: in Fiji Image, Type, 32-bit, then Process, Math, Add"
        )


def shows_labels(pixels: npt.NDArray[Any]) -> bool:
    """Whether these are the labels of cells: 0 between them, and on each a number of its own.

    Parameters
    ----------
    pixels : (H, W, C) array
        Finite.

    Returns
    -------
    bool
        False for a mask, which does not tell cells apart.

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

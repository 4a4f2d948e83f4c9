"""Crops with a known true cell, which the paper's files hold for its mIOU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage


@dataclass(frozen=True, eq=False)
class Validation:
    """K crops of an image, with the true cell of the marker at their centre.

    Attributes
    ----------
    corners : (K, 2) int32 array
        (row, col) of the first pixel of each crop; all crops lie in the image.
    crops : (K, S, S) bool array
        True on the cell.
    markers : (K,) int32 array
        The label in `Image.markers` of the marker that each crop belongs to.
    """

    corners: npt.NDArray[np.int32]
    crops: npt.NDArray[np.bool_]
    markers: npt.NDArray[np.int32]

    @property
    def crop_size(self) -> int:
        """S, in pixels."""
        return int(self.crops.shape[1])


def paper_validation(
    test_id: npt.NDArray[Any], test_label: npt.NDArray[Any], *, markers: npt.NDArray[np.int32]
) -> Validation:
    """Find the crops that the paper's validation data are for.

    `test_id` numbers crops like the `Dataset` of the original code: one for each marker in the
    order of labels, with the rounded centre of mass at its pixel (S // 2, S // 2). Markers whose
    crop would reach beyond the image, or its last row or column, are left out.

    Parameters
    ----------
    test_id : (K,) array of integers
    test_label : (K, S, S) or (K, S, S, 1) array
        1 on the cell, 0 elsewhere.
    markers : (H, W) int32 array
        Marker labels, 0 for background.

    Raises
    ------
    ValueError
        If the shapes do not fit or an index counts beyond the crops.
    """
    crops = test_label[..., 0] if test_label.ndim == 4 and test_label.shape[3] == 1 else test_label
    if (
        test_id.ndim != 1
        or test_id.dtype.kind not in "iu"
        or crops.ndim != 3
        or crops.shape[1] != crops.shape[2]
        or len(crops) != len(test_id)
    ):
        raise ValueError(
            f"test_id has shape {test_id.shape} and dtype {test_id.dtype}, test_label "
            f"{test_label.shape}; give K integers and K square crops"
        )
    size = crops.shape[1]
    labels, corners = _corners(markers, size)
    inside = np.all((corners >= 0) & (corners < np.array(markers.shape) - size), axis=1)
    labels, corners = labels[inside], corners[inside]
    if test_id.min() < 0 or test_id.max() >= len(labels):
        raise ValueError(
            f"test_id has values from {test_id.min()} to {test_id.max()}, but the markers give "
            f"{len(labels)} crops of {size} pixels; allowed is 0 to {len(labels) - 1}"
        )
    return Validation(corners=corners[test_id], crops=crops > 0, markers=labels[test_id])


def _corners(
    markers: npt.NDArray[np.int32], size: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The labels of all markers, ascending, and the first pixels of their crops of side `size`."""
    labels = np.unique(markers[markers > 0])
    centre = np.reshape(ndimage.center_of_mass(markers > 0, markers, labels), (-1, 2))
    return labels, np.round(centre).astype(np.int32) - size // 2

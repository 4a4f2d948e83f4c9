"""The cells as an ROI set for ImageJ and Fiji."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cellcutter_core.export.files import zipped
from cellcutter_core.export.outlines import Piece, cell_outlines
from cellcutter_core.label_image import check_labels

# A larger 16-bit coordinate would be negative in ImageJ.
_LARGEST = 60535
NO_CELL = "there is no cell in the labels, and ImageJ opens no empty set of ROIs"

# Segment types of a path, as in java.awt.geom.PathIterator.
_MOVE, _LINE, _CLOSE = 0, 1, 4


def roi_set(labels: npt.ArrayLike, *, origin: tuple[int, int] = (0, 0)) -> bytes:
    """Return an ROI for each cell, for ImageJ's ROI Manager: *More, Open*, or drop the file on it.

    A cell in one piece without holes is a traced polygon, as from ImageJ's wand; any other is a
    composite, as from *Combine*. Both run along the edges of pixels, so ImageJ measures exactly the
    cell's pixels. The format is that of ImageJ's RoiEncoder.

    Parameters
    ----------
    labels : (H, W) array of integers
        0 for background.
    origin : (int, int)
        (row, col) of the labels' first pixel in the image that the ROIs belong to.

    Returns
    -------
    bytes
        Content of a ``.zip``: a file ``ID.roi`` for each cell, ids ascending.

    Raises
    ------
    ValueError
        If `labels` is no label image, has no cell (ImageJ opens no empty set), or is too large for
        ImageJ's coordinates.
    """
    entries = rois(labels, origin=origin)
    if not entries:
        raise ValueError(NO_CELL)
    return zipped(entries.items())


def rois(labels: npt.ArrayLike, *, origin: tuple[int, int] = (0, 0)) -> dict[str, bytes]:
    """Return the files of an ROI set, see `roi_set`: name → content, ids ascending.

    Raises
    ------
    ValueError
        As `roi_set`, except that labels without a cell are no error.
    """
    image = check_labels(labels)
    check_extent(image.shape, origin)
    cells = cell_outlines(image, origin=origin)
    return {f"{cell}.roi": _roi(cell, pieces) for cell, pieces in cells.items()}


def check_extent(shape: tuple[int, ...], origin: tuple[int, int]) -> None:
    """Raise a ValueError if labels of that shape at that origin exceed ImageJ's coordinates."""
    if max(n + first for n, first in zip(shape, origin, strict=True)) > _LARGEST:
        raise ValueError(
            f"labels has shape {shape} from pixel {tuple(origin)} on, but an ROI of ImageJ "
            f"ends at pixel {_LARGEST}; export the label image, or work on a region"
        )


def _roi(cell: int, pieces: list[Piece]) -> bytes:
    from roifile import ROI_TYPE, ImagejRoi

    rings = [ring for piece in pieces for ring in piece]
    top, left = np.min([ring.min(axis=0) for ring in rings], axis=0).tolist()
    bottom, right = np.max([ring.max(axis=0) for ring in rings], axis=0).tolist()
    roi = ImagejRoi(name=str(cell), top=top, left=left, bottom=bottom, right=right)
    if len(rings) == 1:
        roi.roitype = ROI_TYPE.TRACED
        roi.integer_coordinates = rings[0][:, ::-1] - np.array([left, top], np.int32)
        roi.n_coordinates = len(rings[0])
    else:
        roi.roitype = ROI_TYPE.RECT
        path: list[float] = []
        for ring in rings:
            for step, (row, col) in enumerate(ring.tolist()):
                path += [_LINE if step else _MOVE, col, row]
            path.append(_CLOSE)
        roi.multi_coordinates = np.array(path, np.float32)
        roi.shape_roi_size = len(path)
    return roi.tobytes()

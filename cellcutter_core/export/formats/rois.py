"""The cells as a set of ROIs for ImageJ and Fiji."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cellcutter_core.export.archive import zipped
from cellcutter_core.export.outlines import Piece, cell_outlines
from cellcutter_core.labels import check_labels

# Beyond this, ImageJ takes a coordinate in 16 bits for a negative one.
_LARGEST = 60535
# Steps of a path, as in java.awt.geom.PathIterator.
_MOVE, _LINE, _CLOSE = 0, 1, 4


def roi_set(labels: npt.ArrayLike, *, origin: tuple[int, int] = (0, 0)) -> bytes:
    """One ROI a cell, for ImageJ's ROI Manager: *More, Open* or drop the file on the window.

    A cell in one piece without holes is a traced polygon, as ImageJ's wand makes it; any other is
    a composite, as *Combine* makes it. Both run along the edges of pixels, so what ImageJ measures
    in a ROI is measured in exactly the cell's pixels. The format is that of ImageJ's RoiEncoder.

    Parameters
    ----------
    labels : (H, W) array of integers
        0 for background.
    origin : (int, int)
        (row, col) of their first pixel in the image that the ROIs are to be laid on.

    Returns
    -------
    bytes
        Content of a ``.zip``: a file ``ID.roi`` for each cell, ids ascending.

    Raises
    ------
    ValueError
        If `labels` is no label image or has no cell (ImageJ opens no empty set), or it is larger
        than ImageJ's coordinates.
    """
    entries = rois(labels, origin=origin)
    if not entries:
        raise ValueError("there is no cell in the labels, and ImageJ opens no empty set of ROIs")
    return zipped(entries)


def rois(labels: npt.ArrayLike, *, origin: tuple[int, int] = (0, 0)) -> dict[str, bytes]:
    """The files of a set, see `roi_set`: name → content, ids ascending.

    Raises
    ------
    ValueError
        As there, but that no cell is no error.
    """
    image = check_labels(labels)
    check_extent(image.shape, origin)
    cells = cell_outlines(image, origin=origin)
    return {f"{cell}.roi": _roi(cell, pieces) for cell, pieces in cells.items()}


def check_extent(shape: tuple[int, ...], origin: tuple[int, int]) -> None:
    """Raise a ValueError where labels of that shape, from that pixel on, reach too far."""
    if max(n + first for n, first in zip(shape, origin, strict=True)) > _LARGEST:
        raise ValueError(
            f"labels has shape {shape} from pixel {tuple(origin)} on, but a ROI of ImageJ "
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

"""Draw markers into a picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cellcutter_core.view.figure_style import AMBER, check_picture
from cellcutter_core.view.render import Color, Rgb

MARKER_COLOR: Color = (255, 255, 255)
"""Colour of the rings of markers. Each is drawn on a black ring, to be seen on bright and dark."""

SELECTED_COLOR: Color = AMBER
"""Colour of the selected marker and its crop."""

_HALO: Color = (0, 0, 0)


def markers_picture(
    picture: Rgb,
    points: npt.ArrayLike,
    *,
    crop_size: int | None = None,
    selected: int | None = None,
) -> Rgb:
    """Draw a ring around every marker; the selected one has another colour and shows its crop.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
    points : (N, 2) array
        (row, col) of each marker, rounded to the pixel; parts outside the picture are not drawn.
    crop_size : int, optional
        Side of the crop of the selected marker in pixels, drawn as a square.
    selected : int, optional
        Position in `points`.

    Returns
    -------
    (H, W, 3) uint8 array
        A copy. A ring has a radius of 4 pixels, and a proportionally larger one in pictures of more
        than 800 pixels. The pixel of the marker is unchanged.

    Raises
    ------
    ValueError
        If `picture` is no picture, `points` is not (N, 2), or `selected` is not one of the points.
    """
    check_picture(picture)
    centres = np.asarray(points, np.float64)
    if centres.size == 0:
        centres = np.zeros((0, 2))
    if centres.ndim != 2 or centres.shape[1] != 2:
        raise ValueError(f"points has shape {centres.shape}, but must be (N, 2), (row, col)")
    if selected is not None and not 0 <= selected < len(centres):
        raise ValueError(
            f"selected is {selected}, but there are markers 0 to {len(centres) - 1}; choose one"
        )
    drawn = np.array(picture)
    pixels = np.round(centres).astype(np.intp)
    scale = max(1.0, max(drawn.shape[:2]) / 800)
    radius = 4.0 * scale
    # All black rings first, so that they cover no other marker's ring.
    _stamp(drawn, pixels, _ring(radius, 2.6 * scale), _HALO)
    _stamp(drawn, pixels, _ring(radius, 1.1 * scale), MARKER_COLOR)
    if selected is not None:
        one = pixels[selected : selected + 1]
        shapes = [(_ring(1.4 * radius, 4 * scale), _ring(1.4 * radius, 2 * scale))]
        if crop_size is not None:
            line = max(1, round(scale))
            shapes.append((_square(crop_size, 2 * line, -line // 2), _square(crop_size, line, 0)))
        for halo, line_pixels in shapes:
            _stamp(drawn, one, halo, _HALO)
            _stamp(drawn, one, line_pixels, SELECTED_COLOR)
    return drawn


def _ring(radius: float, width: float) -> npt.NDArray[np.intp]:
    """Return (K, 2) offsets of the pixels of a ring around (0, 0)."""
    reach = int(np.ceil(radius + width))
    grid = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    away = np.abs(np.hypot(*grid.T) - radius)
    return np.asarray(grid[away <= width / 2 + 1e-9])


def _square(side: int, width: int, out: int) -> npt.NDArray[np.intp]:
    """Return (K, 2) offsets of the frame of a crop that begins `side` // 2 before the marker."""
    low, high = -(side // 2) + out, -(side // 2) + side - out
    grid = np.mgrid[low:high, low:high].reshape(2, -1).T
    inner = np.all((grid >= low + width) & (grid < high - width), axis=1)
    return np.asarray(grid[~inner])


def _stamp(
    picture: Rgb,
    centres: npt.NDArray[np.intp],
    offsets: npt.NDArray[np.intp],
    color: Color,
) -> None:
    where = (centres[:, None] + offsets).reshape(-1, 2)
    inside = np.all((where >= 0) & (where < picture.shape[:2]), axis=1)
    rows, cols = where[inside].T
    picture[rows, cols] = color

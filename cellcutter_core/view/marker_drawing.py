"""Draw markers into a picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

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
    image = Image.fromarray(np.ascontiguousarray(picture))
    draw = ImageDraw.Draw(image)
    pixels = np.round(centres).astype(int).tolist()
    scale = max(1.0, max(image.size) / 800)

    def ring(place: list[int], radius: float, width: float, color: Color) -> None:
        (row, col), reach = place, round(radius + width / 2 - 0.5)
        box = (col - reach, row - reach, col + reach, row + reach)
        draw.ellipse(box, outline=color, width=round(width))

    # All black rings first, so that they cover no other marker's ring.
    for width, color in ((2.6 * scale, _HALO), (1.1 * scale, MARKER_COLOR)):
        for place in pixels:
            ring(place, 4 * scale, width, color)
    if selected is not None:
        for width, color in ((4 * scale, _HALO), (2 * scale, SELECTED_COLOR)):
            ring(pixels[selected], 5.6 * scale, width, color)
        if crop_size is not None:
            (row, col), half = pixels[selected], crop_size // 2
            line = max(1, round(scale))
            for out, color in ((line, _HALO), (0, SELECTED_COLOR)):
                low, high = -half - out, crop_size - half - 1 + out
                box = (col + low, row + low, col + high, row + high)
                draw.rectangle(box, outline=color, width=line + out)
    return np.array(image)

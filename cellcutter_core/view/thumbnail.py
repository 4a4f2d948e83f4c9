"""A small picture of an image with its cells, for lists."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from cellcutter_core.view.render import Rgb, overlay

SIDE = 256
"""The longer side of a thumbnail in pixels."""
# Of a large image only every n-th pixel is drawn; so many pixels a side are enough.
_DRAWN = 512


def thumbnail(
    picture: Rgb, labels: npt.NDArray[np.int32] | None, *, colors: npt.ArrayLike | None = None
) -> str:
    """Draw an image with its cells, small.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
        For example from `composite`.
    labels : (H, W) int32 or None
        Its cells; None shows the image alone.
    colors : (N,) array of integers, optional
        The colour of each cell, see `label_colors`.

    Returns
    -------
    str
        A JPEG as a data address, for `<img>` and the image columns of tables; about 10 kB.
    """
    step = max(1, min(picture.shape[:2]) // _DRAWN)
    shown = np.ascontiguousarray(picture[::step, ::step])
    if labels is not None:
        cells = np.ascontiguousarray(labels[::step, ::step])
        shown = overlay(shown, cells, colors=colors, outlines=False, alpha=0.6)
    small = Pillow.fromarray(shown)
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"

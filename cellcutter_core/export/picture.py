"""Write pictures to files."""

from __future__ import annotations

import io
import os

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from cellcutter_core.files import atomic


def write_png(path: str | os.PathLike[str], rgb: npt.NDArray[np.uint8]) -> None:
    """Write a picture as PNG, without loss.

    Parameters
    ----------
    path : path
        The file; an existing one is replaced.
    rgb : (H, W, 3) or (H, W, 4) uint8 array
        Red, green, blue and, if there are four, alpha.

    Raises
    ------
    ValueError
        If `rgb` is no such array, or the file cannot be written.
    """
    content = png_file(rgb)
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def png_file(rgb: npt.NDArray[np.uint8]) -> bytes:
    """Return the content of the file that `write_png` writes."""
    picture = np.asarray(rgb)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4):
        raise ValueError(
            f"rgb is {picture.dtype} of shape {picture.shape}, but a picture is uint8 of shape "
            "(H, W, 3) or (H, W, 4); make one with cellcutter_core.view.render"
        )
    if picture.size == 0:
        raise ValueError(f"rgb has shape {picture.shape}: there is no pixel to write")
    stream = io.BytesIO()
    PillowImage.fromarray(picture).save(stream, format="PNG")
    return stream.getvalue()

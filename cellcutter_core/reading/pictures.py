"""PNG and JPEG, through Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ImageFile, JpegImagePlugin, PngImagePlugin

from cellcutter_core.reading.contents import Contents, Unreadable, check_size, region_that_fits
from cellcutter_core.reading.label_images import refuse_labels

# Pillow's modes that hold gray values, and the type of those. "I" is how Pillow before 11.3 holds
# the 16 bits of a gray PNG.
GRAY: dict[str, npt.DTypeLike] = {
    "1": np.uint8,
    "L": np.uint8,
    "I;16": np.uint16,
    "I;16B": np.uint16,
    "I": np.uint16,
}


def read_picture(path: Path, max_bytes: int, *, as_stored: bool = False) -> Contents:
    """Read a PNG or JPEG file.

    Gray values stay as they are (8 or 16 bit; 1 bit as 0 and 1). Colours of any kind, also those
    of a palette or for print, become red, green and blue; but with `as_stored` a
    palette gives its numbers. Transparency is dropped.

    Raises
    ------
    Unreadable
        If it needs more than `max_bytes`, or has 16 bits for each of several colours.
    """
    with path.open("rb") as file:
        is_png = file.read(1) == b"\x89"
        # The classes are called directly because `PIL.Image.open` has a size limit of its own,
        # which is a setting of the whole process.
        if is_png:
            # Pillow skips the checksums of the pixels unless asked to verify, which ends its use.
            file.seek(0)
            PngImagePlugin.PngImageFile(file).verify()
        file.seek(0)
        picture = (
            PngImagePlugin.PngImageFile(file) if is_png else JpegImagePlugin.JpegImageFile(file)
        )
        return _contents(picture, max_bytes, as_stored)


def _contents(picture: ImageFile.ImageFile, max_bytes: int, as_stored: bool) -> Contents:
    mode = "L" if picture.mode == "LA" else picture.mode
    n_values = picture.width * picture.height * (1 if mode in GRAY else 3)
    n_bytes = n_values * np.dtype(GRAY.get(mode, np.uint8)).itemsize
    fits = region_that_fits((picture.height, picture.width), n_bytes, max_bytes)
    # Rows cannot be skipped in it.
    check_size(n_bytes, max_bytes, advice=f"save a region of at most {fits} pixels, or all smaller")
    if mode not in ("I", "I;16", "I;16B") and "16B" in str(picture.tile[0].args):
        raise Unreadable(
            "is a PNG with 16 bits for each colour, of which Pillow reads 8; save it as TIFF"
        )
    if mode == "P" and as_stored:
        return Contents(np.array(picture)[..., None])
    if mode == "P":
        # In colours they would no longer be told.
        refuse_labels(np.array(picture)[..., None])
    if mode in GRAY:
        gray = picture if picture.mode == mode else picture.convert(mode)
        return Contents(np.asarray(gray).astype(GRAY[mode])[..., None])
    return Contents(np.array(picture.convert("RGB")), colour=True)

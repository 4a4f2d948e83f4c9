"""Applies the photometric interpretation of a TIFF page: its numbers become gray or colour."""

from __future__ import annotations

import numpy as np
import tifffile

from cellcutter_core.images.guesses.label_images import refuse_labels
from cellcutter_core.images.reading.contents import Array, Unreadable, check_size

PHOTOMETRIC = tifffile.PHOTOMETRIC
# tifffile unpacks these to red, green and blue.
IN_COLOUR = (tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.JPEG_LOSSY, tifffile.COMPRESSION.OJPEG)


def meant(pixels: Array, page: tifffile.TiffPage, *, max_bytes: int) -> tuple[Array, bool]:
    """The pixels of a page as they are meant, and whether they are red, green and blue.

    For pages without channel names. Colours of a palette or for print become red, green and blue;
    transparency is dropped.

    Parameters
    ----------
    pixels : (H, W, C) array
        As stored.
    page : TiffPage
    max_bytes : int

    Raises
    ------
    Unreadable
        If its colours are of an unknown kind, or it needs more than `max_bytes`.
    """
    kind = page.photometric
    if kind == PHOTOMETRIC.PALETTE and page.colormap is not None and pixels.shape[2] == 1:
        # After the conversion to colours, labels could not be recognised any more.
        refuse_labels(pixels)
        check_size(3 * pixels.nbytes, max_bytes)
        if int(pixels.max()) >= page.colormap.shape[1]:
            raise Unreadable("is damaged: it has numbers beyond the end of its palette")
        # Palettes have 16 bits per colour; pictures mostly use only the upper 8.
        palette = (page.colormap >> 8).astype(np.uint8)
        return np.stack([colour[pixels[..., 0]] for colour in palette], axis=-1), True
    if kind == PHOTOMETRIC.SEPARATED and pixels.shape[2] == 4 and pixels.dtype == np.uint8:
        ink = 255 - pixels.astype(np.uint16)
        return (ink[..., :3] * ink[..., 3:] // 255).astype(np.uint8), True
    if kind == PHOTOMETRIC.YCBCR and page.compression not in IN_COLOUR:
        raise Unreadable("is a TIFF of luminance and colour differences; save it as RGB")
    colour = kind in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
    if page.extrasamples and (colour or _says_alpha(page)) and pixels.shape[2] in (2, 4):
        pixels = _without_alpha(pixels)
    return pixels, colour and pixels.shape[2] == 3


def _says_alpha(page: tifffile.TiffPage) -> bool:
    return page.extrasamples[-1] != tifffile.EXTRASAMPLE.UNSPECIFIED


def _without_alpha(pixels: Array) -> Array:
    """Drop the last channel of a picture if it is transparency.

    By default tifffile writes any four channels as colour with transparency. In 8 bits the last
    one mostly is transparency. With more bits it is taken for that only if it is opaque everywhere:
    an empty part of a channel would be transparent.
    """
    opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1
    if pixels.dtype == np.uint8 or np.all(pixels[..., -1] == opaque):
        return pixels[..., :-1]
    return pixels

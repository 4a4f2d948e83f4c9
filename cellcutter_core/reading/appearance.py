"""What the colours and the brightness of a picture say of how it was made, and what follows."""

from __future__ import annotations

import dataclasses

import numpy as np

from cellcutter_core.reading.brightness import dark_on_bright, turned_over
from cellcutter_core.reading.contents import Contents, Unreadable, check_size
from cellcutter_core.reading.stains import STAIN_CHANNELS, is_stained, with_stains


def interpret(
    contents: Contents, *, inverted: bool | None, stained: bool | None, max_bytes: int
) -> Contents:
    """Make bright what shows cells.

    1. Colour with three equal channels is gray: many programs save it so.
    2. A stained section gets the channels of `cellcutter_core.reading.stains`.
    3. A picture of dark cells on a bright background is turned over. Only a gray or a colour one is
       judged: channels that the file tells apart are images of their own.

    Parameters
    ----------
    contents : Contents
    inverted : bool or None
        Whether a viewer shows cells dark on a bright background; None to judge by the picture.
    stained : bool or None
        Whether it is a stained section; None to judge by the picture.
    max_bytes : int
        As for the reader; the channels of stains are more than there were.

    Raises
    ------
    Unreadable
        If `stained` is True and the image has no colours in 8 or 16 bits, or if the channels of the
        stains take more than `max_bytes`.
    """
    pixels = contents.pixels
    unnamed = contents.channels is None
    colour = contents.colour or (unnamed and pixels.shape[2] == 3 and pixels.dtype == np.uint8)
    if colour and all(np.array_equal(pixels[..., 0], pixels[..., other]) for other in (1, 2)):
        pixels, colour = pixels[..., :1].copy(), False
    if stained and not (colour and pixels.dtype in (np.uint8, np.uint16)):
        raise Unreadable(
            f"has {pixels.shape[2]} channel(s) of {pixels.dtype}, but stains are told apart in "
            "red, green and blue of 8 or 16 bits; leave stained out"
        )
    if stained is None:
        stained = colour and inverted is not False and is_stained(pixels)
    if stained:
        check_size(pixels.nbytes // 3 * len(STAIN_CHANNELS), max_bytes)
        return dataclasses.replace(
            contents,
            pixels=with_stains(pixels),
            channels=STAIN_CHANNELS,
            colour=False,
            inverted=True,
        )
    if inverted is None:
        inverted = (colour or pixels.shape[2] == 1) and dark_on_bright(
            pixels, white_is_zero=contents.white_is_zero
        )
    if inverted != contents.white_is_zero:
        pixels = turned_over(pixels)
    return dataclasses.replace(contents, pixels=pixels, colour=colour, inverted=inverted)

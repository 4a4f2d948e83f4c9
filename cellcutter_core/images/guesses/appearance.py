"""Judges how a picture was made by its colours and brightness, and makes cells bright in it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from cellcutter_core.images.guesses.brightness import dark_on_bright, turned_over
from cellcutter_core.images.guesses.stains import STAIN_CHANNELS, is_stained, with_stains
from cellcutter_core.images.guesses.unimaged_gaps import in_gaps
from cellcutter_core.images.reading.contents import Array, Contents, Unreadable, check_size


@dataclass(frozen=True, eq=False)
class Appearance:
    """How a picture is interpreted; the same holds for every part of it.

    Attributes
    ----------
    inverted : bool
        A viewer shows cells dark on a bright background.
    stained : bool
        It shows a stained section.
    kept : tuple of int or None
        The channels of the file that are used; None for all.
    brightest : (C,) array or None
        The numbers from which channels are inverted, see `turned_over`; None if they are not.
    nothing : tuple of float or None
        The number in gaps where nothing was imaged: for each channel, see `in_gaps`, or for the
        brightest of the three colours of a stained section.
    nan_as : tuple of float or None
        See `Contents.nan_as`, for all channels of the file.
    """

    inverted: bool = False
    stained: bool = False
    kept: tuple[int, ...] | None = None
    brightest: Array | None = None
    nothing: tuple[float | None, ...] = ()
    nan_as: tuple[float | None, ...] = ()

    def of(self, pixels: Array) -> Array:
        """Make channels in which cells are bright from the channels of the file."""
        if pixels.dtype == np.bool_:
            pixels = pixels.astype(np.uint8)
        if self.stained:
            return with_stains(pixels, nothing=self.nothing)
        if self.kept is not None:
            pixels = pixels[..., list(self.kept)]
        if self.brightest is None:
            return pixels
        return turned_over(pixels, brightest=self.brightest, nothing=self.nothing)

    def keep(self, kept: tuple[int, ...]) -> Appearance:
        """The same with only these channels. Must not be called twice."""
        if self.brightest is None:
            return dataclasses.replace(self, kept=kept)
        nothing = tuple(self.nothing[index] for index in kept)
        brightest = self.brightest[list(kept)]
        return dataclasses.replace(self, kept=kept, brightest=brightest, nothing=nothing)


def interpret(
    contents: Contents, *, inverted: bool | None, stained: bool | None, max_bytes: int
) -> tuple[Contents, Appearance]:
    """Make cells bright.

    1. Colour with three equal channels becomes gray, because many programs save gray so.
    2. A stained section gets the channels of `cellcutter_core.images.guesses.stains`.
    3. A picture of dark cells on a bright background is inverted. Only gray and colour pictures are
       judged; separate channels in a file are not.

    Parameters
    ----------
    contents : Contents
    inverted : bool or None
        Whether a viewer shows cells dark on a bright background; None to judge by the pixels.
    stained : bool or None
        Whether it shows a stained section; None to judge by the pixels.
    max_bytes : int
        As for the reader. A stained section gets more channels than the file has.

    Raises
    ------
    Unreadable
        If `stained` is True and the image has no colours in 8 or 16 bits, or if the channels of the
        stains need more than `max_bytes`.
    """
    pixels = contents.pixels
    unnamed = contents.channels is None
    colour = contents.colour or (unnamed and pixels.shape[2] == 3 and pixels.dtype == np.uint8)
    if stained and not (colour and pixels.dtype in (np.uint8, np.uint16)):
        raise Unreadable(
            f"has {pixels.shape[2]} channel(s) of {pixels.dtype}, but stains are separated in red, "
            "green and blue of 8 or 16 bits; leave stained out"
        )
    kept = None
    if (
        colour
        and not stained
        and all(np.array_equal(pixels[..., 0], pixels[..., other]) for other in (1, 2))
    ):
        kept, colour, pixels = (0,), False, pixels[..., :1]
    if stained is None:
        stained = colour and inverted is not False and is_stained(pixels)
    if stained:
        check_size(pixels.nbytes // 3 * len(STAIN_CHANNELS), max_bytes)
        nothing = in_gaps(pixels.max(axis=2, keepdims=True))
        seen = Appearance(inverted=True, stained=True, nothing=nothing)
        contents = dataclasses.replace(
            contents, pixels=seen.of(pixels), channels=STAIN_CHANNELS, colour=False
        )
        return contents, seen
    if inverted is None:
        inverted = (colour or pixels.shape[2] == 1) and dark_on_bright(
            pixels, white_is_zero=contents.white_is_zero
        )
    seen = Appearance(inverted=inverted, kept=kept, nan_as=contents.nan_as)
    if inverted != contents.white_is_zero:
        brightest, nothing = pixels.max(axis=(0, 1)), in_gaps(pixels)
        seen = dataclasses.replace(seen, brightest=brightest, nothing=nothing)
    return dataclasses.replace(contents, pixels=seen.of(contents.pixels), colour=colour), seen

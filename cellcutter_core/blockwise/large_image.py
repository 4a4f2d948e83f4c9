"""An image of which one region is held at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from cellcutter_core.gaps import filled_gaps
from cellcutter_core.images import Image, NothingToSee
from cellcutter_core.reading.brightness import turned_over
from cellcutter_core.regions import Box, cut_out

SAMPLED = 2048
"""Longest side in pixels of what is looked at of all of the image."""


class LargeImage:
    """An image whose regions are read when they are asked for.

    Parameters
    ----------
    sample : Image
        Every so many rows and columns of it, see `Image.full_shape`.
    read : callable
        Box → the image there, with the channels and roles of the sample. May raise `NothingToSee`.

    Attributes
    ----------
    sample : Image
    shape : (int, int)
        Rows and columns of all of it.
    """

    def __init__(self, sample: Image, read: Callable[[Box], Image]) -> None:
        self.sample, self._read = sample, read
        self.shape = sample.full_shape or sample.shape

    @classmethod
    def held(cls, image: Image) -> LargeImage:
        """One that is in memory already."""
        every = -(-max(image.shape) // SAMPLED)
        bare = Image(
            image.pixels[::every, ::every],
            image.channels,
            cell=image.cell,
            nucleus=image.nucleus,
            pixel_size=image.pixel_size,
            full_shape=image.shape,
            inverted=image.inverted,
            name=image.name,
        )
        return cls(bare, lambda box: cut_out(image, box))

    @classmethod
    def stored(cls, read: Callable[..., Image]) -> LargeImage:
        """One in a file.

        Parameters
        ----------
        read : callable
            `read_image` of the file, with all that is chosen of it: takes the arguments `region`,
            `reduced_to`, `inverted`, `stained`, `cell` and `nucleus` of that, and no other.

        Raises
        ------
        ValueError
            What `read_image` raises.
        """
        sample = read(reduced_to=SAMPLED)
        turn = sample.inverted and not sample.stained
        as_seen = {"inverted": sample.inverted and not turn, "stained": sample.stained}
        # How far a pixel is below the brightest has to be the same in every region.
        brightest = None
        if turn:
            brightest = read(reduced_to=SAMPLED, **as_seen).pixels.max(axis=(0, 1))

        def region(box: Box) -> Image:
            image = read(region=box, **sample.roles, **as_seen)
            if brightest is None:
                return image
            pixels = turned_over(image.pixels, brightest=brightest)
            return dataclasses.replace(image, pixels=pixels, inverted=True)

        return cls(sample, region)

    def read(self, box: Box) -> Image | None:
        """What lies in a box; None where a channel in use is constant there, as on empty glass.

        Where nothing was imaged there is background, that of the whole image.

        Raises
        ------
        ValueError
            What `read_image` raises of a damaged file.
        """
        try:
            image = self._read(box)
        except NothingToSee:
            return None
        channels = range(len(image.channels))
        filled = [
            filled_gaps(image.pixels[..., c], like=self.sample.pixels[..., c]) for c in channels
        ]
        return dataclasses.replace(image, pixels=np.stack(filled, axis=-1))

"""A large image, of which one region at a time is in memory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.blocks import pixels_of
from cellcutter_core.images.guesses.gaps import Background
from cellcutter_core.images.image import Image, read_pixels
from cellcutter_core.images.parts import Plane, Region
from cellcutter_core.images.scaling import Normalisation

SAMPLED = 2048
"""Longest side of the reduced image in pixels."""


class LargeImage:
    """An image whose regions are read on demand.

    Parameters
    ----------
    sample : Image
        The image at a reduced size, see `Image.full_shape`.
    read : callable
        Takes a box and returns the (h, w, C) pixels in it, with the channels of the sample.

    Attributes
    ----------
    sample : Image
    shape : (int, int)
        Rows and columns of the whole image.
    pixels : callable
        The given `read`.
    normalisation : Normalisation
        That of the whole image, fitted on the sample, for all channels.
    """

    def __init__(self, sample: Image, read: Callable[[Region], NDArray[Any]]) -> None:
        self.sample, self.pixels = sample, read
        self.shape = sample.full_shape or sample.shape
        self.normalisation = Normalisation(sample.pixels)
        self._backgrounds = [Background(channel) for channel in np.moveaxis(sample.pixels, -1, 0)]

    @classmethod
    def held(cls, image: Image) -> LargeImage:
        """Make a `LargeImage` of an image in memory."""
        every = -(-max(image.shape) // SAMPLED)
        bare = Image(
            image.pixels[::every, ::every],
            image.channels,
            cell=image.cell,
            nucleus=image.nucleus,
            pixel_size=image.pixel_size,
            size_notes=image.size_notes,
            full_shape=image.shape,
            origin=image.origin,
            whole_shape=image.whole_shape,
            appearances=image.appearances,
            name=image.name,
        )
        return cls(bare, lambda box: image.pixels[pixels_of(box)])

    @classmethod
    def stored(
        cls,
        sample: Image,
        files: Sequence[str | os.PathLike[str]],
        *,
        z: Plane = None,
        t: Plane = None,
        scene: Plane = None,
    ) -> LargeImage:
        """Make a `LargeImage` of a file, or of the files of its channels.

        Parameters
        ----------
        sample : Image
            The image that was read from them with `reduced_to`.
        files : sequence of paths
            In the order in which they were read.
        z, t, scene : optional
            The values with which they were read.
        """

        def read(box: Region) -> NDArray[Any]:
            parts = [
                read_pixels(file, seen, region=box, z=z, t=t, scene=scene)
                for file, seen in zip(files, sample.appearances, strict=True)
            ]
            return np.concatenate(parts, axis=2)

        return cls(sample, read)

    def read(self, box: Region) -> Image:
        """Read a box as an image. Its channels may be constant, for example on empty glass.

        Parts that were not imaged are filled with the background of the whole image.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        sample, pixels = self.sample, self.pixels(box)
        channels = (pixels[..., index] for index in range(len(sample.channels)))
        filled = [
            background.filled(channel, background.in_part(channel))
            for background, channel in zip(self._backgrounds, channels, strict=True)
        ]
        return dataclasses.replace(
            sample,
            pixels=np.stack(filled, axis=-1),
            full_shape=None,
            origin=(sample.origin[0] + box[0], sample.origin[1] + box[1]),
            whole_shape=sample.whole_shape or self.shape,
        )

"""An image of which one region is held at a time."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.guesses.gaps import Background
from cellcutter_core.images.image import Image, read_pixels
from cellcutter_core.images.parts import Plane, Region
from cellcutter_core.large.blocks import pixels_of

SAMPLED = 2048
"""Longest side in pixels of what is looked at of all of the image."""


class LargeImage:
    """An image whose regions are read when they are asked for.

    Parameters
    ----------
    sample : Image
        Every so many rows and columns of it, see `Image.full_shape`.
    read : callable
        Box → (h, w, C) array, the pixels there of the channels of the sample.

    Attributes
    ----------
    sample : Image
    shape : (int, int)
        Rows and columns of all of it.
    pixels : callable
        As `read` was given.
    """

    def __init__(self, sample: Image, read: Callable[[Region], NDArray[Any]]) -> None:
        self.sample, self.pixels = sample, read
        self.shape = sample.full_shape or sample.shape
        self._backgrounds = [Background(channel) for channel in np.moveaxis(sample.pixels, -1, 0)]

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
        """One in a file, or in those of its channels.

        Parameters
        ----------
        sample : Image
            What was read of them with `reduced_to`.
        files : sequence of paths
            In the order in which they were read.
        z, t, scene : optional
            As they were read.
        """

        def read(box: Region) -> NDArray[Any]:
            parts = [
                read_pixels(file, seen, region=box, z=z, t=t, scene=scene)
                for file, seen in zip(files, sample.appearances, strict=True)
            ]
            return np.concatenate(parts, axis=2)

        return cls(sample, read)

    def read(self, box: Region) -> Image:
        """What lies in a box, where channels may be constant, as on empty glass.

        Where nothing was imaged there is background, that of the whole image.

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

"""A large image, of which one region at a time is in memory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.files import atomic
from cellcutter_core.images.blocks import pixels_of
from cellcutter_core.images.formats.zarr_recognition import is_address
from cellcutter_core.images.guesses.appearance import Appearance
from cellcutter_core.images.guesses.unimaged_gaps import Background
from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_pixels
from cellcutter_core.images.reading.parts import Plane, Region
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
        # In this order, so that sums over it are the same to the bit in every process.
        plain = np.ascontiguousarray(sample.pixels)
        self.sample, self.pixels = dataclasses.replace(sample, pixels=plain), read
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
        return cls(bare, _Held(image.pixels))

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

        return cls(sample, _Stored(tuple(files), sample.appearances, z, t, scene))

    def shared(self, file: Path) -> LargeImage:
        """Return the same image in a form that can be pickled for other processes.

        Parameters
        ----------
        file : Path
            Pixels that are held in memory are written to it as .npy; all processes must see it.

        Raises
        ------
        ValueError
            If it cannot be written.
        """
        read = self.pixels
        if isinstance(read, _Held):
            with atomic(file) as temporary:
                np.save(temporary, read.pixels)
            read = _Saved(file.absolute())
        elif isinstance(read, _Stored):
            read = read.absolute()
        return LargeImage(self.sample, read)

    @property
    def bytes_to_share(self) -> int:
        """Bytes that `shared` writes for each pixel."""
        return self.sample.pixels[0, 0].nbytes if isinstance(self.pixels, _Held) else 0

    def __reduce__(self) -> tuple[Any, ...]:
        return LargeImage, (self.sample, self.pixels)

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


@dataclass(frozen=True, eq=False)
class _Held:
    """Reads boxes of what is in memory."""

    pixels: NDArray[Any]

    def __call__(self, box: Region) -> NDArray[Any]:
        return self.pixels[pixels_of(box)]


@dataclass(frozen=True)
class _Saved:
    """Reads boxes of an .npy file."""

    file: Path

    def __call__(self, box: Region) -> NDArray[Any]:
        return np.array(np.load(self.file, mmap_mode="r", allow_pickle=False)[pixels_of(box)])


@dataclass(frozen=True)
class _Stored:
    """Reads boxes of an image's own files, see `LargeImage.stored`."""

    files: tuple[str | os.PathLike[str], ...]
    appearances: tuple[Appearance, ...]
    z: Plane
    t: Plane
    scene: Plane

    def __call__(self, box: Region) -> NDArray[Any]:
        parts = [
            read_pixels(file, seen, region=box, z=self.z, t=self.t, scene=self.scene)
            for file, seen in zip(self.files, self.appearances, strict=True)
        ]
        return np.concatenate(parts, axis=2)

    def absolute(self) -> _Stored:
        """The same for a process that works in another folder."""
        files = tuple(file if is_address(file) else Path(file).absolute() for file in self.files)
        return dataclasses.replace(self, files=files)

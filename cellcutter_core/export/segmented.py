"""An image and its cells, with everything that `IMAGE_FORMATS` need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.export.formats.table import cell_table
from cellcutter_core.images.pixel_size import PixelSize
from cellcutter_core.view.coloring import marker_colors
from cellcutter_core.view.render import composite

if TYPE_CHECKING:
    from cellcutter_core.training.inputs import Inputs
    from cellcutter_core.training.predicted_labels import Prediction


class Segmented:
    """An image with the cells that a network found. Each part is computed once, on first access.

    A subclass sets the attributes, and sets or computes the first six parts.

    Attributes
    ----------
    image_name : str
        The name of the image.
    origin : (int, int)
        (row, col) of the first pixel in the whole image, if this is a region of it.
    whole_shape : (int, int) or None
        (rows, columns) of the whole image, if this is a region of it and they are known.
    region : (int, int)
        (row, col) of the first pixel of the region that was worked on, in the whole image.
    """

    image_name: str
    origin: tuple[int, int]
    whole_shape: tuple[int, int] | None
    region: tuple[int, int]

    @cached_property
    def drawing(self) -> Prediction:
        """The prediction of the network: labels and borders."""
        raise NotImplementedError

    @cached_property
    def inputs(self) -> Inputs:
        """What the network got, with mask and markers."""
        raise NotImplementedError

    @cached_property
    def unseen(self) -> Mapping[str, npt.NDArray[Any]]:
        """Channels that the network did not get: name → (H, W) array."""
        raise NotImplementedError

    @cached_property
    def channels(self) -> Sequence[str]:
        """The names of the channels that the network got."""
        raise NotImplementedError

    @cached_property
    def pixel_size(self) -> PixelSize | None:
        """Micrometres per pixel, if known, see `Image`."""
        raise NotImplementedError

    @cached_property
    def nucleus(self) -> int | None:
        """Index of the channel that shows nuclei, if the network got one."""
        raise NotImplementedError

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """(H, W) label image of the cells."""
        return self.drawing.labels

    @cached_property
    def colors(self) -> npt.NDArray[np.int64]:
        """(N,) colour of each cell, see `marker_colors`."""
        return marker_colors(self.inputs.points)

    @cached_property
    def all_channels(self) -> tuple[list[str], npt.NDArray[Any]]:
        """Names and (H, W, C) pixels of all channels: first those that the network got."""
        pixels = self.inputs.image
        unseen = {name: c for name, c in self.unseen.items() if name not in self.channels}
        planes = [pixels, *(channel[..., None] for channel in unseen.values())]
        return [*self.channels, *unseen], np.concatenate(planes, axis=-1)

    @cached_property
    def picture(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) picture of the image with cells in grey."""
        pixels = self.inputs.image
        cell = tuple(index for index in range(pixels.shape[-1]) if index != self.nucleus)
        return composite(pixels, cell=cell, nucleus=self.nucleus)

    @cached_property
    def table(self) -> dict[str, npt.NDArray[Any]]:
        """The measurements of the cells, see `cell_table`."""
        names, pixels = self.all_channels
        return cell_table(
            self.labels,
            pixels,
            channels=names,
            pixel_size=self.pixel_size,
            origin=self.origin,
            region=self.region,
        )

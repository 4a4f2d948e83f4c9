"""An image with the cells that the network of another image's run found in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import Config
from cellcutter_core.export import Segmented
from cellcutter_core.images.image import Image
from cellcutter_core.images.pixel_size import PixelSize
from cellcutter_core.label_image import along_border
from cellcutter_core.training.image_inputs import seen_names, unseen_channels
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction


class Applied(Segmented):
    """Another image with the cells that the network of a run found in it.

    Attributes
    ----------
    image : Image
    config : Config
        The settings of the run.
    """

    def __init__(
        self,
        image: Image,
        config: Config,
        inputs: Inputs,
        drawing: Prediction,
    ) -> None:
        self.image, self.config = image, config
        self._inputs, self._drawing = inputs, drawing

    @property
    def origin(self) -> tuple[int, int]:
        """(row, col) of the first pixel in the whole image."""
        return self.image.origin

    @property
    def whole_shape(self) -> tuple[int, int] | None:
        """(rows, columns) of the whole image, if this is a region of it and they are known."""
        return self.image.whole_shape

    @property
    def drawing(self) -> Prediction:
        """The prediction: labels, borders and probability."""
        return self._drawing

    @property
    def inputs(self) -> Inputs:
        """What the network saw, with the mask and the markers found on this image."""
        return self._inputs

    @cached_property
    def unseen(self) -> Mapping[str, NDArray[Any]]:
        """The channels that the network did not see: name → (H, W) array."""
        return unseen_channels(self.image, self.config)

    @property
    def channels(self) -> list[str]:
        """The names of the channels that the network saw."""
        return seen_names(self.image, self.config)

    @property
    def with_nucleus(self) -> bool:
        """Whether the last of several channels that the network saw shows nuclei."""
        return self.config.crops.with_nucleus

    @property
    def pixel_size(self) -> PixelSize | None:
        """Micrometres per pixel, if the image's file gives it."""
        return self.image.pixel_size

    @property
    def remarks(self) -> list[str]:
        """What to know of its channels and its pixel size, see `Image`."""
        return [*self.image.remarks, *self.image.size_notes]

    @property
    def image_name(self) -> str:
        """The name of the image."""
        return self.image.name

    @property
    def areas(self) -> NDArray[np.int64]:
        """(N,) areas of the cells in pixels."""
        areas = np.bincount(self.labels.ravel())[1:]
        return areas[areas > 0]

    @property
    def n_at_border(self) -> int:
        """Number of cells that the border of the image may cut off."""
        edge = along_border(self.labels)
        return len(np.unique(edge[edge > 0]))

    @property
    def mask_fraction(self) -> float:
        """Share of the image that the mask covers."""
        return float(self.inputs.mask.mean())

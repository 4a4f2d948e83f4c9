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
from cellcutter_core.label_image import along_border
from cellcutter_core.training.image_inputs import seen_names, seen_nucleus, unseen_channels
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
        self.image, self.config, self.inputs, self.drawing = image, config, inputs, drawing
        self.channels = seen_names(image, config)
        self.nucleus = seen_nucleus(image, config)
        self.pixel_size, self.image_name = image.pixel_size, image.name
        self.origin = self.region = image.origin
        self.whole_shape = image.whole_shape

    @cached_property
    def unseen(self) -> Mapping[str, NDArray[Any]]:
        """The channels that the network did not see: name → (H, W) array."""
        return unseen_channels(self.image, self.config)

    @property
    def remarks(self) -> list[str]:
        """What to know of its channels and its pixel size, see `Image`."""
        return [*self.image.remarks, *self.image.size_notes]

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

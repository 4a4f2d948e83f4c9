"""Other images that a run is also trained on, each with its own mask and markers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.arguments import naming
from cellcutter_core.config import Config
from cellcutter_core.images.file_sets.alike import Where, read_alike
from cellcutter_core.images.file_sets.channel_names import ChannelNames
from cellcutter_core.images.file_sets.given_files import of_scene
from cellcutter_core.images.image import Image
from cellcutter_core.images.pixel_size import height_and_width, of_sides
from cellcutter_core.images.reading.readers import n_images
from cellcutter_core.pipeline import prepare
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.image_inputs import check_seen
from cellcutter_core.training.inputs import Inputs


@dataclass(frozen=True, eq=False)
class Other:
    """Another image that a run trains on.

    Attributes
    ----------
    image : Image
        The image, with the roles of its channels.
    seen : tuple of int
        Indices of the channels that the network sees.
    inputs : Inputs
        What the network is trained on.
    """

    image: Image
    seen: tuple[int, ...]
    inputs: Inputs

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays for a file, without the truth."""
        image, inputs = self.image, self.inputs.arrays()
        del inputs["image"]  # These channels are among the pixels of the image.
        return {
            "name": np.array(image.name),
            "pixels": image.pixels,
            "channels": np.array(image.channels),
            "cell": np.array(image.cell),
            "nucleus": np.array(-1 if image.nucleus is None else image.nucleus),
            "pixel_size": np.array(
                np.nan if image.pixel_size is None else height_and_width(image.pixel_size)
            ),
            "seen": np.array(self.seen),
            **inputs,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Other:
        """Make an `Other` from the result of `arrays`."""
        nucleus = int(arrays["nucleus"])
        # In early versions it was a single number.
        height, width = np.broadcast_to(arrays["pixel_size"], 2).tolist()
        image = Image(
            arrays["pixels"],
            tuple(arrays["channels"].tolist()),
            cell=tuple(arrays["cell"].tolist()),
            nucleus=None if nucleus < 0 else nucleus,
            pixel_size=of_sides(height, width),
            name=str(arrays["name"]),
        )
        seen = tuple(arrays["seen"].tolist())
        return cls(image, seen, Inputs.from_arrays({**arrays, "image": image.pixels[..., seen]}))


def read_other(
    where: Where,
    roles: Mapping[str, Any],
    *,
    channels: ChannelNames | None = None,
    **how: Any,
) -> Image:
    """Read another image. Its channels get the roles that the same names have in the first image.

    Parameters
    ----------
    where : path, address, or sequence of paths
        A file or address that `read_image` takes, or the files of the image's channels.
    roles : mapping
        `Image.roles` of the run's own image.
    channels : ChannelNames, optional
        How file names give the channels, if the run's own image was in several files.
    how
        As for `read_image`; None counts as not given. A role that is given here takes precedence.

    Returns
    -------
    Image
        An image that is one of several in a file is named by `of_scene`, an image in several files
        by `ChannelNames.name_of`.

    Raises
    ------
    ValueError
        As `read_alike`; the message begins with the name of the image.
    """
    image, scene = read_alike(where, roles, channels, **how), how.get("scene")
    if not isinstance(where, str | os.PathLike):
        named = image.name if channels is None else channels.name_of(where)
        return dataclasses.replace(image, name=named)
    if scene is not None and n_images(Path(where)) > 1:
        return dataclasses.replace(image, name=of_scene(Path(image.name), scene).name)
    return image


def find_others(images: Iterable[Image], config: Config, *, n_channels: int) -> list[Other]:
    """Find mask and markers of other images to train on, for each image separately.

    Parameters
    ----------
    images : iterable of Image
        The images, with the roles of their channels.
    config : Config
        The settings of the run.
    n_channels : int
        How many channels the network sees of the run's own image.

    Raises
    ------
    ValueError
        As `prepare` and `make_dataset`, and if the network would see another number of channels.
        The message begins with the name of the image.
    """
    found = []
    for image in images:
        with naming(image.name):
            seen = check_seen(image, config, n_channels=n_channels)
            inputs, _ = prepare(image, config)
            make_dataset(inputs, config)
            found.append(Other(image, seen, inputs))
    return found


def prepare_other(
    where: Where,
    roles: Mapping[str, Any],
    channels: ChannelNames | None,
    config: Config,
    n_channels: int,
    how: Mapping[str, Any],
) -> Other:
    """Read another image to train on, and find its mask and markers.

    Parameters
    ----------
    where, roles, channels, how
        As for `read_other`.
    config, n_channels
        As for `find_others`.

    Raises
    ------
    ValueError
        As `read_other` and `find_others`; the message begins with the name of the image.
    """
    image = read_other(where, roles, channels=channels, **how)
    (found,) = find_others([image], config, n_channels=n_channels)
    return found

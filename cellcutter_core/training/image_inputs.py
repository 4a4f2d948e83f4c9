"""What a training gets of an image: seen channels, mask and markers; and, apart, the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import Config
from cellcutter_core.images.image import Image
from cellcutter_core.markers.finding import Nuclei, cores, is_covered
from cellcutter_core.training.inputs import Inputs, Truth, check_mask


def inputs_of(
    image: Image, config: Config, nuclei: Nuclei, mask: NDArray[np.bool_], *, final: bool = False
) -> Inputs:
    """Return what is trained on: the channels that the network sees, the mask and the markers.

    Parameters
    ----------
    image : Image
    config : Config
    nuclei : Nuclei
    mask : (H, W) bool
    final : bool
        See `Inputs`.

    Raises
    ------
    ValueError
        As `check_mask`.
    """
    check_mask(mask, config)
    points = nuclei.points.astype(np.float64)
    channels = seen_channels(image, config)
    regions = certain_regions(image, config, nuclei.regions)
    return Inputs(image.pixels[..., channels], mask, points, regions, final)


def check_cell_size(config: Config) -> None:
    """Refuse to train with cells as large as a crop.

    It is not a bound of the settings, because runs that were trained like this are still opened
    and applied.

    Raises
    ------
    ValueError
    """
    crops = config.crops
    if crops.cell_size is not None and crops.cell_size >= crops.size:
        raise ValueError(
            f"crops.cell_size is {crops.cell_size:g}, but a crop has {crops.size} pixels, so cells "
            "would be cut off; raise crops.size or lower crops.cell_size"
        )


def certain_regions(image: Image, config: Config, regions: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the pixels that certainly belong to each cell: the region of its marker.

    If the nuclei themselves are segmented, the markers fill the mask. Then only the inner part of
    each is taken, so that the taught network decides on the borders between touching nuclei.
    """
    if config.network.start == "simulated" and is_covered(image, config):
        return cores(regions)
    return regions


def seen_channels(image: Image, config: Config) -> list[int]:
    """Return the indices of the channels that the network sees: cell channels, then nucleus."""
    channels = list(image.cell)
    if config.crops.with_nucleus and image.nucleus is not None and image.nucleus not in channels:
        channels.append(image.nucleus)
    return channels


def seen_nucleus(image: Image, config: Config) -> int | None:
    """Return the position of the nucleus channel among `seen_channels`; None if it is not there."""
    n_seen = len(seen_channels(image, config))
    return n_seen - 1 if n_seen > len(image.cell) else None


def check_seen(image: Image, config: Config, *, n_channels: int) -> tuple[int, ...]:
    """Return the indices of the channels that the network sees of another image.

    Parameters
    ----------
    image : Image
        The other image, with the roles of its channels.
    config : Config
    n_channels : int
        How many channels the network sees of the first image.

    Raises
    ------
    ValueError
        If their number differs from that of the first image and the network started from nothing.
        The taught network takes any number, because it sees their mean.
    """
    seen = tuple(seen_channels(image, config))
    if len(seen) != n_channels and config.network.start == "nothing":
        raise ValueError(
            f"the network would see {len(seen)} of its channels but {n_channels} of the first "
            f"image; choose {n_channels} for cells and nuclei, out of {', '.join(image.channels)}"
        )
    return seen


def seen_names(image: Image, config: Config) -> list[str]:
    """Return the names of the channels that the network sees, in the order of `seen_channels`."""
    return [image.channels[index] for index in seen_channels(image, config)]


def unseen_channels(image: Image, config: Config) -> dict[str, NDArray[Any]]:
    """Return the channels that the network does not see: name → (H, W) array."""
    seen = seen_channels(image, config)
    return {
        name: image.pixels[..., index]
        for index, name in enumerate(image.channels)
        if index not in seen
    }


def truth_of(image: Image) -> Truth | None:
    """Return the truth of an image, or None if it is not known."""
    validation = image.validation
    if image.truth is None and validation is None:
        return None
    if validation is None:
        return Truth(image.truth, image.ignore)
    assert image.markers is not None
    return Truth(
        image.truth,
        image.ignore,
        crop_points=validation.corners.astype(np.float64) + validation.crop_size / 2,
        crop_corners=validation.corners,
        crop_cells=validation.crops,
    )

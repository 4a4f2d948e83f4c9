"""The inputs of a training and, kept separate from them, the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import Config
from cellcutter_core.images.scaling import Normalisation
from cellcutter_core.label_image import new_numbers
from cellcutter_core.shortest_paths.cost_map import CostMap
from cellcutter_core.shortest_paths.path_labels import PathLabels
from cellcutter_core.shortest_paths.watershed import seed_labels, watershed_labels


class _Arrays:
    """A dataclass of arrays that can be written to a file of arrays and read back."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fields by name, without those that are None."""
        named = ((f.name, getattr(self, f.name)) for f in fields(self))  # type: ignore[arg-type]
        return {name: np.asarray(value) for name, value in named if value is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make an object from the result of `arrays`."""
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        plain = {name: value if value.ndim else value.item() for name, value in arrays.items()}
        return cls(**{name: value for name, value in plain.items() if name in known})


@dataclass(frozen=True, eq=False)
class Inputs(_Arrays):
    """What the network is trained on. It contains no truth.

    Attributes
    ----------
    image : (H, W, C) array
        The channels that the network sees, with the intensities of the file.
    mask : (H, W) bool
        True where there are cells.
    points : (N, 2) float
        (row, col) of each cell's marker.
    nuclei : (H, W) int32 or None
        Region of each nucleus, labelled 1..N in the order of the points.
    final : bool
        Whether no marker may be dropped: the user gave them, or they have been checked already.
    normalisation : Normalisation or None
        That of the whole image, if this is a part of it, so that all parts are treated alike.
    whole_cell_diameter : float or None
        The `cell_diameter` of the whole image, if this is a part of it.
    """

    image: NDArray[Any]
    mask: NDArray[np.bool_]
    points: NDArray[np.float64]
    nuclei: NDArray[np.int32] | None = None
    final: bool = False
    normalisation: Normalisation | None = None
    whole_cell_diameter: float | None = None

    def only(self, kept: NDArray[np.bool_]) -> Self:
        """Keep some of the markers and renumber them; the result is final.

        Parameters
        ----------
        kept : (N,) bool
        """
        regions = None if self.nuclei is None else new_numbers(kept)[self.nuclei]
        return replace(self, points=self.points[kept], nuclei=regions, final=True)

    @property
    def cell_diameter(self) -> float:
        """Diameter in pixels of a disc with the mean area of a cell."""
        if self.whole_cell_diameter is not None:
            return self.whole_cell_diameter
        return float(2 * np.sqrt(self.mask.sum() / (np.pi * len(self.points))))

    @cached_property
    def cost_map(self) -> CostMap:
        """The cost map: where borders between cells are likely."""
        return CostMap.of(
            self.image,
            self.mask,
            cell_diameter=self.cell_diameter,
            normalisation=self.normalisation,
        )

    @cached_property
    def path_labels(self) -> PathLabels:
        """The path labels: each pixel's cell by the cheapest path to a marker, with log-odds."""
        seeds = seed_labels(self.nuclei, self.points, self.mask.shape)
        return PathLabels.of(seeds, self.mask, self.cost_map)


@dataclass(frozen=True, eq=False)
class Truth(_Arrays):
    """The truth of an image, used only for scores.

    Attributes
    ----------
    labels : (H, W) int32 or None
        True cells.
    ignore : (H, W) bool or None
        True on pixels that are left out of scores.
    crop_points : (K, 2) float or None
        Centres of the validation crops.
    crop_corners : (K, 2) int or None
        First pixel of each validation crop.
    crop_cells : (K, S, S) bool or None
        The true cell in each validation crop.
    """

    labels: NDArray[np.int32] | None = None
    ignore: NDArray[np.bool_] | None = None
    crop_points: NDArray[np.float64] | None = None
    crop_corners: NDArray[np.int32] | None = None
    crop_cells: NDArray[np.bool_] | None = None


def baselines(inputs: Inputs) -> dict[str, NDArray[np.int32]]:
    """Compute the baselines: cells from mask and markers, without training.

    Returns
    -------
    dict of str to (H, W) int32
        Name in `BASELINES` → labels; cell k is that of point k - 1. Each pixel of the mask goes to
        the marker with the cheapest path through the image ("paths"), or to the nearest marker
        within the mask ("watershed").
    """
    return {
        "paths": inputs.path_labels.labels,
        "watershed": watershed_labels(inputs.nuclei, inputs.mask, points=inputs.points),
    }


def check_mask(mask: NDArray[np.bool_], config: Config) -> None:
    """Raise a ValueError if the mask is True everywhere or nowhere: nothing can be learnt then."""
    share = float(mask.mean())
    if share in (0.0, 1.0):
        raise ValueError(about_mask(config, empty=share == 0))


def about_mask(config: Config, *, empty: bool) -> str:
    """Say that the mask is True nowhere, or else everywhere, and what to do about it."""
    covers = f"the mask covers {'no' if empty else 'every'} pixel"
    if config.mask.automatic:
        return (
            f"{covers}; choose another cell channel or region, or switch the automatic mask off "
            "(mask.automatic) and set its prior"
        )
    return (
        f"{covers}; {'raise' if empty else 'lower'} mask.prior (now {config.mask.prior}), or "
        "choose the automatic mask"
    )

"""What is trained on, and what is known of the right answer, apart from each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.labels import new_numbers
from cellcutter_core.paths.cheapest_paths import Guidance, Territory
from cellcutter_core.paths.watershed import seed_labels


class _Arrays:
    """A dataclass of arrays that goes into a file of arrays and comes back."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its fields by name, without those that are None."""
        named = ((f.name, getattr(self, f.name)) for f in fields(self))  # type: ignore[arg-type]
        return {name: np.asarray(value) for name, value in named if value is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`."""
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        plain = {name: value if value.ndim else value.item() for name, value in arrays.items()}
        return cls(**{name: value for name, value in plain.items() if name in known})


@dataclass(frozen=True, eq=False)
class Inputs(_Arrays):
    """What is trained on: no truth in here.

    Attributes
    ----------
    image : (H, W, C) array
        The channels that the network sees, as they are in the file.
    mask : (H, W) bool
        True where there are cells.
    points : (N, 2) float
        (row, col) of each cell's marker.
    nuclei : (H, W) int32 or None
        Region of each nucleus, labelled 1..N in the order of the points.
    final : bool
        Whether all markers stay: a person chose them, or they were checked already.
    """

    image: NDArray[Any]
    mask: NDArray[np.bool_]
    points: NDArray[np.float64]
    nuclei: NDArray[np.int32] | None = None
    final: bool = False

    def only(self, kept: NDArray[np.bool_]) -> Self:
        """Without some of the markers, and those that stay numbered anew; these are final.

        Parameters
        ----------
        kept : (N,) bool
        """
        regions = None if self.nuclei is None else new_numbers(kept)[self.nuclei]
        return replace(self, points=self.points[kept], nuclei=regions, final=True)

    @property
    def like(self) -> NDArray[Any] | None:
        """(h, w, C) pixels of all of the image that this is a part of; None where it is whole."""
        return None

    @property
    def cell_diameter(self) -> float:
        """Diameter in pixels of a disc as large as a cell is on average."""
        return float(2 * np.sqrt(self.mask.sum() / (np.pi * len(self.points))))

    @cached_property
    def guidance(self) -> Guidance:
        """What the image says of where cells meet."""
        return Guidance.of(self.image, self.mask, cell_diameter=self.cell_diameter, like=self.like)

    @cached_property
    def territory(self) -> Territory:
        """Each pixel's cell by the cheapest path to a nucleus, and how sure that is."""
        seeds = seed_labels(self.nuclei, self.points, self.mask.shape)
        return Territory.of(seeds, self.mask, self.guidance)


@dataclass(frozen=True, eq=False)
class PartInputs(Inputs):
    """Those of a part of an image, with what holds for all of it, for parts to be treated alike.

    Attributes
    ----------
    of_all : (h, w, C) array
        Pixels of all of the image, evenly spread: what is dark and bright is judged by them.
    diameter_of_all : float
        The `cell_diameter` of all of it.
    """

    of_all: NDArray[Any] = field(kw_only=True)
    diameter_of_all: float = field(kw_only=True)

    @property
    def like(self) -> NDArray[Any]:
        """As `Inputs` says."""
        return self.of_all

    @property
    def cell_diameter(self) -> float:
        """As `Inputs` says."""
        return self.diameter_of_all


@dataclass(frozen=True, eq=False)
class Truth(_Arrays):
    """What is known of the right answer, for scores alone.

    Attributes
    ----------
    labels : (H, W) int32 or None
        True cells.
    ignore : (H, W) bool or None
        Pixels that are left out of scores.
    crop_points : (K, 2) float or None
        Centres of the validation crops.
    crop_corners : (K, 2) int or None
        First pixel of each.
    crop_cells : (K, S, S) bool or None
        The true cell in each.
    """

    labels: NDArray[np.int32] | None = None
    ignore: NDArray[np.bool_] | None = None
    crop_points: NDArray[np.float64] | None = None
    crop_corners: NDArray[np.int32] | None = None
    crop_cells: NDArray[np.bool_] | None = None

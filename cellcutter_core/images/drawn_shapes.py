"""Points and areas drawn on an image (ROIs of ImageJ or GeoJSON), and the pixels of areas.

Messages here lack the file's name, as in `cellcutter_core.images.contents`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.contents import Unreadable
from cellcutter_core.images.parts import Plane
from cellcutter_core.images.planes import Planes, Report, in_plane

Ring = NDArray[np.float64]
"""(n, 2) of (row, col), in coordinates of pixel edges: 0 is the edge above the first row and left
of the first column."""


@dataclass(frozen=True)
class Drawn:
    """The points and areas of a file.

    Attributes
    ----------
    points : (N, 2) int array
        (row, col) of their pixels.
    areas : list of (name, rings)
        A pixel is in an area if it is inside an odd number of its rings.
    of_points, of_areas : see `cellcutter_core.images.planes`
    ignored : a line for the user on what was left out of the file; usually empty
    """

    points: NDArray[np.int64]
    areas: list[tuple[str, list[Ring]]]
    of_points: Planes = ()
    of_areas: Planes = ()
    ignored: str = ""

    def in_plane(self, z: Plane, t: Plane, report: Report) -> Drawn:
        """Keep those in the plane that an image shows, see
        `cellcutter_core.images.planes.in_plane`.
        """
        if self.ignored:
            report(self.ignored)
        points = in_plane(self.of_points, len(self.points), z=z, t=t, what="points", report=report)
        areas = in_plane(self.of_areas, len(self.areas), z=z, t=t, what="areas", report=report)
        kept = [area for area, keep in zip(self.areas, areas, strict=True) if keep]
        return Drawn(self.points[points], kept)


def is_drawn(file: Path) -> bool:
    """Whether a file holds ROIs of ImageJ or GeoJSON."""
    from cellcutter_core.images.formats.geojson import is_geojson
    from cellcutter_core.images.formats.rois import is_rois

    return is_rois(file) or is_geojson(file)


def read_drawn(file: Path, *, nuclei: bool = False) -> Drawn:
    """The points and areas of a file for which `is_drawn` holds.

    Parameters
    ----------
    file : Path
    nuclei : bool
        For a QuPath cell that has a nucleus, take the nucleus.

    Raises
    ------
    Unreadable
        If it is damaged, too large, or holds something other than points and areas.
    """
    from cellcutter_core.images.formats.geojson import is_geojson, read_geojson
    from cellcutter_core.images.formats.rois import read_rois

    return read_geojson(file, nuclei=nuclei) if is_geojson(file) else read_rois(file)


def area_labels(
    areas: Sequence[tuple[str, Sequence[Ring]]],
    shape: tuple[int, int],
    origin: tuple[int, int] | None = None,
) -> NDArray[np.int32]:
    """Draw areas as a label image; where they overlap, the first wins.

    Parameters
    ----------
    areas : as in `Drawn`
    shape : (int, int)
    origin : (int, int), optional
        (row, col) of the first pixel, if the image is a region of the one that was drawn on. Areas
        outside of the region are left out, perhaps all of them.

    Returns
    -------
    (H, W) int32
        0 for background, 1..N for areas.

    Raises
    ------
    Unreadable
        If an area has no pixel of its own and no `origin` is given.
    """
    from skimage.draw import polygon

    regions = np.zeros(shape, np.int32)
    number = 0
    for name, rings in areas:
        # `polygon` has pixel centres at whole numbers.
        first = np.array(origin or (0, 0)) + 0.5
        filled = [polygon(*(ring - first).T, shape) for ring in rings]
        flat = [np.ravel_multi_index(pixels, shape) for pixels in filled]
        pixels, times = np.unique(np.concatenate(flat), return_counts=True)
        free = pixels[(times % 2 == 1) & (regions.flat[pixels] == 0)]
        if not len(free) and origin is not None:
            continue
        if not len(free):
            raise Unreadable(
                f"ROI {name} has no pixel of its own in the image of {shape[0]} × {shape[1]}; "
                "leave it out, or give ROIs of exactly this image"
            )
        number += 1
        regions.flat[free] = number
    return regions

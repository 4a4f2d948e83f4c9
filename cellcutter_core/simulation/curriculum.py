"""Lessons for the network: images of simulated cells, markers as detection finds them, the truth.

Every property is drawn at random. No real image and no hand-drawn label is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.label_image import distance_inside
from cellcutter_core.simulation.optics import micrograph
from cellcutter_core.simulation.shapes import Floats, Labels, smooth_noise
from cellcutter_core.simulation.stains import Stain, light_of, seen_through
from cellcutter_core.simulation.tissue import Growth, Tissue, grow_tissue

VERSION = 1
"""Raised whenever the same seed gives another lesson."""

# What is stained, and how often. About an eighth of all images (None) is made like the sample.
_STAINS: dict[Stain | None, float] = {
    "cytoplasm": 0.22,
    "cortex": 0.28,
    "membrane": 0.18,
    "nuclei": 0.15,
    "phase": 0.05,
    None: 0.12,
}


@dataclass(frozen=True, eq=False)
class Lesson:
    """An image with markers, and the right answer.

    Attributes
    ----------
    image : (H, W) float32
        Intensities.
    mask : (H, W) bool
        True where there are cells, with errors like those of a graph cut.
    points : (N, 2) float
        (row, col) of each marker.
    markers : (H, W) int32
        Region of each marker, labelled 1..N in the order of the points.
    cells : (H, W) int32
        The cell of each marker, with the same label. For a surplus marker it is the region of the
        marker itself. A cell without a marker is 0.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.bool_]
    points: Floats
    markers: Labels
    cells: Labels


def lesson(seed: int, shape: tuple[int, int] = (384, 384)) -> Lesson:
    """Make a lesson. The same seed and shape give the same lesson.

    Parameters
    ----------
    seed : int
        At least 0.
    shape : (int, int)
        Rows and columns, at least 64 each.
    """
    # Other random streams than those of the sample, so that the network has not seen the sample.
    growing, lighting, marking = np.random.default_rng([20211, seed]).spawn(3)
    stain: Stain | None = lighting.choice(
        np.array([*_STAINS], dtype=object), p=np.array([*_STAINS.values()])
    )
    tissue = grow_tissue(shape, _growth(stain, rng=growing), rng=growing)
    if stain is None:
        image = micrograph(tissue, rng=lighting)[..., 0].astype(np.float32)
    else:
        image = seen_through(light_of(tissue, stain, rng=lighting), rng=lighting)
    markers, owners = _markers(tissue, stain, rng=marking)
    n = len(owners)
    points = np.array(ndimage.center_of_mass(markers > 0, markers, np.arange(1, n + 1)))
    points = points.reshape(n, 2)
    number = np.zeros(int(tissue.cells.max()) + 1, np.int32)
    for marker, owner in enumerate(owners, 1):
        if owner:
            number[owner] = marker
    cells = np.where(markers > 0, markers, number[tissue.cells]).astype(np.int32)
    return Lesson(image, _mask(tissue.cells > 0, rng=marking), points, markers, cells)


def fingerprint() -> list[float]:
    """Numbers that change if the generator of lessons changes.

    For each of three small lessons: the number of markers, the share of the image that is mask,
    and the mean intensity.
    """
    found = []
    for seed in range(3):
        one = lesson(seed, (96, 96))
        found += [len(one.points), float(one.mask.mean()), float(one.image.mean())]
    return found


def _growth(stain: Stain | None, *, rng: np.random.Generator) -> Growth:
    """A random kind of tissue: lone cells or sheets, round or spindle-shaped, of varied sizes."""
    radius = rng.uniform(11, 23)
    uneven = rng.uniform(0.03, 0.45)
    crowded = rng.random() < 0.75
    round_ones = stain == "nuclei" or rng.random() < 0.25
    low = radius * np.exp(-2 * uneven) * 0.8
    if stain == "nuclei":
        spacing, reach = rng.uniform(0.7, 0.98), (0.3, 1.5)
    else:
        spacing, reach = rng.uniform(0.58, 0.92), (0.5, rng.uniform(2, 12))
    return Growth(
        radius=radius,
        radii=(max(low, 7.0), radius * np.exp(2 * uneven) * 1.2),
        size_spread=uneven,
        rounded=rng.uniform(0, 0.1),
        spacing=spacing,
        empty=rng.uniform(0, 0.4) if crowded else rng.uniform(0.4, 0.9),
        reach=reach,
        n_sides=int(rng.integers(8, 12)) if round_ones else int(rng.integers(4, 9)),
        sides=(0.93, 1.05) if round_ones else (rng.uniform(0.6, 0.9), rng.uniform(1.05, 1.3)),
        stretch=rng.uniform(0, 0.2) if round_ones else rng.uniform(0.05, 0.6),
        aligned=rng.uniform(0.3, 2.5),
        warp=rng.uniform(0, 1.5) if round_ones else rng.uniform(0.5, 4.5),
        ruffle=rng.uniform(0, 1) if round_ones else rng.uniform(0, 3),
        nucleus=(rng.uniform(0.3, 0.75), rng.uniform(0, 2)),
        nuclei_radii=(2.5, 16.0),
        nuclei_centred=rng.uniform(0.05, 0.95),
    )


def _markers(
    tissue: Tissue, stain: Stain | None, *, rng: np.random.Generator
) -> tuple[Labels, list[int]]:
    """Regions of markers 1..N, and the cell of each; 0 for a surplus marker."""
    cells, n = tissue.cells, int(tissue.cells.max())
    kind = rng.random()
    if stain == "nuclei" or kind < 0.15:
        # Without a nucleus channel, detection finds the inside of cells.
        depth = distance_inside(cells)
        most = np.zeros(n + 1)
        np.maximum.at(most, cells.ravel(), depth.ravel())
        share = rng.uniform(0.25, 0.75, n + 1)
        regions = np.where((cells > 0) & (depth >= np.maximum(share * most, 1)[cells]), cells, 0)
    else:
        regions = tissue.nuclei
        if kind < 0.35:  # points
            regions = _discs(regions, cells, rng.uniform(2, 5), rng.uniform(0, 2.5), rng=rng)
        elif kind < 0.6:
            regions = np.where(ndimage.binary_erosion(regions > 0), regions, 0)
        elif kind < 0.75:
            grown = ndimage.grey_dilation(
                regions, footprint=ndimage.generate_binary_structure(2, 1)
            )
            regions = np.where(regions > 0, regions, grown)
    missing = rng.random(n + 1) < rng.choice([0.0, 0.03, 0.1], p=[0.4, 0.4, 0.2])
    regions = np.where(missing[regions], 0, regions).astype(np.int32)

    found, owners = np.zeros(cells.shape, np.int32), list[int]()
    split = rng.random(n + 1) < rng.choice([0.0, 0.02, 0.06], p=[0.4, 0.4, 0.2])
    for owner, box in enumerate(ndimage.find_objects(regions), 1):
        if box is None or not (own := regions[box] == owner).any():
            continue
        parts = _halves(own, rng=rng) if split[owner] else [own]
        for number, part in enumerate(part for part in parts if part.any()):
            owners.append(0 if number else owner)
            found[box][part] = len(owners)
    # Debris that detection takes for a nucleus.
    for _ in range(rng.poisson(rng.choice([0.0, 1.5]))):
        centre, radius = rng.uniform(0, cells.shape), rng.uniform(1.5, 4)
        rows, cols = np.ogrid[: cells.shape[0], : cells.shape[1]]
        disc = np.hypot(rows - centre[0], cols - centre[1]) <= radius
        if disc.any() and not found[disc].any():
            owners.append(0)
            found[disc] = len(owners)
    if not owners:
        row, col = np.argwhere(cells > 0)[0]
        found[row, col] = 1
        owners = [int(cells[row, col])]
    return found, owners


def _discs(
    regions: Labels, cells: Labels, radius: float, shifted: float, *, rng: np.random.Generator
) -> Labels:
    """A disc near the centre of each region, shifted a little at random, within its cell."""
    out = np.zeros_like(regions)
    for owner, box in enumerate(ndimage.find_objects(regions), 1):
        if box is None:
            continue
        rows, cols = np.nonzero(regions[box] == owner)
        row = rows.mean() + box[0].start + rng.normal(0, shifted)
        col = cols.mean() + box[1].start + rng.normal(0, shifted)
        y, x = np.mgrid[_around(row, radius, cells.shape[0]), _around(col, radius, cells.shape[1])]
        disc = (np.hypot(y - row, x - col) <= radius) & (cells[y, x] == owner)
        out[y[disc], x[disc]] = owner
    return out


def _around(middle: float, radius: float, n: int) -> slice:
    return slice(max(int(middle - radius), 0), min(int(middle + radius) + 2, n))


def _halves(own: NDArray[np.bool_], *, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """A region cut in two by a line near its middle, the larger part first."""
    rows, cols = np.nonzero(own)
    angle = rng.uniform(0, np.pi)
    side = np.zeros(own.shape)
    along = np.cos(angle) * (rows - rows.mean()) + np.sin(angle) * (cols - cols.mean())
    side[rows, cols] = along - rng.uniform(-0.5, 0.5) * along.std()
    parts = [own & (side > 0.5), own & (side < -0.5)]
    return sorted(parts, key=lambda part: -int(part.sum()))


def _mask(inside: NDArray[np.bool_], *, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A mask like that of a graph cut: a pixel too wide or too narrow, with uneven outlines."""
    distance = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    limit = rng.uniform(-1.5, 0.7) + rng.uniform(0, 1) * smooth_noise(inside.shape, 12, rng=rng)
    return np.asarray(distance > limit, bool)

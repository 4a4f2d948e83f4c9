"""Find mask and markers of a large image block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import LARGEST_DIAMETER, Config
from cellcutter_core.images.blocks import blocks_of, lie_in, pixels_of, with_margin
from cellcutter_core.images.image import Image
from cellcutter_core.images.reading.parts import Region
from cellcutter_core.images.regions import interesting_region
from cellcutter_core.label_image import new_numbers
from cellcutter_core.large.block_tasks import Arrays, Block, Here
from cellcutter_core.large.large_image import LargeImage
from cellcutter_core.markers.finding import Nuclei, cell_size, is_covered
from cellcutter_core.markers.nucleus_regions import NUCLEI_BETWEEN, nucleus_diameter, region_heights
from cellcutter_core.markers.region_outlines import brighter_than_haze
from cellcutter_core.mask.mask_of_settings import mask_channels
from cellcutter_core.network.unet import UNet
from cellcutter_core.pipeline import find_markers, find_mask
from cellcutter_core.training.inputs import about_mask

LOOKED_AT = 1536
"""Side of the region in which the size of nuclei is estimated, in pixels."""

MARGIN, DIAMETERS = 128, 6
"""Margin around a block for finding markers and mask: in pixels, or in diameters of a nucleus."""


@dataclass(frozen=True, eq=False)
class Found:
    """Mask and markers of a large image, in files.

    Attributes
    ----------
    points : (N, 2) float
        (row, col) of each cell's marker.
    cell_diameter : float
        See `Inputs.cell_diameter`.
    mask_fraction : float
        Share of the image that the mask covers.
    """

    points: NDArray[np.float64]
    cell_diameter: float
    mask_fraction: float
    _regions: NDArray[np.int32]
    _numbers: NDArray[np.int32]
    _mask: NDArray[np.bool_]

    def only(self, kept: NDArray[np.bool_]) -> Found:
        """Keep some of the markers and renumber them.

        Parameters
        ----------
        kept : (N,) bool
        """
        return replace(
            self,
            points=self.points[kept],
            cell_diameter=self.cell_diameter * float(np.sqrt(len(kept) / np.count_nonzero(kept))),
            _numbers=new_numbers(kept)[self._numbers],
        )

    def nuclei(self, box: Region) -> NDArray[np.int32]:
        """Return the nucleus regions in a box, labelled 1..N in the order of all points."""
        return self._numbers[self._regions[pixels_of(box)]]

    def mask(self, box: Region) -> NDArray[np.bool_]:
        """Return the mask in a box, True where there are cells."""
        return np.array(self._mask[pixels_of(box)])


def find(
    large: LargeImage,
    config: Config,
    folder: Path,
    *,
    done: Callable[[], None] = lambda: None,
    where: Here | None = None,
) -> Found:
    """Find mask and markers.

    Parameters
    ----------
    large : LargeImage
    config : Config
    folder : Path
        Folder for files, 5 bytes per pixel. The result needs them.
    done : callable
        Called twice for each block: after its markers and after its mask.
    where : Here, optional
        Where the blocks are worked on; default in this process.

    Raises
    ------
    ValueError
        If no marker is found anywhere.
    """
    config, where = with_diameter(large, config), where or Here(large)
    regions, numbers, points = _markers(large, config, folder / "nuclei", done, where)
    mask = _mask_of_blocks(large, config, folder / "mask", regions, numbers, done, where)
    n_pixels = sum(int(np.count_nonzero(mask[pixels_of(box)])) for box in blocks_of(large.shape))
    if not n_pixels:
        raise ValueError(about_mask(config, empty=True))
    diameter = float(2 * np.sqrt(n_pixels / (np.pi * len(points))))
    return Found(points, diameter, n_pixels / mask.size, regions, numbers, mask)


def with_diameter(large: LargeImage, config: Config) -> Config:
    """Return the settings with a diameter for all blocks: of nuclei or, without them, of cells.

    It is estimated in the most interesting region. Settings that need no diameter do not change.
    """
    if not config.markers.automatic or config.markers.diameter is not None:
        return config
    sample = large.sample
    shows = list(sample.cell) if sample.nucleus is None else [sample.nucleus]
    seen = sample.with_roles(cell=[sample.channels[index] for index in shows])
    window = large.read(interesting_region(seen, LOOKED_AT))
    if window.nucleus is None:
        cell = window.pixels[..., list(window.cell)]
        diameter = cell_size(cell, mask=mask_channels(cell, config.mask))
    else:
        diameter = nucleus_diameter(window.pixels[..., window.nucleus])
    return config.replace(markers=config.markers.replace(diameter=min(diameter, LARGEST_DIAMETER)))


def _markers(
    large: LargeImage, config: Config, file: Path, done: Callable[[], None], where: Here
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Return the regions of all candidates, the new number of each that is a marker, and points."""
    store = np.memmap(file, np.int32, "w+", shape=large.shape)
    diameter = config.markers.diameter or 2 * config.markers.max_sigma
    points: list[NDArray[np.float64]] = []
    heights: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    n_found, wrong = 0, f"{large.sample.name}: there is nothing to see in it"
    blocks = [
        Block(core, with_margin(core, _margin(config), large.shape), {})
        for core in blocks_of(large.shape)
    ]
    for block, answer in zip(blocks, where.each(_markers_of_block, blocks, config), strict=True):
        around = block.around
        if "wrong" in answer:
            wrong = str(answer["wrong"])
        else:
            nuclei = Nuclei(answer["regions"], answer["points"])
            in_image = nuclei.points + np.array(around[:2])
            # For a nucleus on the border of two blocks, each block may place the marker in the
            # other one. Without the extra pixels neither would keep it.
            near = lie_in(in_image, with_margin(block.core, round(diameter / 2), large.shape))
            new = _paste(nuclei, near, store[pixels_of(around)], n_found)
            points.append(in_image[new])
            heights.append((answer["rise"][new], answer["area"][new]))
            n_found += len(points[-1])
        done()
    if not n_found:
        raise ValueError(wrong)
    rise, area = (np.concatenate(part) for part in zip(*heights, strict=True))
    kept = np.ones(n_found, bool)
    if config.markers.automatic and large.sample.nucleus is not None:
        clear = np.ones(n_found, bool)
        kept, _ = brighter_than_haze(rise, area, clear, between=NUCLEI_BETWEEN)
    return store, new_numbers(kept), np.concatenate(points)[kept].astype(np.float64)


def _paste(
    nuclei: Nuclei, near: NDArray[np.bool_], store: NDArray[np.int32], n_found: int
) -> NDArray[np.bool_]:
    """Write the regions that are near the block and that no other block has found.

    Returns which ones these are.
    """
    taken = store > 0
    area = np.bincount(nuclei.regions.ravel())[1:]
    known = np.bincount(nuclei.regions[taken], minlength=len(area) + 1)[1:]
    rows, cols = np.round(nuclei.points).astype(int).T
    alone: NDArray[np.bool_] = (known <= area / 2) & ~taken[rows, cols]
    new = near & alone
    numbers = np.zeros(len(area) + 1, np.int32)
    numbers[1:][new] = n_found + np.arange(1, np.count_nonzero(new) + 1)
    written = numbers[nuclei.regions]
    free = ~taken & (written > 0)
    store[free] = written[free]
    return new


def _markers_of_block(
    block: Block, large: LargeImage, config: Config, network: UNet | None
) -> Arrays:
    """Find the nuclei in a block with its margin: regions, points, rise, area.

    If there are none, the answer is why, under "wrong".
    """
    del network
    image = large.read(block.around)
    try:
        nuclei = find_markers(image, config, normalisation=large.normalisation)
    except ValueError as error:
        return {"wrong": np.array(str(error))}
    rise, area = _heights(image, nuclei, config)
    return {"regions": nuclei.regions, "points": nuclei.points, "rise": rise, "area": area}


def _heights(
    image: Image, nuclei: Nuclei, config: Config
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if image.nucleus is None or config.markers.diameter is None:
        return np.ones(len(nuclei.points)), np.ones(len(nuclei.points))
    plane = image.pixels[..., image.nucleus]
    rise, area = region_heights(plane, nuclei.regions, diameter=config.markers.diameter)
    return np.maximum(rise, np.finfo(float).tiny), area


def _mask_of_blocks(
    large: LargeImage,
    config: Config,
    file: Path,
    regions: NDArray[np.int32],
    numbers: NDArray[np.int32],
    done: Callable[[], None],
    where: Here,
) -> NDArray[np.bool_]:
    """Return the mask, True where there are cells."""
    store = np.memmap(file, np.bool_, "w+", shape=large.shape)
    covered = is_covered(large.sample, config)
    cores = blocks_of(large.shape)

    def blocks() -> Iterator[Block | None]:
        for core in cores:
            around = with_margin(core, _margin(config), large.shape)
            nuclei = np.zeros(0) if covered else numbers[regions[pixels_of(around)]]
            # A block without a nucleus has no cells; a graph cut would only separate noise.
            yield Block(core, around, {"nuclei": nuclei}) if nuclei.any() else None

    for core, answer in zip(cores, where.each(_mask_of_block, blocks(), config), strict=True):
        here = pixels_of(core)
        store[here] = answer["mask"] if answer else numbers[regions[here]] > 0
        done()
    return store


def _mask_of_block(block: Block, large: LargeImage, config: Config, network: UNet | None) -> Arrays:
    """Find the mask in a block."""
    del network
    nuclei = block.extra["nuclei"]
    found = Nuclei(nuclei, np.zeros((0, 2), np.int32))
    image = large.read(block.around)
    try:
        mask = find_mask(image, config, found, normalisation=large.normalisation)
    except ValueError:
        # The block shows nothing except the nuclei.
        mask = nuclei > 0
    return {"mask": mask[pixels_of(block.core, block.around)]}


def _margin(config: Config) -> int:
    diameter = config.markers.diameter or 2 * config.markers.max_sigma
    return max(MARGIN, round(DIAMETERS * diameter))

"""The network of a run on an image that is too large to be worked on at once."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.apply.cells_of_blocks import CellsOfBlocks, n_steps
from cellcutter_core.config import Config
from cellcutter_core.export.formats.rois import check_extent
from cellcutter_core.images.pixel_size import PixelSize
from cellcutter_core.large.blocks import blocks_of
from cellcutter_core.large.drawing import checked, draw
from cellcutter_core.large.finding import find
from cellcutter_core.large.large_image import LargeImage
from cellcutter_core.network.unet import UNet
from cellcutter_core.pipeline import seen_names
from cellcutter_core.runs.lock import held, holder
from cellcutter_core.training.marker_check import is_checked
from cellcutter_core.view.render import Rgb

SCRATCH = ".blocks-"
"""What the folder begins with in which masks and labels lie while they are worked on."""

SCRATCH_BYTES = 9
"""For each pixel: nuclei and labels of four bytes, and the mask."""

WAYS = 3
"""How often each block is worked on before it is written: nuclei, cell area, drawing. Where markers
are checked it is drawn twice."""


@dataclass(frozen=True, eq=False)
class InBlocks:
    """A large image with its cells, to look at.

    Attributes
    ----------
    channels : list of str
        Names of those that the network saw.
    pixel_size : float, (float, float) or None
        Micrometres per pixel of the whole, see `Image`.
    picture : (h, w, 3) uint8
        Of every so many pixels.
    labels : (h, w) int32
        The same pixels.
    areas : (N,) int64
        Of each cell, in pixels of the whole.
    n_at_border : int
        How many cells the border of the image may cut off.
    mask_fraction : float
        Share of the image that is cell.
    remarks : list of str
        What to know of its channels and its pixel size, see `Image`.
    """

    channels: list[str]
    pixel_size: PixelSize | None
    picture: Rgb
    labels: NDArray[np.int32]
    areas: NDArray[np.int64]
    n_at_border: int
    mask_fraction: float
    remarks: list[str]


def apply_in_blocks(
    network: UNet,
    large: LargeImage,
    config: Config,
    files: Mapping[str, Path],
    *,
    progress: Callable[[float], None] = lambda share: None,
) -> InBlocks:
    """Find the cells of a large image and write them.

    Parameters
    ----------
    network : UNet
    large : LargeImage
        Its channels in their roles.
    config : Config
    files : mapping of str to Path
        Format, of `IMAGE_FORMATS` → the file to write. They appear when all of them are complete.
    progress : callable
        Called with the share of the work that is done. What it raises ends the work.

    Raises
    ------
    ValueError
        If there is no cell, or a file cannot be read or written.
    """
    # What cannot be written is said before it takes its time.
    if "rois" in files:
        check_extent(large.shape, large.sample.origin)
    ways = WAYS + is_checked(config)
    n_done, n = 0, ways * len(blocks_of(large.shape)) + n_steps(large.shape, files)

    def done() -> None:
        nonlocal n_done
        n_done += 1
        progress(n_done / n)

    # Beside what is written, where there has to be room anyway. Some systems remove no file that is
    # still open, as it is where an error holds on to it.
    beside = next(iter(files.values())).parent if files else None
    with (
        TemporaryDirectory(prefix=SCRATCH, dir=beside, ignore_cleanup_errors=True) as folder,
        held(scratch := Path(folder)),
    ):
        _check_room(scratch, large, files)
        (scratch / "home").mkdir()
        written = {name: scratch / "home" / f"{name}{file.suffix}" for name, file in files.items()}
        try:
            found = _applied(network, large, config, written, scratch, done)
            for name, file in files.items():
                written[name].replace(file)
        except OSError as error:
            raise ValueError(
                f"cannot write in {scratch.parent}: {error.strerror or error}; make room there, or "
                "choose another folder"
            ) from error
        return found


def forget_left_over(folder: Path) -> None:
    """Remove what processes left in a folder that were ended in the middle of a large image."""
    for scratch in folder.glob(f"{SCRATCH}*"):
        if holder(scratch) is None:
            shutil.rmtree(scratch, ignore_errors=True)


def _check_room(folder: Path, large: LargeImage, formats: Container[str]) -> None:
    """Refuse what the disk cannot hold: a file in memory that cannot grow ends the process."""
    each, free = SCRATCH_BYTES, shutil.disk_usage(folder).free
    if "ome-zarr" in formats:
        # Image and labels and all their smaller levels, which are a third of them, and these again
        # while they are made.
        pixel = large.sample.pixels[0, 0]
        each += 5 / 3 * (pixel.nbytes + 4)
    needed = each * math.prod(large.shape)
    if needed > free:
        raise ValueError(
            f"needs {needed / 1e9:.1f} GB on the disk of {folder.parent} while it is worked on, "
            f"and {free / 1e9:.1f} GB are free; make room there, or take a region"
        )


def _applied(
    network: UNet,
    large: LargeImage,
    config: Config,
    files: Mapping[str, Path],
    scratch: Path,
    done: Callable[[], None],
) -> InBlocks:
    found = find(large, config, scratch, done=done)
    few = len(found.points) <= np.iinfo(np.uint16).max
    dtype = np.uint16 if few else np.uint32
    labels = np.memmap(scratch / "labels", dtype, "w+", shape=large.shape)
    if is_checked(config):
        found = checked(large, found, config, labels, done=done)
    drawn = draw(network, large, found, config, labels, done=done)
    cells = CellsOfBlocks(large, config, found, drawn, labels)
    cells.write(files, scratch, done=done)
    there = drawn.areas > 0
    edge = (drawn.boxes[:, :2] == 0).any(1) | (drawn.boxes[:, 2:] == large.shape).any(1)
    return InBlocks(
        seen_names(large.sample, config),
        large.sample.pixel_size,
        cells.picture,
        drawn.reduced.labels,
        drawn.areas[there],
        int(np.count_nonzero(edge & there)),
        found.mask_fraction,
        [*large.sample.remarks, *large.sample.size_notes],
    )

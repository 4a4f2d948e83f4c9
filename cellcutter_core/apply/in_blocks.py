"""Apply the network of a run to a large image, block by block."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Container, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.apply.applying import Trained
from cellcutter_core.apply.cells_of_blocks import CellsOfBlocks, n_steps
from cellcutter_core.export.formats.rois import check_extent
from cellcutter_core.files import explaining
from cellcutter_core.images.blocks import blocks_of
from cellcutter_core.images.pixel_size import PixelSize
from cellcutter_core.large.block_tasks import Elsewhere, Here, exchanged_bytes
from cellcutter_core.large.large_image import LargeImage
from cellcutter_core.large.mask_and_markers import find
from cellcutter_core.large.predicting import checked, predict
from cellcutter_core.runs.lock import held, holder
from cellcutter_core.training.image_inputs import seen_names
from cellcutter_core.training.marker_check import is_checked
from cellcutter_core.view.render import Rgb

SCRATCH = ".blocks-"
"""Prefix of the temporary folder for masks and labels."""

SCRATCH_BYTES = 9
"""Bytes per pixel: four each for nuclei and labels, one for the mask."""

WAYS = 3
"""How often each block is processed before it is written: markers, mask, prediction. If markers
are checked, it is predicted twice."""


@dataclass(frozen=True, eq=False)
class InBlocks:
    """A large image with its cells at a reduced size, to look at, and its measures.

    Attributes
    ----------
    channels : list of str
        Names of the channels that the network saw.
    pixel_size : float, (float, float) or None
        Micrometres per pixel of the whole image, see `Image`.
    picture : (h, w, 3) uint8
        The image at a reduced size.
    labels : (h, w) int32
        The labels at the same pixels.
    colors : (N,) int64
        Colour of each cell, see `marker_colors`.
    areas : (N,) int64
        Area of each cell, in pixels of the whole image.
    n_at_border : int
        Number of cells that the border of the image may cut off.
    mask_fraction : float
        Share of the image that the mask covers.
    remarks : list of str
        What to know of its channels and its pixel size, see `Image`.
    """

    channels: list[str]
    pixel_size: PixelSize | None
    picture: Rgb
    labels: NDArray[np.int32]
    colors: NDArray[np.int64]
    areas: NDArray[np.int64]
    n_at_border: int
    mask_fraction: float
    remarks: list[str]


def apply_in_blocks(
    trained: Trained,
    large: LargeImage,
    files: Mapping[str, Path],
    *,
    progress: Callable[[float], None] = lambda share: None,
    executor: Executor | None = None,
) -> InBlocks:
    """Find the cells of a large image, like `Trained.apply`, and write them.

    Parameters
    ----------
    trained : Trained
    large : LargeImage
        The image, with the roles of its channels.
    files : mapping of str to Path
        Name of a format in `IMAGE_FORMATS` → the file to write. The files appear together, when all
        are complete.
    progress : callable
        Called with the finished share of the work, with an executor also while it is the same. An
        error that it raises ends the work.
    executor : Executor, optional
        Where mask, markers and cells of the blocks are found, see `block_tasks`; default here, one
        after the other. The cells are the same. Its workers must see the image and the folder of
        the files.

    Raises
    ------
    ValueError
        If the network saw another number of channels, there is no cell, a file cannot be read or
        written, or a task of the executor fails.
    """
    trained.check_seen(large.sample)
    # Checked first, so that an error does not come after a long computation.
    if "rois" in files:
        check_extent(large.shape, large.sample.origin)
    ways = WAYS + is_checked(trained.config)
    n_done, n = 0, ways * len(blocks_of(large.shape)) + n_steps(large.shape, files)

    def done(steps: int = 1) -> None:
        nonlocal n_done
        n_done += steps
        progress(n_done / n)

    # Temporary files are beside the results, where there must be room anyway. Errors are ignored:
    # some systems cannot remove a file that is still open, for example because an error holds it.
    beside = next(iter(files.values())).parent if files else None
    with (
        TemporaryDirectory(prefix=SCRATCH, dir=beside, ignore_cleanup_errors=True) as folder,
        held(scratch := Path(folder)),
    ):
        _check_room(scratch, large, files, executor)
        (scratch / "home").mkdir()
        written = {name: scratch / "home" / f"{name}{file.suffix}" for name, file in files.items()}
        advice = "make room there, or choose another folder"
        with explaining(f"cannot write in {scratch.parent}", advice):
            where = Here(large)
            if executor is not None:
                where = Elsewhere(large, executor, scratch, waiting=lambda: done(0))
            found = _applied(trained, large, written, scratch, done, where)
            for name, file in files.items():
                written[name].replace(file)
        return found


def forget_left_over(folder: Path) -> None:
    """Remove temporary files of processes that were ended while they worked on a large image."""
    for scratch in folder.glob(f"{SCRATCH}*"):
        if holder(scratch) is None:
            shutil.rmtree(scratch, ignore_errors=True)


def _check_room(
    folder: Path, large: LargeImage, formats: Container[str], executor: Executor | None
) -> None:
    """Check the disk space: a process ends if a memory-mapped file cannot grow."""
    each, free = float(SCRATCH_BYTES), shutil.disk_usage(folder).free
    if executor is not None:
        each += exchanged_bytes(large, executor)
    if "ome-zarr" in formats:
        # Image, labels and their smaller levels, which add a third; and these again while they are
        # made.
        pixel = large.sample.pixels[0, 0]
        each += 5 / 3 * (pixel.nbytes + 4)
    needed = each * math.prod(large.shape)
    if needed > free:
        raise ValueError(
            f"needs {needed / 1e9:.1f} GB on the disk of {folder.parent} for temporary files, "
            f"but {free / 1e9:.1f} GB are free; make room there, or take a region"
        )


def _applied(
    trained: Trained,
    large: LargeImage,
    files: Mapping[str, Path],
    scratch: Path,
    done: Callable[[], None],
    where: Here,
) -> InBlocks:
    config = trained.config
    found = find(large, config, scratch, done=done, where=where)
    few = len(found.points) <= np.iinfo(np.uint16).max
    dtype = np.uint16 if few else np.uint32
    labels = np.memmap(scratch / "labels", dtype, "w+", shape=large.shape)
    if is_checked(config):
        found = checked(large, found, config, labels, done=done, where=where)
    drawn = predict(trained.network, large, found, config, labels, done=done, where=where)
    cells = CellsOfBlocks(large, config, found, drawn, labels)
    cells.write(files, scratch, done=done)
    there = drawn.areas > 0
    edge = (drawn.boxes[:, :2] == 0).any(1) | (drawn.boxes[:, 2:] == large.shape).any(1)
    return InBlocks(
        seen_names(large.sample, config),
        large.sample.pixel_size,
        cells.picture,
        drawn.reduced.labels,
        cells.colors,
        drawn.areas[there],
        int(np.count_nonzero(edge & there)),
        found.mask_fraction,
        [*large.sample.remarks, *large.sample.size_notes],
    )

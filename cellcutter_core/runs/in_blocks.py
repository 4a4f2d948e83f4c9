"""The network of a run on an image that is too large to be worked on at once.

What is taken home is written block by block too, each cell with the block that holds its marker.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.blockwise.blocks import blocks_of, lie_in, pixels_of, with_margin
from cellcutter_core.blockwise.drawing import Drawn, Reduced, draw
from cellcutter_core.blockwise.finding import Found, find
from cellcutter_core.blockwise.large_image import LargeImage
from cellcutter_core.config import Config
from cellcutter_core.export.in_parts import IN_PARTS
from cellcutter_core.export.labels import write_labels
from cellcutter_core.export.picture import png_file
from cellcutter_core.export.rois import check_extent
from cellcutter_core.images import Image
from cellcutter_core.inputs import Inputs
from cellcutter_core.pipeline import seen_channels, seen_names
from cellcutter_core.prediction import Drawing
from cellcutter_core.regions import Box
from cellcutter_core.runs.applied import Applied
from cellcutter_core.runs.lock import held, holder
from cellcutter_core.unet import UNet
from cellcutter_core.view.render import Rgb, borders_picture, composite, overlay
from cellcutter_core.view.scale_bar import with_scale_bar

FORMATS = ("labels", "overlay", "borders", *IN_PARTS)
"""In which an image with its cells can be written without being held."""

SCRATCH = ".blocks-"
"""What the folder begins with in which masks and labels lie while they are worked on."""

SCRATCH_BYTES = 9
"""For each pixel: nuclei and labels of four bytes, and the mask."""

WAYS = 4
"""How often each block is worked on: nuclei, cell area, drawing, writing."""


@dataclass(frozen=True, eq=False)
class InBlocks:
    """A large image with its cells, to look at.

    Attributes
    ----------
    channels : list of str
        Names of those that the network saw.
    pixel_size : float or None
        Micrometres per pixel of the whole.
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
    """

    channels: list[str]
    pixel_size: float | None
    picture: Rgb
    labels: NDArray[np.int32]
    areas: NDArray[np.int64]
    n_at_border: int
    mask_fraction: float


def check_formats(formats: Mapping[str, Any]) -> None:
    """Raise a ValueError where one of them cannot be written block by block."""
    for name in formats:
        if name not in FORMATS:
            raise ValueError(
                f"it is too large to be held with its cells, and {name} is not written block by "
                f"block; choose from {', '.join(FORMATS)}"
            )


def apply_in_blocks(
    network: UNet,
    large: LargeImage,
    config: Config,
    files: Mapping[str, Path],
    *,
    origin: tuple[int, int] = (0, 0),
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
        Format, one of `FORMATS` → the file to write. They appear when all of them are complete.
    origin : (int, int)
        (row, col) of the first pixel in the image that this is a region of.
    progress : callable
        Called with the share of the work that is done. What it raises ends the work.

    Raises
    ------
    ValueError
        If there is no cell, a format is none of these, or a file cannot be read or written.
    """
    # What cannot be written is said before it takes its time.
    check_formats(files)
    if "rois" in files:
        check_extent(large.shape, origin)
    n_done, n = 0, WAYS * len(blocks_of(large.shape))

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
        _check_room(scratch, large.shape)
        (scratch / "home").mkdir()
        written = {name: scratch / "home" / f"{name}{file.suffix}" for name, file in files.items()}
        try:
            found = _applied(network, large, config, written, scratch, origin, done)
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


def _check_room(folder: Path, shape: tuple[int, int]) -> None:
    """Refuse what the disk cannot hold: a file in memory that cannot grow ends the process."""
    needed, free = SCRATCH_BYTES * math.prod(shape), shutil.disk_usage(folder).free
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
    origin: tuple[int, int],
    done: Callable[[], None],
) -> InBlocks:
    found = find(large, config, scratch, done=done)
    few = len(found.points) <= np.iinfo(np.uint16).max
    dtype = np.uint16 if few else np.uint32
    labels = np.memmap(scratch / "labels", dtype, "w+", shape=large.shape)
    drawn = draw(network, large, found, config, labels, done=done)
    _write_parts(large, config, found, drawn, labels, files, origin, done)
    pixel_size = large.sample.pixel_size
    if "labels" in files:
        write_labels(files["labels"], labels, pixel_size=pixel_size, compressed=True)
    there = drawn.areas > 0
    edge = (drawn.boxes[:, :2] == 0).any(1) | (drawn.boxes[:, 2:] == large.shape).any(1)
    return InBlocks(
        seen_names(large.sample, config),
        pixel_size,
        _write_pictures(large, config, drawn.reduced, files),
        drawn.reduced.labels,
        drawn.areas[there],
        int(np.count_nonzero(edge & there)),
        found.mask_fraction,
    )


class _Part(Applied):
    """The cells of a block, measured where they lie in the image."""

    def __init__(
        self,
        image: Image,
        config: Config,
        labels: NDArray[np.int32],
        *,
        corner: tuple[int, int],
        origin: tuple[int, int],
    ) -> None:
        seen = image.pixels[..., seen_channels(image, config)]
        nothing = np.zeros(labels.shape)
        super().__init__(
            image,
            config,
            Inputs(seen, labels > 0, np.zeros((0, 2))),
            Drawing(labels, nothing.astype(np.uint8), nothing.astype(np.float32)),
            origin=(corner[0] + origin[0], corner[1] + origin[1]),
        )
        self._corner = corner

    @cached_property
    def table(self) -> dict[str, NDArray[Any]]:
        """As `Segmented` says, with rows and columns counted from the first of the image."""
        table = dict(super().table)
        for name, first in zip(("row", "col"), self._corner, strict=True):
            table[name] = table[name] + first
            if self.pixel_size is not None:
                table[f"{name}_um"] = table[name] * self.pixel_size
        return table


def _write_parts(
    large: LargeImage,
    config: Config,
    found: Found,
    drawn: Drawn,
    labels: NDArray[np.integer[Any]],
    files: Mapping[str, Path],
    origin: tuple[int, int],
    done: Callable[[], None],
) -> None:
    """Write what grows by the cells of each block."""
    with ExitStack() as stack:
        writers = []
        for name, kind in IN_PARTS.items():
            if name in files:
                writers.append(kind(stack.enter_context(files[name].open("wb"))))
        for core in blocks_of(large.shape):
            cells = np.flatnonzero(lie_in(found.points, core) & (drawn.areas > 0))
            if len(cells) and writers:
                box = _around(drawn.boxes[cells], large.shape)
                image = large.read(box)
                # Of all that lies there, the cells of this block.
                numbers = np.zeros(len(found.points) + 1, np.int32)
                numbers[cells + 1] = cells + 1
                own = numbers[labels[pixels_of(box)]]
                part = _Part(image, config, own, corner=box[:2], origin=origin)
                for writer in writers:
                    writer.add(part)
            done()
        for writer in writers:
            writer.close()


def _around(boxes: NDArray[np.int64], shape: tuple[int, int]) -> Box:
    """A box that holds all of these, with a pixel around them where the image has one."""
    top, left = boxes[:, :2].min(axis=0).tolist()
    bottom, right = boxes[:, 2:].max(axis=0).tolist()
    return with_margin((top, left, bottom, right), 1, shape)


def _write_pictures(
    large: LargeImage, config: Config, reduced: Reduced, files: Mapping[str, Path]
) -> Rgb:
    """Write those that are wanted, of every so many pixels.

    Returns
    -------
    (h, w, 3) uint8
        The image without its cells.
    """
    n_seen = reduced.image.shape[-1]
    nucleus = n_seen - 1 if n_seen > 1 and config.crops.with_nucleus else None
    cell = tuple(index for index in range(n_seen) if index != nucleus)
    picture = composite(reduced.image, cell=cell, nucleus=nucleus)
    made: dict[str, Callable[[], Rgb]] = {
        "overlay": lambda: overlay(picture, reduced.labels),
        "borders": lambda: borders_picture(reduced.borders),
    }
    size = large.sample.pixel_size
    for name, make in made.items():
        if name in files:
            bar = None if size is None else size * reduced.every
            files[name].write_bytes(png_file(with_scale_bar(make(), bar)))
    return picture

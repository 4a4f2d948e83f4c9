"""Export a large image with its cells: files that are written block by block.

Each cell is written with the block that contains its marker.
"""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.apply.applied_image import Applied
from cellcutter_core.config import Config
from cellcutter_core.export.files import add_entry, png_file
from cellcutter_core.export.formats.labels import write_labels
from cellcutter_core.export.formats.ome_zarr import FOLDER, ome_zarr_files
from cellcutter_core.export.formats.zarr_pyramid import BlockSlices, blocks
from cellcutter_core.export.in_parts import IN_PARTS
from cellcutter_core.images.blocks import blocks_of, lie_in, pixels_of, with_margin
from cellcutter_core.images.image import Image
from cellcutter_core.images.pixel_size import shown_every
from cellcutter_core.images.reading.parts import Region
from cellcutter_core.large.large_image import LargeImage
from cellcutter_core.large.mask_and_markers import Found
from cellcutter_core.large.predicting import PredictedCells
from cellcutter_core.training.image_inputs import seen_channels, seen_nucleus
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction
from cellcutter_core.view.coloring import marker_colors
from cellcutter_core.view.render import Rgb, borders_picture, composite, overlay
from cellcutter_core.view.scale_bar import with_scale_bar


@dataclass(frozen=True, eq=False)
class CellsOfBlocks:
    """A large image with its cells.

    Attributes
    ----------
    large : LargeImage
    config : Config
    found : Found
    drawn : PredictedCells
    labels : (H, W) array of integers
        The label image; a cell has the number of its marker, counted from 1.
    """

    large: LargeImage
    config: Config
    found: Found
    drawn: PredictedCells
    labels: NDArray[np.integer[Any]]

    @cached_property
    def picture(self) -> Rgb:
        """(h, w, 3) picture of the image at a reduced size."""
        n_seen = self.drawn.reduced.image.shape[-1]
        cell = tuple(index for index in range(n_seen) if index != self.nucleus)
        return composite(self.drawn.reduced.image, cell=cell, nucleus=self.nucleus)

    @property
    def nucleus(self) -> int | None:
        """Index of the channel that shows nuclei, if the network saw one."""
        return seen_nucleus(self.large.sample, self.config)

    @cached_property
    def colors(self) -> NDArray[np.int64]:
        """(N,) colour of each cell, see `marker_colors`."""
        return marker_colors(self.found.points)

    def write(
        self,
        files: Mapping[str, Path],
        scratch: Path,
        *,
        done: Callable[[], None],
    ) -> None:
        """Write all files.

        Parameters
        ----------
        files : mapping of str to Path
            Name of a format in `IMAGE_FORMATS` → the file to write.
        scratch : Path
            Folder for temporary files.
        done : callable
            Called `n_steps` times.
        """
        table = self._write_parts(files, done)
        sample, reduced = self.large.sample, self.drawn.reduced
        if "labels" in files:
            write_labels(
                files["labels"],
                self.labels,
                pixel_size=sample.pixel_size,
                origin=sample.origin,
                whole_shape=sample.whole_shape,
                compressed=True,
            )
        if "ome-zarr" in files:
            self._write_zarr(files["ome-zarr"], table, scratch, done)
        bar = shown_every(sample.pixel_size, reduced.every)
        if "overlay" in files:
            shown = overlay(self.picture, reduced.labels, colors=self.colors)
            files["overlay"].write_bytes(png_file(with_scale_bar(shown, bar)))
        if "borders" in files:
            shown = borders_picture(reduced.borders)
            files["borders"].write_bytes(png_file(with_scale_bar(shown, bar)))

    def _write_parts(
        self, files: Mapping[str, Path], done: Callable[[], None]
    ) -> dict[str, NDArray[Any]]:
        """Write the files that grow block by block; return the table if an OME-Zarr needs it."""
        shape, drawn, points = self.large.shape, self.drawn, self.found.points
        tables: list[dict[str, NDArray[Any]]] = []
        with ExitStack() as stack:
            writers = [
                kind(stack.enter_context(files[name].open("wb")))
                for name, kind in IN_PARTS.items()
                if name in files
            ]
            for core in blocks_of(shape):
                cells = np.flatnonzero(lie_in(points, core) & (drawn.areas > 0))
                if len(cells) and (writers or "ome-zarr" in files):
                    box = _around(drawn.boxes[cells], shape)
                    # Only the cells of this block, of all that lie there.
                    numbers = np.zeros(len(points) + 1, np.int32)
                    numbers[cells + 1] = cells + 1
                    own = numbers[self.labels[pixels_of(box)]]
                    image = self.large.read(box)
                    part = _part(image, self.config, own, self.large.sample.origin)
                    part.colors = self.colors
                    for writer in writers:
                        writer.add(part)
                    if "ome-zarr" in files:
                        tables.append(part.table)
                done()
            for writer in writers:
                writer.close()
        names = tables[0] if tables else ()
        return {name: np.concatenate([table[name] for table in tables]) for name in names}

    def _write_zarr(
        self,
        file: Path,
        table: Mapping[str, NDArray[Any]],
        scratch: Path,
        done: Callable[[], None],
    ) -> None:
        numbers = itertools.count()

        def new(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
            return np.memmap(scratch / f"level-{next(numbers)}", dtype, "w+", shape=shape)

        sample = self.large.sample
        seen = seen_channels(sample, self.config)
        order = [*seen, *(k for k in range(len(sample.channels)) if k not in seen)]
        content = ome_zarr_files(
            _Ordered(self.large, order),
            self.labels,
            shown=np.moveaxis(sample.pixels[..., order], -1, 0),
            name=sample.name,
            channels=[sample.channels[k] for k in order],
            nucleus=self.nucleus,
            pixel_size=sample.pixel_size,
            origin=sample.origin,
            table=table or None,
            colors=self.colors,
            new=new,
            done=done,
        )
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in content:
                add_entry(archive, f"{FOLDER}/{name}", data)


def n_steps(shape: tuple[int, int], formats: Container[str]) -> int:
    """Return how often `CellsOfBlocks.write` calls `done`."""
    return len(blocks_of(shape)) + (len(blocks(shape)) if "ome-zarr" in formats else 0)


class _Ordered:
    """The planes of a large image in the order of an OME-Zarr."""

    def __init__(self, large: LargeImage, order: Sequence[int]) -> None:
        self._large, self._order = large, list(order)
        self.shape: tuple[int, ...] = (len(order), *large.shape)
        self.dtype = large.sample.pixels.dtype

    def __getitem__(self, place: BlockSlices) -> NDArray[Any]:
        _, rows, cols = place
        pixels = self._large.pixels((rows.start, cols.start, rows.stop, cols.stop))
        return np.moveaxis(pixels[..., self._order], -1, 0)


def _part(
    image: Image, config: Config, labels: NDArray[np.int32], region: tuple[int, int]
) -> Applied:
    """Return the cells of a block, measured in the coordinates of the whole image."""
    seen = image.pixels[..., seen_channels(image, config)]
    nothing = np.zeros(labels.shape)
    part = Applied(
        image,
        config,
        Inputs(seen, labels > 0, np.zeros((0, 2))),
        Prediction(labels, nothing.astype(np.uint8), nothing.astype(np.float32)),
    )
    part.region = region
    return part


def _around(boxes: NDArray[np.int64], shape: tuple[int, int]) -> Region:
    """Return a box around all of these boxes, with a margin of one pixel within the image."""
    top, left = boxes[:, :2].min(axis=0).tolist()
    bottom, right = boxes[:, 2:].max(axis=0).tolist()
    return with_margin((top, left, bottom, right), 1, shape)

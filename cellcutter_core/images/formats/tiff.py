"""Reads TIFF through tifffile: plain, ImageJ and OME, one page or many.

Metadata give the axes, the names of channels and the pixel size. Without metadata, a TIFF of
several pages is read like an array whose axes have no names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

import numpy as np
import tifffile

from cellcutter_core.images.formats.tiff_colours import IN_COLOUR, meant
from cellcutter_core.images.formats.tiff_sizes import pixel_size_of_tiff
from cellcutter_core.images.pixel_size import PixelSize
from cellcutter_core.images.reading.axes import MAX_CHANNELS, channel_axis, to_channels_last
from cellcutter_core.images.reading.contents import (
    Array,
    Contents,
    Unreadable,
    check_header,
    check_size,
)
from cellcutter_core.images.reading.parts import Listed, Part
from cellcutter_core.images.reading.stored import Stored, in_memory, of_frames, spans_of

Side = TypeVar("Side", int, float)

# Axes of pages whose meaning the file does not give (tifffile's "other" and "image" axes).
UNKNOWN_AXES = "QI"

# The axis of stage positions, as in stacks of Micro-Manager.
POSITIONS = "R"

# The tag of the orientation in which to show an image.
ORIENTATION = 274

# The names of the formats of slide scanners in tifffile.
SLIDES = ("svs", "scn", "bif", "avs", "ndpi", "philips", "qpi")


def read_tiff(path: Path, part: Part, max_bytes: int, *, as_stored: bool = False) -> Contents:
    """Read one plane, with all its channels, of a TIFF file. Other planes are not read.

    With `as_stored` the numbers of a palette are read, not its colours.

    Raises
    ------
    Unreadable
        If it holds several images and none is chosen, is a stack and no plane is chosen, has axes
        that are neither plane nor channel, is cut short, or needs more than `max_bytes`.
    """
    with _silent(), tifffile.TiffFile(path) as tif:
        # tifffile would open the files that OME-XML names, wherever they are.
        tif._multifile = not _names_other_folders(tif)
        images = _images(tif)
        main, position = part.choose(images)
        series = part.version(main.levels, main.axes)
        page = series.keyframe
        check_header(series.shape, series.dtype)
        if all(series.keyframe.is_reduced for series, _ in (one.image for one in images)):
            raise Unreadable(
                "holds only a reduced image at its first level, like raw files of cameras and some "
                "slide scanners; the full image cannot be read from it, export it as OME-TIFF"
            )
        # Tiles are unpacked as a whole, and a damaged header can make one larger than the image.
        for shape in (series.shape, page.chunks):
            if not all(isinstance(length, int) for length in shape):
                raise Unreadable("is damaged: its header has several lengths for one axis")
        unpacked = 0 if page.is_memmappable else math.prod(page.chunks) * series.dtype.itemsize
        check_size(
            unpacked,
            max_bytes,
            advice="its strips or tiles are read whole; save it with smaller tiles, or a region",
        )
        _check_complete(tif, series, position)
        try:
            stored = _stored(tif, series, max_bytes)
            if position is not None:
                stored = stored.at(POSITIONS, position)
            turned = int(page.tags.valueof(ORIENTATION, 1) or 1)
            stored = stored.without(UNKNOWN_AXES).turned(turned)
            axes = _name_axes(stored.shape, stored.axes, part)
            array, axes = part.read(dataclasses.replace(stored, axes=axes), max_bytes=max_bytes)
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            method = tifffile.COMPRESSION(page.compression).name
            raise Unreadable(
                f"is compressed with {method}, which tifffile unpacks only with the package "
                "imagecodecs; install that, or save the file without compression"
            ) from None
        pixels, colour = to_channels_last(array, axes), False
        names, pixel_size = _metadata(tif, main)
        if isinstance(pixel_size, tuple):
            pixel_size = _as_turned(pixel_size, turned)
        if names and len(names) != pixels.shape[2]:
            names = None
        # A palette of ImageJ only says how a channel was displayed; the numbers are intensities.
        displayed = tif.is_imagej and page.photometric == tifffile.PHOTOMETRIC.PALETTE
        if names is None and not (as_stored or displayed):
            pixels, colour = meant(pixels, page, max_bytes=max_bytes)
        return Contents(
            pixels,
            channels=names,
            colour=colour,
            pixel_size=pixel_size,
            full_shape=_as_turned(part.full_shape(main.shape, main.axes), turned),
            whole_shape=_as_turned(part.whole_shape(main.shape, main.axes), turned),
            white_is_zero=page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and not as_stored,
        )


def _names_other_folders(tif: tifffile.TiffFile) -> bool:
    """Whether OME-XML says that planes are in files of another folder; those are never opened."""
    with contextlib.suppress(ElementTree.ParseError):
        elements = ElementTree.fromstring(tif.ome_metadata or "<OME/>").iter()
        return any(set("/\\") & set(element.get("FileName", "")) for element in elements)
    return False


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep tifffile's log lines of this thread off the terminal; serious problems are raised."""
    thread = threading.get_ident()
    logger = logging.getLogger("tifffile")

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(elsewhere)
    try:
        yield
    finally:
        logger.removeFilter(elsewhere)


def _as_turned(sides: tuple[Side, Side] | None, turned: int) -> tuple[Side, Side] | None:
    """Convert (rows, columns) as stored in the file to those of the image as it is shown."""
    return sides[::-1] if sides is not None and turned in (5, 6, 7, 8) else sides


def _images(tif: tifffile.TiffFile) -> list[Listed[tuple[tifffile.TiffPageSeries, int | None]]]:
    """All images of a file: each is a series, or one position of a series with several."""
    if not tif.series:
        raise Unreadable("is a TIFF without pages, maybe cut short; copy or save it again")
    images = []
    for series in _apart(tif):
        sizes = dict(zip(series.axes, series.shape, strict=True))
        plane = (sizes.get("Y", 0), sizes.get("X", 0))
        n_positions = sizes.get(POSITIONS, 1)
        # Slide scanners give these names to images beside the scan; elsewhere they mean nothing.
        named_so = series.kind in SLIDES and series.name.lower() in ("thumbnail", "label", "macro")
        is_thumbnail = series.keyframe.is_reduced or named_so
        for n in range(n_positions):
            name = f"{series.name} position {n}".strip() if n_positions > 1 else series.name
            place = n if POSITIONS in sizes else None
            shape = tuple(length for axis, length in sizes.items() if axis != POSITIONS)
            images.append(Listed(name, plane, (series, place), is_thumbnail, shape))
    return images


def _apart(tif: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """The series of a file; smaller copies that tifffile found only by size become separate series.

    Pages half as large as those before may be another image, unless the file says that they are a
    copy.
    """
    several = []
    for series in tif.series:
        several.append(series)
        if series.kind == "generic":
            others = [
                level
                for level in series.levels[1:]
                if not (level.keyframe.is_reduced or level.keyframe.is_subifd)
            ]
            for level in others:
                series.levels.remove(level)
            several += others
    return several


def _stored(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, max_bytes: int) -> Stored:
    """The image of the file, to be read in parts."""
    page = series.keyframe
    lead = len(series.shape) - len(page.shape)
    if series.dataoffset is not None:
        dtype = np.dtype(tif.byteorder + series.dtype.char)

        def read(index: tuple[int | slice, ...]) -> Array:
            # Mapped again for each read, because mapped pages count as memory once they are read.
            mapped = tif.filehandle.memmap_array(dtype, series.shape, series.dataoffset or 0)
            return np.array(mapped[index])

    elif (
        lead >= 0
        and series.shape[lead:] == page.shape
        and math.prod(series.shape[:lead]) == len(series)
    ):

        def read(index: tuple[int | slice, ...]) -> Array:
            def of_page(number: int) -> Array:
                return _of_page(series[number], page, index[lead:])

            return of_frames(series.shape, index, of_page, lead=lead)

    else:
        # Pages are combined in another way: read all of them at once.
        check_size(math.prod(series.shape) * series.dtype.itemsize, max_bytes)
        return in_memory(series.asarray(), series.axes)
    return Stored(series.shape, series.axes, series.dtype, read)


def _of_page(
    page: tifffile.TiffPage | tifffile.TiffFrame | None,
    keyframe: tifffile.TiffPage,
    within: tuple[int | slice, ...],
) -> Array:
    """A part of a page; only the strips and tiles that a region touches are unpacked."""
    assert page is not None, "missing pages were refused before"
    spans = spans_of(dict(zip(keyframe.axes, within, strict=True)), keyframe.shape)
    rows, cols = spans.get("Y", range(0)), spans.get("X", range(0))
    whole = (len(rows), len(cols)) == keyframe.shaped[2:4]
    if whole or not (rows and cols) or keyframe.is_contiguous or keyframe.jpegheader is not None:
        if keyframe.is_memmappable:
            return np.array(page.asarray(out="memmap")[within])
        pixels: Array = page.asarray()
        return pixels if whole and len(spans) == pixels.ndim else pixels[within].copy()
    separate, depth, _, _, samples = keyframe.shaped
    shape = (separate, depth, len(rows), len(cols), samples)
    found = np.full(shape, keyframe.nodata, keyframe.dtype)
    more = {"jpegtables": page.jpegtables} if keyframe.compression in IN_COLOUR else {}
    file = page.parent.filehandle
    for number, size in enumerate(page.databytecounts):
        _, (s, d, top, left, _), (_, height, width, _) = keyframe.decode(None, number, **more)
        in_rows, in_cols = _overlap(top, height, rows), _overlap(left, width, cols)
        if not (size and in_rows and in_cols):
            continue
        file.seek(page.dataoffsets[number])
        part: Array = np.asarray(keyframe.decode(file.read(size), number, **more)[0])
        part = part[: depth - d, in_rows.start - top : in_rows.stop - top]
        part = part[:, :, in_cols.start - left : in_cols.stop - left]
        at = (in_rows.start - rows.start, in_cols.start - cols.start)
        found[
            s, d : d + len(part), at[0] : at[0] + part.shape[1], at[1] : at[1] + part.shape[2]
        ] = part
    lengths = dict(zip(keyframe.axes, keyframe.shape, strict=True))
    lengths |= {"Y": len(rows), "X": len(cols)}
    found = found.reshape(tuple(lengths.values()))
    return found[
        tuple(slice(None) if axis in "YX" else i for axis, i in zip(lengths, within, strict=True))
    ]


def _overlap(start: int, length: int, wanted: range) -> range:
    """The wanted rows or columns that are in a segment beginning at `start`."""
    return range(max(start, wanted.start), min(start + length, wanted.stop))


def _check_complete(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, position: int | None
) -> None:
    """Refuse a file that is cut short; tifffile would fill in zeros."""
    size, tiff = tif.filehandle.size, tif.tiff
    n_pages = len(tif.pages)
    tif.filehandle.seek(tif.pages.next_page_offset or 0)
    after_last = struct.unpack(tiff.offsetformat, tif.filehandle.read(tiff.offsetsize))[0]
    if after_last:
        raise Unreadable(
            f"is damaged or cut short: its list of pages breaks off after page {n_pages}; "
            "copy or save it again"
        )
    needed = 0
    if series.dataoffset is not None:
        needed = series.dataoffset + math.prod(series.shape) * series.dtype.itemsize
    else:
        for page in _pages(series, position):
            if page is None:
                raise Unreadable(
                    "lacks some of its planes, which may be in other files of its set; "
                    "save it again as one file"
                )
            ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
            needed = max(needed, *ends)
    if needed > size:
        raise Unreadable(
            f"is cut short: its pixels end at byte {needed}, the file at byte {size}; "
            "copy or save it again"
        )


def _pages(
    series: tifffile.TiffPageSeries, position: int | None
) -> list[tifffile.TiffPage | tifffile.TiffFrame | None]:
    """The pages of a series, or of one position if it has several."""
    pages = list(series)
    lead = series.shape[: len(series.shape) - len(series.keyframe.shape)]
    at = series.axes.find(POSITIONS)
    if position is None or at >= len(lead) or math.prod(lead) != len(pages):
        return pages
    numbers = np.arange(len(pages)).reshape(lead).take(position, axis=at)
    return [pages[int(number)] for number in numbers.flat]


def _name_axes(shape: tuple[int, ...], axes: str, part: Part) -> str:
    """Give a meaning to axes that the file does not name."""
    unknown = [axis for axis in axes if axis in UNKNOWN_AXES]
    if not unknown:
        return axes
    if len(unknown) > 1 or "C" in axes or "Z" in axes:
        raise Unreadable(
            f"is a stack of shape {shape} that does not say what its axes are; "
            "save it with axes, as ImageJ or OME-TIFF, or save one plane"
        )
    if part.z is not None:
        return axes.replace(unknown[0], "Z")
    if len(shape) == 3 and "S" not in axes:
        if min(shape[0], shape[2]) <= MAX_CHANNELS:
            return "YXC" if channel_axis(shape) == 2 else "CYX"
        raise Unreadable(
            f"has {shape[0]} pages and does not say what they are; for planes of a stack "
            f"give z=0 to {shape[0] - 1}, or z='max' for the maximum projection; "
            f"for channels save it as ImageJ or OME-TIFF"
        )
    return axes.replace(unknown[0], "Z")


def _metadata(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries
) -> tuple[tuple[str, ...] | None, PixelSize | None]:
    """Channel names, from OME or ImageJ, and µm per pixel."""
    names, described = None, None
    # The pixels are read even if the metadata are invalid.
    with contextlib.suppress(Exception):
        if tif.ome_metadata:
            described = _described(tif, series)
            names = None if described is None else _names_of_ome(described)
        elif tif.imagej_metadata:
            labels = tif.imagej_metadata.get("Labels")
            names = tuple(str(label) for label in labels) if isinstance(labels, list) else None
    return names, pixel_size_of_tiff(tif, series, described)


def _described(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries
) -> ElementTree.Element | None:
    """The description of an image's pixels in OME-XML."""
    described = ElementTree.fromstring((tif.ome_metadata or "").encode()).findall(".//{*}Pixels")
    if not described:
        return None
    # Images without pixels in this file may be described too. Then the first one is used.
    return described[tif.series.index(series) if len(described) == len(tif.series) else 0]


def _names_of_ome(pixels: ElementTree.Element) -> tuple[str, ...] | None:
    found = [channel.get("Name") for channel in pixels.findall("{*}Channel")]
    names = tuple(name or f"channel {index}" for index, name in enumerate(found))
    return names if any(found) else None

"""TIFF, through tifffile: plain, ImageJ and OME, one page or many.

What each axis is, what the channels are called and how large a pixel is stands in the metadata;
where it does not, a TIFF of several pages is read like an array without names.
"""

from __future__ import annotations

import contextlib
import logging
import math
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from cellcutter_core.reading.axes import MAX_CHANNELS, channels_last, to_channels_last
from cellcutter_core.reading.contents import (
    Array,
    Contents,
    Stack,
    Unreadable,
    check_header,
    check_size,
)
from cellcutter_core.reading.tiff_colours import meant

# µm in each unit. Both signs for micro occur, and ImageJ writes one of them as an escape.
MICROMETRES = {
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "inch": 25400.0,
}

# Axes of pages whose meaning the file does not give (tifffile's "other" and "image" axes).
UNKNOWN_AXES = "QI"


def read_tiff(path: Path, stack: Stack, max_bytes: int, *, as_stored: bool = False) -> Contents:
    """Read one plane, with all its channels, of a TIFF file.

    With `as_stored` the numbers of a palette are what is read, not its colours.

    Raises
    ------
    Unreadable
        If it is a stack and no plane is chosen, holds several images of the same size, has axes
        that are neither plane nor channel, is cut short, or needs more than `max_bytes`.
    """
    with _silent(), tifffile.TiffFile(path) as tif:
        series = _main_series(tif)
        page = series.keyframe
        check_header(series.shape, series.dtype)
        # A tile is unpacked whole, and a damaged header can make it larger than the image.
        plane, n_planes = _planes(series)
        for shape in (series.shape, page.chunks):
            if not all(isinstance(length, int) for length in shape):
                raise Unreadable("is damaged: its header has several lengths for one axis")
            n_bytes = math.prod(shape) * series.dtype.itemsize
            check_size(n_bytes, max_bytes, plane=plane, n_planes=n_planes)
        _check_complete(tif, series)
        try:
            array = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            method = tifffile.COMPRESSION(page.compression).name
            raise Unreadable(
                f"is compressed with {method}, which tifffile unpacks only with the package "
                "imagecodecs; install that, or save the file without compression"
            ) from None
        array, axes = stack.flatten(*_name_axes(array, series.axes, stack))
        pixels, colour = to_channels_last(array, axes), False
        names, pixel_size = _metadata(tif)
        if names and len(names) != pixels.shape[2]:
            names = None
        # ImageJ writes how a channel was displayed as a palette; its numbers are what was measured.
        displayed = tif.is_imagej and page.photometric == tifffile.PHOTOMETRIC.PALETTE
        if names is None and not (as_stored or displayed):
            pixels, colour = meant(pixels, page, max_bytes=max_bytes)
        return Contents(
            pixels,
            channels=names,
            colour=colour,
            pixel_size=pixel_size,
            white_is_zero=page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and not as_stored,
        )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep tifffile's log lines of this thread off the terminal; what counts is raised."""
    thread = threading.get_ident()
    logger = logging.getLogger("tifffile")

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(elsewhere)
    try:
        yield
    finally:
        logger.removeFilter(elsewhere)


def _main_series(tif: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """The one image of the file; thumbnails, labels and the like are smaller."""
    if not tif.series:
        raise Unreadable("is a TIFF without pages, maybe cut short; copy or save it again")
    main = max(tif.series, key=lambda series: series.size)
    n_same = sum(series.shape == main.shape for series in tif.series)
    if n_same > 1:
        raise Unreadable(
            f"holds {n_same} separate images of shape {main.shape} (positions or series); "
            "save the one to segment as a file of its own"
        )
    return main


def _planes(series: tifffile.TiffPageSeries) -> tuple[tuple[int, int] | None, int]:
    """Rows and columns, where the axes say them, and how many planes there are of them."""
    sizes = dict(zip(series.axes, series.shape, strict=False))
    plane = (sizes["Y"], sizes["X"]) if "Y" in sizes and "X" in sizes else None
    return plane, math.prod(sizes.get(axis, 1) for axis in f"ZT{UNKNOWN_AXES}")


def _check_complete(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    """Refuse a file that ends before its pages or pixels do; tifffile would fill in zeros."""
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
        for page in series:
            if page is None:
                raise Unreadable(
                    "lacks some of its planes, they may be in other files of its set; "
                    "save it again as one file"
                )
            ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
            needed = max(needed, *ends)
    if needed > size:
        raise Unreadable(
            f"is cut short: its pixels end at byte {needed}, the file at byte {size}; "
            "copy or save it again"
        )


def _name_axes(array: Array, axes: str, stack: Stack) -> tuple[Array, str]:
    """Give a meaning to the axes of which the file does not say it."""
    unknown = [axis for axis in axes if axis in UNKNOWN_AXES]
    if not unknown:
        return array, axes
    if len(unknown) > 1 or "C" in axes or "Z" in axes:
        raise Unreadable(
            f"is a stack of shape {array.shape} that does not say what its axes are; "
            "save it with axes, as ImageJ or OME-TIFF, or save one plane"
        )
    if stack.z is not None:
        return array, axes.replace(unknown[0], "Z")
    if array.ndim == 3 and "S" not in axes:
        if min(array.shape[0], array.shape[2]) <= MAX_CHANNELS:
            return channels_last(array), "YXC"
        raise Unreadable(
            f"has {array.shape[0]} pages and does not say what they are; for planes of a stack "
            f"give z=0 to {array.shape[0] - 1}, or z='max' for the maximum projection; "
            f"for channels save it as ImageJ or OME-TIFF"
        )
    return array, axes.replace(unknown[0], "Z")


def _metadata(tif: tifffile.TiffFile) -> tuple[tuple[str, ...] | None, float | None]:
    """Channel names and µm per pixel, from OME or ImageJ."""
    # Metadata that cannot be understood is no reason not to read the pixels.
    with contextlib.suppress(Exception):
        if tif.ome_metadata:
            return _ome(tif.ome_metadata)
        if tif.imagej_metadata:
            return _imagej(tif)
    return None, None


def _ome(xml: str) -> tuple[tuple[str, ...] | None, float | None]:
    pixels = ElementTree.fromstring(xml.encode()).find(".//{*}Pixels")
    if pixels is None:
        return None, None
    found = [channel.get("Name") for channel in pixels.findall("{*}Channel")]
    names = tuple(name or f"channel {index}" for index, name in enumerate(found))
    size = pixels.get("PhysicalSizeX")
    unit = pixels.get("PhysicalSizeXUnit", "µm")
    return names if any(found) else None, _in_micrometres(float(size), unit) if size else None


def _imagej(tif: tifffile.TiffFile) -> tuple[tuple[str, ...] | None, float | None]:
    metadata = tif.imagej_metadata or {}
    labels = metadata.get("Labels")
    names = tuple(str(label) for label in labels) if isinstance(labels, list) else None
    size = None
    resolution = tif.pages.first.tags.get("XResolution")
    if resolution is not None and metadata.get("unit"):
        pixels, units = resolution.value
        size = _in_micrometres(units / pixels, str(metadata["unit"]))
    return names, size


def _in_micrometres(length: float, unit: str) -> float | None:
    size = length * MICROMETRES.get(unit.strip().lower(), np.nan)
    return size if math.isfinite(size) and size > 0 else None

"""Finds µm per pixel in a TIFF, which can store it in many ways."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import tifffile

from cellcutter_core.images.pixel_size import LARGEST_OF_RESOLUTION, PixelSize, of_sides
from cellcutter_core.images.reading.units import in_micrometres

RESOLUTION_UNITS = {2: "inch", 3: "cm", 4: "mm", 5: "µm"}


def pixel_size_of_tiff(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, described: ElementTree.Element | None
) -> PixelSize | None:
    """µm per pixel of an image of a TIFF file, from the first place that gives it.

    Parameters
    ----------
    tif : TiffFile
    series : TiffPageSeries
    described : Element, optional
        The description of this image's pixels in OME-XML.
    """
    if described is not None and (size := _ome(described)) is not None:
        return size
    for read in READERS:
        # The pixels are read even if the metadata are invalid.
        with contextlib.suppress(Exception):
            if (size := read(tif)) is not None:
                return size
    with contextlib.suppress(Exception):
        return _tags(series.keyframe)
    return None


def _ome(pixels: ElementTree.Element) -> PixelSize | None:
    return of_sides(*(_side(pixels, axis) for axis in "YX"))


def _side(pixels: ElementTree.Element, axis: str) -> float | None:
    size = pixels.get(f"PhysicalSize{axis}")
    with contextlib.suppress(ValueError):
        if size:
            return in_micrometres(float(size), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    return None


def _imagej(tif: tifffile.TiffFile) -> PixelSize | None:
    unit = str((tif.imagej_metadata or {}).get("unit") or "")
    if not unit:
        return None
    page = tif.pages.first
    return of_sides(*(_step(page, name, unit) for name in ("YResolution", "XResolution")))


def _step(page: Any, tag: str, unit: str) -> float | None:
    """The distance of pixels in µm, from the resolution, which is pixels per unit."""
    found = page.tags.get(tag)
    if found is None:
        return None
    pixels, units = found.value
    return in_micrometres(units / pixels, unit) if pixels else None


def _lsm(tif: tifffile.TiffFile) -> PixelSize | None:
    about = tif.lsm_metadata or {}
    return of_sides(*(in_micrometres(float(about[f"VoxelSize{axis}"]), "m") for axis in "YX"))


def _stk(tif: tifffile.TiffFile) -> PixelSize | None:
    about = tif.stk_metadata or {}
    unit = str(about["CalibrationUnits"])
    return of_sides(*(in_micrometres(float(about[f"{axis}Calibration"]), unit) for axis in "YX"))


def _metaseries(tif: tifffile.TiffFile) -> PixelSize | None:
    about = (tif.metaseries_metadata or {})["PlaneInfo"]
    unit = str(about["spatial-calibration-units"])
    sizes = (float(about[f"spatial-calibration-{axis}"]) for axis in "yx")
    return of_sides(*(in_micrometres(size, unit) for size in sizes))


def _micromanager(tif: tifffile.TiffFile) -> PixelSize | None:
    of_page = tif.pages.first.tags.valueof(51123) or {}
    of_file = (tif.micromanager_metadata or {}).get("Summary", {})
    size = of_page.get("PixelSizeUm") or of_file.get("PixelSize_um")
    return of_sides(None, float(size)) if size else None


def _svs(tif: tifffile.TiffFile) -> PixelSize | None:
    found = re.search(r"\|\s*MPP\s*=\s*([\d.]+)", tif.pages.first.description)
    return of_sides(None, float(found[1])) if found and tif.is_svs else None


def _fluoview(tif: tifffile.TiffFile) -> PixelSize | None:
    steps = {
        str(name).lower(): in_micrometres(float(step), str(unit))
        for name, _, _, step, unit in (tif.fluoview_metadata or {})["Dimensions"]
    }
    return of_sides(steps.get("y"), steps.get("x"))


def _sis(tif: tifffile.TiffFile) -> PixelSize | None:
    about = tif.sis_metadata or {}
    return of_sides(*(in_micrometres(float(about[f"pixelsize{axis}"]), "m") for axis in "yx"))


def _philips(tif: tifffile.TiffFile) -> PixelSize | None:
    text = tif.philips_metadata or ""
    found = re.search(r'DICOM_PIXEL_SPACING"[^>]*>\D*([\d.eE-]+)\D+([\d.eE-]+)', text)
    return (
        of_sides(*(in_micrometres(float(side), "mm") for side in found.groups())) if found else None
    )


def _tags(page: Any) -> PixelSize | None:
    unit = RESOLUTION_UNITS[int(page.tags.valueof(296, default=2))]
    size = of_sides(*(_step(page, name, unit) for name in ("YResolution", "XResolution")))
    largest = max(size) if isinstance(size, tuple) else size or 0.0
    printed = unit in ("inch", "cm") and largest > LARGEST_OF_RESOLUTION
    return None if printed else size


READERS: tuple[Callable[[tifffile.TiffFile], PixelSize | None], ...] = (
    _imagej,
    _lsm,
    _stk,
    _metaseries,
    _micromanager,
    _svs,
    _fluoview,
    _sis,
    _philips,
)

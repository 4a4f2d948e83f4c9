"""Reads points and areas from GeoJSON (RFC 7946) as QuPath and other programs write it.

Coordinates are x, y in pixels from the upper left corner of the whole image, along the edges of
pixels. Messages here lack the file's name, as in `cellcutter_core.images.reading.contents`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.reading.contents import Unreadable
from cellcutter_core.images.reading.drawn_shapes import Drawn, Ring

LARGEST_FILE = 128 * 1024**2
FARTHEST = 1e6
"""Larger files (in bytes), or coordinates beyond this, can't be a drawing on an image."""

AREAS, POINTS = ("Polygon", "MultiPolygon"), ("Point", "MultiPoint")
OTHERS = ("LineString", "MultiLineString")

CELLS = ("cell", "detection")
"""QuPath's types of objects that are one cell each. An annotation may surround many cells."""


def is_geojson(file: Path) -> bool:
    """Whether a file begins like JSON."""
    try:
        with file.open("rb") as opened:
            start = opened.read(512)
    except OSError:
        return False
    text = start.decode(json.detect_encoding(start), "replace").lstrip("\ufeff \t\r\n")
    following = text[1:].lstrip()
    return (text[:1] == "{" and following[:1] in ('"', "}")) or (
        text[:1] == "[" and following[:1] in ("{", "]")
    )


def read_geojson(file: Path, *, nuclei: bool = False) -> Drawn:
    """The points and areas of a file.

    It may hold a collection of features, a list of features (as QuPath can write), one feature or
    one geometry.

    Parameters
    ----------
    file : Path
    nuclei : bool
        For a QuPath cell that has a nucleus, take the nucleus.

    Raises
    ------
    Unreadable
        If it is not GeoJSON, is too large, or holds something other than points and areas.
    """
    if file.stat().st_size > LARGEST_FILE:
        raise Unreadable("is too large for GeoJSON of one image; save the cells of one image")
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Unreadable(
            f"begins like GeoJSON, but is damaged ({str(error)[:80]}); save it again"
        ) from None
    try:
        return _drawn(content, nuclei)
    except Unreadable:
        raise
    except Exception as error:  # Nothing in it needs to be as it should, so it fails in many ways.
        raise Unreadable(
            f"is JSON, but not GeoJSON of points or areas ({type(error).__name__}: "
            f"{str(error)[:80]}); export GeoJSON, as QuPath does"
        ) from None


def _drawn(content: Any, nuclei: bool) -> Drawn:
    shapes = list(_shapes(content, {}, nuclei))
    kinds = {kind for _, _, _, kind in shapes}
    ignored = ""
    if "annotation" in kinds and kinds & set(CELLS):
        several = len(shapes)
        shapes = [shape for shape in shapes if shape[3] != "annotation"]
        ignored = (
            f"{several - len(shapes)} annotations are left out; the {len(shapes)} detections are "
            "used"
        )
    points = [(rings[0], plane) for _, rings, plane, _ in shapes if not len(rings[0]) > 1]
    areas = [((name, rings), plane) for name, rings, plane, _ in shapes if len(rings[0]) > 1]
    # QuPath does not write the number of the first plane.
    missing = 0.0 if any(plane for _, _, plane, _ in shapes) else np.nan

    def planes(of: list[Mapping[str, Any]]) -> list[tuple[str, NDArray[np.float64]]]:
        return [(n, np.array([float(plane.get(n, missing)) for plane in of])) for n in "zt"]

    pixels = [np.floor(point[0]).astype(np.int64) for point, _ in points]
    return Drawn(
        np.array(pixels, np.int64).reshape(-1, 2),
        [area for area, _ in areas],
        planes([plane for _, plane in points]),
        planes([plane for _, plane in areas]),
        ignored,
    )


def _shapes(
    content: Any, properties: Mapping[str, Any], nuclei: bool
) -> Iterator[tuple[str, list[Ring], Mapping[str, Any], str]]:
    """Name, rings, plane and kind of object of each shape; a point is a ring of one position."""
    if isinstance(content, list):
        for one in content:
            yield from _shapes(one, properties, nuclei)
        return
    kind = content["type"]
    if kind == "FeatureCollection":
        yield from _shapes(content["features"], properties, nuclei)
    elif kind == "GeometryCollection":
        yield from _shapes(content["geometries"], properties, nuclei)
    elif kind == "Feature":
        properties = content.get("properties") or {}
        geometry = content.get("geometry")
        if nuclei and content.get("nucleusGeometry"):
            geometry = content["nucleusGeometry"]
        if geometry is not None:
            yield from _shapes(geometry, properties, nuclei)
    else:
        name = str(properties.get("name") or properties.get("objectType") or kind)[:40]
        plane = content.get("plane") or {}
        sort = str(properties.get("objectType") or "")
        if kind in OTHERS:
            raise Unreadable(f"holds {name!r}, which is a {kind}; save points or areas")
        if kind not in AREAS + POINTS:
            raise Unreadable(f"holds a {kind[:40]}, which is not GeoJSON; save points or areas")
        places = content["coordinates"]
        if kind in POINTS:
            for place in [places] if kind == "Point" else places:
                yield name, [_ring([place])], plane, sort
        else:
            polygons = [places] if kind == "Polygon" else places
            rings = [_ring(ring) for polygon in polygons for ring in polygon]
            if rings and all(len(ring) > 2 for ring in rings):
                yield name, rings, plane, sort


def _ring(places: Any) -> Ring:
    """(row, col) from x, y; further coordinates, such as a height, are left out."""
    ring = np.array([(place[1], place[0]) for place in places], np.float64).reshape(-1, 2)
    if not (np.abs(ring) < FARTHEST).all():
        raise Unreadable("holds coordinates that are beyond any image; give them in pixels")
    return ring

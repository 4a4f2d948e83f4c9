"""The cells as GeoJSON, from which QuPath makes detections."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.export.formats.table import FRAME
from cellcutter_core.export.outlines import Piece, Ring, cell_outlines
from cellcutter_core.export.segmented import Segmented
from cellcutter_core.images.pixel_size import height_and_width
from cellcutter_core.labels import check_labels
from cellcutter_core.view.coloring import label_colors


def geojson(
    labels: npt.ArrayLike,
    table: Mapping[str, npt.NDArray[Any]] | None = None,
    *,
    origin: tuple[int, int] = (0, 0),
    colors: npt.ArrayLike | None = None,
) -> dict[str, Any]:
    """A FeatureCollection with a detection for each cell, outlined along the edges of pixels.

    Coordinates are x, y in pixels from the upper left corner of the image, as QuPath counts them: a
    pixel spans from its number to the next, so that its middle is at a half. Where name, colour and
    measurements stand is what QuPath 0.4 and later read (QuPathTypeAdapters.java); the geometry is
    that of RFC 7946.

    Parameters
    ----------
    labels : (H, W) array of integers
        0 for background.
    table : mapping, optional
        As `cell_table` gives it for these labels: its columns become measurements, but for those
        of `FRAME`. What is no number, such as the solidity of a cell without extent, is left out.
    origin : (int, int)
        (row, col) of the labels' first pixel in the image that is open in QuPath, which is the
        whole one: of a region the place where it was cut out.
    colors : (N,) array of integers, optional
        Which colour each cell has, see `label_colors`.

    Returns
    -------
    dict
        What JSON can hold. A cell in several pieces is a MultiPolygon; its name is its id; its
        UUID follows from its form and id, so that the same cell gets the same one again.

    Raises
    ------
    ValueError
        If `labels` is no label image, or `table` is of other cells.
    """
    image = check_labels(labels)
    cells = cell_outlines(image, origin=origin)
    columns = dict(table or {})
    measured = columns.pop("id", np.array(list(cells))).tolist()
    if measured != list(cells):
        raise ValueError(
            f"table has {len(measured)} cells, but these labels have {len(cells)} or other ones; "
            "make it with cell_table from the same labels"
        )
    values = {
        name: np.asarray(column, np.float64).tolist()
        for name, column in columns.items()
        if name not in FRAME
    }
    painted = _colors(image, colors)
    features = []
    for number, (cell, pieces) in enumerate(cells.items()):
        properties: dict[str, Any] = {
            "objectType": "detection",
            "name": str(cell),
            "color": painted[cell],
        }
        if values:
            row = {name: column[number] for name, column in values.items()}
            properties["measurements"] = {n: v for n, v in row.items() if np.isfinite(v)}
        features.append(
            {
                "type": "Feature",
                "id": _uuid(cell, pieces),
                "geometry": _geometry(pieces),
                "properties": properties,
            }
        )
    return {"type": "FeatureCollection", "features": features}


def geojson_file(
    labels: npt.ArrayLike,
    table: Mapping[str, npt.NDArray[Any]] | None = None,
    *,
    origin: tuple[int, int] = (0, 0),
    colors: npt.ArrayLike | None = None,
    about: Mapping[str, Any] | None = None,
) -> bytes:
    """The content of a ``.geojson`` file of the cells; see `geojson`.

    `about`, such as `about_frame` says, becomes its member ``cellcutter``. RFC 7946 allows for
    members of one's own, which QuPath and GIS pass over.
    """
    found = geojson(labels, table, origin=origin, colors=colors)
    return compact_json(found if about is None else {**found, "cellcutter": dict(about)})


def about_frame(result: Segmented) -> dict[str, Any]:
    """What a file of cells says of its coordinates, in JSON."""
    row, col = result.region
    about: dict[str, Any] = {
        "image": result.image_name,
        "coordinates": "x, y in pixels of the whole image, from the upper left corner of its first "
        "pixel; row and col of a cell are 0 in the centre of that pixel",
    }
    if (row, col) != (0, 0) or result.whole_shape is not None:
        about["region"] = {"row": row, "col": col}
    if result.whole_shape is not None:
        about["whole image"] = dict(zip(("rows", "cols"), result.whole_shape, strict=True))
    if result.pixel_size is not None:
        sides = height_and_width(result.pixel_size)
        about |= zip(("pixel_height_um", "pixel_width_um"), sides, strict=True)
    return about


def compact_json(value: Mapping[str, Any]) -> bytes:
    """A value as short as JSON can be."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("utf-8")


def _geometry(pieces: list[Piece]) -> dict[str, Any]:
    polygons = [[_closed(ring) for ring in piece] for piece in pieces]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _closed(ring: Ring) -> list[list[int]]:
    """x, y of each corner; GeoJSON ends a ring where it began."""
    corners: list[list[int]] = ring[:, ::-1].tolist()
    return [*corners, corners[0]]


def _uuid(cell: int, pieces: list[Piece]) -> str:
    form = json.dumps([cell, [[ring.tolist() for ring in piece] for piece in pieces]])
    return str(uuid.uuid5(uuid.NAMESPACE_OID, form))


def _colors(labels: npt.NDArray[Any], colors: npt.ArrayLike | None) -> dict[int, list[int]]:
    """Id → red, green, blue, as the cell is shown everywhere."""
    if labels.size == 0:
        return {}
    ids, first = np.unique(labels, return_index=True)
    painted = label_colors(labels, colors=colors)[..., :3].reshape(-1, 3)[first]
    return dict(zip(ids.tolist(), painted.tolist(), strict=True))

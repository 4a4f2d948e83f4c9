"""The cells as GeoJSON, which QuPath reads as detections."""

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
from cellcutter_core.label_image import check_labels
from cellcutter_core.view.coloring import label_colors


def geojson(
    labels: npt.ArrayLike,
    table: Mapping[str, npt.NDArray[Any]] | None = None,
    *,
    origin: tuple[int, int] = (0, 0),
    colors: npt.ArrayLike | None = None,
) -> dict[str, Any]:
    """Return a FeatureCollection with a detection for each cell, outlined along pixel edges.

    Coordinates are x, y in pixels from the upper left corner of the image, as in QuPath: pixel k
    spans k to k + 1, with its centre at k + 0.5. Name, colour and measurements are stored where
    QuPath 0.4 and later read them (QuPathTypeAdapters.java). The geometry is that of RFC 7946.

    Parameters
    ----------
    labels : (H, W) array of integers
        0 for background.
    table : mapping, optional
        The table that `cell_table` returns for these labels. Its columns, except for those of
        `FRAME`, become measurements. Values that are not finite, such as the solidity of a cell
        without extent, are left out.
    origin : (int, int)
        (row, col) of the labels' first pixel in the whole image, which is open in QuPath.
    colors : (N,) array of integers, optional
        The colour of each cell, see `label_colors`.

    Returns
    -------
    dict
        Only types that JSON has. A cell in several pieces is a MultiPolygon. Its name is its id.
        Its UUID depends only on its shape and id, so the same cell always gets the same UUID.

    Raises
    ------
    ValueError
        If `labels` is no label image, or `table` is not that of these cells.
    """
    image = check_labels(labels)
    cells = cell_outlines(image, origin=origin)
    columns = dict(table or {})
    measured = columns.pop("id", np.array(list(cells))).tolist()
    if measured != list(cells):
        raise ValueError(
            f"table has {len(measured)} cells, but labels has {len(cells)} cells or other ids; "
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
    """Return the content of a ``.geojson`` file of the cells, see `geojson`.

    `about`, such as the result of `about_frame`, is stored as the member ``cellcutter``. RFC 7946
    allows additional members; QuPath and GIS ignore them.
    """
    found = geojson(labels, table, origin=origin, colors=colors)
    return compact_json(found if about is None else {**found, "cellcutter": dict(about)})


def about_frame(result: Segmented) -> dict[str, Any]:
    """Return what a file of cells states about its coordinates, in types that JSON has."""
    row, col = result.region
    about: dict[str, Any] = {
        "image": result.image_name,
        "coordinates": "x, y in pixels of the whole image, from the upper left corner of its first "
        "pixel; row and col of a cell are 0 at the centre of that pixel",
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
    """Return a value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("utf-8")


def _geometry(pieces: list[Piece]) -> dict[str, Any]:
    polygons = [[_closed(ring) for ring in piece] for piece in pieces]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _closed(ring: Ring) -> list[list[int]]:
    """Return x, y of each corner, closed: in GeoJSON a ring ends with its first corner."""
    corners: list[list[int]] = ring[:, ::-1].tolist()
    return [*corners, corners[0]]


def _uuid(cell: int, pieces: list[Piece]) -> str:
    form = json.dumps([cell, [[ring.tolist() for ring in piece] for piece in pieces]])
    return str(uuid.uuid5(uuid.NAMESPACE_OID, form))


def _colors(labels: npt.NDArray[Any], colors: npt.ArrayLike | None) -> dict[int, list[int]]:
    """Return id → (red, green, blue), the same colours as in all pictures."""
    if labels.size == 0:
        return {}
    ids, first = np.unique(labels, return_index=True)
    painted = label_colors(labels, colors=colors)[..., :3].reshape(-1, 3)[first]
    return dict(zip(ids.tolist(), painted.tolist(), strict=True))

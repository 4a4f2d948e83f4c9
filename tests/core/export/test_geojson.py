"""QuPath gets every cell as a valid polygon of exactly its pixels."""

from __future__ import annotations

import json
import uuid
from typing import Any

import numpy as np
import pytest
import shapely
from label_forms import IMAGES
from numpy.typing import NDArray
from shapely.geometry import shape

from cellcutter_core.export.formats.geojson import geojson, geojson_file
from cellcutter_core.export.formats.table import cell_table

ALL = pytest.mark.parametrize("labels", IMAGES.values(), ids=IMAGES.keys())


def read(labels: NDArray[np.int64], table: Any = None) -> list[dict[str, Any]]:
    """The features as a reader that knows nothing of us gets them."""
    content = json.loads(geojson_file(labels, table), parse_constant=pytest.fail)
    assert content["type"] == "FeatureCollection"
    features: list[dict[str, Any]] = content["features"]
    return features


@ALL
def test_polygons_are_valid_and_cover_exactly_the_pixels(labels: NDArray[np.int64]) -> None:
    rows, cols = np.mgrid[: labels.shape[0], : labels.shape[1]] + 0.5
    drawn = np.zeros_like(labels)
    for feature in read(labels):
        polygon = shape(feature["geometry"])
        assert polygon.is_valid, shapely.is_valid_reason(polygon)
        cell = int(feature["properties"]["name"])
        assert polygon.area == (labels == cell).sum()
        drawn[shapely.contains_xy(polygon, cols, rows)] += cell
    np.testing.assert_array_equal(drawn, labels)


@ALL
def test_rings_are_closed_and_run_as_the_standard_wants(labels: NDArray[np.int64]) -> None:
    """RFC 7946, 3.1.6: outer rings counterclockwise, holes clockwise (y upwards)."""
    for feature in read(labels):
        geometry = feature["geometry"]
        several = geometry["type"] == "MultiPolygon"
        for polygon in geometry["coordinates"] if several else [geometry["coordinates"]]:
            for number, ring in enumerate(polygon):
                assert ring[0] == ring[-1]
                assert shapely.LinearRing(ring).is_ccw == (number == 0)


def test_names_ids_colours_and_measurements_are_where_qupath_reads_them() -> None:
    labels = IMAGES["neighbours"]
    pixels = np.arange(24.0).reshape(3, 4, 2)
    table = cell_table(labels, pixels, channels=["cell", "nucleus"], pixel_size=0.5)
    features = read(labels, table)
    assert [feature["properties"]["name"] for feature in features] == ["1", "2", "3"]
    for number, feature in enumerate(features):
        uuid.UUID(feature["id"])
        properties = feature["properties"]
        assert properties["objectType"] == "detection"
        assert len(properties["color"]) == 3
        measured = properties["measurements"]
        assert measured["area_um2"] == 0.25 * (labels == number + 1).sum()
        assert measured["mean_nucleus"] == pixels[labels == number + 1, 1].mean()
        assert measured["touches_border"] == 1
    assert len({feature["id"] for feature in features}) == 3
    assert len({tuple(feature["properties"]["color"]) for feature in features}) == 3
    assert [f["id"] for f in read(labels)] == [f["id"] for f in features]
    moved = read(np.pad(labels, 1))
    assert not {f["id"] for f in moved} & {f["id"] for f in features}


def test_what_is_no_number_is_left_out() -> None:
    (feature,) = read(IMAGES["pixel"], {"id": np.array([1]), "a": np.array([np.nan])})
    assert feature["properties"]["measurements"] == {}


def test_no_cells() -> None:
    assert read(np.zeros((3, 4), int)) == []
    assert read(np.zeros((0, 4), int)) == []


def test_a_table_of_other_cells() -> None:
    with pytest.raises(ValueError, match="table has 1 cells"):
        geojson(IMAGES["neighbours"], cell_table(IMAGES["pixel"]))


def test_cells_of_a_region_lie_where_they_are_in_the_whole_image() -> None:
    """QuPath opens the image as it is in its file; it knows nothing of the region."""
    whole = np.zeros((40, 50), int)
    whole[22:25, 31:35] = 6
    region = whole[20:, 30:]
    (there,) = read(whole)
    (here,) = json.loads(geojson_file(region, origin=(20, 30)))["features"]
    assert here["geometry"] == there["geometry"]
    assert here["geometry"]["coordinates"][0][0] == [31, 22]
    assert here["id"] == there["id"]
    assert shape(here["geometry"]).centroid.coords[0] == (33, 23.5)

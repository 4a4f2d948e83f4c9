"""OME-Zarr as written by hand is read by Zarr's own library, and says what the standard wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from cellcutter_core.export.formats.ome_zarr import ome_zarr
from cellcutter_core.export.formats.table import cell_table
from cellcutter_core.simulation.sample import sample


def opened(files: dict[str, bytes], folder: Path) -> zarr.Group:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return zarr.open_group(folder, mode="r", zarr_format=2)


def image(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> NDArray[Any]:
    values = np.random.default_rng(seed).integers(0, 120, shape)
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "i2", "u4", "i8", "f2", "f4", ">f8"])
def test_every_type_is_read_back_equal(dtype: str, tmp_path: Path) -> None:
    pixels = image((30, 40, 2), dtype)
    labels = image((30, 40), np.int32, 1)
    group = opened(ome_zarr(pixels, labels), tmp_path)
    np.testing.assert_array_equal(group["0"][:], np.moveaxis(pixels, -1, 0))
    assert group["0"].dtype == np.dtype(dtype).newbyteorder("<")
    np.testing.assert_array_equal(group["labels/cells/0"][:], labels)


def test_a_large_image_has_chunks_and_smaller_levels(tmp_path: Path) -> None:
    pixels, labels = image((701, 1100, 2), np.uint16), image((701, 1100), np.uint16, 1)
    group = opened(ome_zarr(pixels, labels, pixel_size=0.5), tmp_path)
    np.testing.assert_array_equal(group["0"][:], np.moveaxis(pixels, -1, 0))
    np.testing.assert_array_equal(group["labels/cells/0"][:], labels)
    shapes = [(701, 1100), (351, 550), (176, 275), (88, 138)]
    for place, axes in ((group, "cyx"), (group["labels/cells"], "yx")):
        (scales,) = place.attrs["multiscales"]
        assert [axis["name"] for axis in scales["axes"]] == list(axes)
        assert [axis.get("unit") for axis in scales["axes"]][-2:] == ["micrometer"] * 2
        assert [place[d["path"]].shape[-2:] for d in scales["datasets"]] == shapes
        for level, dataset in enumerate(scales["datasets"]):
            scale, *moved = dataset["coordinateTransformations"]
            assert scale["scale"][-2:] == [0.5 * 2**level] * 2
            # The first pixel of a level has its centre in the middle of those it was made of.
            offset = moved[0]["translation"][-2:] if moved else [0, 0]
            assert offset == [0.5 * np.arange(2**level).mean()] * 2
    half = group["1"][0]
    np.testing.assert_array_equal(
        half[:350], np.rint(pixels[:700, :, 0].reshape(350, 2, 550, 2).mean(axis=(1, 3)))
    )
    np.testing.assert_array_equal(half[350], np.rint(pixels[700, :, 0].reshape(550, 2).mean(1)))
    np.testing.assert_array_equal(group["labels/cells/1"][:], labels[::2, ::2])


def test_channels_cells_and_their_measurements_have_names(tmp_path: Path) -> None:
    seen = sample((128, 128))
    assert seen.truth is not None
    table = cell_table(seen.truth, seen.pixels, channels=seen.channels)
    nucleus = seen.channels.index("nucleus")
    files = ome_zarr(
        seen.pixels, seen.truth, name="a", channels=seen.channels, nucleus=nucleus, table=table
    )
    group = opened(files, tmp_path)
    shown = group.attrs["omero"]["channels"]
    assert [channel["label"] for channel in shown] == list(seen.channels)
    assert shown[nucleus]["color"] == "2896FF"
    for channel in shown:
        window = channel["window"]
        assert window["min"] <= window["start"] < window["end"] <= window["max"]
    assert "unit" not in group.attrs["multiscales"][0]["axes"][1]
    assert group["labels"].attrs["labels"] == ["cells"]
    about = group["labels/cells"].attrs["image-label"]
    ids = np.unique(seen.truth)[1:].tolist()
    assert [color["label-value"] for color in about["colors"]] == ids
    assert {len(color["rgba"]) for color in about["colors"]} == {4}
    assert [row["label-value"] for row in about["properties"]] == ids
    assert [row["area"] for row in about["properties"]] == table["area"].tolist()


def test_no_cells(tmp_path: Path) -> None:
    labels = np.zeros((20, 20), np.int32)
    pixels = np.zeros((20, 20, 1))
    group = opened(ome_zarr(pixels, labels, table=cell_table(labels, pixels)), tmp_path)
    assert not group["labels/cells/0"][:].any()


@pytest.mark.parametrize("shape", [(4, 4), (4, 5, 1), (0, 4, 1)])
def test_what_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(H, W, channels\)"):
        ome_zarr(np.zeros(shape), np.zeros((4, 4), int))

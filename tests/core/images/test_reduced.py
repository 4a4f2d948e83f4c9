"""Images that are too large to be read: looked at smaller, and read by regions."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from cellcutter_core.choices.sources import open_source, read_region, read_source
from cellcutter_core.choices.uploads import as_channels, store_upload
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.reading.contents import TooLarge
from cellcutter_core.images.reading.readers import read_contents
from cellcutter_core.simulation.sample import sample

PIXELS = np.random.default_rng(0).integers(0, 60_000, (2, 190, 250)).astype(np.uint16)
"""Channels, rows, columns."""
BYTES = PIXELS.nbytes


def as_tiff(folder: Path, **options: Any) -> Path:
    path = folder / "a.tif"
    tifffile.imwrite(path, PIXELS, **({"metadata": {"axes": "CYX"}} | options))
    return path


def as_npy(folder: Path) -> Path:
    np.save(folder / "a.npy", PIXELS)
    return folder / "a.npy"


def as_zarr(folder: Path, *, halves: tuple[int, ...] = ()) -> Path:
    """With versions of the image so many times smaller; what they hold tells which was read."""
    group = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=2)
    for level in (1, *halves):
        group.create_array(str(level), data=_marked(level), chunks=(1, 32, 32))
    datasets = [{"path": str(level)} for level in (1, *halves)]
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space"} for n in "yx")]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return folder / "a.zarr"


def _marked(level: int) -> np.ndarray:
    pixels = PIXELS[:, ::level, ::level]
    return pixels if level == 1 else pixels // 2 + level


def as_pyramid(folder: Path) -> Path:
    """A TIFF as QuPath and Bio-Formats write it, smaller versions in sub-directories."""
    path = folder / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(PIXELS, subifds=2, metadata={"axes": "CYX"}, tile=(32, 32))
        for level in (2, 4):
            tif.write(_marked(level), subfiletype=1, tile=(32, 32))
    return path


@pytest.mark.parametrize(
    "write",
    [
        as_tiff,
        lambda folder: as_tiff(folder, tile=(32, 48), compression="zlib"),
        lambda folder: as_tiff(folder, rowsperstrip=7, compression="zlib"),
        lambda folder: as_tiff(folder, ome=True),
        lambda folder: as_tiff(folder, bigtiff=True, byteorder=">"),
        as_npy,
        as_zarr,
    ],
)
@pytest.mark.parametrize("limit", [BYTES - 1, BYTES // 3])
def test_every_so_many_rows_and_columns(
    tmp_path: Path, write: Callable[[Path], Path], limit: int
) -> None:
    path = write(tmp_path)
    with pytest.raises(TooLarge, match=r"^a\S+: needs .* read a region of at most"):
        read_image(path, max_bytes=limit)
    image = read_image(path, reduced_to=70, max_bytes=limit)
    assert image.full_shape == (190, 250)
    np.testing.assert_array_equal(np.moveaxis(image.pixels, 2, 0), PIXELS[:, ::4, ::4])


@pytest.mark.parametrize("write", [lambda folder: as_zarr(folder, halves=(2, 4)), as_pyramid])
@pytest.mark.parametrize(
    ("side", "level", "every"), [(250, 1, 1), (249, 1, 2), (125, 2, 1), (100, 2, 2), (60, 4, 2)]
)
def test_the_smaller_versions_in_a_file_are_used(
    tmp_path: Path, write: Callable[[Path], Path], side: int, level: int, every: int
) -> None:
    image = read_image(write(tmp_path), reduced_to=side)
    assert image.full_shape == (None if side == 250 else (190, 250))
    expected = _marked(level)[:, ::every, ::every]
    np.testing.assert_array_equal(np.moveaxis(image.pixels, 2, 0), expected)


def test_what_is_no_smaller_version_is_left_alone(tmp_path: Path) -> None:
    """Planes of a volume that is reduced along z as well are others."""
    path = as_zarr(tmp_path)
    group = zarr.open_group(path, mode="a")
    group.create_array("2", data=PIXELS[:1, ::2, ::2])
    group.create_array("3", data=PIXELS[:, ::2, ::2].astype(np.float32))
    scales = group.attrs["multiscales"]
    scales[0]["datasets"] += [{"path": "2"}, {"path": "3"}]
    group.attrs["multiscales"] = scales
    image = read_image(path, reduced_to=125)
    np.testing.assert_array_equal(np.moveaxis(image.pixels, 2, 0), PIXELS[:, ::2, ::2])


def test_a_projection(tmp_path: Path) -> None:
    stack = np.stack([PIXELS, PIXELS[::-1], PIXELS[:, ::-1]])
    path = as_tiff(tmp_path)
    tifffile.imwrite(path, stack, metadata={"axes": "ZCYX"}, tile=(32, 32))
    with pytest.raises(TooLarge):
        read_image(path, z="max", max_bytes=BYTES)
    image = read_image(path, z="max", reduced_to=125, max_bytes=BYTES)
    np.testing.assert_array_equal(np.moveaxis(image.pixels, 2, 0), stack.max(axis=0)[:, ::2, ::2])


def test_what_would_take_too_long_to_pass_through(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="a region of at most"):
        read_image(as_npy(tmp_path), reduced_to=70, max_bytes=BYTES // 9)
    # A smaller version in the file is all that is passed through.
    read_image(as_zarr(tmp_path, halves=(2,)), reduced_to=70, max_bytes=BYTES // 9)


def test_one_that_is_read_whole_comes_as_it_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=PIXELS)
    image = read_image(tmp_path / "a.npz", reduced_to=70)
    assert (image.shape, image.full_shape) == ((190, 250), None)


@pytest.mark.parametrize("options", [{}, {"tile": (64, 64), "compression": "zlib"}])
def test_little_memory_is_taken(tmp_path: Path, options: dict[str, Any]) -> None:
    pixels = np.zeros((3000, 4000), np.uint16)
    pixels[::8, ::8] = np.arange(375 * 500, dtype=np.uint16).reshape(375, 500)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, **options)
    read_contents(path, region=(0, 0, 9, 9))  # Imports what is needed.
    tracemalloc.start()
    found = read_contents(path, reduced_to=500, max_bytes=pixels.nbytes // 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found.pixels[..., 0], pixels[::8, ::8])
    assert peak < pixels.nbytes / 4


# As a source of the app ---------------------------------------------------------------------------


@pytest.fixture
def small_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    monkeypatch.setenv("CELLCUTTER_IMAGE_LIMIT", "5MB")


def large_sample() -> np.ndarray:
    """The built-in sample sixteen times, in two channels."""
    image = sample()
    two = np.stack([image.channel("fluorescence"), image.channel("nucleus")])
    return np.tile(two, (1, 4, 4))


@pytest.mark.usefixtures("small_limit")
def test_a_large_source_is_opened_smaller_and_read_by_regions(tmp_path: Path) -> None:
    pixels = large_sample()
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata={"axes": "CYX"}, imagej=True)
    source = store_upload("a.tif", (tmp_path / "a.tif").read_bytes())
    with pytest.raises(TooLarge):
        read_source(source)
    seen = open_source(source)
    assert seen.full_shape == (2048, 2048)
    seen = seen.with_roles(cell=[1], nucleus=0)
    part = read_region(source, (100, 200, 300, 500), seen)
    np.testing.assert_array_equal(np.moveaxis(part.pixels, 2, 0), pixels[:, 100:300, 200:500])
    assert (part.roles, part.full_shape) == (seen.roles, None)
    with pytest.raises(TooLarge, match="a region of at most"):
        read_region(source, (0, 0, 2048, 2048), seen)


@pytest.mark.parametrize("n_files", [1, 2])
def test_a_region_with_a_corner_of_a_gap_of_nan_is_read(
    tmp_path: Path, n_files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLCUTTER_IMAGE_LIMIT", f"{5 * n_files}MB")
    pixels = large_sample()[0].astype(np.float32)
    pixels[:500, :500] = np.nan
    kept = []
    for name in ("actin.tif", "dapi.tif")[:n_files]:
        tifffile.imwrite(tmp_path / name, pixels, tile=(64, 64))
        kept.append(store_upload(name, (tmp_path / name).read_bytes()))
    source = kept[0] if n_files == 1 else as_channels(kept)
    seen = open_source(source)
    part = read_region(source, (490, 490, 600, 600), seen)
    assert (part.pixels[:10, :10] == seen.pixels.min()).all()
    np.testing.assert_array_equal(part.pixels[10:, :, 0], pixels[500:600, 490:600])

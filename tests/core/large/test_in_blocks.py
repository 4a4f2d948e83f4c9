"""An image that is too large to be worked on at once gets the cells that it would get at once."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import tifffile
from label_forms import filled
from numpy.typing import NDArray
from PIL import Image as Picture
from roifile import ImagejRoi
from shapely.geometry import shape

from cellcutter_core.__main__ import main
from cellcutter_core.apply import applying, cells_of_blocks, in_blocks
from cellcutter_core.apply.application_folder import Application, work
from cellcutter_core.apply.applying import Trained
from cellcutter_core.apply.cells_of_blocks import CellsOfBlocks
from cellcutter_core.apply.in_blocks import InBlocks, apply_in_blocks, forget_left_over
from cellcutter_core.config import FROM_NOTHING, PAPER, QUICK, Config
from cellcutter_core.evaluation.metrics import score
from cellcutter_core.export import IMAGE_FORMATS
from cellcutter_core.export.formats import zarr_pyramid
from cellcutter_core.export.formats.ome_zarr import FOLDER, ome_zarr
from cellcutter_core.export.formats.table import cell_table
from cellcutter_core.images import blocks
from cellcutter_core.images.blocks import blocks_of, lie_in, with_margin
from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.regions import cut_out
from cellcutter_core.images.scaling import Normalisation
from cellcutter_core.large import large_image, mask_and_markers, predicting
from cellcutter_core.large.block_tasks import Block
from cellcutter_core.large.large_image import LargeImage
from cellcutter_core.large.mask_and_markers import Found, find, with_diameter
from cellcutter_core.large.predicting import PredictedCells, Reduced
from cellcutter_core.markers.finding import find_cells, find_nuclei
from cellcutter_core.mask.mask_of_settings import mask_channels
from cellcutter_core.pipeline import prepare
from cellcutter_core.runs.lock import held
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample, save
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.image_inputs import seen_channels
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.marker_check import checked_markers
from cellcutter_core.view.coloring import label_colors

SHAPE = (420, 560)
# Of the images in files, which have four blocks.
FILE_SHAPE = (320, 440)
SIDE = 200


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, and an image in files of several kinds."""
    folder = tmp_path_factory.mktemp("place")
    save(sample((160, 160), seed=3), folder / "own.npz")
    small = [
        *("--set", "training.steps=2", "--set", "training.crops=8"),
        *("--set", "training.precision=float32", "--epochs", "1"),
    ]
    assert main(["segment", str(folder / "own.npz"), "--out", str(folder / "run"), *small]) == 0
    pixels = np.moveaxis(large_sample().pixels[: FILE_SHAPE[0], : FILE_SHAPE[1]], -1, 0)
    names = {"Name": list(large_sample().channels)}
    about = {"axes": "CYX", "Channel": names, "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(folder / "large.ome.tif", pixels, ome=True, tile=(64, 64), metadata=about)
    dark = pixels.max() - pixels
    # Seen also where only every so many pixels are looked at.
    dark[:, 0, 0] = dark.max()
    tifffile.imwrite(folder / "dark.ome.tif", dark, ome=True, tile=(64, 64), metadata=about)
    return folder


@lru_cache
def large_sample() -> Image:
    return sample(SHAPE, seed=8)


@pytest.fixture(scope="module")
def trained(place: Path) -> Trained:
    return Trained(Run(place / "run"))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    make_blocks_small(monkeypatch)


def make_blocks_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is worked on at once be so small that the image has six blocks."""
    monkeypatch.setattr(blocks, "SIDE", SIDE)
    monkeypatch.setattr(applying, "AT_ONCE", SIDE * SIDE)
    monkeypatch.setattr(predicting, "SMALL", 150)
    monkeypatch.setattr(large_image, "SAMPLED", 300)
    monkeypatch.setattr(applying, "SAMPLED", 300)
    monkeypatch.setattr(mask_and_markers, "LOOKED_AT", 300)


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image may not be held as a whole."""
    monkeypatch.setenv("CELLCUTTER_IMAGE_LIMIT", "800KB")


def applied(
    trained: Trained, image: Image | LargeImage, folder: Path, *formats: str
) -> tuple[InBlocks, NDArray[Any]]:
    large = image if isinstance(image, LargeImage) else LargeImage.held(trained.in_roles(image))
    files = {name: folder / name for name in ("labels", *formats)}
    found = apply_in_blocks(trained, large, files)
    assert sorted(file.name for file in folder.iterdir()) == sorted(files)
    return found, tifffile.imread(folder / "labels")


@pytest.fixture(scope="module")
def in_every_format(
    trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Image, Path, InBlocks, NDArray[Any]]:
    """The image, the folder with what is taken home of it, what was found, and its labels."""
    folder = tmp_path_factory.mktemp("home")
    image = dataclasses.replace(trained.in_roles(large_sample()), pixel_size=0.5)
    with pytest.MonkeyPatch.context() as patched:
        make_blocks_small(patched)
        patched.setattr(zarr_pyramid, "CHUNK", 64)
        patched.setattr(zarr_pyramid, "BLOCK", 192)
        formats = (name for name in IMAGE_FORMATS if name != "labels")
        found, labels = applied(trained, image, folder, *formats)
    return image, folder, found, labels


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (101, 99), (640, 1280)])
def test_blocks_hold_every_pixel_once(size: tuple[int, int]) -> None:
    count = np.zeros(size, int)
    points = np.argwhere(count == 0)
    in_blocks = np.zeros(len(points), int)
    for box in blocks_of(size, side=100):
        count[box[0] : box[2], box[1] : box[3]] += 1
        in_blocks += lie_in(points, box)
        assert max(box[2] - box[0], box[3] - box[1]) <= 150
    assert (count == 1).all()
    assert (in_blocks == 1).all()
    assert with_margin((0, 10, 50, 90), 20, (60, 95)) == (0, 0, 60, 95)


def test_the_cells_are_those_of_the_image_at_once(trained: Trained, in_every_format: Any) -> None:
    image, _, found, labels = in_every_format
    at_once = trained.apply(image)
    assert labels.dtype == np.uint16
    n = len(at_once.inputs.points)
    assert n > 150
    assert abs(len(found.areas) - n) <= 0.02 * n
    agreement = score(labels, at_once.labels)
    # A marker that is near the limit to be dropped may be here and not there.
    assert agreement.average_precision[0] > 0.94
    assert agreement.average_precision[5] > 0.8
    # Each is in one piece, also where blocks meet.
    from skimage.measure import label

    assert label(labels, background=0, connectivity=2).max() == len(found.areas)
    np.testing.assert_array_equal(np.sort(np.bincount(labels.ravel())[1:]), np.sort(found.areas))
    assert found.mask_fraction == pytest.approx(at_once.mask_fraction, rel=0.03)
    assert abs(found.n_at_border - at_once.n_at_border) <= 3
    np.testing.assert_array_equal(found.labels, labels[::4, ::4])
    assert found.picture.shape == (*found.labels.shape, 3)


def test_markers_without_a_cell_of_their_own_are_dropped_as_in_the_image_at_once(
    trained: Trained, tmp_path: Path
) -> None:
    image = trained.in_roles(large_sample())
    large = LargeImage.held(image)
    found = find(large, trained.config, tmp_path)
    left = predicting.checked(large, found, trained.config, np.zeros(large.shape, np.int32))
    whole = (0, 0, *large.shape)
    seen = image.pixels[..., seen_channels(image, trained.config)]
    given = Inputs(seen, found.mask(whole), found.points, found.nuclei(whole))
    at_once = checked_markers(given, trained.config)
    assert 0 < len(found.points) - len(left.points) < 0.05 * len(found.points)
    np.testing.assert_array_equal(left.points, at_once.points)
    # Those that stay are numbered anew, each with its region.
    np.testing.assert_array_equal(left.nuclei(whole), at_once.nuclei)
    assert left.cell_diameter == pytest.approx(at_once.cell_diameter)


def test_what_is_taken_home_is_that_of_the_whole(
    trained: Trained, in_every_format: Any, tmp_path: Path
) -> None:
    image, home, found, labels = in_every_format
    seen = [image.channel_index(name) for name in trained.channels]
    order = [*seen, *(c for c in range(len(image.channels)) if c not in seen)]
    names = [image.channels[c] for c in order]
    expected = cell_table(labels, image.pixels[..., order], channels=names, pixel_size=0.5)
    with (home / "table").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["id"]))
    assert list(rows[0]) == list(expected)
    for name, column in expected.items():
        np.testing.assert_allclose(
            [float(row[name]) for row in rows], column.astype(float), rtol=1e-9, atol=1e-9
        )
    features = json.loads((home / "geojson").read_text())["features"]
    assert len(features) == len(found.areas)
    # A cell has one colour everywhere: in the preview, in the overlay and in QuPath.
    shown = label_colors(found.labels, colors=found.colors)[..., :3]
    for feature in features:
        here = found.labels == int(feature["properties"]["name"])
        assert (shown[here] == feature["properties"]["color"]).all()
    grid_rows, grid_cols = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    drawn = np.zeros(SHAPE, int)
    for feature in features:
        inside = shapely.contains_xy(shape(feature["geometry"]), grid_cols, grid_rows)
        drawn[inside] += int(feature["properties"]["name"])
    np.testing.assert_array_equal(drawn, labels)
    drawn = np.zeros(SHAPE, int)
    shutil.copy(home / "rois", tmp_path / "rois.zip")
    for roi in ImagejRoi.fromfile(tmp_path / "rois.zip"):
        several = roi.multi_coordinates is not None
        coordinates = roi.coordinates(multi=True) if several else [roi.coordinates()]
        rings = [ring[:, ::-1].astype(np.int32) for ring in coordinates]
        drawn[filled([_open(ring) for ring in rings], SHAPE)] += int(roi.name)
    np.testing.assert_array_equal(drawn, labels)
    for name in ("overlay", "borders"):
        with Picture.open(home / name) as picture:
            assert picture.size == (140, 105)
            assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 2


def test_an_ome_zarr_is_that_of_the_whole(
    trained: Trained, in_every_format: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, home, found, labels = in_every_format
    seen = [image.channel_index(name) for name in trained.channels]
    order = [*seen, *(c for c in range(len(image.channels)) if c not in seen)]
    about = {"channels": [image.channels[c] for c in order], "pixel_size": 0.5}
    pixels = image.pixels[..., order]
    monkeypatch.setattr(zarr_pyramid, "CHUNK", 64)
    measured, colors = cell_table(labels, pixels, **about), found.colors
    whole = ome_zarr(pixels, labels, name=image.name, table=measured, colors=colors, **about)
    with zipfile.ZipFile(home / "ome-zarr") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert {f"{FOLDER}/{name}" for name in whole} == set(files)
    assert len(files) > 300
    for name, content in whole.items():
        if not name.endswith(".zattrs"):
            assert files[f"{FOLDER}/{name}"] == content, name
    one, other = (json.loads(each) for each in (whole[".zattrs"], files[f"{FOLDER}/.zattrs"]))
    assert one["multiscales"] == other["multiscales"]
    for channel, same in zip(one["omero"]["channels"], other["omero"]["channels"], strict=True):
        # Judged by every other pixel.
        assert channel["window"] == pytest.approx(same["window"], rel=0.1)
        assert (channel["label"], channel["color"]) == (same["label"], same["color"])
    name = "labels/cells/.zattrs"
    one, other = (json.loads(each) for each in (whole[name], files[f"{FOLDER}/{name}"]))
    meant = one["image-label"], other["image-label"]
    assert meant[0]["colors"] == meant[1]["colors"]
    rows = [sorted(each["properties"], key=lambda row: row["label-value"]) for each in meant]
    assert len(rows[0]) == len(rows[1])
    for row, same in zip(*rows, strict=True):
        assert row == pytest.approx(same)


def _open(ring: NDArray[np.int32]) -> NDArray[np.int32]:
    """Without the first corner again at its end."""
    return ring[:-1] if (ring[0] == ring[-1]).all() else ring


@pytest.mark.usefixtures("small_blocks", "low_limit")
@pytest.mark.parametrize("name", ["large", "dark"])
def test_it_is_read_from_its_file_block_by_block(
    place: Path, trained: Trained, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place / f"{name}.ome.tif"
    with pytest.raises(ValueError, match="more than the limit"):
        trained.read(file)
    stored = trained.open(file, inverted=name == "dark")
    assert isinstance(stored, LargeImage)
    found, labels = applied(trained, stored, tmp_path)
    monkeypatch.delenv("CELLCUTTER_IMAGE_LIMIT")
    held = trained.open(file, inverted=name == "dark")
    assert isinstance(held, LargeImage)
    assert held.sample.inverted == (name == "dark")
    box = (30, 40, 170, 190)
    np.testing.assert_array_equal(_pixels(stored, box), _pixels(held, box))
    (tmp_path / "labels").unlink()
    np.testing.assert_array_equal(applied(trained, held, tmp_path)[1], labels)
    assert found.pixel_size == 0.5
    assert found.channels == trained.channels


@pytest.mark.usefixtures("small_blocks", "low_limit")
def test_every_file_of_an_image_is_dark_or_bright_by_all_of_it(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = large_sample()
    files = [tmp_path / f"{name}.tif" for name in image.channels]
    for file, channel in zip(files, np.moveaxis(image.pixels, -1, 0), strict=True):
        # Of the cells alone the picture is dark on bright.
        shown = channel.max() - channel if file.stem == image.channels[0] else channel
        tifffile.imwrite(file, shown, tile=(64, 64))
    stored = trained.open(files)
    assert isinstance(stored, LargeImage)
    assert [one.inverted for one in stored.sample.appearances] == [True, False, False]
    monkeypatch.delenv("CELLCUTTER_IMAGE_LIMIT")
    held = trained.open(files)
    assert isinstance(held, LargeImage)
    assert held.sample.roles == stored.sample.roles == image.roles
    for box in ((0, 0, 200, 200), (100, 300, 420, 560)):
        # Seen is every other pixel, and the brightest of all may be between them.
        difference = _pixels(stored, box).astype(int) - _pixels(held, box)
        assert (np.abs(difference).max(axis=(0, 1)) <= (0.02 * image.pixels.max(), 0, 0)).all()


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_a_gap_of_dark_cells_on_bright_is_one_in_every_region(
    dtype: str, photometric: str, tmp_path: Path
) -> None:
    channel = large_sample().pixels[..., 0].astype(float)
    dark = ((1 - channel / channel.max()) * 200 - (100 if dtype == "i2" else 0)).astype(dtype)
    dark[:190, :200] = dark.min()
    tifffile.imwrite(tmp_path / "a.tif", dark, tile=(64, 64), photometric=photometric)
    whole = read_image(tmp_path / "a.tif", inverted=photometric == "minisblack")
    sample = read_image(tmp_path / "a.tif", inverted=photometric == "minisblack", reduced_to=300)
    stored = LargeImage.stored(sample, [tmp_path / "a.tif"])
    # All of it, a corner of it, its edge, and none.
    for box in ((0, 0, 150, 150), (170, 180, 400, 500), (50, 100, 300, 300), (200, 210, 420, 560)):
        expected = whole.pixels[box[0] : box[2], box[1] : box[3]].astype(float)
        assert np.abs(stored.pixels(box) - expected).max() <= 0.02 * whole.pixels.max()
    assert not stored.pixels((0, 0, 150, 150)).any()


def test_white_glass_beside_a_section_is_nothing(tmp_path: Path) -> None:
    """There all three colours are equal, as in a gray picture."""
    rgb = np.full((300, 300, 3), 255, np.uint8)
    rows, cols = np.mgrid[:300, :150]
    stain = np.hypot(rows % 30 - 15, cols % 30 - 15) < 8
    rgb[:, :150] = np.where(stain[..., None], (90, 60, 160), (240, 200, 225))
    tifffile.imwrite(tmp_path / "a.tif", rgb, tile=(64, 64), photometric="rgb")
    sample = read_image(tmp_path / "a.tif", reduced_to=200)
    assert sample.stained
    stored = LargeImage.stored(sample, [tmp_path / "a.tif"])
    assert not _pixels(stored, (0, 160, 300, 300))[..., :2].any()
    whole = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(_pixels(stored, (0, 0, 90, 80)), whole.pixels[:90, :80])


def _pixels(large: LargeImage, box: tuple[int, int, int, int]) -> NDArray[Any]:
    return large.read(box).pixels


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_nan_is_a_gap_in_every_region(dtype: str, tmp_path: Path) -> None:
    channel = large_sample().pixels[..., 0] / 7.0
    channel[:190, :200] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", channel.astype(dtype), tile=(64, 64))
    sample = read_image(tmp_path / "a.tif", reduced_to=300)
    stored = LargeImage.stored(sample, [tmp_path / "a.tif"])
    expected = np.where(np.isnan(channel), sample.pixels.min(), channel.astype(dtype))
    # All of it, a corner of it, its edge, and none.
    for box in ((0, 0, 150, 150), (170, 180, 400, 500), (50, 100, 300, 300), (200, 210, 420, 560)):
        part = expected[box[0] : box[2], box[1] : box[3]]
        np.testing.assert_array_equal(stored.pixels(box)[..., 0], part)
    # It is filled with background.
    filled = stored.read((100, 100, 300, 300)).pixels[:90, :100, 0]
    assert len(np.unique(filled)) > 1000


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("beyond", ["nothing", "dark"])
def test_where_there_are_no_cells_none_are_found(
    trained: Trained, beyond: str, tmp_path: Path
) -> None:
    """The automatic search adapts to what it sees, and must not do so to an empty block."""
    field = trained.in_roles(sample((240, 240), seed=6))
    pixels = np.zeros((640, 640, field.pixels.shape[2]), field.pixels.dtype)
    if beyond == "dark":
        background = field.pixels[np.asarray(field.truth) == 0]
        low = background[background[:, 0] <= np.percentile(background[:, 0], 30)]
        pixels[:] = low[np.random.default_rng(0).integers(len(low), size=(640, 640))]
    pixels[200:440, 30:270] = field.pixels
    image = Image(pixels, field.channels, cell=field.cell, nucleus=field.nucleus)
    found, labels = applied(trained, image, tmp_path)
    alone = trained.apply(field)
    assert abs(len(found.areas) - len(alone.areas)) <= 3
    outside = labels.copy()
    outside[195:445, 25:275] = 0
    assert not outside.any()
    assert score(labels[200:440, 30:270], alone.labels).average_precision[0] > 0.9


@pytest.mark.usefixtures("small_blocks")
def test_where_one_channel_shows_nothing_the_other_does(trained: Trained, tmp_path: Path) -> None:
    image = trained.in_roles(large_sample())
    pixels = image.pixels.copy()
    pixels[:260, :260, image.cell[0]] = 0
    image = Image(pixels, image.channels, cell=image.cell, nucleus=image.nucleus)
    found, labels = applied(trained, image, tmp_path, "table")
    at_once = trained.apply(image)
    here = (slice(0, 250), slice(0, 250))
    n = len(np.unique(at_once.labels[here]))
    assert n > 30
    assert abs(len(np.unique(labels[here])) - n) <= 2
    with (tmp_path / "table").open(newline="") as file:
        listed = {int(row["id"]) for row in csv.DictReader(file)}
    assert listed == set(np.unique(labels)) - {0}
    assert len(listed) == len(found.areas)


@pytest.mark.usefixtures("small_blocks", "low_limit")
def test_the_command_line(place: Path, tmp_path: Path, capsys: Any) -> None:
    command = ["apply", str(place / "run"), str(place / "large.ome.tif"), "--out"]
    assert main([*command, str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    files = {file.name for file in (tmp_path / "out").iterdir()}
    kinds = ("labels.tif", "cells.csv", "overlay.png")
    assert files == {"summary.csv", *(f"large.ome-{kind}" for kind in kinds)}
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    labels = tifffile.imread(tmp_path / "out" / "large.ome-labels.tif")
    areas = np.bincount(labels.ravel())[1:]
    assert int(row["cells"]) == np.count_nonzero(areas)
    assert f"{row['cells']} cells" in said
    assert float(row["mean_area_um2"]) == pytest.approx(areas[areas > 0].mean() / 4)


@pytest.mark.usefixtures("small_blocks")
def test_a_region_of_it_lies_where_it_is_in_the_whole(place: Path, tmp_path: Path) -> None:
    command = ["apply", str(place / "run"), str(place / "large.ome.tif"), "--out", str(tmp_path)]
    formats = ["--format", "labels", "--format", "geojson", "--format", "table"]
    assert main([*command, *formats, "--region", "20,30,280,390"]) == 0
    labels = tifffile.imread(tmp_path / "large.ome-labels.tif")
    assert labels.shape == FILE_SHAPE
    (geojson,), (table,) = tmp_path.glob("*.geojson"), tmp_path.glob("*cells.csv")
    rows, cols = np.mgrid[: FILE_SHAPE[0], : FILE_SHAPE[1]] + 0.5
    drawn = np.zeros(labels.shape, int)
    written = json.loads(geojson.read_text())
    for feature in written["features"]:
        inside = shapely.contains_xy(shape(feature["geometry"]), cols, rows)
        drawn[inside] += int(feature["properties"]["name"])
    np.testing.assert_array_equal(drawn, labels)
    assert written["cellcutter"]["region"] == {"row": 20, "col": 30}
    with table.open(newline="") as file:
        for line in csv.DictReader(file):
            centre = np.argwhere(labels == int(line["id"])).mean(axis=0)
            assert (float(line["row"]), float(line["col"])) == pytest.approx(centre)
            assert (line["region_row"], line["region_col"]) == ("20", "30")


@pytest.fixture
def application(place: Path, tmp_path: Path) -> Application:
    shutil.copytree(place / "run", tmp_path / "run")
    return Application.create(Run(tmp_path / "run"), {"large": place / "large.ome.tif"})


@pytest.mark.usefixtures("small_blocks")
def test_it_is_watched_and_stopped_between_blocks(application: Application) -> None:
    work(application, stop=lambda: application.progress.share > 0.5)
    now = application.progress
    assert (now.status, now.n_left) == ("stopped", 1)
    assert 0.5 < now.share < 0.7
    assert not list(application.results.iterdir())
    # One of a process that was killed, and one of a process at work.
    (application.results / ".blocks-killed").mkdir()
    (at_work := application.results / ".blocks-others").mkdir()
    with held(at_work):
        forget_left_over(application.results)
    assert list(application.results.iterdir()) == [at_work]
    application.record("queued")
    work(application)
    now = application.progress
    assert not list(application.results.glob(".*"))
    assert (now.status, now.n_left, now.share) == ("finished", 0, 0.0)
    shares = [e["share"] for e in application.events() if e["kind"] == "part"]
    assert shares[-1] == 1.0
    for kind in ("image", "cells"):
        with Picture.open(application.preview("large", kind)) as picture:
            assert picture.size == (147, 107)
    with zipfile.ZipFile(io.BytesIO(application.download())) as archive:
        assert len(archive.namelist()) == 4


def test_what_imagej_cannot_hold_is_said_at_once(trained: Trained, tmp_path: Path) -> None:
    far = dataclasses.replace(large_sample(), origin=(60200, 0))
    large = LargeImage.held(trained.in_roles(far))
    with pytest.raises(ValueError, match="an ROI of ImageJ ends at pixel 60535"):
        apply_in_blocks(trained, large, {"rois": tmp_path / "r.zip"})
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("small_blocks")
def test_a_disk_without_room_is_said(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_blocks, "SCRATCH_BYTES", 1e12)
    with pytest.raises(
        ValueError, match=r"needs 235200000.0 GB on the disk .* are free; make room"
    ):
        applied(trained, large_sample(), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("small_blocks")
def test_what_goes_wrong_at_the_end_leaves_no_file(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object, **how: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cells_of_blocks, "write_labels", no_room)
    with pytest.raises(ValueError, match=r"cannot write in .*: No space left on device; make room"):
        applied(trained, sample((240, 300), seed=8), tmp_path, "table", "rois", "geojson")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("small_blocks")
def test_an_image_without_cells_says_so(trained: Trained, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(100, 5, (*SHAPE, 2)).astype(np.float32)
    image = Image(noise, ("a", "b"), cell=(0,), nucleus=1)
    with pytest.raises(ValueError, match="no markers found"):
        applied(trained, image, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_block_larger_than_the_limit_for_images_is_worked_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CELLCUTTER_PIXEL_LIMIT", "1000")
    large, box = LargeImage.held(sample((128, 144))), (0, 0, 128, 144)
    config = with_diameter(large, QUICK)
    found = mask_and_markers._markers_of_block(Block(box, box, {}), large, config, None)
    assert len(found["points"]) > 5
    block = Block(box, box, {"nuclei": found["regions"]})
    answer = mask_and_markers._mask_of_block(block, large, config, None)
    assert np.count_nonzero(answer["mask"]) > 1.5 * np.count_nonzero(found["regions"])


def without_pixels(image: Image, config: Config) -> CellsOfBlocks:
    """An image with one marker, whose cell has no pixel."""
    large = LargeImage.held(image)
    nothing = np.zeros(image.shape, np.int32)
    point = np.full((1, 2), 10.0)
    found = Found(point, 20.0, 0.0, nothing, np.zeros(2, np.int32), nothing > 0)
    seen = image.pixels[..., seen_channels(image, config)]
    reduced = Reduced(1, seen, nothing, nothing.astype(np.uint8))
    drawn = PredictedCells(np.zeros((1, 4), np.int64), np.zeros(1, np.int64), reduced)
    return CellsOfBlocks(large, config, found, drawn, nothing)


def test_an_image_whose_cells_have_no_pixel_is_written_without_cells(tmp_path: Path) -> None:
    cells = without_pixels(sample((128, 144)), QUICK)
    files = {name: tmp_path / name for name in IMAGE_FORMATS}
    with pytest.raises(ValueError, match="there is no cell in the labels, and ImageJ opens"):
        cells.write(files, tmp_path, done=lambda: None)
    del files["rois"]
    cells.write(files, tmp_path, done=lambda: None)
    with zipfile.ZipFile(files["ome-zarr"]) as archive:
        about = json.loads(archive.read(f"{FOLDER}/labels/cells/.zattrs"))
    assert about["image-label"]["colors"] == []


@pytest.mark.parametrize("fill", [False, True])
def test_where_a_block_has_no_mask_a_marker_is_a_cell_only_if_the_mask_is_filled(
    trained: Trained, fill: bool
) -> None:
    config = trained.config.replace(labels=trained.config.labels.replace(fill=fill))
    large, box = LargeImage.held(sample((128, 144))), (0, 0, 128, 144)
    nuclei = np.zeros((128, 144), np.int32)
    nuclei[5:9, 5:9] = 1
    extra = {"cells": np.array([0]), "nuclei": nuclei, "mask": nuclei < 0, "every": np.array(1)}
    answer = predicting._predict_block(Block(box, box, extra), large, config, trained.network)
    assert answer["labels"].any() == fill


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("roles", [{"nucleus": "none"}, {"cell": "nucleus"}])
def test_without_nuclei_and_where_nuclei_alone_are_segmented(
    roles: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_and_markers, "LOOKED_AT", 600)
    image = large_sample().with_roles(**roles)
    large = LargeImage.held(image)
    assert with_diameter(large, QUICK).markers.diameter is not None
    blobs = QUICK.replace(markers=QUICK.markers.replace(automatic=False))
    assert with_diameter(large, blobs) == blobs
    found = find(large, QUICK, tmp_path)
    inputs, _ = prepare(image, QUICK)
    n = len(inputs.points)
    assert abs(len(found.points) - n) <= 0.15 * n
    everything = (0, 0, *SHAPE)
    assert (found.mask(everything) == inputs.mask).mean() > 0.93
    nuclei = found.nuclei(everything)
    rows, cols = np.round(found.points).astype(int).T
    np.testing.assert_array_equal(nuclei[rows, cols], np.arange(1, len(found.points) + 1))


def test_published_settings_mean_the_same_in_a_part() -> None:
    """Prior and threshold are on the scale of all of the image."""
    image = large_sample()
    cell, nucleus = image.pixels[..., image.cell[0]], image.pixels[..., image.nucleus or 1]
    rows = slice(0, 210)
    mask = PAPER.mask.replace(automatic=False, prior=0.97)
    whole, part = (
        mask_channels(cell, mask),
        mask_channels(cell[rows], mask, normalisation=Normalisation.fit(cell)),
    )
    assert (whole[:200] == part[:200]).mean() > 0.999
    # Several channels, and no pixel that is dark in all of them.
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, 48) + rng.normal(0, 0.02, (48, 48))
    two = np.dstack([ramp, 1 - ramp])
    for scaling in ("minmax", "robust"):
        chosen = mask.replace(prior=0.3, scaling=scaling)
        whole = mask_channels(two, chosen)
        part = mask_channels(two, chosen, normalisation=Normalisation.fit(two))
        np.testing.assert_array_equal(whole, part)
        assert whole.all()
    markers = PAPER.markers.replace(automatic=False, min_sigma=5, threshold=0.1)
    expected = {tuple(p) for p in find_nuclei(nucleus, markers).points.tolist() if p[0] < 170}
    found = find_nuclei(
        nucleus[rows], markers, normalisation=Normalisation.fit(nucleus)
    ).points.tolist()
    assert len(expected) > 40
    assert len(expected ^ {tuple(p) for p in found if p[0] < 170}) <= 2
    both = image.pixels[..., [0, 1]]
    expected = {tuple(p) for p in find_cells(both, markers).points.tolist() if p[0] < 170}
    scale = Normalisation.fit(both)
    found = find_cells(both[rows], markers, normalisation=scale).points.tolist()
    assert len(expected ^ {tuple(p) for p in found if p[0] < 170}) <= 0.02 * len(expected)


@pytest.mark.parametrize("intensity", ["log", "linear"])
def test_the_network_sees_a_part_as_in_the_whole(intensity: str) -> None:
    image = large_sample()
    config = _unscaled(intensity)
    inputs, _ = prepare(image, config)
    box = (100, 150, 300, 450)
    inside = np.flatnonzero(lie_in(inputs.points, with_margin(box, -40, SHAPE)))
    part = cut_out(image, box)
    numbers = np.zeros(len(inputs.points) + 1, np.int32)
    numbers[inside + 1] = np.arange(1, len(inside) + 1)
    nuclei = inputs.nuclei
    assert nuclei is not None
    there = (slice(100, 300), slice(150, 450))
    of_part = Inputs(
        part.pixels[..., list(image.cell)],
        inputs.mask[there],
        inputs.points[inside] - (100, 150),
        numbers[nuclei[there]],
        normalisation=Normalisation.fit(inputs.image),
        whole_cell_diameter=inputs.cell_diameter,
    )
    of_all, one = make_dataset(inputs, config), make_dataset(of_part, config)
    assert isinstance(one, Dataset)
    np.testing.assert_allclose(one.crops([0, 3]), of_all.crops(inside[[0, 3]]), atol=1e-5)


def _unscaled(intensity: str) -> Config:
    return FROM_NOTHING.replace(
        crops=FROM_NOTHING.crops.replace(cell_size=None, intensity=intensity)
    )


def test_what_is_held_is_not_changed(place: Path) -> None:
    """The sample of what is held are views, and cut-out regions are too."""
    image = read_image(place / "large.ome.tif")
    before = image.pixels.copy()
    large = LargeImage.held(image)
    assert large.shape == FILE_SHAPE
    assert large.sample.full_shape == FILE_SHAPE
    large.read((0, 0, 50, 60))
    np.testing.assert_array_equal(image.pixels, before)

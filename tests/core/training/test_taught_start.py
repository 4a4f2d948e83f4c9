"""A run that begins with the taught network, from its first event to what is taken home."""

import contextlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellcutter_core.apply.applying import Trained
from cellcutter_core.config import QUICK, starting
from cellcutter_core.export import export
from cellcutter_core.images.image import Image
from cellcutter_core.jobs.training import work
from cellcutter_core.network import taught_weights
from cellcutter_core.pipeline import prepare
from cellcutter_core.runs.doubts import about_dropped
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.marker_check import checked_markers

SHORT = QUICK.replace(
    training=QUICK.training.replace(
        epochs=1, steps=2, crops=4, crops_at_once=4, precision="float32"
    )
)


@pytest.fixture(scope="module")
def image() -> Image:
    return sample((128, 128))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, image: Image) -> Run:
    run = Run.create(
        tmp_path_factory.mktemp("runs") / "run",
        prepare(image, SHORT)[0],
        SHORT,
        description={"channels": ["fluorescence"]},
    )
    work(run)
    return run


def test_epoch_0_is_what_the_taught_network_says_and_its_digest_is_kept(run: Run) -> None:
    assert run.epochs == [0, 1]
    assert run.epoch(0).probability[run.inputs.mask].mean() > 0.5
    (device,) = [event for event in run.events() if event["kind"] == "device"]
    assert device["taught"] == taught_weights.taught_digest()


def test_the_recipe_makes_the_same_labels_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = unpacked(run, tmp_path)
    assert "taught on simulated cells" in code
    monkeypatch.chdir(tmp_path / "recipe")
    exec(code, {"__name__": "__main__"})
    np.testing.assert_array_equal(tifffile.imread("labels.tif"), run.epoch(1).labels)


def test_the_recipe_refuses_other_taught_weights(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = unpacked(run, tmp_path)
    monkeypatch.chdir(tmp_path / "recipe")
    monkeypatch.setattr(taught_weights, "taught_digest", lambda: "of others")
    with pytest.raises(ValueError, match=r"began with other taught weights .* \(of others\)"):
        exec(code, {"__name__": "__main__"})
    assert not Path("labels.tif").exists()


def test_a_run_has_its_own_network_and_needs_no_taught_weights(
    run: Run, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(path: Path | None = None) -> None:
        raise FileNotFoundError("there are no taught weights")

    monkeypatch.setattr(taught_weights, "read_taught", missing)
    monkeypatch.setattr("cellcutter_core.training.loop.read_taught", missing)
    # To check the markers that are found in another image it is asked, and for nothing else.
    monkeypatch.setattr("cellcutter_core.apply.applying.checked_markers", lambda found, _: found)
    trained = Trained(run)
    found = trained.apply(image)
    np.testing.assert_array_equal(found.labels, run.epoch(1).labels)
    # However many channels show cells, it sees their mean.
    both = image.with_roles(cell=["fluorescence", "bright field"], nucleus="nucleus")
    assert trained.apply(both).labels.max() > 0


def test_a_run_that_begins_with_nothing_names_no_taught_weights(
    image: Image, tmp_path: Path
) -> None:
    config = starting(SHORT, "nothing")
    config = config.replace(
        network=config.network.replace(channels=4, depth=3, normalisation="none"),
        training=config.training.replace(epochs=1, steps=1, crops=4, crops_at_once=4),
    )
    run = Run.create(tmp_path / "run", prepare(image, config)[0], config)
    work(run)
    (device,) = [event for event in run.events() if event["kind"] == "device"]
    assert device["taught"] is None
    assert "check_taught" not in unpacked(run, tmp_path)


@pytest.fixture(scope="module")
def doubled(image: Image) -> tuple[Inputs, int]:
    """Markers of which one is a piece of another's nucleus, and its number."""
    found = prepare(image, SHORT)[0]
    assert found.nuclei is not None
    regions = found.nuclei.copy()
    number = int(np.bincount(regions.ravel())[1:].argmax()) + 1
    rows, cols = np.nonzero(regions == number)
    piece = rows > np.quantile(rows, 0.7)
    extra = len(found.points) + 1
    regions[rows[piece], cols[piece]] = extra
    point = np.array([[np.median(rows[piece]), np.median(cols[piece])]])
    points = np.concatenate([found.points, point])
    return Inputs(found.image, found.mask, points, regions), extra


def test_a_nucleus_that_was_found_in_two_parts_keeps_one_marker(
    doubled: tuple[Inputs, int],
) -> None:
    given, extra = doubled
    checked = checked_markers(given, SHORT)
    assert checked.final
    left_out = {tuple(point) for point in given.points} - {tuple(p) for p in checked.points}
    assert tuple(given.points[extra - 1]) in left_out
    assert len(left_out) <= 2
    # What a person chose stays, and so does all where nothing was taught or it is not wanted.
    assert checked_markers(replace(given, final=True), SHORT).points is given.points
    unchecked = SHORT.replace(training=SHORT.training.replace(check_markers=False))
    for config in (starting(SHORT, "nothing"), unchecked):
        assert checked_markers(given, config) is given


def test_a_run_trains_without_the_markers_that_were_dropped_and_says_so(
    doubled: tuple[Inputs, int], tmp_path: Path
) -> None:
    given, extra = doubled
    run = Run.create(tmp_path / "run", given, SHORT)
    assert run.dropped_markers == []
    assert about_dropped(run) is None
    work(run)
    dropped = run.dropped_markers
    assert tuple(given.points[extra - 1].tolist()) in dropped
    assert len(run.inputs.points) == len(given.points) - len(dropped)
    assert run.epoch(1).labels.max() <= len(run.inputs.points)
    said = about_dropped(run)
    assert said is not None
    assert said.startswith(f"{len(dropped)} of {len(given.points)} markers w")
    # It goes on with the same ones, and its recipe gives the same cells.
    work(run, epochs=2)
    assert run.dropped_markers == dropped
    assert run.epochs == [0, 1, 2]


def unpacked(run: Run, folder: Path) -> str:
    """Unpack the recipe of a run; its script."""
    made = export(run, "recipe", folder / "recipe.zip", 1)
    with contextlib.closing(zipfile.ZipFile(io.BytesIO(made.read_bytes()))) as archive:
        archive.extractall(folder)
    return (folder / "recipe" / "recipe.py").read_text("utf-8")

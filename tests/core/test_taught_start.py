"""A run that begins with the taught network, from its first event to what is taken home."""

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellcutter_core.config import QUICK, starting
from cellcutter_core.export import export
from cellcutter_core.images import Image
from cellcutter_core.network import taught
from cellcutter_core.pipeline import prepare
from cellcutter_core.runs.applying import Trained
from cellcutter_core.runs.store import Run
from cellcutter_core.runs.worker import work
from cellcutter_core.samples import sample

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
    assert device["taught"] == taught.taught_digest()


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
    monkeypatch.setattr(taught, "taught_digest", lambda: "of others")
    with pytest.raises(ValueError, match=r"began with other taught weights .* \(of others\)"):
        exec(code, {"__name__": "__main__"})
    assert not Path("labels.tif").exists()


def test_a_run_has_its_own_network_and_needs_no_taught_weights(
    run: Run, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(path: Path | None = None) -> None:
        raise FileNotFoundError("there are no taught weights")

    monkeypatch.setattr(taught, "read_taught", missing)
    monkeypatch.setattr("cellcutter_core.pipeline.read_taught", missing)
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
        network=config.network.replace(channels=4, depth=3),
        training=config.training.replace(epochs=1, steps=1, crops=4, crops_at_once=4),
    )
    run = Run.create(tmp_path / "run", prepare(image, config)[0], config)
    work(run)
    (device,) = [event for event in run.events() if event["kind"] == "device"]
    assert device["taught"] is None
    assert "check_taught" not in unpacked(run, tmp_path)


def unpacked(run: Run, folder: Path) -> str:
    """Unpack the recipe of a run; its script."""
    made = export(run, "recipe", folder / "recipe.zip", 1)
    with contextlib.closing(zipfile.ZipFile(io.BytesIO(made.read_bytes()))) as archive:
        archive.extractall(folder)
    return (folder / "recipe" / "recipe.py").read_text("utf-8")

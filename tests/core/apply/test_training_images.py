"""One network for several images, each with its own cell area, markers, targets and name."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from cellcutter_core.__main__ import main
from cellcutter_core.apply.applying import Trained
from cellcutter_core.apply.outcomes import Outcome
from cellcutter_core.apply.training_images import found_in_others, write_others
from cellcutter_core.choices.choices import Choices
from cellcutter_core.choices.other_images import images_of, read_chosen, take_in
from cellcutter_core.choices.sources import read_source
from cellcutter_core.choices.uploads import as_channels, store_upload
from cellcutter_core.config import FROM_NOTHING
from cellcutter_core.export.formats.recipe import recipe
from cellcutter_core.export.result import Result
from cellcutter_core.images.image import Image
from cellcutter_core.jobs import training
from cellcutter_core.jobs.training import work
from cellcutter_core.pipeline import segment_together
from cellcutter_core.runs.other_images import find_others
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample, save

TINY = FROM_NOTHING.replace(
    network=FROM_NOTHING.network.replace(channels=4, depth=3, normalisation="none"),
    training=FROM_NOTHING.training.replace(
        epochs=2, steps=4, crops=8, crops_at_once=8, seed=7, precision="float32"
    ),
)


SMALL = [
    *("--start", "nothing"),
    *("--set", "network.channels=4", "--set", "network.depth=3"),
    *("--set", "network.normalisation=none", "--set", "training.steps=4"),
    *("--set", "training.crops=8", "--set", "training.precision=float32"),
    *("--set", "training.crops_at_once=8", "--seed", "7", "--epochs", "2"),
]


@pytest.fixture(scope="module")
def images() -> list[Image]:
    return [sample((160, 160), seed=3), sample((128, 192), seed=4), sample((96, 256), seed=5)]


@pytest.fixture(scope="module")
def place(images: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    (folder / "images").mkdir()
    for number, image in enumerate(images):
        save(image, folder / "images" / f"{number}.npz")
    return folder


@pytest.fixture(scope="module")
def whole(place: Path) -> Run:
    """A run on three images, by the command line: the folder holds the first one too."""
    command = ["segment", str(place / "images" / "0.npz"), "--with", str(place / "images")]
    assert main([*command, "--out", str(place / "run"), *SMALL]) == 0
    return Run(place / "run")


def test_the_other_images_of_the_file_itself(tmp_path: Path) -> None:
    file = tmp_path / "three.ome.tif"
    with tifffile.TiffWriter(file, ome=True) as tif:
        for seed in range(3):
            pixels = np.moveaxis(sample((128, 144), seed=seed).pixels[..., [0, 2]], 2, 0)
            tif.write(pixels, metadata={"axes": "CYX"})
    command = ["segment", str(file), "--scene", "1", "--with", str(file)]
    assert main([*command, "--out", str(tmp_path / "run"), *SMALL]) == 0
    run = Run(tmp_path / "run")
    assert run.description.others == ("three.ome-scene0.tif", "three.ome-scene2.tif")
    for other, seed in zip(run.others, (0, 2), strict=True):
        pixels = sample((128, 144), seed=seed).pixels[..., [0, 2]]
        np.testing.assert_array_equal(other.image.pixels, pixels)
    assert (run.path / "others" / "three.ome-scene2-labels.tif").exists()


def losses(run: Run) -> list[float]:
    return [event["loss"] for event in run.events() if event["kind"] == "step"]


def labels_of_others(run: Run) -> list[np.ndarray]:
    trained = Trained(run)
    return [trained.draw(other.image, other.inputs).labels for other in run.others]


def test_one_that_is_gone_on_with_is_as_if_it_had_never_stopped(
    whole: Run, images: list[Image], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other images' targets too, which nobody has stored, are what they were."""
    monkeypatch.setattr(training, "OTHERS_SECONDS", 1e9)  # However slow the machine is.
    parts = Run.create(tmp_path / "run", whole.inputs, TINY, others=whole.others)
    work(parts, stop=lambda: 0 in parts.epochs)
    assert (parts.progress.status, parts.epochs) == ("stopped", [0])
    # The network has not seen them: their cells come with the first epoch that is trained.
    assert not found_in_others(parts)
    work(parts, stop=lambda: 1 in parts.epochs)
    assert (parts.progress.status, parts.epochs) == ("stopped", [0, 1])
    after_one = [parts.epoch(1).labels, *labels_of_others(parts)]

    # In the middle of the second epoch the network has moved on, and what is drawn is the first.
    asked = iter([False] * 6)
    stopped = segment_together(images, TINY, stop=lambda: next(asked, True))
    for one, labels in zip(stopped, after_one, strict=True):
        np.testing.assert_array_equal(one.labels, labels)

    assert main(["continue", str(parts.path)]) == 0
    assert "1.npz: " in capsys.readouterr().out
    assert losses(parts) == losses(whole)
    np.testing.assert_array_equal(parts.epoch(2).labels, whole.epoch(2).labels)
    for n, labels in enumerate(labels_of_others(whole), 1):
        written = tifffile.imread(parts.path / "others" / f"{n}-labels.tif")
        np.testing.assert_array_equal(written, labels)
        assert not np.array_equal(labels, after_one[n])


def test_another_image_goes_into_a_file_and_comes_back(images: list[Image], whole: Run) -> None:
    for number, (image, back) in enumerate(zip(images[1:], whole.others, strict=True), 1):
        (other,) = find_others([image], TINY, n_channels=1)
        assert (back.image.name, back.image.roles) == (f"{number}.npz", image.roles)
        assert (back.image.pixel_size, back.seen) == (image.pixel_size, other.seen)
        np.testing.assert_array_equal(back.image.pixels, image.pixels)
        assert back.inputs.arrays().keys() == other.inputs.arrays().keys()
        for name, value in other.inputs.arrays().items():
            np.testing.assert_array_equal(back.inputs.arrays()[name], value)
        # Truth is for scores alone, and these are not scored.
        assert image.truth is not None
        assert back.image.truth is None


def test_what_was_found_is_written(whole: Run) -> None:
    folder = whole.path / "others"
    assert whole.description.others == ("1.npz", "2.npz")
    summary = json.loads((whole.path / "result.json").read_text("utf-8"))
    done = [Outcome(**one) for one in summary["others"]]
    assert [(one.name, one.image) for one in done] == [("1", "1.npz"), ("2", "2.npz")]
    for one, labels in zip(done, labels_of_others(whole), strict=True):
        np.testing.assert_array_equal(tifffile.imread(folder / f"{one.name}-labels.tif"), labels)
        assert one.cells == len(np.unique(labels)) - 1 > 5
        assert (folder / f"{one.name}-overlay.png").exists()
        with (folder / f"{one.name}-cells.csv").open() as table:
            rows = list(csv.DictReader(table))
        # Measured in the channel that the network did not see, too.
        assert len(rows) == one.cells
        assert "mean_nucleus" in rows[0]


def test_a_training_writes_them_itself_and_forgets_them_with_the_next_epoch(
    whole: Run, tmp_path: Path
) -> None:
    kinds = [event["kind"] for event in whole.events()]
    assert kinds[-3:] == ["other", "other", "finished"]
    summary = json.loads((whole.path / "result.json").read_text("utf-8"))
    assert summary["others"] == [asdict(one) for one in found_in_others(whole)]
    copy = Run(shutil.copytree(whole.path, tmp_path / "run"))
    copy.record("epoch", epoch=3)
    assert found_in_others(copy) == []
    assert [one.name for one in write_others(copy)] == ["1", "2"]
    assert [one.name for one in found_in_others(copy)] == ["1", "2"]


def test_a_stop_before_the_cells_of_all_other_images_are_found_leaves_a_run_to_continue(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "OTHERS_SECONDS", 0.0)
    copy = Run(shutil.copytree(whole.path, tmp_path / "run"))
    (copy.path / "others" / "summary.csv").unlink()

    def one_is_found() -> bool:
        return [one.name for one in found_in_others(copy)] == ["1"]

    # The cells that were found before an epoch do not count any more.
    last = copy.progress.epoch_events[-1]
    copy.record("epoch", **{k: v for k, v in last.items() if k not in ("kind", "time")})
    work(copy, stop=one_is_found)
    assert (copy.progress.status, one_is_found()) == ("stopped", True)
    with (copy.path / "others" / "summary.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["1"]
    work(copy)
    assert copy.progress.status == "finished"
    assert [one.name for one in found_in_others(copy)] == ["1", "2"]


def test_one_that_cannot_be_drawn_at_the_end_is_told_and_in_the_exit_code(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    copy = shutil.copytree(whole.path, tmp_path / "run")
    draw = Trained.draw

    def refuses_one(self: Trained, image: Image, inputs: Any) -> Any:
        if image.name == "2.npz":
            raise ValueError("no memory is left")
        return draw(self, image, inputs)

    monkeypatch.setattr(Trained, "draw", refuses_one)
    assert main(["continue", str(copy), "--epochs", "3"]) == 2
    said = capsys.readouterr()
    assert "2.npz: failed: no memory is left" in said.out
    assert said.err == ("cellcutter_core: 1 of 2 other images failed; see the errors above\n")
    summary = json.loads((copy / "result.json").read_text("utf-8"))
    assert [bool(one["error"]) for one in summary["others"]] == [False, True]
    assert [bool(one.error) for one in found_in_others(Run(copy))] == [False, True]


def test_the_recipe_has_all_of_them(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in recipe(Result(whole)).items():
        (tmp_path / name).write_bytes(content)
    assert (tmp_path / "other-0002.npz").exists()
    monkeypatch.chdir(tmp_path)
    runpy.run_path("recipe.py")
    np.testing.assert_array_equal(tifffile.imread("labels.tif"), whole.epoch(2).labels)


def test_what_is_wrong_with_one_begins_with_its_name(images: list[Image]) -> None:
    first, image, _ = images
    tiny = Image(image.pixels[:7, :7], image.channels, nucleus=1, name="a.tif")
    two = Image(image.pixels, image.channels, cell=(0, 1), name="two.tif")
    for wrong, message in ((tiny, "^a.tif: "), (two, "^two.tif: the network would see 2 ")):
        for refuse in (
            lambda one=wrong: find_others([image, one], TINY, n_channels=1),
            lambda one=wrong: segment_together([first, one], TINY),
        ):
            with pytest.raises(ValueError, match=message) as error:
                refuse()
            assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="there is no image"):
        segment_together([], TINY)


def test_mistakes_on_the_command_line(place: Path, tmp_path: Path, capsys: Any) -> None:
    first, second = place / "images" / "0.npz", place / "images" / "1.npz"
    (tmp_path / "cut.tif").write_bytes(b"II*\0 and no more")
    out = tmp_path / "out"
    for more, message in (
        (["--with", str(tmp_path / "cut.tif")], "cut.tif: "),
        (["--with", str(second), "--set", "crops.size=512"], "0.npz: "),
    ):
        assert main(["segment", str(first), "--out", str(out), *SMALL, *more]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert not out.exists()


def in_files(folder: Path, name: str, seed: int) -> tuple[Path, Path]:
    """An image whose two channels are files."""
    image = sample((128, 128), seed=seed)
    files = (folder / f"{name}_cyto.tif", folder / f"{name}_dna.tif")
    for file, channel in zip(files, ("fluorescence", "nucleus"), strict=True):
        tifffile.imwrite(file, image.channel(channel))
    return files


def test_other_images_have_their_channels_in_files_as_the_first_has(tmp_path: Path) -> None:
    for name, seed in (("A", 1), ("B1", 2), ("B2", 3)):
        in_files(tmp_path, name, seed)
    first = ["segment", str(tmp_path / "A_cyto.tif"), "--nucleus-file", str(tmp_path / "A_dna.tif")]
    command = [*first, "--with", str(tmp_path), "--out", str(tmp_path / "run"), *SMALL]
    assert main(command) == 0
    run = Run(tmp_path / "run")
    assert [other.image.name for other in run.others] == ["B1", "B2"]
    for other, seed in zip(run.others, (2, 3), strict=True):
        assert other.image.channels == ("cyto", "dna")
        image = sample((128, 128), seed=seed)
        np.testing.assert_array_equal(other.inputs.image[..., 0], image.channel("fluorescence"))
        assert other.image.nucleus == 1
    assert [one.name for one in found_in_others(run)] == ["B1", "B2"]
    (tmp_path / "B2_dna.tif").unlink()
    assert main([*command[: -len(SMALL) - 1], str(tmp_path / "again"), *SMALL]) == 2


def test_that_cells_are_dark_holds_in_other_images_for_all_files_but_that_of_the_nuclei(
    tmp_path: Path,
) -> None:
    for name, seed in (("A", 1), ("B", 2)):
        cyto, _ = in_files(tmp_path, name, seed)
        tifffile.imwrite(cyto, np.iinfo(np.uint16).max - tifffile.imread(cyto).astype(np.uint16))
    first = ["segment", str(tmp_path / "A_cyto.tif"), "--nucleus-file", str(tmp_path / "A_dna.tif")]
    command = [*first, "--inverted", "--with", str(tmp_path), "--out", str(tmp_path / "run")]
    assert main([*command, *SMALL]) == 0
    run = Run(tmp_path / "run")
    nuclei = sample((128, 128), seed=2).channel("nucleus")
    np.testing.assert_array_equal(run.others[0].image.channel("dna"), nuclei)
    applied = Trained(run).read((tmp_path / "B_cyto.tif", tmp_path / "B_dna.tif"))
    np.testing.assert_array_equal(applied.pixels, run.others[0].image.pixels)
    # A file with all channels is judged by itself.
    tifffile.imwrite(tmp_path / "C.tif", sample((128, 128), seed=2).channel("fluorescence"))
    assert not Trained(run).read(tmp_path / "C.tif").inverted


def test_uploaded_files_of_channels_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path / "runs"))
    kept = {
        name: [
            store_upload(file.name, file.read_bytes()) for file in in_files(tmp_path, name, seed)
        ]
        for name, seed in (("A", 1), ("B", 2), ("C", 3))
    }
    choices = Choices(source=as_channels(kept["A"]), config=TINY)
    first = read_source(choices.source).with_roles(cell="A_cyto", nucleus="A_dna")
    images, refused = images_of([*reversed(kept["B"]), kept["C"][0]], choices)
    assert [image.title for image in images] == ["B_cyto.tif and B_dna.tif"]
    ((names, reason),) = refused
    assert names == "C_cyto.tif"
    assert reason.startswith("the file of the channel dna is missing")
    twice = store_upload("B_dna.tif", (tmp_path / "C_dna.tif").read_bytes())
    images, refused = images_of([*kept["B"], twice], choices)
    assert [image.more[0].digest for image in images] == [kept["B"][1].digest]
    assert [name for name, _ in refused] == ["B_dna.tif"]
    labels = tmp_path / "labels.tif"
    tifffile.imwrite(labels, np.asarray(sample((128, 128), seed=2).truth))
    with pytest.raises(ValueError, match="is a label image, which cannot be segmented"):
        take_in(store_upload("labels.tif", labels.read_bytes()), choices, first)
    (taken,) = take_in(images[0], choices, first)
    assert taken.file_names == ["B_cyto.tif", "B_dna.tif"]
    chosen = choices.replace(others=(taken,))
    other = read_chosen(taken, chosen, first.roles)
    assert (other.name, other.channels, other.cell, other.nucleus) == (
        "B",
        ("cyto", "dna"),
        (0,),
        1,
    )
    for given in (taken, choices.source):
        with pytest.raises(ValueError, match="already trained on"):
            take_in(given, chosen, first)

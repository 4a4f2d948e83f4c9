"""The description of a run is the same for every writer and reader, and old ones are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cellcutter_core.config import QUICK
from cellcutter_core.images.regions import cut_out
from cellcutter_core.pipeline import prepare
from cellcutter_core.runs.description import FORMAT, Before, Description
from cellcutter_core.runs.folder import list_runs
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample


def written(folder: Path, **entries: Any) -> Path:
    """A run.json with these entries beside the settings."""
    file = folder / "run.json"
    file.write_text(json.dumps({"config": QUICK.model_dump(), **entries}), "utf-8")
    return file


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    about = Description(
        config=QUICK,
        created=7.5,
        image="a.tif",
        pixel_size=(0.2, 0.4),
        cell=("actin", "tubulin"),
        nucleus="none",
        reading={"scene": "raw", "z": 3, "inverted": True},
        region=(1, 2, 30, 40),
        whole=(50, 60),
        before=Before(run="r1", epoch=2, corrections=1),
        choices={"nucleus": None},
        step_keys={"image": "0a"},
    )
    about.write(tmp_path / "run.json")
    assert Description.read(tmp_path / "run.json") == about
    # The names that earlier versions read; what is not known is not there.
    said = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert said["from"] == {"run": "r1", "epoch": 2, "corrections": 1}
    assert said["keys"] == {"image": "0a"}
    assert said["region"] == [1, 2, 30, 40]
    assert said["config"] == QUICK.model_dump()
    assert not {"files", "markers", "others", "guided"} & said.keys()


def test_the_first_format_may_hold_anything_else(tmp_path: Path) -> None:
    file = written(tmp_path, created=1.0, image="a.tif", markers=None, note={"my": "own"})
    about = Description.read(file)
    assert (about.created, about.image, about.markers) == (1.0, "a.tif", None)
    assert about.format == FORMAT


def test_a_newer_format_is_named_with_what_is_new_in_it(tmp_path: Path) -> None:
    file = written(tmp_path, format=FORMAT + 1, image="a.tif", tiles=4)
    with pytest.raises(ValueError, match=rf"has format {FORMAT + 1} with tiles, which a newer ver"):
        Run(tmp_path)
    written(tmp_path, format=FORMAT, tiles=4)
    with pytest.raises(ValueError, match=rf"format {FORMAT} with tiles, .* Update the program"):
        Description.read(file)
    with pytest.raises(ValueError, match="tiles"):
        Description(config=QUICK, tiles=4)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "new", "config": {}}'])
def test_a_damaged_description_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(
        ValueError, match=r"run.json cannot be read .*start the run again"
    ) as caught:
        Run(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_run_on_an_image_says_which_part_it_is_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    whole = sample((96, 120))
    part = cut_out(whole, (0, 8, 80, 120))
    for name, image in (("whole", whole), ("part", part)):
        Run.of_image(tmp_path / name, image, QUICK, prepare(image, QUICK), reading={"t": 1})
    found = {run.id: run.description for run in list_runs()[0]}
    assert (found["whole"].region, found["whole"].whole) == ((0, 0, 96, 120), (96, 120))
    assert (found["part"].region, found["part"].whole) == ((0, 8, 80, 120), (96, 120))
    assert found["part"].roles == part.roles
    assert found["part"].channels == ("fluorescence",)
    assert found["part"].reading == {"t": 1}
    assert set(Run(tmp_path / "part").unseen) == set(part.channels) - {"fluorescence"}


def test_what_is_known_of_a_run_goes_before_what_its_image_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    image = sample((96, 120))
    given = {"image": "Built-in sample 0", "pixel_size": 0.5}
    run = Run.of_image(tmp_path / "r1", image, QUICK, prepare(image, QUICK), **given)
    assert (run.description.image, run.description.pixel_size) == ("Built-in sample 0", 0.5)

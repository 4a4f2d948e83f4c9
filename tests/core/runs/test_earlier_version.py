"""Runs of before there was a taught network: they can be looked at, not gone on with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellcutter_core.apply.application_folder import Application
from cellcutter_core.apply.applying import Trained
from cellcutter_core.choices.choices import Choices
from cellcutter_core.choices.draft import Draft
from cellcutter_core.choices.from_corrections import train_again
from cellcutter_core.choices.of_run import described, keys_then
from cellcutter_core.config import PAPER, QUICK, Config, check_current, renewed
from cellcutter_core.export import export
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.jobs.training import work
from cellcutter_core.runs.folder import list_runs
from cellcutter_core.runs.store import Run, State
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction

# As run.json had them.
OLD_QUICK: dict[str, Any] = {
    "preset": "quick",
    "mask": {
        "automatic": True,
        "prior": 0.75,
        "max_weight": 10.0,
        "sigma": 0.03,
        "scaling": "minmax",
    },
    "markers": {
        "automatic": True,
        "diameter": 12.0,
        "min_sigma": 3.0,
        "max_sigma": 10.0,
        "threshold": 0.02,
    },
    "crops": {
        "size": 64,
        "sigma": 15.0,
        "cell_size": 36.0,
        "intensity": "log",
        "guidance": 3.0,
        "with_nucleus": False,
    },
    "network": {"depth": 4, "channels": 16, "normalisation": "group", "stem": 2},
    "training": {
        "epochs": 8,
        "steps": 16,
        "learning_rate": 0.003,
        "schedule": "cosine",
        "clip_norm": 1.0,
        "area": None,
        "crops": 48,
        "crops_at_once": 48,
        "lam": 1.0,
        "beta": -20.0,
        "nucleus_weight": 1.0,
        "symmetries": "all",
        "warm_up": 0,
        "warm_up_radius": 5.0,
        "self_training": 0.5,
        "seed": 7,
        "precision": "auto",
    },
    "labels": {"fill": True},
}
OLD_PAPER: dict[str, Any] = {
    **OLD_QUICK,
    "preset": "paper",
    "crops": {
        "size": 64,
        "sigma": 15.0,
        "cell_size": None,
        "intensity": "linear",
        "guidance": 0.0,
        "with_nucleus": False,
    },
    "network": {"depth": 4, "channels": 32, "normalisation": "batch", "stem": 1},
    "training": {**OLD_QUICK["training"], "nucleus_weight": 0.0, "self_training": 0.0},
    "labels": {"fill": False},
}
REFUSED = "made by an earlier version of the program"


def changed(old: dict[str, Any], group: str, **values: Any) -> dict[str, Any]:
    return {**old, group: {**old[group], **values}}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of the old `quick` preset with an epoch, in the folder of runs."""
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    return old_run(tmp_path / "old", OLD_QUICK)


def old_run(path: Path, config: dict[str, Any]) -> Run:
    labels = np.zeros((64, 64), np.int32)
    labels[8:24, 8:24], labels[36:56, 36:56] = 1, 2
    pixels = np.random.default_rng(0).random((64, 64, 1), np.float32) + (labels > 0)[..., None]
    points = np.array([[16.0, 16.0], [46.0, 46.0]])
    run = Run.create(
        path,
        Inputs(pixels, labels > 0, points, labels),
        PAPER,
        description={**described(Choices()), "edits": ""},
    )
    run.record("started", pid=1, host="elsewhere", epochs=8)
    run.record("device", device="CPU (test)", precision="float32", n_cells=2)
    run.add_epoch(1, Prediction(labels, (labels > 0).astype(np.uint8), labels > 0))
    run.record("epoch", epoch=1, seconds=1.0, loss=-1.0, scores=None)
    run.record("stopped")
    run.save_state(State(1, [], [], []))
    file = path / "run.json"
    about = json.loads(file.read_text("utf-8"))
    del about["format"]
    about["config"] = config
    about["choices"]["config"] = config
    about["keys"]["training"] = "as it was computed then"
    file.write_text(json.dumps(about), "utf-8")
    return Run(path)


def test_old_settings_are_read_without_what_is_no_more() -> None:
    old = Config(**OLD_QUICK)
    assert old.version == 1
    assert old.network.start == "nothing"
    assert old.training.learning_rate == 0.003
    # Once read they are written with their version, and come back.
    assert Config(**json.loads(old.model_dump_json())) == old
    with pytest.raises(ValueError, match=REFUSED):
        check_current(old)


def test_old_settings_without_guidance_mean_the_same_today() -> None:
    old = Config(**OLD_PAPER)
    assert old.version == 2
    check_current(old)
    assert renewed(old) is old


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ("crops", {"guidance": 0.5}),
        ("training", {"self_training": 0.1}),
        # An image smaller than a crop was enlarged to one; today half a crop is enough.
        ("crops", {"cell_size": 36.0}),
    ],
)
def test_what_would_come_out_differently_today_is_of_version_1(
    group: str, values: dict[str, Any]
) -> None:
    assert Config(**changed(OLD_PAPER, group, **values)).version == 1


def test_renewed_settings_are_those_of_the_preset_with_mask_markers_and_seed() -> None:
    old = Config(**OLD_QUICK)
    new = renewed(old)
    assert new == QUICK.replace(
        mask=old.mask, markers=old.markers, training=QUICK.training.replace(seed=7)
    )
    assert new.mask.prior == 0.75
    check_current(new)


def test_renewed_settings_of_the_paper_keep_their_values() -> None:
    old = Config(**changed(OLD_PAPER, "crops", guidance=1.0))
    new = renewed(old)
    assert new.version == 2
    assert new == Config(**OLD_PAPER)


def test_a_draft_of_before_is_loaded_with_current_settings(run: Run) -> None:
    draft = Draft()
    draft.save(Choices(cell=("actin",)))
    (file,) = Path(run.path.parent).glob(".drafts/*/choices.json")
    saved = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**saved, "config": OLD_QUICK}), "utf-8")
    found = Draft(draft.id).load()
    assert found.cell == ("actin",)
    assert found.config == renewed(Config(**OLD_QUICK))


def test_an_old_run_can_be_listed_looked_at_and_exported(run: Run, tmp_path: Path) -> None:
    assert run.config.version == 1
    assert [one.id for one in list_runs()[0]] == ["old"]
    assert run.epoch(1).labels.max() == 2
    written = export(run, "labels", tmp_path / "labels.tif", 1)
    assert written.exists()
    with pytest.raises(ValueError, match=REFUSED):
        export(run, "recipe", tmp_path / "recipe.zip", 1)


def test_an_old_run_is_not_gone_on_with_and_stays_as_it_is(run: Run, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match=REFUSED):
        work(run, epochs=2)
    with pytest.raises(ValueError, match=REFUSED):
        Jobs().submit(run, epochs=2)
    with pytest.raises(ValueError, match=REFUSED):
        Trained(run)
    with pytest.raises(ValueError, match=REFUSED):
        Application.create(run, {"a": tmp_path / "a.tif"}, formats=["labels"])
    with pytest.raises(ValueError, match=REFUSED):
        train_again(run, 1, tmp_path / "again")
    assert {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()} == before
    assert not (tmp_path / "again").exists()


def test_old_choices_are_compared_by_what_they_are_today(tmp_path: Path) -> None:
    run = old_run(tmp_path / "paper", OLD_PAPER)
    same = described(Choices(config=Config(**OLD_PAPER)))["step_keys"]
    assert keys_then(run.description) == same
    assert run.description.step_keys != same

"""The limits of a server: read from the environment, enforced by the core."""

import json
import re
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from cellcutter_core import limits as limits_module
from cellcutter_core.apply.application_folder import Application
from cellcutter_core.choices.uploads import store_upload
from cellcutter_core.config import QUICK, Config, CropSettings, NetworkSettings, TrainingSettings
from cellcutter_core.images.image import Image
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.jobs.training import work
from cellcutter_core.limits import Limits, TimeLimit, check_room, disk_used, limits, variable
from cellcutter_core.pipeline import find_markers, find_mask
from cellcutter_core.runs.deleted import delete_run, remove_run
from cellcutter_core.runs.folder import new_run_path
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs

TINY = Config(
    crops=CropSettings(size=16, sigma=5),
    network=NetworkSettings(depth=3, channels=4, start="nothing", normalisation="none"),
    training=TrainingSettings(
        epochs=2, steps=3, area=None, crops=4, crops_at_once=4, precision="float32"
    ),
)
ROOT = Path(__file__).parents[2]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in Limits.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    return tmp_path


def new_run(path: Path) -> Run:
    """Nine cells on a grid."""
    rows, cols = np.mgrid[8:40:14, 8:40:14].reshape(2, -1)
    mask = np.zeros((48, 48), bool)
    for row, col in zip(rows, cols, strict=True):
        mask[row - 4 : row + 5, col - 4 : col + 5] = True
    points = np.stack([rows, cols], axis=1).astype(float)
    return Run.create(path, Inputs(mask[..., None].astype(np.float32), mask, points), TINY)


def test_without_variables_only_the_memory_of_an_image_the_free_disk_and_the_workers_are_limited():
    assert limits().model_dump() == {
        "image": 2 * 1024**3,
        "pixels": None,
        "runs": None,
        "disk": None,
        "free": 500_000_000,
        "seconds": None,
        "person_runs": None,
        "person_disk": None,
        "person_seconds": None,
        "upload_days": None,
        "workers": 1,
    }


def test_every_limit_is_read_from_its_variable(monkeypatch):
    given = {
        "image": ("8GB", 8_000_000_000),
        "pixels": ("16777216", 16_777_216),
        "runs": ("200", 200),
        "disk": ("1.5 TB", 1_500_000_000_000),
        "free": ("5GiB", 5 * 1024**3),
        "seconds": ("3600", 3600),
        "person_runs": ("20", 20),
        "person_disk": ("5GB", 5_000_000_000),
        "person_seconds": ("14400", 14_400),
        "upload_days": ("30", 30),
        "workers": ("2", 2),
    }
    assert given.keys() == Limits.model_fields.keys()
    for name, (text, _) in given.items():
        monkeypatch.setenv(variable(name), text)
    assert limits().model_dump() == {name: value for name, (_, value) in given.items()}


def test_an_empty_variable_is_none(monkeypatch):
    without = limits()
    for name in Limits.model_fields:
        monkeypatch.setenv(variable(name), " ")
    assert limits() == without


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("disk", "much", r"^CELLCUTTER_DISK_LIMIT is 'much'; give a size such as 500MB, 8GB"),
        ("free", "0", r"^CELLCUTTER_FREE_LIMIT is '0'; give a size"),
        ("runs", "0", r"^CELLCUTTER_RUN_LIMIT must be a number of at least 1, got '0'$"),
        ("pixels", "1e6", r"^CELLCUTTER_PIXEL_LIMIT must be a number of at least 1, got '1e6'$"),
        ("seconds", "1 h", r"^CELLCUTTER_TIME_LIMIT must be a number of at least 1, got '1 h'$"),
        ("workers", "٣", r"^CELLCUTTER_WORKERS must be a number of at least 1, got"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch, name, wrong, message):
    monkeypatch.setenv(variable(name), wrong)
    with pytest.raises(ValueError, match=message):
        limits()


def test_an_image_with_too_many_pixels_is_refused_before_anything_is_computed(folder, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_PIXEL_LIMIT", str(48 * 48 - 1))
    image = Image(np.zeros((48, 48, 1), np.float32), ("cell",))
    message = r"48 × 48 pixels are more than the 2303 .*CELLCUTTER_PIXEL_LIMIT.*smaller region"
    for compute in (
        lambda: find_markers(image, QUICK),
        lambda: find_mask(image, QUICK, None),
        lambda: new_run(folder / "a"),
    ):
        with pytest.raises(ValueError, match=message):
            compute()
    assert not (folder / "a").exists()
    monkeypatch.setenv("CELLCUTTER_PIXEL_LIMIT", str(48 * 48))
    new_run(folder / "a")


def test_one_run_more_than_allowed_is_refused_until_one_is_deleted(folder, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_RUN_LIMIT", "2")
    new_run(new_run_path())
    second = new_run(new_run_path())
    with pytest.raises(ValueError, match=r"at most 2 runs \(CELLCUTTER_RUN_LIMIT.*delete one"):
        new_run_path()
    delete_run(second.path.name)
    new_run(new_run_path())


def test_runs_and_uploads_are_refused_while_the_disk_limit_is_reached(folder, monkeypatch):
    run = new_run(new_run_path())
    kept = store_upload("a.tif", b"before")
    monkeypatch.setenv("CELLCUTTER_DISK_LIMIT", str(disk_used(folder)))
    message = r"of the .* that this server allows \(CELLCUTTER_DISK_LIMIT .*delete runs on the page"
    for write in (
        new_run_path,
        lambda: store_upload("b.tif", b"another"),
        lambda: Application.create(run, {"a": folder / "a.tif"}),
    ):
        with pytest.raises(ValueError, match=message):
            write()
    # What is there already needs no room.
    assert store_upload("a.tif", b"before") == kept
    # A deleted run can be brought back, so it takes room until it is removed for good.
    delete_run(run.path.name)
    with pytest.raises(ValueError, match=message):
        new_run_path()
    remove_run(run.path.name)
    new_run_path()


def test_nothing_is_begun_on_a_disk_that_is_nearly_full(folder, monkeypatch):
    run = new_run(folder / "there")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, 499_999_999))
    message = r"nearly full: 500 MB are free, and 500 MB must stay so \(CELLCUTTER_FREE_LIMIT"
    for write in (
        new_run_path,
        lambda: new_run(folder / "new" / "run"),
        lambda: store_upload("a.tif", b"content"),
        lambda: Application.create(run, {"a": folder / "a.tif"}),
        lambda: Jobs().submit(run),
    ):
        with pytest.raises(ValueError, match=message):
            write()
    assert [path.name for path in folder.iterdir()] == ["there"]
    assert run.events() == []


def test_the_disk_is_counted_without_following_links(folder):
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_bytes(bytes(1000))
    (folder / "file").write_bytes(bytes(10))
    before = disk_used(folder)
    assert before == 1010
    (folder / "link").symlink_to(folder / "a", target_is_directory=True)
    assert disk_used(folder) - before < 1000
    assert disk_used(folder / "nowhere") == 0


def test_the_clock_says_when_the_time_is_over(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_TIME_LIMIT", "10")
    now = [100.0]
    clock = TimeLimit(lambda: now[0])
    for seconds, over in ((0.0, False), (109.9, False), (110.0, True)):
        now[0] = max(now[0], seconds)
        clock.look()
        assert clock.is_reached is over
    assert "limit of 10 s" in clock.message
    monkeypatch.delenv("CELLCUTTER_TIME_LIMIT")
    free = TimeLimit(lambda: now[0])
    now[0] = 1e9
    free.look()
    assert (free.is_reached, free.message) == (False, "")


def test_a_training_at_its_time_limit_keeps_its_steps_says_so_and_goes_on_later(
    folder, monkeypatch
):
    monkeypatch.setenv("CELLCUTTER_TIME_LIMIT", "1")
    # The first look at the clock, which is after the first step, is late.
    times = iter([0.0, *[2.0] * 100])
    monkeypatch.setattr(limits_module.TimeLimit.__init__, "__defaults__", (lambda: next(times),))
    run = new_run(folder / "a")
    work(run)
    now = run.progress
    assert (now.status, now.epochs_done, now.step) == ("stopped", 0, 1)
    assert now.message == (
        "it reached this server's limit of 1 s for one job (CELLCUTTER_TIME_LIMIT sets it)"
    )
    assert [step.step for step in run.load_state().unfinished] == [1]
    monkeypatch.delenv("CELLCUTTER_TIME_LIMIT")
    work(run)
    now = run.progress
    assert (now.status, now.epochs_done, now.message) == ("finished", 2, "")
    # Nothing was lost by the stop: the losses are those of a run without one.
    straight = new_run(folder / "b")
    work(straight)
    losses = [
        [event["loss"] for event in each.events() if event["kind"] == "step"]
        for each in (run, straight)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-3)
    assert json.loads((run.path / "run.json").read_text())["config"] == TINY.model_dump()


def test_no_limit_walks_through_the_folder_in_vain(folder, monkeypatch):
    monkeypatch.setattr(limits_module, "disk_used", lambda _: pytest.fail("it was counted"))
    check_room(folder, 1)


def test_documentation_and_container_name_the_limits_that_there_are():
    names = {variable(name) for name in Limits.model_fields}
    others = {"CELLCUTTER_RUNS", "CELLCUTTER_DATA", "CELLCUTTER_PEOPLE"}
    page, container = ((ROOT / name).read_text() for name in ("docs/deploy.md", "Dockerfile"))
    assert set(re.findall("CELLCUTTER_[A-Z_]+", page)) == names | others
    assert set(re.findall("CELLCUTTER_[A-Z_]+", container)) <= names | others


def test_the_limits_of_the_container_are_valid(monkeypatch):
    given = re.findall(r"(CELLCUTTER_[A-Z_]+)=(\S+)", (ROOT / "Dockerfile").read_text())
    for name, value in given:
        monkeypatch.setenv(name, value)
    assert limits().seconds == 7200
    assert None not in limits().model_dump().values()

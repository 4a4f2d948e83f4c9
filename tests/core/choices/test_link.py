"""Choices as query parameters and back, what a link refuses, and the run of an experiment."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, get_args, get_origin

import pytest

from cellcutter_core.choices.choices import Choices, KeptFile, Source
from cellcutter_core.choices.link import (
    View,
    as_query,
    choices_from,
    experiment_in,
    find_experiment,
    other_from,
    parameters_of,
    parameters_of_other,
    parameters_of_run,
)
from cellcutter_core.choices.of_run import described, keys_then
from cellcutter_core.config import FROM_NOTHING, PAPER, QUICK, Config, starting
from cellcutter_core.runs.description import Before, Description
from cellcutter_core.runs.folder import RunSummary

GROUPS = ("mask", "markers", "crops", "network", "training", "labels")
SETTINGS = [(group, name) for group in GROUPS for name in type(getattr(QUICK, group)).model_fields]
ADDRESS = "https://example.org/data/plate_1.zarr/A/1/0?version=2"


def other_values(group: str, name: str, now: Any) -> list[Any]:
    """Values to try for a setting in place of the present one; not all of them are allowed."""
    kind = type(getattr(QUICK, group)).model_fields[name].annotation
    if kind is bool:
        return [not now]
    if get_origin(kind) is not None and not any(isinstance(one, type) for one in get_args(kind)):
        return [one for one in get_args(kind) if one != now]
    number = 0.1 + 0.2 if float in (kind, *get_args(kind)) else 1
    found = [number, 96] if now is None else [now + number, now - 1, 2 * now, now / 3]
    optional = type(None) in get_args(kind)
    return [one for one in [*found, *([None] if optional else [])] if one != now]


@pytest.mark.parametrize(("group", "name"), SETTINGS)
def test_each_setting_changed_alone_comes_back_the_same(group: str, name: str) -> None:
    n_tried = 0
    for base in (QUICK, PAPER, FROM_NOTHING):
        for value in other_values(group, name, getattr(getattr(base, group), name)):
            config = base.model_dump()
            config[group][name] = value
            try:
                choices = Choices(config=config)
            except ValueError:
                continue
            assert choices.config != base
            assert choices_from(parameters_of(choices)) == choices
            n_tried += 1
    assert n_tried


@pytest.mark.parametrize(
    "choices",
    [
        Choices(),
        Choices(source=Source(seed=999)),
        Choices(source=Source(kind="paper", name="a2"), config=PAPER),
        Choices(source=Source(kind="web", name=ADDRESS, z="max", t=0, scene=3, inverted=True)),
        Choices(cell=("fluorescence", "bright field"), nucleus="none"),
        Choices(region=(0, 7, 128, 160), pixel_size=0.1 + 0.2),
        Choices(pixel_size=(0.5, 0.25)),
        Choices(config=starting(PAPER, "simulated")),
        Choices(config=QUICK.replace(preset="custom")),
        Choices(config=FROM_NOTHING.replace(preset="custom")),
    ],
)
def test_choices_come_back_the_same(choices: Choices) -> None:
    found = parameters_of(choices)
    assert experiment_in(found) == list(found)
    assert choices_from(found | {"epoch": "3", "run": "r1", "draft": "d1"}) == choices


def test_only_what_differs_from_the_preset_and_its_start_is_written() -> None:
    assert parameters_of(Choices()) == {"image": "sample-0", "preset": "quick"}
    nothing = starting(QUICK, "nothing")
    config = nothing.replace(training=nothing.training.replace(lam=0.5, area=None))
    found = parameters_of(Choices(source=Source(seed=3), config=config))
    assert found == {
        "image": "sample-3",
        "preset": "quick",
        "network.start": "nothing",
        "training.lam": "0.5",
    }
    assert as_query(found) == "image=sample-3&preset=quick&network.start=nothing&training.lam=0.5"


def test_a_link_by_hand_needs_only_the_image() -> None:
    assert choices_from({"image": "sample-0"}) == Choices()
    assert not experiment_in(["run", "draft", "epoch", "zoom", "compare", "with"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"training.lam": "1000"}, "training: lam should be at least 0 and at most 100, got 1000"),
        ({"training.lam": "NaN"}, "training: lam"),
        ({"training.lam": "1e999"}, "training: lam"),
        ({"training.lam": "half"}, "training: lam"),
        ({"training.seed": "-1"}, "training: seed should be at least 0"),
        ({"training.seed": "9" * 101}, "training.seed has 101 characters; allowed are 100"),
        ({"training.lambda": "1"}, "there is no setting called training.lambda"),
        ({"training.lam.x": "1"}, "there is no setting called training.lam.x"),
        ({"training.[a](b)": "1"}, "there is no setting like one"),
        ({"seed": "3"}, "there is no parameter called seed; take it out"),
        ({"crops.size": "17"}, "crops: size should be"),
        ({"network.depth": "3"}, "network: the taught network has depth 4"),
        ({"markers.min_sigma": "20"}, "max_sigma is 10, below min_sigma 20"),
        ({"network.start": "random"}, "network.start is random; give simulated or nothing"),
        ({"preset": "slow"}, "preset is slow; give quick, paper, custom"),
        ({"training.lam": "[1](http://x)"}, "training.lam has a character"),
        ({"region": "0,0,128"}, "region is 0,0,128; give 4 numbers with commas"),
        ({"region": "0,0,128,true"}, "region is 0,0,128,true"),
        ({"region": "0,0,128,1.5"}, "region"),
        ({"pixel_size": "wide"}, "pixel_size is wide; give a number"),
        ({"pixel_size": "-1"}, "pixel_size"),
        ({"nucleus": "![x](http://x)"}, "nucleus has a character"),
        ({"z": "0"}, "z is only for an image from an address"),
        ({"image": ADDRESS, "z": "upper"}, "z"),
        ({"image": ""}, "image is missing; give sample-0 to sample-999"),
        ({"image": "sample-1000"}, "image is sample-1000"),
        ({"image": "sample--1"}, "image is sample--1"),
        ({"image": "sample-٣"}, "image has a character"),
        ({"image": "paper-b1"}, "image is paper-b1"),
        ({"image": "https://" + "a" * 400}, "image has 408 characters; allowed are 400"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match="this link cannot be opened: ") as error:
        choices_from({"image": "sample-0"} | wrong)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 700


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../outside",
        "file:///etc/passwd",
        "C:\\cells.tif",
        "file-a.tif",
        "sample-../1",
    ],
)
def test_no_path_is_an_image(path: str) -> None:
    with pytest.raises(ValueError, match="this link cannot be opened: image"):
        choices_from({"image": path})


@pytest.mark.parametrize(
    ("choices", "edits", "why"),
    [
        (Choices(source=Source(kind="file", name="a.tif", digest="a1")), "", "an uploaded image"),
        (Choices(others=(Source(kind="file", name="b.tif", digest="b1"),)), "", "other images"),
        (Choices(), "0123", "markers that were edited"),
        (Choices(cell=("a,b",)), "", "the name of this image or of its channels"),
        (Choices(nucleus="<b>"), "", "the name of this image or of its channels"),
        (
            Choices(source=Source(kind="web", name="https://example.org/" + "a" * 400)),
            "",
            "the name of this image",
        ),
    ],
)
def test_what_a_link_cannot_hold_is_said(choices: Choices, edits: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"a link cannot hold .*{why}"):
        parameters_of(choices, edits=edits)


# What is looked at --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view",
    [
        View(),
        View(epoch=0, zoom=(2.5, 120.0, 88.5)),
        View(epoch=6, compare="epochs", other=2),
        View(compare="runs", other="20260102-120000-abc"),
    ],
)
def test_a_view_comes_back_the_same(view: View) -> None:
    assert View.read(view.parameters | {"image": "sample-0", "utm": "x"}) == view


def test_a_view_is_written_as_one_reads_it() -> None:
    view = View(epoch=6, zoom=(2.5, 120, 88), compare="film", other=2)
    assert as_query(view.parameters) == "epoch=6&zoom=2.5,120,88&compare=film&with=2"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epoch": "-1"}, "epoch should be at least 0 and at most 1000000"),
        ({"epoch": "last"}, "epoch should be"),
        ({"epoch": "1" * 101}, "epoch has 101 characters"),
        ({"zoom": "2"}, "zoom is 2; give 3 numbers"),
        ({"zoom": "0.5,1,1"}, "zoom: should be 1 to 1000 times"),
        ({"zoom": "2,-1,1"}, "zoom: should be"),
        ({"zoom": "NaN,1,1"}, "zoom"),
        ({"compare": "all"}, "compare should be 'film'"),
        ({"with": "../outside"}, "with has a character"),
        ({"with": "a.b"}, "with: 'a.b' is not the id of a run"),
    ],
)
def test_a_wrong_view_is_refused_by_its_name(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match="this link cannot be opened: ") as error:
        View.read(wrong)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "other",
    [
        Choices(region=(0, 0, 128, 160)).with_setting("training", "seed", 4),
        Choices(region=(0, 0, 128, 160), config=PAPER),
        Choices(source=Source(seed=1)).with_setting("training", "lam", 2),
        Choices().with_setting("training", "lam", 2),
    ],
)
def test_an_experiment_to_compare_with_comes_back_the_same(other: Choices) -> None:
    one = Choices(region=(0, 0, 128, 160)).with_setting("training", "lam", 0.5)
    told = parameters_of(one)
    told |= parameters_of_other(told, parameters_of(other))
    assert choices_from(told) == one
    assert other_from(told, one) == other
    # The address of an opened run names the other one alone.
    assert other_from({name: told[name] for name in told if "with." in name}, one) == other


def test_without_another_experiment_there_is_none_to_compare_with() -> None:
    assert other_from({"image": "sample-0", "compare": "runs", "with": "r2"}, Choices()) is None
    with pytest.raises(ValueError, match=r"no setting called training\.lambda"):
        other_from({"with.training.lambda": "1"}, Choices())


# The run of an experiment -------------------------------------------------------------------------


def summary(
    choices: Choices,
    /,
    *,
    run_id: str = "r1",
    epoch: int = 6,
    status: str = "finished",
    **about: Any,
) -> RunSummary:
    """A run of these choices that has come to an epoch; -1 is none."""
    told = {**described(choices), "config": choices.config, **about}
    return RunSummary(
        **{"status": status, "message": "", "epochs": choices.config.training.epochs, "step": 0},
        **{"steps": 10, "seconds": 1.0, "seconds_left": None, "collapsed": False},
        epochs_done=max(epoch, 0),
        epoch_events=() if epoch < 0 else ({"epoch": epoch, "time": 0.0},),
        id=run_id,
        description=Description(**told),
    )


def test_the_newest_run_of_the_experiment_that_has_the_epoch_is_found() -> None:
    choices = Choices(region=(0, 0, 128, 160))
    runs = [
        summary(choices.with_setting("training", "seed", 1), run_id="other seed"),
        summary(choices.with_setting("training", "lam", 2), run_id="other settings"),
        summary(choices.replace(region=None), run_id="other region"),
        summary(choices.replace(source=Source(seed=1)), run_id="other image"),
        summary(choices, run_id="edited", edits="0123"),
        summary(choices, run_id="again", before=Before(run="r0", epoch=6)),
        summary(choices, run_id="of the command line", choices=None),
        summary(choices, run_id="short", epoch=2, status="stopped"),
        summary(choices, run_id="it"),
        summary(choices, run_id="older"),
    ]
    found = find_experiment(choices, runs)
    assert found is not None
    assert found.id == "it"
    first = find_experiment(choices, runs, epoch=2)
    assert first is not None
    assert first.id == "short"
    assert find_experiment(choices, runs, epoch=7) is None
    assert find_experiment(choices, runs[:8]) is None


def test_what_decides_nothing_does_not_hide_the_run() -> None:
    choices = Choices()
    idle = choices.with_setting("markers", "threshold", 0.2).replace(pixel_size=0.5)
    assert find_experiment(idle, [summary(choices)]) is not None


def test_a_run_that_will_come_to_the_epoch_is_found_if_none_has_it() -> None:
    choices = Choices()
    going = summary(choices, run_id="going", epoch=-1, status="queued")
    failed = summary(choices, run_id="failed", epoch=-1, status="failed")
    done = summary(choices, run_id="done")
    assert find_experiment(choices, [going, done]) == done
    assert find_experiment(choices, [failed, going]) == going
    assert find_experiment(choices, [failed, going], epoch=9) is None
    assert find_experiment(choices, [failed], epoch=0) is None


def test_a_run_of_an_earlier_version_is_not_the_experiment() -> None:
    old = QUICK.model_dump() | {"version": 1}
    before = summary(Choices(), config=Config(**old), choices={"config": old})
    # Its renewed settings are those of today, but it was trained with others.
    assert Choices(**before.description.choices or {}) == Choices()
    assert find_experiment(Choices(), [before]) is None
    with pytest.raises(ValueError, match="settings of an earlier version"):
        parameters_of_run(before.description)


def test_a_run_says_which_experiment_it_is() -> None:
    choices = Choices(source=Source(seed=2)).with_setting("training", "seed", 3)
    about = summary(choices).description
    assert parameters_of_run(about) == parameters_of(choices)
    for told, why in (
        ({"before": Before(run="r0", epoch=6)}, "corrections"),
        ({"choices": None}, "not started on these pages"),
        ({"choices": {"unknown": 1}}, "not started on these pages"),
        ({"edits": "0123"}, "markers"),
    ):
        with pytest.raises(ValueError, match=why):
            parameters_of_run(about.replace(**told))


def test_true_cells_do_not_make_another_experiment() -> None:
    with_truth = Source(truth=KeptFile(name="t.tif", digest="a1"))
    assert find_experiment(Choices(source=with_truth), [summary(Choices())]) is not None


def test_five_thousand_runs_are_searched_at_once() -> None:
    choices = Choices()
    runs = [summary(choices.with_setting("training", "lam", 2), epoch=6)] * 5000
    runs = [dataclasses.replace(run, id=f"r{number}") for number, run in enumerate(runs)]
    start = time.process_time()
    assert find_experiment(choices, runs) is None
    found = time.process_time()
    for run in runs[:500]:
        keys_then(run.description)
    # Not a bound in seconds: the keys of a tenth of them take as long (0.2 s).
    assert found - start < 3 * (time.process_time() - found)

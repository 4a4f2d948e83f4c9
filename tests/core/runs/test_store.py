import json
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

from cellcutter_core.config import QUICK, Config, TrainingSettings
from cellcutter_core.runs.store import Run, State, progress
from cellcutter_core.training.events import Step
from cellcutter_core.training.inputs import Inputs, Truth
from cellcutter_core.training.predicted_labels import Prediction

CONFIG = Config(training=TrainingSettings(epochs=4, steps=10))
HERE = socket.gethostname()


@pytest.fixture
def inputs():
    image = np.arange(2 * 3 * 1, dtype=np.uint16).reshape(2, 3, 1)
    return Inputs(image, np.array([[1, 1, 0], [0, 0, 1]], bool), np.array([[0.0, 1.5]]))


@pytest.fixture
def run(tmp_path, inputs):
    return Run.create(tmp_path / "run", inputs, CONFIG, description={"image": "a.tif"})


def drawing(value):
    labels = np.full((2, 3), value, np.int32)
    return Prediction(labels, np.eye(2, 3, dtype=np.uint8), np.full((2, 3), 0.2, np.float32))


def test_what_is_created_is_read_back(run, inputs):
    again = Run(run.path)
    assert again.config == CONFIG
    assert again.description.image == "a.tif"
    np.testing.assert_array_equal(again.inputs.image, inputs.image)
    assert again.inputs.image.dtype == np.uint16
    np.testing.assert_array_equal(again.inputs.mask, inputs.mask)
    np.testing.assert_array_equal(again.inputs.points, inputs.points)
    assert again.inputs.nuclei is None
    assert again.truth is None
    assert again.epochs == []
    assert again.progress.status == "queued"


def test_truth_is_kept_apart_from_inputs(tmp_path, inputs):
    labels = np.array([[0, 1, 1], [2, 0, 0]], np.int32)
    run = Run.create(tmp_path, inputs, CONFIG, truth=Truth(labels=labels))
    assert run.truth is not None
    np.testing.assert_array_equal(run.truth.labels, labels)
    assert run.truth.ignore is None
    with np.load(tmp_path / "inputs.npz") as archive:
        assert set(archive.files) == {"image", "mask", "points", "final"}


def test_channels_that_are_not_seen_are_kept_by_name(tmp_path, inputs):
    phase, other = np.arange(12.0).reshape(3, 4), np.ones((3, 4))
    made = Run.create(tmp_path / "more", inputs, CONFIG, unseen={"Phasé": phase, "b": other})
    assert list(made.unseen) == ["Phasé", "b"]
    assert np.array_equal(made.unseen["Phasé"], phase)
    assert Run.create(tmp_path / "none", inputs, CONFIG).unseen == {}


def test_a_run_is_never_written_over(run, inputs):
    with pytest.raises(ValueError, match="already a run"):
        Run.create(run.path, inputs, CONFIG)


def test_a_folder_that_cannot_be_made(tmp_path, inputs):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot write .*choose another folder"):
        Run.create(tmp_path / "file" / "run", inputs, CONFIG)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a run"),
        ("{", "cannot be read"),
        ("{}", "cannot be read"),
        ("[]", "cannot be read"),
        (json.dumps({"config": {"training": {"epochs": 0}}}), "epochs"),
    ],
)
def test_no_run(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        Run(tmp_path)
    assert "\n" not in str(caught.value)


def test_epochs_come_back(run):
    run.add_epoch(2, drawing(70_000))
    run.add_epoch(1, drawing(3))
    (run.path / "epochs" / ".part-0003.npz").write_bytes(b"torn")
    assert run.epochs == [1, 2]
    np.testing.assert_array_equal(run.epoch(2).labels, np.full((2, 3), 70_000))
    np.testing.assert_array_equal(run.epoch(1).borders, np.eye(2, 3))
    np.testing.assert_allclose(run.epoch(1).probability, 0.2, atol=0.5 / 255)
    with pytest.raises(ValueError, match=r"no epoch 7; it has 1, 2"):
        run.epoch(7)


def test_epoch_0_is_an_epoch_like_any_other(run):
    run.add_epoch(0, drawing(5))
    run.add_epoch(1, drawing(3))
    assert run.epochs == [0, 1]
    np.testing.assert_array_equal(run.epoch(0).labels, np.full((2, 3), 5))
    with pytest.raises(ValueError, match=r"no epoch 7; it has 0, 1"):
        run.epoch(7)


def test_baselines_come_back_by_name(run):
    assert run.baselines == run.baseline_scores == {}
    run.baselines = {"paths": drawing(1).labels, "watershed": drawing(2).labels}
    run.record("baseline", name="watershed", scores={"ap50": 0.25})
    run.record("baseline", name="paths", scores={"ap50": 0.5})
    found = Run(run.path).baselines
    assert {name: labels.max() for name, labels in found.items()} == {"paths": 1, "watershed": 2}
    assert run.baseline_scores == {"paths": {"ap50": 0.5}, "watershed": {"ap50": 0.25}}
    assert list(run.baseline_scores) == ["paths", "watershed"]


@pytest.mark.parametrize(
    ("guidance", "name"), [(3, "paths"), (0, "watershed"), (None, "watershed")]
)
def test_the_only_baseline_of_an_old_run_is_what_its_settings_took(run, guidance, name):
    file = run.path / "run.json"
    about = json.loads(file.read_text("utf-8"))
    del about["format"], about["config"]["version"]
    if guidance is not None:
        about["config"]["crops"]["guidance"] = guidance
    file.write_text(json.dumps(about), "utf-8")
    np.savez(run.path / "baseline.npz", labels=drawing(7).labels)
    run.record("baseline", scores={"ap50": 0.5})
    old = Run(run.path)
    assert list(old.baselines) == [name]
    assert old.baselines[name].max() == 7
    assert old.baseline_scores == {name: {"ap50": 0.5}}


def test_without_truth_baselines_have_no_scores(run):
    run.record("baseline", name="paths", scores=None)
    assert run.baseline_scores == {}


def test_a_damaged_epoch_is_one_line(run):
    (run.path / "epochs" / "0001.npz").write_bytes(b"not an archive")
    with pytest.raises(ValueError, match="damaged"):
        run.epoch(1)


def test_an_epoch_whose_compressed_bytes_are_damaged_is_one_line(run):
    run.add_epoch(1, drawing(3))
    file = run.path / "epochs" / "0001.npz"
    content = bytearray(file.read_bytes())
    # The first array begins after 30 bytes, its name and the extra field of the archive.
    begin = 30 + int.from_bytes(content[26:28], "little") + int.from_bytes(content[28:30], "little")
    content[begin] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        run.epoch(1)


def test_state_comes_back(run):
    assert run.load_state() is None
    weights = [np.full((2, 2), i, np.float32) for i in range(12)]
    losses = {"loss": -1 / 3, "area": -0.1, "overlap": 1e-30, "background": 0.0, "certain": 0.0}
    steps = [Step(4, n, 7, 0.25, warming_up=n == 1, losses=losses) for n in (1, 2)]
    run.save_state(State(3, weights, [np.asarray(7), np.ones(4)], steps))
    state = run.load_state()
    assert state is not None
    assert state.epochs_done == 3
    # Twelve: an order by name alone would put 10 before 2.
    assert [int(w[0, 0]) for w in state.weights] == list(range(12))
    assert [v.shape for v in state.optimizer] == [(), (4,)]
    assert state.unfinished == steps


def test_a_state_of_before_has_whole_epochs_alone(run):
    np.savez(run.path / "state.npz", epoch=3, weight00000=np.ones(2), optimizer00000=np.ones(3))
    state = run.load_state()
    assert state is not None
    assert (state.epochs_done, state.unfinished) == (3, [])
    assert (len(state.weights), len(state.optimizer)) == (1, 1)


def test_a_state_that_is_not_written_whole_leaves_the_one_before(run, monkeypatch):
    run.save_state(State(3, [np.ones(2)], [], []))

    def torn(stream, **arrays):
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", torn)
    with pytest.raises(KeyboardInterrupt):
        run.save_state(State(4, [np.zeros(2)], [], []))
    state = run.load_state()
    assert state is not None
    assert (state.epochs_done, state.weights[0].tolist()) == (3, [1, 1])


def test_torn_lines_are_ignored_and_mended(run):
    run.record("started", pid=os.getpid(), host=HERE)
    with (run.path / "events.jsonl").open("a") as stream:
        stream.write('{"kind": "epoch", "epo')
    assert [event["kind"] for event in run.events()] == ["started"]
    run.record("stopped")
    assert [event["kind"] for event in run.events()] == ["started", "stopped"]
    with (run.path / "events.jsonl").open("ab") as stream:
        stream.write(b'\xff\xfe\n17\n["kind"]\n')
    assert [event["kind"] for event in run.events()] == ["started", "stopped"]


def epoch_event(number, **values):
    return {"kind": "epoch", "epoch": number, "seconds": 20.0, **values}


STARTED = {"kind": "started", "pid": 1, "host": "h"}


def test_progress_before_anything():
    empty = progress([], CONFIG)
    assert (empty.status, empty.epochs_done, empty.epochs, empty.seconds_left) == (
        "queued",
        0,
        4,
        None,
    )


def test_progress_in_the_middle():
    events = [STARTED, epoch_event(1), {"kind": "step", "epoch": 2, "step": 5}]
    now = progress(events, CONFIG)
    assert (now.status, now.epochs_done, now.step) == ("running", 1, 5)
    # 3 epochs of 10 steps to go at 2 s a step, 5 steps of them done.
    assert now.seconds_left == pytest.approx(50)
    assert now.seconds == 20


ZERO = {"kind": "epoch", "epoch": 0, "device": "d", "miou": None, "n_cells": 3}


def test_epoch_0_does_not_count_as_done():
    now = progress([STARTED, ZERO], CONFIG)
    assert (now.status, now.epochs_done, now.step, now.seconds) == ("running", 0, 0, 0)
    assert now.seconds_left is None
    assert not now.collapsed
    assert [event["epoch"] for event in now.epoch_events] == [0]
    assert now.trained_events == ()


def test_epoch_0_changes_nothing_of_the_progress_after_it():
    events = [STARTED, epoch_event(1), {"kind": "step", "epoch": 2, "step": 5}]
    without, now = progress(events, CONFIG), progress([STARTED, ZERO, *events[1:]], CONFIG)
    assert now.epochs_done == without.epochs_done == 1
    assert now.seconds_left == without.seconds_left == pytest.approx(50)
    assert now.seconds == without.seconds
    assert now.trained_events == without.epoch_events
    assert [event["epoch"] for event in now.epoch_events] == [0, 1]


def steps_of(epoch, *numbers):
    return [{"kind": "step", "epoch": epoch, "step": n, "seconds": 2.0} for n in numbers]


def test_a_run_that_was_stopped_within_an_epoch_has_the_steps_that_were_saved():
    stopped = [
        STARTED, epoch_event(1), *steps_of(2, 1, 2, 3),
        {"kind": "saved", "epoch": 2, "step": 3}, {"kind": "stopped"},
    ]  # fmt: skip
    now = progress(stopped, CONFIG)
    assert (now.status, now.epochs_done, now.step) == ("stopped", 1, 3)
    assert now.kept == "1 of 4 epochs and 3 of 10 steps of epoch 2"
    # Both while it waits to go on and before its next step.
    for more in ([{"kind": "queued"}], [{"kind": "queued"}, STARTED]):
        assert progress(stopped + more, CONFIG).step == 3
    going = [*stopped, STARTED, *steps_of(2, 4, 5)]
    now = progress(going, CONFIG)
    assert (now.status, now.step) == ("running", 5)
    assert now.seconds_left == pytest.approx(25 * 2)
    # What was done after that is lost in a crash.
    assert progress(going, CONFIG, alive=lambda *_: False).step == 3
    assert progress([*going, {"kind": "failed", "message": "x"}], CONFIG).step == 3
    # And with the end of the epoch it is all in there.
    now = progress([*going, epoch_event(2), {"kind": "stopped"}], CONFIG)
    assert (now.epochs_done, now.step, now.kept) == (2, 0, "2 of 4 epochs")


def test_an_old_run_that_was_stopped_within_an_epoch_has_whole_epochs_alone():
    now = progress([STARTED, epoch_event(1), *steps_of(2, 1, 2), {"kind": "stopped"}], CONFIG)
    assert (now.epochs_done, now.step, now.kept) == (1, 0, "1 of 4 epochs")


@pytest.mark.parametrize("end", ["finished", "stopped"])
def test_progress_at_the_end(end):
    assert progress([STARTED, epoch_event(1), {"kind": end}], CONFIG).status == end


def test_progress_knows_where_a_run_was_continued():
    begun = {**STARTED, "epochs": 2}
    once = [begun, epoch_event(1), epoch_event(2), {"kind": "finished"}]
    assert progress(once, CONFIG).continued == ()
    further = [*once, {**begun, "epochs": 4}, epoch_event(3)]
    assert progress(further, CONFIG).continued == (2,)
    # After a crash it goes on to the same end, and its learning rate does not change.
    again = [begun, epoch_event(1), begun, epoch_event(2)]
    assert progress(again, CONFIG).continued == ()


def test_progress_of_a_failure_says_why():
    now = progress([STARTED, {"kind": "failed", "message": "no marker"}], CONFIG)
    assert (now.status, now.message) == ("failed", "no marker")


def test_a_process_that_is_gone_has_crashed():
    now = progress([STARTED], CONFIG, alive=lambda pid, host: (pid, host) != (1, "h"))
    assert now.status == "crashed"
    assert "continue" in now.message


def test_going_on_after_a_failure_is_running_again():
    events = [STARTED, epoch_event(1), {"kind": "failed", "message": "x"}, {**STARTED, "epochs": 9}]
    now = progress(events, CONFIG)
    assert (now.status, now.message, now.epochs) == ("running", "", 9)


def test_an_epoch_done_again_counts_once():
    events = [STARTED, epoch_event(1), epoch_event(2, loss=1), STARTED, epoch_event(2, loss=2)]
    now = progress(events, CONFIG)
    assert now.epochs_done == 2
    assert now.epoch_events[-1]["loss"] == 2


def test_collapse_is_of_the_last_epoch():
    collapsed = epoch_event(1, collapsed=True)
    assert progress([STARTED, collapsed], CONFIG).collapsed
    assert not progress([STARTED, collapsed, epoch_event(2)], CONFIG).collapsed


def test_alive_is_about_real_processes(run):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run.record("started", pid=gone.pid, host=HERE)
    assert run.progress.status == "crashed"
    run.record("started", pid=os.getpid(), host=HERE)
    assert run.progress.status == "running"
    run.record("started", pid=gone.pid, host="another machine")
    assert run.progress.status == "running"


def test_asking_to_stop(run):
    assert not run.asked_to_stop
    run.ask_to_stop()
    assert Run(run.path).asked_to_stop
    run.forget_stop()
    run.forget_stop()
    assert not run.asked_to_stop


def test_asking_to_stop_where_nothing_can_be_written_is_told(run):
    shutil.rmtree(run.path)
    with pytest.raises(ValueError, match=r"cannot write into .* stop it again"):
        run.ask_to_stop()


def test_time_left_is_told_before_the_first_epoch_ends() -> None:
    config = QUICK.replace(training=QUICK.training.replace(epochs=4, steps=10))
    started = {"kind": "started", "pid": 1, "host": "x", "epochs": 4}
    steps = [{"kind": "step", "step": 1, "seconds": 60.0}]
    assert progress([started, *steps], config).seconds_left is None
    steps += [{"kind": "step", "step": k, "seconds": 2.0} for k in (2, 3)]
    # 37 steps of two seconds; the first, which built the network, is left out.
    assert progress([started, *steps], config).seconds_left == pytest.approx(74)
    # The epoch took long because of its first step, which does not come again.
    steps += [{"kind": "step", "epoch": 1, "step": n, "seconds": 2.0} for n in range(4, 11)]
    whole = [started, *steps, epoch_event(1, seconds=48.0)]
    assert progress(whole, config).seconds_left == pytest.approx(60)
    # Gone on with, the pace of before counts until there is another.
    again = [*whole, started]
    assert progress(again, config).seconds_left == pytest.approx(30 * 4.8)


def test_brief_events_leave_out_steps_and_say_the_same(run):
    run.record("started", pid=os.getpid(), host=socket.gethostname(), epochs=2)
    for step in (1, 2, 3):
        run.record("step", epoch=1, step=step, seconds=0.5)
    run.record("epoch", epoch=1, seconds=1.5, scores=None)
    run.record("queued", epochs=2)
    for step in (1, 2):
        run.record("step", epoch=2, step=step, seconds=0.5)
    found = run.events(brief=True)
    assert [event["kind"] for event in found] == [
        *("started", "step", "epoch", "queued", "step"),
    ]
    assert [event["step"] for event in found if event["kind"] == "step"] == [1, 1]
    (listed, whole) = (progress(events, CONFIG) for events in (found, run.events()))
    assert (listed.status, listed.epochs_done, listed.seconds) == ("running", 1, 1.5)
    assert (whole.status, whole.epochs_done, whole.seconds) == ("running", 1, 1.5)


def test_a_torn_line_among_the_events_is_left_out(run):
    run.record("started", epochs=2)
    with (run.path / "events.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"kind": "st')
    run.record("stopped")
    assert [event["kind"] for event in run.events()] == ["started", "stopped"]

"""How long something waits for its turn."""

import os
import socket
import time

import pytest
from test_queue import TINY, folder, manner, new_run, status, until

from cellcutter_core.apply.application_folder import Application
from cellcutter_core.jobs.estimate import estimate_seconds
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.jobs.waiting import STOPPING, seconds_left, seconds_to_wait

__all__ = ["folder", "manner"]


def test_what_comes_first(folder, manner):
    jobs = Jobs()
    a, b, c = [new_run(folder, name) for name in "abc"]
    assert jobs.ahead() == []
    for run in (a, b, c):
        jobs.submit(run)
    until(lambda: status(a) == "running")

    def before(run):
        return [one.path.name for one in jobs.ahead(run)]

    assert [before(run) for run in (a, b, c)] == [[], ["a"], ["a", "b"]]
    assert before(None) == ["a", "b", "c"]
    jobs.cancel(b)
    assert before(c) == ["a"]
    (folder / "go").touch()
    until(lambda: status(c) == "finished" and not jobs.ahead())


@pytest.mark.parametrize(
    ("lengths", "n_workers", "expected"),
    [
        ([], 1, 0),
        ([30, 60, 5], 1, 95),
        # One is worked on while two others are, one after the other.
        ([30, 60, 5], 2, 35),
        ([30], 2, 0),
        ([30, None], 1, None),
    ],
)
def test_the_wait_is_what_is_left_of_those_before(lengths, n_workers, expected):
    given = dict(enumerate(lengths))
    assert seconds_to_wait(list(given), n_workers=n_workers, needs=given.get) == expected


def started(run, ago=0.0):
    run.record("started", pid=os.getpid(), host=socket.gethostname(), epochs=2)
    file = run.path / "events.jsonl"
    text = file.read_text()
    now = float(text.rpartition('"time": ')[2].partition(",")[0])
    file.write_text(text.replace(str(now), str(now - ago)))


def test_what_is_left_of_a_training(folder):
    run = new_run(folder, "a")
    whole, _ = estimate_seconds(run.inputs, TINY, device=None)
    assert seconds_left(run) == pytest.approx(whole)
    # Before its first step what it took already is taken away.
    started(run, ago=whole / 2)
    assert seconds_left(run) == pytest.approx(whole / 2, abs=0.1 * whole)
    run.record("step", epoch=1, step=1, seconds=9.0, n_crops=4)
    run.record("step", epoch=1, step=2, seconds=2.0, n_crops=4)
    assert seconds_left(run) == pytest.approx(run.progress.seconds_left) == pytest.approx(4.0)
    run.ask_to_stop()
    assert seconds_left(run) == STOPPING


def test_a_run_that_is_gone_on_with_needs_the_epochs_that_are_left(folder):
    run = new_run(folder, "a")
    started(run)
    for epoch in (1, 2):
        run.record("epoch", epoch=epoch, seconds=1.0)
    run.record("finished")
    assert seconds_left(run) == 0
    run.record("queued", epochs=4)
    training = TINY.training.replace(epochs=2)
    whole, _ = estimate_seconds(run.inputs, TINY.replace(training=training), device=None)
    assert seconds_left(run) == pytest.approx(whole)


def test_steps_of_an_unfinished_epoch_are_not_waited_for(folder):
    run = new_run(folder, "a")
    whole, _ = estimate_seconds(run.inputs, TINY, device=None)
    started(run)
    run.record("step", epoch=1, step=1, seconds=9.0, n_crops=4)
    run.record("saved", epoch=1, step=1)
    run.record("stopped")
    run.record("queued", epochs=2)
    # One of two times two.
    assert seconds_left(run) == pytest.approx(0.75 * whole)


def test_of_an_application_nobody_knows_before_an_image_is_done(folder, monkeypatch):
    run = new_run(folder, "a")
    made = Application.create(run, {name: folder / f"{name}.npz" for name in ("x", "y", "z")})
    assert seconds_left(made) is None
    made.record("started", pid=os.getpid(), host=socket.gethostname())
    made.record("image", outcome={"name": "x", "image": "x.npz", "seconds": 4.0, "error": ""})
    assert seconds_left(made) == 8.0
    # Two workers finish two images in the time of one.
    begun = made.events()[-2]["time"]
    monkeypatch.setattr(time, "time", lambda: begun + 6)
    made.record("image", outcome={"name": "y", "image": "y.npz", "seconds": 4.0, "error": ""})
    assert seconds_left(made) == pytest.approx(3.0)
    monkeypatch.undo()
    # The next one has what the last one took.
    time.sleep(1.1)  # An application is named by the second.
    other = Application.create(run, {"w": folder / "w.npz"})
    assert seconds_left(other) == 4.0

"""The queue, mostly with a child that only says what a training would, so that it is quick."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from patience import LONGEST, until

from cellcutter_core.config import Config, CropSettings, NetworkSettings, TrainingSettings
from cellcutter_core.jobs import job_task, worker
from cellcutter_core.jobs import queue as jobs_module
from cellcutter_core.jobs.estimate import speed_of
from cellcutter_core.jobs.job_task import child_command, work_in_child
from cellcutter_core.jobs.queue import Jobs, is_left_behind
from cellcutter_core.jobs.training import work
from cellcutter_core.processes.ending import process_start
from cellcutter_core.runs import lock
from cellcutter_core.runs.store import Run, State
from cellcutter_core.training import loop
from cellcutter_core.training.inputs import Inputs, baselines

ROOT = str(Path(__file__).parents[3])
TINY = Config(
    crops=CropSettings(size=16, sigma=5),
    network=NetworkSettings(depth=3, channels=4, normalisation="none"),
    training=TrainingSettings(
        epochs=2, steps=2, area=None, crops=4, crops_at_once=4, precision="float32"
    ),
)
# Says what a training says, without one. It "trains" until the file `go` is beside the run, and
# to the epochs that it was told; it stops when asked unless it is stubborn.
FAKE = """
import json, os, pathlib, signal, socket, sys, time
run, manner = pathlib.Path(sys.argv[1]), sys.argv[2]
def say(kind, **values):
    with (run / "events.jsonl").open("a") as stream:
        stream.write(json.dumps({"kind": kind, "time": time.time(), **values}) + "\\n")
events = run / "events.jsonl"
told = events.read_text().splitlines() if events.exists() else []
queued = [json.loads(line) for line in told if '"queued"' in line]
epochs = queued[-1]["epochs"] if queued else 2
if manner == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
pid, host = os.getpid(), socket.gethostname()
(run / "lock").write_text(json.dumps({"pid": pid, "host": host}))
say("started", pid=pid, host=host, epochs=epochs)
print("a line of the log", flush=True)
while not (run.parent / "go").exists():
    time.sleep(0.02)
    if (run / "stop").exists() and manner != "stubborn":
        say("stopped")
        break
else:
    for epoch in range(1, epochs + 1):
        say("epoch", epoch=epoch, seconds=1.0)
    say("finished")
(run / "lock").unlink()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    monkeypatch.delenv("CELLCUTTER_WORKERS", raising=False)
    yield tmp_path
    # Nothing goes on after its test.
    (tmp_path / "go").touch()
    until(lambda: not job_task._running_here)


@pytest.fixture
def manner(monkeypatch):
    """How the fake child behaves; `manner["is"] = "stubborn"` changes it."""
    how = {"is": "kind"}
    monkeypatch.setattr(
        job_task,
        "child_command",
        lambda path: [sys.executable, "-c", FAKE, path, how["is"]],
    )
    return how


def new_run(folder, name, config=TINY):
    """Nine cells on a grid."""
    rows, cols = np.mgrid[8:40:14, 8:40:14].reshape(2, -1)
    image = np.zeros((48, 48, 1), np.float32)
    image[rows, cols] = 1
    mask = np.zeros((48, 48), bool)
    for row, col in zip(rows, cols, strict=True):
        mask[row - 4 : row + 5, col - 4 : col + 5] = True
    points = np.stack([rows, cols], axis=1).astype(float)
    return Run.create(folder / name, Inputs(image, mask, points), config)


def status(run):
    return run.progress.status


def started_pid(run):
    return [event["pid"] for event in run.events() if event["kind"] == "started"][-1]


def process_is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_after_the_other(folder, manner):
    jobs = Jobs()
    a, b, c = [new_run(folder, name) for name in "abc"]
    runs = [a, b, c]
    for run in runs:
        jobs.submit(run)
    until(lambda: status(a) == "running")
    assert [status(run) for run in runs] == ["running", "queued", "queued"]
    assert [jobs.position(run) for run in runs] == [None, 1, 2]
    assert not any(map(is_left_behind, runs))
    jobs.cancel(b)
    assert status(b) == "stopped"
    assert [jobs.position(run) for run in runs] == [None, None, 1]
    # At the end of the queue when it is wanted after all.
    jobs.submit(b)
    assert [jobs.position(run) for run in runs] == [None, 2, 1]
    pid = started_pid(a)
    (folder / "go").touch()
    until(lambda: status(a) == status(b) == status(c) == "finished")
    assert [jobs.position(run) for run in runs] == [None] * 3
    ends = {r.path.name: e["time"] for r in runs for e in r.events() if e["kind"] == "started"}
    assert sorted(ends, key=ends.get) == ["a", "c", "b"]
    assert a.log_file.read_text() == "a line of the log\n"
    assert process_is_gone(pid)  # No zombie: it would still be there.


def test_as_many_at_once_as_wanted(folder, manner, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_WORKERS", "2")
    jobs = Jobs()
    a, b = new_run(folder, "a"), new_run(folder, "b")
    jobs.submit(a)
    jobs.submit(b)
    until(lambda: status(a) == status(b) == "running")
    (folder / "go").touch()
    until(lambda: status(a) == status(b) == "finished")


@pytest.mark.parametrize("wrong", ["0", "-1", "many"])
def test_workers_are_a_number(monkeypatch, wrong):
    monkeypatch.setenv("CELLCUTTER_WORKERS", wrong)
    with pytest.raises(ValueError, match="CELLCUTTER_WORKERS must be a number of at least 1"):
        Jobs()


def test_a_running_one_is_asked_to_stop(folder, manner):
    jobs = Jobs()
    run = new_run(folder, "a")
    jobs.submit(run)
    until(lambda: status(run) == "running")
    jobs.cancel(run)
    until(lambda: status(run) == "stopped")
    jobs.cancel(run)
    # And goes on, to more epochs than it was made for.
    (folder / "go").touch()
    jobs.submit(run, epochs=5)
    assert not run.asked_to_stop
    until(lambda: status(run) == "finished")
    assert (run.progress.epochs_done, run.progress.epochs) == (5, 5)
    jobs.cancel(run)
    assert (status(run), run.asked_to_stop) == ("finished", False)


def test_one_that_does_not_stop_is_ended(folder, manner, monkeypatch):
    monkeypatch.setattr(job_task, "GRACE", 0.2)
    monkeypatch.setattr(job_task, "LAST_GRACE", 0.2)
    manner["is"] = "stubborn"
    jobs = Jobs()
    run = new_run(folder, "a")
    jobs.submit(run)
    until(lambda: status(run) == "running")
    pid = started_pid(run)
    jobs.cancel(run)
    until(lambda: process_is_gone(pid))
    until(lambda: status(run) == "stopped")
    assert lock.holder(run.path) is None
    # It could not remove its lock itself.
    until(lambda: not (run.path / "lock").exists())


def test_what_is_submitted_twice(folder, manner):
    jobs = Jobs()
    a, b = new_run(folder, "a"), new_run(folder, "b")
    jobs.submit(a)
    jobs.submit(b)
    until(lambda: status(a) == "running")
    with pytest.raises(ValueError, match="still running; stop it first"):
        jobs.submit(a)
    with pytest.raises(ValueError, match="already in the queue"):
        jobs.submit(b)
    (folder / "go").touch()
    until(lambda: status(b) == "finished")
    with pytest.raises(ValueError, match="already has 2 epochs; choose a larger number"):
        jobs.submit(a)
    with pytest.raises(ValueError, match="epochs should be at least 1"):
        jobs.submit(a, epochs=0)
    assert status(a) == "finished"


def test_one_that_is_deleted_while_it_waits(folder, manner):
    jobs = Jobs()
    a, b, c = [new_run(folder, name) for name in "abc"]
    for run in (a, b, c):
        jobs.submit(run)
    until(lambda: status(a) == "running")
    b.path.rename(folder / ".gone")
    assert jobs.position(c) == 1
    (folder / "go").touch()
    until(lambda: status(c) == "finished")


def test_a_start_that_fails_says_why(folder, monkeypatch):
    jobs = Jobs()
    run = new_run(folder, "a")
    monkeypatch.setattr(job_task, "child_command", lambda *_: ["/nowhere/python"])
    jobs.submit(run)
    until(lambda: status(run) == "failed")
    assert run.progress.message == (
        "the training could not be started: No such file or directory (/nowhere/python); "
        "check the installation, then start it again"
    )
    program = "import sys; sys.exit('first line\\nno module named keras')"
    monkeypatch.setattr(job_task, "child_command", lambda *_: [sys.executable, "-c", program])
    jobs.submit(run)
    until(lambda: status(run) == "failed")
    assert run.progress.message.endswith("could not be started: no module named keras")


def test_a_child_that_dies_has_crashed(folder, manner):
    jobs = Jobs()
    run = new_run(folder, "a")
    jobs.submit(run)
    until(lambda: status(run) == "running")
    os.kill(started_pid(run), signal.SIGKILL)
    until(lambda: status(run) == "crashed")
    (folder / "go").touch()
    jobs.submit(run)
    until(lambda: status(run) == "finished")


class Elsewhere(Executor):
    """Takes tasks and never says that one runs, like an executor of a cluster."""

    def __init__(self, n_workers=3):
        self.tasks, self.n_workers, self.found = [], n_workers, n_workers

    def count_workers(self):
        self.n_workers = self.found

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        self.tasks.append((future, function, args))
        return future


def test_an_executor_elsewhere(folder, manner):
    executor = Elsewhere()
    jobs = Jobs(executor)
    a, b, c = [new_run(folder, name) for name in "abc"]
    for run in (a, b, c):
        jobs.submit(run)
    assert [jobs.position(run) for run in (a, b, c)] == [1, 2, 3]
    (future_a, function, arguments), (future_b, *_), _ = executor.tasks
    # All that goes there: a name that can be imported, and strings.
    assert pickle.loads(pickle.dumps(function)) is work_in_child
    assert {type(argument) for argument in arguments} == {str}
    threading.Thread(target=function, args=arguments, daemon=True).start()
    until(lambda: status(a) == "running")
    assert [jobs.position(run) for run in (a, b, c)] == [None, 1, 2]
    jobs.cancel(a)
    until(lambda: status(a) == "stopped")
    future_a.set_result(None)
    future_b.set_exception(RuntimeError("the worker\nis gone"))
    assert (status(b), b.progress.message) == (
        "failed",
        "the queue lost this training (the worker is gone); start it again",
    )
    assert jobs.position(c) == 1


def test_a_job_is_given_to_the_executor_when_a_worker_is_free(folder, monkeypatch):
    monkeypatch.setattr(jobs_module, "_LOOK_FOR_WORKERS", 0.02)
    executor = Elsewhere(n_workers=1)
    jobs = Jobs(executor)
    runs = [new_run(folder, name) for name in "abcd"]
    for run in runs:
        jobs.submit(run)
    given = [arguments[0] for _, _, arguments in executor.tasks]
    assert given == [str(runs[0].path)]
    jobs.cancel(runs[1])
    assert [jobs.position(run) for run in runs] == [1, None, 2, 3]
    executor.tasks[0][0].set_result(None)
    until(lambda: len(executor.tasks) == 2)
    assert executor.tasks[1][2][0] == str(runs[2].path)
    # The cluster has another worker.
    executor.found = 2
    until(lambda: len(executor.tasks) == 3)
    assert executor.tasks[2][2][0] == str(runs[3].path)


def test_a_job_of_a_person_who_has_trained_long_enough_meanwhile_is_stopped(folder, monkeypatch):
    executor = Elsewhere(n_workers=1)
    jobs = Jobs(executor)
    runs = [new_run(folder, name) for name in "abc"]
    for run, owner in zip(runs, ("ann", "ann", "ben"), strict=True):
        run.describe(owner=owner)
        jobs.submit(run)

    def no_time_for(person):
        if person == "ann":
            raise ValueError("try again later")

    monkeypatch.setattr(jobs_module, "check_time_for", no_time_for)
    executor.tasks[0][0].set_result(None)
    until(lambda: len(executor.tasks) == 2)
    assert executor.tasks[1][2][0] == str(runs[2].path)
    executor.tasks[1][0].set_result(None)
    until(lambda: status(runs[1]) == "stopped")
    assert (runs[1].progress.message, jobs.position(runs[1])) == ("try again later", None)


def test_a_run_of_another_person_starts_before_the_rest_of_a_sweep(folder):
    executor = Elsewhere(n_workers=1)
    jobs = Jobs(executor)
    sweep = [new_run(folder, f"s{number}") for number in range(4)]
    single, others = new_run(folder, "single"), new_run(folder, "others")
    for run in (*sweep, single):
        run.describe(owner="a")
    others.describe(owner="b")
    for run in sweep:
        jobs.submit(run, line="sweep")
    jobs.submit(others)
    jobs.submit(single)
    # The first of the sweep has been given to the executor.
    order = sorted((*sweep, others, single), key=jobs.position)
    assert [run.path.name for run in order] == ["s0", "others", "single", "s1", "s2", "s3"]
    assert [run.path.name for run in jobs.ahead(others)] == ["s0"]
    assert [run.path.name for run in jobs.ahead(person="c")] == ["s0", "others"]
    started = []
    for number in range(len(order)):
        until(lambda n=number: len(executor.tasks) > n)
        task, _, arguments = executor.tasks[number]
        run = Run(arguments[0])
        started.append(run.path.name)
        run.record("stopped")
        task.set_result(None)
    assert started == [run.path.name for run in order]


def test_when_the_executor_takes_nothing_all_that_wait_say_so(folder):
    executor = Elsewhere(n_workers=1)
    jobs = Jobs(executor)
    a, b, c = [new_run(folder, name) for name in "abc"]
    jobs.submit(a)
    jobs.submit(b)

    def refuse(*_):
        raise RuntimeError("the scheduler does not answer")

    executor.submit = refuse
    a.record("stopped")
    executor.tasks[0][0].set_result(None)
    until(lambda: status(b) == "failed")
    assert b.progress.message == (
        "the training could not be queued (the scheduler does not answer); start it again"
    )
    with pytest.raises(ValueError, match="could not be queued"):
        jobs.submit(c)
    assert status(c) == "failed"
    assert jobs.ahead() == []


def test_a_run_of_another_person_is_neither_queued_nor_stopped(folder):
    jobs = Jobs(Elsewhere())
    run, same = new_run(folder, "a"), Run(folder / "a")
    run.is_read_only = True
    with pytest.raises(ValueError, match="a belongs to another person, so you can look at it"):
        jobs.submit(run)
    assert same.events() == []
    jobs.submit(same)
    with pytest.raises(ValueError, match="belongs to another person"):
        jobs.cancel(run)
    assert (status(same), same.asked_to_stop) == ("queued", False)


def test_a_ticket_of_an_earlier_time_starts_nothing(folder, manner):
    executor = Elsewhere()
    jobs = Jobs(executor)
    run = new_run(folder, "a")
    jobs.submit(run)
    jobs.cancel(run)
    jobs.submit(run)
    (_, function, old), (_, _, new) = executor.tasks
    (folder / "go").touch()
    function(*old)
    assert status(run) == "queued"
    function(*new)
    assert status(run) == "finished"


def test_in_a_process_of_another_pool(folder):
    """As on a cluster; the real child, which says what is wrong with the run."""
    run = new_run(folder, "a")
    (run.path / "inputs.npz").unlink()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        Jobs(executor).submit(run)
    assert status(run) == "failed"
    assert "inputs.npz is missing" in run.progress.message
    assert "inputs.npz is missing" in run.log_file.read_text()


SERVER = """
import sys, time
from cellcutter_core.jobs import job_task, queue as jobs
from cellcutter_core.runs.store import Run, State
job_task.child_command = lambda path: [sys.executable, "-c", sys.argv[1], path, "kind"]
queue = jobs.Jobs()
first, second = map(Run, sys.argv[2:])
queue.submit(first)
queue.submit(second)
while first.progress.status == "queued":
    time.sleep(0.02)
"""


def test_a_run_outlives_its_server(folder, manner):
    a, b = new_run(folder, "a"), new_run(folder, "b")
    server = subprocess.run(
        [sys.executable, "-c", SERVER, FAKE, str(a.path), str(b.path)],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=LONGEST,  # It ends although a run goes on and another one waits.
    )
    assert server.returncode == 0, server.stderr
    assert f"continues without the server; to stop it: touch {a.path}/stop" in server.stdout
    assert (status(a), status(b)) == ("running", "queued")
    # The next server finds both.
    jobs = Jobs()
    assert jobs.position(b) is None
    assert [is_left_behind(run) for run in (a, b)] == [False, True]
    jobs.cancel(a)
    until(lambda: status(a) == "stopped")
    (folder / "go").touch()
    jobs.submit(b)
    assert not is_left_behind(b)
    until(lambda: status(b) == "finished")


def test_one_left_by_its_server_is_ended_too(folder, manner, monkeypatch):
    monkeypatch.setattr(job_task, "GRACE", 0.2)
    monkeypatch.setattr(job_task, "LAST_GRACE", 0.2)
    run = new_run(folder, "a")
    child = subprocess.Popen(
        [sys.executable, "-c", FAKE, str(run.path), "stubborn"],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    # Reaped at once, as by the system after its server is gone.
    threading.Thread(target=child.wait, daemon=True).start()
    until(lambda: status(run) == "running")
    Jobs().cancel(run)
    until(lambda: status(run) == "stopped")
    assert process_is_gone(child.pid)


def test_cancel_what_a_dead_server_left(folder):
    run = new_run(folder, "a")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run.record("queued", server="x", pid=gone.pid, host=socket.gethostname(), epochs=2)
    jobs = Jobs()
    assert is_left_behind(run)
    jobs.cancel(run)
    assert status(run) == "stopped"
    assert not is_left_behind(run)


# The lock -----------------------------------------------------------------------------------------


def test_never_two_on_a_run(folder):
    run = new_run(folder, "a")
    with lock.held(run.path):
        assert lock.holder(run.path) == (os.getpid(), socket.gethostname())
        message = f"process {os.getpid()} on .* is working on the run .*; wait .*stop it first"
        with pytest.raises(ValueError, match=message) as caught:
            work(run)
        assert "\n" not in str(caught.value)
        second = subprocess.run(
            child_command(str(run.path)), cwd=ROOT, capture_output=True, text=True
        )
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert "is working on the run" in second.stderr
    # The first one's record knows nothing of it.
    assert run.events() == []
    assert not (run.path / "lock").exists()
    assert lock.holder(run.path) is None


def left_lock(run, pid, host, age=0.0):
    (run.path / "lock").write_text(f'{{"pid": {pid}, "host": "{host}"}}')
    then = time.time() - age
    os.utime(run.path / "lock", (then, then))


def test_a_lock_that_nobody_holds_any_more(folder):
    run, here = new_run(folder, "a"), socket.gethostname()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run.record("started", pid=os.getpid(), host=here, epochs=2)
    left_lock(run, os.getpid(), here)
    assert status(run) == "running"
    # After a restart of the machine another process has the number.
    left_lock(run, os.getpid(), here, age=2 * lock.FORGOTTEN_AFTER)
    assert status(run) == "crashed"
    with lock.held(run.path):
        pass
    # In a restarted container, too, but there it may be only a moment later.
    run.record("started", pid=os.getpid(), host=here, epochs=2)
    content = {"pid": os.getpid(), "host": here, "start": "1"}
    (run.path / "lock").write_text(json.dumps(content))
    assert status(run) == "crashed"
    assert lock.holder(run.path) is None
    content["start"] = process_start(os.getpid())
    (run.path / "lock").write_text(json.dumps(content))
    assert status(run) == "running"
    # The machine was asleep, so nobody renewed it.
    os.utime(run.path / "lock", (0, 0))
    assert status(run) == "running"
    left_lock(run, gone.pid, here)
    with lock.held(run.path):
        pass
    left_lock(run, 1, "another machine")
    with pytest.raises(ValueError, match="process 1 on another machine"), lock.held(run.path):
        pass
    left_lock(run, 1, "another machine", age=2 * lock.FORGOTTEN_AFTER)
    with lock.held(run.path):
        pass
    # Made this moment by somebody who is about to write a name into it.
    (run.path / "lock").write_text("")
    with pytest.raises(ValueError, match="another process is working"), lock.held(run.path):
        pass
    assert (run.path / "lock").exists()


def test_a_lock_that_cannot_be_read_is_told(folder, monkeypatch):
    """It is not there to be made, and not to be read either: nobody may wait for that for ever."""
    monkeypatch.setattr(lock, "LONGEST_TRIED", 0.0)
    run = new_run(folder, "a")
    (run.path / "lock").mkdir()
    with pytest.raises(ValueError, match=r"cannot read .*lock"), lock.held(run.path):
        pass


def test_one_of_many_gets_an_old_lock(folder):
    run = new_run(folder, "a")
    got, refused = [], []
    for _ in range(20):
        left_lock(run, 1, "another machine", age=2 * lock.FORGOTTEN_AFTER)
        ready, over = threading.Barrier(8), threading.Event()

        def one(ready=ready, over=over):
            ready.wait()
            try:
                with lock.held(run.path):
                    got.append(1)
                    over.wait(10)
            except ValueError:
                refused.append(1)

        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(got) + len(refused) == 8)
        over.set()
        for thread in threads:
            thread.join()
        assert (len(got), len(refused)) == (1, 7)
        got.clear()
        refused.clear()


def test_a_lock_is_renewed_while_it_is_held(folder, monkeypatch):
    monkeypatch.setattr(lock, "RENEWED_EVERY", 0.05)
    run = new_run(folder, "a")
    with lock.held(run.path):
        os.utime(run.path / "lock", (0, 0))
        until(lambda: (run.path / "lock").stat().st_mtime > time.time() - 5)


# Takes a lock that looks forgotten, and keeps it until it is told to end.
SECOND = """
import sys
from cellcutter_core.runs.store import Run, State
with Run(sys.argv[1]).worked_on(epochs=2):
    print("mine", flush=True)
    sys.stdin.readline()
"""


def test_a_training_whose_lock_was_taken_over_stops_and_writes_nothing_more(folder, monkeypatch):
    monkeypatch.setattr(lock, "RENEWED_EVERY", 1000.0)
    run = new_run(folder, "a")
    second = []

    def take_over(event):
        """After epoch 0, as if the shared file system had lost the lock."""
        (run.path / "lock").unlink()
        command = [sys.executable, "-c", SECOND, str(run.path)]
        pipe = subprocess.PIPE
        second.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT))
        assert second[0].stdout.readline() == "mine\n"

    with pytest.raises(lock.LockLost) as caught:
        work(run, on_event=take_over)
    (other,) = second
    assert str(caught.value) == (
        f"the lock of {run.path} was removed or taken over; process {other.pid} on "
        f"{socket.gethostname()} works on it now. Process {os.getpid()} on {socket.gethostname()} "
        "stops and writes nothing more"
    )
    # The other one's start is the last that is said, and the lock is its own.
    assert started_pid(run) == other.pid
    assert run.events()[-1]["kind"] == "started"
    assert (run.epochs, lock.holder(run.path).pid) == ([0], other.pid)
    other.communicate("\n", timeout=LONGEST)
    assert not (run.path / "lock").exists()


def test_a_process_without_its_lock_is_asked_to_stop_and_refused(folder, monkeypatch):
    monkeypatch.setattr(lock, "RENEWED_EVERY", 0.05)
    run = new_run(folder, "a")
    before = []

    def go_on():
        with run.worked_on(epochs=2):
            assert not run.asked_to_stop
            run.record("step", epoch=1, step=1)
            run.save_state(State(0, [], [], []))
            before.append((run.path / "state.npz").stat())
            (run.path / "lock").unlink()
            until(lambda: run.asked_to_stop)
            with pytest.raises(lock.LockLost, match=r"was removed or taken over\. Process"):
                run.save_state(State(1, [], [], []))
            # Once lost, it stays so.
            (run.path / "lock").write_text("{}")
            assert run.asked_to_stop
            run.record("finished")

    with pytest.raises(lock.LockLost):
        go_on()
    assert (run.path / "state.npz").stat() == before[0]
    assert [event["kind"] for event in run.events()] == ["started", "step"]
    # It is not its own lock, so it is left alone; and others may write again.
    assert (run.path / "lock").exists()
    run.record("stopped")


def test_a_lock_that_is_somebody_elses_is_not_renewed(folder, monkeypatch):
    monkeypatch.setattr(lock, "RENEWED_EVERY", 0.02)
    run = new_run(folder, "a")
    with lock.held(run.path) as mine:
        left_lock(run, 1, "another machine", age=50.0)
        until(lambda: mine.lost)
        time.sleep(0.1)
        assert (run.path / "lock").stat().st_mtime < time.time() - 40


# A real training ----------------------------------------------------------------------------------


def test_a_real_child_trains(folder):
    """To one epoch, because that is what it is told and not what its settings say."""
    run = new_run(folder, "a")
    Jobs().submit(run, epochs=1)
    until(lambda: status(run) not in ("queued", "running"))
    assert (status(run), run.progress.message) == ("finished", "")
    assert run.epochs == [0, 1]
    speed = speed_of(run)
    assert speed is not None
    assert speed.start_up > speed.per_crop > 0


def test_a_training_writes_epoch_0_and_both_baselines_before_its_first_step(folder):
    run = new_run(folder, "a")
    work(run)
    kinds = [event["kind"] for event in run.events()]
    assert kinds.index("epoch") < kinds.index("step")
    assert run.epochs == [0, 1, 2]
    assert run.progress.epochs_done == 2
    zero = run.progress.epoch_events[0]
    assert zero["epoch"] == 0
    assert zero["n_cells"] == len(np.unique(run.epoch(0).labels)) - 1
    assert not {"loss", "seconds", "collapsed"} & zero.keys()
    found = baselines(run.inputs)
    for name, labels in run.baselines.items():
        np.testing.assert_array_equal(labels, found[name])
    named = [event["name"] for event in run.events() if event["kind"] == "baseline"]
    assert named == list(run.baselines) == ["paths", "watershed"]


def losses(run):
    return [event["loss"] for event in run.events() if event["kind"] == "step"]


def test_a_run_that_stopped_at_epoch_0_goes_on_as_if_it_had_not(folder):
    whole, parts = new_run(folder, "a"), new_run(folder, "b")
    work(whole)
    work(parts, stop=lambda: bool(parts.epochs))
    assert (parts.progress.status, parts.epochs, losses(parts)) == ("stopped", [0], [])
    assert parts.progress.epochs_done == 0
    # It can be taken home and applied already.
    assert parts.model_file.exists()
    work(parts)
    assert losses(parts) == losses(whole)
    np.testing.assert_array_equal(parts.epoch(2).labels, whole.epoch(2).labels)
    # Epoch 0 is drawn once.
    drawn = [event["epoch"] for event in parts.events() if event["kind"] == "epoch"]
    assert drawn == [0, 1, 2]


# Crops pass in two batches: it is asked before a step, and before each batch in both passes.
IN_BATCHES = TINY.replace(training=TINY.training.replace(steps=3, crops_at_once=2))


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    run = new_run(tmp_path_factory.mktemp("never_stopped"), "a", IN_BATCHES)
    work(run)
    return run


def same(run, whole):
    """Whether two runs come to the same, with each step once."""
    steps = [(e["epoch"], e["step"]) for e in run.events() if e["kind"] == "step"]
    assert steps == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert losses(run) == losses(whole)
    ends = [one.progress.trained_events for one in (run, whole)]
    for name in ("loss", "area", "overlap", "background", "miou", "n_cells", "collapsed"):
        assert [event[name] for event in ends[0]] == [event[name] for event in ends[1]]
    states = [one.load_state() for one in (run, whole)]
    np.testing.assert_equal(states[0], states[1])
    for epoch in (1, 2):
        np.testing.assert_equal(asdict(run.epoch(epoch)), asdict(whole.epoch(epoch)))


@pytest.mark.parametrize("times", [[6], [9, 2, 2], [29]])
def test_a_run_that_stopped_within_an_epoch_goes_on_as_if_it_had_not(folder, never_stopped, times):
    """Stopped after it was asked so many times; the first one is before epoch 0."""
    run = new_run(folder, "b", IN_BATCHES)
    done = 0
    for n_asked in times:
        left = iter(range(n_asked))
        work(run, stop=lambda left=left: next(left, None) is None)
        # Going on it is not asked about epoch 0.
        done += (n_asked - (not done)) // 5
        now = run.progress
        assert (now.status, now.epochs_done, now.step) == ("stopped", done // 3, done % 3)
        assert now.kept.endswith(f" and {done % 3} of 3 steps of epoch {done // 3 + 1}")
    work(run)
    assert run.progress.status == "finished"
    same(run, never_stopped)
    # The time of an epoch is that of all its steps.
    for event in run.progress.trained_events:
        steps = [e for e in run.events() if e["kind"] == "step" and e["epoch"] == event["epoch"]]
        assert event["seconds"] == pytest.approx(sum(step["seconds"] for step in steps))


def test_a_crash_within_an_epoch_goes_on_from_the_steps_that_were_saved(folder, never_stopped):
    run = new_run(folder, "b", IN_BATCHES)
    work(run, stop=lambda: run.progress.step == 1)

    def crash(event):
        assert event.step == 2
        raise SystemError

    with pytest.raises(SystemError):
        work(run, on_event=crash)
    assert (run.progress.step, len(losses(run))) == (1, 2)
    work(run)
    # The second step was done twice, and counts once.
    assert losses(run)[1] == losses(run)[2]
    assert losses(run)[:2] + losses(run)[3:] == losses(never_stopped)
    np.testing.assert_equal(run.load_state(), never_stopped.load_state())
    assert [event["epoch"] for event in run.progress.trained_events] == [1, 2]


def test_a_run_that_is_ended_while_an_epoch_is_drawn_has_all_its_steps(
    folder, never_stopped, monkeypatch
):
    """Whoever asked to stop does not wait for ever, and a drawing may take long."""
    run = new_run(folder, "b", IN_BATCHES)
    predict_cells = loop.predict_cells

    def ended(*given):
        if run.epochs:
            raise SystemError
        return predict_cells(*given)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "predict_cells", ended)
        with pytest.raises(SystemError):
            work(run)
    assert run.progress.kept == "0 of 2 epochs and 3 of 3 steps of epoch 1"
    work(run)
    same(run, never_stopped)


def test_a_run_that_stopped_before_anything_begins_with_epoch_0(folder):
    run = new_run(folder, "a")
    work(run, stop=lambda: True)
    assert (run.progress.status, run.epochs) == ("stopped", [])
    work(run, epochs=1)
    assert run.epochs == [0, 1]


def test_an_old_run_goes_on_without_epoch_0(folder):
    """And keeps the baseline that it has, without a name."""
    run = new_run(folder, "a")
    work(run, epochs=1)
    (run.path / "epochs" / "0000.npz").unlink()
    np.savez(run.path / "baseline.npz", labels=run.baselines["watershed"])
    lines = []
    for event in run.events():
        if event["kind"] == "baseline" and event.pop("name") == "paths":
            continue
        if event.get("epoch") != 0:
            lines.append(json.dumps(event) + "\n")
    (run.path / "events.jsonl").write_text("".join(lines), "utf-8")
    assert list(run.baselines) == ["watershed"]
    work(run, epochs=2)
    assert run.progress.status == "finished"
    assert run.epochs == [1, 2]
    assert set(run.baselines) == {"paths", "watershed"}
    named = [event.get("name") for event in run.events() if event["kind"] == "baseline"]
    assert named == [None, "paths"]


def test_a_run_goes_on_to_where_it_was_to_go(folder):
    run = new_run(folder, "a")
    np.savez(run.path / "inputs.npz", **{**run.inputs.arrays(), "mask": np.zeros((48, 48), bool)})
    run.record("started", pid=1, host="another machine", epochs=7)
    run.record("stopped")
    with pytest.raises(ValueError, match="the mask covers no pixel"):
        work(run)
    assert [event["epochs"] for event in run.events() if event["kind"] == "started"] == [7, 7]


@pytest.mark.parametrize(
    "arguments", [[], [""], ["a", "1"], ["a", "1", "2"], ["a", "many"], ["a", "-1"]]
)
def test_the_worker_says_how_it_is_used(arguments, capsys, monkeypatch):
    # Of this process, in which all later tests run.
    monkeypatch.setattr(worker, "lower_priority", lambda by: None)
    assert worker.main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage: ")


# Trains in a process of its own and says which modules of ours that took.
COUNTED = """
import sys
from cellcutter_core.jobs import worker
code = worker.main(sys.argv[1:])
print(code, *(name for name in sys.modules if name.startswith("cellcutter_core.")))
"""


def test_a_worker_imports_what_it_runs_and_no_more(folder):
    run = new_run(folder, "a")
    done = subprocess.run(
        [sys.executable, "-c", COUNTED, str(run.path)], capture_output=True, text=True, cwd=ROOT
    )
    code, *modules = done.stdout.split()
    assert (code, run.progress.status) == ("0", "finished"), done.stderr
    rooms = {name.split(".")[1] for name in modules}
    assert not rooms & {"apply", "choices", "export", "large", "simulation", "view"}
    assert not [name for name in modules if ".images.formats" in name]
    assert len(modules) <= 60, modules

"""Jobs on a Dask cluster: a real scheduler and real workers, mostly with a child that pretends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import dask_processes
import numpy as np
import pytest
from dask_processes import Processes, live_workers, n_workers
from patience import LONGEST, until
from pretended import FAKE, PRELOAD, allow, epochs, starts, status

from cellcutter_core.__main__ import main
from cellcutter_core.config import Config, CropSettings, NetworkSettings, TrainingSettings
from cellcutter_core.jobs import executors, job_task
from cellcutter_core.jobs.executors import chosen_executor
from cellcutter_core.jobs.job_task import work_in_child
from cellcutter_core.jobs.queue import Jobs, is_left_behind
from cellcutter_core.processes.threads import Threads
from cellcutter_core.runs.lock import FORGOTTEN_AFTER, process_exists
from cellcutter_core.runs.store import Run
from cellcutter_core.sweeps.running import execute
from cellcutter_core.sweeps.sweep import Sweep
from cellcutter_core.sweeps.variations import Variation
from cellcutter_core.training.inputs import Inputs

TINY = Config(
    crops=CropSettings(size=16, sigma=5),
    network=NetworkSettings(depth=3, channels=4, normalisation="none"),
    training=TrainingSettings(
        epochs=4, steps=1, area=None, crops=4, crops_at_once=4, precision="float32"
    ),
)


def new_processes(folder):
    (folder / "fake_child.py").write_text(PRELOAD)
    return Processes(folder, "fake_child")


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    made = new_processes(tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()


@pytest.fixture
def cluster(processes):
    """An executor with two live workers."""
    with live_workers(processes, 2) as executor:
        yield executor


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    monkeypatch.delenv("CELLCUTTER_SCHEDULER", raising=False)
    yield tmp_path
    # Nothing goes on after its test.
    for events in tmp_path.rglob("events.jsonl"):
        for pid in {event["pid"] for event in Run(events.parent).events() if "pid" in event}:
            until(lambda pid=pid: pid in (1, os.getpid()) or not process_exists(pid))


def inputs():
    """Nine cells on a grid."""
    rows, cols = np.mgrid[8:40:14, 8:40:14].reshape(2, -1)
    image = np.zeros((48, 48, 1), np.float32)
    image[rows, cols] = 1
    mask = np.zeros((48, 48), bool)
    for row, col in zip(rows, cols, strict=True):
        mask[row - 4 : row + 5, col - 4 : col + 5] = True
    return Inputs(image, mask, np.stack([rows, cols], axis=1).astype(float))


def new_runs(folder, names, config=TINY):
    return [Run.create(folder / name, inputs(), config) for name in names]


def worker_of(run):
    """The process id of the worker whose child works on a run."""
    about = Path(f"/proc/{starts(run)[-1]['pid']}/stat").read_text()
    return int(about.rpartition(")")[2].split()[1])


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")


def test_the_runs_of_a_sweep_spread_over_both_workers(folder, processes, cluster):
    sweep = Sweep.create(folder / "sweep", TINY, [Variation.parse("training.seed=0..4")])
    runs = list(sweep.write_runs(lambda path, config: Run.create(path, inputs(), config)))
    ended = []
    jobs = Jobs(cluster)
    assert jobs.n_workers == 2
    work = threading.Thread(
        target=execute, args=(sweep, jobs), kwargs={"ended": ended.append}, daemon=True
    )
    work.start()
    until(lambda: sum(status(run) == "running" for run in runs) == 2)
    going = [run for run in runs if status(run) == "running"]
    assert {worker_of(run) for run in going} == {worker.pid for worker in processes.workers}
    allow(sweep.folder)
    work.join(LONGEST)
    assert [row.status for row in sweep.rows()] == ["finished"] * 5
    assert len(ended) == 5
    assert [len(starts(run)) for run in runs] == [1] * 5


def test_a_run_of_a_lost_worker_goes_on_from_its_last_epoch_on_the_other(
    folder, processes, cluster
):
    """With real trainings."""
    (folder / "real").touch()
    config = TINY.replace(training=TINY.training.replace(epochs=60))
    [run] = new_runs(folder, "a", config)
    Jobs(cluster).submit(run)
    until(lambda: len(epochs(run)) > 2)
    first, child = worker_of(run), starts(run)[0]["pid"]
    os.kill(child, signal.SIGSTOP)  # So that the worker cannot see its child end.
    processes.kill(first)
    os.killpg(child, signal.SIGKILL)
    state = run.load_state()
    # All steps of the next epoch may be done, and only its prediction be missing.
    done = state.epochs_done + (len(state.unfinished) == TINY.training.steps)
    assert 2 <= done < 60
    until(lambda: len(starts(run)) == 2)
    assert worker_of(run) == processes.workers[0].pid
    until(lambda: status(run) == "finished")
    events = run.events()
    second = [event["kind"] for event in events].index("started", events.index(starts(run)[0]) + 1)
    trained = [event["epoch"] for event in events[second:] if event["kind"] == "step"]
    assert trained == list(range(done + 1, 61))
    assert run.epochs == list(range(61))


@pytest.mark.parametrize("dies", [False, True])
def test_a_child_that_goes_on_without_its_worker_is_waited_for(folder, processes, cluster, dies):
    [run] = new_runs(folder, "a")
    jobs = Jobs(cluster)
    jobs.submit(run)
    allow(folder, 2)
    until(lambda: epochs(run) == [1, 2])
    [future] = jobs._submitted.values()
    processes.kill(worker_of(run))
    other = processes.workers[0].pid
    # The other one has the task, and waits.
    until(lambda: any(cluster._client.processing().values()) and n_workers(cluster) == 1)
    allow(folder, 3)
    until(lambda: epochs(run) == [1, 2, 3])
    assert len(starts(run)) == 1
    assert not future.done()
    if dies:
        os.kill(starts(run)[0]["pid"], signal.SIGKILL)
        until(lambda: len(starts(run)) == 2)
        assert worker_of(run) == other
    allow(folder)
    until(future.done)
    assert (status(run), epochs(run)) == ("finished", [1, 2, 3, 4])
    assert len(starts(run)) == 1 + dies


def test_queued_and_running_ones_are_cancelled(folder, cluster):
    runs = new_runs(folder, "abc")
    jobs = Jobs(cluster)
    for run in runs:
        jobs.submit(run)
    until(lambda: sum(status(run) == "running" for run in runs) == 2)
    [queued] = [run for run in runs if status(run) == "queued"]
    first, second = [run for run in runs if run is not queued]
    assert jobs.position(queued) == 1
    jobs.cancel(queued)
    assert status(queued) == "stopped"
    jobs.cancel(first)
    until(lambda: status(first) == "stopped")
    allow(folder)
    until(lambda: status(second) == "finished")
    assert (status(queued), starts(queued)) == ("stopped", [])
    for run in (queued, first):
        jobs.submit(run)
    until(lambda: status(queued) == status(first) == "finished")


def test_a_scheduler_that_goes_away_loses_no_run(folder, tmp_path_factory, monkeypatch):
    own = new_processes(tmp_path_factory.mktemp("own"))
    runs = new_runs(folder, "abcd")
    with live_workers(own, 2) as cluster:
        jobs = Jobs(cluster)
        allow(folder)
        jobs.submit(runs[0])
        until(lambda: status(runs[0]) == "finished")
        (folder / "go").unlink()
        for run in runs[1:]:
            jobs.submit(run)
        until(lambda: sum(status(run) == "running" for run in runs) == 2)
        [queued] = [run for run in runs if status(run) == "queued"]
        dask_processes.end(own.scheduler)
        until(lambda: status(queued) == "failed")
        assert "could not be queued (the scheduler" in queued.progress.message
        assert queued.progress.message.endswith("and that it runs); start it again")
        with monkeypatch.context() as patched:
            patched.setattr(executors, "PATIENCE", 1.0)
            with pytest.raises(
                ValueError, match=r"could not be queued \(the scheduler .* not answer"
            ):
                jobs.submit(queued)
        assert status(queued) == "failed"
        # The workers end, their children do not.
        allow(folder)
        others = [run for run in runs if run is not queued]
        until(lambda: all(status(run) == "finished" for run in others))
        assert [len(starts(run)) for run in others] == [1, 1, 1]
        own.start_scheduler()
        own.start_worker()
        jobs.submit(queued)
        until(lambda: status(queued) == "finished")
    own.close()


def test_a_worker_with_a_gpu_gets_all_runs_one_at_a_time(folder, processes, cluster):
    worker = processes.start_worker("--nthreads", "2", "--resources", "GPU=1")
    until(lambda: cluster.connect()[1])
    # Only it gets tasks, one at a time.
    assert cluster.n_workers == 1
    runs = new_runs(folder, "abc")
    jobs = Jobs(cluster)
    for run in runs:
        jobs.submit(run)
    allow(folder, 2)
    until(lambda: len(epochs(runs[0])) == 2)
    assert worker_of(runs[0]) == worker.pid
    assert [status(run) for run in runs] == ["running", "queued", "queued"]
    allow(folder)
    until(lambda: all(status(run) == "finished" for run in runs))
    spans = sorted((starts(run)[0]["time"], run.events()[-1]["time"]) for run in runs)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    processes.kill(worker.pid)
    until(lambda: n_workers(cluster) == 2)


SERVER = """
import sys, time
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.runs.store import Run
jobs, runs = Jobs(), [Run(path) for path in sys.argv[1:]]
for run in runs:
    jobs.submit(run)
while sum(run.progress.status == "running" for run in runs) < 2:
    time.sleep(0.02)
"""


def test_runs_outlive_the_server_that_queued_them(folder, cluster):
    runs = new_runs(folder, "abc")
    subprocess.run(
        [sys.executable, "-c", SERVER, *(str(run.path) for run in runs)],
        env={
            **os.environ,
            "PYTHONPATH": dask_processes.ROOT,
            "CELLCUTTER_SCHEDULER": cluster.address,
        },
        timeout=LONGEST,
        check=True,
    )
    [queued] = [run for run in runs if status(run) != "running"]
    assert status(queued) == "queued"
    jobs = Jobs(cluster)
    assert [run.path for run in runs if is_left_behind(run)] == [queued.path]
    allow(folder)
    until(lambda: all(status(run) == "finished" for run in runs if run is not queued))
    jobs.submit(queued)
    until(lambda: status(queued) == "finished")


def test_a_worker_that_does_not_see_the_folder_says_so(folder, cluster, monkeypatch):
    [run] = new_runs(folder, "a")
    jobs = Jobs(cluster)
    # As another machine would see it: the folder is elsewhere.
    elsewhere = str(folder / "elsewhere")
    submit = cluster.submit
    monkeypatch.setattr(
        cluster, "submit", lambda task, path, ticket: submit(task, elsewhere, ticket)
    )
    jobs.submit(run)
    until(lambda: status(run) == "failed")
    message = run.progress.message
    assert f"{elsewhere} is not the folder of a run" in message
    assert f"as {socket.gethostname()} sees it" in message


# Without a cluster --------------------------------------------------------------------------------


def test_a_run_of_a_lost_machine_is_taken_up_when_its_lock_is_old(folder, monkeypatch):
    monkeypatch.setattr(job_task, "child_command", lambda path: [sys.executable, "-c", FAKE, path])
    [run] = new_runs(folder, "a")
    allow(folder)
    run.record("queued", ticket="t", epochs=4)
    run.record("started", pid=1, host="elsewhere", epochs=4)
    run.record("epoch", epoch=1, seconds=1.0)
    lock = run.path / "lock"
    lock.write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
    n_looked, holder = 0, job_task.holder

    def counted(path):
        nonlocal n_looked
        n_looked += 1
        return holder(path)

    monkeypatch.setattr(job_task, "holder", counted)
    task = threading.Thread(target=work_in_child, args=(str(run.path), "t"), daemon=True)
    task.start()
    until(lambda: n_looked > 3)
    assert len(starts(run)) == 1
    old = time.time() - FORGOTTEN_AFTER - 1
    os.utime(lock, (old, old))
    task.join(LONGEST)
    assert (status(run), epochs(run)) == ("finished", [1, 2, 3, 4])
    assert [event["host"] for event in starts(run)] == ["elsewhere", socket.gethostname()]


def test_a_task_given_again_leaves_an_ended_run_alone(folder):
    runs = new_runs(folder, "abc")
    for run, end in zip(runs, ("finished", "stopped", "failed"), strict=True):
        run.record("queued", ticket="t", epochs=4)
        run.record("started", pid=1, host="elsewhere", epochs=4)
        run.record(end)
        before = run.events()
        work_in_child(str(run.path), "t")
        assert run.events() == before


def test_a_task_given_again_does_not_start_what_was_asked_to_stop(folder):
    [run] = new_runs(folder, "a")
    run.record("queued", ticket="t", epochs=4)
    run.record("started", pid=1, host="elsewhere", epochs=4)
    run.ask_to_stop()
    work_in_child(str(run.path), "t")
    assert status(run) == "stopped"


def test_a_process_that_nobody_reaped_has_ended():
    child = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: not process_exists(child.pid))
    os.kill(child.pid, 0)  # Its id still exists.
    child.wait()
    assert process_exists(os.getpid())


def test_where_tasks_run_is_chosen(monkeypatch):
    assert isinstance(chosen_executor(), Threads)
    monkeypatch.setenv("CELLCUTTER_SCHEDULER", "tcp://one:1")
    assert chosen_executor().address == "tcp://one:1"
    assert chosen_executor("tcp://other:2").address == "tcp://other:2"
    monkeypatch.setenv("CELLCUTTER_SCHEDULER", "")
    assert isinstance(chosen_executor(), Threads)


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"not installed: pip install \"dask\[distributed\]\""):
        chosen_executor("tcp://one:1")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{port}", "nonsense://a:1", "tcp://127.0.0.1"])
def test_a_sweep_says_at_once_that_its_scheduler_does_not_answer(
    folder, monkeypatch, capsys, address
):
    monkeypatch.setattr(executors, "PATIENCE", 0.5)
    address = address.format(port=dask_processes.free_port())
    out = str(folder / "sweep")
    given = ["sweep", "--vary", "training.seed=0,1", "--out", out, "--scheduler", address]
    assert main(given) == 2
    said = capsys.readouterr()
    assert f"the scheduler {address} does not answer" in said.err
    assert said.err.count("\n") == 1
    assert not Path(out).exists()

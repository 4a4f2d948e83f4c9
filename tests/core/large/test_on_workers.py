"""A large image and a folder of images on the workers of a real Dask cluster."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from dask_processes import Processes, live_workers
from numpy.typing import NDArray
from patience import LONGEST, until

from cellcutter_core.__main__ import main
from cellcutter_core.apply import applying, applying_to_files
from cellcutter_core.apply.application_folder import Application
from cellcutter_core.apply.applying import Trained
from cellcutter_core.apply.in_blocks import apply_in_blocks
from cellcutter_core.config import QUICK
from cellcutter_core.images import blocks
from cellcutter_core.jobs.kinds import Applying
from cellcutter_core.large import large_image, mask_and_markers, predicting
from cellcutter_core.large.block_tasks import Block, Elsewhere
from cellcutter_core.large.large_image import LargeImage
from cellcutter_core.large.mask_and_markers import _markers_of_block
from cellcutter_core.processes import wanted_tasks
from cellcutter_core.processes.threads import Threads
from cellcutter_core.processes.wanted_tasks import AHEAD, call_while_wanted
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample, save

SHAPE, SIDE, N_BLOCKS = (120, 480), 120, 4
# Less than the image has, and more than any block with its margin.
LIMIT = "300KB"
# Markers, mask, and the network of the run.
N_TASKS = 3 * N_BLOCKS

# What a worker loads. It notes each task that it begins in a file `PROCESS-...` of the folder of
# logs, and waits as long as there is a file `hold`. Images may be as large as LIMIT.
PRELOAD = """
import os, time, uuid
from pathlib import Path
from cellcutter_core.processes import wanted_tasks
os.environ["CELLCUTTER_IMAGE_LIMIT"] = "300KB"
real, here = wanted_tasks.call_while_wanted, Path(__file__).parent
def call_while_wanted(*task):
    (here / f"{os.getpid()}-{uuid.uuid4().hex}").touch()
    while (here / "hold").exists():
        time.sleep(0.02)
    return real(*task)
wanted_tasks.call_while_wanted = call_while_wanted
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are tried on Linux only")


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "watched.py").write_text(PRELOAD)
    made = Processes(folder, "watched")
    yield made
    made.close()


@pytest.fixture(scope="module", autouse=True)
def children() -> Iterator[None]:
    """Those of tests without a cluster end with the module."""
    yield
    for child in wanted_tasks._calls()._idle:
        child.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, and a large image that is not held in memory."""
    folder = tmp_path_factory.mktemp("place")
    save(sample((160, 160), seed=3), folder / "own.npz")
    small = [
        *("--start", "nothing", "--set", "network.depth=3", "--set", "network.channels=4"),
        *("--set", "network.normalisation=none", "--set", "training.steps=2"),
        *("--set", "training.crops=8", "--set", "training.precision=float32", "--epochs", "1"),
    ]
    assert main(["segment", str(folder / "own.npz"), "--out", str(folder / "run"), *small]) == 0
    image = sample(SHAPE, seed=8)
    about = {"axes": "CYX", "Channel": {"Name": list(image.channels)}}
    pixels = np.moveaxis(image.pixels, -1, 0)
    tifffile.imwrite(folder / "large.ome.tif", pixels, ome=True, tile=(64, 64), metadata=about)
    return folder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELLCUTTER_SCHEDULER", raising=False)
    make_blocks_small(monkeypatch)


def make_blocks_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the image have three blocks."""
    monkeypatch.setattr(blocks, "SIDE", SIDE)
    monkeypatch.setattr(applying, "AT_ONCE", SIDE * SIDE)
    monkeypatch.setattr(predicting, "SMALL", 100)
    monkeypatch.setattr(large_image, "SAMPLED", 200)
    monkeypatch.setattr(applying, "SAMPLED", 200)
    monkeypatch.setattr(mask_and_markers, "LOOKED_AT", 200)


@pytest.fixture(scope="module")
def trained(place: Path) -> Trained:
    return Trained(Run(place / "run"))


@pytest.fixture(scope="module")
def expected(place: Path, trained: Trained, tmp_path_factory: Any) -> NDArray[Any]:
    """The labels without any worker."""
    with pytest.MonkeyPatch.context() as patched:
        make_blocks_small(patched)
        folder = tmp_path_factory.mktemp("expected")
        labels = applied(trained, opened(trained, place), folder)
    assert labels.max() > 20
    return labels


def opened(trained: Trained, place: Path, *, held: bool = False) -> LargeImage:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CELLCUTTER_IMAGE_LIMIT", "1GB" if held else LIMIT)
        large = trained.open(place / "large.ome.tif")
    assert isinstance(large, LargeImage)
    assert isinstance(large.pixels, large_image._Held) == held
    return large


def applied(
    trained: Trained, large: LargeImage, folder: Path, executor: Executor | None = None
) -> NDArray[Any]:
    apply_in_blocks(trained, large, {"labels": folder / "labels"}, executor=executor)
    assert [file.name for file in folder.iterdir()] == ["labels"]
    return np.asarray(tifffile.imread(folder / "labels"))


class Watched:
    """The tasks that workers begin, from now on; at first they are held at their beginning."""

    def __init__(self, processes: Processes) -> None:
        self.folder = processes.folder
        for file in self._files():
            file.unlink()
        self._hold = self.folder / "hold"
        self._hold.touch()

    def _files(self) -> list[Path]:
        return list(self.folder.glob("*-????????????????????????????????"))

    @property
    def begun(self) -> list[int]:
        """The worker of each task, by process id."""
        return [int(file.name.partition("-")[0]) for file in self._files()]

    def go(self) -> None:
        self._hold.unlink()


class Working(threading.Thread):
    """A call in a thread, so that a test can do something meanwhile."""

    def __init__(self, call: Any, *args: Any, **more: Any) -> None:
        super().__init__(daemon=True)
        self._call, self._future = lambda: call(*args, **more), Future[Any]()
        self.start()

    def run(self) -> None:
        try:
            self._future.set_result(self._call())
        except BaseException as error:
            self._future.set_exception(error)

    def result(self) -> Any:
        return self._future.result(LONGEST)


@pytest.mark.parametrize(("n_workers", "held"), [(1, False), (2, False), (2, True)])
def test_one_worker_and_two_give_the_labels_of_none_to_the_bit(
    trained: Trained,
    place: Path,
    expected: NDArray[Any],
    processes: Processes,
    tmp_path: Path,
    n_workers: int,
    held: bool,
) -> None:
    large = opened(trained, place, held=held)
    with live_workers(processes, n_workers) as cluster:
        watched = Watched(processes)
        work = Working(applied, trained, large, tmp_path, cluster)
        pids = {worker.pid for worker in processes.workers}
        until(lambda: set(watched.begun) == pids)
        watched.go()
        labels = work.result()
    np.testing.assert_array_equal(labels, expected)
    assert set(watched.begun) == pids
    assert len(watched.begun) == N_TASKS


def test_another_worker_does_the_block_of_a_killed_one_again(
    trained: Trained, place: Path, expected: NDArray[Any], processes: Processes, tmp_path: Path
) -> None:
    large = opened(trained, place)
    with live_workers(processes, 2) as cluster:
        watched = Watched(processes)
        work = Working(applied, trained, large, tmp_path, cluster)
        until(lambda: len(set(watched.begun)) == 2)
        lost = processes.workers[0].pid
        processes.kill(lost)
        watched.go()
        labels = work.result()
    np.testing.assert_array_equal(labels, expected)
    assert watched.begun.count(lost) >= 1
    assert len(watched.begun) == N_TASKS + watched.begun.count(lost)


def test_a_block_that_cannot_be_read_is_named(
    trained: Trained, place: Path, processes: Processes, tmp_path: Path
) -> None:
    content = (place / "large.ome.tif").read_bytes()
    (tmp_path / "large.ome.tif").write_bytes(content)
    large = opened(trained, tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    with live_workers(processes, 2) as cluster:
        watched = Watched(processes)
        work = Working(applied, trained, large, out, cluster)
        until(lambda: watched.begun)
        (tmp_path / "large.ome.tif").unlink()
        watched.go()
        with pytest.raises(
            ValueError,
            match=r"^the block of rows 0 to 119 and columns 0 to 119: .*large\.ome\.tif.*"
            rf", as {socket.gethostname()} sees it$",
        ):
            work.result()
    assert not list(out.iterdir())


def test_a_folder_that_a_worker_does_not_see_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"elsewhere is not there, as .* sees it; the results"):
        call_while_wanted(str(tmp_path / "elsewhere"), os.getpid)


@pytest.mark.parametrize("n_workers", [0, 1])
def test_it_is_stopped_also_while_no_worker_answers(
    trained: Trained, place: Path, processes: Processes, tmp_path: Path, n_workers: int
) -> None:
    class Enough(Exception):
        pass

    n_asked = 0

    def progress(share: float) -> None:
        nonlocal n_asked
        assert share < 0.2
        n_asked += 1
        if n_asked > 2:
            raise Enough

    large = opened(trained, place)
    with live_workers(processes, n_workers or 1) as cluster:
        watched = Watched(processes)
        if not n_workers:
            processes.kill(processes.workers[0].pid)
        with pytest.raises(Enough):
            apply_in_blocks(
                trained, large, {"labels": tmp_path / "labels"}, progress=progress, executor=cluster
            )
        # Queued ones are forgotten, and the one that was held finds out that nobody wants it.
        client = cluster._client
        assert client is not None
        watched.go()
        until(lambda: not client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))
    assert not list(tmp_path.iterdir())


def test_few_blocks_are_in_flight(tmp_path: Path) -> None:
    """However many blocks there are; here on threads, each with a child process."""

    class Counting(Threads):
        n_most = 0

        def submit(self, *args: Any, **more: Any) -> Future[Any]:
            self.n_most = max(self.n_most, len(list(tmp_path.glob("*-extra.npz"))))
            return super().submit(*args, **more)

    large, executor = LargeImage.held(sample((64, 64), seed=1)), Counting(2)
    box = (0, 0, 64, 64)
    tasks = (Block(box, box, {}) for _ in range(20))
    where = Elsewhere(large, executor, tmp_path)
    answers = list(where.each(_markers_of_block, tasks, QUICK))
    assert len(answers) == 20
    assert executor.n_most == AHEAD * 2
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".npy", ".pickle"]


@pytest.mark.parametrize("writer", [(Path, "write_bytes"), (np, "save")])
def test_a_full_disk_is_told_and_leaves_no_half_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: tuple[Any, str]
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    large = LargeImage.held(sample((64, 64), seed=1))
    monkeypatch.setattr(*writer, no_room)
    with pytest.raises(ValueError, match=r"cannot write .*image.*: No space left on device"):
        Elsewhere(large, Threads(1), tmp_path)
    assert not list(tmp_path.glob("*.pickle"))


def test_a_damaged_answer_is_told_with_its_block(tmp_path: Path) -> None:
    class Damaging(Executor):
        """An executor of which each answer is half an archive."""

        def submit(self, call: Any, folder: Any, *task: Any, **_: Any) -> Future[Any]:
            for extra in Path(folder).glob("*-extra.npz"):
                answer = extra.with_name(extra.name.replace("extra", "answer"))
                answer.write_bytes(extra.read_bytes()[:-30])
            future = Future[Any]()
            future.set_result(None)
            return future

    large, box = LargeImage.held(sample((64, 64), seed=1)), (0, 0, 64, 64)
    blocks = [Block(box, box, {"nuclei": np.zeros((64, 64), np.int32)})]
    where = Elsewhere(large, Damaging(), tmp_path)
    message = r"^the block of rows 0 to 63 and columns 0 to 63: .*answer\.npz cannot be read"
    with pytest.raises(ValueError, match=message):
        list(where.each(_markers_of_block, blocks, QUICK))


def test_a_child_ends_when_its_folder_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "wanted"
    folder.mkdir()
    work = Working(call_while_wanted, str(folder), time.sleep, LONGEST)
    calls = wanted_tasks._calls()
    until(lambda: any(call.child for call in calls._going.values()))
    [call] = calls._going.values()
    assert call.child is not None
    process = call.child._process
    assert process.poll() is None
    folder.rmdir()
    with pytest.raises(ValueError, match="CancelledError"):
        work.result()
    until(lambda: process.poll() is not None)


def test_a_folder_of_images_spreads_over_both_workers(
    place: Path, processes: Processes, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    """One image a task, with the results of one process; the large one in blocks."""
    monkeypatch.setenv("CELLCUTTER_IMAGE_LIMIT", LIMIT)
    images = tmp_path / "images"
    images.mkdir()
    for seed in range(3):
        save(sample((100, 100), seed=seed), images / f"{seed}.npz")
    (images / "bad.tif").write_bytes(b"not an image")
    (images / "large.ome.tif").write_bytes((place / "large.ome.tif").read_bytes())
    command = ["apply", str(place / "run"), str(images), "--out"]
    here, there = tmp_path / "here", tmp_path / "there"
    assert main([*command, str(here)]) == 2
    said_here = capsys.readouterr()
    with live_workers(processes, 2) as cluster:
        watched = Watched(processes)
        work = Working(main, [*command, str(there), "--scheduler", cluster.address])
        until(lambda: len(set(watched.begun)) == 2)
        watched.go()
        assert work.result() == 2
    said_there = capsys.readouterr()
    assert set(watched.begun) == {worker.pid for worker in processes.workers}
    # Each image, of which one turns out to be large.
    assert len(watched.begun) == 5 + N_TASKS
    files = {file.name for file in here.iterdir()}
    assert {file.name for file in there.iterdir()} == files
    assert len(files) == 4 * 3 + 1
    for name in files - {"summary.csv"}:
        assert (here / name).read_bytes() == (there / name).read_bytes(), name
    assert _untimed(here / "summary.csv") == _untimed(there / "summary.csv")
    assert said_here.err == said_there.err
    assert said_here.out.count("\n") == said_there.out.count("\n")


def test_what_the_page_starts_spreads_over_both_workers_and_is_stopped(
    place: Path, processes: Processes, tmp_path: Path, monkeypatch: Any
) -> None:
    files = {f"image-{seed}": tmp_path / f"{seed}.npz" for seed in range(4)}
    for seed, file in enumerate(files.values()):
        save(sample((100, 100), seed=seed), file)
    run = Run(place / "run")
    alone, spread = Application.create(run, files), Application.create(run, files)
    Applying(alone.path).work(stop=lambda: False)
    with live_workers(processes, 2) as cluster:
        monkeypatch.setenv("CELLCUTTER_SCHEDULER", cluster.address)
        watched = Watched(processes)
        work = Working(Applying(spread.path).work, stop=lambda: False)
        until(lambda: len(set(watched.begun)) == 2)
        spread.ask_to_stop()
        work.result()
        assert (spread.progress.status, spread.progress.n_left) == ("stopped", 4)
        spread.forget_stop()
        watched.go()
        Applying(spread.path).work(stop=lambda: False)
    now = spread.progress
    assert (now.status, [one.name for one in now.outcomes]) == ("finished", list(files))
    written = {file.relative_to(alone.path) for file in alone.path.glob("[rp]*/*")}
    assert {file.relative_to(spread.path) for file in spread.path.glob("[rp]*/*")} == written
    assert len(written) == 4 * (3 + 2) + 1
    for file in written - {Path("results/summary.csv")}:
        assert (alone.path / file).read_bytes() == (spread.path / file).read_bytes(), file


def test_without_its_scheduler_what_the_page_starts_fails_and_says_so(
    place: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("CELLCUTTER_SCHEDULER", "tcp://127.0.0.1:1")
    made = Application.create(Run(place / "run"), {"own": place / "own.npz"})
    with pytest.raises(ValueError, match=r"the scheduler .* does not answer"):
        Applying(made.path).work(stop=lambda: False)
    assert made.progress.status == "failed"
    assert "does not answer" in made.progress.message
    assert made.progress.n_left == 1


def test_a_folder_that_cannot_be_written_is_told(
    place: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(applying_to_files, "TemporaryDirectory", refuse)
    found = applying_to_files.apply_to_files(
        Trained(Run(place / "run")), {"own": place / "own.npz"}, tmp_path, executor=Threads(1)
    )
    with pytest.raises(ValueError, match=r"cannot write .*: Permission denied; choose another"):
        list(found)


def _untimed(summary: Path) -> list[list[str]]:
    rows = [line.split(",") for line in summary.read_text().splitlines()]
    return [[*row[:2], *row[3:]] for row in rows]

"""Whether anything is lost when something goes wrong: random faults in real, small trainings.

    python tests/bench/faults.py [--n 200] [--seed 0] [--kind KIND ...] [--only NUMBER]

Each fault hits a training, a command `segment` or an application that runs in a process of its own:

    worker       SIGKILL of the process that trains
    warm         SIGKILL of the warm process: while it loads, while it waits, while it trains
    server       SIGKILL of the process that queued the training and waits for it
    segment      SIGKILL of the command line
    application  SIGKILL of the process that applies a network to images
    full         the file system is full after a random number of bytes
    read-only    the file system becomes read-only at a random moment
    torn         after a SIGKILL, the last line of the events is cut or has garbage behind it
    left over    after a SIGKILL, half-written files are there under temporary names
    clock        the clock jumps back and forth, and a process id is used again

A fault comes before a random change of a file, which is the same for the same number and seed, or
at a random time. `warm` and `server` always are at a random time.

After each fault: every file opens; every finished epoch is there, with the labels and losses of the
same run without a fault; the run is shown as interrupted, with a sentence. Then it is gone on with,
as a person would, and comes to the same files, labels, losses and weights, to the bit. No process
and no temporary file or folder of ours is left.

It prints a table and every failure, and exits with 1 if there is one. Ctrl-C ends it early, with a
table of what was done. Most processes are forked from this one, which has only imported the
framework, so that a fault takes a few seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from cellcutter_core import results  # noqa: E402
from cellcutter_core.__main__ import main as command  # noqa: E402
from cellcutter_core.apply.application_folder import Application  # noqa: E402
from cellcutter_core.config import (  # noqa: E402
    Config,
    CropSettings,
    NetworkSettings,
    TrainingSettings,
)
from cellcutter_core.files import atomic  # noqa: E402
from cellcutter_core.jobs import job_task, queue, worker  # noqa: E402
from cellcutter_core.jobs.estimate import speed_of  # noqa: E402
from cellcutter_core.jobs.kinds import job_at  # noqa: E402
from cellcutter_core.runs import lock  # noqa: E402
from cellcutter_core.runs.store import Run  # noqa: E402
from cellcutter_core.simulation.sample import sample, save  # noqa: E402
from cellcutter_core.training.inputs import Inputs, Truth  # noqa: E402

LONGEST = 180.0
"""Seconds after which something is taken to hang."""
MARK = "CELLCUTTER_FAULTS"
"""A variable in the environment of every process that we start, by which it is found again."""
HERE = socket.gethostname()
TINY = Config(
    crops=CropSettings(size=16, sigma=5),
    network=NetworkSettings(depth=3, channels=4, normalisation="none"),
    training=TrainingSettings(
        epochs=3, steps=2, area=None, crops=4, crops_at_once=4, precision="float32"
    ),
)
SEGMENT = [
    "--start", "nothing", "--epochs", "2", "--set", "network.channels=4",
    "--set", "network.depth=3", "--set", "network.normalisation=none",
    "--set", "training.steps=2", "--set", "training.crops=4",
    "--set", "training.precision=float32",
]  # fmt: skip
MS_RDONLY, MS_REMOUNT = 1, 32


class Wrong(AssertionError):
    """Something is lost, or not as it should be."""


def check(holds: object, message: str) -> None:
    if not holds:
        raise Wrong(message)


# Processes ------------------------------------------------------------------------------------


class Process:
    """A forked process that calls a function; what it prints goes to a file."""

    def __init__(self, scene: Scene, function: Callable[..., Any], *args: Any) -> None:
        self.said = scene.folder / f"said-{uuid.uuid4().hex[:8]}.txt"
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            out = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(out, 1)
            os.dup2(out, 2)
            code = function(*args) or 0
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, seconds: float = LONGEST) -> int:
        try:
            until(self.ended, seconds, "a process has not ended")
        except Wrong:
            self.kill()
            raise
        assert self.code is not None
        return self.code

    def kill(self) -> None:
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            until(self.ended, LONGEST, "a killed process has not ended")

    @property
    def text(self) -> str:
        return self.said.read_text("utf-8", "replace") if self.said.exists() else ""


def until(condition: Callable[[], object], seconds: float, message: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"{message} after {seconds:g} s")
        time.sleep(0.01)


def ours() -> list[int]:
    """The processes with our mark, but for this one."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(place.name)
            marked = f"{MARK}={os.environ[MARK]}".encode() in (place / "environ").read_bytes()
            # A child of this process that has ended, and is not waited for yet, has no memory.
            if pid != os.getpid() and marked:
                found.append(pid)
    return found


def end_ours() -> None:
    for pid in ours():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def at_changes(folder: Path, act: Callable[[int], None]) -> None:
    """In a process: call before each change of a file in the folder, with its number from 1."""
    n = 0

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal n
        written = event == "open" and (given[2] or 0) & (os.O_WRONLY | os.O_RDWR)
        changed = written or event in ("os.rename", "os.remove", "os.mkdir")
        if changed and str(given[0]).startswith(f"{folder}/"):
            n += 1
            act(n)

    sys.addaudithook(hook)


def before_change(folder: Path, number: int, act: Callable[[], bool]) -> None:
    """In a process: act before the numbered change of a file in the folder, until it succeeds."""
    over = False

    def try_it(n: int) -> None:
        nonlocal over
        if not over and n >= number:
            over = act()

    at_changes(folder, try_it)


def kill_self() -> bool:
    os.kill(os.getpid(), signal.SIGKILL)
    return True


# Scenes -----------------------------------------------------------------------------------------


class Scene:
    """A folder with a run, the same run without a fault, and a source of chance.

    Attributes
    ----------
    kept : Path
        The folder of what all faults share: the runs without a fault.
    """

    def __init__(self, kept: Path, folder: Path, rng: random.Random) -> None:
        self.kept, self.folder, self.rng = kept, folder, rng
        self.how = ""

    def chosen(self, how: str) -> None:
        """Say what was drawn, to be printed with a failure."""
        self.how += f"; {how}" if self.how else how


def do_whole(scene: Scene, name: str, work: Callable[[], Any], folder: Path) -> None:
    """Do the work without a fault; keep how many changes of files it has, and its seconds."""
    number = scene.kept / f"{name}.txt"

    def counted() -> Any:
        seen: list[int] = []
        at_changes(folder, seen.append)
        code = work()
        number.write_text(str(seen[-1]))
        return code

    start = time.monotonic()
    process = Process(scene, counted)
    check(process.wait() == 0, f"{name} without a fault failed: {process.text[-2000:]}")
    whole = [int(number.read_text()), time.monotonic() - start]
    (scene.kept / f"{name}.json").write_text(json.dumps(whole))


def of_whole(scene: Scene, name: str) -> tuple[int, float]:
    """How many changes of files the work had without a fault, and how many seconds it took."""
    n, seconds = json.loads((scene.kept / f"{name}.json").read_text())
    return n, seconds


def new_run(path: Path) -> Run:
    """Nine cells on a grid, with their truth; queued by a server that is gone."""
    rows, cols = np.mgrid[8:40:14, 8:40:14].reshape(2, -1)
    image = np.random.default_rng(0).normal(0, 0.05, (48, 48, 1)).astype(np.float32)
    labels = np.zeros((48, 48), np.int32)
    for number, (row, col) in enumerate(zip(rows, cols, strict=True), 1):
        labels[row - 4 : row + 5, col - 4 : col + 5] = number
    image[labels > 0] += 0.5
    image[rows, cols] += 0.5
    points = np.stack([rows, cols], axis=1).astype(float)
    run = Run.create(path, Inputs(image, labels > 0, points), TINY, truth=Truth(labels))
    queued_by_nobody(run)
    return run


def queued_by_nobody(folder: Any, **values: Any) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    folder.record("queued", ticket="t", server="gone", pid=gone.pid, host=HERE, **values)


def make_shared(scene: Scene) -> None:
    """Make all that is the same for every fault."""
    kept = scene.kept
    save(sample((96, 96), seed=3), kept / "small.npz")
    for number in (1, 2):
        save(sample((80, 80), seed=number), kept / f"other{number}.npz")
    run = new_run(kept / "run")
    do_whole(scene, "run-work", lambda: worker.main([str(run.path)]), run.path)
    check(run.progress.status == "finished", "the run without a fault has not finished")
    out = kept / "segmented"
    do_whole(scene, "segment-work", lambda: segment(scene, out), out)
    application = new_application(scene, out)
    do_whole(
        scene, "application-work", lambda: worker.main([str(application.path)]), application.path
    )
    application.path.rename(kept / "applied")
    shutil.rmtree(out / "applied")


def segment(scene: Scene, out: Path) -> int:
    return command(["segment", str(scene.kept / "small.npz"), "--out", str(out), *SEGMENT])


def new_application(scene: Scene, run: Path) -> Application:
    files = {f"other{n}": scene.kept / f"other{n}.npz" for n in (1, 2)}
    application = Application.create(Run(run), files)
    queued_by_nobody(application)
    return application


# Checks -----------------------------------------------------------------------------------------


def check_files(folder: Path) -> None:
    """Every file that has its proper name is whole."""
    for file in sorted(folder.rglob("*")):
        if file.is_dir() or any(part.startswith(".") for part in file.relative_to(folder).parts):
            continue
        try:
            if file.suffix in (".npz", ".keras"):
                with zipfile.ZipFile(file) as archive:
                    check(archive.testzip() is None, f"{file.name} is damaged")
            elif file.suffix == ".json":
                json.loads(file.read_text("utf-8"))
            elif file.suffix in (".tif", ".png"):
                from skimage.io import imread

                imread(file)
        except Wrong:
            raise
        except Exception as error:
            raise Wrong(f"{file.relative_to(folder)} does not open: {error!r}") from error


def check_run(run: Run, whole: Run) -> None:
    """What is there of a run is whole, and equals that of the run without a fault."""
    check_files(run.path)
    now, then = run.progress, whole.progress
    expected = {event["epoch"]: event for event in then.epoch_events}
    for number in run.epochs:
        labels = run.epoch(number).labels
        check(
            np.array_equal(labels, whole.epoch(number).labels), f"labels of epoch {number} differ"
        )
    for event in now.epoch_events:
        number = event["epoch"]
        check(number in run.epochs, f"epoch {number} is told of and not there")
        for name in ("loss", "area", "overlap", "n_cells", "miou", "scores"):
            check(
                event.get(name) == expected[number].get(name), f"{name} of epoch {number} differs"
            )
    run.load_state()
    _ = run.inputs, run.truth, run.baselines


def check_told(folder: Any) -> str:
    """It is shown as interrupted with a sentence, or as finished with all that belongs to it."""
    now = folder.progress
    if now.status == "queued":
        check(queue.is_left_behind(folder), "it is shown as queued, and nobody will start it")
    elif now.status == "finished":
        check(not now.n_left, f"it is shown as finished with {now.n_left} left")
    else:
        check(
            now.status in ("crashed", "failed", "stopped"), f"it is shown as {now.status} for ever"
        )
        check(now.message or now.status == "stopped", f"{now.status} without a sentence")
    return now.status


def go_on(scene: Scene, folder: Any) -> None:
    """Go on as the page does, in a new process."""

    def work() -> int:
        job = job_at(folder.path)
        values = job.check()
        folder.forget_stop()
        queued_by_nobody(folder, **values)
        return worker.main([str(folder.path)])

    process = Process(scene, work)
    check(process.wait() == 0, f"it could not be gone on with: {last_line(process.text)}")


def last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "nothing said")


def names_in(folder: Path) -> set[str]:
    return {
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.name != "log.txt" and "applied" not in file.relative_to(folder).parts[:1]
    }


def check_end(run: Run, whole: Run) -> None:
    """It came to the same as without a fault."""
    now, then = run.progress, whole.progress
    check(now.status == "finished", f"at the end it is {now.status}: {now.message}")
    numbers = [event["epoch"] for event in now.epoch_events]
    check(numbers == [e["epoch"] for e in then.epoch_events], f"at the end it has {numbers}")
    check_run(run, whole)
    check(run.epochs == whole.epochs, f"at the end it has the epochs {run.epochs}")
    states = [one.load_state() for one in (run, whole)]
    steps = [[one.losses for one in state.unfinished] for state in states]  # type: ignore[union-attr]
    check(steps[0] == steps[1], "losses of steps differ")
    for name in ("weights", "optimizer"):
        pair = [getattr(state, name) for state in states]
        same = all(np.array_equal(a, b) for a, b in zip(*pair, strict=True))
        check(same, f"{name} at the end differ")
    names = [names_in(one.path) for one in (run, whole)]
    check(names[0] == names[1], f"other files at the end: {sorted(names[0] ^ names[1])}")
    check(results.summarise(run)["seconds"] >= 0, "it took less than no time")


def check_nothing_left(scene: Scene) -> None:
    until(lambda: not ours(), LONGEST, f"processes {ours()} still run")
    left = [file.name for file in Path(tempfile.gettempdir()).iterdir()]
    for name in left:
        place = Path(tempfile.gettempdir()) / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    check(not left, f"temporary files are left: {left}")


# Faults -----------------------------------------------------------------------------------------


def killed(scene: Scene, name: str, folder: Path, work: Callable[[], Any]) -> Process:
    """Do the work in a process that is killed before a change of a file, or at a random time."""
    n, seconds = of_whole(scene, name)
    if scene.rng.random() < 0.6:
        number = scene.rng.randint(1, n)
        scene.chosen(f"killed before change {number} of {n}")

        def hit() -> Any:
            before_change(folder, number, kill_self)
            return work()

        process = Process(scene, hit)
        process.wait()
    else:
        after = scene.rng.uniform(0, seconds)
        scene.chosen(f"killed after {after:.3f} s")
        process = Process(scene, work)
        with contextlib.suppress(Wrong):
            until(process.ended, after, "")
        process.kill()
    return process


def killed_run(scene: Scene, path: Path | None = None) -> Run:
    run = new_run(path or scene.folder / "run")
    killed(scene, "run-work", run.path, lambda: worker.main([str(run.path)]))
    return run


def finish(scene: Scene, run: Run) -> None:
    whole = Run(scene.kept / "run")
    check_run(run, whole)
    if check_told(run) != "finished":
        go_on(scene, run)
    else:
        run.tidy()  # As the page does when a run is opened.
    check_end(run, whole)


def fault_worker(scene: Scene) -> None:
    finish(scene, killed_run(scene))


def fault_torn(scene: Scene) -> None:
    run = killed_run(scene)
    tear(scene, run.path / "events.jsonl")
    finish(scene, run)


def tear(scene: Scene, file: Path) -> None:
    rng, content = scene.rng, file.read_bytes()
    last = content.rstrip(b"\n").rfind(b"\n") + 1
    cut = rng.randint(last, len(content))
    garbage = rng.randbytes(rng.randint(1, 400)) if rng.random() < 0.5 else b""
    scene.chosen(f"last line cut to {cut - last} of {len(content) - last} bytes")
    scene.chosen(f"{len(garbage)} bytes of garbage")
    file.write_bytes(content[:cut] + garbage)


def fault_left_over(scene: Scene) -> None:
    """What a process leaves that is killed while it writes, of every kind of file."""
    run = killed_run(scene)
    whole, rng = Run(scene.kept / "run"), scene.rng
    for name in ("state.npz", "baseline.npz", "model.keras", "epochs/0001.npz", "run.json"):
        if rng.random() < 0.5:
            continue
        content = (whole.path / name).read_bytes()
        part = content[: rng.randint(0, len(content))]
        Process(scene, leave_half, run.path / name, part).wait()
        scene.chosen(f"{len(part)} of {len(content)} bytes of {name}")
    if rng.random() < 0.3:
        # Killed between making the lock and writing into it; looked at when that is long ago.
        (run.path / "lock").write_text("")
        long_ago = time.time() - 2 * lock.FORGOTTEN_AFTER
        os.utime(run.path / "lock", (long_ago, long_ago))
        scene.chosen("an empty lock")
        if rng.random() < 0.5:
            (run.path / ".lock-turn").write_text("")
            os.utime(run.path / ".lock-turn", (long_ago, long_ago))
            scene.chosen("the turn to remove a lock")
    finish(scene, run)


def leave_half(file: Path, part: bytes) -> None:
    with atomic(file) as temporary:
        temporary.write_bytes(part)
        kill_self()


def fault_clock(scene: Scene) -> None:
    rng, real = scene.rng, time.time
    seed = rng.randrange(2**32)
    scene.chosen(f"clock {seed}")

    def jumping() -> None:
        chance, shift = random.Random(seed), 0.0

        def now() -> float:
            nonlocal shift
            if chance.random() < 0.2:
                shift = chance.choice([0.0, 3600.0, -3600.0, 3e7, -3e7])
            return real() + shift

        time.time = now

    run = new_run(scene.folder / "run")

    def work() -> int:
        jumping()
        return worker.main([str(run.path)])

    killed(scene, "run-work", run.path, work)
    if run.progress.status == "crashed" and rng.random() < 0.5:
        # The clock was wrong when the process renewed its lock, and its number is used again.
        shift = rng.choice([-3e7, -3600.0, 3600.0, 3e7])
        scene.chosen(f"process id used again, lock renewed {shift:+g} s from now")
        run.record("started", pid=os.getpid(), host=HERE, epochs=3)
        (run.path / "lock").write_text(json.dumps({"pid": os.getpid(), "host": HERE, "id": "x"}))
        os.utime(run.path / "lock", (real() + shift, real() + shift))
    finish(scene, run)
    speed = speed_of(run)
    check(speed is None or min(speed) >= 0, f"the speed of the run is negative: {speed}")


def fault_segment(scene: Scene) -> None:
    out, whole = scene.folder / "run", Run(scene.kept / "segmented")
    killed(scene, "segment-work", out, lambda: segment(scene, out))
    if (out / "run.json").exists():
        run = Run(out)
        check_run(run, whole)
        check_told(run)
        again = Process(scene, command, ["continue", str(out)])
        done = again.wait()
        complete = run.progress.status == "finished" and "already has" in again.text
        check(done == 0 or complete, f"continue: {last_line(again.text)}")
    else:
        again = Process(scene, segment, scene, out)
        check(again.wait() == 0, f"once more: {last_line(again.text)}")
    check_end(Run(out), whole)
    for name in ("labels.tif", "overlay.png", "borders.png"):
        same = (out / name).read_bytes() == (whole.path / name).read_bytes()
        check(same, f"{name} differs")


def fault_application(scene: Scene) -> None:
    run = scene.folder / "run"
    shutil.copytree(scene.kept / "segmented", run)
    application = new_application(scene, run)
    killed(
        scene,
        "application-work",
        application.path,
        lambda: worker.main([str(application.path)]),
    )
    if scene.rng.random() < 0.3:
        tear(scene, application.path / "events.jsonl")
    check_files(application.path)
    if check_told(application) != "finished":
        go_on(scene, application)
    else:
        application.tidy()
    now = application.progress
    check(now.status == "finished" and not now.n_left, f"at the end it is {now.status}")
    check(not any(one.error for one in now.outcomes), f"an image failed: {now.outcomes}")
    whole = scene.kept / "applied"
    names = [names_in(one) for one in (application.path, whole)]
    check(names[0] == names[1], f"other files at the end: {sorted(names[0] ^ names[1])}")
    for place in ("results", "previews"):
        for file in (whole / place).iterdir():
            if file.name != "summary.csv":
                same = file.read_bytes() == (application.path / place / file.name).read_bytes()
                check(same, f"{file.name} differs")


@contextlib.contextmanager
def small_disk(scene: Scene) -> Iterator[Path]:
    place = scene.folder / "disk"
    place.mkdir()
    mount(place, "tmpfs", 0, b"size=2m")
    try:
        yield place
    finally:
        umount(place)


def mount(place: Path, kind: str | None, flags: int, data: bytes | None = None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    given = None if kind is None else kind.encode()
    if libc.mount(given, str(place).encode(), given, flags, data):
        raise OSError(ctypes.get_errno(), "mount")


def umount(place: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(str(place).encode(), 2):
        raise OSError(ctypes.get_errno(), "umount")


def check_refusal(process: Process) -> None:
    """A process that could not write has said why in one line."""
    check(process.code in (0, 2), f"exit code {process.code}: {last_line(process.text)}")
    check("Traceback" not in process.text, f"a traceback: {last_line(process.text)}")


def fault_full(scene: Scene) -> None:
    with small_disk(scene) as disk:
        run = new_run(disk / "run")
        size = sum(f.stat().st_size for f in (scene.kept / "run").rglob("*") if f.is_file())
        free = shutil.disk_usage(disk).free
        left = scene.rng.randint(0, size)
        scene.chosen(f"{left} bytes are free, the whole run has {size}")
        (disk / "filler").write_bytes(b"\0" * (free - left))
        with contextlib.suppress(OSError), (disk / "filler").open("ab") as filler:
            if left < 4096:
                filler.write(b"\0" * 2**20)
        process = Process(scene, worker.main, [str(run.path)])
        process.wait()
        check_refusal(process)
        check_run(run, Run(scene.kept / "run"))
        check_told(run)
        (disk / "filler").unlink()
        finish(scene, run)


def fault_read_only(scene: Scene) -> None:
    with small_disk(scene) as disk:
        run = new_run(disk / "run")
        n, _ = of_whole(scene, "run-work")
        number = scene.rng.randint(1, n)
        scene.chosen(f"read-only before change {number} of {n}")

        def closed() -> bool:
            # It is refused while a file is open for writing; then before the next change.
            with contextlib.suppress(OSError):
                mount(disk, None, MS_REMOUNT | MS_RDONLY)
                return True
            return False

        def work() -> int:
            before_change(disk, number, closed)
            return worker.main([str(run.path)])

        process = Process(scene, work)
        process.wait()
        check_refusal(process)
        check_run(run, Run(scene.kept / "run"))
        check_told(run)
        mount(disk, None, MS_REMOUNT)
        finish(scene, run)


def serve(path: Path, warm: bool, told: Path) -> int:
    """Be a server: queue the run and wait for its end."""
    run = Run(path)
    if warm:
        job_task.SPARE.start()
        loading = job_task.SPARE._loading
        assert loading is not None
        until(lambda: loading._process is not None, LONGEST, "no warm process")
        assert loading._process is not None
        told.write_text(str(loading._process.pid))
    if warm and not (told.parent / "early").exists():
        until(lambda: loading.words or loading.problem, LONGEST, "it does not load")
        (told.parent / "loaded").touch()
        until(lambda: (told.parent / "go").exists(), LONGEST, "nobody goes on")
    jobs = queue.Jobs()
    jobs.submit(run)
    (told.parent / "submitted").touch()
    [task] = jobs._submitted.values()
    until(task.done, LONGEST, "it does not end")
    job_task.SPARE.close()
    return 0


def fault_server(scene: Scene) -> None:
    run = new_run(scene.folder / "run")
    _, seconds = of_whole(scene, "run-work")
    after = scene.rng.uniform(0, 2 * seconds + 4)
    scene.chosen(f"server killed {after:.2f} s after it began")
    process = Process(scene, serve, run.path, False, scene.folder / "told")
    with contextlib.suppress(Wrong):
        until(process.ended, after, "")
    process.kill()
    until(lambda: not ours(), LONGEST, f"processes {ours()} still run")
    finish(scene, run)


def fault_warm(scene: Scene) -> None:
    run, told = new_run(scene.folder / "run"), scene.folder / "told"
    when = scene.rng.choice(["while it loads", "while it waits", "while it trains"])
    scene.chosen(f"killed {when}")
    if when == "while it loads":
        (scene.folder / "early").touch()
    process = Process(scene, serve, run.path, True, told)
    until(lambda: told.exists() and told.read_text(), LONGEST, "no warm process")
    pid = int(told.read_text())
    if when == "while it loads":
        time.sleep(scene.rng.uniform(0, 2))
    else:
        until((scene.folder / "loaded").exists, LONGEST, "it does not load")
        if when == "while it trains":
            (scene.folder / "go").touch()
            until((scene.folder / "submitted").exists, LONGEST, "it is not queued")
            time.sleep(scene.rng.uniform(0, of_whole(scene, "run-work")[1]))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    (scene.folder / "go").touch()
    process.wait()
    check(process.code == 0, f"the server failed: {last_line(process.text)}")
    if when != "while it trains":
        check(run.progress.status == "finished", f"no other took over: {run.progress.status}")
    finish(scene, run)


FAULTS: dict[str, Callable[[Scene], None]] = {
    "worker": fault_worker,
    "warm": fault_warm,
    "server": fault_server,
    "segment": fault_segment,
    "application": fault_application,
    "full": fault_full,
    "read-only": fault_read_only,
    "torn": fault_torn,
    "left over": fault_left_over,
    "clock": fault_clock,
}


def can_mount(folder: Path) -> bool:
    place = folder / "mounted"
    place.mkdir()
    try:
        mount(place, "tmpfs", 0, b"size=1m")
        umount(place)
    except OSError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200, help="number of faults (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=list(FAULTS), help="only this kind")
    parser.add_argument("--only", type=int, help="only the fault of this number")
    chosen = parser.parse_args()
    # The small disk has less than must stay free as a rule.
    os.environ["CELLCUTTER_FREE_LIMIT"] = "1KB"
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        folder = Path(place)
        (folder / "tmp").mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "tmp")
        wanted = list(FAULTS)
        if not can_mount(folder):
            print("No file system can be mounted here: full and read-only are left out.")
            wanted = [kind for kind in wanted if kind not in ("full", "read-only")]
        failed = run_all(folder, wanted, chosen)
    sys.exit(bool(failed))


def run_all(folder: Path, wanted: list[str], chosen: argparse.Namespace) -> int:
    # Everything is imported, and nothing computed: a process that is forked must not share threads.
    from cellcutter_core.apply import application_folder, training_images  # noqa: F401
    from cellcutter_core.jobs import training  # noqa: F401
    from cellcutter_core.network.backend import lines_kept_back

    with lines_kept_back():
        import keras  # noqa: F401

        from cellcutter_core.network import compiled, less_arithmetic  # noqa: F401

    kept = folder / "kept"
    kept.mkdir()
    start = time.monotonic()
    make_shared(Scene(kept, folder, random.Random(0)))
    tried: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    numbers = range(chosen.n) if chosen.only is None else [chosen.only]
    for number in numbers:
        kind = wanted[number % len(wanted)]
        if chosen.kind and kind not in chosen.kind:
            continue
        place = folder / f"fault-{number}"
        place.mkdir()
        scene = Scene(kept, place, random.Random(f"{chosen.seed} {number}"))
        tried[kind] += 1
        wrong = ""
        try:
            FAULTS[kind](scene)
            check_nothing_left(scene)
            passed[kind] += 1
        except KeyboardInterrupt:
            tried[kind] -= 1
            end_ours()
            break
        except Exception as error:
            wrong = str(error) if isinstance(error, Wrong) else traceback.format_exc()
            print(
                f"fault {number}, {kind} ({scene.how}): {wrong}\n"
                f"    repeat: python tests/bench/faults.py --seed {chosen.seed} --only {number}",
                flush=True,
            )
            end_ours()
        shutil.rmtree(place, ignore_errors=True)
    print(f"{'kind':12} {'tried':>6} {'passed':>7}")
    for kind in wanted:
        if tried[kind]:
            print(f"{kind:12} {tried[kind]:6} {passed[kind]:7}")
    failed = tried.total() - passed.total()
    print(f"{'all':12} {tried.total():6} {passed.total():7}")
    print(f"{tried.total()} faults in {time.monotonic() - start:.0f} s")
    return failed


if __name__ == "__main__":
    if MARK not in os.environ:
        # Begun anew, so that the mark is in the environment that others see of this process.
        os.environ[MARK] = uuid.uuid4().hex
        os.execv(sys.executable, [sys.executable, *sys.argv])
    main()

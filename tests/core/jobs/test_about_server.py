"""What the page Server says, on machines that are written by hand."""

import json
import sys
import types
from pathlib import Path

import pytest

from cellcutter_core.jobs import about_server
from cellcutter_core.jobs.about_server import Load, cores, disk, keras_backend, load, memory
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.processes.child import environment

MEMINFO = "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    8000 kB\n"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four cores, 16 MB of memory, half of it available; no container; an empty home."""
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(about_server, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(about_server, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "cgroup").mkdir()
    return tmp_path


def test_a_machine_without_a_container(machine):
    assert cores() == 4
    assert memory() == (16_384_000, 8_192_000)
    (machine / "meminfo").unlink()
    assert memory() is None


def test_a_container_has_what_it_is_allowed(machine):
    group = machine / "cgroup"
    for name in ("cpu.max", "memory.max"):
        (group / name).write_text("max 100000\n" if name == "cpu.max" else "max\n")
    assert (cores(), memory()) == (4, (16_384_000, 8_192_000))
    (group / "cpu.max").write_text("150000 100000\n")
    (group / "memory.max").write_text("4000000\n")
    (group / "memory.current").write_text("1000000\n")
    assert (cores(), memory()) == (1.5, (4_000_000, 3_000_000))


def test_the_backend_is_the_one_that_keras_would_load(machine, monkeypatch):
    assert keras_backend() == "tensorflow"
    (machine / "keras").mkdir()
    for said, backend in (({"backend": "jax"}, "jax"), ({}, "tensorflow"), ([], "tensorflow")):
        (machine / "keras" / "keras.json").write_text(json.dumps(said))
        assert keras_backend() == backend
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert keras_backend() == "torch"


def test_versions_are_known_without_loading_a_framework():
    import subprocess

    code = (
        "from cellcutter_core.jobs.about_server import versions; import sys; print(versions());"
        "print(sorted({'tensorflow', 'keras', 'jax', 'torch', 'streamlit'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True
    )
    said, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    assert "'Keras backend: tensorflow': '2." in said
    assert f"'Python': '{sys.version.split()[0]}'" in said


def test_disk_by_what_it_holds(machine):
    assert disk().used == 0
    for place, size in {
        "runs/a/run.json": 100,
        "runs/a/epochs/0001.npz": 1000,
        "runs/.deleted/b/state.npz": 200,
        "runs/.files/digest/a.tif": 40,
        "runs/.drafts/c/choices.json": 3,
    }.items():
        file = machine / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(size))
    found = disk()
    assert (found.runs, found.deleted, found.uploads, found.used) == (1100, 200, 43, 1343)
    assert found.free > 0


def test_jobs_are_counted_once(machine, monkeypatch):
    def job(name: str, status: str) -> types.SimpleNamespace:
        progress = types.SimpleNamespace(status=status)
        return types.SimpleNamespace(path=machine / "runs" / name, progress=progress)

    there = [job("a", "running"), job("b", "queued"), job("c", "queued"), job("d", "finished")]
    monkeypatch.setattr(Jobs, "ahead", lambda self: there)
    # One of another server runs as well, and a queued one was left behind by it.
    summaries = [
        types.SimpleNamespace(id=name, status=status)
        for name, status in {"a": "running", "x": "running", "b": "queued", "y": "queued"}.items()
    ]
    monkeypatch.setattr(about_server, "list_runs", lambda: (summaries, 0))
    assert load(Jobs()) == Load(running=2, waiting=2)

"""Fixtures that every test may use, and the order in which tests run."""

import gc
import os
from pathlib import Path
from typing import Any

# Before NumPy is loaded here and in child processes: on a busy machine the threads of a small
# product of matrices wait for each other a thousand times as long as it takes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

from cellcutter_core.jobs.warm_process import SPARE

# With all modules loaded, looking for garbage as often as Python does takes a tenth of the time.
gc.set_threshold(50_000, 20, 50)

TESTS = Path(__file__).parent
SHARED_DATA = TESTS.parents[1] / "shared" / "data"
LONG_FILES = (
    "core/large/test_in_blocks.py",
    "core/jobs/test_two_hosts.py",
    "core/jobs/test_queue.py",
    "core/jobs/test_cluster.py",
    "app/test_python_code.py",
    "app/test_steps.py",
    "core/test_command_line.py",
    "core/training/test_loop.py",
    "core/images/formats/test_zarr_in.py",
    "core/training/test_teaching.py",
    "app/test_train.py",
    "core/large/test_on_workers.py",
    "core/apply/test_applying.py",
    "core/training/test_optimiser.py",
    "core/images/reading/test_readers.py",
    "core/mask/test_graph_cut.py",
    "core/sweeps/test_sweep.py",
    "core/apply/test_training_images.py",
    "core/training/test_taught_start.py",
    "core/markers/test_cell_outlines.py",
    "core/export/test_export_formats.py",
    "core/training/test_against_watershed.py",
    "core/jobs/test_warm_process.py",
    "core/images/reading/test_broken_files.py",
    "core/training/test_loss.py",
    "app/test_experiment_link.py",
)
"""Files that were measured to take 20 seconds and more, the longest first; they begin early."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let browser tests come first, then long files, so that no core is idle at the end."""

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(TESTS).as_posix()
        if name.startswith("browser/"):
            return -1
        return LONG_FILES.index(name) if name in LONG_FILES else len(LONG_FILES)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each file to one process, and all browser tests: they share a server and a Chromium."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "tests/browser" if file.startswith("tests/browser/") else file

    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images with truth beside the checkout, where there is one."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real test images are not beside this checkout (../shared/data)")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def no_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves a process behind for another one to train in."""
    monkeypatch.setattr(SPARE, "start", lambda **_: None)
    monkeypatch.setattr(SPARE, "known", lambda: "CPU (test)")

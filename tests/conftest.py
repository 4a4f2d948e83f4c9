"""Fixtures that every test may use, and the order in which tests run."""

from pathlib import Path
from typing import Any

import pytest

from cellcutter_core.jobs.warm_process import SPARE

TESTS = Path(__file__).parent
SHARED_DATA = TESTS.parents[1] / "shared" / "data"
LONG_FILES = (
    "core/large/test_in_blocks.py",
    "app/test_python_code.py",
    "core/test_command_line.py",
    "app/test_compare.py",
    "app/test_steps.py",
    "core/apply/test_applying.py",
    "core/training/test_teaching.py",
    "core/images/formats/test_zarr_in.py",
    "app/test_standing.py",
    "app/test_apply.py",
    "core/markers/test_cell_outlines.py",
    "core/apply/test_training_images.py",
    "core/jobs/test_two_hosts.py",
    "core/jobs/test_cluster.py",
    "core/large/test_on_workers.py",
    "core/training/test_engine.py",
    "core/export/test_export_formats.py",
    "core/training/test_taught_start.py",
    "core/training/test_against_watershed.py",
    "core/images/reading/test_broken_files.py",
    "core/images/reading/test_readers.py",
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

"""Fixtures that every test may use."""

from pathlib import Path

import pytest

from cellcutter_core.jobs.warm_process import SPARE

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


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

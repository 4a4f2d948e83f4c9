"""Fixtures that every test may use."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images with truth beside the checkout, where there is one."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real test images are not beside this checkout (../shared/data)")
    return SHARED_DATA

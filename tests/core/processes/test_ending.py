"""The priority of long-running processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

AUTOGROUP = Path("/proc/self/autogroup")
LOWER = """
import os
from cellcutter_core.processes.ending import lower_priority
before = os.nice(0)
lower_priority(7)
print(os.nice(0) - before)
print(open("/proc/self/autogroup").read() if os.path.exists("/proc/self/autogroup") else "")
"""


def lowered(*, new_session: bool) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOWER],
        start_new_session=new_session,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no nice")
@pytest.mark.parametrize("new_session", [True, False])
def test_a_process_has_a_lower_priority(new_session: bool) -> None:
    assert lowered(new_session=new_session)[0] == "7"


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="sessions do not share the processor here")
def test_the_session_that_a_process_leads_has_it_too() -> None:
    """Otherwise a training would get as much of the processor as the server with its visitors."""
    assert lowered(new_session=True)[1].endswith("nice 7")
    before = AUTOGROUP.read_text().strip()
    assert lowered(new_session=False)[1] == before

"""The app where a mask is there only once a file is, for test_cancelling.py.

``python slow_masks.py run app.py ...`` is ``streamlit run app.py ...``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from cellcutter_core import pipeline
from cellcutter_core.processes.calls import LONGEST

HERE = Path(__file__).parent


def begun(folder: Path) -> Path:
    """Where each computation leaves a file, called by the number of its process."""
    return folder / "begun"


def go_on(folder: Path) -> Path:
    """The file that computations wait for."""
    return folder / "go on"


def find_mask(*args: Any, **options: Any) -> Any:
    """As that of the pipeline, once the file is there."""
    folder = Path(os.environ["CELLCUTTER_RUNS"]).parent
    begun(folder).mkdir(exist_ok=True)
    (begun(folder) / str(os.getpid())).touch()
    end = time.monotonic() + LONGEST
    while not go_on(folder).exists() and time.monotonic() < end:
        time.sleep(0.05)
    return pipeline.find_mask(*args, **options)


def main() -> None:
    """Serve the app, whose children call the function above."""
    import slow_masks  # Not `__main__`, which a child does not know.
    import without_spare

    from pages.shared.caching import cached_steps

    os.environ["PYTHONPATH"] += f"{os.pathsep}{HERE}"
    cached_steps.find_mask = slow_masks.find_mask  # type: ignore[assignment]
    without_spare.main()


if __name__ == "__main__":
    main()

"""The app for tests that train nothing: its server loads no framework ahead of a training.

``python without_spare.py run app.py ...`` is ``streamlit run app.py ...``.
"""

from __future__ import annotations

from cellcutter_core.jobs.warm_process import SPARE


def main() -> None:
    """Serve the app, which never starts a process to train in."""
    from streamlit.web import cli

    SPARE.start = lambda **_: None  # type: ignore[method-assign]
    SPARE.known = lambda: "CPU (test)"  # type: ignore[method-assign]
    cli.main()


if __name__ == "__main__":
    main()

"""Apply the network of the open run to other images, in a separate process."""

import streamlit as st

from cellcutter_core.apply.outcomes import USUAL_FORMATS
from pages.parts.apply.application import (
    choose_application,
    choose_images,
    choose_outcome,
    go_on_or_stop,
    take_home,
    watch,
)
from pages.shared import panels, python_code, state
from pages.shared.open_run import opened_run

state.enter("apply")
panels.head("apply")

run = opened_run("There is no network to apply")
if run.is_read_only:
    panels.link("train", "Train a network of your own")
else:
    choose_images(run)

shown = choose_application(run)
if shown is not None:
    now = shown.progress
    is_going = now.status in ("queued", "running")
    st.subheader(f"{now.n} {'image' if now.n == 1 else 'images'}", anchor=False)
    standing = st.container()
    go_on_or_stop(shown, now)
    choose_outcome(shown, now)
    take_home(shown, now)

script = python_code.apply_code(
    str(run.path),
    shown.files if shown else {},
    scenes=shown.scenes if shown else {},
    formats=shown.formats if shown else USUAL_FORMATS,
    how=shown.how if shown else {},
)
panels.footer("apply", script)

if shown is not None:
    # Last, as on the page Train: a new image or status makes the whole page rerun.
    with standing:
        st.fragment(watch, run_every=1.0 if is_going else None)(
            shown, len(now.outcomes), now.status
        )

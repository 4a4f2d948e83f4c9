"""Start, watch, stop and continue a training. It runs in a separate process."""

import streamlit as st

from cellcutter_core.choices.link import View
from pages.parts.train.class_note import class_note
from pages.parts.train.other_images import other_images
from pages.parts.train.run_controls import stop_or_go_on
from pages.parts.train.run_progress import results, watch
from pages.parts.train.run_settings import run_settings
from pages.parts.train.run_troubles import troubles
from pages.shared import panels, python_code, state
from pages.shared.caching import cached_runs, cached_steps
from pages.shared.run_words import (
    choices_note,
    doubts_note,
    run_title,
    stale_note,
    version_note,
)
from pages.shared.sharing import share
from pages.shared.start import offer_experiment, start_button

state.enter("train")
panels.head("train")

opened = state.run()
now = opened.progress if opened else None
is_going = now is not None and now.status in ("queued", "running")
stale = state.out_of_date(opened) if opened else ()

offer_experiment()
class_note()
run_settings(collapsed=opened is not None)
other_images()
with st.container(horizontal=True, vertical_alignment="center"):
    start_button(opened, differing=state.differing(opened) if opened else (), going=is_going)
    if opened is None:
        share(place=cached_steps.step_keys()["image"])
    else:
        last = opened.epochs[-1] if opened.epochs else None
        share(opened, view=View(epoch=last), place=opened.id)

if opened is not None:
    st.subheader(run_title(opened), anchor=False)
    version_note(opened)
    stale_note(stale)
    choices_note()
    troubles(opened, now)
    if not is_going and not now.collapsed:
        with panels.show_errors():
            doubts_note(cached_runs.run_doubts(opened))
    standing = st.container()
    stop_or_go_on(opened, now, going=is_going)
    with panels.show_errors():
        results(opened, now)

panels.link("runs", "All runs")

with panels.show_errors():
    data = python_code.data_code(state.choices(), cached_steps.whole_image(), cached_steps.region())
    edited = state.edited_markers() is not None
    panels.footer("train", python_code.train_code(data, state.choices(), edited=edited))

if opened is not None:
    # A new epoch or status makes the whole page rerun. This comes last because a click is lost
    # if the page reruns before it reaches the line of the button.
    with standing:
        watched = st.fragment(watch, run_every=1.0 if is_going else None)
        watched(opened, len(now.epoch_events), now.status)

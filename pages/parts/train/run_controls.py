"""The buttons of a training: stop it, go on with it, begin from its settings."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.config import is_current
from cellcutter_core.runs.store import Progress, Run
from pages.shared import panels, state
from pages.shared.caching import cached_runs
from pages.shared.run_words import OTHER_PERSONS


def stop_or_go_on(run: Run, now: Progress, *, going: bool) -> None:
    """Stop while it runs; afterwards more epochs, or the same again with changes."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if run.is_read_only:
            st.caption(OTHER_PERSONS)
        elif going:
            if st.button("Stop", icon=":material/stop:", key="train_stop"):
                with panels.show_errors():
                    cached_runs.jobs().cancel(run)
                    st.rerun()
        else:
            if now.epochs_done and not now.n_left and now.status != "finished":
                finish(run)
            more_epochs(run, now)
        if st.button(
            "Duplicate with changes",
            icon=":material/content_copy:",
            key="train_duplicate",
            help="Takes this run's image and settings as the present ones; then change what you "
            "like and start a new run.",
        ):
            with panels.show_errors():
                state.take_choices_of(run)
                st.rerun()
        if now.epochs_done and not going:
            panels.next_step("compare")


def finish(run: Run) -> None:
    """Do what is left of a run that has all its epochs."""
    if st.button(
        "Finish",
        icon=":material/done_all:",
        key="train_finish",
        disabled=not is_current(run.config),
        help="All epochs are trained. This does what comes after them, such as finding the cells "
        "of the other images.",
    ):
        with panels.show_errors():
            cached_runs.jobs().submit(run)
            st.rerun()


def more_epochs(run: Run, now: Progress) -> None:
    """Go on with a run that has ended; usually to the epochs that it was meant to have."""
    more = st.number_input(
        "More epochs",
        1,
        10_000,
        max(now.epochs - now.epochs_done, 0) or 8,
        key=f"train_more_{run.path.name}_{now.epochs_done}",
        width=150,
        label_visibility="collapsed",
    )
    word = "epoch" if more == 1 else "epochs"
    if st.button(
        f"Continue with {more} more {word}",
        icon=":material/resume:",
        key="train_continue",
        disabled=not is_current(run.config),
        help=f"Goes on after {now.kept}."
        + (f" Epoch {now.epochs_done + 1} is the first of them." if now.step else "")
        + (
            " The learning rate, which had fallen, is high again then: the loss may jump at first."
            if run.config.training.schedule == "cosine" and now.epochs_done + more > now.epochs
            else ""
        ),
    ):
        with panels.show_errors():
            cached_runs.jobs().submit(run, epochs=now.epochs_done + int(more))
            st.rerun()

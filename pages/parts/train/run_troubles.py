"""What went wrong with a run, and what to do about it."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.config import Config, is_current
from cellcutter_core.jobs.queue import is_left_behind
from cellcutter_core.runs.store import Progress, Run
from pages.shared import panels
from pages.shared.caching import cached_runs
from pages.shared.run_words import end_of_log


def troubles(run: Run, now: Progress) -> None:
    """Show whether a run has collapsed, failed or never started; nothing if all is well."""
    if now.collapsed:
        advice = what_to_try(run.config)
        st.warning(
            "**This run has collapsed:** all its cells are empty, and more epochs will not bring "
            "them back, because an empty cell costs nothing. Use *Duplicate with changes* and try "
            "one of these.\n" + "\n".join(f"- {one}" for one in [*advice, "another seed"]),
            icon=":material/error:",
        )
    if now.status in ("failed", "crashed"):
        again = f"resumes it after {now.kept}" if now.epochs_done or now.step else "starts it again"
        # A run of an earlier version cannot be continued; `version_note` says so.
        advice = f" *Continue* {again}." if is_current(run.config) else ""
        st.error(
            f"**This run {now.status}:** {now.message}.{advice}",
            icon=":material/error:",
        )
        end_of_log(run)
    if now.status == "queued" and not run.is_read_only and is_left_behind(run):
        st.warning("The app was closed before this run started.", icon=":material/update:")
        if st.button("Put it into the queue again", key="train_again"):
            with panels.show_errors():
                cached_runs.jobs().submit(run)
                st.rerun()


def what_to_try(config: Config) -> list[str]:
    """List what keeps a network from collapsing and was not used in this run."""
    training, taught = config.training, config.network.start == "simulated"
    tried = {
        "the start *Taught on simulated cells*": taught,
        "group normalisation (Network)": config.network.normalisation == "group",
        "a warm-up of 32 steps (Training)": taught or training.warm_up > 0,
        "a third of the learning rate (Training)": training.learning_rate
        <= (2e-4 if taught else 1e-3),
        "a clip norm of 1 (Training)": training.clip_norm is not None,
        "a nucleus weight of 1 (Training)": training.nucleus_weight > 0,
        "β nearer to 0, such as −10 (Training)": training.beta > -20,
    }
    return [advice for advice, done in tried.items() if not done]

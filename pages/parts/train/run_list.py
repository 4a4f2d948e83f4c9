"""The list of all runs: open a run, delete one, bring one back."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.runs import names
from cellcutter_core.runs.deleted import (
    KEPT_DAYS,
    delete_run,
    deleted_runs,
    remove_run,
    restore_run,
)
from cellcutter_core.runs.folder import RunSummary, list_runs
from cellcutter_core.runs.names import run_name
from pages.shared import panels, state
from pages.shared.run_words import format_duration

# Session-state key: id of the run that was deleted last, so that one click brings it back.
LAST_DELETED = "train_last_deleted"


def all_runs(open_id: str | None) -> None:
    """Show a table of all runs, and buttons for the chosen one, initially the open run."""
    runs, n_damaged = list_runs()
    deleted = deleted_runs()
    if not runs and not deleted:
        return
    st.subheader("All runs", anchor=False)
    if runs:
        table(runs, open_id)
        _open_or_delete(runs, open_id)
    if n_damaged:
        st.caption(f"Run folders that cannot be read: {n_damaged}.")
    _say_deleted(deleted)
    if deleted:
        _bring_back(deleted)


def _open_or_delete(runs: list[RunSummary], open_id: str | None) -> None:
    titles = {run.id: run_name(run) for run in runs}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Run",
            list(titles),
            index=list(titles).index(open_id) if open_id in titles else 0,
            format_func=lambda name: titles[name] + (" (open)" if name == open_id else ""),
            # With another open run the key is new, so the list starts at that run.
            key=f"train_run_{open_id}",
        )
        if st.button(
            "Open", icon=":material/folder_open:", disabled=chosen == open_id, key="train_open"
        ):
            with panels.show_errors():
                state.look_back(chosen)
                panels.go("train")
        if st.button(
            "Delete the open run" if chosen == open_id else "Delete this run",
            icon=":material/delete:",
            key="train_delete",
            help="Deletes the run with its network and all its epochs. It can be brought back for "
            f"{KEPT_DAYS} days.",
        ):
            with panels.show_errors():
                delete_run(chosen)
                st.session_state[LAST_DELETED] = chosen
                if chosen == open_id:
                    state.close_run()
                st.rerun()


def _say_deleted(deleted: list[RunSummary]) -> None:
    """Show the run that was just deleted, with a button that undoes it."""
    last = next((one for one in deleted if one.id == st.session_state.get(LAST_DELETED)), None)
    if last is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Deleted: {run_name(last)}", width="content")
        if st.button("Undo", icon=":material/undo:", key="train_undelete"):
            _restore(last.id)


def _bring_back(deleted: list[RunSummary]) -> None:
    n = len(deleted)
    with st.expander(
        f"{n} deleted {'run' if n == 1 else 'runs'}, kept for {KEPT_DAYS} days",
        icon=":material/restore_from_trash:",
    ):
        titles = {run.id: run_name(run) for run in deleted}
        chosen = st.selectbox(
            "Deleted run", list(titles), format_func=titles.get, key="train_deleted_run"
        )
        with st.container(horizontal=True):
            if st.button("Bring back", icon=":material/restore:", key="train_restore"):
                _restore(chosen)
            if st.button("Remove for good", icon=":material/delete_forever:", key="train_remove"):
                with panels.show_errors():
                    remove_run(chosen)
                    st.rerun()


def _restore(run_id: str) -> None:
    with panels.show_errors():
        restore_run(run_id)
        st.session_state.pop(LAST_DELETED, None)
        if state.run() is None:
            state.open_run(run_id)
        panels.go("train")


def _status(run: RunSummary) -> str:
    return "collapsed" if run.collapsed else "waiting" if run.status == "queued" else run.status


def table(runs: list[RunSummary], open_id: str | None) -> None:
    """Show each run with status, epochs, time and score."""
    st.dataframe(
        [
            {
                "run": f"{run.id[-5:]} · {names.when(run.description)}"
                + (" (open)" if run.id == open_id else ""),
                "image": names.image_of(run.description),
                "settings": names.how(run.description),
                "status": _status(run),
                "epochs": f"{run.epochs_done} of {run.epochs}",
                "time": format_duration(run.seconds) if run.epochs_done else "",
                "ap50": (run.scores or {}).get("ap50"),
            }
            for run in runs
        ],
        height=min(38 + 35 * len(runs), 250),
        column_config={
            "run": st.column_config.TextColumn("Run", width="medium"),
            "image": st.column_config.TextColumn("Image", width="medium"),
            "settings": st.column_config.TextColumn("Settings", width="medium"),
            "status": "Status",
            "epochs": "Epochs",
            "time": "Training time",
            "ap50": st.column_config.NumberColumn(
                "AP at IoU 0.5", format="%.3f", help="Against the truth, if it is known."
            ),
        },
        hide_index=True,
        placeholder="",
        key="train_runs",
        alt="All runs with their status, epochs, time and score",
    )

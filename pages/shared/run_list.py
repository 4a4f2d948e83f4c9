"""All runs: open another one, or delete one."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.runs.folder import RunSummary, delete_run, list_runs
from pages.shared import panels, state
from pages.shared.run_words import in_words, run_name


def all_runs(open_id: str | None) -> None:
    """A table of all runs, and what can be done with one of them."""
    runs, n_damaged = list_runs()
    if not runs:
        return
    st.subheader("All runs", anchor=False)
    table(runs, open_id)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = {run.id: run_name(run) for run in runs}
        chosen = st.selectbox("Run", list(names), format_func=names.get, key="train_run")
        if st.button(
            "Open", icon=":material/folder_open:", disabled=chosen == open_id, key="train_open"
        ):
            with panels.told():
                state.open_run(chosen)
                panels.go("train")
        with st.popover("Delete", icon=":material/delete:"):
            st.write(f"Delete **{names[chosen]}** for good, with its network and all its epochs?")
            if st.button("Delete for good", type="primary", key="train_delete"):
                with panels.told():
                    delete_run(chosen)
                    if chosen == open_id:
                        st.session_state[state.RUN] = None
                        st.query_params.pop("run", None)
                    st.rerun()
    if n_damaged:
        st.caption(f"{n_damaged} folders beside these cannot be read.")


def table(runs: list[RunSummary], open_id: str | None) -> None:
    """Each run with status, epochs, time and score."""
    st.dataframe(
        [
            {
                "run": run_name(run) + (" (open)" if run.id == open_id else ""),
                "status": "collapsed" if run.collapsed else run.status,
                "epochs": f"{run.epochs_done} of {run.epochs}",
                "time": in_words(run.seconds) if run.epochs_done else "",
                "ap50": (run.scores or {}).get("ap50"),
            }
            for run in runs
        ],
        height=min(38 + 35 * len(runs), 250),
        column_config={
            "run": st.column_config.TextColumn("Run", width="large"),
            "status": "Status",
            "epochs": "Epochs",
            "time": "Training time",
            "ap50": st.column_config.NumberColumn(
                "AP at IoU 0.5", format="%.3f", help="Against the truth, where it is known."
            ),
        },
        hide_index=True,
        placeholder="",
        key="train_runs",
        alt="All runs with status, epochs, time and score",
    )

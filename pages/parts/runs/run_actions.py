"""What can be done with chosen runs: open, name, compare, duplicate, delete, bring back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import streamlit as st

from cellcutter_core.apply.application_folder import applications
from cellcutter_core.people.access import forget_opened, is_own
from cellcutter_core.people.allowance import remove_for_good
from cellcutter_core.runs.deleted import (
    KEPT_DAYS,
    check_deletable,
    delete_run,
    deleted_runs,
    restore_run,
)
from cellcutter_core.runs.folder import RunSummary, find_run
from cellcutter_core.runs.names import run_name
from pages.shared import panels, state
from pages.shared.caching import cached_runs
from pages.shared.person import person

# Session-state key: ids of the runs that were deleted last, so that one click brings them back.
LAST_DELETED = "runs_last_deleted"


def actions(chosen: list[RunSummary]) -> None:
    """Show what can be done with these runs."""
    if len(chosen) == 1 and is_own(chosen[0].owner, person()):
        _words_of(chosen[0])
    open_id = st.session_state.get(state.RUN)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(chosen) == 1:
            _open(chosen[0].id)
        elif len(chosen) == 2:
            _compare(*chosen)
        others = [run.id for run in chosen if not is_own(run.owner, person())]
        if others:
            _take_off(others)
        else:
            _delete([run.id for run in chosen], open_id)


def _words_of(run: RunSummary) -> None:
    """Let the visitor name the run, write a note and give it a star."""

    def widget(name: str, key: str) -> dict[str, Any]:
        # It shows what the run says now, which may have been changed in another tab.
        now = getattr(run.description, name)
        if st.session_state.get(key) != now:
            st.session_state[key] = now
        return {"key": key, "on_change": _describe, "args": (run.id, name, key)}

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Name", max_chars=80, **widget("name", f"runs_name_{run.id}"))
        st.text_input("Note", max_chars=2000, **widget("note", f"runs_note_{run.id}"))
        st.toggle("Star", **widget("starred", f"runs_star_{run.id}"))


def _describe(run_id: str, name: str, key: str) -> None:
    """In a callback: write one attribute of a run's description."""
    with panels.complaints():
        find_run(run_id).describe(**{name: st.session_state[key]})


def _open(run_id: str) -> None:
    if st.button("Open", icon=":material/folder_open:", type="primary", key="runs_open"):
        with panels.show_errors():
            state.look_back(run_id)
            panels.go("train")
    if st.button(
        "Duplicate with changes",
        icon=":material/content_copy:",
        key="runs_duplicate",
        help="Takes image, markers and settings of this run, so that you can change some and "
        "start another.",
    ):
        with panels.show_errors():
            state.open_run(run_id, with_choices=True)
            panels.go("train")


def _compare(one: RunSummary, other: RunSummary) -> None:
    trained = one.epochs_done and other.epochs_done
    if st.button(
        "Compare these two",
        icon=":material/compare:",
        type="primary",
        disabled=not trained,
        key="runs_compare",
        help=None if trained else "Both need an epoch.",
    ):
        with panels.show_errors():
            state.look_back(one.id)
            st.session_state["compare_mode"] = "runs"
            st.session_state["compare_other"] = other.id
            panels.go("compare")


def _take_off(ids: list[str]) -> None:
    st.button(
        "Take off my list",
        icon=":material/playlist_remove:",
        key="runs_take_off",
        help="These runs belong to other people, and stay theirs. Their links bring them back.",
        on_click=_take_off_now,
        args=(ids,),
    )


# What a click changes is done in callbacks: they get the runs that were shown with the button. The
# list may be another one by the time of the click.


def _take_off_now(ids: list[str]) -> None:
    with panels.complaints():
        for run_id in ids:
            forget_opened(run_id, person())
            if run_id == st.session_state.get(state.RUN):
                state.close_run()


def _delete(ids: list[str], open_id: str | None) -> None:
    if len(ids) > 1:
        label = f"Delete these {len(ids)} runs"
    else:
        label = "Delete the open run" if ids == [open_id] else "Delete this run"
    st.button(
        label,
        icon=":material/delete:",
        key="runs_delete",
        help="Deletes the run with its network and all its epochs. It can be brought back for "
        f"{KEPT_DAYS} days.",
        on_click=_delete_now,
        args=(ids,),
    )


def _delete_now(ids: list[str]) -> None:
    gone = st.session_state[LAST_DELETED] = []
    with panels.complaints():
        for run_id in ids:
            check_deletable(run_id)
            with suppress(ValueError):  # A damaged run has none.
                for application in applications(find_run(run_id)):
                    if application.progress.status == "queued":
                        cached_runs.jobs(application).cancel(application)
            delete_run(run_id)
            gone.append(run_id)
            if run_id == st.session_state.get(state.RUN):
                state.close_run()


def bring_back() -> None:
    """Offer to undo the last deletion, and list all runs that can be brought back."""
    deleted = [one for one in deleted_runs() if is_own(one.owner, person())]
    last = [one for one in deleted if one.id in st.session_state.get(LAST_DELETED, ())]
    if last:
        with st.container(horizontal=True, vertical_alignment="center"):
            what = run_name(last[0]) if len(last) == 1 else f"{len(last)} runs"
            st.markdown(f"Deleted: {what}", width="content")
            ids = [one.id for one in last]
            st.button(
                "Undo", icon=":material/undo:", key="runs_undelete", on_click=_restore, args=(ids,)
            )
    if not deleted:
        return
    n = len(deleted)
    with st.expander(
        f"{n} deleted {'run' if n == 1 else 'runs'}, kept for {KEPT_DAYS} days",
        icon=":material/restore_from_trash:",
    ):
        titles = {run.id: run_name(run) for run in deleted}
        chosen = st.selectbox(
            "Deleted run", list(titles), format_func=titles.get, key="runs_deleted_run"
        )
        with st.container(horizontal=True):
            st.button(
                "Bring back",
                icon=":material/restore:",
                key="runs_restore",
                on_click=_restore,
                args=([chosen],),
            )
            st.button(
                "Remove for good",
                icon=":material/delete_forever:",
                key="runs_remove",
                on_click=_remove,
                args=(chosen,),
            )


def _remove(run_id: str) -> None:
    with panels.complaints():
        remove_for_good(run_id)


def _restore(ids: list[str]) -> None:
    with panels.complaints():
        for run_id in ids:
            restore_run(run_id)
        st.session_state.pop(LAST_DELETED, None)
        if state.run() is None:
            state.open_run(ids[0])

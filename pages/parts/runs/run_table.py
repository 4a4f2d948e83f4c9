"""The table of all runs, with search, filter, order and pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from cellcutter_core.runs import names
from cellcutter_core.runs.folder import RunSummary
from pages.shared.caching import cached_runs
from pages.shared.run_words import format_duration, status_word

PER_PAGE = 50
"""Runs on one page of the table: so many small pictures are drawn at once."""

_NONE = -1.0


def _score(run: RunSummary, name: str) -> float:
    found = (run.scores or {}).get(name)
    return _NONE if found is None else float(found)


# Order → key by which runs are sorted, and whether the largest comes first.
ORDERS: dict[str, tuple[Callable[[RunSummary], Any], bool]] = {
    "newest first": (lambda run: (run.description.created, run.id), True),
    "oldest first": (lambda run: (run.description.created, run.id), False),
    "highest AP75 first": (lambda run: (_score(run, "ap75"), _score(run, "ap50")), True),
    "highest AP50 first": (lambda run: (_score(run, "ap50"), _score(run, "ap75")), True),
    "longest first": (lambda run: run.seconds, True),
    "by image": (lambda run: names.image_of(run.description), False),
    "by settings": (lambda run: names.how(run.description), False),
}


def matching(runs: list[RunSummary], *, text: str, status: str, starred: bool) -> list[RunSummary]:
    """Return the runs with a status and with every word of a text in what is said of them.

    Parameters
    ----------
    runs : list of RunSummary
    text : str
        Words; upper case does not count.
    status : str
        As from `status_word`; "any" for all.
    starred : bool
        Whether only runs with a star count.
    """
    words = text.lower().split()
    found = []
    for run in runs:
        about = run.description
        said = " ".join((names.run_name(run), about.note, run.id)).lower()
        if (
            (status == "any" or status_word(run) == status)
            and (about.starred or not starred)
            and all(word in said for word in words)
        ):
            found.append(run)
    return found


def run_table(runs: list[RunSummary], open_id: str | None) -> list[RunSummary]:
    """Show the runs; return the chosen ones, or else the open or first one."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search",
            key="runs_search",
            persist_state="session",
            placeholder="image, setting, name, note",
        )
        present = sorted({status_word(run) for run in runs})
        status = st.selectbox(
            "Status", ["any", *present], key="runs_status", persist_state="session"
        )
        order = st.selectbox("Order", list(ORDERS), key="runs_order", persist_state="session")
        starred = st.toggle("Only with a star", key="runs_starred", persist_state="session")
    key, largest_first = ORDERS[order]
    found = matching(runs, text=text, status=status, starred=starred)
    found.sort(key=key, reverse=largest_first)
    if not found:
        st.info("No run matches. Change the search.", icon=":material/search_off:")
        return []
    n_pages = -(-len(found) // PER_PAGE)
    page = 1
    if n_pages > 1:
        page = st.pagination(n_pages, key=f"runs_page_{n_pages}")
        st.caption(f"{len(found)} runs")
    shown = found[(page - 1) * PER_PAGE : page * PER_PAGE]
    pictures = cached_runs.thumbnails(shown)
    rows = _show(shown, pictures, open_id)
    if rows:
        return [shown[row] for row in rows if row < len(shown)]
    return [run for run in shown if run.id == open_id] or shown[:1]


def _show(
    shown: list[RunSummary], pictures: Mapping[str, str | None], open_id: str | None
) -> list[int]:
    """Show a page of runs as a table; return the rows that are selected."""
    event = st.dataframe(
        [
            {
                "picture": pictures.get(run.id),
                "starred": "★" if run.description.starred else "",
                "run": f"{run.id[-5:]} · {names.when(run.description)}"
                + (" (open)" if run.id == open_id else ""),
                "name": run.description.name,
                "image": names.image_of(run.description),
                "settings": names.how(run.description),
                "status": status_word(run),
                "epochs": f"{run.epochs_done} of {run.epochs}",
                "time": format_duration(run.seconds) if run.epochs_done else "",
                "ap50": (run.scores or {}).get("ap50"),
                "ap75": (run.scores or {}).get("ap75"),
                "note": run.description.note,
            }
            for run in shown
        ],
        row_height=64,
        height=min(38 + 64 * len(shown), 680),
        column_config={
            "picture": st.column_config.ImageColumn("Cells", width="small"),
            "starred": st.column_config.TextColumn("★", width="small"),
            "run": st.column_config.TextColumn("Run", width="medium"),
            "name": st.column_config.TextColumn("Name", width="small"),
            "image": st.column_config.TextColumn("Image", width="medium"),
            "settings": st.column_config.TextColumn("Settings", width="medium"),
            "status": "Status",
            "epochs": "Epochs",
            "time": "Training time",
            "ap50": st.column_config.NumberColumn(
                "AP50", format="%.3f", help="AP at IoU 0.5 against the truth, if it is known."
            ),
            "ap75": st.column_config.NumberColumn(
                "AP75", format="%.3f", help="AP at IoU 0.75 against the truth, if it is known."
            ),
            "note": st.column_config.TextColumn("Note", width="medium"),
        },
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        # Another list begins without a selection.
        key=f"runs_table_{hash(tuple(run.id for run in shown))}",
        alt="Runs with picture, settings, status, epochs, time and scores",
    )
    return list(event.selection.rows)

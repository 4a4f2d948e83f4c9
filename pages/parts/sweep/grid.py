"""The runs of a sweep as a grid of pictures, a plot and a table."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.jobs.queue import is_left_behind
from cellcutter_core.runs.names import value_in_words
from cellcutter_core.runs.store import Run
from cellcutter_core.sweeps.sweep import Row, Sweep
from cellcutter_core.sweeps.variations import Value
from cellcutter_core.view.sweep_plot import sweep_scores
from pages.parts.sweep.planning import write_missing
from pages.shared import panels, state
from pages.shared.caching import cached_runs
from pages.shared.run_words import format_duration

# A wider grid would have pictures too small to see; the table shows all.
MOST_COLUMNS = 8
SCORES = {"ap75": "AP at IoU 0.75", "ap50": "AP at IoU 0.5"}


def shown(sweep: Sweep, n_ended: int) -> None:
    """Show how far a sweep is, and its pictures; it is called again while it runs.

    When another run has ended since the page was shown, the whole page is shown again.
    """
    rows = sweep.rows()
    if sum(not row.is_under_way for row in rows) != n_ended:
        st.rerun()
    n_done = sum(row.is_done for row in rows)
    going = any(row.is_under_way for row in rows)
    took = [row.seconds for row in rows if row.is_done]
    line = f"{n_done} of {len(rows)} runs finished"
    if going and took:
        left = sum(row.is_under_way for row in rows) * sum(took) / len(took)
        line += f", about {format_duration(left / cached_runs.jobs().n_workers)} of training left"
    st.progress(n_done / len(rows), line)
    _grid(sweep, rows)
    for row in rows:
        if row.has_failed:
            st.warning(f"{sweep.name_of(row.values)}: {row.message}", icon=":material/warning:")


def _grid(sweep: Sweep, rows: list[Row]) -> None:
    *before, last = sweep.variations
    if len(last.values) > MOST_COLUMNS:
        st.caption("The table below has all runs; the grid shows the first values.")
    columns = last.values[:MOST_COLUMNS]
    if len(sweep.variations) == 3:
        first = before.pop(0)
        value = st.segmented_control(
            first.title,
            list(first.values),
            default=first.values[0],
            required=True,
            format_func=value_in_words,
            key=f"sweep_slice_{sweep.id}",
        )
        rows = [row for row in rows if row.values[0] == value]
    found = {row.values[-2:] if before else row.values[-1:]: row for row in rows}
    in_grid = [row.summary for row in rows if row.values[-1] in columns]
    pictures = cached_runs.thumbnails([summary for summary in in_grid if summary])
    for upper in before[0].values if before else (None,):
        if before:
            st.markdown(f"**{before[0].title} {value_in_words(upper)}**")
        for place, value in zip(st.columns(len(columns)), columns, strict=True):
            row = found[(upper, value) if before else (value,)]
            with place:
                _cell(row, f"{last.title} {value_in_words(value)}", pictures.get(row.run_id))


def _cell(row: Row, title: str, picture: str | None) -> None:
    if picture:
        st.image(picture, width="stretch")
    score = "" if row.ap75 is None else f"AP75 {row.ap75:.3f}"
    word = {"queued": "waiting", "running": f"epoch {row.epochs_done} of {row.epochs}"}
    said = score if row.is_done and score else word.get(row.status, row.status)
    if row.summary is None:
        st.caption(f"{title}: {said}")
    else:
        link = {"run": row.run_id}
        st.page_link("pages/train.py", label=f"{title}: {said}", query_params=link)


def plot(sweep: Sweep, rows: list[Row]) -> None:
    """Plot scores against a varied setting, if there are scores."""
    scored = [row for row in rows if row.ap75 is not None and row.ap50 is not None]
    if not scored:
        return
    names = [one.setting for one in sweep.variations]
    usual = next((i for i, name in enumerate(names) if name != "training.seed"), 0)
    with st.container(horizontal=True):
        setting = st.selectbox("Against", names, index=usual, key=f"sweep_against_{sweep.id}")
        score = st.selectbox("Score", list(SCORES), format_func=SCORES.get, key="sweep_score")
    axis = names.index(setting)
    others = [i for i in range(len(names)) if i != axis and names[i] != "training.seed"]
    series: dict[str, list[tuple[str, float]]] = {}
    for row in scored:
        name = ", ".join(
            f"{sweep.variations[i].title} {value_in_words(row.values[i])}" for i in others
        )
        point = (value_in_words(row.values[axis]), float(getattr(row, score)))
        series.setdefault(name or "mean", []).append(point)
    panels.chart(
        sweep_scores(series, setting=setting, score=SCORES[score]),
        key="sweep_scores",
        alt=f"{SCORES[score]} against {setting}",
    )


def table(sweep: Sweep, rows: list[Row]) -> None:
    """Show a line for each run, and offer the table as a file."""
    names = [one.setting for one in sweep.variations]
    st.dataframe(
        [
            {
                **dict(zip(names, map(_plain, row.values), strict=True)),
                "status": row.status,
                "AP50": row.ap50,
                "AP75": row.ap75,
                "seconds": row.seconds,
                "run": row.run_id,
            }
            for row in rows
        ],
        hide_index=True,
        key="sweep_table",
        alt="The runs of the sweep with their values and scores",
    )
    st.download_button(
        "Table as CSV",
        sweep.as_csv(rows),
        f"sweep-{sweep.id}.csv",
        "text/csv",
        icon=":material/download:",
        key="sweep_download",
        on_click="ignore",
    )


def _plain(value: Value) -> Value:
    """A column of a table holds values of one kind only."""
    return value_in_words(value) if isinstance(value, bool) or value is None else value


def controls(sweep: Sweep, rows: list[Row]) -> None:
    """Stop or continue a sweep, or take the settings of its best run."""
    going = [row for row in rows if row.is_under_way]
    # With those that were written but never queued, or queued by a server that has ended.
    ended = [
        row
        for row in rows
        if row.status in ("stopped", "failed", "crashed")
        or (row.status == "queued" and is_left_behind(Run(sweep.runs / row.run_id)))
    ]
    n_missing = sum(row.status == "missing" for row in rows)
    best = sweep.best(rows)
    with st.container(horizontal=True):
        if st.button("Stop", icon=":material/stop:", disabled=not going, key="sweep_stop"):
            with panels.show_errors():
                for row in going:
                    cached_runs.jobs().cancel(Run(sweep.runs / row.run_id))
                st.rerun()
        if st.button(
            "Continue", icon=":material/play_arrow:", disabled=not ended, key="sweep_continue"
        ):
            with panels.show_errors():
                for row in ended:
                    jobs = cached_runs.jobs()
                    jobs.submit(Run(sweep.runs / row.run_id), line=sweep.id)
                st.rerun()
        if n_missing and st.button(
            f"Write the missing {_n_runs(n_missing)}",
            icon=":material/playlist_add:",
            key="sweep_write",
        ):
            with panels.show_errors():
                write_missing(sweep)
                st.rerun()
        if st.button(
            "Take the best",
            icon=":material/star:",
            type="primary",
            disabled=best is None,
            key="sweep_best",
            help="Opens the run with the highest AP75, and takes its settings for the next runs.",
        ):
            assert best is not None
            with panels.show_errors():
                state.open_run(best.run_id, with_choices=True)
                panels.go("results")
    if n_missing:
        st.caption(
            f"{_n_runs(n_missing)} of this sweep {'is' if n_missing == 1 else 'are'} missing: "
            "deleted, or not written because the page was left meanwhile."
        )
    if best is not None:
        st.caption(f"Best by AP75: {sweep.line_of(best)}")


def _n_runs(n: int) -> str:
    return f"{n} {'run' if n == 1 else 'runs'}"

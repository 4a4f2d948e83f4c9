"""Scores of epochs and baselines: a table, and AP over the IoU threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import streamlit as st

from cellcutter_core.runs.store import Run
from cellcutter_core.view.curves import ap_over_iou, compared
from pages.shared import panels

# In the order of the table: key in the record, title, meaning.
SCORES = {
    "ap50": ("AP at IoU 0.5", "Matched cells, as a share of matched, false and missed ones."),
    "ap75": ("AP at IoU 0.75", "The same with a higher threshold: outlines must fit closely."),
    "mean_ap": ("Mean AP", "Average over IoU 0.50, 0.55 … 0.95."),
    "precision": ("Precision", "Share of the found cells that match a true cell, at IoU 0.5."),
    "recall": ("Recall", "Share of the true cells that were found, at IoU 0.5."),
    "f1": ("F1", "Harmonic mean of precision and recall, at IoU 0.5."),
    "mean_iou": ("Mean matched IoU", "How well the outlines of matched cells fit."),
    "panoptic_quality": ("Panoptic quality", "F1 × mean matched IoU: detection and outlines."),
    "mean_best_iou": ("Mean best IoU", "Best overlap with each true cell, missed ones included."),
    "foreground_iou": ("Foreground IoU", "All found cells together against all true cells."),
    "miou": ("mIOU of crops", "The paper's score: cell and background in validation crops."),
}


class Shown(NamedTuple):
    """What the page shows, for the table of scores.

    Attributes
    ----------
    epochs : list of int
        The epochs of the open run that are shown.
    others : mapping of str to mapping
        Title and scores of everything else that is shown.
    """

    epochs: list[int]
    others: Mapping[str, Mapping[str, Any]] = {}


def scores(run: Run, shown: Shown) -> None:
    """Show the scores of the pictures above; nothing if no shown epoch was scored."""
    now = run.progress
    found = {event["epoch"]: event for event in now.epoch_events if event.get("scores")}
    wanted = [number for number in shown.epochs if number in found]
    if not wanted:
        return
    st.subheader("Scores", anchor=False)
    cells = found[wanted[-1]]["scores"]
    columns = {
        **compared(now.epoch_events, wanted, run.baseline_scores),
        **shown.others,
    }
    table(
        columns,
        SCORES,
        first="score",
        key="compare_scores",
        alt="Scores against the truth, from 0 to 1, higher is better",
        format="%.3f",
    )
    st.caption(
        f"Epoch {wanted[-1]}: {cells['n_cells']} found cells, {cells['n_true']} true cells. "
        "Higher is better."
    )
    panels.chart(
        ap_over_iou({name: one["average_precision"] for name, one in columns.items()}),
        key="compare_ap",
        alt="AP over the IoU threshold for " + ", ".join(columns),
    )


def table(
    columns: Mapping[str, Mapping[str, Any]],
    rows: Mapping[str, tuple[str, str]],
    *,
    first: str,
    key: str,
    alt: str,
    format: str | None = None,
) -> None:
    """Show a row for each number that at least one of the columns has.

    Parameters
    ----------
    columns : mapping of str to mapping
        Title of each column, and its numbers by their keys.
    rows : mapping of str to (str, str)
        For each key its title and meaning.
    first : str
        What the titles of the rows are, in a word.
    key, alt : str
        Key and description of the table.
    format : str, optional
        Of the numbers.
    """
    st.dataframe(
        [
            {first: title, "what": what}
            | {name: values.get(one) for name, values in columns.items()}
            for one, (title, what) in rows.items()
            if any(values.get(one) is not None for values in columns.values())
        ],
        column_order=[first, *columns, "what"],
        column_config={
            first: st.column_config.TextColumn(first.capitalize(), width=150),
            "what": st.column_config.TextColumn("Meaning", width="large"),
            **{
                name: st.column_config.NumberColumn(
                    format=format, width=115 if len(name) < 16 else 145
                )
                for name in columns
            },
        },
        hide_index=True,
        key=key,
        alt=alt,
    )

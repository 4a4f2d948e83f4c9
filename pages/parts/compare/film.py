"""The film of a run: all pictures of one epoch, and a slider over the epochs."""

from __future__ import annotations

from functools import partial

import streamlit as st

from cellcutter_core.runs.store import Run
from cellcutter_core.shortest_paths.watershed import BASELINES
from cellcutter_core.view.render import borders_picture, probability_colors
from pages.parts.compare.panes import difference, labels_of, show, since
from pages.parts.compare.scores import Shown
from pages.shared import panels
from pages.shared.caching import cached_runs
from pages.shared.open_run import choose_epoch

# In the order of reading. Six fill two rows; without a truth, a baseline takes its place.
PANES = ("Image", "Cells", "Borders", "Probability", "Difference", "Truth", *BASELINES.values())
THE_ONE_BEFORE = "the epoch before"


def film(run: Run, epochs: list[int]) -> Shown:
    """Show the wanted pictures of an epoch."""
    left, right = st.columns([3, 2])
    with left:
        number = choose_epoch("Epoch", run, epochs, key="compare_film", follow=True)
    with right:
        other = st.selectbox(
            "Difference to",
            [THE_ONE_BEFORE, *epochs],
            key=f"compare_to_{run.path.name}",
            format_func=lambda one: one if isinstance(one, str) else f"epoch {one}",
        )
    if other == THE_ONE_BEFORE:
        other = max((one for one in epochs if one < number), default=number)
    wanted = choose_pictures(run)
    if not wanted:
        st.info("Choose at least one picture.", icon=":material/info:")
        return Shown([number])
    with panels.show_errors():
        drawing, run_id = cached_runs.epoch_of(run, number), run.path.name
        made = {
            "Image": ("Image", lambda: cached_runs.run_picture(run_id)),
            "Cells": (f"Cells, epoch {number}", lambda: cached_runs.run_cells(run, number)),
            "Borders": ("Borders", lambda: borders_picture(drawing.borders)),
            "Probability": ("Probability", lambda: probability_colors(drawing.probability)),
            "Difference": (
                f"Difference to epoch {other}",
                lambda: difference(run, labels_of(run, other), drawing.labels),
            ),
            "Truth": ("True cells", lambda: cached_runs.run_truth(run_id)),
        } | {
            title: (title, partial(cached_runs.run_cells, run, name))
            for name, title in BASELINES.items()
        }
        show(
            run,
            {made[name][0]: made[name][1]() for name in wanted},
            n_columns=3 if len(wanted) > 4 else 2 if len(wanted) == 4 else len(wanted),
            legend=since(f"epoch {other}") if "Difference" in wanted else {},
        )
    return Shown([number])


def choose_pictures(run: Run) -> list[str]:
    """Return the names of the wanted pictures, in the order of reading."""
    has_truth = cached_runs.true_labels(run.path.name) is not None
    baselines = cached_runs.run_baselines(run.path.name)
    lacking = {title for name, title in BASELINES.items() if name not in baselines}
    lacking |= set() if has_truth else {"Truth"}
    there = [name for name in PANES if name not in lacking]
    wanted = st.pills(
        "Pictures",
        there,
        selection_mode="multi",
        default=there[:6],
        key=f"compare_wanted_{has_truth}_{len(baselines)}",
        persist_state="session",
    )
    return [name for name in PANES if name in wanted]

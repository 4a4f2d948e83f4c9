"""Compare the cells of epochs and baselines with the true cells."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.runs.store import Run
from cellcutter_core.shortest_paths.watershed import BASELINES
from cellcutter_core.view.truth import TRUTH_COLORS, truth_picture
from pages.parts.compare.panes import show
from pages.parts.compare.scores import Shown, table
from pages.shared import panels
from pages.shared.caching import cached_runs
from pages.shared.open_run import choose_epoch

# In the order of the table: key in the comparison, title, meaning.
KINDS = {
    "hit": ("Found", "Pairs with IoU of at least 0.5: the true positives."),
    "missed": ("Missed", "True cells that no found cell matches; hatched."),
    "false": ("False", "Found cells that match no true cell."),
    "merged": ("Merged", "Found cells that cover two or more true cells."),
    "split": ("Split", "True cells that contain two or more found cells."),
}


def against_truth(run: Run, epochs: list[int]) -> Shown:
    """Show found, missed, false, merged and split cells in colours, and count each kind."""
    if cached_runs.true_labels(run.path.name) is None:
        st.info(
            "The true cells of this image are not known, so there is nothing to compare with. The "
            "built-in sample has true cells. Your own image has them if, before you start a run, "
            "you upload a label image with it or an npz file that holds both.",
            icon=":material/info:",
        )
        panels.link("data")
        return Shown([epochs[-1]])
    number = choose_epoch("Epoch", run, epochs, key="compare_truth", follow=True)
    with panels.show_errors():
        image = cached_runs.run_picture(run.path.name)
        first = {0, number} if 0 in epochs else {number}
        wanted = {f"Epoch {one}": one for one in sorted(first)}
        wanted |= {BASELINES[name]: name for name in cached_runs.run_baselines(run.path.name)}
        compared = {title: cached_runs.against_truth(run, one) for title, one in wanted.items()}
        show(
            run,
            {name: truth_picture(image, one) for name, one in compared.items()},
            n_columns=2,
            legend={KINDS[kind][0]: color for kind, color in TRUTH_COLORS.items()},
        )
        table(
            {name: one.counts for name, one in compared.items()},
            KINDS,
            first="cells",
            key="compare_counts",
            alt="Numbers of found, missed, false, merged and split cells",
        )
    return Shown([number])

"""Which cells are right: those of epochs and of the baselines, each against the true cells."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from cellcutter_core.paths.watershed import BASELINES
from cellcutter_core.runs.store import Run
from cellcutter_core.view.truth import TRUTH_COLORS, Compared, truth_picture
from pages.parts.compare.scores import Shown
from pages.shared import panels
from pages.shared.caching import cached_runs
from pages.shared.epochs import choose_epoch, show

# In the order of the table: name in the comparison, what it is called, what it says.
KINDS = {
    "hit": ("Found", "Pairs with IoU of at least 0.5: the true positives."),
    "missed": ("Missed", "True cells that no cell here matches; hatched."),
    "false": ("False", "Cells here that match no true cell."),
    "merged": ("Merged", "Cells here that cover two true cells or more."),
    "split": ("Split", "True cells in which two cells here lie or more."),
}


def against_truth(run: Run, epochs: list[int]) -> Shown:
    """Found, missed, false, merged and split cells in colours, and how many there are of each."""
    if cached_runs.true_labels(run.path.name) is None:
        st.info(
            "The true cells of this image are not known, so nothing can be said of right and "
            "wrong. The built-in sample has them, and so may an image of yours: a label image "
            "uploaded with it, or in an npz file beside it, before a run is started.",
            icon=":material/info:",
        )
        panels.link("data")
        return Shown([epochs[-1]])
    number = choose_epoch("Epoch", run, epochs, usual=epochs[-1], key="compare_truth", follow=True)
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
        counts(compared)
    return Shown([number])


def counts(compared: Mapping[str, Compared]) -> None:
    """How many cells there are of each kind."""
    st.dataframe(
        [
            {"kind": title, "what": what}
            | {name: one.counts[kind] for name, one in compared.items()}
            for kind, (title, what) in KINDS.items()
        ],
        column_order=["kind", *compared, "what"],
        column_config={
            "kind": st.column_config.TextColumn("Cells", width="small"),
            "what": st.column_config.TextColumn("What it says", width="large"),
        },
        hide_index=True,
        key="compare_counts",
        alt="How many cells are found, missed, false, merged and split",
    )

"""Epoch against epoch, run against run, against the watershed and against the truth."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cellcutter_core.runs.choices import changed
from cellcutter_core.runs.folder import find_run, list_runs
from cellcutter_core.runs.store import Run
from cellcutter_core.view.figures import ap_over_iou, loss_curves, panes
from cellcutter_core.view.render import borders_picture, probability_colors
from cellcutter_core.view.truth import (
    DIFFERENCE_COLORS,
    TRUTH_COLORS,
    difference_picture,
    truth_picture,
)
from pages.shared import cached, code, panels, state
from pages.shared.linked import linked_panes

MODES = {
    "film": "Epochs",
    "epochs": "Side by side",
    "runs": "Two runs",
    "watershed": "Watershed",
    "truth": "Truth",
}

PANES = ("Image", "Cells", "Borders", "Probability", "Difference", "Truth", "Watershed")

# In the order of the table: name in the record, what it is called, what it says.
SCORES = {
    "ap50": ("AP at IoU 0.5", "Found cells among all found, false and missed ones."),
    "ap75": ("AP at IoU 0.75", "The same, with outlines that have to fit closely."),
    "mean_ap": ("Mean AP", "Average over IoU 0.50, 0.55 … 0.95."),
    "precision": ("Precision", "Share of the cells here that are true cells."),
    "recall": ("Recall", "Share of the true cells that were found."),
    "f1": ("F1", "Balance of precision and recall, at IoU 0.5."),
    "mean_iou": ("Mean matched IoU", "How well the found cells are outlined."),
    "panoptic_quality": ("Panoptic quality", "F1 times mean matched IoU: finding and outlining."),
    "mean_best_iou": ("Mean best IoU", "Best overlap with each true cell, missed ones included."),
    "foreground_iou": ("Foreground IoU", "Cell area against cell area, whichever the cell."),
    "miou": ("mIOU of crops", "The paper's score: cell and background in validation crops."),
}

KINDS = {
    "hit": ("Found", "Pairs with IoU of at least 0.5: the true positives."),
    "missed": ("Missed", "True cells that no cell here matches; hatched."),
    "false": ("False", "Cells here that match no true cell."),
    "merged": ("Merged", "Cells here that cover two true cells or more."),
    "split": ("Split", "True cells in which two cells here lie or more."),
}

state.enter("compare")
panels.head("compare")

opened = state.run()
if opened is None or not opened.epochs:
    st.info(
        "There is nothing to compare yet: no run is open. Start one, or open one from the list of "
        "runs, on the page Train."
        if opened is None
        else "There is nothing to compare yet: the open run has no epoch. Watch it on the page "
        "Train; the first one takes the longest.",
        icon=":material/info:",
    )
    panels.link("train")
    st.stop()

run: Run = opened
run_id = run.path.name
epochs = run.epochs
last = epochs[-1]
now = run.progress
given, truth = panels.needs(lambda: cached.run_inputs(run_id))
has_truth = truth is not None and truth.labels is not None
runs = {summary.id: summary for summary in list_runs()[0] if summary.epochs_done}


# Pictures -----------------------------------------------------------------------------------------


def show(pictures: Mapping[str, Any], *, n_columns: int, legend: Mapping[str, Any]) -> None:
    """Linked panes; the zoom stays while epochs, modes and pictures change."""
    linked_panes(
        pictures,
        n_columns=n_columns,
        key="compare_panes",
        place=run_id,
        alt="Pictures of the same pixels side by side: " + ", ".join(pictures),
        legend=legend,
    )


def difference(before: NDArray[np.int32], after: NDArray[np.int32]) -> Any:
    return difference_picture(before, after, cached.run_picture(run_id))


def labels_of(number: int) -> NDArray[np.int32]:
    return cached.epoch_of(run, number).labels


def choose_epoch(label: str, usual: int, *, key: str) -> int:
    """A slider over the stored epochs; where there is one, that."""
    if len(epochs) == 1:
        st.caption(f"{label}: {epochs[0]}, the only one")
        return epochs[0]
    return st.select_slider(label, epochs, usual, key=f"{key}_{run_id}", persist_state="session")


def film() -> None:
    """An epoch in all its pictures."""
    left, right = st.columns([3, 2])
    with left:
        number = choose_epoch("Epoch", last, key="compare_film")
    with right:
        other = st.selectbox(
            "Difference to",
            ["the epoch before", *epochs],
            key=f"compare_to_{run_id}",
            format_func=lambda one: one if isinstance(one, str) else f"epoch {one}",
        )
    # Six fill two rows; the watershed stands in where the truth is not known.
    there = [name for name in PANES if has_truth or name != "Truth"]
    wanted = st.pills(
        "Pictures",
        there,
        selection_mode="multi",
        default=there[:6],
        key=f"compare_wanted_{has_truth}",
        persist_state="session",
    )
    if other == "the epoch before":
        other = max((one for one in epochs if one < number), default=number)
    with panels.told():
        drawing = cached.epoch_of(run, number)
        made = {
            "Image": ("Image", lambda: cached.run_picture(run_id)),
            "Cells": (f"Cells, epoch {number}", lambda: cached.run_cells(run, number)),
            "Borders": ("Borders", lambda: borders_picture(drawing.borders)),
            "Probability": ("Probability", lambda: probability_colors(drawing.probability)),
            "Difference": (
                f"Difference to epoch {other}",
                lambda: difference(labels_of(other), drawing.labels),
            ),
            "Truth": ("True cells", lambda: cached.run_truth(run_id)),
            "Watershed": ("Watershed, no training", lambda: cached.run_cells(run, None)),
        }
        pictures = {made[name][0]: made[name][1]() for name in PANES if name in wanted}
        if not pictures:
            st.info("Choose at least one picture.", icon=":material/info:")
            return
        show(
            pictures,
            n_columns=3 if len(pictures) > 4 else 2 if len(pictures) == 4 else len(pictures),
            legend=DIFFERENCE_COLORS if "Difference" in wanted else {},
        )


def two_epochs() -> None:
    """Two epochs, and what changed from one to the other."""
    usual = (10, 30) if {10, 30} <= set(epochs) else (epochs[(len(epochs) - 1) // 2], last)
    left, right = st.columns(2)
    with left:
        first = choose_epoch("Left", usual[0], key="compare_left")
    with right:
        second = choose_epoch("Right", usual[1], key="compare_right")
    with panels.told():
        pictures = {f"Epoch {first}": cached.run_cells(run, first)}
        # Titles are names: a second picture of the same epoch would replace the first.
        if second != first:
            pictures[f"Epoch {second}"] = cached.run_cells(run, second)
        pictures["Difference"] = difference(labels_of(first), labels_of(second))
        panels.chart(
            panes(pictures, n_columns=3, legend=DIFFERENCE_COLORS, uirevision=run_id),
            key="compare_side_by_side",
            zoom=True,
            alt="Two epochs side by side: " + ", ".join(pictures),
        )


def two_runs() -> None:
    """The last epochs of this run and of another."""
    others = {name: panels.run_name(runs[name]) for name in runs if name != run_id}
    # Those that can be laid over this one come first.
    region = run.description.get("region")
    others = dict(
        sorted(others.items(), key=lambda one: runs[one[0]].description.get("region") != region)
    )
    if not others:
        st.info(
            "There is no other run with epochs. Start a second one with other settings.",
            icon=":material/info:",
        )
        panels.link("train")
        return
    name = st.selectbox("The other run", list(others), format_func=others.get, key="compare_other")
    with panels.told():
        other = find_run(name)
        theirs = cached.last_epoch(other).labels
        if theirs.shape != given.mask.shape:
            sizes = [" × ".join(map(str, shape)) for shape in (given.mask.shape, theirs.shape)]
            st.info(
                f"This run has {sizes[0]} pixels and the other {sizes[1]}, so they can not be "
                "laid over each other. Choose a run of the same region.",
                icon=":material/info:",
            )
            return
        pictures = {
            f"This run, epoch {last}": cached.run_cells(run, last),
            f"The other, epoch {other.epochs[-1]}": cached.run_cells(other, other.epochs[-1]),
        }
        legend = {}
        steps = changed(run.description.get("keys", {}), other.description.get("keys", {}))
        if "image" in steps:
            st.warning("These runs are of different images or regions.", icon=":material/info:")
        elif "markers" in steps:
            st.caption("They have different markers, so there is no difference to show by cell.")
        else:
            pictures["Difference"] = difference(theirs, labels_of(last))
            legend = dict(DIFFERENCE_COLORS)
        show(pictures, n_columns=len(pictures), legend=legend)


def against_watershed() -> None:
    """An epoch beside what a watershed makes of the same mask and nuclei."""
    number = choose_epoch("Epoch", last, key="compare_watershed")
    with panels.told():
        pictures = {
            "Watershed, no training": cached.run_cells(run, None),
            f"Epoch {number}": cached.run_cells(run, number),
            "Difference": difference(cached.run_watershed(run_id), labels_of(number)),
        }
        show(pictures, n_columns=3, legend=DIFFERENCE_COLORS)


def against_truth() -> None:
    """Which cells are right, for an epoch and for the watershed."""
    if not has_truth:
        st.info(
            "The true cells of this image are not known, so nothing can be said of right and "
            "wrong. The built-in sample has them, and so may a file of yours: a label image as "
            "one of its channels or arrays named truth or labels.",
            icon=":material/info:",
        )
        panels.link("data")
        return
    number = choose_epoch("Epoch", last, key="compare_truth")
    with panels.told():
        image = cached.run_picture(run_id)
        compared = {
            f"Epoch {number}": cached.against_truth(run, number),
            "Watershed, no training": cached.against_truth(run, None),
        }
        show(
            {name: truth_picture(image, one) for name, one in compared.items()},
            n_columns=2,
            legend={KINDS[kind][0]: color for kind, color in TRUTH_COLORS.items()},
        )
        names = list(compared)
        st.dataframe(
            [
                {"kind": title, "what": what}
                | {name: compared[name].counts[kind] for name in names}
                for kind, (title, what) in KINDS.items()
            ],
            column_order=["kind", *names, "what"],
            column_config={
                "kind": st.column_config.TextColumn("Cells", width="small"),
                "what": st.column_config.TextColumn("What it says", width="large"),
            },
            hide_index=True,
            key="compare_counts",
            alt="How many cells are found, missed, false, merged and split",
        )


panels.stale_note(state.out_of_date(run))
st.segmented_control(
    "Compare",
    list(MODES),
    default="film",
    required=True,
    format_func=MODES.get,
    key="compare_mode",
    persist_state="session",
    label_visibility="collapsed",
)
draw = {
    "film": film,
    "epochs": two_epochs,
    "runs": two_runs,
    "watershed": against_watershed,
    "truth": against_truth,
}[st.session_state["compare_mode"]]
st.fragment(draw)()


# Numbers ------------------------------------------------------------------------------------------


def scores() -> None:
    """Scores of an epoch and of the watershed, each with what it says."""
    found = {event["epoch"]: event for event in now.epoch_events if event.get("scores")}
    if not found:
        return
    st.subheader("Scores", anchor=False)
    baseline = [event for event in run.events() if event["kind"] == "baseline"]
    # On a narrow page the figure goes below the table.
    beside = st.container(horizontal=True)
    with beside, st.container(width=660):
        number = st.selectbox("Epoch", sorted(found, reverse=True), key=f"compare_scored_{run_id}")
        columns = {f"Epoch {number}": {**found[number]["scores"], "miou": found[number]["miou"]}}
        if baseline and baseline[-1].get("scores"):
            columns["Watershed"] = baseline[-1]["scores"]
        st.dataframe(
            [
                {"score": title, "what": what}
                | {name: values.get(key) for name, values in columns.items()}
                for key, (title, what) in SCORES.items()
                if any(values.get(key) is not None for values in columns.values())
            ],
            column_order=["score", *columns, "what"],
            column_config={
                "score": st.column_config.TextColumn("Score", width=150),
                "what": st.column_config.TextColumn("What it says", width="large"),
                **{
                    name: st.column_config.NumberColumn(format="%.3f", width=85) for name in columns
                },
            },
            hide_index=True,
            key="compare_scores",
            alt="Scores against the truth, from 0 to 1, higher is better",
        )
        cells = columns[f"Epoch {number}"]
        st.caption(f"{cells['n_cells']} cells, {cells['n_true']} true ones. Higher is better.")
    with beside, st.container(width=440):
        panels.chart(
            ap_over_iou({name: one["average_precision"] for name, one in columns.items()}),
            key="compare_ap",
            alt="AP against the IoU that counts as found, for " + " and ".join(columns),
        )


def losses() -> None:
    """The loss of several runs in one figure."""
    st.subheader("Loss of several runs", anchor=False)
    names = {name: panels.run_name(summary) for name, summary in runs.items()}
    chosen = st.multiselect(
        "Runs",
        list(names),
        default=[run_id] if run_id in names else [],
        max_selections=5,
        format_func=names.get,
        key=f"compare_losses_{run_id}",
    )
    if not chosen:
        st.info("Choose at least one run.", icon=":material/info:")
        return
    with panels.told():
        found = {name: find_run(name) for name in chosen}
        training = run.config.training
        panels.chart(
            loss_curves(
                {names[name]: one.progress.epoch_events for name, one in found.items()},
                warm_up=training.warm_up / training.steps if run_id in chosen else 0,
            ),
            key="compare_loss",
            alt="Loss over the epochs with its three parts, for "
            + ", ".join(names[name] for name in chosen),
        )


scores()
st.fragment(losses)()
panels.link("train", "Continue or repeat this run")
panels.footer("compare", code.compare_code(str(run.path), tuple(sorted({epochs[0], last}))))

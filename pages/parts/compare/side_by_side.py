"""Show cells side by side: two epochs, two runs, or an epoch and the baselines."""

from __future__ import annotations

import numpy as np
import streamlit as st

from cellcutter_core.runs.folder import RunSummary, find_run
from cellcutter_core.runs.names import differences, run_name
from cellcutter_core.runs.store import Run
from cellcutter_core.shortest_paths.watershed import BASELINES
from cellcutter_core.view.curves import change_curve
from pages.parts.compare.panes import against, difference, labels_of, show, since
from pages.parts.compare.scores import Shown
from pages.shared import panels, state
from pages.shared.caching import cached_runs
from pages.shared.open_run import choose_epoch


def two_epochs(run: Run, epochs: list[int]) -> Shown:
    """Show two epochs, at first 0 and the last, their difference, and all changes in a chart."""
    left, right = st.columns(2)
    with left:
        first = choose_epoch("Left", run, epochs, usual=epochs[0], key="compare_left")
    with right:
        second = choose_epoch("Right", run, epochs, key="compare_right", follow=True)
    with panels.show_errors():
        pictures = {f"Epoch {first}": cached_runs.run_cells(run, first)}
        # Titles are the keys: a second picture of the same epoch would replace the first.
        if second != first:
            pictures[f"Epoch {second}"] = cached_runs.run_cells(run, second)
        pictures["Difference"] = difference(run, labels_of(run, first), labels_of(run, second))
        show(run, pictures, n_columns=3, legend=since(f"epoch {first}"))
        if len(epochs) > 1:
            panels.chart(
                change_curve(cached_runs.changed(run, epochs), chosen=(first, second)),
                key="compare_changed",
                alt="Share of the cells' pixels that changed from each epoch to the next",
            )
    return Shown(sorted({first, second}))


def against_baselines(run: Run, epochs: list[int]) -> Shown:
    """Show an epoch beside the baselines that the same mask and markers give."""
    number = choose_epoch("Epoch", run, epochs, key="compare_baselines", follow=True)
    with panels.show_errors():
        found = cached_runs.run_baselines(run.path.name)
        first = next(iter(found))
        pictures = {BASELINES[name]: cached_runs.run_cells(run, name) for name in found}
        pictures[f"Epoch {number}"] = cached_runs.run_cells(run, number)
        title = f"Difference to {BASELINES[first].lower()}"
        pictures[title] = difference(run, found[first], labels_of(run, number))
        legend = against(BASELINES[first].lower())
        show(run, pictures, n_columns=3 if len(found) == 1 else 2, legend=legend)
    return Shown([number])


def two_runs(run: Run, epochs: list[int]) -> Shown:
    """Show the last epochs of this run and of another, and how the two runs differ."""
    last = epochs[-1]
    others = runs_like(run)
    if not others:
        st.info(
            "There is no other run with epochs. Start a second one with other settings.",
            icon=":material/info:",
        )
        panels.link("train")
        return Shown([last])
    names = {summary.id: run_name(summary) for summary in others}
    name = st.selectbox("The other run", list(names), format_func=names.get, key="compare_other")
    with panels.show_errors():
        other = find_run(name)
        what_differs(run, other)
        show_two_runs(run, other, last=last)
        scored = {event["epoch"]: event for event in other.progress.epoch_events}
        if (event := scored.get(other.epochs[-1])) and event.get("scores"):
            title = f"The other, epoch {other.epochs[-1]}"
            return Shown([last], {title: {**event["scores"], "miou": event.get("miou")}})
    return Shown([last])


def what_differs(run: Run, other: Run) -> None:
    """Show a row for each setting, image or marker in which two runs differ."""
    found = differences(run.description, other.description)
    if not found:
        st.caption(
            "Both runs have the same image, markers and settings. They differ only by chance, by "
            "the computer, or in their number of epochs."
        )
        return
    st.dataframe(
        {
            "What differs": list(found),
            "This run": [one for one, _ in found.values()],
            "The other": [other for _, other in found.values()],
        },
        hide_index=True,
        key="compare_differences",
        alt="What differs between the two runs",
    )


def runs_like(run: Run) -> list[RunSummary]:
    """Return all other runs with epochs; those of the same region come first."""
    region = run.description.region
    others = [one for one in state.listed_runs() if one.epochs_done and one.id != run.path.name]
    return sorted(others, key=lambda one: one.description.region != region)


def show_two_runs(run: Run, other: Run, *, last: int) -> None:
    """Show the last epoch of each of two runs and, where possible, their difference."""
    theirs, ours = labels_of(other, other.epochs[-1]), labels_of(run, last)
    if theirs.shape != ours.shape:
        sizes = [" × ".join(map(str, shape)) for shape in (ours.shape, theirs.shape)]
        st.info(
            f"This run has {sizes[0]} pixels and the other {sizes[1]}, so they cannot be "
            "compared pixel by pixel. Choose a run of the same region.",
            icon=":material/info:",
        )
        return
    pictures = {
        f"This run, epoch {last}": cached_runs.run_cells(run, last),
        f"The other, epoch {other.epochs[-1]}": cached_runs.run_cells(other, other.epochs[-1]),
    }
    legend = {}
    given = [cached_runs.run_inputs(one.path.name)[0] for one in (run, other)]
    # One of the networks may see the nuclei as well, in a last channel.
    n_channels = min(one.image.shape[-1] for one in given)
    if not np.array_equal(*(one.image[..., :n_channels] for one in given)):
        st.warning("These runs are of different images or regions.", icon=":material/info:")
    elif not np.array_equal(*(one.points for one in given)):
        st.caption("The runs have different markers, so no difference per cell can be shown.")
    else:
        pictures["Difference"] = difference(run, theirs, ours)
        legend = against("the other run")
    show(run, pictures, n_columns=len(pictures), legend=legend)

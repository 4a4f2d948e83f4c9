"""Watch a run: its progress every second, its cells and curves after every epoch."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.runs.doubts import about_dropped
from cellcutter_core.runs.store import Progress, Run
from cellcutter_core.view.render import probability_colors
from pages.shared import panels
from pages.shared.caching import cached_runs
from pages.shared.run_words import came_from, progress_line, waiting_line
from pages.shared.viewer.frame import linked_panes


def watch(run: Run, n_drawn: int, status_drawn: str) -> None:
    """Show the progress of the run, every second. After an epoch, the whole page reruns."""
    if not run.path.is_dir():
        st.rerun()  # It was deleted, in another tab.
    now = run.progress
    if (len(now.epoch_events), now.status) != (n_drawn, status_drawn):
        st.rerun()
    done = now.epochs_done * now.steps + now.step
    line = waiting_line(run) if now.status == "queued" else progress_line(now)
    if now.status in ("failed", "crashed"):
        line = f"{now.kept} are kept"
    if now.status == "running" and not done:
        what = "first step" if now.epoch_events else "network"
        line = f"Starting: building the {what} takes some seconds"
    if now.status == "running" and now.epochs_done == now.epochs and run.other_files:
        line = "Trained; now finding the cells of the other images"
    if run.asked_to_stop and now.status in ("queued", "running"):
        line = "Stopping …"
    st.progress(min(done / max(now.epochs * now.steps, 1), 1.0), text=line)
    if now.status == "running" and not run.asked_to_stop:
        st.caption(stop_line(now))
    st.caption(device_line(run))


def stop_line(now: Progress) -> str:
    """Say what stopping now would keep."""
    if now.epochs_done or now.step:
        return f"If you stop now, {now.kept} are kept; *Continue* goes on from there."
    if now.epoch_events:
        return "If you stop now, epoch 0 is kept, from before training."
    return "If you stop now, nothing is kept yet: training has not begun."


def device_line(run: Run) -> str:
    """Name the run, its device and precision, and how many cells it is trained on."""
    parts = [f"Run {run.path.name}"]
    found = [event for event in run.events() if event["kind"] == "device"]
    if found:
        event = found[-1]
        parts += [f"{event['device']}, {event['precision']}", f"{event['n_cells']} cells"]
        if n_others := len(run.other_files):
            images = "1 other image" if n_others == 1 else f"{n_others} other images"
            parts.append(f"{event.get('n_cells_of_others', 0)} in {images}")
    return " · ".join([*parts, *filter(None, [came_from(run.description.before)])])


def results(run: Run, now: Progress) -> None:
    """Show cells and probability after the last epoch, and the curves of loss and scores."""
    pictures(run)
    losses, scores = cached_runs.run_curves(run, now)
    if not now.trained_events:
        # A placeholder instead of a chart: loading Plotly now would slow the training down.
        for figure, name in ((losses, "The loss is"), (scores, "Scores are")):
            if figure is not None:
                with st.container(height=figure.layout.height, border=False):
                    st.caption(f"{name} drawn here from the first epoch on.")
        return
    found = f"loss {now.trained_events[-1]['loss']:.1f} after epoch {now.epochs_done}"
    panels.chart(losses, key="train_loss", alt=f"Loss over the epochs with its terms: {found}")
    if now.continued:
        st.caption(continued_line(run, now))
    if scores is not None:
        panels.chart(
            scores,
            key="train_scores",
            alt="Agreement with the truth over the epochs; dashed lines are the baselines: "
            "cheapest paths and watershed",
        )


def continued_line(run: Run, now: Progress) -> str:
    """Explain a dotted line in the chart, and why the loss may jump there."""
    where = " and ".join(str(epoch) for epoch in now.continued)
    why = (
        "The learning rate falls over all epochs of a run. With more epochs it was raised again, "
        "so the loss may jump there and take some epochs to recover."
        if run.config.training.schedule == "cosine"
        else "Network and optimiser continued from their last state."
    )
    return f"Dotted: the run was continued after epoch {where}. {why}"


def pictures(run: Run) -> None:
    """Show the image, and its cells and probability after the last epoch; epoch 0 is the first."""
    image = cached_runs.run_picture(run.path.name)
    if run.epochs:
        number = run.epochs[-1]
        title = f"Cells after epoch {number}" if number else "Epoch 0: before training"
        cells = cached_runs.run_cells(run, number)
        probability = probability_colors(cached_runs.epoch_of(run, number).probability)
        alt = f"{title} in colours over the image, and each pixel's highest cell probability"
    else:
        # Dark placeholders keep the place of the pictures.
        title = "Cells"
        cells = probability = image // 4
        alt = "The image; its cells and their probability appear here from epoch 0 on"
    linked_panes(
        {"Image": image, title: cells, "Probability": probability},
        n_columns=3,
        key="train_pictures",
        place=run.path.name,
        alt=alt,
        pixel_size=run.description.pixel_size,
    )
    if dropped := about_dropped(run):
        st.caption(dropped)

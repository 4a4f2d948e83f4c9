"""The results written into the folder of a finished run: labels, pictures and a summary."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cellcutter_core.export import export
from cellcutter_core.export.files import json_file
from cellcutter_core.files import atomic
from cellcutter_core.runs.store import Run
from cellcutter_core.shortest_paths.watershed import BASELINES
from cellcutter_core.training.loss import loss_names


def write(run: Run) -> dict[str, Any]:
    """Write labels.tif, overlay.png, borders.png and result.json of a run's last epoch.

    If the run was trained on several images, the cells of the others are written as well, unless
    the end of the training did it, see `cellcutter_core.apply.training_images.write_others`.

    Returns
    -------
    dict
        The content of result.json.

    Raises
    ------
    ValueError
        If the run has no epoch yet, or its folder cannot be written.
    """
    from cellcutter_core.apply.training_images import found_in_others, write_others

    for name in ("labels", "overlay", "borders"):
        export(run, name, run.path)
    summary = summarise(run)
    if run.other_files:
        found = found_in_others(run) or write_others(run)
        summary["others"] = [asdict(outcome) for outcome in found]
    with atomic(run.path / "result.json") as temporary:
        temporary.write_bytes(json_file(summary))
    return summary


def summarise(run: Run) -> dict[str, Any]:
    """Return cells, epochs, seconds, device, losses, settings, and scores if the truth is known."""
    events = run.events()
    progress = run.progress
    device: dict[str, Any] = next((e for e in reversed(events) if e["kind"] == "device"), {})
    epochs = progress.epoch_events
    return {
        "image": run.description.image or None,
        "status": progress.status,
        "cells": epochs[-1]["n_cells"],
        "markers": device.get("n_cells"),
        "epochs": progress.epochs_done,
        "seconds": _working_time(events),
        "training_seconds": progress.seconds,
        "device": device.get("device"),
        "backend": device.get("name"),
        "precision": device.get("precision"),
        "collapsed": progress.collapsed,
        "losses": [
            {name: event[name] for name in ("epoch", *loss_names()) if name in event}
            for event in progress.trained_events
        ],
        "scores": epochs[-1].get("scores"),
        "scores_of_epoch_0": None if epochs[0]["epoch"] else epochs[0].get("scores"),
        "scores_of_baselines": run.baseline_scores,
        "settings": run.config.model_dump(),
    }


def format_summary(summary: dict[str, Any]) -> str:
    """Return the lines that the command line prints at the end."""
    epochs = "1 epoch" if summary["epochs"] == 1 else f"{summary['epochs']} epochs"
    text = (
        f"{summary['cells']} cells after {epochs}, "
        f"{summary['seconds']:.0f} s on {summary['device']}"
    )
    for other in summary.get("others", ()):
        said = f"failed: {other['error']}" if other["error"] else f"{other['cells']} cells"
        text += f"\n{other['image']}: {said}"
    scores = summary["scores"]
    if scores:
        beside = {"epoch 0": summary["scores_of_epoch_0"]} | {
            BASELINES[name].lower(): found for name, found in summary["scores_of_baselines"].items()
        }
        compared = "; ".join(
            f"{name}: {found['ap50']:.3f}, {found['ap75']:.3f}"
            for name, found in beside.items()
            if found
        )
        text += f"\nAgainst the truth: AP50 {scores['ap50']:.3f}, AP75 {scores['ap75']:.3f}"
        text += f" ({compared})" if compared else ""
    return text


def _working_time(events: list[dict[str, Any]]) -> float:
    """Sum up the seconds from each start of a process to its last event."""
    seconds, start = 0.0, None
    for event in events:
        if event["kind"] == "started":
            start = event["time"]
        elif event["kind"] == "queued":
            # Nothing works on it until the next start.
            start = None
        elif start is not None:
            # The clock may have been set back.
            seconds, start = seconds + max(event["time"] - start, 0.0), event["time"]
    return seconds

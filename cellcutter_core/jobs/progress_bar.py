"""A progress bar for the terminal, with loss and time left."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from cellcutter_core.runs.store import Run
from cellcutter_core.training.loss import published_terms


@contextlib.contextmanager
def progress_bar(run: Run, epochs: int | None = None) -> Iterator[Callable[[Any], None]]:
    """Show the steps and epochs of a run; without a terminal, print a line for each epoch.

    Yields
    ------
    callable
        Call it with every `Step`, `EpochZero` and `Epoch`.
    """
    last = epochs or run.progress.epochs
    steps = run.config.training.steps
    loss = TextColumn("steps  loss {task.fields[loss]:>8.1f}")
    with _bar(TextColumn("Training"), BarColumn(), MofNCompleteColumn(), loss) as bar:
        now = run.progress
        done = now.epochs_done * steps + now.step
        task = bar.add_task("", total=last * steps, completed=done, loss=float("nan"))

        def show(event: Any) -> None:
            if hasattr(event, "step"):
                done = (event.epoch - 1) * steps + event.step
                bar.update(task, completed=done, loss=event.loss)
                return
            if event.epoch == 0:
                bar.console.print(f"Epoch 0/{last}: before training", highlight=False)
                return
            terms = ", ".join(f"{t.name} {event.losses[t.name]:.1f}" for t in published_terms())
            bar.console.print(
                f"Epoch {event.epoch}/{last}: loss {event.loss:.1f} ({terms}), "
                f"{event.seconds:.1f} s" + (", all cells are empty" if event.collapsed else ""),
                highlight=False,
                soft_wrap=True,
            )

        yield show


@contextlib.contextmanager
def share_bar() -> Iterator[Callable[[str, float], None]]:
    """Show the progress of a long piece of work; nothing without a terminal.

    Yields
    ------
    callable
        Call it with the name of the work, and the finished share.
    """
    with _bar(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()) as bar:
        tasks: dict[str, Any] = {}

        def show(name: str, share: float) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=1.0)
            bar.update(tasks[name], completed=share)
            if share >= 1:
                bar.remove_task(tasks.pop(name))

        yield show


def _bar(*columns: ProgressColumn) -> Progress:
    """Return a bar with these columns and the time left; it shows nothing without a terminal."""
    console = Console(file=sys.stdout)
    return Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )

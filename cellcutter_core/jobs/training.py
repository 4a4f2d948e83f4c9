"""Train a run.

Started again on the same run folder, it goes on with the step after the last one that was saved. A
stop saves every step that is done. Without one they are saved at the end of each epoch, which is
what a crash leaves.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.arguments import naming
from cellcutter_core.config import check_current
from cellcutter_core.evaluation.metrics import score
from cellcutter_core.limits import TimeLimit
from cellcutter_core.network.taught_weights import taught_digest
from cellcutter_core.runs.store import Run, State
from cellcutter_core.shortest_paths.watershed import BASELINES
from cellcutter_core.training.datasets import make_dataset, validation_crops
from cellcutter_core.training.events import Step, event_record
from cellcutter_core.training.inputs import Inputs, Truth, baselines
from cellcutter_core.training.loop import Training, starting_network, train_and_predict
from cellcutter_core.training.marker_check import is_checked, markers_with_cells

OTHERS_SECONDS = 20.0
"""Seconds for the cells of the other images after which a stop counts. A process that does not stop
is killed after `job_task.GRACE`."""


def work(
    run: Run,
    *,
    epochs: int | None = None,
    on_event: Callable[[Any], None] = lambda event: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train a run to its last epoch, or until it is asked to stop.

    What it found in the other images that it is trained on is written at the end.

    Parameters
    ----------
    run : Run
        New, or one that was stopped or crashed, which is gone on with.
    epochs : int, optional
        Train to this epoch; default the one it was last to train to, at first that of its settings.
    on_event : callable
        Gets every `Step`, `EpochZero` and `Epoch` of the training.
    stop : callable
        Asked before every step, and within one, beside `run.asked_to_stop`. The steps of an epoch
        that is not whole are kept then.

    Raises
    ------
    ValueError
        Whatever is wrong with the run's settings or inputs; it is recorded as well. If another
        process works on the run, which goes on undisturbed. If the run is of an earlier version,
        which stays as it is.
    """
    check_current(run.config)
    last = run.progress.epochs if epochs is None else epochs
    with run.worked_on(epochs=last, **versions()):
        _work(run, last, on_event, stop)


def _work(run: Run, last: int, on_event: Callable[[Any], None], stop: Callable[[], bool]) -> None:
    # Here and not above: a reader of this module need not wait for a framework.
    from cellcutter_core.network.backend import backend, fastest_precision

    clock = TimeLimit()
    config, truth = run.config, run.truth
    begun = bool(run.progress.epoch_events)
    where = backend()
    if is_checked(config) and not begun:
        run.check_markers(lambda found: markers_with_cells(found, config))
    inputs = run.inputs
    data = make_dataset(inputs, config)
    others = []
    for other in run.others:
        with naming(other.image.name):
            others.append((make_dataset(other.inputs, config), other.inputs))
    _record_baselines(run, inputs, truth)

    earlier = [event for event in run.events() if event["kind"] == "device"]
    precision = config.training.precision
    if precision == "auto":
        # A run that is gone on with keeps to what it was begun with.
        precision = earlier[-1]["precision"] if earlier else fastest_precision(
            where, channels=config.network.channels, crop_size=config.crops.size
        )  # fmt: skip
    start = run.start
    run.record(
        "device",
        **asdict(where),
        precision=precision,
        taught=_began_with(run, earlier, start),
        n_cells=len(data),
        n_cells_of_others=sum(len(other) for other, _ in others),
        n_at_border=data.n_at_border,
        cell_diameter=inputs.cell_diameter,
        scale=data.shape[0] / inputs.mask.shape[0],
    )
    network = starting_network(config, data, precision=precision, weights=start)
    training = Training(
        [data, *(other for other, _ in others)],
        network,
        config.training,
        validation_crops(truth, inputs, data, config),
    )
    state = run.load_state()
    if state is not None:
        training.epochs_done, training.unfinished = state.epochs_done, state.unfinished
        told = {event["epoch"] for event in run.progress.epoch_events}
        if state.epochs_done and state.epochs_done not in told:
            # A crash lost the event of the last epoch. Its steps are told of, and lead to it again.
            steps = run.recorded_steps(state.epochs_done)
            if len(steps) == config.training.steps:
                training.epochs_done, training.unfinished = state.epochs_done - 1, steps
        training.optimizer_state = state.optimizer
        network.set_weights(state.weights, data.n_channels)

    def asked() -> bool:
        return stop() or run.asked_to_stop or clock.is_reached

    def save() -> None:
        optimizer = training.state  # Asked first: it brings the network up to date.
        run.save_state(State(training.epochs_done, network.weights, optimizer, training.unfinished))
        if training.unfinished:
            last_step = training.unfinished[-1]
            run.record("saved", epoch=last_step.epoch, step=last_step.step)

    for event in train_and_predict(
        training, data, inputs, config, epochs=last, epoch_0=not begun, stop=asked
    ):
        if isinstance(event, Step):
            run.record("step", **event_record(event))
            clock.look()
            if event.step == config.training.steps:
                # The drawing may take long, and whoever asks to stop does not wait for ever.
                save()
            on_event(event)
        else:
            epoch, drawing = event
            run.add_epoch(epoch.epoch, drawing)
            network.save(run.model_file)
            save()
            scores = _scores(drawing.labels, truth)
            n_cells = len(np.unique(drawing.labels[drawing.labels > 0]))
            run.record("epoch", **event_record(epoch), n_cells=n_cells, scores=scores)
            on_event(epoch)
    if training.unfinished:
        save()
    n_left = 0
    if others and training.epochs_done:
        from cellcutter_core.apply.training_images import write_others

        run.check_lock()
        begun_at = time.monotonic()
        found = write_others(
            run, stop=lambda: asked() and time.monotonic() - begun_at > OTHERS_SECONDS
        )
        n_left = len(others) - len(found)
    if training.epochs_done >= last and not n_left:
        run.record("finished")
    else:
        run.record("stopped", message=clock.message)


def _began_with(
    run: Run, earlier: list[dict[str, Any]], start: list[NDArray[Any]] | None
) -> str | None:
    """The digest of the taught weights that a run began with; None where it had others."""
    if earlier:
        digest: str | None = earlier[0].get("taught")
        return digest
    return taught_digest() if start is None and run.config.network.start == "simulated" else None


def _record_baselines(run: Run, inputs: Inputs, truth: Truth | None) -> None:
    before = run.baselines
    if before.keys() == BASELINES.keys():
        return
    found = {**baselines(inputs), **before}
    for name, labels in found.items():
        if name not in before:
            run.record("baseline", name=name, scores=_scores(labels, truth))
    run.baselines = found


def _scores(labels: NDArray[np.int32], truth: Truth | None) -> dict[str, Any] | None:
    if truth is None or truth.labels is None:
        return None
    return score(labels, truth.labels, ignore=truth.ignore).as_dict()


def versions() -> dict[str, str]:
    """Versions of Python and of what the results depend on."""
    from importlib.metadata import version

    packages = ("keras", "numpy", "PyMaxflow", "scikit-image", "scipy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}

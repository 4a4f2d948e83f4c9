"""Train a run again from its corrected cells: with their markers and its trained network."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.choices.choices import Choices
from cellcutter_core.choices.draft import markers_digest
from cellcutter_core.choices.of_run import described
from cellcutter_core.config import check_current
from cellcutter_core.label_image import compact, markers_from_points
from cellcutter_core.markers.editing import RADIUS
from cellcutter_core.markers.finding import Nuclei, marker_points
from cellcutter_core.runs.corrections import Correction, corrected, corrections_of
from cellcutter_core.runs.description import Before
from cellcutter_core.runs.store import Run
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.inputs import Inputs


def corrected_inputs(
    inputs: Inputs, labels: NDArray[np.int32], corrections: Sequence[Correction]
) -> Inputs:
    """Return the inputs of a training that follow corrections of cells.

    A deleted cell has no marker, and its pixels are background. Merged cells have one marker. Each
    part of a split cell has its own marker: the part of the old marker that contains its point, or
    else a disc around the point. All other markers stay the same.

    Parameters
    ----------
    inputs : Inputs
        The inputs of the run.
    labels : (H, W) int32
        Its predicted cells, in which cell k is that of marker k.
    corrections : sequence of Correction
        The corrections of these cells.

    Returns
    -------
    Inputs
        Markers are renumbered in the order of their cells' ids.

    Raises
    ------
    ValueError
        If no marker is left.
    """
    regions = inputs.nuclei
    if regions is None:
        regions = markers_from_points(inputs.points, inputs.mask.shape)
    cells = labels
    for correction in corrections:
        after = corrected(
            cells,
            [correction],
            cost_map=inputs.cost_map if correction.kind == "split" else None,
        )
        if correction.kind == "split":
            regions = _with_parts(regions, cells, after, correction)
        else:
            regions = corrected(regions, [correction])
        cells = after
    numbers, ids = compact(regions)
    if not len(ids):
        raise ValueError("every cell is deleted, but training needs one; undo a deletion")
    touched = {cell for one in corrections for cell in one.cells}
    points = marker_points(numbers).astype(np.float64)
    for place, cell in enumerate(ids.tolist()):
        # Unchanged points keep their exact position.
        if cell not in touched and cell <= len(inputs.points):
            points[place] = inputs.points[cell - 1]
    new = np.isin(regions, [cell for cell in touched if cell > 0])
    mask = (inputs.mask & ~((labels > 0) & (cells == 0))) | new
    return Inputs(inputs.image, mask, points, numbers, final=True)


def train_again(
    run: Run,
    epoch: int,
    path: str | os.PathLike[str],
    *,
    epochs: int | None = None,
    owner: str = "",
) -> Run:
    """Make a new run on the same image from the corrected cells of an epoch and the run's network.

    Parameters
    ----------
    run : Run
        The run, which does not change. The new run trains on its other images, too.
    epoch : int
        The epoch whose cells were corrected.
    path : path
        A new folder.
    epochs : int, optional
        Default: half of the planned epochs of the run, because the network knows the image.
    owner : str
        Whose the new run is, see `Description.owner`.

    Returns
    -------
    Run
        Ready to be trained. It begins with the weights that `run` has now, without a warm-up. Its
        description names the old run as `before`.

    Raises
    ------
    ValueError
        If the run has no such epoch or no network, there is nothing to train on, or the run is of
        an earlier version.
    """
    check_current(run.config)
    drawing, corrections = run.epoch(epoch), corrections_of(run, epoch)
    state = run.load_state()
    if state is None:
        raise ValueError(
            "this run has no network to begin with; continue it for an epoch, or start a new one"
        )
    before = run.inputs
    inputs = corrected_inputs(before, drawing.labels, corrections)
    training = run.config.training.replace(
        epochs=epochs or max(1, run.config.training.epochs // 2), warm_up=0
    )
    config = run.config.replace(training=training)
    # An error in the crops is raised here, before anything is written.
    make_dataset(inputs, config)
    return Run.create(
        path,
        inputs,
        config,
        truth=run.truth,
        unseen=run.unseen,
        others=run.others,
        start=state.weights,
        description={
            **_described(run, inputs),
            "owner": owner,
            "classroom": "",
            "before": Before(run=run.id, epoch=epoch, corrections=len(corrections)),
        },
    )


def _described(run: Run, inputs: Inputs) -> Mapping[str, Any]:
    """Return the run's description, with these markers as edited by hand."""
    about = dict(run.description)
    points: Any = inputs.points
    assert inputs.nuclei is not None
    # Choices of another version cannot be compared, so nothing is reported as out of date.
    with contextlib.suppress(TypeError, ValueError):
        if run.description.choices:
            edits = markers_digest(Nuclei(inputs.nuclei, points))
            about |= described(Choices(**run.description.choices), edits=edits)
    return about


def _with_parts(
    regions: NDArray[np.int32],
    before: NDArray[np.int32],
    after: NDArray[np.int32],
    split: Correction,
) -> NDArray[np.int32]:
    """Return the regions of markers after a cell was split."""
    old = regions == split.cells[0]
    result = np.where(old, 0, regions).astype(np.int32)
    if (before == after).all():
        return regions  # The split was ignored.
    rows, cols = np.ogrid[: regions.shape[0], : regions.shape[1]]
    for cell, (row, col) in zip(split.cells, split.points, strict=True):
        part = after == cell
        pieces, _ = ndimage.label(old & part, np.ones((3, 3)))
        if pieces[row, col]:
            result[pieces == pieces[row, col]] = cell
        else:
            near = (rows - row) ** 2 + (cols - col) ** 2 <= RADIUS**2
            result[near & part & (result == 0)] = cell
    return result

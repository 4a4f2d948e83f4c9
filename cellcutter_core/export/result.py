"""One epoch of a run, with all that can be exported: labels, table, image."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.export.segmented import Segmented
from cellcutter_core.images.pixel_size import PixelSize, checked
from cellcutter_core.runs.corrections import Correction, corrected, corrections_of

if TYPE_CHECKING:
    from cellcutter_core.runs.store import Run
    from cellcutter_core.training.inputs import Inputs
    from cellcutter_core.training.predicted_labels import Prediction


class Result(Segmented):
    """An epoch of a run. Each part is read or computed once, on first access.

    Parameters
    ----------
    run : Run
    epoch : int, optional
        Default: the last epoch.
    inputs : Inputs, optional
        The inputs of the run, if they have been read already.
    pixel_size : optional
        Micrometres per pixel. Default: those of the run.

    Raises
    ------
    ValueError
        If the run has no epoch yet, or does not have this one.
    """

    def __init__(
        self,
        run: Run,
        epoch: int | None = None,
        *,
        inputs: Inputs | None = None,
        pixel_size: PixelSize | None = None,
    ) -> None:
        self.run, about = run, run.description
        if inputs is not None:
            self.inputs = inputs
        if pixel_size is not None:
            self.pixel_size = checked(pixel_size)
        self.image_name = about.image or "image"
        self.origin = self.region = about.region[:2] if about.region else (0, 0)
        self.whole_shape = about.whole if about.region else None
        self.epochs = run.epochs
        if not self.epochs:
            raise ValueError(
                f"the run in {run.path} has not completed an epoch yet; wait for the first one, or "
                "continue the run"
            )
        if epoch is not None and epoch not in self.epochs:
            first, last = self.epochs[0], self.epochs[-1]
            complete = self.epochs == list(range(first, last + 1))
            stored = f"{first} to {last}" if complete else ", ".join(map(str, self.epochs))
            raise ValueError(f"the run in {run.path} has no epoch {epoch}; it has {stored}")
        self.epoch = self.epochs[-1] if epoch is None else epoch

    @cached_property
    def drawing(self) -> Prediction:
        """The prediction of the epoch: labels and borders."""
        return self.run.epoch(self.epoch)

    @cached_property
    def corrections(self) -> list[Correction]:
        """The corrections by hand in this epoch."""
        return corrections_of(self.run, self.epoch)

    @cached_property
    def labels(self) -> npt.NDArray[np.int32]:
        """(H, W) label image of the epoch, with corrections by hand."""
        # Only splits need the cost map, which takes long to compute.
        splits = any(one.kind == "split" for one in self.corrections)
        cost_map = self.inputs.cost_map if splits else None
        return corrected(self.drawing.labels, self.corrections, cost_map=cost_map)

    def only(self, cells: npt.ArrayLike) -> Result:
        """Return a copy with only some of the cells in `labels` and `table`.

        Borders keep all cells.

        Parameters
        ----------
        cells : array of int
            Their ids.
        """
        some = copy.copy(self)
        # Assigning replaces the cached values of this copy.
        some.labels = np.where(np.isin(self.labels, cells), self.labels, 0)
        inside = np.isin(self.table["id"], cells)
        some.table = {name: column[inside] for name, column in self.table.items()}
        return some

    @cached_property
    def inputs(self) -> Inputs:
        """The inputs that the run was trained on."""
        return self.run.inputs

    @cached_property
    def unseen(self) -> dict[str, npt.NDArray[Any]]:
        """Channels that the network did not get: name → (H, W) array."""
        return self.run.unseen

    @cached_property
    def pixel_size(self) -> PixelSize | None:
        """Micrometres per pixel, if the image's file or the user gives it."""
        return checked(self.run.description.pixel_size)

    @cached_property
    def nucleus(self) -> int | None:
        """Index of the channel that shows nuclei, if the network got one: the last."""
        count, cell = self.inputs.image.shape[-1], self.run.description.cell
        # Early versions did not write which channels show cells.
        n_cell = 1 if cell is None else len(cell)
        return count - 1 if count > n_cell and self.run.config.crops.with_nucleus else None

    @cached_property
    def channels(self) -> list[str]:
        """The names of the channels that the network got."""
        count = self.inputs.image.shape[-1]
        names = self.run.description.channels
        if len(names) == count == len(set(names)):
            return list(names)
        # Unusable names: number the channels instead.
        return [f"channel {number + 1}" for number in range(count)]

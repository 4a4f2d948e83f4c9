"""What is exported: an epoch of a run, with all that belongs to it."""

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
    from cellcutter_core.training.prediction import Drawing


class Result(Segmented):
    """An epoch of a run; each part is read or computed once, when it is first asked for.

    Parameters
    ----------
    run : Run
    epoch : int, optional
        Default the last.
    inputs : Inputs, optional
        What the run was given, where it has been read already.
    pixel_size : optional
        Micrometres per pixel, where they differ from what the run says.

    Raises
    ------
    ValueError
        If the run has no epoch yet, or not this one.
    """

    def __init__(
        self,
        run: Run,
        epoch: int | None = None,
        *,
        inputs: Inputs | None = None,
        pixel_size: PixelSize | None = None,
    ) -> None:
        self.run = run
        self._inputs = inputs
        self._pixel_size = checked(pixel_size)
        self.epochs = run.epochs
        if not self.epochs:
            raise ValueError(
                f"the run in {run.path} has no epoch yet; let it train for one, or continue it"
            )
        if epoch is not None and epoch not in self.epochs:
            there = f"{self.epochs[0]} to {self.epochs[-1]}"
            if len(self.epochs) != self.epochs[-1] - self.epochs[0] + 1:
                there = ", ".join(map(str, self.epochs))
            raise ValueError(f"the run in {run.path} has no epoch {epoch}; it has {there}")
        self.epoch = self.epochs[-1] if epoch is None else epoch

    @cached_property
    def drawing(self) -> Drawing:
        """Labels and borders of the epoch."""
        return self.run.epoch(self.epoch)

    @cached_property
    def corrections(self) -> list[Correction]:
        """What was corrected by hand in this epoch."""
        return corrections_of(self.run, self.epoch)

    @cached_property
    def labels(self) -> npt.NDArray[np.int32]:
        """(H, W) cells of the epoch, with corrections by hand."""
        # What paths cost is computed from the whole image: only where it is asked for.
        splits = any(one.kind == "split" for one in self.corrections)
        guidance = self.inputs.guidance if splits else None
        return corrected(self.drawing.labels, self.corrections, guidance=guidance)

    def only(self, cells: npt.ArrayLike) -> Result:
        """The same with some of its cells alone.

        Parameters
        ----------
        cells : array of int
            Their ids.
        """
        some = copy.copy(self)
        some.labels = np.where(np.isin(self.labels, cells), self.labels, 0)
        inside = np.isin(self.table["id"], cells)
        some.table = {name: column[inside] for name, column in self.table.items()}
        return some

    @cached_property
    def inputs(self) -> Inputs:
        """What was trained on."""
        return self.run.inputs if self._inputs is None else self._inputs

    @cached_property
    def unseen(self) -> dict[str, npt.NDArray[Any]]:
        """(H, W) channels that the network did not see, by name."""
        return self.run.unseen

    @property
    def pixel_size(self) -> PixelSize | None:
        """Micrometres per pixel, where the image's file or a person says so."""
        return self._pixel_size or checked(self.run.description.get("pixel_size"))

    @property
    def origin(self) -> tuple[int, int]:
        """(row, col) of the first pixel in the image that the region was cut out of."""
        row, col, *_ = self.run.description.get("region") or (0, 0)
        return int(row), int(col)

    @property
    def whole_shape(self) -> tuple[int, int] | None:
        """Rows and columns of that image, where they are known."""
        rows, cols = self.run.description.get("whole") or (0, 0)
        return (int(rows), int(cols)) if self.run.description.get("region") and rows else None

    @property
    def image_name(self) -> str:
        """What the image is called."""
        return str(self.run.description.get("image") or "image")

    @cached_property
    def channels(self) -> list[str]:
        """A name for each channel that the network saw."""
        count = self.inputs.image.shape[-1]
        names = self.run.description.get("channels") or []
        if len(names) == count == len(set(names)):
            return list(names)
        return [f"channel {number + 1}" for number in range(count)]

    @property
    def with_nucleus(self) -> bool:
        """Whether the last of several channels that the network saw shows nuclei."""
        return self.run.config.crops.with_nucleus

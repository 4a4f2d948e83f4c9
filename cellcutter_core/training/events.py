"""What happens in a training: its steps and epochs, and their records in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """What steps and epochs have in common.

    Attributes
    ----------
    losses : dict of str to float
        The loss and each of its terms by name, see `cellcutter_core.training.loss`: a mean over
        the crops, in pixels; of an epoch, the mean over its steps.
    """

    losses: dict[str, float]

    @property
    def loss(self) -> float:
        """The loss, the sum of its published terms."""
        return self.losses["loss"]


@dataclass(frozen=True)
class Step(_Trained):
    """One optimiser step.

    Attributes
    ----------
    epoch, step : int
        Counted from 1; `step` within its epoch.
    n_crops : int
        Crops that made the step.
    seconds : float
        Time of this step.
    warming_up : bool
        Whether it learnt discs around the markers and not yet the loss.
    """

    epoch: int
    step: int
    n_crops: int
    seconds: float
    warming_up: bool


@dataclass(frozen=True)
class EpochZero:
    """Before the first step: the network has not seen this image yet, and there is no loss.

    Attributes
    ----------
    device : str
        Where it runs.
    miou : float or None
        As for `Epoch`.
    epoch : 0
    """

    device: str
    miou: float | None
    epoch: Literal[0] = 0


@dataclass(frozen=True)
class Epoch(_Trained):
    """The end of an epoch; the network now is that of this epoch.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    seconds : float
        Time of the epoch's steps.
    device : str
        Where it ran.
    miou : float or None
        The paper's mIOU over the validation crops, where there are some.
    collapsed : bool
        True when all cells are empty: the mean area fell below 4 pixels, and training on will
        not bring it back.
    """

    epoch: int
    seconds: float
    device: str
    miou: float | None
    collapsed: bool


def event_record(event: Step | EpochZero | Epoch) -> dict[str, Any]:
    """Return the fields of an event for a file, each loss as a field of its own."""
    record = asdict(event)
    losses: dict[str, float] = record.pop("losses", {})
    return record | losses


def recorded_step(record: Mapping[str, Any]) -> Step:
    """Return the step that has this `event_record`."""
    names = {one.name for one in fields(Step)}
    own = {name: value for name, value in record.items() if name in names}
    return Step(**own, losses={name: record[name] for name in record if name not in names})

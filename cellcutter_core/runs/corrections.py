"""Cells corrected by hand after training; what the network drew stays as it is.

RUN/corrections/0012.json        what was done to the cells of epoch 12, in order
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from cellcutter_core.files import atomic
from cellcutter_core.runs.store import Run


class Correction(BaseModel):
    """One change.

    Attributes
    ----------
    kind : {"delete", "merge"}
        Take cells away, or make one of them, which keeps the lowest id.
    cells : tuple of int
        Their ids.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["delete", "merge"]
    cells: tuple[int, ...]


_LIST = TypeAdapter(list[Correction])


def corrected(labels: NDArray[np.int32], corrections: Sequence[Correction]) -> NDArray[np.int32]:
    """Cells after some corrections.

    Parameters
    ----------
    labels : (H, W) int32
        0 for background.
    corrections : sequence of Correction
        In the order in which they were made. Ids that do not occur are passed over.

    Returns
    -------
    (H, W) int32

    Examples
    --------
    >>> merge = Correction(kind="merge", cells=(3, 2))
    >>> delete = Correction(kind="delete", cells=(1,))
    >>> corrected(np.array([[1, 2, 3, 0]], np.int32), [merge, delete])
    array([[0, 2, 2, 0]], dtype=int32)
    """
    ids = np.arange(labels.max(initial=0) + 1, dtype=np.int32)
    for correction in corrections:
        touched = np.isin(ids, correction.cells) & (ids > 0)
        if correction.kind == "delete":
            ids[touched] = 0
        elif touched.any():
            ids[touched] = ids[touched].min()
    return ids[labels]


def corrections_of(run: Run, epoch: int) -> list[Correction]:
    """What was corrected in an epoch, in order.

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    file = run.path / "corrections" / f"{epoch:04d}.json"
    try:
        return _LIST.validate_json(file.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        raise ValueError(
            f"{file} is damaged; delete it to go back to the cells as they were drawn"
        ) from error


def keep_corrections(run: Run, epoch: int, corrections: Sequence[Correction]) -> None:
    """Take these for all corrections of an epoch.

    Raises
    ------
    ValueError
        If the file cannot be written.
    """
    folder = run.path / "corrections"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot write {folder}: {error.strerror}") from error
    with atomic(folder / f"{epoch:04d}.json") as temporary:
        temporary.write_bytes(_LIST.dump_json(list(corrections)))

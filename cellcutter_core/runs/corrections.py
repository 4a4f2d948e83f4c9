"""Corrections of cells by hand after training. The stored prediction does not change.

RUN/corrections/0012.json        the corrections of the cells of epoch 12, in order
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from cellcutter_core.files import explaining, write_whole
from cellcutter_core.runs.cell_splitting import Point, split_cell
from cellcutter_core.runs.store import Run
from cellcutter_core.shortest_paths.cost_map import CostMap


class Correction(BaseModel):
    """One correction.

    Attributes
    ----------
    kind : {"delete", "merge", "split"}
        Delete cells, merge cells into one, which keeps the lowest id, or split one cell into two.
    cells : tuple of int
        Ids of the cells. For a split: the id of the cell, and the new id of its second part.
    points : tuple of (int, int)
        For a split: (row, col) of a pixel in each part; else empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["delete", "merge", "split"]
    cells: tuple[int, ...]
    points: tuple[Point, ...] = ()

    @model_validator(mode="after")
    def _two_of_one(self) -> Self:
        wanted = 2 if self.kind == "split" else 0
        if len(self.points) != wanted or (wanted and len(set(self.cells)) != wanted):
            raise ValueError(f"a {self.kind} has {wanted} points, and a split two different ids")
        if wanted and not all(0 < cell < 2**31 for cell in self.cells):
            raise ValueError(f"ids of cells are from 1 to {2**31 - 1}")
        return self


_LIST = TypeAdapter(list[Correction])


def corrected(
    labels: NDArray[np.int32],
    corrections: Sequence[Correction],
    *,
    cost_map: CostMap | None = None,
) -> NDArray[np.int32]:
    """Apply corrections to cells.

    Parameters
    ----------
    labels : (H, W) int32
        0 for background.
    corrections : sequence of Correction
        In the order in which they were made. Ids that do not occur are ignored, and so is a split
        whose points are not in its cell.
    cost_map : CostMap, optional
        The cost map by which cells are split, see `split_cell`.

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
        elif correction.kind == "merge" and touched.any():
            ids[touched] = ids[touched].min()
        elif correction.kind == "split":
            cell, new = correction.cells
            one, other = correction.points
            labels = split_cell(ids[labels], cell, (one, other), new=new, cost_map=cost_map)
            ids = np.arange(labels.max(initial=0) + 1, dtype=np.int32)
    return ids[labels]


def new_id(labels: NDArray[np.int32], corrections: Sequence[Correction], *, n_markers: int) -> int:
    """Return an id for the second part of a split cell.

    No cell and no marker has it, not even a deleted one.

    Parameters
    ----------
    labels : (H, W) int32
        Cells before or after the corrections.
    corrections : sequence of Correction
        The corrections so far.
    n_markers : int
        Number of markers of the run.

    Examples
    --------
    >>> new_id(np.array([[1, 5]], np.int32), [], n_markers=7)
    8
    """
    used = (cell for one in corrections for cell in one.cells)
    return 1 + max(int(labels.max(initial=0)), n_markers, *used)


def corrections_of(run: Run, epoch: int) -> list[Correction]:
    """Return the corrections of an epoch, in order.

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
            f"{file} is damaged; delete it to go back to the cells without corrections"
        ) from error


def keep_corrections(run: Run, epoch: int, corrections: Sequence[Correction]) -> None:
    """Store these as all corrections of an epoch.

    Raises
    ------
    ValueError
        If the file cannot be written, or the run belongs to another person.
    """
    run.check_changeable()
    folder = run.path / "corrections"
    with explaining(f"cannot write {folder}"):
        folder.mkdir(exist_ok=True)
    write_whole(folder / f"{epoch:04d}.json", _LIST.dump_json(list(corrections)))

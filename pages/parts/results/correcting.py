"""Correct cells by hand: delete, merge, split, undo; and train again from the corrections."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.choices.from_corrections import train_again
from cellcutter_core.config import is_current
from cellcutter_core.export.outlines import Ring, cell_outlines
from cellcutter_core.people.allowance import path_for
from cellcutter_core.runs.cell_splitting import Point, is_in, proposed_points, split_cell
from cellcutter_core.runs.corrections import Correction, corrections_of, keep_corrections, new_id
from cellcutter_core.runs.store import Run
from pages.parts.results.cell_list import choose
from pages.parts.results.measurements import Measured, measured
from pages.shared import panels, state
from pages.shared.caching import cached_runs
from pages.shared.person import person


def correcting(run: Run, epoch: int, cells: Measured, chosen: list[int], *, key: str) -> None:
    """Show the buttons that correct the chosen cells, and those for undo and redo."""
    if run.is_read_only:
        return
    done = corrections_of(run, epoch)
    redo = st.session_state.setdefault(f"results_redo_{key}", [])
    points = split_points(cells, chosen, key=key)

    # A click may come from a page that is out of date: after a double click, or from another tab.
    def correct(correction: Correction) -> None:
        leave_whole(key)
        with panels.complaints():
            now = corrections_of(run, epoch)
            if now[-1:] != [correction]:
                keep_corrections(run, epoch, [*now, correction])
                redo.clear()

    def take_back() -> None:
        leave_whole(key)
        with panels.complaints():
            if now := corrections_of(run, epoch):
                keep_corrections(run, epoch, now[:-1])
                redo.append(now[-1])

    def do_again() -> None:
        leave_whole(key)
        with panels.complaints():
            if redo:
                keep_corrections(run, epoch, [*corrections_of(run, epoch), redo[-1]])
                redo.pop()

    def begin() -> None:
        proposed = proposed_points(measured(run, epoch).labels, chosen[0])
        if proposed is None:
            state.complain("this cell is a single pixel, which cannot be split; delete it")
        else:
            st.session_state[f"results_split_{key}"] = proposed

    def divide() -> None:
        known = [*corrections_of(run, epoch), *redo]
        new = new_id(measured(run, epoch).labels, known, n_markers=_n_markers(run))
        correct(Correction(kind="split", cells=(chosen[0], new), points=points))
        choose(new, chosen, key=key)

    def whole(kind: str) -> None:
        correct(Correction(kind=kind, cells=tuple(chosen)))

    if points is None:
        buttons = [
            ("Delete", ":material/delete:", chosen, whole, ("delete",)),
            ("Merge", ":material/join:", len(chosen) > 1, whole, ("merge",)),
            ("Split", ":material/call_split:", len(chosen) == 1, begin, ()),
            ("Undo", ":material/undo:", done, take_back, ()),
            ("Redo", ":material/redo:", redo, do_again, ()),
        ]
    else:
        buttons = [
            ("Split here", ":material/call_split:", True, divide, ()),
            ("Leave whole", ":material/close:", True, leave_whole, (key,)),
        ]
    with st.container(horizontal=True, key="results_corrections"):
        for label, icon, enabled, act, arguments in buttons:
            st.button(
                label,
                icon=icon,
                type="primary" if label == "Split here" else "secondary",
                disabled=not enabled,
                on_click=act,
                args=arguments,
                key=f"results_{label.lower().replace(' ', '_')}",
            )
    n = len(done)
    if points is not None:
        st.caption("Put one of the two points on each nucleus. Click in the cell to move them.")
    elif not n:
        st.caption("Choose cells in the picture or in the table to delete, merge or split them.")
    else:
        st.caption(f"{n} {'correction' if n == 1 else 'corrections'}, kept with the run")
        again(run, epoch, done)


# Splitting ----------------------------------------------------------------------------------------


def split_points(cells: Measured, chosen: list[int], *, key: str) -> tuple[Point, Point] | None:
    """Return the two points that split the chosen cell, or None if no cell is being split."""
    points = st.session_state.get(f"results_split_{key}")
    if points is None:
        return None
    if len(chosen) != 1 or not all(is_in(cells.labels, point, chosen[0]) for point in points):
        leave_whole(key)  # Another cell was chosen.
        return None
    return points


def parts(run: Run, cells: Measured, cell: int, points: tuple[Point, Point]) -> list[Ring]:
    """Return the outlines of the two parts that a cell would be split into."""
    new = int(cells.labels.max()) + 1
    cost_map = cached_runs.run_inputs(run.path.name)[0].cost_map
    found = split_cell(cells.labels, cell, points, new=new, cost_map=cost_map)
    found[(found != cell) & (found != new)] = 0
    return [ring for pieces in cell_outlines(found).values() for piece in pieces for ring in piece]


def move_point(
    cells: Measured, cell: int, points: tuple[Point, Point], to: Point | None, *, key: str
) -> None:
    """Move the nearer of two points to a pixel of the cell. With `to` None, end the splitting."""
    if to is None:
        leave_whole(key)
    elif is_in(cells.labels, to, cell) and to not in points:
        one, other = points
        away = [(row - to[0]) ** 2 + (col - to[1]) ** 2 for row, col in points]
        moved = (to, other) if away[0] <= away[1] else (one, to)
        st.session_state[f"results_split_{key}"] = moved


def leave_whole(key: str) -> None:
    """End the splitting; the cell stays whole."""
    st.session_state.pop(f"results_split_{key}", None)


# Training again -----------------------------------------------------------------------------------


def again(run: Run, epoch: int, done: list[Correction]) -> None:
    """Offer a new run from the corrected cells."""
    with st.popover(
        "Train again from here",
        icon=":material/model_training:",
        width="stretch",
        disabled=not is_current(run.config),
    ):
        st.markdown(
            "Starts a new run on this image, beginning with the network of this run. **Its markers "
            "are those of the corrected cells**: a split cell has two, merged cells have one. A "
            "deleted cell has none, and its area becomes background."
        )
        usual = max(1, run.config.training.epochs // 2)
        epochs = st.number_input(
            "Epochs", 1, 10_000, usual, key=f"results_again_{run.path.name}_{epoch}", width=150
        )
        if st.button("Start", icon=":material/play_arrow:", type="primary", key="results_again"):
            with panels.show_errors():
                # If the current choices are those of this run, take those of the new run, too.
                follow = bool(run.description.choices) and not state.differing(run)
                path, me = path_for(person()), person()
                new = train_again(run, epoch, path, epochs=int(epochs), owner=me)
                cached_runs.jobs().submit(new)
                state.open_run(new.path.name, with_choices=follow)
                panels.go("train")


def _n_markers(run: Run) -> int:
    return len(cached_runs.run_inputs(run.path.name)[0].points)

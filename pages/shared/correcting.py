"""Corrections of the cells by hand: delete, merge, undo."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.runs.corrections import Correction, corrections_of, keep_corrections
from cellcutter_core.runs.store import Run
from pages.shared import panels


def correcting(run: Run, epoch: int, chosen: list[int]) -> None:
    """Buttons for what can be done with the chosen cells, and to take it back."""
    done = corrections_of(run, epoch)
    redo = st.session_state.setdefault(f"results_redo_{run.path.name}_{epoch}", [])

    def correct(kind: str) -> None:
        redo.clear()
        _keep(run, epoch, [*done, Correction(kind=kind, cells=tuple(chosen))])

    def take_back() -> None:
        redo.append(done[-1])
        _keep(run, epoch, done[:-1])

    def do_again() -> None:
        _keep(run, epoch, [*done, redo.pop()])

    with st.container(horizontal=True, key="results_corrections"):
        for label, icon, enabled, act, arguments in (
            ("Delete", ":material/delete:", chosen, correct, ("delete",)),
            ("Merge", ":material/join:", len(chosen) > 1, correct, ("merge",)),
            ("Undo", ":material/undo:", done, take_back, ()),
            ("Redo", ":material/redo:", redo, do_again, ()),
        ):
            st.button(
                label,
                icon=icon,
                disabled=not enabled,
                on_click=act,
                args=arguments,
                key=f"results_{label.lower()}",
            )
    n = len(done)
    st.caption(
        "Choose cells in the picture or in the table to delete or merge them. To split one, give "
        "each of its cells a marker on the page Cells and train again."
        if not n
        else f"{n} {'correction' if n == 1 else 'corrections'}, kept with the run"
    )


def _keep(run: Run, epoch: int, corrections: list[Correction]) -> None:
    with panels.complaints():
        keep_corrections(run, epoch, corrections)

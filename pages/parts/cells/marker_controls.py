"""On the page Cells: read markers from a file, download them, undo and redo changes.

Streamlit keeps a widget's callback, and everything its module holds, as long as the session.
So the callbacks are in this module, which holds no image, and not on the page.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from cellcutter_core.choices.uploads import file_of, store_upload
from cellcutter_core.export import label_file
from cellcutter_core.markers.finding import Nuclei, marker_points
from cellcutter_core.markers.given_markers import MARKER_FILES, read_markers
from pages.shared import panels, python_code, state
from pages.shared.caching import cached_steps
from pages.shared.person import person


def from_file() -> None:
    """Let the user replace the found markers by points, areas or a label image from a file."""

    def upload() -> None:
        given = st.session_state.cells_upload
        if given is None:
            return
        with panels.complaints():
            file = file_of(store_upload(given.name, given.getvalue(), person=person()))
            left_out: list[str] = []
            regions = read_markers(file, cached_steps.image(), report=left_out.append)
            state.edit_markers(Nuclei(regions, marker_points(regions)))
            st.session_state.cells_left_out = left_out

    with st.popover("From a file", icon=":material/upload:", width="stretch"):
        st.file_uploader(
            "Points (CSV with row, col), a label image, or points or areas as ImageJ ROIs (.roi "
            "or .zip) or GeoJSON. Positions are those in the whole image",
            type=MARKER_FILES,
            key="cells_upload",
            on_change=upload,
        )
    for line in st.session_state.pop("cells_left_out", ()):
        st.warning(line, icon=":material/filter_alt:")


def back_and_forth(
    markers: Nuclei,
    *,
    edited: bool,
    origin: tuple[int, int],
    whole_shape: tuple[int, int] | None,
) -> None:
    """Offer to undo, redo and start again, and to download the markers of the whole image."""
    with st.container(horizontal=True):
        st.button(
            "Undo",
            icon=":material/undo:",
            on_click=state.undo,
            disabled=not st.session_state.get(state.UNDO),
        )
        st.button(
            "Redo",
            icon=":material/redo:",
            on_click=state.redo,
            disabled=not st.session_state.get(state.REDO),
        )
        st.button(
            "Start again",
            icon=":material/restart_alt:",
            on_click=state.edit_markers,
            args=(None,),
            disabled=not edited,
            help="Goes back to the markers that were found. Undo brings your changes back.",
        )
        st.download_button(
            "Markers",
            partial(label_file, markers.regions, origin=origin, whole_shape=whole_shape),
            file_name=python_code.MARKERS_FILE,
            icon=":material/download:",
            help="A label image of the markers in the whole image. *The code* below reads it.",
        )

"""Show and edit the markers, one for each cell, and show the crops around them."""

from contextlib import suppress

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from cellcutter_core.markers.editing import add_marker, move_marker, remove_marker
from cellcutter_core.markers.finding import Nuclei
from cellcutter_core.training.crops import Dataset
from cellcutter_core.view.render import composite
from cellcutter_core.view.tiles import crop_gallery
from pages.parts.cells.marker_controls import back_and_forth, from_file
from pages.shared import panels, python_code, state
from pages.shared.caching import cached_steps
from pages.shared.settings import setting
from pages.shared.sharing import share
from pages.shared.viewer.picture import marker_editor

CROPS_A_PAGE = 24


def _gallery(data: Dataset, cells: NDArray[np.intp]) -> go.Figure:
    """Draw the crops of some cells as the network gets them."""
    crops, ids = data.crops(cells), (cells + 1).tolist()
    if not data.shows_markers:
        return crop_gallery(crops[..., :-1], data.embedding, ids)
    n = data.image.shape[-1]
    # The cell's own marker is the channel after those of the image.
    others, paths = crops[..., n + 1], crops[..., n + 2]
    seen = crops[..., : n + 1]
    return crop_gallery(seen, data.embedding, ids, others=others, paths=paths)


def take_edited_markers(markers: Nuclei) -> None:
    """Store edited markers. Markers equal to the found ones are no edit."""
    state.edit_markers(markers)
    # There may be no found markers, and while they are found the next edit may end this script.
    with suppress(ValueError):
        found = cached_steps.found_markers()
        if np.array_equal(markers.regions, found.regions) and np.array_equal(
            markers.points, found.points
        ):
            state.keep_markers(None)


def choose_marker(index: int | None) -> None:
    """Choose a marker by its position among the current markers, or none."""
    st.session_state.cells_chosen = cached_steps.step_keys()["markers"], index


def chosen_marker() -> int | None:
    """Return the position of the chosen marker, or None."""
    key, index = st.session_state.get("cells_chosen", (None, None))
    # Among other markers, for example after undo or on another image, it would be another one.
    return index if key == cached_steps.step_keys()["markers"] else None


state.enter("cells")
panels.head("cells")
image = panels.needs(cached_steps.image)
settings = state.choices().config.markers
edited = state.edited_markers() is not None

controls, view = st.columns([1, 3], gap="large")
with controls:
    setting("markers", "automatic", disabled=edited)
    if settings.automatic:
        setting("markers", "diameter", disabled=edited)
    else:
        for name in ("min_sigma", "max_sigma", "threshold"):
            setting("markers", name, disabled=edited)
    if edited:
        st.caption(
            "You edited the markers, so these settings no longer change them. *Start again* goes "
            "back to the found markers."
        )
    from_file()

panels.wait_for_consent("markers")
markers = panels.needs(cached_steps.markers)
with view:
    back_and_forth(markers, edited=edited, origin=image.origin, whole_shape=image.whole_shape)
    picture = cached_steps.picture()
    if image.nucleus is not None and image.cell != (image.nucleus,):
        on = st.segmented_control(
            "Show on",
            ["Nuclei", "Cells"],
            default="Nuclei",
            key="cells_on",
            persist_state="session",
        )
        if on != "Cells":
            picture = composite(image.pixels, cell=(image.nucleus,), nucleus=None)
    chosen = chosen_marker()
    edit = marker_editor(
        picture,
        markers.points,
        key="cells_editor",
        place=cached_steps.step_keys()["image"],
        selected=chosen,
        alt=f"{len(markers.points)} markers on the image",
        pixel_size=cached_steps.pixel_size(),
    )
if edit is not None:
    with panels.complaints():
        if edit.kind == "select":
            choose_marker(edit.index)
        elif edit.kind == "add":
            take_edited_markers(add_marker(markers, edit.point))
            choose_marker(len(markers.points))
        elif edit.kind == "remove":
            take_edited_markers(remove_marker(markers, edit.index))
            choose_marker(None)
        else:
            take_edited_markers(move_marker(markers, edit.index, edit.point))
            choose_marker(edit.index)
    st.rerun()

st.subheader("Crops", anchor=False)
data = panels.needs(cached_steps.dataset)
with st.container(horizontal=True):
    st.metric("Markers", len(markers.points))
    st.metric("Crops", len(data), help="One for each marker.")
    st.metric("At the border", data.n_at_border, help="Crops that extend beyond the region.")
    st.metric(
        "Mean cell diameter",
        f"{cached_steps.inputs()[0].cell_diameter:.0f} px",
        help="Diameter of a disc with the mean area of a cell: mask area divided by the number of "
        "markers.",
    )
n_pages = -(-len(data) // CROPS_A_PAGE)
if chosen is not None:
    st.caption(f"Cell {chosen + 1}, selected in the image, and the cells nearest to it")
    squared_distances = ((data.points - data.points[chosen]) ** 2).sum(axis=1)
    cells = np.argsort(squared_distances, kind="stable")[: CROPS_A_PAGE // 2]
else:
    number = st.pagination(n_pages, key="cells_page") if n_pages > 1 else 1
    first = (number - 1) * CROPS_A_PAGE
    cells = np.arange(first, min(first + CROPS_A_PAGE, len(data)))
with panels.wide():
    panels.chart(
        cached_steps.drawn(
            f"gallery {cached_steps.step_keys()['training']} {cells.tolist()}",
            lambda: _gallery(data, cells),
        ),
        key="cells_gallery",
        alt=f"Crops of cells {', '.join(str(cell + 1) for cell in cells)}",
    )

with st.container(horizontal=True, horizontal_alignment="distribute"):
    panels.next_step("train")
    share(place=cached_steps.step_keys()["image"])
script = python_code.data_code(state.choices(), cached_steps.whole_image(), cached_steps.region())
panels.footer("cells", python_code.cells_code(script, state.choices(), image, edited=edited))

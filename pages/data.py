"""Choose an image, the roles of its channels, and the region to work on."""

import streamlit as st

from cellcutter_core.images.reading.contents import LIMIT_NAME
from cellcutter_core.images.reading.parts import Region
from cellcutter_core.images.regions import full_region
from pages.parts.data.channel_card import channel_card
from pages.parts.data.image_choice import choose_image, choose_roles, enter_pixel_size
from pages.shared import panels, python_code, state
from pages.shared.caching import cached_steps
from pages.shared.viewer.picture import fit_region, region_picker

# The longest side of the picture to choose a region on, in pixels.
LARGEST_PICTURE = 1024
NOTEBOOK_VIEW = (100, 200, 300, 400)
MOVED = "data_moved"


def choose_region(chosen: Region) -> None:
    """Take a region to work on. The default region counts as no choice."""
    before = state.choices()
    state.choose(region=None if chosen == cached_steps.usual_region() else chosen)
    if state.choices() != before:
        st.rerun()
    # It could not be saved. Another run of the page would try the same again.
    if message := st.session_state.pop(state.COMPLAINT, None):
        st.error(message, icon=":material/error:")


def in_words(region: Region) -> str:
    """Return the pixels of a region in words."""
    top, left, bottom, right = region
    return f"rows {top} to {bottom - 1} and columns {left} to {right - 1}"


state.enter("data")
panels.head("data")


chooser, facts = st.columns([2, 1])
with chooser:
    source = choose_image()

image = panels.needs(cached_steps.whole_image)
n_rows, n_cols = cached_steps.whole_shape()
# An image that is too large to be read is shown at a reduced size.
shown_as = n_rows / image.shape[0]
box = cached_steps.region()
with facts:
    has_truth = image.truth is not None or source.truth is not None
    st.markdown(
        f"**{source.title}**  \n{n_rows} × {n_cols} pixels, {len(image.channels)} "
        f"{'channel' if len(image.channels) == 1 else 'channels'}, {image.pixels.dtype}  \n"
        + ("The true cells are known, so runs are scored.  \n" if has_truth else "")
        + (
            "A stained section: separated into density and hematoxylin."
            if image.stained
            else "Dark cells on a bright background: intensities are inverted."
            if image.inverted
            else ""
        )
    )
    for note in image.truth_notes:
        st.warning(f"True cells: {note}.", icon=":material/layers:")
    if image.full_shape is not None:
        then = "the page Apply then"
        if source.kind == "web":
            then = "once the image is downloaded, `python -m cellcutter_core apply`"
        st.caption(
            f"The image is too large to be read whole. It is shown {shown_as:.3g} times smaller, "
            "and only the region to work on is read from the file. The network is trained on that "
            f"region; {then} finds the cells of the whole image. The environment variable "
            f"{LIMIT_NAME} sets how much memory an image may take."
        )
    enter_pixel_size()

st.subheader("Channels", anchor=False)
choose_roles(image)
if image.cell == (image.nucleus,):
    st.caption("One channel has both roles: the nuclei themselves are segmented.")

for note in cached_steps.remarks():
    st.warning(note, icon=":material/visibility:")

for row in range(0, len(image.channels), 3):
    for column, index in zip(st.columns(3), range(row, len(image.channels)), strict=False):
        with column:
            channel_card(image, index, source=source)

st.subheader("Region to work on", anchor=False)
if moved := st.session_state.pop(MOVED, None):
    st.warning(moved, icon=":material/crop:")
step = -(-max(image.shape) // LARGEST_PICTURE)
overview = cached_steps.whole_picture(step)
chosen_on, presets = st.columns([2, 1], gap="large")
with presets:
    if st.button("Most interesting part", icon=":material/auto_awesome:", width="stretch"):
        state.choose(region=None)
        st.rerun()
    if st.button(
        "Whole image",
        icon=":material/fullscreen:",
        width="stretch",
        disabled=image.full_shape is not None,
    ):
        choose_region(full_region((n_rows, n_cols)))
    fits = n_rows >= NOTEBOOK_VIEW[2] and n_cols >= NOTEBOOK_VIEW[3]
    if source.kind in ("sample", "paper") and st.button(
        "The notebook's [100:300, 200:400]",
        icon=":material/menu_book:",
        width="stretch",
        disabled=not fits,
    ):
        choose_region(NOTEBOOK_VIEW)
    whole_image = "a larger one" if image.full_shape is not None else "the whole image"
    st.caption(
        "All further steps work on this region. A small region is computed faster; choose "
        f"{whole_image} when the settings are right."
    )
    panels.next_step("mask")
with chosen_on:
    picked = region_picker(
        overview,
        box,
        key="data_region",
        scale=1 / (shown_as * step),
        shape=(n_rows, n_cols),
        alt=f"{source.title}, with the region to work on as a box",
        pixel_size=cached_steps.pixel_size(),
    )
if picked != box:
    if fit_region(box, shape=(n_rows, n_cols)) != box:
        # It comes from a link or an earlier draft.
        st.session_state[MOVED] = (
            f"The region of {in_words(box)} is too small or does not lie in this image. It is now "
            f"that of {in_words(picked)}."
        )
    choose_region(picked)
    st.session_state.pop(MOVED, None)
if image.full_shape is not None:
    with panels.show_errors():
        # Its true cells are read with the region.
        for note in cached_steps.image().truth_notes:
            st.warning(f"True cells: {note}.", icon=":material/layers:")

panels.footer("data", python_code.data_code(state.choices(), image, box))

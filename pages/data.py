"""Choose an image, say what each channel is, and choose the part to work on."""

from contextlib import suppress

import streamlit as st

from cellcutter_core.regions import whole
from cellcutter_core.runs.choices import Source
from cellcutter_core.runs.draft import keep_file, together
from pages.shared import cached, code, panels, state
from pages.shared.channels import channel_card
from pages.shared.picture import region_picker

# The longest side of the picture to choose a region on, in pixels.
LARGEST_PICTURE = 1024
NOTEBOOK_VIEW = (100, 200, 300, 400)

state.enter("data")
panels.head("data")


def change_kind() -> None:
    kind = st.session_state.data_kind
    if kind == "sample":
        state.choose_source(Source())
    elif kind == "paper":
        state.choose_source(Source(kind="paper", name="a1"))


def upload() -> None:
    with panels.complaints():
        kept = [keep_file(given.name, given.getvalue()) for given in st.session_state.data_upload]
        if kept:
            st.session_state.data_address = ""
            take(together(kept))


def fetch() -> None:
    with panels.complaints():
        if address := st.session_state.data_address.strip():
            take(Source(kind="web", name=address))


def take(source: Source) -> None:
    """Another image; a stack or a series has a plane to begin with.

    Raises
    ------
    ValueError
        If it cannot be read; what was there before stays.
    """
    before = state.choices()
    ways = ({}, {"z": "max"}, {"t": 0}, {"z": "max", "t": 0})
    errors = []
    for way in ways:
        state.choose_source(source.replace(**way))
        try:
            cached.whole_image()
            return
        except ValueError as error:
            errors.append(error)
    state.take(before)
    raise errors[0]


def how_to_read(source: Source) -> None:
    """Plane and time point of a stack, dark cells on bright, and stains."""

    def read_anew(**chosen: object) -> None:
        keys, z = st.session_state, source.z
        if z is not None:
            z = "max" if keys.data_projected else keys.get("data_z", 0)
        t = None if source.t is None else keys.data_t
        state.choose_source(source.replace(z=z, t=t, **chosen))

    with st.container(horizontal=True, vertical_alignment="bottom"):
        if source.z is not None:
            st.session_state.data_projected = source.z == "max"
            st.toggle("Maximum projection", key="data_projected", on_change=read_anew)
            if source.z != "max":
                st.session_state.data_z = source.z
                st.number_input("Plane (z)", 0, key="data_z", on_change=read_anew, width=150)
        if source.t is not None:
            st.session_state.data_t = source.t
            st.number_input("Time point", 0, key="data_t", on_change=read_anew, width=150)
        colour = source.stained is not None
        with suppress(ValueError):  # Told below.
            image = cached.whole_image()
            st.session_state.data_inverted = image.inverted
            st.session_state.data_stained = image.stained
            colour |= image.stained or image.channels == ("red", "green", "blue")
        st.toggle(
            "Dark cells on a bright background",
            key="data_inverted",
            on_change=lambda: read_anew(inverted=st.session_state.data_inverted),
            disabled=bool(st.session_state.get("data_stained")) and colour,
            help="Turns the image over. Judged by the picture until you say so.",
        )
        if colour:
            st.toggle(
                "Stained section",
                key="data_stained",
                on_change=lambda: read_anew(stained=st.session_state.data_stained),
                help="Nuclei are shown by hematoxylin, cells by the density of all stains. Judged "
                "by the picture until you say so.",
            )


source = state.choices().source
kinds = {"sample": "Built-in sample", "paper": "The paper's images", "file": "Your own image"}
chooser, facts = st.columns([2, 1])
with chooser:
    st.session_state.setdefault("data_kind", "file" if source.kind == "web" else source.kind)
    kind = st.segmented_control(
        "Image", list(kinds), format_func=kinds.get, key="data_kind", on_change=change_kind
    )
    if kind == "sample":
        st.session_state.data_seed = source.seed
        st.number_input(
            "Number",
            0,
            999,
            key="data_seed",
            help="Each number is another image, always the same one.",
            on_change=lambda: state.choose_source(Source(seed=st.session_state.data_seed)),
        )
    elif kind == "paper":
        st.session_state.data_paper = source.name if source.kind == "paper" else "a1"
        st.selectbox(
            "Which",
            ["a1", "a2", "a3"],
            key="data_paper",
            help="Fetched once from the authors' public repository and kept on this computer.",
            on_change=lambda: state.choose_source(
                Source(kind="paper", name=st.session_state.data_paper)
            ),
        )
    else:
        st.file_uploader(
            "TIFF, PNG, JPEG, npy, npz, zipped OME-Zarr, ND2, CZI or LIF",
            type=panels.IMAGE_FILES,
            accept_multiple_files=True,
            key="data_upload",
            on_change=upload,
            help="Several files together are the channels of one image; take away by its cross "
            "what does not belong to it. They stay on the computer that runs this app.",
        )
        st.text_input(
            "Or the address of an OME-Zarr",
            key="data_address",
            on_change=fetch,
            placeholder="https://…/image.ome.zarr",
            help="On a server that everybody can reach. The computer that runs this app reads it.",
        )
        if source.kind in ("file", "web"):
            st.caption(f"In use: {source.title}")
            how_to_read(source)

image = panels.needs(cached.whole_image)
n_rows, n_cols = image.shape
top, left, bottom, right = box = cached.region()
with facts:
    st.markdown(
        f"**{source.title}**  \n{n_rows} × {n_cols} pixels, {len(image.channels)} "
        f"{'channel' if len(image.channels) == 1 else 'channels'}, {image.pixels.dtype}  \n"
        + ("True cells are known: scores are shown.  \n" if image.truth is not None else "")
        + (
            "A stained section: density and hematoxylin."
            if image.stained
            else "Dark on a bright background: turned over."
            if image.inverted
            else ""
        )
    )
    st.session_state.data_pixel_size = cached.pixel_size()
    st.number_input(
        "Pixel size in µm",
        min_value=0.0,
        key="data_pixel_size",
        format="%g",
        placeholder="not known",
        on_change=lambda: state.choose(pixel_size=st.session_state.data_pixel_size or None),
    )

# Roles --------------------------------------------------------------------------------------------


def change_roles() -> None:
    state.choose(
        cell=tuple(st.session_state.data_cell) or None, nucleus=st.session_state.data_nucleus
    )


st.subheader("Channels", anchor=False)
roles = st.columns(2)
st.session_state.data_cell = [image.channels[index] for index in image.cell]
roles[0].multiselect(
    "Cells are shown by",
    image.channels,
    key="data_cell",
    on_change=change_roles,
    help="One channel or several. Guessed from names and contents until you choose.",
)
st.session_state.data_nucleus = "none" if image.nucleus is None else image.channels[image.nucleus]
roles[1].selectbox(
    "Nuclei are shown by",
    [*image.channels, "none"],
    key="data_nucleus",
    on_change=change_roles,
    help="Without a nucleus channel, markers are found in the cell channel.",
)
if image.cell == (image.nucleus,):
    st.caption("One channel for both: the nuclei themselves are segmented.")

for row in range(0, len(image.channels), 3):
    for column, index in zip(st.columns(3), range(row, len(image.channels)), strict=False):
        with column:
            channel_card(image, index, source=source)

# Region -------------------------------------------------------------------------------------------

st.subheader("Region to work on", anchor=False)
st.caption(
    f"Rows {top} to {bottom}, columns {left} to {right}: {bottom - top} × {right - left} pixels. "
    "Drag a new box, or move it or its corners."
)
scale = -(-max(n_rows, n_cols) // LARGEST_PICTURE)
overview = cached.whole_picture(scale)
chosen_on, presets = st.columns([2, 1], gap="large")
with presets:
    if st.button("Where there is most to see", icon=":material/auto_awesome:", width="stretch"):
        state.choose(region=None)
        st.rerun()
    if st.button("Whole image", icon=":material/fullscreen:", width="stretch"):
        state.choose(region=whole(image.shape))
        st.rerun()
    fits = n_rows >= NOTEBOOK_VIEW[2] and n_cols >= NOTEBOOK_VIEW[3]
    if st.button(
        "The notebook's [100:300, 200:400]",
        icon=":material/menu_book:",
        width="stretch",
        disabled=not fits,
    ):
        state.choose(region=NOTEBOOK_VIEW)
        st.rerun()
    st.caption(
        "Everything that follows works on this region. A smaller one answers faster; take the "
        "whole image when the settings are right."
    )
    panels.next_step("mask")
with chosen_on:
    picked = region_picker(
        overview,
        box,
        key="data_region",
        scale=1 / scale,
        shape=image.shape,
        alt=f"{source.title}, with the region to work on as a box",
        pixel_size=cached.pixel_size(),
    )
if picked != box:
    state.choose(region=picked)
    st.rerun()

panels.footer("data", code.data_code(state.choices(), image, box))

"""On the page Data: choose the image, how to read it, its pixel size and its channels' roles.

Streamlit keeps a widget's callback, and everything its module holds, as long as the session.
So the callbacks are in this module, which holds no image, and not on the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import streamlit as st

from cellcutter_core.choices.choices import Source
from cellcutter_core.choices.sources import read_somehow, why_unreadable
from cellcutter_core.choices.uploads import as_channels, is_label_file, store_upload
from cellcutter_core.images.description import NOT_SQUARE, doubts, role_in_words
from cellcutter_core.images.file_sets.channel_names import differ_in_several_places
from cellcutter_core.images.image import Image
from cellcutter_core.images.pixel_size import format_pixel_size
from cellcutter_core.images.reading.drawn_shapes import DRAWN_FILES
from cellcutter_core.images.reading.known_formats import FORMAT_NAMES, endings
from pages.shared import panels, state
from pages.shared.caching import cached_steps
from pages.shared.person import person
from pages.shared.run_words import scene_in_words

# For each kind of source its key in `KINDS`.
KIND_OF = {"sample": "sample", "paper": "paper", "file": "file", "web": "file"}
KINDS = {"sample": "Built-in sample", "paper": "The paper's images", "file": "Your own image"}


def choose_image() -> Source:
    """Let the user choose the built-in sample, an image of the paper or an own image.

    Return the source that is chosen now.
    """
    source = state.choices().source
    st.session_state.setdefault("data_kind", KIND_OF[source.kind])
    kind = st.segmented_control(
        "Image",
        list(KINDS),
        required=True,
        format_func=KINDS.get,
        key="data_kind",
        on_change=_change_kind,
        wrap=True,
    )
    if kind == "sample":
        st.session_state.data_seed = source.seed if source.kind == "sample" else None
        st.number_input(
            "Number",
            0,
            999,
            key="data_seed",
            help="Each number gives a different image, and always the same one.",
            on_change=_take_sample,
        )
    elif kind == "paper":
        # None is selected if the wanted one could not be fetched.
        st.session_state.data_paper = source.name if source.kind == "paper" else None
        st.selectbox(
            "Which",
            ["a1", "a2", "a3"],
            key="data_paper",
            placeholder="Choose one",
            help="Fetched once from the authors' public repository and kept on this computer.",
            on_change=_take_paper,
        )
    else:
        st.file_uploader(
            FORMAT_NAMES,
            type=(*endings(), *DRAWN_FILES),
            accept_multiple_files=True,
            key="data_upload",
            on_change=_upload,
            help="Several files together are the channels of one image. Remove with × a file that "
            "does not belong to it. A label image or outlines (ImageJ ROIs, GeoJSON) among them "
            "are the true cells, used for scores. "
            "The files stay on the computer that runs this app.",
        )
        st.text_input(
            "Or the address of an OME-Zarr",
            key="data_address",
            on_change=_fetch,
            placeholder="https://…/image.ome.zarr",
            help="The address must be public. The computer that runs this app reads the image.",
        )
        if source.kind in ("file", "web"):
            truth = "" if source.truth is None else f"; its true cells: {source.truth.name}"
            st.caption(f"In use: {source.title}{truth}")
            if differ_in_several_places(source.file_names):
                st.warning(
                    "The names of these files differ in more than the channel. Do they belong to "
                    "one image?",
                    icon=":material/help:",
                )
            _how_to_read(source)
    if KIND_OF[source.kind] != kind:
        st.caption(f"Until you choose one, all pages keep the current image: {source.title}.")
    return source


def enter_pixel_size() -> None:
    """Show the pixel size in the file and let the user enter another one."""
    size, of_file = cached_steps.pixel_size(), cached_steps.whole_image().pixel_size
    if isinstance(size, tuple):
        # Only a file gives two sides. Then both are shown and can be corrected.
        keys = {"data_pixel_height": "Pixel height in µm", "data_pixel_width": "Pixel width in µm"}
        for (key, label), side, column in zip(keys.items(), size, st.columns(2), strict=True):
            st.session_state[key] = side
            column.number_input(
                label, min_value=1e-6, key=key, format="%g", on_change=_change_sides
            )
        st.caption(NOT_SQUARE)
    else:
        st.session_state.data_pixel_size = size
        st.number_input(
            "Pixel size in µm",
            min_value=0.0,
            key="data_pixel_size",
            format="%g",
            placeholder="not known",
            on_change=lambda: state.choose(pixel_size=st.session_state.data_pixel_size or None),
        )
    if state.choices().pixel_size is not None:
        st.caption(f"As entered. In the file: {format_pixel_size(of_file)}.")
    elif notes := cached_steps.whole_image().size_notes:
        st.warning(" ".join(notes), icon=":material/help:")
    elif of_file is not None:
        st.caption(f"From the file: {format_pixel_size(of_file)}.")
    else:
        st.caption("The file gives no pixel size. Until you enter it, lengths are in pixels.")


def _change_sides() -> None:
    now = st.session_state
    state.choose(pixel_size=(now.data_pixel_height, now.data_pixel_width))


def choose_roles(image: Image) -> None:
    """Let the user choose which channels show cells and which one shows nuclei."""
    roles = st.columns(2)
    st.session_state.data_cell = [image.channels[index] for index in image.cell]
    roles[0].multiselect(
        "Cells are shown by",
        image.channels,
        key="data_cell",
        on_change=_change_roles,
        help="One or several channels. Guessed from names and contents until you choose.",
    )
    # The roles of the samples are known, so there is no reason to show.
    if "cell" in image.reasons:
        roles[0].caption(role_in_words(image, "cell"))
    st.session_state.data_nucleus = (
        "none" if image.nucleus is None else image.channels[image.nucleus]
    )
    roles[1].selectbox(
        "Nuclei are shown by",
        [*image.channels, "none"],
        key="data_nucleus",
        on_change=_change_roles,
        help="Without a nucleus channel, markers are found in the cell channel.",
    )
    if "nucleus" in image.reasons:
        roles[1].caption(role_in_words(image, "nucleus"))
    for doubt in doubts(image):
        st.warning(doubt, icon=":material/help:")


def _change_kind() -> None:
    kind, now = st.session_state.data_kind, state.choices().source
    if kind == "file":
        try:
            cached_steps.whole_image()
        except ValueError:
            # An image that cannot be read is replaced by the sample, so its error goes, too.
            state.choose_source(Source())
    elif kind != KIND_OF[now.kind]:
        with panels.complaints():
            _take(Source() if kind == "sample" else Source(kind="paper", name="a1"))


def _take_sample() -> None:
    if st.session_state.data_seed is not None:
        state.choose_source(Source(seed=st.session_state.data_seed))


def _take_paper() -> None:
    if st.session_state.data_paper is not None:
        with panels.complaints():
            _take(Source(kind="paper", name=st.session_state.data_paper))


def _upload() -> None:
    with panels.complaints():
        uploaded = st.session_state.data_upload
        kept = [store_upload(given.name, given.getvalue(), person=person()) for given in uploaded]
        if kept:
            st.session_state.data_address = ""
            _take_files(kept)


def _take_files(kept: Sequence[Source]) -> None:
    """Take the image in some files; those that cannot be read are left out if others are left.

    Raises
    ------
    ValueError
        If one of them cannot be read, even if the others were taken, or if they do not belong
        together.
    """
    try:
        source, now = as_channels(kept), state.choices().source
        if source.is_same(now):
            _take_truth(now.replace(truth=source.truth))
        else:
            _take(source)
    except ValueError:
        # Label images are not checked here: the error above says what is wrong with them.
        wrong = {
            file.name: reason
            for file in kept
            if not is_label_file(file) and (reason := why_unreadable(file))
        }
        left = [file for file in kept if file.name not in wrong]
        if not (wrong and left):
            raise
        _take_files(left)
        raise ValueError("; ".join(f"{reason} (left out)" for reason in wrong.values())) from None


def _take_truth(source: Source) -> None:
    """Take other true cells for the same image; all other choices stay."""
    before = state.choices()
    try:
        state.choose(source=source)
        cached_steps.whole_image()
    except ValueError:
        state.take(before)
        raise


def _fetch() -> None:
    with panels.complaints():
        if address := st.session_state.data_address.strip():
            _take(Source(kind="web", name=address))


def _take(source: Source) -> None:
    """Take another image, with an initial scene, plane and time point if it needs them.

    Raises
    ------
    ValueError
        If it cannot be read; then the previous image stays.
    """

    def read(tried: Source) -> Image:
        state.choose_source(tried)
        return cached_steps.whole_image()

    before = state.choices()
    try:
        read_somehow(source, read)
    except ValueError:
        state.take(before)
        raise


def _how_to_read(source: Source) -> None:
    """Let the user choose the image in the file, plane and time point of a stack, whether cells are
    dark on a bright background, and whether the section is stained.
    """

    def read_anew(**chosen: object) -> None:
        keys, z = st.session_state, source.z
        if z is not None:
            z = "max" if keys.data_projected else keys.get("data_z", 0)
        t = None if source.t is None else keys.data_t
        # A value equal to the automatic one counts as no choice.
        state.choose_source(cached_steps.as_judged(source.replace(z=z, t=t, **chosen)))

    def take_scene() -> None:
        with panels.complaints():
            _take(source.replace(scene=st.session_state.data_scene))

    with st.container(horizontal=True, vertical_alignment="bottom"):
        if source.scene is not None:
            st.session_state.data_scene = source.scene
            titles = cached_steps.titles_in_file()
            if source.scene < len(titles):
                st.selectbox(
                    "Image in the file",
                    range(len(titles)),
                    format_func=lambda number: scene_in_words(titles, number),
                    key="data_scene",
                    on_change=take_scene,
                    width=300,
                )
            else:
                st.number_input(
                    "Image in the file", 0, key="data_scene", on_change=take_scene, width=150
                )
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
        with suppress(ValueError):  # The page shows the error below.
            image = cached_steps.whole_image()
            st.session_state.data_inverted = image.inverted
            st.session_state.data_stained = image.stained
            colour |= image.stained or image.channels == ("red", "green", "blue")
        st.toggle(
            "Dark cells on a bright background",
            key="data_inverted",
            on_change=lambda: read_anew(inverted=st.session_state.data_inverted),
            disabled=bool(st.session_state.get("data_stained")) and colour,
            help="Inverts the intensities. Detected automatically until you set it.",
        )
        if colour:
            st.toggle(
                "Stained section",
                key="data_stained",
                on_change=lambda: read_anew(stained=st.session_state.data_stained),
                help="Nuclei are taken from hematoxylin, cells from the density of all stains. "
                "Detected automatically until you set it.",
            )


def _change_roles() -> None:
    cell, nucleus = tuple(st.session_state.data_cell) or None, st.session_state.data_nucleus
    guessed = cached_steps.whole_image(state.choices().replace(cell=None, nucleus=None)).roles
    if list(cell or ()) == guessed["cell"] and nucleus == guessed["nucleus"]:
        # Roles equal to the guessed ones count as no choice.
        cell = nucleus = None
    state.choose(cell=cell, nucleus=nucleus)

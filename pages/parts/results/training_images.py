"""On the page Results: the cells of the other images that a run was trained on."""

from __future__ import annotations

from functools import partial

import streamlit as st

from cellcutter_core.apply.outcomes import Outcome, outputs
from cellcutter_core.apply.training_images import found_in_others, zip_of_others
from cellcutter_core.runs.store import Run
from pages.shared.image_table import choose_one, picture_in, say_remarks, say_what_is_wrong
from pages.shared.viewer.frame import linked_panes

TITLES = {"labels": "Its label image", "table": "Its table of cells"}


def others_found(run: Run) -> None:
    """Show a row for each other image, the cells of the chosen one, and its files to download.

    Nothing is shown if the run was trained on one image.
    """
    n = len(run.other_files)
    if not n:
        return
    st.subheader("The other image" if n == 1 else f"The {n} other images", anchor=False)
    them, their = ("it", "Its") if n == 1 else ("them", "Their")
    found = found_in_others(run)
    if not found:
        _not_yet(run, their)
        return
    epoch = run.epochs[-1]
    st.caption(f"This run was also trained on {them}. {their} cells are those after epoch {epoch}.")
    if n_left := n - len(found):
        if run.progress.status in ("queued", "running"):
            st.info(f"{n_left} of the {n} images come next.", icon=":material/info:")
        else:
            st.warning(
                f"The training was stopped before the cells of {n_left} of the {n} images were "
                "found. *Finish* on the page Train finds them.",
                icon=":material/warning:",
            )
    say_what_is_wrong(found)
    say_remarks(found)
    left, right = st.columns([2, 3], gap="large")
    with left:
        chosen = choose_one(found, key=f"results_others_{run.path.name}")
        _downloads(run, chosen)
    with right:
        _picture(run, chosen)


def _not_yet(run: Run, whose: str) -> None:
    if run.progress.status in ("queued", "running"):
        when = "when the training ends"
    else:
        when = "at the end of a training; *Continue* on the page Train starts one"
    st.info(f"{whose} cells are found {when}.", icon=":material/info:")


def _picture(run: Run, chosen: Outcome) -> None:
    if chosen.error:
        st.error(f"**{chosen.image}:** {chosen.error}", icon=":material/error:")
        return
    file = run.path / "others" / outputs(chosen.name, ["overlay"])["overlay"]
    if not file.exists():
        return
    linked_panes(
        {f"{chosen.image}, {chosen.cells_in_words}": picture_in(str(file), file.stat().st_mtime)},
        n_columns=1,
        key="results_others_picture",
        place=f"{run.path.name} other {chosen.name}",
        alt=f"{chosen.image} with its {chosen.cells_in_words} in colours",
    )


def _downloads(run: Run, chosen: Outcome) -> None:
    """Offer the files of the chosen image one by one, and all files of all images in one zip."""
    with st.container(horizontal=True):
        for format, name in outputs(chosen.name, list(TITLES)).items():
            file = run.path / "others" / name
            st.download_button(
                f"{TITLES[format]}",
                file.read_bytes,
                f"{run.path.name}-{name}",
                icon=":material/download:",
                on_click="ignore",
                disabled=bool(chosen.error) or not file.exists(),
                key=f"results_other_{format}",
                help=f"For {chosen.image}",
            )
        st.download_button(
            "All of them",
            partial(zip_of_others, run),
            f"{run.path.name}-others.zip",
            icon=":material/folder_zip:",
            on_click="ignore",
            key="results_others_all",
            help="Label image, table and overlay of each image, and summary.csv with one line per "
            "image.",
        )

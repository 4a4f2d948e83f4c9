"""Apply a run to other images: choose them, watch, look at the cells, download the files."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from cellcutter_core.apply.application_folder import Application, Standing, applications
from cellcutter_core.apply.outcomes import USUAL_FORMATS
from cellcutter_core.choices.sources import channel_names_of, is_of_a_part, whole_image_files
from cellcutter_core.choices.uploads import file_of, store_upload
from cellcutter_core.config import is_current
from cellcutter_core.export import IMAGE_FORMATS
from cellcutter_core.images.file_sets.given_files import named_images
from cellcutter_core.images.reading.known_formats import FORMAT_NAMES, endings
from cellcutter_core.images.reading.readers import image_titles
from cellcutter_core.jobs.queue import is_left_behind
from cellcutter_core.runs.store import Run
from pages.shared import panels
from pages.shared.caching import cached_runs, cached_steps
from pages.shared.image_table import (
    choose_one,
    picture_in,
    say_remarks,
    say_what_is_wrong,
)
from pages.shared.person import person
from pages.shared.run_words import end_of_log, format_duration, scene_in_words, waiting_line
from pages.shared.viewer.frame import linked_panes

BRIGHTNESS = {"Detected in each image": None, "Dark on bright": True, "Bright on dark": False}


def choose_images(run: Run) -> None:
    """Choose the files to apply the run to, how to read them, and which files to write."""
    # A new key makes a new, empty widget. The files are on disk, so their memory can be freed.
    turn = st.session_state.setdefault("apply_turn", 0)
    given = st.file_uploader(
        f"Images: {FORMAT_NAMES}",
        type=endings(),
        accept_multiple_files=True,
        key=f"apply_files_{turn}",
        help="As many as you like. They stay on the computer that runs this app.",
    )
    with st.expander("How to read them, and which files to write", icon=":material/tune:"):
        how = _how_to_read(run, [_titles(one.file_id, one) for one in given])
        formats = st.multiselect(
            "Files for each image",
            list(IMAGE_FORMATS),
            default=USUAL_FORMATS,
            format_func=lambda name: IMAGE_FORMATS[name].title,
            key="apply_formats",
            persist_state="session",
        )
    with st.container(horizontal=True):
        start = st.button(
            "Apply",
            icon=":material/play_arrow:",
            type="primary",
            disabled=not (given and formats and is_current(run.config)),
            key="apply_start",
        )
        start_whole = is_of_a_part(run) and st.button(
            "This run's whole image",
            icon=":material/fullscreen:",
            disabled=not (formats and is_current(run.config)),
            key="apply_whole",
            help="The run was trained on a region. Mask and markers are found again on the whole "
            "image.",
        )
    if start:
        with panels.show_errors():
            sources = [store_upload(one.name, one.getvalue(), person=person()) for one in given]
            _begin(run, [file_of(source) for source in sources], formats, how)
    if start_whole:
        with panels.show_errors(), st.spinner("Reading the whole image …"):
            files, own = whole_image_files(run)
            _begin(run, files, formats, own)


def _begin(run: Run, files: list[Path], formats: list[str], how: dict[str, Any]) -> None:
    # Names without folders: uploads are kept in folders with internal names.
    named, scenes = named_images(
        files, scene=how.get("scene"), with_folders=False, channels=channel_names_of(run)
    )
    made = Application.create(run, named, scenes=scenes, formats=formats, how=how)
    cached_runs.jobs(made).submit(made)
    st.session_state.apply_turn += 1
    st.session_state.pop(f"apply_shown_{run.path.name}", None)
    st.rerun()


@st.cache_data(max_entries=10_000, scope="session", show_spinner=False)
def _titles(file_id: str, _given: Any) -> list[str]:
    """Return name and shape of each image in an uploaded file that holds several; else empty."""
    del file_id
    with suppress(ValueError):  # Starting says what is wrong with the file.
        return image_titles(file_of(store_upload(_given.name, _given.getvalue(), person=person())))
    return []


def _how_to_read(run: Run, in_files: list[list[str]]) -> dict[str, Any]:
    """Return the options for `Trained.read`; those left out are as in the run.

    `in_files` has the names of the images in each file; empty for a file with one image.
    """
    own = run.description.reading
    how: dict[str, Any] = {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        labels = {
            "scene": ("Image in the file", "all images"),
            "t": ("Time point (t)", "not chosen"),
            "z": ("Plane of stacks (z)", "not chosen"),
        }
        if titles := max(in_files, key=len, default=[]):
            label, usual = labels.pop("scene")
            how["scene"] = st.selectbox(
                label,
                range(len(titles)),
                index=None,
                placeholder=usual,
                format_func=lambda number: scene_in_words(titles, number),
                key=f"apply_scene_of_{run.id}",
                width=300,
            )
        for name, (label, usual) in labels.items():
            said = name in own and name != "scene"
            how[name] = st.number_input(
                label,
                min_value=0,
                value=None,
                placeholder=f"as the run: {own[name]}" if said else usual,
                key=f"apply_{name}_{run.id}",
                persist_state="session",
                width=180,
            )
        for name, label in {"cell": "Cells are shown by", "nucleus": "Nuclei are shown by"}.items():
            channel = st.text_input(
                label,
                placeholder="as in the run",
                key=f"apply_{name}_{run.id}",
                persist_state="session",
                width=180,
                help="The name of a channel, or its number from 0. Left empty, each channel has "
                "the role that the channel of the same name has in the run.",
            )
            how[name] = channel.strip() or None
        if st.toggle(
            "Maximum over planes", key=f"apply_projected_{run.id}", persist_state="session"
        ):
            how["z"] = "max"
        which = st.selectbox(
            "Cells are",
            list(BRIGHTNESS),
            key=f"apply_brightness_{run.id}",
            persist_state="session",
            width=220,
        )
    how["inverted"] = BRIGHTNESS[which]
    return {name: value for name, value in how.items() if value is not None}


def choose_application(run: Run) -> Application | None:
    """Return the application to show: the last one, unless another is chosen."""
    there = {one.path.name: one for one in applications(run)}
    if not there:
        return None
    if len(there) == 1:
        return next(iter(there.values()))
    chosen = st.selectbox(
        "Applied",
        list(there),
        format_func=lambda name: _title(there[name]),
        key=f"apply_shown_{run.path.name}",
    )
    return there[chosen]


def _title(one: Application) -> str:
    n = len(one.files)
    when = time.strftime("%d %b %H:%M:%S", time.localtime(one.created))
    return f"{when} · {n} {'image' if n == 1 else 'images'}"


def watch(shown: Application, n_drawn: int, status_drawn: str) -> None:
    """Show the progress, every second. When an image is done, the whole page reruns."""
    if not shown.path.is_dir():
        st.rerun()  # Its run was deleted, in another tab.
    now = shown.progress
    if (len(now.outcomes), now.status) != (n_drawn, status_drawn):
        st.rerun()
    st.progress((len(now.outcomes) + now.share) / now.n, text=_line(shown, now))


def _line(shown: Application, now: Standing) -> str:
    done = f"{len(now.outcomes)} of {now.n} {'image' if now.n == 1 else 'images'}"
    if shown.asked_to_stop and now.status in ("queued", "running"):
        return f"Stopping after this {'block' if now.share else 'image'} …"
    if now.status == "queued":
        return waiting_line(shown)
    if now.status == "running" and now.share:
        return f"{done}; now {now.now}, a large image, done in blocks: {now.share:.0%}"
    if now.status == "running":
        seconds = [one.seconds for one in now.outcomes if not one.error]
        if not seconds:
            return f"{done}; now {now.now}. Loading the network takes some seconds"
        return f"{done}; now {now.now}, about {format_duration(np.mean(seconds) * now.n_left)} left"
    if now.status == "finished":
        seconds = format_duration(sum(one.seconds for one in now.outcomes))
        n_wrong = sum(bool(one.error) for one in now.outcomes)
        return f"Finished: {done} in {seconds}" + (f", {n_wrong} without cells" if n_wrong else "")
    return f"{now.status.capitalize()} after {done}"


def go_on_or_stop(shown: Application, now: Standing) -> None:
    """Offer to stop a running application or continue an incomplete one; show errors."""
    jobs = cached_runs.jobs(shown)
    if now.status in ("failed", "crashed"):
        st.error(f"**The application {now.status}:** {now.message}", icon=":material/error:")
        end_of_log(shown)
    left_behind = is_left_behind(shown)
    if left_behind:
        st.warning("The app was closed before this application started.", icon=":material/update:")
    if shown.is_read_only:
        return
    if now.status in ("queued", "running") and not left_behind:
        if st.button("Stop", icon=":material/stop:", key="apply_stop"):
            with panels.show_errors():
                jobs.cancel(shown)
                st.rerun()
    elif now.n_left and st.button(
        f"Continue with {now.n_left} more",
        icon=":material/resume:",
        key="apply_continue",
        disabled=not is_current(shown.run.config),
    ):
        with panels.show_errors():
            jobs.submit(shown)
            st.rerun()


def choose_outcome(shown: Application, now: Standing) -> None:
    """Show a row for each finished image, and pictures of the chosen one."""
    if not now.outcomes:
        return
    say_what_is_wrong(now.outcomes)
    say_remarks(now.outcomes)
    left, right = st.columns([2, 3], gap="large")
    with left:
        chosen = choose_one(
            now.outcomes, key=f"apply_table_{shown.path.name}", scenes=_scenes_in_words(shown)
        )
    with right:
        if chosen.error:
            st.error(f"**{chosen.image}:** {chosen.error}", icon=":material/error:")
            return
        cells = chosen.cells_in_words
        linked_panes(
            {
                chosen.image: picture_in(str(shown.preview(chosen.name, "image"))),
                cells: picture_in(str(shown.preview(chosen.name, "cells"))),
            },
            n_columns=2,
            key="apply_pictures",
            place=f"{shown.path.name} {chosen.name}",
            alt=f"{chosen.image}, alone and with its {cells} in colours",
        )


def _scenes_in_words(shown: Application) -> dict[str, str]:
    """Return the number, name and shape of each image that is not alone in its file."""
    return {
        name: scene_in_words(cached_steps.titles_of(str(shown.files[name])), number)
        for name, number in shown.scenes.items()
    }


def take_home(shown: Application, now: Standing) -> None:
    """Offer all files in one archive."""
    st.download_button(
        "Download all",
        shown.download,
        f"{shown.run.path.name}-applied-{shown.path.name}.zip",
        icon=":material/download:",
        on_click="ignore",
        disabled=all(one.error for one in now.outcomes),
        key="apply_download",
        help="The files of each image, and summary.csv with one line per image.",
    )

"""What a visitor has chosen and opened: in the session, on disk and in the URL.

Choices live in a draft on disk, whose id is in the URL beside that of the open run: reloading or
sharing the address brings both back. Pages read `choices()` and change them by `choose`; widgets
never hold anything that is not in there as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from cellcutter_core.choices.adopted import adopt
from cellcutter_core.choices.choices import Choices, Source, changed, keys
from cellcutter_core.choices.draft import (
    Draft,
    described,
    file_of,
    files_of,
    keys_then,
    markers_digest,
)
from cellcutter_core.markers.finding import Nuclei
from cellcutter_core.runs.folder import find_run
from cellcutter_core.runs.store import Run

# Keys of the session state. Those of widgets begin with the name of their page.
FRAMED = "framed"
WANTED_PAGE = "wanted_page"
CHOICES = "choices"
DRAFT = "draft"
RUN = "run"
COMPLAINT = "complaint"
EDITS = "edits"
BEFORE = "draft_before"
SEEN = "seen"
UNDO = "undo"
REDO = "redo"


def enter(page: str) -> None:
    """First line of every page: through the frame of the app, with what the URL names.

    The first visitor of a server gets a page that is opened directly without `app.py`.
    """
    if not st.session_state.get(FRAMED):
        st.session_state[WANTED_PAGE] = page
        st.switch_page("app.py", query_params=dict(st.query_params))
    _open_url()
    _write_url()


def _open_url() -> None:
    """Bring back the draft and the run that the URL names, once a session."""
    if CHOICES not in st.session_state:
        st.session_state[CHOICES] = Choices()
        st.session_state[DRAFT] = Draft()
        _try(lambda: _open_draft(st.query_params.get("draft")))
    wanted = st.query_params.get("run")
    if wanted and wanted != st.session_state.get(RUN):
        # Without a draft the pages before show what the run was made from.
        _try(lambda: open_run(wanted, with_choices=not draft().exists))


def _open_draft(draft_id: str | None) -> None:
    if draft_id:
        draft = Draft(draft_id)
        if draft.exists:
            st.session_state[CHOICES] = draft.load()
        st.session_state[DRAFT] = draft


def _write_url() -> None:
    wanted = {"run": st.session_state.get(RUN)}
    if draft().exists:
        wanted["draft"] = draft().id
    for name, value in wanted.items():
        if value and st.query_params.get(name) != value:
            st.query_params[name] = value


def url() -> dict[str, str]:
    """Query parameters that a link to another page has to carry."""
    found = {"draft": draft().id} if draft().exists else {}
    return found | ({"run": st.session_state[RUN]} if st.session_state.get(RUN) else {})


def choices() -> Choices:
    """Everything chosen so far."""
    return st.session_state[CHOICES]


def draft() -> Draft:
    """Where the choices are kept."""
    return st.session_state[DRAFT]


def choose(**values: Any) -> None:
    """Change some choices; what is wrong with them is told on the page, and nothing changes."""
    _change(lambda: choices().replace(**values))


def choose_setting(group: str, name: str, value: Any) -> None:
    """Change one setting, as `choose`."""
    _change(lambda: choices().with_setting(group, name, value))


def choose_source(source: Source) -> None:
    """Take another image; what belonged to the last one is forgotten but for the settings."""
    others = choices().others if source.is_same(choices().source) else ()
    choose(source=source, others=others, cell=None, nucleus=None, pixel_size=None, region=None)


def take(new: Choices) -> None:
    """Take other choices as a whole."""
    _change(lambda: new)


def _change(make: Callable[[], Choices]) -> None:
    def change() -> None:
        new = make()
        # From here on it is a way of its own.
        st.session_state.pop(BEFORE, None)
        draft().save(new)
        if keys(new)["image"] != keys(choices())["image"]:
            forget_edits()
        st.session_state[CHOICES] = new

    st.session_state.pop(COMPLAINT, None)
    _try(change)


def forget_edits() -> None:
    """Undo and redo belong to one region of one image; its markers stay on disk."""
    for name in (EDITS, UNDO, REDO):
        st.session_state.pop(name, None)


def complain(message: str) -> None:
    """Keep a message for the page to show."""
    st.session_state[COMPLAINT] = message


def _try(action: Callable[[], None]) -> None:
    try:
        action()
    except ValueError as error:
        complain(str(error))


# Markers ------------------------------------------------------------------------------------------


def edited_markers() -> Nuclei | None:
    """Markers as changed by hand for the present image and region, or None."""
    if EDITS not in st.session_state:
        st.session_state[EDITS] = None
        _try(lambda: st.session_state.update({EDITS: draft().markers(choices())}))
    return st.session_state[EDITS]


def edit_markers(markers: Nuclei | None) -> None:
    """Take markers as changed by hand (None: as they are found), to be undone by `undo`."""
    st.session_state.setdefault(UNDO, []).append(edited_markers())
    st.session_state[REDO] = []
    _keep(markers)


def undo() -> None:
    """Take back the last change of the markers."""
    if st.session_state.get(UNDO):
        st.session_state.setdefault(REDO, []).append(edited_markers())
        _keep(st.session_state[UNDO].pop())


def redo() -> None:
    """Do again what was undone last."""
    if st.session_state.get(REDO):
        st.session_state[UNDO].append(edited_markers())
        _keep(st.session_state[REDO].pop())


def _keep(markers: Nuclei | None) -> None:
    st.session_state[EDITS] = markers

    def save() -> None:
        draft().save(choices())
        draft().save_markers(choices(), markers)

    _try(save)


# Runs ---------------------------------------------------------------------------------------------


def run() -> Run | None:
    """The open run, or None."""
    run_id = st.session_state.get(RUN)
    if run_id is None:
        return None
    try:
        return find_run(run_id)
    except ValueError as error:
        close_run()
        complain(str(error))
        return None


def close_run() -> None:
    """No run is open any more."""
    st.session_state[RUN] = None
    st.query_params.pop("run", None)


def open_run(run_id: str, *, with_choices: bool = False) -> None:
    """Open a run, and if wanted take the choices it was made from.

    Raises
    ------
    ValueError
        If there is no such run, or it is damaged.
    """
    opened = find_run(run_id)
    if "choices" not in opened.description:
        adopt(opened)
    st.session_state[RUN] = run_id
    st.query_params["run"] = run_id
    if with_choices:
        take_choices_of(opened)


def take_choices_of(opened: Run) -> None:
    """Choose what a run was made from, its edited markers included.

    Raises
    ------
    ValueError
        If its images are not here any more and cannot be had from the run.
    """
    chosen = Choices(**opened.description["choices"])
    files = [file for source in (chosen.source, *chosen.others) for file in files_of(source)]
    files += [] if chosen.source.truth is None else [file_of(chosen.source.truth)]
    all_named = len(chosen.others) == len(opened.other_files)
    if not all_named or not all(file.exists() for file in files):
        # It came from another machine.
        chosen = adopt(opened)
    draft().save(chosen)
    if opened.description.get("edits"):
        inputs = opened.inputs
        draft().save_markers(chosen, Nuclei(inputs.nuclei, inputs.points))
    forget_edits()
    st.session_state[CHOICES] = chosen


def description() -> dict[str, Any]:
    """What a run's description says of the present choices."""
    edits = markers_digest(edited_markers())
    return {**described(choices(), edits=edits), "edits": edits}


def differing(opened: Run) -> tuple[str, ...]:
    """The steps of a run that would come out differently with the present choices."""
    now = keys(choices(), edits=markers_digest(edited_markers()))
    return changed(now, keys_then(opened.description))


def out_of_date(opened: Run) -> tuple[str, ...]:
    """As `differing`, where what the run was made from has changed.

    Settings of the training alone are those of the next run, and say nothing of this one.
    """
    steps = differing(opened)
    return () if steps == ("training",) else steps


def look_back(run_id: str) -> None:
    """Open a run of the list, and have all pages show what it was made from.

    What was chosen before stays in its draft; `return_to_choices` goes back to it.

    Raises
    ------
    ValueError
        If there is no such run, or it is damaged.
    """
    opened = find_run(run_id)
    before = draft()
    if "choices" in opened.description and not differing(opened):
        open_run(run_id)
        return
    st.session_state[DRAFT] = Draft()
    try:
        open_run(run_id, with_choices=True)
    except ValueError:
        # Its images are gone: it is looked at beside what is chosen now.
        st.session_state[DRAFT] = before
        open_run(run_id)
        return
    st.session_state[BEFORE] = before.id if before.exists else None


def chosen_before() -> bool:
    """Whether a run was opened in the place of other choices, which are still there."""
    return bool(st.session_state.get(BEFORE))


def return_to_choices() -> None:
    """Take the choices of before a run was opened; it stays open."""
    wanted = st.session_state.pop(BEFORE, None)
    _try(lambda: _open_draft(wanted))
    forget_edits()

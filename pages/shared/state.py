"""What a visitor has chosen and opened: in the session, on disk and in the URL.

Choices are stored in a draft on disk. The URL holds the ids of the draft and of the open run, so
reloading or sharing the address brings both back. A link to an experiment holds the choices
themselves, see `choices.link`; they stay in the URL until something is chosen or a run is opened.
Pages read `choices()` and change them with `choose`. Everything that a widget holds is in the
choices, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import streamlit as st

from cellcutter_core.choices.choices import Choices, Source, changed, keys
from cellcutter_core.choices.draft import Draft, markers_digest
from cellcutter_core.choices.link import (
    View,
    choices_from,
    experiment_in,
    find_experiment,
    other_from,
    parameters_of,
)
from cellcutter_core.choices.of_run import described, keys_then
from cellcutter_core.choices.sources import choices_and_markers_of
from cellcutter_core.markers.finding import Nuclei
from cellcutter_core.people.access import is_own, note_opened, visible
from cellcutter_core.people.access import open_run as open_run_for
from cellcutter_core.runs.folder import RunSummary, list_runs
from cellcutter_core.runs.store import Run
from cellcutter_core.sweeps.classroom import Classroom, find_class
from pages.shared.person import person
from pages.shared.viewer import views

# Keys of the session state. Those of widgets begin with the name of their page.
FRAMED = "framed"
WANTED_PAGE = "wanted_page"
CHOICES = "choices"
DRAFT = "draft"
RUN = "run"
CLASS = "class"
COMPLAINT = "complaint"
EDITS = "edits"
BEFORE = "draft_before"
LINK = "link"
# The image, and which other images were refused beside it, and why.
REFUSED = "train_others_refused"
SEEN = "seen"
UNDO = "undo"
REDO = "redo"

# Bytes of markers that can be brought back by undo: 256 edits of 512 × 512 pixels.
UNDO_MEMORY = 256 * 2**20


def enter(page: str) -> None:
    """Make sure that `app.py` has run, and open the draft and run in the URL. Each page calls this.

    The first visitor of a server who opens a page directly gets it without `app.py`.
    """
    if not st.session_state.get(FRAMED):
        st.session_state[WANTED_PAGE] = page
        st.switch_page("app.py", query_params=dict(st.query_params))
    _open_url()
    _write_url()


def _open_url() -> None:
    """Open the draft in the URL, once a session, and the run in the URL if it is another one."""
    if CHOICES not in st.session_state:
        st.session_state[CHOICES] = Choices()
        st.session_state[DRAFT] = Draft(person=person())
        _try(lambda: _open_draft(st.query_params.get("draft")))
        _try(_open_experiment)
        _try(_join_class)
    wanted = st.query_params.get("run")
    if wanted and wanted != st.session_state.get(RUN):
        # Without a draft, all pages show the choices that the run was made from.
        _try(lambda: open_run(wanted, with_choices=not draft().exists))
        _try(_look)


def _open_draft(draft_id: str | None) -> None:
    if draft_id:
        draft = Draft(draft_id, person=person())
        if draft.exists:
            st.session_state[CHOICES] = draft.load()
            if not draft.is_own:
                # Two people never write the same draft.
                draft = draft.copy()
        st.session_state[DRAFT] = draft


def _open_experiment() -> None:
    """Open the experiment in the URL: its newest run here, or else its choices."""
    told = dict(st.query_params)
    if draft().exists or "run" in told or not experiment_in(told):
        return
    chosen, view = choices_from(told), View.read(told)
    other_from(told, chosen)  # Refused as a whole, even if there is no run to compare.
    found = find_experiment(chosen, listed_runs(), epoch=view.epoch)
    if found is not None:
        open_run(found.id, with_choices=True)
        _look()
        return
    st.session_state[LINK] = parameters_of(chosen), view
    st.session_state[CHOICES] = chosen
    views.set_zoom(view, keys(chosen)["image"])


def _look() -> None:
    """Show what the URL says of the open run: epoch, comparison and zoom."""
    told, opened = dict(st.query_params), run()
    view = View.read(told)
    if opened is not None and view != View():
        if (other := other_from(told, choices())) is not None:
            runs = listed_runs()
            found = find_experiment(other, runs) or find_experiment(other, runs, epoch=0)
            if found is None:
                complain("the experiment that this link compares with has not been run here")
            view = view.replace(other=found and found.id)
        views.set_zoom(view, opened.id, keys(choices())["image"])
        views.set_view(opened, view)
        if view.compare == "runs" and isinstance(view.other, str):
            compared = open_run_for(view.other, person())
            note_opened(compared, person())
            st.session_state[views.OTHER_RUN] = compared.id


def experiment_to_run() -> View | None:
    """Return what a link wants to show of an experiment that has not been run here, or None."""
    if draft().exists or st.session_state.get(RUN) or LINK not in st.session_state:
        return None
    return st.session_state[LINK][1]


def _join_class() -> None:
    """Join the class in the URL; who comes for the first time begins with its choices."""
    if wanted := st.query_params.get("class"):
        room = find_class(wanted)
        st.session_state[CLASS] = wanted
        if not draft().exists and not is_own(room.owner, person()):
            take(room.choices_for(person()))


def classroom() -> Classroom | None:
    """Return the class that the visitor is in, or None."""
    if CLASS not in st.session_state:
        return None
    try:
        return find_class(st.session_state[CLASS])
    except ValueError as error:
        del st.session_state[CLASS]
        complain(str(error))
        return None


def _write_url() -> None:
    wanted = url()
    if "draft" in wanted or "run" in wanted:
        for name in experiment_in(st.query_params):
            del st.query_params[name]
    if experiment_to_run() is None:
        for name, value in wanted.items():
            if st.query_params.get(name) != value:
                st.query_params[name] = value


def url() -> dict[str, str]:
    """Return the query parameters that a link to another page needs."""
    if experiment_to_run() is not None:
        return st.session_state[LINK][0]
    found = {name: st.session_state.get(name) for name in (RUN, CLASS)}
    found["draft"] = draft().id if draft().exists else None
    return {name: value for name, value in found.items() if value}


def choices() -> Choices:
    """Return everything chosen so far."""
    return st.session_state[CHOICES]


def draft() -> Draft:
    """Return the draft that stores the choices."""
    return st.session_state[DRAFT]


def choose(**values: Any) -> None:
    """Change some choices. If they are invalid, nothing changes and the page shows the error."""
    _change(lambda: choices().replace(**values))


def choose_setting(group: str, name: str, value: Any) -> None:
    """Change one setting, like `choose`."""
    _change(lambda: choices().with_setting(group, name, value))


def choose_source(source: Source) -> None:
    """Take another image. What belongs to the last image is forgotten; the settings stay."""
    others = choices().others if source.is_same(choices().source) else ()
    choose(source=source, others=others, cell=None, nucleus=None, pixel_size=None, region=None)


def take(new: Choices) -> None:
    """Take other choices as a whole."""
    _change(lambda: new)


def _change(make: Callable[[], Choices]) -> None:
    def change() -> None:
        new = make()
        # Changed choices are no longer those of a run, so there is no way back to offer.
        st.session_state.pop(BEFORE, None)
        draft().save(new)
        if keys(new)["image"] != keys(choices())["image"]:
            forget_edits()
        st.session_state[CHOICES] = new

    st.session_state.pop(COMPLAINT, None)
    _try(change)


def forget_edits() -> None:
    """Forget edited markers, undo and redo, which belong to one region; markers stay on disk."""
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
    """Return the edited markers of the current image and region, or None."""
    if EDITS not in st.session_state:
        st.session_state[EDITS] = None
        _try(lambda: st.session_state.update({EDITS: draft().markers(choices())}))
    return st.session_state[EDITS]


def edit_markers(markers: Nuclei | None) -> None:
    """Take edited markers, or with None the found ones; `undo` takes it back."""
    earlier: list[Nuclei | None] = [*st.session_state.get(UNDO, ()), edited_markers()]
    while len(earlier) > 1 and sum(one.regions.nbytes for one in earlier if one) > UNDO_MEMORY:
        del earlier[0]
    st.session_state.update({UNDO: earlier, REDO: []})
    keep_markers(markers)


def undo() -> None:
    """Take back the last change of the markers."""
    if st.session_state.get(UNDO):
        st.session_state.setdefault(REDO, []).append(edited_markers())
        keep_markers(st.session_state[UNDO].pop())


def redo() -> None:
    """Repeat the change that was undone last."""
    if st.session_state.get(REDO):
        st.session_state[UNDO].append(edited_markers())
        keep_markers(st.session_state[REDO].pop())


def keep_markers(markers: Nuclei | None) -> None:
    """Take edited markers, or with None the found ones, without an entry for `undo`."""
    st.session_state[EDITS] = markers

    def save() -> None:
        draft().save(choices())
        draft().save_markers(choices(), markers)

    _try(save)
    st.session_state.pop(BEFORE, None)


# Runs ---------------------------------------------------------------------------------------------


def run() -> Run | None:
    """Return the open run, or None."""
    run_id = st.session_state.get(RUN)
    if run_id is None:
        return None
    try:
        return open_run_for(run_id, person())
    except ValueError as error:
        close_run()
        complain(str(error))
        return None


def listed_runs() -> list[RunSummary]:
    """Return the runs that the visitor sees in lists, newest first."""
    return visible(list_runs()[0], person())


def close_run() -> None:
    """Close the open run."""
    st.session_state[RUN] = None
    st.query_params.pop("run", None)


def open_run(run_id: str, *, with_choices: bool = False) -> None:
    """Open a run and, with `with_choices`, take the choices it was made from.

    Raises
    ------
    ValueError
        If there is no such run, or it is damaged.
    """
    opened = open_run_for(run_id, person())
    opened.tidy()
    note_opened(opened, person())
    st.session_state[RUN] = run_id
    st.query_params["run"] = run_id
    if with_choices:
        take_choices_of(opened)


def take_choices_of(opened: Run) -> None:
    """Take the choices that a run was made from, with its edited markers, see `take_instead`.

    Raises
    ------
    ValueError
        If its images are no longer here and the run does not hold them.
    """
    take_instead(*choices_and_markers_of(opened))


def take_instead(chosen: Choices, markers: Nuclei | None = None) -> None:
    """Take other choices and edited markers, in a draft of their own.

    The previous choices stay in their draft; `return_to_choices` goes back to them.

    Raises
    ------
    ValueError
        If the folder of drafts cannot be written.
    """
    is_edited = markers_digest(markers) != markers_digest(edited_markers())
    if chosen == choices() and not is_edited:
        return
    before, new = draft(), Draft(person=person())
    new.save(chosen)
    new.save_markers(chosen, markers)
    # Where the choices were already those of a run, the way back leads to those before.
    if before.exists and not chosen_before():
        st.session_state[BEFORE] = before.id
    st.session_state.update({DRAFT: new, CHOICES: chosen})
    forget_edits()


def description() -> Mapping[str, Any]:
    """Return the attributes of a run's description that state the current choices."""
    return described(choices(), edits=markers_digest(edited_markers()))


def differing(opened: Run) -> tuple[str, ...]:
    """Return the steps of a run that would give other results with the current choices."""
    now = keys(choices(), edits=markers_digest(edited_markers()))
    return changed(now, keys_then(opened.description))


def out_of_date(opened: Run) -> tuple[str, ...]:
    """Return `differing`, but empty if only the training differs.

    Changed settings of the training are for the next run; this run is not out of date.
    """
    steps = differing(opened)
    return () if steps == ("training",) else steps


def look_back(run_id: str) -> None:
    """Open a run of the list, and make all pages show the choices it was made from.

    See `take_instead`; where the images of the run are gone, the current choices stay.

    Raises
    ------
    ValueError
        If there is no such run, or it is damaged.
    """
    opened = open_run_for(run_id, person())
    open_run(run_id)
    if opened.description.choices and not differing(opened):
        return
    with suppress(ValueError):
        take_choices_of(opened)


def chosen_before() -> bool:
    """Return whether opening a run replaced other choices that can be brought back."""
    return bool(st.session_state.get(BEFORE))


def return_to_choices() -> None:
    """Go back to the choices from before a run was opened; the run stays open."""
    wanted = st.session_state.pop(BEFORE, None)
    _try(lambda: _open_draft(wanted))
    forget_edits()

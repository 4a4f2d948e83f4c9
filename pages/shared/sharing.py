"""Share what a page shows as a link: the experiment, or the ids of draft and run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import streamlit as st

from cellcutter_core.choices.draft import markers_digest
from cellcutter_core.choices.link import (
    View,
    as_query,
    parameters_of,
    parameters_of_other,
    parameters_of_run,
)
from cellcutter_core.runs.folder import find_run
from cellcutter_core.runs.store import Run
from pages.shared import state

_HTML = """
<div class="link">
  <textarea readonly aria-label="Link"></textarea>
  <button type="button">Copy</button>
</div>
"""
_JS, _CSS = (
    Path(__file__).with_name(f"sharing.{kind}").read_text("utf-8") for kind in ("js", "css")
)
_link = st.components.v2.component("cellcutter_link", html=_HTML, css=_CSS, js=_JS)

EXPERIMENT = (
    "This link holds the image, the settings that differ from the preset, the seed, and what this "
    "page shows. Where this experiment was run, it opens that run; elsewhere it offers to run it."
)


def share(run: Run | None = None, *, view: View | None = None, place: str) -> None:
    """Show a button that opens the link to what the page shows.

    Parameters
    ----------
    run : Run, optional
        What is shared; without it, the choices.
    view : View, optional
        What is looked at in the run; the browser adds the zoom.
    place : str
        The place of the pictures on this page, see `viewer.frame.linked_panes`.
    """
    with st.popover("Share", icon=":material/share:", key="share"):
        try:
            parameters, what = _experiment(run), EXPERIMENT
        except ValueError as error:
            parameters, what = _ids(run)
            what = f"{what}, because {error}."
        st.caption(what)
        if parameters:
            query = as_query({**parameters, **_looked_at(view or View(), parameters)})
            # In a list, because for a dict Streamlit loads pandas to look for data frames in it.
            _link(key="share_link", data=[{"link": f"{st.context.url}?{query}", "place": place}])


def _experiment(run: Run | None) -> dict[str, str]:
    if run is not None:
        return parameters_of_run(run.description)
    return parameters_of(state.choices(), edits=markers_digest(state.edited_markers()))


def _looked_at(view: View, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a view; another run is named as an experiment, if it is one."""
    found = view.parameters
    if view.compare == "runs" and view.other and "image" in parameters:
        with suppress(ValueError):
            other = parameters_of_run(find_run(str(view.other)).description)
            if other != parameters:
                del found["with"]
                found |= parameters_of_other(parameters, other)
    return found


def _ids(run: Run | None) -> tuple[dict[str, str], str]:
    """Return the id of the run or of the draft, and the beginning of a sentence on it."""
    if run is not None:
        return {"run": run.id}, "This link opens the run here, as long as it is kept"
    if state.draft().exists:
        said = "This link opens these choices here, and not elsewhere"
        return {"draft": state.draft().id}, said
    return {}, "There is no link to these choices"

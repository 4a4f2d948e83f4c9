"""What test_pointer.py looks at: markers in a fragment, on one of two pages."""

import numpy as np
import streamlit as st

from pages.shared.viewer.picture import marker_editor

state = st.session_state
state.setdefault("points", [])
state.setdefault("runs", 0)


@st.fragment
def editor() -> None:
    """The markers; an edit runs this alone."""
    rgb = np.full((300, 400, 3), 120, np.uint8)
    edit = marker_editor(rgb, state.points, key="markers", alt="Grey")
    if edit and edit.kind == "add":
        state.points.append(edit.point)
        st.rerun(scope="fragment")
    st.text(f"points {state.points}, whole runs {state.runs}")


def markers() -> None:
    """The page with the fragment."""
    state.runs += 1
    editor()


def other() -> None:
    """A page without pictures."""
    st.text("The other page")


pages = [st.Page(markers, title="Markers"), st.Page(other, title="Other")]
st.navigation(pages, position="top").run()

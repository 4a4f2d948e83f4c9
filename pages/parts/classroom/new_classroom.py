"""Make a class from the current choices, and show its link."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.runs.names import value_in_words
from cellcutter_core.sweeps.classroom import Classroom
from cellcutter_core.sweeps.variations import Variation
from pages.shared import panels, state
from pages.shared.person import person
from pages.shared.settings import choose_varied


def make() -> None:
    """Let the teacher choose what varies between people, and make the class."""
    choices = state.choices().replace(others=())
    st.markdown(
        f"Everybody begins with your image, **{choices.source.title}**, and with your settings. "
        "Choose a setting of which each person gets another value, or nothing."
    )
    title = st.text_input("Title", max_chars=80, key="classroom_title", placeholder="optional")
    given = choose_varied(
        "Differs between people",
        "classroom",
        more_help=" The first person gets the first one, and after the last they begin again.",
    )
    if state.edited_markers() is not None:
        st.caption("Markers that you edited stay yours; the others begin with the found ones.")
    if st.button("Make the class", icon=":material/group_add:", type="primary", key="class_make"):
        with panels.show_errors():
            varied = Variation.parse(*given) if given else None
            made = Classroom.create(choices, variation=varied, title=title, owner=person())
            st.session_state["classroom_open"] = made.id
            st.rerun()


def share(room: Classroom) -> None:
    """Show the link of a class, and what its people get."""
    address = f"{(st.context.url or '').rpartition('/')[0]}/data?class={room.id}"
    st.code(address, language=None)
    line = f"Whoever opens this link is in the class: {room.n_people} so far."
    if room.variation is not None:
        values = ", ".join(map(value_in_words, room.variation.values))
        line += f" They get {room.variation.title} {values} in turn."
    st.caption(line)

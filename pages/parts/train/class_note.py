"""What a person in a class sees on the page Train: what is theirs, and their name on the wall."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.people.access import is_own
from cellcutter_core.runs.names import value_in_words
from pages.shared import panels, state
from pages.shared.person import person
from pages.shared.start import NAME


def class_note() -> None:
    """Show which class the visitor is in, and ask for the name on the wall."""
    room = state.classroom()
    if room is None:
        return
    line = f"You are in the class **{room.name}**."
    if room.variation is not None and not is_own(room.owner, person()):
        with panels.show_errors():
            value = room.variation.value_in(room.choices_for(person()).config)
            line += f" Yours: {room.variation.title} **{value_in_words(value)}**."
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.markdown(f"{line} The runs that you start are on its wall.", width="content")
        panels.link("classroom", "The wall")
    st.text_input(
        "Your name on the wall",
        max_chars=80,
        key=NAME,
        persist_state="session",
        placeholder="optional",
        width=300,
    )

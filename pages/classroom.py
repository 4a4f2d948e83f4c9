"""A class: make one, share its link, and see the runs of all its people on a wall."""

import streamlit as st

from cellcutter_core.people.access import is_own
from cellcutter_core.sweeps.classroom import list_classes
from pages.parts.classroom import new_classroom, wall
from pages.shared import panels, state
from pages.shared.person import person

state.enter("classroom")
panels.head("classroom")

if not person():
    st.info(
        "This server is for one person, so all who reach it are the same person. For a class, "
        "start it with `CELLCUTTER_PEOPLE=many`; then it knows each browser.",
        icon=":material/info:",
    )
    panels.explain("classroom")
    st.stop()

joined = state.classroom()
if joined is not None and not is_own(joined.owner, person()):
    st.subheader(joined.name, anchor=False)
    wall.show(joined, may_open=False)
else:
    new_classroom.make()
    if classes := {one.id: one for one in list_classes() if is_own(one.owner, person())}:
        st.subheader("Your classes", anchor=False)
        name = st.selectbox(
            "Class",
            list(classes),
            format_func=lambda name: f"{classes[name].name} · {name[-5:]}",
            key="classroom_open",
        )
        new_classroom.share(classes[name])
        wall.show(classes[name], may_open=True)
panels.explain("classroom")

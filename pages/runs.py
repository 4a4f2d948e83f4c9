"""All runs: find, open, name, compare and delete them."""

import streamlit as st

from cellcutter_core.people.access import visible
from cellcutter_core.runs.folder import list_runs
from cellcutter_core.runs.names import run_name
from pages.parts.runs.run_actions import actions, bring_back
from pages.parts.runs.run_table import run_table
from pages.shared import panels, state
from pages.shared.caching import cached_runs
from pages.shared.person import logs_in, person

state.enter("runs")
panels.head("runs")

everybodys, n_damaged = list_runs()
runs = visible(everybodys, person())
open_id = st.session_state.get(state.RUN)
state.run()  # If somebody deleted the open run, the page says so.

if not runs:
    st.info(
        "There is no run yet. Start one on the page Train, or run the sample on Overview.",
        icon=":material/info:",
    )
    panels.link("overview")
elif chosen := run_table(runs, open_id):
    if len(chosen) == 1:
        st.subheader(run_name(chosen[0]), anchor=False)
    else:
        st.subheader(f"{len(chosen)} runs chosen", anchor=False)
    actions(chosen)
    st.caption("Tick rows in the table to choose other runs; two can be compared.")
if person():
    st.caption(
        "You see your own runs, and those of other people whose link you opened. This browser is "
        "how the server knows you."
        if not logs_in()
        else "You see your own runs, and those of other people whose link you opened."
    )
elif n_damaged:
    st.caption(f"Run folders that cannot be read: {n_damaged}.")
bring_back()
panels.explain("runs")
cached_runs.rest_of_thumbnails()

"""Train on the image with many settings, and compare what they give."""

import streamlit as st

from cellcutter_core.people.access import is_own
from cellcutter_core.sweeps.sweep import list_sweeps
from cellcutter_core.sweeps.variations import MOST_VARIED, Variation
from pages.parts.sweep import grid, planning
from pages.shared import panels, state
from pages.shared.caching import cached_runs, cached_steps
from pages.shared.person import person
from pages.shared.settings import choose_varied

state.enter("sweep")
panels.head("sweep")
panels.needs(cached_steps.image)

with panels.show_errors():
    given = choose_varied("Vary", "sweep", most=MOST_VARIED, usual="training.lam")
    variations = [Variation.parse(one) for one in given]
    if variations:
        n = planning.say_how_long(variations)
        if st.button(
            f"Train {n} runs", icon=":material/play_arrow:", type="primary", key="sweep_start"
        ):
            st.session_state["sweep_open"] = planning.start(variations).id
            st.rerun()

sweeps = {one.id: one for one in list_sweeps() if is_own(one.owner, person())}
if sweeps:
    st.subheader("Sweeps", anchor=False)
    chosen = st.selectbox(
        "Sweep",
        list(sweeps),
        format_func=lambda name: f"{sweeps[name].title} · {name[-5:]}",
        key="sweep_open",
    )
    sweep = sweeps[chosen]
    rows = sweep.rows()
    grid.controls(sweep, rows)
    n_ended = sum(not row.is_under_way for row in rows)
    going = n_ended < len(rows)
    st.fragment(grid.shown, run_every=2.0 if going else None)(sweep, n_ended)
    grid.plot(sweep, rows)
    grid.table(sweep, rows)
panels.explain("sweep")
cached_runs.rest_of_thumbnails()

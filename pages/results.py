"""Show the cells one by one with their measurements, and offer the files to download."""

import numpy as np
import streamlit as st

from cellcutter_core.choices.link import View
from cellcutter_core.images.pixel_size import checked
from cellcutter_core.view.histogram import histogram
from pages.parts.results.cell_list import cell_list, choose, chosen_cells, column_title, filters
from pages.parts.results.correcting import correcting, move_point, parts, split_points
from pages.parts.results.downloads import downloads
from pages.parts.results.measurements import measured, picture
from pages.parts.results.training_images import others_found
from pages.shared import panels, python_code, state
from pages.shared.caching import cached_runs, cached_steps
from pages.shared.open_run import choose_epoch, opened_run
from pages.shared.run_words import doubts_note
from pages.shared.sharing import share
from pages.shared.viewer.picture import cell_picker

state.enter("results")
panels.head("results")

run = opened_run("There are no cells")
with st.container(horizontal=True, vertical_alignment="bottom"):
    number = choose_epoch("Cells after epoch", run, run.epochs, key="results")
    share(run, view=View(epoch=number), place=run.id)
cells = panels.needs(lambda: measured(run, number))
table = cells.table
place = f"{run.path.name}_{number}"
with panels.show_errors():
    doubts_note(cached_runs.run_doubts(run))
if not len(table["id"]):
    st.warning("There is no cell in this epoch; choose another one.", icon=":material/warning:")
    correcting(run, number, cells, [], key=place)
    others_found(run)
    st.stop()

kept = filters(table)
left, right = st.columns([3, 2], gap="large")
with right:
    chosen = cell_list(table, kept, key=place)
    correcting(run, number, cells, chosen, key=place)
    points = split_points(cells, chosen, key=place)
with left:
    picked = cell_picker(
        # A cell to split is shown without its colour, so that its nuclei can be seen.
        picture(run, cells, kept, bare=None if points is None else chosen[0]),
        [ring for cell in chosen for piece in cells.outlines[cell] for ring in piece]
        if points is None
        else parts(run, cells, chosen[0], points),
        key="results_cells",
        place=run.id,
        alt=f"{kept.sum()} cells in colours, {(~kept).sum()} left out in grey, "
        f"{len(chosen)} of them chosen",
        status=chosen_cells(table, chosen),
        points=points or (),
        pixel_size=checked(run.description.pixel_size),
    )
if picked is not None and points is not None:
    move_point(cells, chosen[0], points, picked.point, key=place)
    st.rerun()
if picked is not None:
    cell = 0 if picked.point is None else int(cells.labels[picked.point])
    choose(cell, chosen if picked.more else [], key=place)
    st.rerun()

if kept.any():
    column = st.selectbox(
        "Distribution of",
        [name for name in table if name not in ("id", "touches_border")],
        index=2,
        key="results_column",
        persist_state="session",
        format_func=column_title,
    )
    panels.chart(
        cached_steps.drawn(
            f"column {cells.key} {column} {np.packbits(kept).tobytes().hex()}",
            lambda: histogram(table[column][kept], name=column_title(column)),
        ),
        key="results_histogram",
        alt=f"Histogram of {column_title(column)} over {kept.sum()} cells",
    )

downloads(run, number, cells, kept)
others_found(run)
panels.footer("results", python_code.results_code(str(run.path), number))

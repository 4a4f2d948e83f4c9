"""What test_pointer.py looks at: both widgets, and what Python made of the edits as text."""

import numpy as np
import streamlit as st

from pages.shared.viewer.picture import marker_editor, region_picker

st.set_page_config(layout="wide")


@st.cache_data(max_entries=2)
def picture() -> np.ndarray:
    """Two bright discs on dark and noise, 300 x 400."""
    rows, cols = np.mgrid[:300, :400]
    rgb = np.random.default_rng(0).integers(10, 60, (300, 400, 3), dtype=np.uint8)
    for row, col in ((80, 100), (200, 280)):
        rgb[(rows - row) ** 2 + (cols - col) ** 2 < 40**2] += 190
    return rgb


state = st.session_state
state.setdefault("box", (50, 60, 200, 260))
state.setdefault("points", [(80, 100), (200, 280), (150, 20)])
state.setdefault("selected", None)
state.setdefault("log", [])
if st.query_params.get("many") and len(state.points) < 2300:
    state.points = np.random.default_rng(1).integers(0, (300, 400), (2300, 2)).tolist()

left, right = st.columns(2)
with left:
    state.box = region_picker(picture()[::2, ::2], state.box, key="region", alt="Discs", scale=0.5)
with right:
    edit = marker_editor(
        picture(), state.points, key="markers", alt="Discs with markers", selected=state.selected
    )
    if edit:
        state.log.append(edit.kind)
        if edit.kind == "add":
            state.points.append(edit.point)
        elif edit.kind == "remove":
            del state.points[edit.index]
            state.selected = None
        elif edit.kind == "move":
            state.points[edit.index] = edit.point
        else:
            state.selected = edit.index
        st.rerun()
if st.button("Unrelated"):
    state.log.append("unrelated")
st.text(f"box {tuple(state.box)}")
st.text(f"points {len(state.points)} {[tuple(point) for point in state.points[:9]]}")
st.text(f"selected {state.selected}")
st.text(f"log {' '.join(state.log)}")

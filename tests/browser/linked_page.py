"""What test_linked.py looks at: three linked pictures, on two pages."""

import numpy as np
import streamlit as st

from pages.shared.viewer.frame import linked_panes

st.set_page_config(layout="wide")
state = st.session_state
state.setdefault("number", 1)
state.setdefault("place", "here")


def picture(seed: int) -> np.ndarray:
    """Noise, 150 x 200, another one for each number."""
    return np.random.default_rng(seed).integers(0, 256, (150, 200, 3), dtype=np.uint8)


def first() -> None:
    """Three panes in a row, whose pictures and place change; below them enough to scroll."""
    linked_panes(
        {
            "Image": picture(0),
            f"Cells {state.number}": picture(state.number),
            "Probability": picture(-state.number % 1000),
        },
        n_columns=3,
        key="first",
        place=state.place,
        alt=f"Noise of number {state.number}",
        legend={"added": (240, 228, 66)},
    )
    if st.button("Next"):
        state.number += 1
        st.rerun()
    if st.button("Elsewhere"):
        state.place = "elsewhere" if state.place == "here" else "here"
        st.rerun()
    st.text(f"number {state.number}, {state.place}")
    st.container(height=1500, border=True)


def second() -> None:
    """Another page that looks at the same place."""
    linked_panes({"Alone": picture(0)}, n_columns=1, key="second", place="here", alt="One picture")


pages = [st.Page(first, title="First"), st.Page(second, title="Second")]
st.navigation(pages, position="top").run()

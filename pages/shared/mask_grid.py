"""On the page Mask: what other settings would give."""

from __future__ import annotations

from itertools import combinations

import streamlit as st

from cellcutter_core.config import MaskSettings
from cellcutter_core.view.figures import parameter_grid
from pages.shared import cached, panels, state

PARAMETERS = ("prior", "max_weight", "sigma")


@st.fragment
def mask_grid(settings: MaskSettings) -> None:
    """Masks over a range of two settings; one click takes a pair of values."""
    st.caption("The graph cut over a range of two parameters. Choose one to take its values.")
    pairs = {" and ".join(pair): pair for pair in combinations(PARAMETERS, 2)}
    chosen_pair = st.segmented_control(
        "Parameters", list(pairs), default="prior and max_weight", key="mask_grid_pair"
    )
    if chosen_pair is None:
        return
    pair = pairs[chosen_pair]
    spans = {
        "prior": (0.8, 0.9, 0.95, 0.985),
        "max_weight": (0.0, 1.0, 5.0, 20.0),
        "sigma": (0.01, 0.03, 0.1, 0.3),
    }
    values = [
        tuple(sorted({*spans[name], getattr(settings, name)}))
        if not settings.automatic
        else spans[name]
        for name in pair
    ]
    with panels.told():
        masks = cached.grid_of_masks(pair, *values)
        current = None if settings.automatic else tuple(getattr(settings, name) for name in pair)
        chosen = panels.chart_to_choose(
            parameter_grid(masks, cached.picture(), *values, names=pair, current=current),
            key="mask_grid",
            alt=f"Masks for {len(values[0])} values of {pair[0]} and {len(values[1])} of {pair[1]}",
        )
        if chosen is not None:
            row, col = chosen
            state.choose(
                config=state.choices().config.replace(
                    mask=settings.replace(automatic=False, **{pair[0]: row, pair[1]: col})
                )
            )
            st.rerun()

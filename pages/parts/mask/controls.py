"""Callbacks of the controls on the page Mask, and the masks that other settings would give.

Streamlit keeps a widget's callback, and everything its module holds, as long as the session.
So the callbacks are in this module, which holds no image, and not on the page.
"""

from __future__ import annotations

from itertools import combinations

import streamlit as st

from cellcutter_core.config import PAPER, MaskSettings
from cellcutter_core.view.tiles import parameter_grid
from pages.shared import panels, state
from pages.shared.caching import cached_steps

PARAMETERS = ("prior", "max_weight", "sigma")


def switch() -> None:
    """Switch the automatic mask on or off. Switched off, values that nobody changed are replaced
    by values that suit the image.
    """
    if st.session_state["mask_automatic"]:
        state.choose_setting("mask", "automatic", True)
        return
    now = state.choices().config.mask
    begun_with = (PAPER.mask, st.session_state.get("mask_suited"))
    if now.replace(automatic=False) in [one.replace(automatic=False) for one in begun_with if one]:
        suit()
    else:
        state.choose_setting("mask", "automatic", False)


def suit() -> None:
    """Take values that suit the image."""
    with panels.complaints():
        st.session_state["mask_suited"] = cached_steps.suited_mask_settings()
        take(st.session_state["mask_suited"])


def take(settings: MaskSettings) -> None:
    state.choose(config=state.choices().config.replace(mask=settings))


@st.fragment
def mask_grid(settings: MaskSettings) -> None:
    """Show masks over a range of two settings; one click takes a pair of values."""
    st.caption("The graph cut over a range of two parameters. Choose one to take its values.")
    pairs = {" and ".join(pair): pair for pair in combinations(PARAMETERS, 2)}
    chosen_pair = st.segmented_control(
        "Parameters", list(pairs), default="prior and max_weight", key="mask_grid_pair", wrap=True
    )
    if chosen_pair is None:
        return
    pair = pairs[chosen_pair]
    with panels.show_errors():
        around = cached_steps.suited_mask_settings() if settings.automatic else settings
        priors = cached_steps.priors()
        spans = {
            "prior": priors[len(priors) // 8 :: max(len(priors) // 4, 1)],
            "max_weight": (0.0, 0.5, 2.0, 10.0),
            "sigma": tuple(float(f"{factor * around.sigma:.2g}") for factor in (0.5, 2, 4)),
        }
        values = [tuple(sorted({*spans[name], getattr(around, name)})) for name in pair]
        masks = cached_steps.grid_of_masks(around, pair, *values)
        current = None if settings.automatic else tuple(getattr(settings, name) for name in pair)
        with panels.wide():
            chosen = panels.chart_to_choose(
                parameter_grid(masks, cached_steps.picture(), *values, names=pair, current=current),
                key="mask_grid",
                alt=f"Masks for {len(values[0])} values of {pair[0]} and {len(values[1])} of "
                f"{pair[1]}",
            )
        if chosen is not None:
            row, col = chosen
            state.choose(
                config=state.choices().config.replace(
                    mask=around.replace(automatic=False, **{pair[0]: row, pair[1]: col})
                )
            )
            st.rerun()

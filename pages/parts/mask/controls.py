"""Callbacks of the controls on the page Mask.

Streamlit keeps a widget's callback, and everything its module holds, as long as the session.
So the callbacks are in this module, which holds no image, and not on the page.
"""

from __future__ import annotations

import streamlit as st

from cellcutter_core.config import PAPER, MaskSettings
from pages.shared import panels, state
from pages.shared.caching import cached_steps


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

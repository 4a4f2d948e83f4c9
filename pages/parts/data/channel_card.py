"""A channel on the page Data: its picture, its display window and its histogram."""

from __future__ import annotations

import io

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from cellcutter_core.choices.choices import Source
from cellcutter_core.images.image import Image
from cellcutter_core.view.histogram import counted_in_bars, intensities
from cellcutter_core.view.render import display_window
from pages.shared.caching import cached_steps

# The longest side of a channel's picture, in pixels.
LARGEST_PICTURE = 384


def channel_card(image: Image, index: int, *, source: Source) -> None:
    """Show a channel of the whole image in a frame, with its display window and histogram."""
    channel, name = image.pixels[..., index], image.channels[index]
    roles = {"cells": index in image.cell, "nuclei": index == image.nucleus}
    role = " and ".join(name for name in roles if roles[name]) or "unused"
    key = f"{source.model_dump_json()} {index}"
    # Counted once, however often the window is moved.
    low, high, usual, bars = cached_steps.drawn_channel(
        f"counted {key}", lambda: (*_range(channel), counted_in_bars(channel, name=name))
    )
    # The key holds the whole source: another image of the same name has another range.
    slider = f"data_window_{key}"
    window = st.session_state.get(slider, usual)
    with st.container(border=True):
        st.image(
            cached_steps.drawn_channel(f"picture {key} {window}", lambda: _png(channel, window)),
            caption=f"{name} ({role}): {low:g} to {high:g}",
            width="stretch",
            output_format="PNG",
            alt=f"Channel {name}, role: {role}",
        )
        if high > low:
            st.slider(
                "Display window",
                low,
                high,
                usual,
                # Fine enough for intensities in a narrow range, as from 0 to 0.005.
                step=min(0.01, (high - low) / 500),
                key=slider,
                persist_state="session",
                format="%g",
                help="Changes only this picture.",
            )
        alt = f"Histogram of {name}, {low:g} to {high:g}"
        st.html(
            cached_steps.drawn_channel(
                f"histogram {key} {window}",
                lambda: intensities(bars, window, span=(low, high), alt=alt),
            )
        )


def _range(channel: NDArray[np.generic]) -> tuple[float, float, tuple[float, float]]:
    """Return the lowest and the highest intensity, and the initial display window."""
    low, high = float(channel.min()), float(channel.max())
    # Rounded to four digits, to be easy to read, but never beyond the range.
    black, white = (min(max(float(f"{at:.4g}"), low), high) for at in display_window(channel))
    return low, high, (black, white)


def _png(channel: NDArray[np.generic], window: tuple[float, float]) -> bytes:
    """Return a small picture of the channel within its display window."""
    step = -(-max(channel.shape) // LARGEST_PICTURE)
    shown = (channel[::step, ::step].astype(np.float32) - window[0]) / max(
        window[1] - window[0], 1e-9
    )
    file = io.BytesIO()
    Pillow.fromarray((255 * np.clip(shown, 0, 1)).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()

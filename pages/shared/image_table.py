"""What became of several images: a row for each to choose, what is wrong, and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import streamlit as st
from PIL import Image

from cellcutter_core.apply.outcomes import Outcome
from cellcutter_core.view.look import LARGEST_SIDE
from cellcutter_core.view.render import Rgb

MOST_REASONS = 5


def say_what_is_wrong(outcomes: Sequence[Outcome]) -> None:
    """Why some images have no cells; nothing where all have."""
    wrong = [one for one in outcomes if one.error]
    if not wrong:
        return
    reasons = [f"- `{one.image}`: {one.error}" for one in wrong[:MOST_REASONS]]
    if len(wrong) > MOST_REASONS:
        reasons.append("- and more, see the table")
    st.warning(
        f"{len(wrong)} of {len(outcomes)} images could not be done:\n" + "\n".join(reasons),
        icon=":material/error:",
    )


def say_what_else_it_saw(outcomes: Sequence[Outcome]) -> None:
    """Channels of other names than in the run: only the person knows whether that matters."""
    remarks = Counter(one.remark for one in outcomes if one.remark)
    for remark, n in remarks.most_common(MOST_REASONS):
        first = next(one.image for one in outcomes if one.remark == remark)
        more = f" and {n - 1} more" if n > 1 else ""
        st.info(
            f"In `{first}`{more} the network {remark}. Where that is another stain, what it finds "
            "is worth little.",
            icon=":material/info:",
        )


def choose_one(outcomes: Sequence[Outcome], *, key: str) -> Outcome:
    """A table with a row for each image, and the one chosen in it, at first the first with cells.

    Parameters
    ----------
    outcomes : sequence of Outcome
        One at least.
    key : str
        Of the table.
    """
    in_um = any(one.median_area_um2 for one in outcomes)
    areas = {f"median area in {'µm²' if in_um else 'pixels'}": "median_area" + "_um2" * in_um}
    event = st.dataframe(
        {
            "image": [one.name for one in outcomes],
            "cells": [one.cells for one in outcomes],
            **{title: [getattr(one, name) for one in outcomes] for title, name in areas.items()},
            "cell area": [one.mask_fraction for one in outcomes],
            "seconds": [one.seconds for one in outcomes],
        }
        | ({"trouble": [one.error for one in outcomes]} if any(o.error for o in outcomes) else {}),
        placeholder="",
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "image": st.column_config.TextColumn(pinned=True),
            "cell area": st.column_config.NumberColumn(
                format="percent", help="Share of the image that the mask calls cell."
            ),
            "seconds": st.column_config.NumberColumn(format="%.1f"),
            **{title: st.column_config.NumberColumn(format="%.4g") for title in areas},
        },
        alt=f"A row for each of {len(outcomes)} images with its number of cells",
    )
    rows = [row for row in event["selection"]["rows"] if row < len(outcomes)]
    if rows:
        return outcomes[rows[0]]
    return next((one for one in outcomes if not one.error), outcomes[0])


@st.cache_data(max_entries=8, scope="session", show_spinner=False)
def picture_in(file: str, stamp: float = 0.0) -> Rgb:
    """(H, W, 3) the picture in a file, no larger than pages show one.

    Parameters
    ----------
    file : str
        Its path.
    stamp : float
        The time of the file, where it may be written again.
    """
    del stamp
    with Image.open(file) as picture:
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
        return np.asarray(picture)

"""The outcome of several images: a table to choose one in, error messages, and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import streamlit as st
from PIL import Image

from cellcutter_core.apply.outcomes import Outcome
from cellcutter_core.view.figure_style import LARGEST_SIDE
from cellcutter_core.view.render import Rgb

MOST_REASONS = 5


def say_what_is_wrong(outcomes: Sequence[Outcome]) -> None:
    """Show the errors of images that failed; nothing if none failed."""
    wrong = [one for one in outcomes if one.error]
    if not wrong:
        return
    reasons = [f"- `{one.image}`: {one.error}" for one in wrong[:MOST_REASONS]]
    if len(wrong) > MOST_REASONS:
        reasons.append("- and more, see the table")
    st.warning(
        f"{len(wrong)} of {len(outcomes)} images failed:\n" + "\n".join(reasons),
        icon=":material/error:",
    )


def say_remarks(outcomes: Sequence[Outcome]) -> None:
    """Show what the user must judge: channels of other names than the run's, and notes on images.

    Images with the same remark share a message.
    """
    for remark, images in _by_text((one.remark, one.image) for one in outcomes):
        st.info(
            f"In {images} the network {remark}. If that is another stain, do not trust the cells "
            "it finds.",
            icon=":material/info:",
        )
    for notes, images in _by_text((one.notes, one.image) for one in outcomes):
        st.warning(f"Look closely at {images}. {notes}", icon=":material/visibility:")


def _by_text(said: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield each text with the images it is about, those of most images first."""
    images: dict[str, list[str]] = {}
    for text, image in said:
        images.setdefault(text, []).append(image)
    images.pop("", None)
    for text, names in sorted(images.items(), key=lambda one: -len(one[1]))[:MOST_REASONS]:
        yield text, f"`{names[0]}`" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def choose_one(
    outcomes: Sequence[Outcome], *, key: str, scenes: Mapping[str, str] | None = None
) -> Outcome:
    """Show a table with a row for each image, and return the chosen one.

    Until one is chosen, that is the first one without an error.

    Parameters
    ----------
    outcomes : sequence of Outcome
        At least one.
    key : str
        The widget key of the table.
    scenes : mapping of str to str, optional
        Which image of its file an image is, in words, by the name of its outcome.
    """
    in_um = any(one.median_area_um2 for one in outcomes)
    areas = {f"median area in {'µm²' if in_um else 'pixels'}": "median_area" + "_um2" * in_um}
    event = st.dataframe(
        {
            "image": [one.name for one in outcomes],
            **({"in the file": [scenes.get(one.name) for one in outcomes]} if scenes else {}),
            "cells": [one.cells for one in outcomes],
            **{title: [getattr(one, name) for one in outcomes] for title, name in areas.items()},
            "mask area": [one.mask_fraction for one in outcomes],
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
            "mask area": st.column_config.NumberColumn(
                format="percent", help="Share of the image that the mask covers."
            ),
            "seconds": st.column_config.NumberColumn(format="%.1f"),
            **{title: st.column_config.NumberColumn(format="%.4g") for title in areas},
        },
        alt=f"A table of {len(outcomes)} images with their numbers of cells",
    )
    rows = [row for row in event["selection"]["rows"] if row < len(outcomes)]
    if rows:
        return outcomes[rows[0]]
    return next((one for one in outcomes if not one.error), outcomes[0])


@st.cache_data(max_entries=8, scope="session", show_spinner=False)
def picture_in(file: str, stamp: float = 0.0) -> Rgb:
    """Read an (H, W, 3) picture from a file, reduced to the largest size that pages show.

    Parameters
    ----------
    file : str
        Path of the file.
    stamp : float
        Modification time of the file, if it may be written again; part of the cache key.
    """
    del stamp
    with Image.open(file) as picture:
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
        return np.asarray(picture)

"""The browser app: `streamlit run app.py`. It opens on the built-in sample."""

import streamlit as st

from cellcutter_core.baseline import watershed_labels
from cellcutter_core.config import QUICK
from cellcutter_core.pipeline import prepare
from cellcutter_core.samples import sample
from cellcutter_core.view.render import composite, mask_outline, overlay

st.set_page_config(page_title="cellcutter", page_icon="🔬", layout="wide")


@st.cache_data(max_entries=4, show_spinner="Finding cell area and nuclei …")
def pictures(seed: int):
    """The sample with its mask, and what a watershed makes of it, as RGB images."""
    image = sample(seed=seed)
    inputs, _ = prepare(image, QUICK)
    picture = composite(image.pixels, cell=image.cell, nucleus=image.nucleus)
    labels = watershed_labels(inputs.nuclei, inputs.mask, points=inputs.points)
    return (
        picture,
        mask_outline(picture, inputs.mask),
        overlay(picture, labels),
        len(inputs.points),
        float(inputs.mask.mean()),
    )


st.title("cellcutter")
st.write(
    "Single cells, segmented without a single hand-drawn label: a graph cut finds where there are "
    "cells, nuclei say where each cell is, and a small network is trained on this very image to "
    "tell them apart (Din & Yu, Sci. Rep. 11, 23995, 2021)."
)
seed = st.number_input("Built-in sample number", 0, 999, 0, help="Each number is another image.")
picture, mask, watershed, n_cells, foreground = pictures(int(seed))
for column, caption, rgb in zip(
    st.columns(3),
    (
        "The image: cells and, in blue, nuclei",
        f"Cell area: {foreground:.0%} of the image",
        f"{n_cells} nuclei, and the cells a watershed makes of them without training",
    ),
    (picture, mask, watershed),
    strict=True,
):
    column.image(rgb, caption=caption, width="stretch", output_format="PNG")
st.write("Train the network on it from the command line:")
st.code("python -m cellcutter_core segment", language="sh")

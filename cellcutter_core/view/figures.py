"""All Plotly figures that pages draw from arrays and records, in one look.

Crops and grids are in `tiles`, curves in `curves`, histograms in `histogram`. `charts` holds
what charts share, `figure_style` what all figures share.
"""

from cellcutter_core.view.curves import (
    ap_over_iou,
    change_curve,
    compared,
    loss_curves,
    score_curves,
)
from cellcutter_core.view.figure_style import STILL_CONFIG, still_config
from cellcutter_core.view.histogram import histogram
from cellcutter_core.view.tiles import crop_gallery, parameter_grid

__all__ = [
    "STILL_CONFIG",
    "ap_over_iou",
    "change_curve",
    "compared",
    "crop_gallery",
    "histogram",
    "loss_curves",
    "parameter_grid",
    "score_curves",
    "still_config",
]

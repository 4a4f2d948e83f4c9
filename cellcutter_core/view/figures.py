"""All Plotly figures that pages draw from arrays and records, in one look.

Pictures are in `panes` and `tiles`, curves in `curves`, histograms in `histogram`. `charts` holds
what charts share, `look` what all figures share.
"""

from cellcutter_core.view.curves import ap_over_iou, compared, loss_curves, score_curves
from cellcutter_core.view.histogram import histogram
from cellcutter_core.view.look import STILL_CONFIG, named_config
from cellcutter_core.view.panes import PANES_CONFIG, panes
from cellcutter_core.view.tiles import crop_gallery, parameter_grid

__all__ = [
    "PANES_CONFIG",
    "STILL_CONFIG",
    "ap_over_iou",
    "compared",
    "crop_gallery",
    "histogram",
    "loss_curves",
    "named_config",
    "panes",
    "parameter_grid",
    "score_curves",
]

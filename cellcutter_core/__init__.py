"""Segment single cells in a microscope image without drawing a single label.

The method is that of Din & Yu, Sci. Rep. 11, 23995 (2021). Names are loaded when they are first
used: importing this package costs nothing, and no machine-learning framework is loaded before
something is trained or predicted.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellcutter_core.baseline import watershed_labels as watershed_labels
    from cellcutter_core.config import PAPER as PAPER
    from cellcutter_core.config import QUICK as QUICK
    from cellcutter_core.config import Config as Config
    from cellcutter_core.crops import Dataset as Dataset
    from cellcutter_core.graph_cut import automatic_mask as automatic_mask
    from cellcutter_core.graph_cut import graph_cut as graph_cut
    from cellcutter_core.images import Image as Image
    from cellcutter_core.images import read_image as read_image
    from cellcutter_core.markers import blob_detection as blob_detection
    from cellcutter_core.metrics import score as score
    from cellcutter_core.pipeline import prepare as prepare
    from cellcutter_core.pipeline import segment as segment
    from cellcutter_core.pipeline import segment_together as segment_together
    from cellcutter_core.prediction import draw as draw
    from cellcutter_core.prediction import draw_border as draw_border
    from cellcutter_core.prediction import draw_label as draw_label
    from cellcutter_core.runs.applying import apply_run as apply_run
    from cellcutter_core.runs.store import Run as Run
    from cellcutter_core.samples import sample as sample
    from cellcutter_core.training import Training as Training
    from cellcutter_core.training import train as train
    from cellcutter_core.training import train_self_supervised as train_self_supervised
    from cellcutter_core.unet import UNet3 as UNet3
    from cellcutter_core.unet import UNet4 as UNet4

_HOMES = {
    "baseline": ("watershed_labels",),
    "config": ("PAPER", "QUICK", "Config"),
    "crops": ("Dataset",),
    "graph_cut": ("automatic_mask", "graph_cut"),
    "images": ("Image", "read_image"),
    "markers": ("blob_detection",),
    "metrics": ("score",),
    "pipeline": ("prepare", "segment", "segment_together"),
    "prediction": ("draw", "draw_border", "draw_label"),
    "runs.applying": ("apply_run",),
    "runs.store": ("Run",),
    "samples": ("sample",),
    "training": ("Training", "train", "train_self_supervised"),
    "unet": ("UNet3", "UNet4"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])


class _Package(ModuleType):
    """A package in which the function `graph_cut` is not hidden by the module that it lives in."""

    def __setattr__(self, name: str, value: Any) -> None:
        # When a submodule is loaded, the import system binds it to its name here.
        if isinstance(value, ModuleType) and _HOME_OF.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

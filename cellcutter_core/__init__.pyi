"""The public names and where they live; `__init__.py` loads them from here."""

from .apply.applying import apply_run as apply_run
from .config import PAPER as PAPER
from .config import QUICK as QUICK
from .config import Config as Config
from .evaluation.metrics import score as score
from .images.image import Image as Image
from .images.read_image import read_image as read_image
from .markers.finding import blob_detection as blob_detection
from .mask.automatic_mask import automatic_mask as automatic_mask
from .mask.graph_cut import graph_cut as graph_cut
from .network.unet import UNet3 as UNet3
from .network.unet import UNet4 as UNet4
from .pipeline import prepare as prepare
from .pipeline import segment as segment
from .pipeline import segment_together as segment_together
from .runs.store import Run as Run
from .shortest_paths.watershed import watershed_labels as watershed_labels
from .simulation.sample import sample as sample
from .training.crops import Dataset as Dataset
from .training.loop import Training as Training
from .training.loop import train as train
from .training.loop import train_self_supervised as train_self_supervised
from .training.predicted_labels import draw as draw
from .training.predicted_labels import draw_border as draw_border
from .training.predicted_labels import draw_label as draw_label

__all__ = [
    "PAPER",
    "QUICK",
    "Config",
    "Dataset",
    "Image",
    "Run",
    "Training",
    "UNet3",
    "UNet4",
    "apply_run",
    "automatic_mask",
    "blob_detection",
    "draw",
    "draw_border",
    "draw_label",
    "graph_cut",
    "prepare",
    "read_image",
    "sample",
    "score",
    "segment",
    "segment_together",
    "train",
    "train_self_supervised",
    "watershed_labels",
]
__version__: str

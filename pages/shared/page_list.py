"""The pages of the app: a further one is a script in `pages` and an entry in both tables here."""

TITLES = {
    "overview": ("Overview", ":material/home:", "The pipeline from image to cells at a glance."),
    "data": ("Data", ":material/image:", "Choose an image, its channels and the region."),
    "mask": ("Mask", ":material/content_cut:", "Where there are cells: the graph cut."),
    "cells": ("Cells", ":material/scatter_plot:", "Where each cell is: markers and crops."),
    "train": ("Train", ":material/model_training:", "Train the network on this very image."),
    "compare": ("Compare", ":material/compare:", "Epochs, runs, baselines and the truth."),
    "results": (
        "Results",
        ":material/table_view:",
        "Your cells one by one, and files to download.",
    ),
    "runs": ("Runs", ":material/list:", "All runs: find, name, compare and delete them."),
    "sweep": ("Sweep", ":material/grid_view:", "Train with many settings, and compare them."),
    "apply": ("Apply", ":material/photo_library:", "Apply the trained network to other images."),
    "classroom": (
        "Classroom",
        ":material/groups:",
        "Many people train on one image, and a wall shows all their runs.",
    ),
    "server": ("Server", ":material/dns:", "What this server is, what it does now and allows."),
}
"""Title, icon and one line for each page, in the order of the pipeline."""

GROUPS = {
    "Learn": ("overview",),
    "Work": ("data", "mask", "cells", "train", "compare", "results"),
    "Manage": ("runs", "sweep", "apply", "classroom", "server"),
}
"""The navigation: what teaches, the way from an image to its cells, and what is done with runs."""

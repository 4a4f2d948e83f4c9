"""The core's results for the present choices, each computed once while nothing it needs changes.

Caches hold few entries and, but for the built-in sample, belong to the session, so that memory
comes back when visitors leave. Arrays are shared between reruns and never written to.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from cellcutter_core.baseline import watershed_labels
from cellcutter_core.config import Config, MaskSettings
from cellcutter_core.crops import Dataset
from cellcutter_core.graph_cut import mask_grid, preview_mask
from cellcutter_core.images import Image, read_image
from cellcutter_core.inputs import Inputs, Truth
from cellcutter_core.markers import Nuclei
from cellcutter_core.paper_data import fetch_paper
from cellcutter_core.pipeline import find_area, find_markers, inputs_of, make_dataset, truth_of
from cellcutter_core.prediction import Drawing
from cellcutter_core.regions import Box, cut_out, interesting_region
from cellcutter_core.runs.choices import Choices, Source, keys
from cellcutter_core.runs.draft import file_of, markers_digest
from cellcutter_core.runs.estimate import DeviceInWords, estimate_seconds
from cellcutter_core.runs.folder import find_run
from cellcutter_core.runs.jobs import Jobs
from cellcutter_core.runs.store import Progress, Run
from cellcutter_core.samples import sample
from cellcutter_core.view.curves import loss_curves, score_curves
from cellcutter_core.view.render import composite, overlay
from cellcutter_core.view.truth import Compared, compare_truth
from pages.shared import state
from pages.shared.aside import aside, waited
from pages.shared.caching import kept

Rgb = NDArray[np.uint8]

# A larger region is not computed again before somebody asks for it.
LARGEST_AT_ONCE = 1_200_000


@st.cache_resource
def jobs() -> Jobs:
    """The one queue of this server."""
    return Jobs()


# The image ----------------------------------------------------------------------------------------


@kept(4, spinner="Reading the image …")
def _image(source: str) -> Image:
    chosen = Source.model_validate_json(source)
    if chosen.kind == "sample":
        return sample(seed=chosen.seed)
    if chosen.kind == "paper":
        return read_image(fetch_paper(chosen.name))
    return read_image(file_of(chosen))


def whole_image(choices: Choices | None = None) -> Image:
    """The whole image with the chosen roles.

    Raises
    ------
    ValueError
        What `read_image` and `fetch_paper` raise.
    """
    chosen = choices or state.choices()
    image = _image(chosen.source.model_dump_json())
    if chosen.cell is not None or chosen.nucleus is not None:
        image = image.with_roles(cell=chosen.cell and list(chosen.cell), nucleus=chosen.nucleus)
    return image


@kept(4)
def _interesting(source: str, cell: tuple[str, ...] | None) -> Box:
    chosen = Choices(source=Source.model_validate_json(source), cell=cell)
    return interesting_region(whole_image(chosen))


def region() -> Box:
    """The part of the image to work on."""
    chosen = state.choices()
    if chosen.region is not None:
        return chosen.region
    return _interesting(chosen.source.model_dump_json(), chosen.cell)


@kept(4)
def _part(key: str) -> Image:
    # A page asks for it many times, and an image looks at all its pixels when it is made.
    del key
    return cut_out(whole_image(), region())


def image() -> Image:
    """The part of the image to work on, as an image of its own.

    Raises
    ------
    ValueError
        As `whole_image`, and where the region does not lie in the image.
    """
    return _part(keys(state.choices())["image"])


def pixel_size() -> float | None:
    """Micrometres a pixel, as chosen or as the file says."""
    return state.choices().pixel_size or whole_image().pixel_size


# Its mask and markers -----------------------------------------------------------------------------


def is_large() -> bool:
    """Whether the region is too large to be computed while a person waits."""
    top, left, bottom, right = region()
    return (bottom - top) * (right - left) > LARGEST_AT_ONCE


def _digest() -> str:
    return markers_digest(state.edited_markers())


def step_keys() -> dict[str, str]:
    """`keys` of the present choices."""
    return dict(keys(state.choices(), edits=_digest()))


@kept(4)
def _found_markers(key: str, _image: Image, _config: Config) -> Nuclei:
    if is_large():
        return aside("markers", f"markers {key}", find_markers, _image, _config)[0]
    return find_markers(_image, _config)


def found_markers() -> Nuclei:
    """The markers as they are found, without changes by hand."""
    key = keys(state.choices())["markers"]
    return waited(lambda: _found_markers(key, image(), state.choices().config))


def markers() -> Nuclei:
    """The markers to work with: as changed by hand, or else as found."""
    return state.edited_markers() or found_markers()


@kept(8)
def _mask(
    key: str, _image: Image, _config: Config, _markers: Nuclei, _ask: bool
) -> tuple[NDArray[np.bool_], float]:
    # With chosen parameters it may take seconds, and a slider on its way asks for many.
    if is_large() or not _config.mask.automatic:
        args = _image, _config, _markers
        return aside("mask", f"mask {key}", find_area, *args, ask=_ask)
    start = time.perf_counter()
    return find_area(_image, _config, _markers), time.perf_counter() - start


def timed_mask(note: DeltaGenerator | None = None) -> tuple[NDArray[np.bool_], float]:
    """(H, W) bool of the region, True where there are cells; and the seconds that it took."""
    return waited(lambda: known_mask(ask=True), note)


def known_mask(*, ask: bool = False) -> tuple[NDArray[np.bool_], float]:
    """As `timed_mask`, without waiting.

    Raises
    ------
    NotYet
        If it has to be computed first; with `ask` that has begun.
    """
    return _mask(step_keys()["mask"], image(), state.choices().config, markers(), ask)


def mask() -> NDArray[np.bool_]:
    """(H, W) bool of the region, True where there are cells."""
    return timed_mask()[0]


@kept(4)
def _mask_preview(key: str, _image: Image, _config: Config) -> NDArray[np.bool_]:
    del key
    return preview_mask(_image.pixels[..., list(_image.cell)], _config.mask)


def mask_preview() -> NDArray[np.bool_]:
    """About the mask that the chosen parameters will give."""
    return _mask_preview(step_keys()["mask"], image(), state.choices().config)


def inputs() -> tuple[Inputs, Truth | None]:
    """What a run would be given now."""
    return inputs_of(image(), state.choices().config, markers(), mask()), truth_of(image())


@kept(4)
def _watershed(key: str, _markers: Nuclei, _mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    del key
    return watershed_labels(_markers.regions, _mask, points=_markers.points.astype(float))


def watershed() -> NDArray[np.int32]:
    """The cells that a watershed makes of mask and markers, without training."""
    made = step_keys()
    return _watershed(made["mask"] + made["markers"], markers(), mask())


@st.cache_resource(max_entries=2, scope="session", show_spinner="Cutting out crops …")
def _dataset(key: str, _inputs: Inputs, _choices: Choices) -> Dataset:
    del key
    return make_dataset(_inputs, _choices.config)


def dataset() -> Dataset:
    """The crops that a run would be trained on now.

    Raises
    ------
    ValueError
        What the core refuses.
    """
    return _dataset(step_keys()["training"], inputs()[0], state.choices())


@kept(4)
def _mask_grid(key: str, _image: Image, _settings: MaskSettings, *values: Any) -> NDArray[np.bool_]:
    cell = _image.pixels[..., list(_image.cell)]
    return aside("grid", f"grid {key} {values}", mask_grid, cell, _settings, *values)[0]


def grid_of_masks(
    names: tuple[str, str], rows: tuple[float, ...], cols: tuple[float, ...]
) -> NDArray[np.bool_]:
    """(R, C, H, W) masks over a range of two settings."""
    settings = state.choices().config.mask
    rest = settings.model_dump(exclude={*names, "automatic"})
    key = f"{step_keys()['image']} {rest}"
    return waited(lambda: _mask_grid(key, image(), settings, names, rows, cols))


# Pictures -----------------------------------------------------------------------------------------


@kept(6)
def _picture(key: str, _image: Image) -> Rgb:
    del key
    return composite(_image.pixels, cell=_image.cell, nucleus=_image.nucleus)


def picture() -> Rgb:
    """(H, W, 3) the region, cells in grey and nuclei in blue."""
    return _picture(step_keys()["image"], image())


def overlaid(labels: NDArray[np.int32]) -> Rgb:
    """The region with cells in colours."""
    return overlay(picture(), labels)


# Runs ---------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=2, scope="session", show_spinner=False)
def run_inputs(run_id: str) -> tuple[Inputs, Truth | None]:
    """What a run was given. It never changes."""
    opened = find_run(run_id)
    return opened.inputs, opened.truth


@st.cache_resource(max_entries=6, scope="session", show_spinner=False)
def epoch(run_id: str, number: int, stamp: float) -> Drawing:
    """What an epoch of a run looks like; `stamp` is the time of its file."""
    del stamp
    return find_run(run_id).epoch(number)


def epoch_of(opened: Run, number: int) -> Drawing:
    """What an epoch of a run looks like.

    Raises
    ------
    ValueError
        If there is no such epoch.
    """
    file = opened.path / "epochs" / f"{number:04d}.npz"
    return epoch(opened.path.name, number, file.stat().st_mtime if file.exists() else 0.0)


def last_epoch(opened: Run) -> Drawing:
    """What the last stored epoch of a run looks like."""
    return epoch_of(opened, opened.epochs[-1])


@st.cache_resource(max_entries=2, scope="session", show_spinner=False)
def run_watershed(run_id: str) -> NDArray[np.int32]:
    """The cells that a watershed makes of a run's mask and markers."""
    opened = find_run(run_id)
    labels = opened.baseline
    if labels is not None:
        return labels
    given, _ = run_inputs(run_id)
    return watershed_labels(given.nuclei, given.mask, points=given.points)


@st.cache_data(max_entries=3, scope="session", show_spinner=False)
def run_picture(run_id: str) -> Rgb:
    """The cell channels of a run's image, in grey."""
    given, _ = run_inputs(run_id)
    return composite(given.image, cell=range(given.image.shape[-1]))


@st.cache_data(max_entries=24, scope="session", show_spinner=False)
def _run_overlay(run_id: str, name: str, stamp: float, _labels: NDArray[np.int32]) -> Rgb:
    del name, stamp
    return overlay(run_picture(run_id), _labels)


def run_cells(opened: Run, number: int | None) -> Rgb:
    """The image of a run with the cells of an epoch in colours; None is its watershed.

    Raises
    ------
    ValueError
        If there is no such epoch.
    """
    name = opened.path.name
    if number is None:
        return _run_overlay(name, "watershed", 0.0, run_watershed(name))
    file = opened.path / "epochs" / f"{number:04d}.npz"
    stamp = file.stat().st_mtime if file.exists() else 0.0
    return _run_overlay(name, str(number), stamp, epoch_of(opened, number).labels)


@st.cache_data(max_entries=2, scope="session", show_spinner=False)
def run_truth(run_id: str) -> Rgb:
    """The image of a run with the true cells in colours.

    Raises
    ------
    ValueError
        If they are not known.
    """
    _, truth = run_inputs(run_id)
    if truth is None or truth.labels is None:
        raise ValueError("the true cells of this run's image are not known")
    return overlay(run_picture(run_id), truth.labels)


@st.cache_resource(max_entries=6, scope="session", show_spinner=False)
def _against_truth(run_id: str, name: str, stamp: float, _labels: NDArray[np.int32]) -> Compared:
    del name, stamp
    _, truth = run_inputs(run_id)
    if truth is None or truth.labels is None:
        raise ValueError("this run has no true cells to compare with")
    return compare_truth(_labels, truth.labels, ignore=truth.ignore)


def against_truth(opened: Run, number: int | None) -> Compared:
    """Which cells of an epoch are right; None is the watershed of the same nuclei and mask.

    Raises
    ------
    ValueError
        If the run has no truth or there is no such epoch.
    """
    name = opened.path.name
    if number is None:
        return _against_truth(name, "watershed", 0.0, run_watershed(name))
    file = opened.path / "epochs" / f"{number:04d}.npz"
    stamp = file.stat().st_mtime if file.exists() else 0.0
    return _against_truth(name, str(number), stamp, epoch_of(opened, number).labels)


@st.cache_resource(max_entries=6, scope="session", show_spinner=False)
def _run_curves(run_id: str, key: str, _now: Progress) -> tuple[Any, Any]:
    del key
    opened = find_run(run_id)
    training, events = opened.config.training, _now.epoch_events
    warm_up = training.warm_up / training.steps
    losses = loss_curves({"Loss": events}, warm_up=warm_up, epochs=_now.epochs)
    if training.nucleus_weight > 0 and not events:
        # Room for the fourth part from the start: nothing moves when it comes.
        losses.layout.height = loss_curves({"": [{"epoch": 1, "certain": 1.0}]}).layout.height
    found = [event.get("scores") for event in opened.events() if event["kind"] == "baseline"]
    baseline = found[-1] if found else None
    if run_inputs(run_id)[1] is None:
        return losses, None
    return losses, score_curves({"Score": events}, baseline=baseline, epochs=_now.epochs)


def run_curves(opened: Run, now: Progress) -> tuple[Any, Any]:
    """Figures of loss and scores over the epochs of a run; None for scores without truth."""
    last = now.epoch_events[-1]["time"] if now.epoch_events else now.status
    return _run_curves(opened.path.name, f"{now.epochs_done} {now.epochs} {last}", now)


# Before a run -------------------------------------------------------------------------------------


@st.cache_resource
def device() -> DeviceInWords:
    """What trainings on this server run on; asked in a process of its own, once."""
    return DeviceInWords()


@st.cache_data(max_entries=8, ttl=60, scope="session", show_spinner=False)
def _estimate(key: str, device: str | None, _inputs: Inputs, _config: Config) -> tuple[float, str]:
    del key
    return estimate_seconds(_inputs, _config, device=device)


def estimate(like: Run | None = None) -> tuple[float, str]:
    """Seconds that a training with the present choices would take, and what says so.

    Parameters
    ----------
    like : Run, optional
        One that was given what would be given now: nothing has to be computed to look at it.

    Raises
    ------
    ValueError
        As `inputs`.
    """
    given, _ = inputs() if like is None else run_inputs(like.path.name)
    return _estimate(step_keys()["training"], device().known(), given, state.choices().config)

"""The core's results for the current choices. Each is computed again only if its inputs change.

Caches hold few entries. Except for the built-in sample they belong to the session, so their memory
is freed when the visitor leaves. Arrays are shared between reruns and never written to.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from cellcutter_core.choices.choices import Choices, Source, keys
from cellcutter_core.choices.draft import markers_digest
from cellcutter_core.choices.sources import open_source, read_region
from cellcutter_core.choices.uploads import files_of
from cellcutter_core.config import Config, MaskSettings
from cellcutter_core.images.image import Image
from cellcutter_core.images.pixel_size import PixelSize
from cellcutter_core.images.reading.parts import Region
from cellcutter_core.images.reading.readers import image_titles
from cellcutter_core.images.regions import cut_out, interesting_region
from cellcutter_core.markers.finding import Nuclei
from cellcutter_core.mask.mask_of_settings import mask_grid
from cellcutter_core.mask.preview import preview_mask
from cellcutter_core.mask.starting_settings import prior_steps, suited_settings
from cellcutter_core.pipeline import find_markers, find_mask
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.image_inputs import inputs_of, truth_of
from cellcutter_core.training.inputs import Inputs, Truth
from cellcutter_core.view.render import Rgb, composite
from pages.shared import state
from pages.shared.caching.in_child import NotYet, aside, must_wait, waited
from pages.shared.caching.stores import kept

# Number of pixels. A step on a larger region is computed only when the user asks for it.
LARGEST_AT_ONCE = 1_200_000
# Number of pixels. Up to here a graph cut takes hardly longer than its better preview.
LARGEST_WITHOUT_PREVIEW = 600 * 600
# How long a cut of such a region may take until a rough preview is shown, in seconds.
PREVIEW_AFTER = 0.4


# The image ----------------------------------------------------------------------------------------


@kept(4, spinner="Reading the image …")
def _image(source: str) -> Image:
    return open_source(Source.model_validate_json(source))


def whole_image(choices: Choices | None = None) -> Image:
    """Return the whole image with the chosen roles; an image that is too large is reduced, see
    `open_source`.

    Raises
    ------
    ValueError
        If `read_image` or `fetch_paper` raise it.
    """
    chosen = choices or state.choices()
    image = _image(chosen.source.model_dump_json())
    if chosen.cell is not None or chosen.nucleus is not None:
        image = image.with_roles(cell=chosen.cell and list(chosen.cell), nucleus=chosen.nucleus)
    return image


@kept(4)
def titles_of(file: str) -> list[str]:
    """Return name and shape of each of several images in a file; empty if it holds one."""
    return image_titles(file)


def titles_in_file() -> list[str]:
    """Return `titles_of` the chosen file."""
    files = files_of(state.choices().source)
    return titles_of(str(files[0])) if files else []


def remarks() -> list[str]:
    """Return remarks on the channels in use, see `Image.remarks`."""
    found = whole_image()
    source = state.choices().source.model_dump_json()
    notes: list[str] = drawn(
        f"remarks {source} {found.cell} {found.nucleus}", lambda: found.remarks
    )
    return notes


def as_judged(source: Source) -> Source:
    """Return the source without values of `stained` and `inverted` that are detected anyway."""
    for name in ("stained", "inverted"):
        value = getattr(source, name)
        if value is None:
            continue
        judged = source.replace(**{name: None})
        with suppress(ValueError):
            if getattr(_image(judged.model_dump_json()), name) == value:
                source = judged
    return source


def whole_shape() -> tuple[int, int]:
    """Return (rows, columns) of the whole image at full size, even if it is shown reduced."""
    image = whole_image()
    return image.full_shape or image.shape


@kept(4)
def _interesting(source: str, cell: tuple[str, ...] | None) -> Region:
    chosen = Choices(source=Source.model_validate_json(source), cell=cell)
    return interesting_region(whole_image(chosen))


def usual_region() -> Region:
    """Return the default region to work on, see `interesting_region`."""
    chosen = state.choices()
    return _interesting(chosen.source.model_dump_json(), chosen.cell)


def region() -> Region:
    """Return the region to work on."""
    return state.choices().region or usual_region()


@kept(4)
def _part(key: str) -> Image:
    # A page needs it many times, and making an image examines all its pixels.
    del key
    whole, chosen = whole_image(), state.choices()
    if whole.full_shape is not None:
        return read_region(chosen.source, region(), whole)
    return cut_out(whole, region())


def image() -> Image:
    """Return the region to work on as an image.

    Raises
    ------
    ValueError
        As `whole_image`, and if the region does not lie in the image.
    """
    chosen = state.choices()
    return _part(f"{keys(chosen)['image']} {chosen.source.truth}")


def pixel_size() -> PixelSize | None:
    """Return the pixel size in µm as entered, else that in the file."""
    return state.choices().pixel_size or whole_image().pixel_size


# Its mask and markers -----------------------------------------------------------------------------


def is_large() -> bool:
    """Return whether the region is so large that steps are computed only on demand."""
    top, left, bottom, right = region()
    return (bottom - top) * (right - left) > LARGEST_AT_ONCE


def _digest() -> str:
    return markers_digest(state.edited_markers())


def step_keys() -> dict[str, str]:
    """Return `keys` of the current choices."""
    return dict(keys(state.choices(), edits=_digest()))


@kept(4)
def _found_markers(key: str, _image: Image, _config: Config) -> Nuclei:
    return aside("markers", f"markers {key}", find_markers, _image, _config)[0]


def found_markers() -> Nuclei:
    """Return the markers as found, without edits."""
    made = keys(state.choices())
    # Without a nucleus channel they are found in the mask, so they depend on it.
    key = made["markers"] if image().nucleus is not None else f"{made['markers']} {made['mask']}"
    return waited(lambda: _found_markers(key, image(), state.choices().config))


def markers() -> Nuclei:
    """Return the edited markers, or if there are none, the found ones."""
    return state.edited_markers() or found_markers()


@kept(8)
def _mask(
    key: str, _image: Image, _config: Config, _markers: Nuclei, _given: bool, _ask: bool
) -> tuple[NDArray[np.bool_], float]:
    # In a child process: a moving slider asks for many masks, and other visitors must not wait.
    find = partial(find_mask, given=_given)
    call = partial(aside, "mask", f"mask {key}", find, ask=_ask, may_wait=True)
    return call(_image, _config, _markers)


def timed_mask(note: DeltaGenerator | None = None) -> tuple[NDArray[np.bool_], float]:
    """Return the (H, W) bool mask of the region and the seconds that it took."""
    return waited(lambda: known_mask(ask=True), note)


def known_mask(*, ask: bool = False) -> tuple[NDArray[np.bool_], float]:
    """Return what `timed_mask` returns, without waiting.

    Raises
    ------
    NotYet
        If it is not computed yet. With `ask`, the computation has been started.
    """
    given, config = state.edited_markers() is not None, state.choices().config
    if config.mask.automatic:
        found = markers()
    else:
        # The cut by hand does not look at markers, and without a nucleus channel they need a mask.
        found = Nuclei(np.zeros(image().shape, np.int32), np.zeros((0, 2), np.int32))
    return _mask(step_keys()["mask"], image(), config, found, given, ask)


def _is_cut_late() -> bool:
    """Return whether the region is so large that previews come before its cut."""
    top, left, bottom, right = region()
    return (bottom - top) * (right - left) > LARGEST_WITHOUT_PREVIEW


def soon_mask(note: DeltaGenerator | None = None) -> tuple[NDArray[np.bool_], float]:
    """Return what `timed_mask` returns, unless a preview would be there much earlier.

    Raises
    ------
    NotYet
        If it is not computed yet and the region is large, or others' cuts have to wait, or it takes
        long for a small one. Then its computation goes on.
    """
    if _is_cut_late() or must_wait():
        return known_mask()
    return waited(lambda: known_mask(ask=True), note, most=PREVIEW_AFTER)


def mask() -> NDArray[np.bool_]:
    """Return the (H, W) bool mask of the region, True where there are cells."""
    return timed_mask()[0]


@kept(16)
def _mask_preview(
    key: str, rough: bool, _image: Image, _config: Config, _ask: bool
) -> NDArray[np.bool_]:
    cell = _image.pixels[..., list(_image.cell)]
    find = partial(preview_mask, rough=rough)
    # Nobody has to look at an old mask because others cut theirs.
    slot = "rough" if rough else "preview"
    call = partial(aside, slot, f"{slot} {key}", find, ask=_ask, may_wait=not rough)
    return call(cell, _config.mask)[0]


def rough_preview(note: DeltaGenerator | None = None) -> NDArray[np.bool_]:
    """Return a fast approximation of the mask: the better one if it is there, else a rough one."""
    key, config = step_keys()["mask"], state.choices().config
    try:
        return _mask_preview(key, False, image(), config, False)
    except NotYet:
        return waited(lambda: _mask_preview(key, True, image(), config, True), note)


def better_preview(note: DeltaGenerator | None = None) -> bool:
    """Compute the better approximation, for a large region. Return whether there is a new one."""
    key, config = step_keys()["mask"], state.choices().config
    # Asked once: where many visitors look at large regions, it may have been forgotten again.
    if not _is_cut_late() or st.session_state.get("better_preview") == key:
        return False
    waited(lambda: _mask_preview(key, False, image(), config, True), note)
    st.session_state["better_preview"] = key
    return True


@kept(4)
def _prior_steps(key: str, _image: Image, _settings: MaskSettings) -> tuple[float, ...]:
    del key
    return prior_steps(_image.pixels[..., list(_image.cell)], _settings)


def priors() -> tuple[float, ...]:
    """Return the values of `prior` over which the mask grows from empty to the whole image."""
    settings = state.choices().config.mask
    return _prior_steps(f"{step_keys()['image']} {settings.scaling}", image(), settings)


@kept(4)
def _suited(
    key: str, _image: Image, _settings: MaskSettings, _wanted: NDArray[np.bool_] | None
) -> MaskSettings:
    del key
    return suited_settings(_image.pixels[..., list(_image.cell)], _settings, wanted=_wanted)


def suited_mask_settings() -> MaskSettings:
    """Return settings of the graph cut that suit this image.

    If the region is not large, they are chosen to come close to the automatic mask.

    Raises
    ------
    ValueError
        If the core refuses the image or the settings.
    """
    chosen = state.choices().with_setting("mask", "automatic", True)
    settings = state.choices().config.mask
    key = keys(chosen, edits=_digest())["mask"]
    wanted = None
    if not is_large():
        given = state.edited_markers() is not None
        # It may still be computed, or was cancelled.
        with suppress(NotYet, ValueError):
            wanted = _mask(key, image(), chosen.config, markers(), given, False)[0]
    return _suited(f"{key} {settings.scaling} {wanted is not None}", image(), settings, wanted)


def inputs() -> tuple[Inputs, Truth | None]:
    """Return the inputs and the truth that a run started now would get."""
    edited = state.edited_markers() is not None
    found = inputs_of(image(), state.choices().config, markers(), mask(), final=edited)
    return found, truth_of(image())


@st.cache_resource(max_entries=2, scope="session", show_spinner="Cutting out crops …")
def _dataset(key: str, _inputs: Inputs, _choices: Choices) -> Dataset:
    del key
    return make_dataset(_inputs, _choices.config)


def dataset() -> Dataset:
    """Return the crops that a run started now would be trained on.

    Raises
    ------
    ValueError
        If the core refuses the inputs or the settings.
    """
    return _dataset(step_keys()["training"], inputs()[0], state.choices())


@kept(4)
def _mask_grid(key: str, _image: Image, _settings: MaskSettings, *values: Any) -> NDArray[np.bool_]:
    cell = _image.pixels[..., list(_image.cell)]
    return aside("grid", f"grid {key} {values}", mask_grid, cell, _settings, *values)[0]


def grid_of_masks(
    settings: MaskSettings,
    names: tuple[str, str],
    rows: tuple[float, ...],
    cols: tuple[float, ...],
) -> NDArray[np.bool_]:
    """Return (R, C, H, W) bool masks over ranges of two settings; `settings` holds all others."""
    rest = settings.model_dump(exclude={*names, "automatic"})
    key = f"{step_keys()['image']} {rest}"
    return waited(lambda: _mask_grid(key, image(), settings, names, rows, cols))


# Pictures -----------------------------------------------------------------------------------------


@kept(6)
def _picture(key: str, _image: Image) -> Rgb:
    del key
    return composite(_image.pixels, cell=_image.cell, nucleus=_image.nucleus)


def picture() -> Rgb:
    """Return the region as an (H, W, 3) picture, cells in grey and nuclei in blue."""
    return _picture(step_keys()["image"], image())


def whole_picture(step: int) -> Rgb:
    """Return every `step`-th row and column of the whole image as a picture like `picture`."""
    image = whole_image()
    source = state.choices().source.model_dump_json()
    return drawn(
        f"whole {source} {image.cell} {image.nucleus} {step}",
        lambda: composite(image.pixels[::step, ::step], cell=image.cell, nucleus=image.nucleus),
    )


@kept(12)
def drawn(key: str, _make: Callable[[], Any]) -> Any:
    """Return a picture or figure from the cache, or make it if the key is new."""
    del key
    return _make()


@kept(512)
def drawn_channel(key: str, _make: Callable[[], Any]) -> Any:
    """Do the same as `drawn` for the channels of an image, of which there may be dozens."""
    del key
    return _make()

"""The formats that a run, or any image with its cells, can be exported to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from cellcutter_core.export.files import png_file
from cellcutter_core.export.formats.bundle import bundle
from cellcutter_core.export.formats.figures import figures_file
from cellcutter_core.export.formats.film import film
from cellcutter_core.export.formats.geojson import about_frame, geojson_file
from cellcutter_core.export.formats.labels import label_file
from cellcutter_core.export.formats.ome_zarr import FOLDER, ome_zarr
from cellcutter_core.export.formats.recipe import recipe
from cellcutter_core.export.formats.rois import roi_set
from cellcutter_core.export.formats.table import table_file
from cellcutter_core.export.result import Result
from cellcutter_core.export.segmented import Segmented
from cellcutter_core.view.render import Rgb, borders_picture, overlay
from cellcutter_core.view.scale_bar import with_scale_bar

T = TypeVar("T", bound=Segmented)
C = TypeVar("C", bound=Segmented, contravariant=True)


@dataclass(frozen=True)
class Format(Generic[C]):
    """A format that a `Segmented` image, or only a `Result` of a run, can be exported to.

    Attributes
    ----------
    name : str
        Its name on the command line.
    title : str
        Its name in the app.
    file : str
        The usual name of the file.
    about : str
        What the file holds, in one line.
    opens_with : str
        The programs that open it.
    make : callable
        Takes the image or result and returns the content of its file, or its files: name → content.
        These make one zip.
    """

    name: str
    title: str
    file: str
    about: str
    opens_with: str
    make: Callable[[C], bytes | Mapping[str, bytes]]


def _labels(result: Segmented) -> bytes:
    return label_file(
        result.labels,
        pixel_size=result.pixel_size,
        origin=result.origin,
        whole_shape=result.whole_shape,
    )


def _png(picture: Rgb, result: Segmented) -> bytes:
    return png_file(with_scale_bar(picture, result.pixel_size))


def _zarr(result: Segmented) -> dict[str, bytes]:
    names, pixels = result.all_channels
    files = ome_zarr(
        pixels,
        result.labels,
        name=result.image_name,
        channels=names,
        nucleus=result.nucleus,
        pixel_size=result.pixel_size,
        origin=result.origin,
        table=result.table,
        colors=result.colors,
    )
    return {f"{FOLDER}/{name}": content for name, content in files.items()}


def _overlay(result: Segmented) -> Rgb:
    return overlay(result.picture, result.labels, colors=result.colors)


def _film(result: Result) -> bytes:
    epochs = [number for number in result.epochs if number <= result.epoch]
    picture = partial(overlay, result.picture, colors=result.colors)
    return film((f"epoch {number}", picture(result.run.epoch(number).labels)) for number in epochs)


def _model(result: Result) -> bytes:
    last = result.epochs[-1]
    if result.epoch != last:
        raise ValueError(
            f"a run keeps only the network of its last epoch, which is {last}, "
            f"not that of epoch {result.epoch}"
        )
    try:
        return result.run.model_file.read_bytes()
    except FileNotFoundError:
        raise ValueError("the run has no model; continue it for an epoch") from None


def _all(result: Result) -> dict[str, bytes]:
    return bundle(result, [one for one in FORMATS.values() if one.name != "all"])


def _named(*formats: Format[T]) -> dict[str, Format[T]]:
    return {one.name: one for one in formats}


IMAGE_FORMATS: Mapping[str, Format[Segmented]] = _named(
    Format(
        "labels",
        "Label image",
        "labels.tif",
        "each pixel's value is the number of its cell, 0 is background; 16- or 32-bit TIFF with "
        "the pixel size; as large as the whole image, 0 outside the region",
        "Fiji, napari, CellProfiler, Python, MATLAB",
        _labels,
    ),
    Format(
        "rois",
        "ImageJ ROI set",
        "RoiSet.zip",
        "an ROI for each cell along the edges of its pixels, named by its number; in the "
        "coordinates of the whole image",
        "ImageJ and Fiji: drop it on the window, or ROI Manager, More, Open",
        lambda result: roi_set(result.labels, origin=result.origin),
    ),
    Format(
        "geojson",
        "GeoJSON",
        "cells.geojson",
        "a detection for each cell with its number, colour and measurements; in the coordinates "
        "of the whole image",
        "QuPath 0.4 or later: drop it on the open image; any GIS",
        lambda result: geojson_file(
            result.labels,
            result.table,
            origin=result.origin,
            colors=result.colors,
            about=about_frame(result),
        ),
    ),
    Format(
        "table",
        "Table of cells",
        "cells.csv",
        "a row for each cell: position in the whole image, size, shape, intensities, whether it "
        "touches the border; pixel size and position of the region in columns",
        "Excel, LibreOffice, R, pandas",
        lambda result: table_file(result.table),
    ),
    Format(
        "ome-zarr",
        "OME-Zarr",
        f"{FOLDER}.zip",
        "image and label image in OME-Zarr 0.4: a folder, zipped if downloaded alone",
        "napari with napari-ome-zarr, Fiji with MoBIE, Python with ome-zarr",
        _zarr,
    ),
    Format(
        "overlay",
        "Overlay",
        "overlay.png",
        "the cells in colour over the image, with a scale bar if the pixel size is known",
        "any browser, slides, a paper",
        lambda result: _png(_overlay(result), result),
    ),
    Format(
        "borders",
        "Borders",
        "borders.png",
        "the outline that the network predicts for each cell; yellow where two overlap",
        "any browser, slides, a paper",
        lambda result: _png(borders_picture(result.drawing.borders), result),
    ),
)
"""Name → format, of the formats that need only an image with its cells."""

FORMATS: Mapping[str, Format[Result]] = {
    **IMAGE_FORMATS,
    **_named(
        Format(
            "film",
            "Film over epochs",
            "film.gif",
            "how the cells change during training, a frame for each epoch",
            "any browser, slides",
            _film,
        ),
        Format(
            "figures",
            "Figures",
            "figures.html",
            "losses and scores over the epochs, histograms of area and intensity; buttons above "
            "each save it as PNG or SVG",
            "any browser, also offline",
            figures_file,
        ),
        Format(
            "recipe",
            "Recipe",
            "recipe.zip",
            "settings, image, mask and markers, with a script and a notebook that reproduce the "
            "labels",
            "Python with cellcutter_core, Jupyter",
            lambda result: {f"recipe/{name}": data for name, data in recipe(result).items()},
        ),
        Format(
            "model",
            "Trained network",
            "model.keras",
            "the network after the last epoch",
            "Keras 3, on TensorFlow, JAX or PyTorch",
            _model,
        ),
        Format(
            "all",
            "Everything",
            "cellcutter.zip",
            "all of these, with a README",
            "any program that unpacks zip files",
            _all,
        ),
    ),
}
"""Name → format, the most wanted ones first."""

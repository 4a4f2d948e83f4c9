"""Which channel shows what: names that mean something, contents where they do not, and doubts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from cellcutter_core.images.description import doubts, lines_of
from cellcutter_core.images.file_sets.channel_files import read_channel_files
from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.regions import cut_out
from cellcutter_core.simulation.sample import sample

SAMPLE = sample((320, 320))
PLANES = {
    "nuclei": SAMPLE.channel("nucleus"),
    "cells": SAMPLE.channel("fluorescence"),
    "light": SAMPLE.channel("bright field"),
}


def named(folder: Path, names: list[str], planes: list[str], **options: object) -> Image:
    """An OME-TIFF of these planes of the sample, whose channels are called so."""
    file = folder / "a.ome.tif"
    pixels = np.stack([PLANES[plane] for plane in planes])
    about = {"axes": "CYX", "Channel": {"Name": names}}
    tifffile.imwrite(file, pixels, ome=True, metadata=about)
    return read_image(file, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "planes", "cell", "nucleus", "sure"),
    [
        # Names that say nothing leave it to the contents, wherever the nuclei are.
        (["Ch1-T1", "Ch2-T2"], ["nuclei", "cells"], 1, 0, "likely"),
        (["Ch1-T1", "Ch2-T2"], ["cells", "nuclei"], 0, 1, "likely"),
        (["mCherry", "EGFP"], ["nuclei", "cells"], 1, 0, "likely"),
        (["Alexa 568", "TRITC", "Cy5"], ["light", "nuclei", "cells"], 0, 1, "likely"),
        (["exp - C=0", "exp - C=1"], ["nuclei", "cells"], 1, 0, "likely"),
        # Names that mean something decide, and contents agree.
        (["Phalloidin", "TO-PRO-3"], ["cells", "nuclei"], 0, 1, "sure"),
        (["NucBlue", "FITC", "WGA"], ["nuclei", "light", "cells"], 2, 0, "sure"),
        # Of two stains of nuclei, that of the living ones.
        (["PI", "Hoechst"], ["light", "nuclei"], 0, 1, "sure"),
        # Organelles are no cells where there is something else.
        (["DAPI", "Mito", "GFP"], ["nuclei", "light", "cells"], 2, 0, "sure"),
        # A laser says more than contents that say nothing.
        (["405", "561"], ["light", "cells"], 1, 0, "likely"),
        # But contents are not overruled by it.
        (["405", "561"], ["cells", "nuclei"], 0, 1, "likely"),
        (["actin", "488"], ["cells", "light"], 0, None, "likely"),
    ],
)
def test_roles(
    tmp_path: Path,
    names: list[str],
    planes: list[str],
    cell: int,
    nucleus: int | None,
    sure: str,
) -> None:
    image = named(tmp_path, names, planes)
    assert (image.cell, image.nucleus) == ((cell,), nucleus)
    assert image.reasons["nucleus"].sure == sure
    assert not doubts(image)


def test_contents_contradict_a_name_aloud(tmp_path: Path) -> None:
    image = named(tmp_path, ["DAPI", "GFP"], ["cells", "nuclei"])
    # A name that is known decides all the same.
    assert (image.cell, image.nucleus) == ((1,), 0)
    (doubt,) = doubts(image)
    assert doubt.startswith(
        "DAPI is named after nuclei but does not look like nuclei, and GFP does"
    )
    assert f"  Look closely. {doubt}" in lines_of(image)
    image = named(tmp_path, ["actin", "tubulin"], ["cells", "nuclei"])
    assert image.nucleus is None
    assert doubts(image)[0].startswith("tubulin is not named after nuclei, but it looks like")


def test_files_that_are_numbered(tmp_path: Path) -> None:
    """As MetaMorph and others write them; in either order."""
    for names in (
        ("s_w1.tif", "s_w2.tif"),
        ("s-T2.tif", "s-T1.tif"),
        ("A01f1d0.tif", "A01f1d1.tif"),
    ):
        files = [tmp_path / name for name in names]
        for file, plane in zip(files, ("nuclei", "cells"), strict=True):
            tifffile.imwrite(file, PLANES[plane])
        image = read_channel_files(files)
        assert (image.cell, image.nucleus) == ((1,), 0), names
        assert image.reasons["nucleus"].sure == "likely"


def test_a_file_may_say_what_its_name_does_not(tmp_path: Path) -> None:
    files = []
    for number, (name, plane) in enumerate((("TO-PRO-3", "light"), ("Ch2", "cells"))):
        files.append(tmp_path / f"s_w{number}.ome.tif")
        about = {"axes": "YX", "Channel": {"Name": [name]}}
        tifffile.imwrite(files[-1], PLANES[plane], ome=True, metadata=about)
    image = read_channel_files(files)
    assert (image.cell, image.nucleus) == ((1,), 0)


def test_of_round_cells_and_their_nuclei_the_small_ones_are_nuclei(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:320, :320]
    away = np.hypot(rows % 40 - 20, cols % 40 - 20)
    planes = [
        (ndimage.gaussian_filter((away < radius) * 1000.0, 1) + rng.normal(200, 5, away.shape))
        for radius in (6, 14)
    ]
    for order in ((0, 1), (1, 0)):
        np.save(tmp_path / "a.npy", np.dstack([planes[k] for k in order]).astype("u2"))
        image = read_image(tmp_path / "a.npy")
        assert (image.cell, image.nucleus) == ((order.index(1),), order.index(0))


def test_what_is_chosen_is_said_to_be(tmp_path: Path) -> None:
    image = named(tmp_path, ["Ch1", "Ch2"], ["nuclei", "cells"], nucleus="Ch2")
    assert "  nuclei: Ch2 (chosen)" in lines_of(image)
    assert "  cells: Ch1 (likely: the only other channel that varies)" in lines_of(image)
    again = image.with_roles(nucleus="none")
    assert "  nuclei: none (chosen)" in lines_of(again)
    # A part of it has them for the same reasons.
    part = cut_out(image, (20, 30, 220, 230))
    assert part.reasons == image.reasons
    assert lines_of(part)[0] == "a.ome.tif: 200 × 200 pixels of 320 × 320, 2 channels of uint16"


def test_a_convention_is_a_guess(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 4000, (60, 60, 2), dtype=np.uint16)
    np.save(tmp_path / "a.npy", noise)
    image = read_image(tmp_path / "a.npy")
    assert (image.cell, image.nucleus) == ((0,), 1)
    assert image.reasons["nucleus"].sure == "a guess"

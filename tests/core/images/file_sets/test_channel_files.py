"""One image out of files that hold its channels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture

from cellcutter_core.__main__ import main
from cellcutter_core.images.file_sets.channel_files import read_channel_files
from cellcutter_core.images.read_image import read_image
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample, save

TINY = [
    "--start", "nothing",
    "--set", "network.channels=4", "--set", "network.depth=3",
    "--set", "network.normalisation=none", "--set", "training.steps=2",
    "--set", "training.warm_up=1", "--set", "training.crops=8", "--epochs", "1",
    "--set", "training.precision=float32",
]  # fmt: skip


def pixels(seed: int, dtype: str = "u2", shape: tuple[int, ...] = (20, 30)) -> NDArray[np.generic]:
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


def files(folder: Path, *names: str, dtypes: tuple[str, ...] = ()) -> list[Path]:
    """A file for each name, of one channel."""
    for seed, name in enumerate(names):
        dtype = dtypes[seed] if dtypes else "u2"
        tifffile.imwrite(folder / name, pixels(seed, dtype))
    return [folder / name for name in names]


@pytest.mark.parametrize(
    ("names", "cell", "nucleus"),
    [
        (("actin.tif", "dapi.tif"), 0, 1),
        (("dapi.tif", "actin.tif"), 1, 0),
        (("exp DAPI_tubulin.tif", "exp DAPI_Hoechst.tif"), 0, 1),
        # Where the names are numbers, the last of two is the nucleus, as in one file.
        (("img_ch00.tif", "img_ch01.tif"), 0, 1),
        (("a.ome.tif", "b.ome.tif"), 0, None),
        (("c1.tif", "c2.tif", "c3.tif"), 0, 2),
        (("cell.tif",), 0, None),
    ],
)
def test_names_and_roles(
    tmp_path: Path, names: tuple[str, ...], cell: int, nucleus: int | None
) -> None:
    image = read_channel_files(files(tmp_path, *names))
    assert image.channels == tuple(name.split(".")[0] for name in names)
    assert (image.cell, image.nucleus) == ((cell,), nucleus)
    for index in range(len(names)):
        np.testing.assert_array_equal(image.pixels[..., index], pixels(index))
    assert image.name == names[0]


def test_what_is_said_decides(tmp_path: Path) -> None:
    dapi, actin, other = files(tmp_path, "dapi.tif", "actin.tif", "other.tif")
    image = read_channel_files([actin, other], nucleus_file=dapi)
    assert (image.channels, image.nucleus) == (("actin", "other", "dapi"), 2)
    image = read_channel_files([dapi, actin], nucleus_file=other)
    assert (image.cell, image.nucleus) == ((1,), 2)
    image = read_channel_files([dapi, actin, other], cell=["OTHER", 1], nucleus="none")
    assert (image.cell, image.nucleus) == ((2, 1), None)
    with pytest.raises(ValueError, match=r"^dapi\.tif: there is no channel 'x'; .*1 \(actin\)"):
        read_channel_files([dapi, actin], cell="x")
    with pytest.raises(ValueError, match="give one"):
        read_channel_files([dapi], nucleus=0, nucleus_file=actin)


@pytest.mark.parametrize(
    "part", [{}, {"region": (0, 0, 10, 10)}, {"reduced_to": 10}, {"reduced_to": 25}]
)
def test_files_of_different_sizes_are_refused_whatever_part_is_read(
    tmp_path: Path, part: dict[str, Any]
) -> None:
    tifffile.imwrite(tmp_path / "actin.tif", pixels(0, shape=(20, 30)))
    tifffile.imwrite(tmp_path / "dapi.tif", pixels(1, shape=(40, 60)))
    message = r"^actin\.tif has 20 × 30 pixels and dapi\.tif 40 × 60; the channels of one image"
    with pytest.raises(ValueError, match=message):
        read_channel_files([tmp_path / "actin.tif", tmp_path / "dapi.tif"], **part)


def test_numbers_stay_whatever_their_types(tmp_path: Path) -> None:
    image = read_channel_files(files(tmp_path, "a.tif", "b.tif", dtypes=("u1", "u2")))
    assert image.pixels.dtype == np.uint16
    image = read_channel_files(files(tmp_path, "a.tif", "b.tif", dtypes=("u4", "f4")))
    np.testing.assert_array_equal(image.pixels[..., 0], pixels(0))


def test_files_of_several_channels_and_tinted_pictures(tmp_path: Path) -> None:
    two = pixels(0, shape=(2, 20, 30))
    tifffile.imwrite(tmp_path / "two.tif", two, imagej=True, metadata={"axes": "CYX"})
    blue = np.zeros((20, 30, 3), np.uint8)
    blue[..., 2] = pixels(1)
    Picture.fromarray(blue).save(tmp_path / "DAPI.png")
    image = read_channel_files([tmp_path / "two.tif", tmp_path / "DAPI.png"])
    assert image.channels == ("two channel 0", "two channel 1", "DAPI")
    np.testing.assert_array_equal(image.pixels[..., 2], pixels(1))
    assert (image.cell, image.nucleus) == ((0,), 2)


def test_the_same_name_twice(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    both = [*files(tmp_path / "a", "x.tif"), *files(tmp_path / "b", "x.tif")]
    assert read_channel_files(both).channels == ("x", "x (1)")


def test_sizes_that_differ_are_both_told(tmp_path: Path) -> None:
    (first,) = files(tmp_path, "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", pixels(0, shape=(40, 30)))
    message = r"^a\.tif has 20 × 30 pixels and b\.tif 40 × 30; .*choose files that belong together$"
    with pytest.raises(ValueError, match=message):
        read_channel_files([first, tmp_path / "b.tif"])


def test_the_limit_is_for_all_files_together(tmp_path: Path) -> None:
    two = files(tmp_path, "a.tif", "b.tif")
    read_channel_files(two, max_bytes=2400)
    with pytest.raises(ValueError, match=r"^b\.tif: with the other files needs 2\.344 KiB"):
        read_channel_files(two, max_bytes=2399)
    with pytest.raises(ValueError, match=r"^b\.tif: no such file"):
        read_channel_files([two[0], tmp_path / "none" / "b.tif"])


def test_planes_regions_and_what_lies_beside(tmp_path: Path) -> None:
    seen = sample((64, 80))
    save(seen, tmp_path / "a.npz")
    stack = pixels(3, shape=(3, 64, 80))
    tifffile.imwrite(tmp_path / "dapi.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    image = read_channel_files(
        [tmp_path / "a.npz", tmp_path / "dapi.tif"], z="max", region=(0, 10, 50, 70)
    )
    np.testing.assert_array_equal(image.channel("dapi"), stack.max(0)[:50, 10:70])
    np.testing.assert_array_equal(image.truth, seen.truth[:50, 10:70])
    assert image.channels[0] == "a fluorescence"


def test_each_file_is_judged_alone(tmp_path: Path) -> None:
    seen = sample((128, 128))
    cells, nuclei = (seen.pixels[..., index] for index in (0, 2))
    np.save(tmp_path / "cells.npy", dark := (cells.max() - cells))
    np.save(tmp_path / "dapi.npy", nuclei)
    judged = read_image(tmp_path / "cells.npy").inverted
    image = read_channel_files([tmp_path / "cells.npy", tmp_path / "dapi.npy"])
    assert image.inverted == judged
    np.testing.assert_array_equal(image.channel("dapi"), nuclei)
    both = read_channel_files([tmp_path / "cells.npy"], nucleus_file=tmp_path / "dapi.npy",
                              inverted=True)  # fmt: skip
    np.testing.assert_array_equal(both.channel("cells"), dark.max() - dark)
    np.testing.assert_array_equal(both.channel("dapi"), nuclei)
    files = [tmp_path / "cells.npy", tmp_path / "dapi.npy"]
    said = read_channel_files(files, inverted=[True, False], stained=[False, False])
    np.testing.assert_array_equal(said.pixels, both.pixels)
    with pytest.raises(ValueError, match="1 values are given for 2 files; give one for each"):
        read_channel_files(files, inverted=[True])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = sample((128, 128), seed=3)
    for index, name in enumerate(("cell", "phase", "blob")):
        tifffile.imwrite(tmp_path / f"{name}.tif", seen.pixels[..., index])
    cell, phase, blob = (str(tmp_path / f"{name}.tif") for name in ("cell", "phase", "blob"))
    out = tmp_path / "run"
    more = ["--nucleus-file", blob, "--channel-file", phase, "--out", str(out)]
    assert main(["segment", cell, *more, *TINY]) == 0
    run = Run(out)
    assert run.description.image == "cell.tif"
    np.testing.assert_array_equal(run.inputs.image[..., 0], seen.pixels[..., 0])
    assert set(run.unseen) | set(run.description.channels) == {"cell", "phase", "blob"}
    capsys.readouterr()
    assert main(["segment", "--nucleus-file", blob]) == 2
    assert re.search(r"go with IMAGE; give its file first\n$", capsys.readouterr().err)

"""HDF5: one of its data sets, which is asked about; nothing outside of the file is read."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_files import hdf5

from cellcutter_core.__main__ import main
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.reading.contents import Several
from cellcutter_core.images.reading.readers import image_titles, is_image_file
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample

RNG = np.random.default_rng(0)
PLANE = RNG.integers(0, 65536, (40, 60), np.uint16)
STACK = RNG.integers(0, 65536, (12, 40, 60), np.uint16)
CHANNELS = RNG.integers(0, 256, (3, 40, 60), np.uint8)


def test_the_only_image_needs_no_choice(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(hdf5(image=PLANE, table=np.zeros((500, 3)), name=np.array([b"x"]), one=3))
    np.testing.assert_array_equal(read_image(path).pixels[..., 0], PLANE)
    assert is_image_file(path)
    # A file of MATLAB begins with a text.
    with h5py.File(tmp_path / "b.mat", "w", userblock_size=512) as file:
        file["image"] = PLANE
    with (tmp_path / "b.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))
    np.testing.assert_array_equal(read_image(tmp_path / "b.mat").pixels[..., 0], PLANE)


def test_which_data_set_is_asked_and_answered_by_name_or_number(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(hdf5(**{"exported/raw": PLANE, "other": PLANE[:30], "stack": STACK}))
    of_stack = " × ".join(map(str, STACK.shape))
    listed = r"exported/raw 40 × 60, other 30 × 60, stack 40 × 60"
    with pytest.raises(Several, match=rf"^a\.h5: holds 3 separate images \({listed}\)") as caught:
        read_image(path)
    assert caught.value.n == 3
    assert image_titles(path) == ["exported/raw, 40 × 60", "other, 30 × 60", f"stack, {of_stack}"]
    for scene in (0, "0", "exported/raw", "/exported/raw"):
        np.testing.assert_array_equal(read_image(path, scene=scene).pixels[..., 0], PLANE)
    np.testing.assert_array_equal(read_image(path, scene="other").pixels[..., 0], PLANE[:30])
    with pytest.raises(
        ValueError, match=r"scene is 'label', .* called exported/raw, other, stack;"
    ):
        read_image(path, scene="label")
    with pytest.raises(ValueError, match=r"give z=0 to 11, or z='max' for the maximum projection$"):
        read_image(path, scene="stack")
    part = read_image(path, scene="stack", z="max", region=(3, 4, 33, 44))
    np.testing.assert_array_equal(part.pixels[..., 0], STACK[:, 3:33, 4:44].max(0))
    assert (part.origin, part.whole_shape) == ((3, 4), (40, 60))


@pytest.mark.parametrize("how", ["axistags", "labels", "axes"])
def test_axes_as_programs_tell_them(tmp_path: Path, how: str) -> None:
    pixels = RNG.integers(0, 256, (40, 5, 60, 2), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("exported_data", data=pixels, chunks=(10, 1, 60, 2))
        if how == "axistags":
            data.attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "yzxc"]})
        elif how == "labels":
            for dimension, label in zip(data.dims, "yzxc", strict=True):
                dimension.label = label
        else:
            data.attrs["axes"] = "YZXC"
        data.attrs["element_size_um"] = (2.0, 0.5, 0.25)
    image = read_image(tmp_path / "a.h5", z=3)
    np.testing.assert_array_equal(image.pixels, pixels[:, 3])
    assert image.pixel_size == (0.5, 0.25)
    reduced = read_image(tmp_path / "a.h5", z=3, reduced_to=20)
    np.testing.assert_array_equal(reduced.pixels, pixels[::3, 3, ::3])


def test_axes_that_are_not_told_are_those_of_an_array(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(hdf5(a=CHANNELS))
    np.testing.assert_array_equal(read_image(path).pixels, np.moveaxis(CHANNELS, 0, 2))
    path.write_bytes(hdf5(a=np.zeros((7, 9, 40, 60))))
    with pytest.raises(
        ValueError, match=r"^a\.h5: has a data set of shape \(7, 9, 40, 60\) that does"
    ):
        read_image(path)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (7, 11)},
        {"compression": "lzf", "chunks": (40, 1)},
        {"chunks": (16, 16)},
    ],
)
def test_of_chunks_those_are_read_that_are_needed(tmp_path: Path, options: dict) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(hdf5(options, a=PLANE))
    np.testing.assert_array_equal(read_image(path).pixels[..., 0], PLANE)
    # All of it would be 4800 bytes.
    found = read_image(path, region=(5, 8, 20, 33), max_bytes=1000).pixels[..., 0]
    np.testing.assert_array_equal(found, PLANE[5:20, 8:33])
    with pytest.raises(ValueError, match=r"^a\.h5: needs .* more than the limit"):
        read_image(path, max_bytes=1000)


def test_nothing_of_another_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.h5").write_bytes(hdf5(a=PLANE))
    (tmp_path / "secret.bin").write_bytes(PLANE.tobytes())
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["a"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "a")
    with pytest.raises(ValueError, match=r"^link\.h5: is an HDF5 file without a data set"):
        read_image(tmp_path / "link.h5")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        beside = [(str(tmp_path / "secret.bin"), 0, PLANE.nbytes)]
        file.create_dataset("a", PLANE.shape, PLANE.dtype, external=beside)
    layout = h5py.VirtualLayout(PLANE.shape, PLANE.dtype)
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "a", PLANE.shape)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("a", layout)
    for name in ("raw.h5", "virtual.h5"):
        with pytest.raises(ValueError, match=rf"^{name}: has its data in other files"):
            read_image(tmp_path / name)


def test_without_an_image_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(hdf5(kernel=np.zeros((3, 3, 8, 8)), bias=np.zeros(8)))
    with pytest.raises(
        ValueError, match=r"^model\.h5: is an HDF5 file without a data set that can"
    ):
        read_image(tmp_path / "model.h5")


def test_the_command_takes_a_data_set_by_its_name(tmp_path: Path) -> None:
    image = sample((96, 96), seed=3)
    cells, nuclei = image.channel("fluorescence"), image.channel("nucleus")
    both = np.stack([cells, nuclei], axis=2)
    (tmp_path / "a.h5").write_bytes(hdf5(other=both[:50, :50], raw=both))
    tiny = ["--start", "nothing", "--epochs", "1"]
    for setting in (
        *("network.channels=4", "network.depth=3", "network.normalisation=none"),
        *("training.steps=2", "training.warm_up=1"),
        *("training.crops=8", "training.precision=float32"),
    ):
        tiny += ["--set", setting]
    out = str(tmp_path / "run")
    assert main(["segment", str(tmp_path / "a.h5"), "--scene", "raw", "--out", out, *tiny]) == 0
    run = Run(tmp_path / "run")
    assert run.inputs.image.shape[:2] == (96, 96)
    assert run.description.reading == {"scene": "raw"}

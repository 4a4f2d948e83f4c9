"""A label image is told from intensities and from a mask, and is the truth of an image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from small_files import hdf5

from cellcutter_core.__main__ import main
from cellcutter_core.choices.sources import read_source
from cellcutter_core.choices.uploads import as_channels, store_upload
from cellcutter_core.config import QUICK
from cellcutter_core.evaluation.metrics import mask_iou
from cellcutter_core.images.file_sets.channel_files import read_channel_files
from cellcutter_core.images.guesses.label_images import shows_labels
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.reading.readers import read_contents
from cellcutter_core.pipeline import prepare
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample, save

TINY = [
    "--start", "nothing",
    "--set", "network.channels=4", "--set", "network.depth=3",
    "--set", "network.normalisation=none", "--set", "training.steps=2",
    "--set", "training.warm_up=1", "--set", "training.crops=8", "--epochs", "1",
    "--set", "training.precision=float32",
]  # fmt: skip


def test_real_labels_are_told_from_real_images(shared_data: Path) -> None:
    for file in sorted(shared_data.glob("*/*.npz")):
        with np.load(file, allow_pickle=False) as stored:
            names = [name for name in ("cells", "nuclei") if name in stored.files]
            labels, pixels = [stored[name] for name in names], stored["image"]
        for one in labels:
            assert shows_labels(one[..., None]), file.name
            assert not shows_labels((one > 0).astype(np.uint8)[..., None] * 255), file.name
        for index in range(pixels.shape[2]):
            channel = pixels[..., index]
            # As it is, in few levels, and cut off at both ends.
            low, high = np.percentile(channel, (60, 99))
            few = np.clip((channel - low) / max(high - low, 1) * 255, 0, 255).astype(np.uint8)
            for seen in (channel, few, few // 32):
                assert not shows_labels(seen[..., None]), file.name


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((9, 9, 1), int),
        np.ones((9, 9, 1), int),
        np.random.default_rng(0).integers(0, 9, (40, 40, 1)),
        sample((64, 64)).truth[..., None] + 0.5 * (sample((64, 64)).truth[..., None] > 0),
        np.repeat(sample((64, 64)).truth[..., None], 3, axis=2),
    ],
)
def test_what_is_none(pixels: np.ndarray) -> None:
    assert not shows_labels(pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_intensities_that_look_like_labels_have_a_way_in(dtype: type, tmp_path: Path) -> None:
    truth = sample((160, 160), seed=3).truth
    assert truth is not None
    flat = truth.astype(dtype)
    tifffile.imwrite(tmp_path / "flat.tif", flat)
    with pytest.raises(ValueError, match=r"add 0\.5 to all of them and save it as 32-bit floats"):
        read_image(tmp_path / "flat.tif")
    # That is done.
    tifffile.imwrite(tmp_path / "more.tif", flat.astype(np.float32) + np.float32(0.5))
    image = read_image(tmp_path / "more.tif")
    np.testing.assert_array_equal(image.pixels[..., 0], flat + np.float32(0.5))
    mask = prepare(image, QUICK)[0].mask
    assert mask_iou(mask, truth > 0) > 0.8


def kinds_of_label_files(folder: Path) -> list[Path]:
    """One label image, written in the ways that programs write it."""
    labels = np.asarray(sample((128, 128), seed=3).truth)
    few = labels.astype(np.uint8)
    palette = np.random.default_rng(0).integers(0, 65535, (3, 256), np.uint16)
    made = {
        "plain.tif": lambda file: tifffile.imwrite(file, labels.astype(np.uint16)),
        "float.tif": lambda file: tifffile.imwrite(file, labels.astype(np.float32)),
        "array.npy": lambda file: np.save(file, labels),
        "palette.tif": lambda file: tifffile.imwrite(
            file, few, photometric="palette", colormap=palette
        ),
        "gray.png": lambda file: Picture.fromarray(few).save(file),
        "palette.png": lambda file: _in_colours(few).save(file),
        "gray.bmp": lambda file: Picture.fromarray(few).save(file),
        "gray.gif": lambda file: Picture.fromarray(few).save(file),
        "colours.webp": lambda file: Picture.fromarray(few).save(file, lossless=True),
        "array.h5": lambda file: file.write_bytes(hdf5(labels=labels)),
    }
    for name, write in made.items():
        write(folder / name)
    return [folder / name for name in made]


def _in_colours(numbers: np.ndarray) -> Picture.Image:
    picture = Picture.fromarray(numbers, "P")
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    return picture


def test_it_is_no_image_to_segment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same answer wherever it is given."""
    actin, _, _ = files(tmp_path)
    (tmp_path / "labels").mkdir()
    for file in kinds_of_label_files(tmp_path / "labels"):
        said = rf"^{file.name}: is a label image, which cannot be segmented"
        with pytest.raises(ValueError, match=said):
            read_image(file)
        with pytest.raises(ValueError, match=said):
            read_channel_files([actin, file])
        # As labels it is read.
        np.testing.assert_array_equal(
            read_contents(file, as_stored=True).pixels[..., 0], sample((128, 128), seed=3).truth
        )
    out = tmp_path / "run"
    assert main(["segment", str(file), "--out", str(out)]) == 2
    assert "is a label image" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(("name", "where"), [("a.vsi", ".ets"), ("a.mrxs", ".dat"), ("B.VSI", "")])
def test_an_overview_is_no_image(tmp_path: Path, name: str, where: str) -> None:
    """It begins as TIFF or JPEG does, and what it is an overview of lies elsewhere."""
    plane = sample((128, 128), seed=3).channel("fluorescence")
    if name == "a.mrxs":
        Picture.fromarray((plane >> 8).astype(np.uint8)).save(tmp_path / name, "JPEG")
    else:
        tifffile.imwrite(tmp_path / name, plane)
    with pytest.raises(ValueError, match=rf"^{name}: holds only an overview.*{where}.*OME-TIFF"):
        read_image(tmp_path / name)


def test_the_thumbnail_of_a_raw_file_is_no_image(tmp_path: Path) -> None:
    plane = sample((128, 128), seed=3).channel("fluorescence")
    tifffile.imwrite(tmp_path / "a.dng", plane[::4, ::4], subfiletype=1)
    with pytest.raises(ValueError, match=r"^a\.dng: holds only a reduced image"):
        read_image(tmp_path / "a.dng")


def test_a_pointer_of_git_lfs(tmp_path: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (tmp_path / "a.tif").write_text(text)
    with pytest.raises(ValueError, match=r"^a\.tif: is a pointer of Git LFS.*git lfs pull"):
        read_image(tmp_path / "a.tif")


def files(folder: Path) -> list[Path]:
    image = sample((128, 128), seed=3)
    for name, plane in (
        ("actin", image.channel("fluorescence")),
        ("dapi", image.channel("nucleus")),
        ("zz truth", np.asarray(image.truth).astype(np.uint16)),
    ):
        tifffile.imwrite(folder / f"{name}.tif", plane)
    return [folder / f"{name}.tif" for name in ("actin", "dapi", "zz truth")]


def test_among_uploaded_files_it_is_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path / "runs"))
    kept = [store_upload(file.name, file.read_bytes()) for file in files(tmp_path)]
    source = as_channels(kept)
    assert source.title == "actin.tif and dapi.tif"
    assert source.truth is not None
    assert source.truth.name == "zz truth.tif"
    image, truth = read_source(source), sample((128, 128), seed=3).truth
    assert image.channels == ("actin", "dapi")
    np.testing.assert_array_equal(image.truth, truth)
    part = read_source(source, region=(10, 20, 90, 100))
    np.testing.assert_array_equal(part.truth, truth[10:90, 20:100])
    # One file of an image is as good; a label image alone is none.
    assert as_channels([kept[1], kept[2]]).truth == source.truth
    with pytest.raises(ValueError, match="is a label image, which cannot be segmented"):
        read_source(as_channels([kept[2]]))
    # An image with its truth beside it in its file is an image.
    save(sample((128, 128), seed=3), tmp_path / "with.npz")
    npz = store_upload("with.npz", (tmp_path / "with.npz").read_bytes())
    assert as_channels([npz, kept[1]]).file_names == ["dapi.tif", "with.npz"]
    # Which of two is meant cannot be known.
    tifffile.imwrite(tmp_path / "more.tif", np.kron([[0, 1], [2, 3]], np.ones((64, 64), "u2")))
    two = store_upload("more.tif", (tmp_path / "more.tif").read_bytes())
    with pytest.raises(ValueError, match=r"more.tif and zz truth.tif both hold true cells"):
        as_channels([*kept, two])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    actin, dapi, truth = files(tmp_path)
    command = ["segment", str(actin), "--nucleus-file", str(dapi), *TINY, "--truth", str(truth)]
    assert main([*command, "--out", str(tmp_path / "run"), "--region", "0,0,100,110"]) == 0
    known = Run(tmp_path / "run").truth
    assert known is not None
    np.testing.assert_array_equal(known.labels, sample((128, 128), seed=3).truth[:100, :110])
    summary = json.loads((tmp_path / "run" / "result.json").read_text())
    assert 0 <= summary["scores"]["ap50"] <= 1
    # Without it the cells are the same.
    assert main([*command[:-2], "--out", str(tmp_path / "no"), "--region", "0,0,100,110"]) == 0
    labels = [tifffile.imread(tmp_path / run / "labels.tif") for run in ("run", "no")]
    np.testing.assert_array_equal(*labels)
    assert Run(tmp_path / "no").truth is None
    capsys.readouterr()
    # They lie in the whole image, as the truth does, which is scored where cells were looked for.
    assert labels[0].shape == (128, 128)
    assert not labels[0][100:].any()
    assert not labels[0][:, 110:].any()
    assert main(["evaluate", str(tmp_path / "run" / "labels.tif"), str(truth)]) == 0
    said = capsys.readouterr()
    assert "Scored in rows 0 to 99 and columns 0 to 109" in said.err
    assert json.loads(said.out)["ap50"] == summary["scores"]["ap50"]
    tifffile.imwrite(tmp_path / "part.tif", np.asarray(known.labels, np.uint16))
    assert main([*command[:-1], str(tmp_path / "part.tif")]) == 2
    assert "actin.tif: truth has shape (100, 110)" in capsys.readouterr().err


def test_a_mask_is_no_truth(tmp_path: Path) -> None:
    actin, _, _ = files(tmp_path)
    image, truth = read_image(actin), np.kron([[1, 0, 2]], np.ones((128, 43), int))[:, :128]
    with pytest.raises(ValueError, match=r"actin.tif: truth has one number in several pieces"):
        image.with_truth((truth > 0) * 255)
    one = (truth == 2).astype(int)
    assert np.asarray(image.with_truth(one).truth).sum() == one.sum()

"""Which files are the channels of one image, learnt from the names of those of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellcutter_core.images.file_sets.channel_names import ChannelNames


@pytest.mark.parametrize(
    ("own", "titles", "others"),
    [
        (
            ["A01_actin.tif", "A01_dapi.tif"],
            ["actin", "dapi"],
            [("B02_s1_actin.tif", "b02_S1_DAPI.tif")],
        ),
        (["A01w1.tif", "A01w2.tif"], ["w1", "w2"], [("H12w1.tif", "H12w2.tif")]),
        (
            ["exp1_ch00.ome.tif", "exp1_ch01.ome.tif"],
            ["ch00", "ch01"],
            [("exp1_t5_ch00.tif", "exp1_t5_ch01.tif")],
        ),
        (
            ["dapi_1.png", "gfp_1.png"],
            ["dapi", "gfp"],
            [("dapi_12.png", "gfp_12.png"), ("dapi_b_2.png", "gfp_b_2.png")],
        ),
        (["cells.tif", "cells_dapi.tif"], ["cells", "cells_dapi"], [("x.tif", "x_dapi.tif")]),
        # A microscope that ends each name by a number of its own.
        (
            ["p_A01_w1ABC0.tif", "p_A01_w2DEF9.tif"],
            ["w1ABC0", "w2DEF9"],
            [("p_A02_w1F00D.tif", "p_A02_w2BEEF.tif")],
        ),
        # Their numbers may begin with digits, which are none of the channel's.
        (
            [
                "e_A01_s1_w1A1B2C3D4-0000-4000-8000-A1B2C3D4E5F6.tif",
                "e_A01_s1_w27A8B9C0D-9999-4111-9222-17A8B9C0DEF1.tif",
            ],
            ["w1", "w2"],
            [
                (
                    "e_B02_s3_w17A8B9C0D-9999-4111-9222-27A8B9C0DEF1.tif",
                    "e_B02_s3_w20A8B9C0D-9999-4111-9222-37A8B9C0DEF1.tif",
                )
            ],
        ),
        # Where more is numbered, the channel stands as far from the end as in the first image.
        (
            ["P_Series001_ch00.tif", "P_Series001_ch01.tif"],
            ["ch00", "ch01"],
            [("P_Series002_z00_ch00.tif", "P_Series002_z00_ch01.tif")],
        ),
        (["C1-a.tif", "C2-a.tif"], ["C1", "C2"], [("C1-control.tif", "C2-control.tif")]),
        (["a_red.tif", "a_green.tif", "a_blue.tif"], ["red", "green", "blue"], []),
    ],
)
def test_names_say_which_files_belong_together(
    own: list[str], titles: list[str], others: list[tuple[str, ...]]
) -> None:
    names = ChannelNames.of(own)
    assert names.titles == titles
    images = [tuple(map(Path, files)) for files in (tuple(own), *others)]
    mixed = [file for files in images for file in reversed(files)]
    assert names.images(mixed) == images
    for file, title in zip(own, titles, strict=True):
        stem = file.removesuffix(".tif").removesuffix(".png").removesuffix(".ome")
        assert names.title_of(stem) == title
        assert names.title_of(f"{stem} red") == f"{title} red"
    assert names.title_of("none") == "none"


NAMES = ChannelNames.of(["A_actin.tif", "A_dapi.tif"])


def test_files_of_one_image_lie_in_one_folder() -> None:
    files = [Path(f"{day}/{channel}.tif") for day in "12" for channel in ("B_dapi", "B_actin")]
    assert NAMES.images(files) == [(files[1], files[0]), (files[3], files[2])]
    # Uploaded files lie in folders that say nothing.
    apart = [Path("1/B_dapi.tif"), Path("2/B_actin.tif")]
    assert NAMES.images(apart, with_folders=False) == [(apart[1], apart[0])]
    assert NAMES.images(apart) == [(apart[0],), (apart[1],)]


@pytest.mark.parametrize(
    "other", ["other.tif", "B_dapi_mask.tif", "B_dapi_mask2.tif", "B_actin+2.tif", "B_gfp.tif"]
)
def test_what_is_no_channel_is_an_image(other: str) -> None:
    files = [Path("B_actin.tif"), Path(other), Path("B_dapi.tif")]
    assert NAMES.images(files) == [(files[0], files[2]), files[1]]


@pytest.mark.parametrize(
    "own",
    [
        ["a/img.tif"],
        ["a/img.tif", "b/img.tif"],
        ["img.tif", "IMG.png"],
        [],
        [
            "x_00000000-0000-4000-8000-A1B2C3D4E5F6.tif",
            "x_00000000-0000-4000-8000-1B2C3D4E5F6A.tif",
        ],
    ],
)
def test_names_that_are_the_same_say_nothing(own: list[str]) -> None:
    assert ChannelNames.of([Path(file).name for file in own]) is None


def test_what_is_missing_or_there_twice_is_said() -> None:
    whole, double = [Path("B_actin.tif"), Path("B_dapi.tif")], Path("B_dapi.png")
    NAMES.check(whole)
    NAMES.check([Path("in the.tif"), Path("order of the run.tif")])
    with pytest.raises(ValueError, match=r"^B_dapi.tif: the file of the channel actin is missing"):
        NAMES.check(whole[1:])
    with pytest.raises(ValueError, match=r"^B_dapi.png: B_dapi.tif is the same channel"):
        NAMES.check([*whole, double])
    # The other images suffer nothing from them.
    good = [Path("C_actin.tif"), Path("C_dapi.tif")]
    assert NAMES.images([*whole, double, *good])[1:] == [tuple(good)]


def test_an_image_is_called_by_what_says_no_channel() -> None:
    assert NAMES.name_of([Path("1/B_actin.tif"), Path("1/B_dapi.tif")]) == "B"
    bare = ChannelNames.of(["actin.tif", "dapi.tif"])
    assert bare.name_of([Path("day 1/actin.tif"), Path("day 1/dapi.tif")]) == "day 1"
    # An uploaded file has a folder of its own.
    assert bare.name_of([Path("0a1b/actin.tif"), Path("9f2c/dapi.tif")]) == "actin"

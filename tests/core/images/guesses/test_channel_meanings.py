"""What names of channels mean."""

import pytest

from cellcutter_core.images.guesses.channel_meanings import excited_by_uv, meanings


@pytest.mark.parametrize(
    ("meaning", "names"),
    [
        (
            "nuclei",
            "DAPI|w1DAPI|Hoechst 33342|hoechst33258|DNA|siR-DNA|SPY555-DNA|OrigDNA|DRAQ5|draq-5"
            "|Nuclei|nuclear stain|nuc_GFP|H2B-mCherry|H2BmCherry|Histone H3|H3-mCherry"
            "|NLS-tdTomato|NucBlue|NucRed|Vybrant DyeCycle Violet|SYTO 9|SYTO59|hematoxylin"
            "|Haematoxylin|cell nuclei|Zellkerne|noyaux|núcleos",
        ),
        ("dead nuclei", "PI|propidium iodide|SYTOX Green|TO-PRO-3|ToPro3|7-AAD|DRAQ7|EthD-1"),
        (
            "cells",
            "membrane|CellMask Deep Red|WGA-647|E-cadherin|ECad|actin (phalloidin)|SiR-actin"
            "|LifeAct-GFP|anti-tubulin|cytoplasm|CellTracker Green|calcein AM|DiI|FM 4-64|FM1-43"
            "|cells|cell body|CD45|pan-CK|PanCK|cytokeratin|EpCAM|AGP",
        ),
        ("organelles", "MitoTracker|ER|Golgi|RNA (SYTO 14)|nuclear envelope|lamin B1|nucleolus"),
        ("transmitted light", "bright field|Brightfield|BF|phase contrast|DIC|TL|T-PMT"),
        (
            None,
            "GFP|mCherry|TRITC|Cy5|FITC|488|Ch1-T1|w2|pDNAse|siRNA-treated|dicer|PI3K|Pipette"
            "|mitosis|laminin|ERK-KTR|Ki67|DAPI/Phalloidin|Alexa Fluor 568|EGFP|x",
        ),
    ],
)
def test_what_a_name_means(meaning: str | None, names: str) -> None:
    for name in names.split("|"):
        assert meanings([name]) == [meaning], name


def test_words_that_all_names_share_say_nothing() -> None:
    assert meanings(["DAPI exp_ch00", "DAPI exp_ch01"]) == [None, None]
    assert meanings(["c:1/2 - DAPI.tif", "c:2/2 - DAPI.tif"]) == [None, None]
    assert meanings(["exp DAPI_tubulin", "exp DAPI_Hoechst"]) == ["cells", "nuclei"]


def test_a_laser_is_no_count() -> None:
    assert excited_by_uv(["Confocal - 405", "Confocal - 488", "561"]) == [True, False, False]
    assert excited_by_uv(["img_405", "img_406"]) == [False, False]
    assert excited_by_uv(["488", "640"]) == [False, False]

"""Names of runs say what differs between them."""

from types import SimpleNamespace
from typing import Any

import pytest

from cellcutter_core.config import FROM_NOTHING, PAPER, QUICK, Config, starting
from cellcutter_core.runs.description import Description
from cellcutter_core.runs.names import (
    changes_in_words,
    differences,
    image_of,
    run_name,
    settings_in_words,
)


def changed(config: Config, group: str, **values: object) -> Config:
    return config.replace(**{group: getattr(config, group).replace(**values)})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (QUICK, "quick"),
        (PAPER, "paper"),
        (FROM_NOTHING, "quick from nothing"),
        (starting(PAPER, "simulated"), "paper from the taught network"),
        (changed(QUICK, "training", epochs=3), "quick, 3 epochs"),
        (
            changed(FROM_NOTHING, "training", epochs=3, seed=2),
            "quick from nothing, 3 epochs, seed 2",
        ),
        (changed(QUICK, "labels", fill=False), "quick, labels fill off"),
        (changed(QUICK, "training", lam=2.5), "quick, λ 2.5"),
        # What decides nothing is no difference.
        (changed(QUICK, "mask", prior=0.5), "quick"),
        (changed(QUICK, "training", warm_up_radius=9), "quick"),
        (
            changed(QUICK, "mask", automatic=False, prior=0.5, sigma=0.1, max_weight=3),
            "quick, mask automatic off, mask prior 0.5, mask max weight 3, mask sigma 0.1",
        ),
        (
            changed(QUICK, "training", epochs=3, seed=2, lam=2, beta=-1, steps=7),
            "quick, 3 epochs, 7 steps an epoch, λ 2, 2 more",
        ),
    ],
)
def test_settings_in_words(config: Config, words: str) -> None:
    assert settings_in_words(config) == words


def described(config: Config = QUICK, **more: object) -> Description:
    return Description(config=config, image="a.tif", **more)


def name_of(run_id: str, about: Description) -> str:
    run: Any = SimpleNamespace(id=run_id, description=about)
    return run_name(run)


def test_two_runs_of_one_image_have_names_that_say_what_differs() -> None:
    names = [
        name_of(f"20260101-000000-{id_}", about).partition(" · ")[2]
        for id_, about in {
            "aaaaa": described(),
            "bbbbb": described(FROM_NOTHING),
            "ccccc": described(edits="0123456789"),
            "ddddd": described(region=[10, 20, 110, 140], whole=[512, 512]),
            "eeeee": described(region=[0, 0, 512, 512], whole=[512, 512]),
            "fffff": described(others=["b.tif", "c.tif"]),
        }.items()
    ]
    assert names == [
        "a.tif · quick · aaaaa",
        "a.tif · quick from nothing · bbbbb",
        "a.tif · quick, markers by hand · ccccc",
        "a.tif [10:110, 20:140] · quick · ddddd",
        "a.tif · quick · eeeee",
        "a.tif and 2 others · quick · fffff",
    ]


def test_what_differs_between_two_runs() -> None:
    assert differences(described(), described()) == {}
    other = described(
        changed(FROM_NOTHING, "training", epochs=QUICK.training.epochs),
        edits="abcdefgh",
        region=[0, 0, 99, 99],
    )
    found = differences(described(), other)
    assert found["image"] == ("a.tif", "a.tif [0:99, 0:99]")
    assert found["markers"] == ("found", "by hand")
    assert found["network start"] == ("Taught on simulated cells", "Nothing, as published")
    assert found["labels fill"] == ("on", "off")
    assert found["training steps"] == ("10", "16")
    assert "training epochs" not in found
    assert "preset" not in found
    by_hand = differences(described(edits="11111"), described(edits="22222"))
    assert by_hand == {"markers": ("by hand (11111)", "by hand (22222)")}
    again = differences(described(), described(**{"from": {"run": "x", "epoch": 1}}))
    assert again == {"begins with": ("a new network", "the network of run x")}


def test_what_is_new_in_settings() -> None:
    new = changed(changed(QUICK, "training", epochs=3), "labels", fill=False)
    words = "training epochs 3 instead of 6, labels fill off instead of on"
    assert changes_in_words(new, QUICK) == words
    assert changes_in_words(QUICK, QUICK) == ""
    assert changes_in_words(PAPER, QUICK).endswith("more")


def test_a_run_of_long_ago_has_a_name() -> None:
    about = Description(config=QUICK)
    assert image_of(about) == "from the command line"
    assert name_of("r1", about).endswith("from the command line · quick · r1")

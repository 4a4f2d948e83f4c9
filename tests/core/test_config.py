"""Settings: published values, bounds and one-line messages, immutability, JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from cellcutter_core.config import (
    PAPER,
    PRESETS,
    QUICK,
    TAUGHT,
    Config,
    CropSettings,
    LabelSettings,
    MarkerSettings,
    MaskSettings,
    NetworkSettings,
    Settings,
    TrainingSettings,
    starting,
)

GROUPS = (
    MaskSettings,
    MarkerSettings,
    CropSettings,
    NetworkSettings,
    TrainingSettings,
    LabelSettings,
)


def limits(group: type[Settings], name: str) -> dict[str, float]:
    """The bounds of a setting: {"ge": 16, "le": 512, ...}."""
    keys = ("ge", "gt", "le", "lt", "multiple_of")
    metadata = group.model_fields[name].metadata
    return {key: getattr(b, key) for b in metadata for key in keys if hasattr(b, key)}


def out_of_bounds() -> list[Any]:
    """(settings, name, a value just beyond one of its bounds)."""
    beyond = {
        "ge": lambda limit: limit - 1,
        "gt": lambda limit: limit,
        "le": lambda limit: limit + 1,
        "lt": lambda limit: limit,
        # Well inside the other bounds.
        "multiple_of": lambda limit: 4 * limit + 1,
    }
    return [
        pytest.param(group, name, beyond[key](limit), id=f"{name}={beyond[key](limit)}")
        for group in GROUPS
        for name in group.model_fields
        for key, limit in limits(group, name).items()
    ]


OUT_OF_BOUNDS = out_of_bounds()


def test_there_are_bounds_to_test() -> None:
    numbers = [
        name
        for group in GROUPS
        for name, field in group.model_fields.items()
        if field.annotation in (int, float, int | None, float | None)
    ]
    # A lower and an upper one for each number.
    assert len(numbers) > 20
    assert len(OUT_OF_BOUNDS) >= 2 * len(numbers)


@pytest.mark.parametrize(("group", "name", "value"), OUT_OF_BOUNDS)
def test_a_value_out_of_bounds_is_one_line_with_name_value_and_bounds(
    group: type[Settings], name: str, value: float
) -> None:
    with pytest.raises(ValueError, match=f"^{name} should be ") as caught:
        group(**{name: value})
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(f", got {value!r}")
    for limit in limits(group, name).values():
        assert re.search(rf"(at least|at most|than|of) {re.escape(str(limit))}\b", message)


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        (
            CropSettings,
            {"size": 8},
            "^size should be at least 16, at most 512 and a multiple of 16, got 8$",
        ),
        (CropSettings, {"size": 40}, "^size should be .* and a multiple of 16, got 40$"),
        (CropSettings, {"sigma": float("nan")}, "sigma .*finite number, got nan"),
        (TrainingSettings, {"learning_rate": float("inf")}, "learning_rate .*got inf"),
        (TrainingSettings, {"epochs": "many"}, "epochs .*integer.*got 'many'"),
        (TrainingSettings, {"steps": 2.5}, "steps .*integer.*got 2.5"),
        (
            TrainingSettings,
            {"seed": 2**32},
            f"^seed should be at least 0 and less than {2**32}, got",
        ),
        (NetworkSettings, {"depth": 5}, "depth should be 3 or 4, got 5"),
        (NetworkSettings, {"normalisation": "layer"}, "'batch', 'group' or 'none', got 'layer'"),
        (MaskSettings, {"prior": 1}, "^prior should be greater than 0 and less than 1, got 1$"),
        (MaskSettings, {"colour": 1}, "^there is no setting called colour$"),
        (Config, {"crop": {}}, "^there is no setting called crop$"),
        (Config, {"preset": "fast"}, "preset should be 'quick', 'paper' or 'custom', got 'fast'"),
        (Config, {"crops": {"size": 8}}, "^crops: size should be at least 16, .* got 8$"),
        (Config, {"crops": 64}, "crops .*got 64"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    group: type[Settings], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        group(**values)
    assert "\n" not in str(caught.value)


def test_every_mistake_is_named() -> None:
    with pytest.raises(ValueError, match=r"epochs .*got 0; beta .*got 3; there is no .* colour"):
        TrainingSettings(epochs=0, beta=3, colour=1)


def test_a_message_is_one_line_whatever_the_value() -> None:
    with pytest.raises(ValueError, match=r"size .*integer") as caught:
        CropSettings(size=np.zeros((3, 3)))
    assert "\n" not in str(caught.value)


def test_values_at_the_bounds_are_taken() -> None:
    assert CropSettings(size=16).size == 16
    assert CropSettings(size=512).size == 512
    assert TrainingSettings(seed=2**32 - 1).seed == 2**32 - 1
    assert TrainingSettings(area=None).area is None
    assert MaskSettings(max_weight=0).max_weight == 0


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        PAPER.crops.size = 32
    with pytest.raises(ValueError, match="frozen"):
        PAPER.crops = CropSettings()


def test_replace_checks_like_a_new_one_and_leaves_the_old() -> None:
    changed = QUICK.training.replace(epochs=3)
    assert changed.epochs == 3
    assert changed.replace(epochs=QUICK.training.epochs) == QUICK.training
    with pytest.raises(ValueError, match=r"^epochs should be at least 1 and at most 10000, got 0$"):
        QUICK.training.replace(epochs=0)
    with pytest.raises(ValueError, match=r"no setting called epoch$"):
        QUICK.training.replace(epoch=3)


def test_replace_in_nested_settings() -> None:
    larger = QUICK.replace(crops=QUICK.crops.replace(size=128), preset="custom")
    assert larger.crops.size == 128
    assert larger.crops.intensity == "log"
    assert larger.training == QUICK.training
    assert isinstance(larger.network, NetworkSettings)
    with pytest.raises(ValueError, match="size should be") as caught:
        QUICK.replace(crops={"size": 1})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_config_goes_through_json_and_back(preset: str) -> None:
    config = PRESETS[preset]
    assert config.preset == preset
    text = json.dumps(config.model_dump())
    assert Config(**json.loads(text)) == config
    assert Config(**json.loads(config.model_dump_json())) == config
    assert PAPER != QUICK


def test_the_paper_preset_is_the_published_configuration() -> None:
    assert PAPER.network.model_dump() == {
        "start": "nothing",
        "depth": 4,
        "channels": 32,
        "normalisation": "batch",
        "stem": 1,
    }
    assert (PAPER.crops.size, PAPER.crops.sigma) == (64, 15)
    assert (PAPER.crops.cell_size, PAPER.crops.intensity) == (None, "linear")
    assert not PAPER.crops.with_nucleus
    training = PAPER.training
    assert (training.area, training.steps) == (640, 32)
    assert (training.lam, training.beta) == (1, -20)
    assert training.symmetries == "flips"
    # Adam as Keras and the original have it.
    assert (training.learning_rate, training.schedule, training.clip_norm) == (
        1e-3,
        "constant",
        None,
    )
    # What is ours and not in the paper is off.
    assert (training.nucleus_weight, training.warm_up) == (0, 0)
    assert not PAPER.labels.fill
    # The notebook's graph cut.
    assert (PAPER.mask.prior, PAPER.mask.max_weight, PAPER.mask.sigma) == (0.985, 10, 0.03)
    assert PAPER.mask.scaling == "minmax"
    # It is used once the automatic mask is off; that prior suits the paper's images.
    assert PAPER.mask.automatic
    assert PAPER.markers.automatic


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fits_together(preset: str) -> None:
    config = PRESETS[preset]
    assert config.crops.size % (2**config.network.depth * config.network.stem) == 0
    assert config.markers.min_sigma < config.markers.max_sigma
    assert config.training.warm_up < config.training.epochs * config.training.steps


def test_every_setting_says_what_it_means() -> None:
    for group in GROUPS:
        for name, field in group.model_fields.items():
            assert field.description, f"{group.__name__}.{name}"
            assert field.description.endswith(".")


def test_a_start_brings_what_suits_it_and_keeps_the_rest() -> None:
    chosen = QUICK.replace(
        mask=QUICK.mask.replace(prior=0.5), training=QUICK.training.replace(lam=3, seed=4)
    )
    found = starting(chosen, "nothing")
    assert found.network == QUICK.network.replace(start="nothing")
    assert found.crops.size == 64
    assert (found.training.crops, found.training.learning_rate) == (48, 3e-3)
    assert found.training.epochs > QUICK.training.epochs
    assert (found.mask.prior, found.training.lam, found.training.seed) == (0.5, 3, 4)
    assert starting(found, "simulated") == chosen


def test_a_start_that_the_settings_have_already_changes_nothing() -> None:
    assert starting(QUICK, "simulated") is QUICK
    assert starting(PAPER, "nothing") is PAPER


def test_the_paper_preset_comes_back_from_the_taught_network() -> None:
    taught = starting(PAPER, "simulated")
    assert taught.network == TAUGHT
    assert taught.crops == QUICK.crops
    assert taught.training.learning_rate == QUICK.training.learning_rate
    assert starting(taught, "nothing") == PAPER


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": TAUGHT.replace(channels=8)}, "network: the taught network has depth 4, 16"),
        ({"crops": QUICK.crops.replace(intensity="linear")}, "crops: .* the logarithm of cells"),
        ({"crops": QUICK.crops.replace(cell_size=None)}, "one cell_size"),
        ({"crops": QUICK.crops.replace(with_nucleus=True)}, "without the nucleus channel"),
    ],
)
def test_what_does_not_go_with_the_taught_network_is_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        QUICK.replace(**change)

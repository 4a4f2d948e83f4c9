"""The training loop: its events, its seed, stopping, going on, warm-up, collapse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from cellcutter_core.config import NetworkSettings, TrainingSettings
from cellcutter_core.evaluation.metrics import miou
from cellcutter_core.network.unet import UNet
from cellcutter_core.training import loop as training
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.events import Epoch, Step
from cellcutter_core.training.loop import Training, Validation, train, train_self_supervised
from cellcutter_core.training.loss import loss_names

USUAL = TrainingSettings(
    epochs=4, steps=3, area=None, crops=6, crops_at_once=8, symmetries="all", seed=5
)


def dataset(n: int = 9, *, side: int = 48, channels: int = 1) -> Dataset:
    """Bright discs anywhere on a noisy ground, in a mask that holds them all."""
    points = np.random.default_rng(n).integers(6, side - 6, (n, 2))
    return dataset_at(points, side=side, channels=channels)


def dataset_at(points: np.ndarray, *, side: int, channels: int = 1) -> Dataset:
    rows, cols = np.indices((side, side))
    cells = np.zeros((side, side), bool)
    for row, col in points:
        cells |= (rows - row) ** 2 + (cols - col) ** 2 < 5**2
    noise = np.random.default_rng(0).normal(0, 0.2, (side, side, channels))
    return Dataset(cells[..., None] + noise, points, ~cells, crop_size=16, sigma=5)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return dataset()


def network(normalisation: str = "none") -> UNet:
    return UNet(NetworkSettings(depth=3, channels=4, normalisation=normalisation))


class FakeOptimiser:
    """Takes no step but remembers what it was told, for what the loop alone decides."""

    told: list[dict[str, Any]]

    class where:
        device = "none"

    def __init__(self, *_: Any) -> None:
        pass

    def write_back(self) -> None:
        pass

    def step(
        self, data: Dataset, cells: np.ndarray, symmetries: np.ndarray, **rest: float
    ) -> dict[str, float]:
        self.told.append({"data": data, "cells": cells, "symmetries": symmetries, **rest})
        return dict.fromkeys(loss_names(), -9.0)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a training tells its optimiser, one entry a step; no step is taken."""
    monkeypatch.setattr(FakeOptimiser, "told", [], raising=False)
    monkeypatch.setattr("cellcutter_core.training.loop.Optimiser", FakeOptimiser)
    return FakeOptimiser.told


def losses(events: Iterator[Step | Epoch]) -> list[float]:
    return [event.loss for event in events if isinstance(event, Step)]


@pytest.fixture(scope="module")
def watched(data: Dataset) -> tuple[list[Step | Epoch], list[float]]:
    """Four epochs, and what the scores of the validation crops should be after each."""
    # Batch normalisation has moving averages, without which it would not go on as it was.
    unet = network("batch")
    cells = np.array([3, 1, 8])
    truth = np.random.default_rng(0).random((3, 16, 16)) < 0.5
    events, scores = [], []
    for event in Training(data, unet, USUAL, Validation(cells, truth)).run():
        events.append(event)
        if isinstance(event, Epoch):
            scores.append(miou(unet.probabilities(data.crops(cells)) > 0.5, truth))
    return events, scores


@pytest.fixture
def four_epochs(watched: tuple[list[Step | Epoch], list[float]]) -> list[Step | Epoch]:
    return watched[0]


def test_the_stream_has_every_step_and_every_epoch_in_order(
    four_epochs: list[Step | Epoch],
) -> None:
    assert [type(event).__name__ for event in four_epochs] == (["Step"] * 3 + ["Epoch"]) * 4
    for i in range(4):
        *steps, epoch = four_epochs[4 * i : 4 * i + 4]
        assert isinstance(epoch, Epoch)
        assert epoch.epoch == i + 1
        assert [(s.epoch, s.step) for s in steps] == [(i + 1, 1), (i + 1, 2), (i + 1, 3)]
        for name in ("loss", "area", "overlap", "background", "certain"):
            mean = np.mean([step.losses[name] for step in steps])
            assert epoch.losses[name] == pytest.approx(mean)
        assert epoch.seconds == pytest.approx(sum(s.seconds for s in steps))
        assert not epoch.collapsed
        assert epoch.device.startswith("CPU (")
        for step in steps:
            assert step.n_crops == 6
            area, overlap, background = (
                step.losses[name] for name in ("area", "overlap", "background")
            )
            assert step.loss == pytest.approx(area + overlap + background, rel=1e-5)
            assert area < 0 < overlap < background
            assert not step.warming_up


def test_a_seed_decides_everything_and_validation_nothing(
    data: Dataset, four_epochs: list[Step | Epoch]
) -> None:
    again = list(train(data, network("batch"), USUAL.replace(epochs=2)))
    assert losses(iter(again)) == losses(iter(four_epochs))[:6]
    assert [event.miou for event in again if isinstance(event, Epoch)] == [None, None]


def test_epoch_0_is_scored_and_the_training_after_it_is_the_same(
    data: Dataset, four_epochs: list[Step | Epoch]
) -> None:
    unet, cells = network("batch"), np.array([3, 1, 8])
    truth = np.random.default_rng(0).random((3, 16, 16)) < 0.5
    training = Training(data, unet, USUAL, Validation(cells, truth))
    zero = training.epoch_zero()
    assert (zero.epoch, training.epochs_done) == (0, 0)
    assert zero.miou == pytest.approx(miou(unet.probabilities(data.crops(cells)) > 0.5, truth))
    assert losses(training.run()) == losses(iter(four_epochs))
    assert Training(data, unet, USUAL).epoch_zero().miou is None


def test_another_seed_gives_other_weights_and_other_crops(
    data: Dataset, told: list[dict[str, Any]]
) -> None:
    networks = [network(), network(), network()]
    for unet, seed in zip(networks, (5, 5, 6), strict=True):
        list(train(data, unet, USUAL.replace(seed=seed)))
    first, same, other = (unet.weights[0] for unet in networks)
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
    first, same, other = (
        [step[name].tolist() for step in told[i : i + 12] for name in ("cells", "symmetries")]
        for i in (0, 12, 24)
    )
    assert first == same != other


def test_a_training_goes_on_as_if_it_had_never_stopped(
    data: Dataset, four_epochs: list[Step | Epoch]
) -> None:
    first = network("batch")
    begun = Training(data, first, USUAL)
    begun_losses = losses(begun.run(epochs=2))
    assert begun.epochs_done == 2
    weights, state = first.weights, begun.state

    second = network("batch")
    second.set_weights(weights, data.n_channels)
    gone_on = Training(data, second, USUAL, epochs_done=2, optimizer_state=state)
    # The state can be asked for before anything has been done.
    np.testing.assert_equal(gone_on.state, state)
    assert begun_losses + losses(gone_on.run()) == losses(iter(four_epochs))
    assert gone_on.epochs_done == 4


# Crops pass in two batches, so that it is asked five times a step: before it, and before each batch
# in both passes.
IN_BATCHES = USUAL.replace(crops_at_once=4, epochs=2)


@pytest.fixture(scope="module")
def in_batches(data: Dataset) -> tuple[list[Step | Epoch], UNet]:
    """Two epochs that nobody stopped."""
    unet = network("batch")
    return list(train(data, unet, IN_BATCHES)), unet


@pytest.mark.parametrize(
    ("n_asked", "n_epochs", "n_steps"),
    [
        (5, 0, 1),  # After the first step.
        (14, 0, 2),  # In the last batch of the last step of the first epoch ...
        (24, 1, 1),  # ... and of a step in the middle of the second.
    ],
)
def test_a_training_that_stopped_within_an_epoch_goes_on_with_the_next_step(
    n_asked: int,
    n_epochs: int,
    n_steps: int,
    data: Dataset,
    in_batches: tuple[list[Step | Epoch], UNet],
) -> None:
    whole, trained = in_batches
    asked = iter(range(n_asked))
    first = network("batch")
    begun = Training(data, first, IN_BATCHES)
    events = list(begun.run(stop=lambda: next(asked, None) is None))
    assert (begun.epochs_done, len(begun.unfinished)) == (n_epochs, n_steps)
    weights, state = first.weights, begun.state

    second = network("batch")
    second.set_weights(weights, data.n_channels)
    gone_on = Training(data, second, IN_BATCHES, None, begun.epochs_done, state, begun.unfinished)
    events += gone_on.run()
    assert without_seconds(events) == without_seconds(whole)
    np.testing.assert_equal(second.weights, trained.weights)
    assert (gone_on.epochs_done, gone_on.unfinished) == (2, [])


def without_seconds(events: list[Step | Epoch]) -> list[dict[str, Any]]:
    return [{k: v for k, v in asdict(event).items() if k != "seconds"} for event in events]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_one_object_goes_on_with_the_same_crops_and_learning_rates(
    schedule: str, data: Dataset, told: list[dict[str, Any]]
) -> None:
    settings = USUAL.replace(schedule=schedule)
    list(train(data, network(), settings))
    training = Training(data, network(), settings)
    begun = list(training.run(stop=lambda: training.epochs_done == 2))
    assert [type(event) for event in begun] == ([Step] * 3 + [Epoch]) * 2
    assert len(list(training.run())) == 8
    whole, in_parts = told[:12], told[12:]
    for name in ("cells", "symmetries", "learning_rate"):
        np.testing.assert_equal([step[name] for step in in_parts], [step[name] for step in whole])
    # All done: nothing more comes.
    assert list(training.run()) == []
    assert training.epochs_done == 4


@pytest.mark.parametrize("n_steps", range(7))
@pytest.mark.parametrize("area", [None, 20])
def test_after_a_stop_each_step_sees_what_it_would_have_seen(
    area: int | None, n_steps: int, data: Dataset, told: list[dict[str, Any]]
) -> None:
    """On two images, one of which each step draws."""
    settings = USUAL.replace(schedule="cosine", epochs=2, area=area)
    both = [data, dataset(12)]
    whole = list(train(both, network(), settings))
    training = Training(both, network(), settings)
    left = iter(range(n_steps))
    events = list(training.run(stop=lambda: next(left, None) is None))
    assert [step.step for step in training.unfinished] == [1, 2, 3][: n_steps % 3]
    events += training.run()
    assert without_seconds(events) == without_seconds(whole)
    seen, seen_in_parts = told[:6], told[6:]
    assert {id(step["data"]) for step in seen} == {id(one) for one in both}
    for name in ("cells", "symmetries", "learning_rate"):
        np.testing.assert_equal([s[name] for s in seen_in_parts], [s[name] for s in seen])
    assert [step["data"] for step in seen_in_parts] == [step["data"] for step in seen]


def test_an_epoch_of_which_all_steps_are_done_only_ends(
    data: Dataset, told: list[dict[str, Any]]
) -> None:
    settings = USUAL.replace(epochs=1)
    *steps, epoch = train(data, network(), settings)
    assert len(told) == 3
    (ended,) = Training(data, network(), settings, unfinished=steps).run(stop=lambda: True)
    assert ended == epoch
    assert len(told) == 3


def test_steps_of_another_epoch_are_refused(data: Dataset, told: list[dict[str, Any]]) -> None:
    *steps, _ = train(data, network(), USUAL.replace(epochs=1))
    with pytest.raises(ValueError, match="steps of another epoch than 2"):
        Training(data, network(), USUAL, epochs_done=1, unfinished=steps)


def test_it_stops_within_one_step(data: Dataset, told: list[dict[str, Any]]) -> None:
    training = Training(data, network(), USUAL)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    events = list(training.run(stop=stop))
    # Asked before each step: five were done, and of the second epoch there is no end.
    assert [type(event) for event in events] == [Step] * 3 + [Epoch] + [Step] * 2
    assert len(told) == 5
    assert asked == 6
    assert training.epochs_done == 1
    assert training.unfinished == events[4:]
    assert list(training.run(stop=lambda: True)) == []
    assert training.unfinished == events[4:]


def test_a_step_that_is_given_up_is_none(
    data: Dataset, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, asked = FakeOptimiser.step, []

    def given_up(self: FakeOptimiser, *args: Any, **values: Any) -> Any:
        asked.append(values["stop"])
        return None if len(asked) == 2 else step(self, *args, **values)

    monkeypatch.setattr(FakeOptimiser, "step", given_up)
    training = Training(data, network(), USUAL)
    stop = lambda: False  # noqa: E731
    assert [type(event) for event in training.run(stop=stop)] == [Step]
    assert asked == [stop, stop]
    assert training.epochs_done == 0
    assert [step.step for step in training.unfinished] == [1]


def test_the_learning_rate_stays_or_falls_along_half_a_cosine(
    data: Dataset, told: list[dict[str, Any]]
) -> None:
    settings = USUAL.replace(learning_rate=0.1, epochs=3, steps=7)
    list(train(data, network(), settings))
    list(train(data, network(), settings.replace(schedule="cosine")))
    # One step alone is the first.
    list(train(data, network(), settings.replace(schedule="cosine", epochs=1, steps=1)))
    rates = [step["learning_rate"] for step in told]
    assert rates[:21] == [0.1] * 21
    falling = rates[21:42]
    assert falling[0] == pytest.approx(0.1)
    assert falling[10] == pytest.approx(0.1 * 0.525)
    assert falling[20] == pytest.approx(0.1 / 20)
    assert falling == sorted(falling, reverse=True)
    assert rates[42:] == pytest.approx([0.1])


@pytest.mark.parametrize("warm_up", [0, 1, 4, 6, 100])
def test_warm_up_steps_come_first_and_are_marked(
    warm_up: int, data: Dataset, told: list[dict[str, Any]]
) -> None:
    settings = USUAL.replace(warm_up=warm_up, epochs=2)
    events = list(train(data, network(), settings))
    marked = [event.warming_up for event in events if isinstance(event, Step)]
    assert marked == [index < warm_up for index in range(6)]
    # Before, the targets alone; after, the loss alone.
    assert [step["target_weight"] for step in told] == [1 if warm else 0 for warm in marked]


def test_symmetries_are_none_or_one_for_a_step_or_one_for_each_crop(
    data: Dataset, told: list[dict[str, Any]]
) -> None:
    for symmetries in ("none", "flips", "all"):
        list(train(data, network(), USUAL.replace(symmetries=symmetries, steps=20)))
    none, flips, each = (
        np.array([step["symmetries"] for step in told[i : i + 80]]) for i in (0, 80, 160)
    )
    assert none.shape == flips.shape == each.shape == (80, 6)
    assert not none.any()
    assert (flips == flips[:, :1]).all()
    assert set(flips.ravel()) == {0, 1, 2, 3}
    assert set(each.ravel()) == set(range(8))
    assert (each != each[:, :1]).any(axis=1).sum() > 70


def test_several_images_are_trained_on_together(data: Dataset, told: list[dict[str, Any]]) -> None:
    both = [data, dataset(7)]
    events = list(train(both, network(), USUAL.replace(crops=100, steps=10)))
    assert {id(step["data"]) for step in told} == {id(one) for one in both}
    assert {event.n_crops for event in events if isinstance(event, Step)} == {9, 7}
    for step in told:
        assert step["cells"].tolist() == list(range(len(step["data"])))
        assert step["symmetries"].shape == step["cells"].shape


@pytest.mark.parametrize("area", [None, 24])
def test_each_cell_of_several_images_comes_as_often(
    area: int | None, told: list[dict[str, Any]]
) -> None:
    """Of an image with fewer cells than crops in a step, of one with more, and of a large one."""
    images = [dataset(4), dataset(12), dataset(60, side=96)]
    settings = USUAL.replace(epochs=1, steps=4000, area=area)
    list(train(images, network(), settings))
    each = [
        sum(len(step["cells"]) for step in told if step["data"] is image) / len(image)
        for image in images
    ]
    # The square's share of an image without the crops that hang over its edge is nearly this.
    assert each == pytest.approx([np.mean(each)] * 3, rel=0.1 if area is None else 0.4)


def test_one_image_sees_what_it_always_saw(data: Dataset, told: list[dict[str, Any]]) -> None:
    """Nothing is drawn by chance to choose the image where there is one alone."""
    list(train([data], network(), USUAL.replace(epochs=2)))
    for epoch in (1, 2):
        rng = np.random.default_rng([USUAL.seed, epoch])
        for step in told[3 * epoch - 3 : 3 * epoch]:
            np.testing.assert_array_equal(step["cells"], data.neighbours(rng, USUAL.crops))
            np.testing.assert_array_equal(step["symmetries"], rng.integers(8, size=USUAL.crops))


def test_the_published_square_makes_a_step_of_whatever_lies_in_it(
    told: list[dict[str, Any]],
) -> None:
    large = dataset(40, side=96)
    events = list(train(large, network(), USUAL.replace(area=32, steps=20, crops=1)))
    counts = {event.n_crops for event in events if isinstance(event, Step)}
    assert len(counts) > 5
    assert min(counts) > 0
    assert max(counts) < 40
    # What was told is what was counted.
    assert {len(step["cells"]) for step in told} == counts
    assert len(set(np.concatenate([step["cells"] for step in told]))) > 30


def test_a_square_without_cells_is_drawn_again(told: list[dict[str, Any]]) -> None:
    lonely = Dataset(np.eye(96), [[80, 80]], crop_size=16)
    list(train(lonely, network(), USUAL.replace(area=16, steps=5)))
    assert [step["cells"].tolist() for step in told] == [[0]] * 20


def test_where_no_square_holds_a_cell_a_step_takes_neighbours(
    told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    n_drawn = 0

    def nothing(self: Dataset, rng: np.random.Generator, area: int) -> np.ndarray:
        nonlocal n_drawn
        n_drawn += 1
        assert n_drawn <= 2 * training.MOST_AREAS
        return np.zeros(0, np.intp)

    monkeypatch.setattr(Dataset, "cells_in_area", nothing)
    list(train(dataset(40, side=96), network(), USUAL.replace(area=16, steps=2, epochs=1)))
    assert [len(step["cells"]) for step in told] == [USUAL.crops] * 2


@pytest.fixture(scope="module")
def warmed_up() -> tuple[np.ndarray, list[Epoch]]:
    """Nine cells that do not touch: what a network that was shown discs of radius 4 and nothing
    else says of them, and its epochs on the loss after that.
    """
    apart = dataset_at(np.argwhere(np.ones((3, 3))) * 14 + 9, side=48)
    settings = USUAL.replace(
        epochs=5, steps=40, warm_up=80, warm_up_radius=4, learning_rate=1e-2, crops=9,
        crops_at_once=16,
    )  # fmt: skip
    unet = network()
    training = Training(apart, unet, settings)
    steps = [event for event in training.run(epochs=2) if isinstance(event, Step)]
    assert all(step.warming_up for step in steps)
    cells = unet.probabilities(apart.crops(range(9))) > 0.5
    return cells, [event for event in training.run() if isinstance(event, Epoch)]


def test_the_warm_up_teaches_discs(warmed_up: tuple[np.ndarray, list[Epoch]]) -> None:
    found, _ = warmed_up
    rows, cols = np.indices((16, 16)) - 8
    # The others in the crop are left alone.
    disc = rows**2 + cols**2 <= 4**2
    overlap, union = (found & disc).sum(), (found | disc).sum()
    assert overlap / union > 0.75


def test_training_makes_the_loss_small(warmed_up: tuple[np.ndarray, list[Epoch]]) -> None:
    _, (first, _, last) = warmed_up
    assert last.loss < first.loss
    # Nine cells of 69 pixels each: that much there is to win, and most of it is won.
    assert -69 < last.loss < -45
    assert not last.collapsed


def test_a_collapse_is_noticed(data: Dataset) -> None:
    unet = network()
    unet.model(data.n_channels)
    # All cells empty, and not going to be anything else.
    unet.set_weights([*unet.weights[:-1], np.array([-30], np.float32)], data.n_channels)
    settings = USUAL.replace(epochs=2, learning_rate=1e-9)
    epochs = [event for event in train(data, unet, settings) if isinstance(event, Epoch)]
    assert [epoch.collapsed for epoch in epochs] == [True, True]
    assert epochs[0].loss == pytest.approx(0, abs=1e-6)


def test_validation_crops_are_scored_after_each_epoch(
    watched: tuple[list[Step | Epoch], list[float]],
) -> None:
    events, expected = watched
    found = [event.miou for event in events if isinstance(event, Epoch)]
    assert found == pytest.approx(expected)
    assert len(set(found)) > 1
    assert all(0 < score < 1 for score in expected)


def test_a_loss_that_is_no_number_ends_the_training(
    data: Dataset, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = dict.fromkeys(loss_names(), np.nan)
    monkeypatch.setattr(FakeOptimiser, "step", lambda *_, **__: nan)
    message = "the loss is nan in step 1 of epoch 1; start again with a smaller learning rate"
    with pytest.raises(ValueError, match=message):
        list(train(data, network(), USUAL))


@pytest.mark.parametrize(
    ("datasets", "depth", "message"),
    [
        ([], 3, "there is no image to train on"),
        ([dataset(), dataset(channels=2)], 3, "different numbers of channels"),
        (
            Dataset(np.eye(48), [[3, 3]], crop_size=24),
            4,
            "crop_size must be a multiple of 16 for this network, got 24",
        ),
        (
            [dataset(), Dataset(np.eye(48), [[3, 3]], crop_size=20)],
            3,
            "crop_size must be a multiple of 8 for this network, got 20",
        ),
    ],
)
def test_what_can_not_be_trained_on_is_refused_at_once(
    datasets: Any, depth: Any, message: str
) -> None:
    unet = UNet(NetworkSettings(depth=depth, channels=4))
    with pytest.raises(ValueError, match=message):
        Training(datasets, unet, USUAL)


def test_a_network_for_other_channels_is_refused(data: Dataset) -> None:
    unet = network()
    unet.model(5)
    with pytest.raises(ValueError, match="made for 5 input channels"):
        list(train(data, unet, USUAL))


def test_the_notebooks_function(
    data: Dataset, told: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Epoch] = []
    epochs = train_self_supervised(
        data, network(), 2, area_size=640, steps_per_epoch=3, seed=1, callback=seen.append
    )
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert seen == epochs
    assert capsys.readouterr().out.splitlines() == [
        "Epoch: 1 -- loss: -9.000000",
        "Epoch: 2 -- loss: -9.000000",
    ]
    # As published: all crops of the square, one flip for all, and the loss alone.
    assert len(told) == 6
    for step in told:
        assert step["cells"].tolist() == list(range(9))
        assert len(set(step["symmetries"])) == 1
        assert (step["learning_rate"], step["target_weight"]) == (1e-3, 0)
    with pytest.raises(ValueError, match="steps should be at least 1"):
        train_self_supervised(data, network(), 1, steps_per_epoch=0)

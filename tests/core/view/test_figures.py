"""Figures whose content is known beforehand: what they show and what they weigh."""

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from cellcutter_core.evaluation.metrics import THRESHOLDS
from cellcutter_core.view.curves import (
    ap_over_iou,
    change_curve,
    compared,
    loss_curves,
    score_curves,
)
from cellcutter_core.view.figure_style import check_pictures, data_uri, illustration
from cellcutter_core.view.histogram import counted_in_bars, histogram, intensities
from cellcutter_core.view.tiles import crop_gallery, parameter_grid


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def decoded(uri: str) -> np.ndarray:
    """The picture that a browser gets."""
    head, data = uri.split(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def pictures_of(figure: go.Figure) -> list[Any]:
    return [trace for trace in figure.data if trace.type == "image"]


def titles(figure: go.Figure) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


def drawn(figure: go.Figure, mode: str) -> Any:
    """The first trace of lines or of text."""
    return next(t for t in figure.data if t.type == "scatter" and t.mode == mode)


def event(epoch: int, **values: Any) -> dict[str, Any]:
    parts = {"loss": 0.0, "area": 0.0, "overlap": 0.0, "background": 0.0, "certain": 0.0}
    return {"kind": "epoch", "epoch": epoch, **parts, "miou": None, "scores": None, **values}


# Pictures -----------------------------------------------------------------------------------------


def test_pictures_that_cannot_be_shown_together() -> None:
    assert check_pictures({"a": noise(8, 9, 3), "b": noise(8, 9, 3)}) == (8, 9)
    with pytest.raises(ValueError, match="b is 8 × 9 and a 8 × 8 pixels"):
        check_pictures({"a": noise(8, 8, 3), "b": noise(8, 9, 3)})
    with pytest.raises(ValueError, match=r"a is uint8 of shape \(8, 8\)"):
        check_pictures({"a": noise(8, 8)})
    with pytest.raises(ValueError, match="pictures is empty"):
        check_pictures({})


def test_an_illustration_is_small_in_pixels_and_in_bytes() -> None:
    picture = smooth(300, 600)
    uri = illustration(picture, largest=200)
    small = decoded(uri)
    assert small.shape == (100, 200, 3)
    expected = picture.reshape(100, 3, 200, 3, 3).mean(axis=(1, 3))
    assert np.abs(small.astype(float) - expected).mean() < 3
    # Nothing is enlarged.
    assert decoded(illustration(picture, largest=1000)).shape == picture.shape
    assert len(illustration(picture, largest=1000)) < len(data_uri(Image.fromarray(picture))) / 3


# Tiles --------------------------------------------------------------------------------------------


def crops_of(n: int, *, side: int = 16, channels: int = 1) -> np.ndarray:
    """Crops that are black and white halves, so that no brightness is lost by the display."""
    crops = np.zeros((n, side, side, channels), np.float32)
    crops[:, :, side // 2 :] = 1
    return crops


def embedding_of(side: int = 16) -> np.ndarray:
    d = np.arange(side) - side // 2
    return np.exp(-(d[:, None] ** 2 + d**2) / 32)


def test_the_gallery_has_every_crop_below_its_number() -> None:
    ids = [3, 7, 8, 20, 21, 22, 30, 31, 32, 40, 41]
    figure = crop_gallery(crops_of(11), embedding_of(), ids)
    montage = decoded(pictures_of(figure)[0].source)
    numbers = next(
        trace for trace in figure.data if trace.type == "scatter" and trace.mode == "text"
    )
    assert numbers.text == tuple(map(str, ids))
    assert len(set(numbers.y[:8])) == 1
    assert numbers.y[8] > numbers.y[7]
    for x, y in zip(numbers.x, numbers.y, strict=True):
        row, col = int(y + 0.5), int(x + 0.5)
        crop = montage[row : row + 16, col : col + 16]
        assert (crop[:, :8, :3] == 0).all()
        assert (crop[:, 8:, :3] == 255).all()
    # Eleven crops and nothing else are opaque.
    assert (montage[..., 3] > 0).sum() == 11 * 16 * 16


def test_the_embedding_is_drawn_around_every_marker() -> None:
    figure = crop_gallery(crops_of(2), embedding_of(), [1, 2])
    lines = next(
        trace for trace in figure.data if trace.type == "scatter" and trace.mode == "lines"
    )
    numbers = next(
        trace for trace in figure.data if trace.type == "scatter" and trace.mode == "text"
    )
    x, y = np.asarray(lines.x, float), np.asarray(lines.y, float)
    nearest = np.min(
        [
            np.hypot(x - (left + 8.5), y - (top + 8.5))
            for left, top in zip(numbers.x, numbers.y, strict=True)
        ],
        axis=0,
    )
    # exp(-d²/32) is 0.25, 0.5 and 0.75 at these distances.
    radii = np.sqrt(-32 * np.log([0.25, 0.5, 0.75]))
    away = np.abs(nearest[~np.isnan(x)][:, None] - radii)
    assert away.min(axis=1).max() < 0.15
    assert set(away.argmin(axis=1)) == {0, 1, 2}


def test_other_markers_and_paths_are_outlined() -> None:
    others, paths = np.zeros((1, 16, 16)), np.full((1, 16, 16), -1.0)
    others[0, 2:4, 10:14] = 1
    paths[0, 4:12, 2:8] = 1
    figure = crop_gallery(crops_of(1), embedding_of(), [1], others=others, paths=paths)
    number = next(
        trace for trace in figure.data if trace.type == "scatter" and trace.mode == "text"
    )
    found = {}
    for trace in figure.data:
        if trace.name in ("other markers", "cheapest paths"):
            x, y = np.asarray(trace.x, float), np.asarray(trace.y, float)
            x, y = x - (number.x[0] + 0.5), y - (number.y[0] + 0.5)
            found[trace.name] = [f(v) for v in (y, x) for f in (np.nanmin, np.nanmax)]
    assert found == {
        "other markers": [1.5, 3.5, 9.5, 13.5],
        "cheapest paths": [3.5, 11.5, 1.5, 7.5],
    }


def test_crops_that_do_not_fit() -> None:
    crops, embedding = crops_of(2), embedding_of()
    with pytest.raises(ValueError, match="ids has 1 numbers for 2 crops"):
        crop_gallery(crops, embedding, [1])
    with pytest.raises(ValueError, match=r"embedding has shape \(8, 8\)"):
        crop_gallery(crops, embedding[:8, :8], [1, 2])
    with pytest.raises(ValueError, match=r"other markers has shape \(1, 16, 16\)"):
        crop_gallery(crops, embedding, [1, 2], others=np.zeros((1, 16, 16)))
    with pytest.raises(ValueError, match=r"crops has shape \(0, 16, 16, 1\)"):
        crop_gallery(crops[:0], embedding, [])


def grid_masks() -> np.ndarray:
    """Two rows of three masks, each with more columns of cell than the one before."""
    masks = np.zeros((2, 3, 20, 20), bool)
    for i in range(6):
        masks[i // 3, i % 3, :, : 2 * i + 2] = True
    return masks


def test_a_grid_has_each_mask_at_its_two_values() -> None:
    figure = parameter_grid(
        grid_masks(),
        np.full((20, 20, 3), 100, np.uint8),
        (5, 10),
        (0.1, 0.2, 0.3),
        names=("max_weight", "prior"),
        current=(10, 0.2),
    )
    montage = decoded(pictures_of(figure)[0].source).astype(int)
    points = figure.data[-1]
    assert [tuple(pair) for pair in points.customdata] == [
        (5, 0.1), (5, 0.2), (5, 0.3), (10, 0.1), (10, 0.2), (10, 0.3),
    ]  # fmt: skip
    for i, (x, y) in enumerate(zip(points.x, points.y, strict=True)):
        tile = montage[int(y - 9) : int(y + 11), int(x - 9) : int(x + 11)]
        assert tile.shape == (20, 20, 4)
        lit = tile[..., 0] > 100
        np.testing.assert_array_equal(lit, grid_masks()[i // 3, i % 3])
        assert points.text[i] == f"{10 * (i + 1)}%"
    assert figure.layout.xaxis.ticktext == ("0.1", "0.2", "0.3")
    assert figure.layout.yaxis.ticktext == ("5", "10")
    frame = figure.layout.shapes[0]
    assert frame.x0 < points.x[4] < frame.x1
    assert frame.y0 < points.y[4] < frame.y1
    assert frame.x1 < points.x[5]


def test_current_values_beside_the_grid_are_not_framed() -> None:
    picture = np.zeros((40, 40, 3), np.uint8)
    for current in (None, (7, 0.2)):
        figure = parameter_grid(
            grid_masks(), picture, (5, 10), (0.1, 0.2, 0.3), names=("a", "b"), current=current
        )
        assert not figure.layout.shapes


def test_masks_that_are_no_grid() -> None:
    with pytest.raises(ValueError, match=r"masks is bool of shape \(2, 3, 20, 20\).*\(3, 3, rows"):
        parameter_grid(
            grid_masks(), noise(20, 20, 3), (1, 2, 3), (1, 2, 3), names=("a", "b"), current=None
        )


# Curves -------------------------------------------------------------------------------------------


def test_the_loss_and_each_part_have_a_panel() -> None:
    events = [
        event(1, loss=5000.0, area=-100.0, overlap=100.0, background=5000.0),
        event(2, loss=-50.0, area=-80.0, overlap=10.0, background=20.0),
        event(3, loss=-60.0, area=-90.0, overlap=15.0, background=15.0),
    ]
    figure = loss_curves({"run": events}, warm_up=1, epochs=30)
    assert [one for one in titles(figure) if one != "warm-up" and "↑" not in one] == [
        "Loss", "Area reward", "Overlap", "Background",
    ]  # fmt: skip
    assert [trace.y for trace in figure.data] == [
        (5000, -50, -60), (-100, -80, -90), (100, 10, 15), (5000, 20, 15),
    ]  # fmt: skip
    assert all(trace.x == (1, 2, 3) for trace in figure.data)
    # The warm-up is shaded in every panel and does not set the scale; all else does.
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(0.5, 1.5)] * 4
    assert -65 < figure.layout.yaxis.range[0] < -60
    assert -50 < figure.layout.yaxis.range[1] < -45
    assert figure.layout.xaxis.range == (0.5, 30.5)
    assert not figure.layout.showlegend
    # What leaves a panel is said there.
    arrows = [one for one in figure.layout.annotations if one.text.startswith("↑")]
    assert [(one.text, one.x, one.yref) for one in arrows] == [
        ("↑ 5,000", 1, "y domain"), ("↑ 100", 1, "y3 domain"), ("↑ 5,000", 1, "y4 domain"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("epochs", "ticks"),
    [
        (1, [1]),
        (6, [1, 2, 3, 4, 5, 6]),
        (14, [1, 2, 4, 6, 8, 10, 12, 14]),
        (30, [1, 5, 10, 15, 20, 25, 30]),
        (400, [1, 100, 200, 300, 400]),
    ],
)
def test_epoch_1_is_marked_on_the_axis(epochs: int, ticks: list[int]) -> None:
    figure = loss_curves({"run": [event(1)]}, epochs=epochs)
    assert list(figure.layout.xaxis.tickvals) == ticks
    scores = score_curves({"run": [event(0, scores={"ap50": 0.4})]}, epochs=epochs)
    assert scores.layout.xaxis.tickvals[0] == 0


def test_a_dotted_line_says_where_a_run_was_continued() -> None:
    events = [event(n) for n in range(1, 9)]
    figure = loss_curves({"run": events}, continued=(6,))
    assert [(line.x0, line.x1, line.xref) for line in figure.layout.shapes] == [
        (6.5, 6.5, axis) for axis in ("x", "x2", "x3", "x4")
    ]
    assert "continued" in [one.text for one in figure.layout.annotations]
    assert not loss_curves({"run": events}).layout.shapes


def test_losses_begin_at_epoch_1_and_show_all_of_it() -> None:
    after = [event(n, loss=-90.0 - n, area=-9.0, overlap=n, background=1) for n in range(2, 31)]
    events = [{"epoch": 0, "miou": 0.5}, event(1, loss=200.0, area=-9.0, overlap=1, background=1)]
    figure = loss_curves({"run": [*events, *after]})
    assert figure.data[0].x == tuple(range(1, 31))
    assert figure.layout.xaxis.range == (0.5, 30.5)
    low, high = figure.layout.yaxis.range
    assert low < -120
    assert high > 200


def test_nuclei_have_a_panel_where_they_carry_weight() -> None:
    figure = loss_curves({"a": [event(1)], "b": [event(1, certain=7.0)]})
    assert titles(figure)[-1] == "Nuclei"
    assert figure.data[-1].y == (7,)


def test_several_runs_differ_in_more_than_colour() -> None:
    runs = {name: [event(1), event(2)] for name in "abcdefg"}
    figure = loss_curves(runs)
    named = [trace for trace in figure.data if trace.showlegend]
    assert [trace.name for trace in named] == list("abcdefg")
    assert figure.layout.showlegend
    styles = [(t.line.color, t.line.dash, t.marker.symbol) for t in named]
    assert len(set(styles)) == 7
    for column in zip(*styles[:5], strict=True):
        assert len(set(column)) == 5


def test_a_run_without_an_epoch_has_empty_panels() -> None:
    figure = loss_curves({"run": []}, epochs=16)
    assert titles(figure) == ["Loss", "Area reward", "Overlap", "Background"]
    assert figure.layout.xaxis.range == (0.5, 16.5)
    assert titles(score_curves({"run": []})) == ["AP at IoU 0.5", "AP at IoU 0.75"]


def test_scores_have_a_panel_each_and_begin_at_epoch_0() -> None:
    scores = [{"ap50": 0.4, "ap75": 0.1}, None, {"ap50": 0.8, "ap75": 0.3}]
    events = [event(i, scores=score) for i, score in enumerate(scores)]
    figure = score_curves({"run": events})
    assert titles(figure) == ["AP at IoU 0.5", "AP at IoU 0.75"]
    assert [(trace.x, trace.y) for trace in figure.data] == [
        ((0, 2), (0.4, 0.8)), ((0, 2), (0.1, 0.3)),
    ]  # fmt: skip
    assert figure.layout.xaxis.range == (-0.5, 2.5)


def test_scores_of_a_run_without_epoch_0_begin_at_epoch_1() -> None:
    figure = score_curves({"run": [event(1, scores={"ap50": 0.4})]}, epochs=8)
    assert figure.layout.xaxis.range == (0.5, 8.5)


def test_each_baseline_is_a_dashed_line_with_its_name() -> None:
    events = [event(i, scores={"ap50": 0.4, "ap75": 0.1}) for i in (0, 1)]
    levels = {"paths": {"ap50": 0.6, "f1": 0.7}, "watershed": {"ap50": 0.5, "ap75": 0.2}}
    figure = score_curves({"Network": events}, baselines=levels)
    assert figure.layout.showlegend
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert named == ["Network", "Cheapest paths", "Watershed"]
    lines = [trace for trace in figure.data if trace.name != "Network"]
    # A score that a baseline does not have is no line.
    assert [(line.name, set(line.y), line.yaxis) for line in lines] == [
        ("Cheapest paths", {0.6}, "y"), ("Watershed", {0.5}, "y"), ("Watershed", {0.2}, "y2"),
    ]  # fmt: skip
    for line in lines:
        assert (line.x[0], line.x[-1]) == (-0.5, 1.5)
        assert line.line.dash in ("dash", "dot")
    assert len({line.line.dash for line in lines}) == 2


def test_how_much_the_cells_changed_is_shown_in_per_cent() -> None:
    figure = change_curve({1: 0.5, 2: 0.2, 4: 0.0}, chosen=(0, 2))
    (line,) = figure.data
    assert (line.x, line.y) == ((1, 2, 4), (50, 20, 0))
    assert figure.layout.xaxis.range == (-0.5, 4.5)
    (band,) = figure.layout.shapes
    assert (band.x0, band.x1) == (0, 2)


def test_what_is_compared_is_epoch_0_an_epoch_and_the_baselines() -> None:
    events = [event(i, scores={"ap50": i / 10}, miou=None) for i in (0, 1, 2)]
    levels = {"paths": {"ap50": 0.6}, "watershed": {"ap50": 0.5}}
    found = compared(events, 2, levels)
    assert {name: scores["ap50"] for name, scores in found.items()} == {
        "Epoch 0": 0, "Epoch 2": 0.2, "Cheapest paths": 0.6, "Watershed": 0.5,
    }  # fmt: skip
    assert list(found) == ["Epoch 0", "Epoch 2", "Cheapest paths", "Watershed"]
    assert list(compared(events, 0, {})) == ["Epoch 0"]
    assert list(compared(events[1:], 1, {})) == ["Epoch 1"]


def test_miou_has_a_panel_where_there_are_validation_crops() -> None:
    figure = score_curves({"run": [event(1, miou=0.7)]})
    assert titles(figure) == ["mIOU"]
    assert figure.data[0].y == (0.7,)


def test_ap_falls_over_iou() -> None:
    values = [1 - 0.1 * i for i in range(10)]
    figure = ap_over_iou({"run": values, "watershed": values[::-1]})
    assert figure.data[0].x == THRESHOLDS
    np.testing.assert_allclose(figure.data[0].y, values)
    with pytest.raises(ValueError, match="run has 3 values"):
        ap_over_iou({"run": [1, 2, 3]})


@pytest.mark.parametrize(
    "channel",
    [
        noise(50, 50),
        np.random.default_rng(0).integers(-300, 70_000, (50, 50)),
        np.random.default_rng(1).normal(size=(50, 50)),
        np.full((50, 50), 3.5),
        np.full((50, 50), 7),
    ],
)
def test_a_histogram_counts_every_value_in_few_bars(channel: np.ndarray) -> None:
    edges, counts = counted_in_bars(channel, name="nuclei")
    assert counts.sum() == 2500
    assert len(counts) == len(edges) - 1 <= 256
    assert edges[0] <= channel.min() + 1e-9
    assert channel.max() <= edges[-1] + 1e-9
    steps = histogram(channel, name="nuclei").data[0]
    counted = [count for _, count in steps.customdata[:-1]]
    assert sum(counted) == 2500
    assert len(counted) <= 40
    assert len(steps.x) == len(steps.y) == len(counted) + 1
    assert list(steps.y[:-1]) == counted
    assert steps.x[0] <= channel.min() + 1e-9
    assert channel.max() <= steps.x[-1] + 1e-9


def test_bars_of_integers_hold_as_many_values_each() -> None:
    ramp = np.arange(1000).reshape(40, 25)
    edges, counts = counted_in_bars(ramp, name="nuclei")
    # 1000 values in bars of 4, with no comb of fuller and emptier ones.
    assert set(counts.tolist()) == {4}
    assert edges[:2].tolist() == [-0.5, 3.5]
    steps = histogram(ramp, name="nuclei").data[0]
    assert set(steps.y) == {25}
    assert steps.x[:2] == (-0.5, 24.5)
    assert [middle for middle, _ in steps.customdata[:2]] == [12, 37]


def test_a_histogram_of_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="channel cell has infinite or NaN pixels"):
        histogram(np.array([[1.0, np.nan]]), name="cell")


def test_intensities_count_every_pixel_under_the_pointer_and_show_the_smallest_bar() -> None:
    channel = np.zeros((50, 50), np.uint8)
    channel[0, :3] = [10, 10, 200]
    bars = counted_in_bars(channel, name="cell")
    page = intensities(bars, (10, 100), span=(0, 200), alt='the "cell" channel')
    said = re.findall(r'title="([\d.]+): ([\d,]+) pixels"', page)
    counts = {float(value): int(count.replace(",", "")) for value, count in said}
    assert len(said) == 201
    assert {value: n for value, n in counts.items() if n} == {0: 2497, 10: 2, 200: 1}
    (outline,) = re.findall(r"polygon\(([^)]*)\)", page)
    tops = [float(point.split()[1].rstrip("%")) for point in outline.split(",")][1:-1:2]
    # From the top; nothing there is at the bottom, and one pixel is seen.
    assert [tops[i] for i in (5, 199)] == [100, 100]
    assert 0 < tops[0] < tops[10] < tops[200] < 97
    assert 'aria-label="the &quot;cell&quot; channel"' in page
    left, right = re.findall(r"(?:left|right):(\d+\.\d\d)%", page)
    assert float(left) == pytest.approx(100 * 10.5 / 201, abs=0.01)
    assert float(right) == pytest.approx(100 * 100.5 / 201, abs=0.01)


def test_intensities_of_a_channel_that_is_all_the_same_are_one_bar() -> None:
    bars = counted_in_bars(np.full((9, 9), 7), name="cell")
    assert intensities(bars, (7, 8), span=(7, 7), alt="").count("81 pixels") == 1
    with pytest.raises(ValueError, match="channel cell has infinite or NaN pixels"):
        counted_in_bars(np.array([[np.nan]]), name="cell")


# All ----------------------------------------------------------------------------------------------


def smooth(*shape: int) -> np.ndarray:
    """A picture that compresses like a micrograph: blobs and a little noise."""
    rows, cols = np.indices(shape[:2])
    blobs = 90 + 60 * np.sin(rows / 9) * np.sin(cols / 11)
    rng = np.random.default_rng(0)
    return (blobs[..., None] + rng.normal(0, 3, (*shape[:2], 1)) + [0, 5, 40]).astype(np.uint8)


EVERY: dict[str, tuple[Callable[[], go.Figure], int]] = {
    "gallery": (
        lambda: crop_gallery(
            np.random.default_rng(0).normal(size=(24, 64, 64, 1)),
            embedding_of(64),
            range(24),
        ),
        400_000,
    ),
    "grid": (
        lambda: parameter_grid(
            np.tile(noise(128, 128) > 128, (4, 5, 1, 1)), smooth(512, 512), range(4), range(5),
            names=("a", "b"), current=None,
        ),
        1_000_000,
    ),
    "losses": (lambda: loss_curves({n: [event(i) for i in range(1, 101)] for n in "ab"}), 60_000),
    "scores": (lambda: score_curves({"a": [event(i, miou=0.5) for i in range(1, 101)]}), 30_000),
    "ap": (lambda: ap_over_iou({"a": [0.5] * 10}), 20_000),
    "histogram": (lambda: histogram(noise(512, 512), name="cell"), 20_000),
}  # fmt: skip


@pytest.mark.parametrize("name", list(EVERY))
def test_every_figure_is_light_and_lets_the_page_show_through(name: str) -> None:
    make, most = EVERY[name]
    figure = make()
    assert len(figure.to_json()) < most
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"
    # Texts take the colour of the page's theme.
    assert figure.layout.font.color is None
    assert figure.layout.height > 100

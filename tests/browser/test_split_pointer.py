"""The page Results of a run from elsewhere: a cell is split by the pointer, and the scale bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from patience import ANSWERED
from serving import Server

from cellcutter_core.config import QUICK
from cellcutter_core.runs.corrections import corrected, corrections_of
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction

SOON = 1000 * ANSWERED
SHAPE = (200, 260)
LEFT, RIGHT, OTHER = (90, 60), (90, 120), (60, 220)
PIXEL_SIZE = 0.5


@pytest.fixture
def make_run(server: Server) -> Callable[..., Run]:
    """A run as the command line leaves it: two cells that were taken for one, and another."""

    def make(name: str, pixel_size: float | None = PIXEL_SIZE) -> Run:
        rows, cols = np.indices(SHAPE)
        discs = [np.hypot(rows - row, cols - col) < 34 for row, col in (LEFT, RIGHT, OTHER)]
        labels = np.where(discs[0] | discs[1], 1, np.where(discs[2], 2, 0)).astype(np.int32)
        nuclei = np.zeros(SHAPE, np.int32)
        for number, (row, col) in enumerate((LEFT, OTHER), start=1):
            nuclei[np.hypot(rows - row, cols - col) < 6] = number
        image = (100 + 900 * (labels > 0) - 500 * (abs(cols - 90) < 2) * (labels == 1))[..., None]
        inputs = Inputs(
            image.astype(np.uint16), labels > 0, np.array([LEFT, OTHER], np.float64), nuclei
        )
        about = {"image": "two.tif", "pixel_size": pixel_size}
        run = Run.create(server.runs / name, inputs, QUICK, description=about)
        shown = (labels > 0).astype(np.float32)
        run.add_epoch(1, Prediction(labels, (labels > 0).astype(np.uint8), shown))
        run.record("finished")
        return run

    return make


def corrected_labels(run: Run) -> np.ndarray:
    return corrected(run.epoch(1).labels, corrections_of(run, 1), cost_map=run.inputs.cost_map)


def opened(page: Any, server: Server, run: Run) -> Any:
    """The picture of the cells, painted."""
    # So tall that no button has to be scrolled to.
    page.set_viewport_size({"width": 1280, "height": 1500})
    page.goto(f"{server.url}/results?run={run.path.name}")
    stage = page.locator(".viewer .stage").first
    stage.wait_for(timeout=SOON)
    page.wait_for_function(
        """(stage) => {
            const canvas = stage.querySelector("canvas");
            const [x, y] = [canvas.width / 2, canvas.height / 2];
            return stage.dataset.view && canvas.width > 300
                && canvas.getContext("2d").getImageData(x, y, 1, 1).data[3] === 255;
        }""",
        arg=stage.element_handle(),
        timeout=SOON,
    )
    return stage


def click(page: Any, stage: Any, point: tuple[int, int]) -> None:
    x, y, pixel = map(float, stage.get_attribute("data-view").split())
    bounds = stage.locator("canvas").bounding_box()
    page.mouse.click(
        bounds["x"] + (point[1] + 0.5 - x) * pixel, bounds["y"] + (point[0] + 0.5 - y) * pixel
    )


def test_a_cell_is_split_where_the_pointer_says(
    page: Any, server: Server, make_run: Callable[..., Run]
) -> None:
    run = make_run("split")
    stage = opened(page, server, run)
    page.get_by_role("button", name="Zoom in").first.click()
    click(page, stage, LEFT)
    page.get_by_text("Cell 1: ").wait_for(timeout=SOON)
    page.get_by_role("button", name="Split", exact=True).click()
    page.get_by_role("button", name="Split here").wait_for(timeout=SOON)
    # Outside of the cell nothing happens; inside the nearer of the two points moves.
    for point in ((150, 150), (RIGHT[0] + 4, RIGHT[1] + 3), (LEFT[0] - 5, LEFT[1] - 2)):
        click(page, stage, point)
        page.wait_for_timeout(800)
    page.get_by_role("button", name="Split here").click()
    page.get_by_text("1 correction, kept with the run").wait_for(timeout=SOON)
    page.get_by_text("2 cells chosen").wait_for(timeout=SOON)
    labels = corrected_labels(run)
    assert len(np.unique(labels)) - 1 == 3
    left, right = labels[LEFT], labels[RIGHT]
    assert left != right
    assert left > 0
    assert right > 0
    # Parted along the dark line, where the way through the image is dear.
    assert (labels[90 - 20 : 90 + 20, 80] == left).mean() > 0.9
    assert (labels[90 - 20 : 90 + 20, 100] == right).mean() > 0.9

    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Choose cells in the picture or in the table").wait_for(timeout=SOON)
    np.testing.assert_array_equal(corrected_labels(run), run.epoch(1).labels)
    assert page.get_by_test_id("stAlertContentError").count() == 0


# Pixels of the screen that are white in the line through the middle of the scale bar.
BAR = """(stage) => {
    const canvas = stage.querySelector("canvas");
    const density = canvas.width / canvas.getBoundingClientRect().width;
    const row = canvas.height - Math.round(14 * density);
    const line = canvas.getContext("2d").getImageData(0, row, canvas.width, 1).data;
    let white = 0;
    for (let i = 0; i < line.length; i += 4) {
        white += line[i] > 250 && line[i + 1] > 250 && line[i + 2] > 250;
    }
    return white / density;
}"""


def test_the_scale_bar_is_as_long_as_it_says(
    page: Any, server: Server, make_run: Callable[..., Run]
) -> None:
    stage = opened(page, server, make_run("scaled"))
    # The round length nearest to a fifth of 130 µm.
    pixel = float(stage.get_attribute("data-view").split()[2])
    assert stage.evaluate(BAR) == pytest.approx(20 / PIXEL_SIZE * pixel, abs=2)
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").first.click()
    page.wait_for_function(
        "([stage, pixel]) => Number(stage.dataset.view.split(' ')[2]) > 3.3 * pixel",
        arg=[stage.element_handle(), pixel],
    )
    pixel = float(stage.get_attribute("data-view").split()[2])
    # Now of 130 / 1.5³ µm.
    assert stage.evaluate(BAR) == pytest.approx(10 / PIXEL_SIZE * pixel, abs=2)


def test_there_is_no_scale_bar_where_the_pixel_size_is_not_known(
    page: Any, server: Server, make_run: Callable[..., Run]
) -> None:
    stage = opened(page, server, make_run("unscaled", None))
    assert stage.evaluate(BAR) == 0

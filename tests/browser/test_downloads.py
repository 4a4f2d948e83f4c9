"""Every file that a page offers is clicked in a real browser, and opened."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from serving import Server
from test_app import SOON, go, no_trouble, settled, visit

from cellcutter_core.__main__ import main
from cellcutter_core.apply.application_folder import Application, work
from cellcutter_core.apply.outcomes import USUAL_FORMATS
from cellcutter_core.config import QUICK
from cellcutter_core.export import FORMATS
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample, save
from cellcutter_core.sweeps.sweep import FOLDER, Sweep
from cellcutter_core.sweeps.variations import Variation

# Of a network that is trained in a moment; its cells are none to look at.
SMALL = (
    *("--start", "nothing", "--epochs", "2", "--set", "network.channels=4"),
    *("--set", "network.depth=3", "--set", "network.normalisation=none"),
    *("--set", "training.steps=4", "--set", "training.crops=8"),
    *("--set", "training.precision=float32"),
)


@pytest.fixture(scope="module")
def run(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One that was trained on two images and applied to a third one."""
    folder = tmp_path_factory.mktemp("images")
    for seed, name in enumerate(("own", "second", "third")):
        save(sample((160, 160), seed=seed), folder / f"{name}.npz")
    path = server.runs / "20260101-120000-aaaaa"
    command = ["segment", str(folder / "own.npz"), "--with", str(folder / "second.npz")]
    assert main([*command, "--out", str(path), *SMALL]) == 0
    made = Run(path)
    work(Application.create(made, {"third": folder / "third.npz"}, formats=USUAL_FORMATS))
    return made


@pytest.fixture
def silent(server: Server) -> Iterator[None]:
    """What a download raises is said in the server's log alone."""
    before = server.log.read_text("utf-8")
    yield
    said = server.log.read_text("utf-8").removeprefix(before)
    assert "Error executing deferred callable" not in said, said
    assert "Traceback" not in said, said


def buttons(page: Any, n: int) -> list[str]:
    """The names of the n download buttons of a page that can be clicked."""
    from playwright.sync_api import expect

    found = page.get_by_test_id("stDownloadButton").get_by_role("button", disabled=False)
    # Those of the page before may be there for a moment.
    expect(found).to_have_count(n, timeout=SOON)
    # An icon is a word of the text.
    return [one.inner_text().splitlines()[-1] for one in found.all()]


def save_as(page: Any, name: str) -> tuple[str, bytes]:
    """The file behind a download button."""
    found = page.get_by_test_id("stDownloadButton").get_by_role("button", disabled=False)
    with page.expect_download(timeout=SOON) as download:
        found.filter(has=page.get_by_text(name, exact=True)).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def opened(name: str, content: bytes) -> Any:
    """What is in a file, read by what people read it with."""
    stream = io.BytesIO(content)
    match Path(name).suffix:
        case ".tif":
            return tifffile.imread(stream)
        case ".csv":
            return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
        case ".geojson":
            return json.loads(content)["features"]
        case ".png" | ".gif":
            with Image.open(stream) as picture:
                picture.load()
                return picture
        case ".zip" | ".keras":
            with zipfile.ZipFile(stream) as archive:
                assert archive.testzip() is None
                return archive.namelist()
        case ".html" | ".svg":
            text = content.decode()
            assert text.rstrip().endswith((f"</{Path(name).suffix[1:]}>",))
            return text
    raise AssertionError(f"nobody knows how to open {name}")


@pytest.mark.usefixtures("silent")
def test_files_of_all_cells_and_of_those_that_filters_keep(
    page: Any, server: Server, run: Run
) -> None:
    visit(page, server, f"results?run={run.path.name}")
    labels = run.epoch(run.epochs[-1]).labels
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    middle = float(np.median(areas))
    page.get_by_label("Smallest area in pixels").fill(str(middle))
    page.get_by_label("Smallest area in pixels").press("Enter")
    kept = ids[areas >= middle].tolist()
    assert 0 < len(kept) < len(ids)
    page.get_by_text(f"{len(kept)} of {len(ids)} cells; ").wait_for(timeout=SOON)
    settled(page)
    names = buttons(page, len(FORMATS) + 4 + 3)
    found = {name: opened(*save_as(page, name)) for name in names}
    no_trouble(page)

    np.testing.assert_array_equal(found["Label image"], labels)
    assert [int(row["id"]) for row in found["Table of cells"]] == ids.tolist()
    assert len(found["GeoJSON"]) >= len(ids)
    assert found["Film over epochs"].n_frames == len(run.epochs)
    assert {"labels.tif", "cells.csv", "README.md"} <= set(found["Everything"])

    n = f" ({len(kept)})"
    some = np.where(np.isin(labels, kept), labels, 0)
    np.testing.assert_array_equal(found["Label image" + n], some)
    assert [int(row["id"]) for row in found["Table of cells" + n]] == kept
    assert {int(one["properties"]["name"]) for one in found["GeoJSON" + n]} == set(kept)
    assert len(found["ImageJ ROI set"]) > len(found["ImageJ ROI set" + n]) >= len(kept)

    of_other = found["Its label image"]
    assert of_other.shape == (160, 160)
    assert len(found["Its table of cells"]) == len(np.unique(of_other)) - 1
    assert "summary.csv" in found["All of them"]


@pytest.mark.usefixtures("silent")
def test_files_of_other_pages(page: Any, server: Server, run: Run) -> None:
    visit(page, server, f"apply?run={run.path.name}")
    assert buttons(page, 1) == ["Download all"]
    names = opened(*save_as(page, "Download all"))
    assert {"summary.csv", "third-labels.tif"} <= set(names)
    go(page, "Cells")
    page.get_by_text("Download all", exact=True).wait_for(state="hidden", timeout=SOON)
    assert buttons(page, 1) == ["Markers"]
    markers = opened(*save_as(page, "Markers"))
    n = page.get_by_test_id("stMetric").filter(has_text="Markers")
    assert len(np.unique(markers)) - 1 == int(n.get_by_test_id("stMetricValue").inner_text())
    for name in ("Overview", "Data", "Mask", "Train", "Compare"):
        go(page, name)
        buttons(page, 0)


# Tables and charts of the pages that have some.
SAVED = {
    "Train": (0, 2),
    "Compare": (1, 2),
    "Results": (2, 1),
    "Runs": (1, 0),
    "Apply": (1, 0),
}


@pytest.mark.usefixtures("silent")
def test_every_table_and_chart_is_saved(
    new_page: Callable[..., Any], server: Server, run: Run
) -> None:
    page = new_page()
    # A dialog of the system, which has no place in a test; without it, it is a download.
    page.add_init_script("delete window.showSaveFilePicker")
    visit(page, server, f"results?run={run.path.name}")
    for name, (n_tables, n_charts) in SAVED.items():
        go(page, name)
        for number in range(n_tables):
            table = page.get_by_test_id("stDataFrame").nth(number)
            table.scroll_into_view_if_needed()
            table.hover()
            with page.expect_download(timeout=SOON) as download:
                page.get_by_role("button", name="Download as CSV").nth(number).click()
            content = Path(download.value.path()).read_bytes()
            assert opened(download.value.suggested_filename, content)
        for number in range(n_charts):
            chart = page.get_by_test_id("stPlotlyChart").nth(number)
            chart.scroll_into_view_if_needed()
            chart.hover()
            with page.expect_download(timeout=SOON) as download:
                chart.get_by_role("button", name="Download plot").click()
            content = Path(download.value.path()).read_bytes()
            assert "<svg" in opened(download.value.suggested_filename, content)
        no_trouble(page)


def test_two_runs_are_ticked_in_the_list_and_compared(page: Any, server: Server, run: Run) -> None:
    other = run.path.with_name("20260101-120000-bbbbb")
    shutil.copytree(run.path, other)
    visit(page, server, "runs")
    table = page.get_by_test_id("stDataFrame").first
    table.scroll_into_view_if_needed()
    # The head has 36 pixels and each run 64; the boxes are in the first column.
    for row in (0, 1):
        table.click(position={"x": 16, "y": 36 + 64 * row + 32})
        settled(page)
    page.get_by_text("2 runs chosen").wait_for(timeout=SOON)
    page.get_by_role("button", name="Compare these two").click()
    page.get_by_role("heading", name="Compare", level=1).wait_for(timeout=SOON)
    page.get_by_text("Both runs have the same image, markers and settings").wait_for(timeout=SOON)
    no_trouble(page)


@pytest.mark.usefixtures("silent")
def test_the_table_of_a_sweep(page: Any, server: Server) -> None:
    config = QUICK.replace(mask=QUICK.mask.replace(automatic=False))
    varied = [Variation.parse("mask.prior=0.9,0.95"), Variation.parse("training.seed=0..1")]
    made = Sweep.create(server.runs / FOLDER / "20260101-120000-sssss", config, varied, image="one")
    visit(page, server, "sweep")
    (name,) = buttons(page, 1)
    rows = opened(*save_as(page, name))
    assert [row["mask.prior"] for row in rows] == ["0.9", "0.9", "0.95", "0.95"]
    assert [row["run"] for row in rows] == [member.run for member in made.about.members]
    assert {row["status"] for row in rows} == {"missing"}
    no_trouble(page)

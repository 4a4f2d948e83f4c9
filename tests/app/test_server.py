"""The page Server tells the truth: versions, device, queue, disk, and limits as they are set."""

import sys

import pytest
import streamlit as st
from made_runs import ROOT, asked, make_run, open_page
from patience import LONGEST
from streamlit.testing.v1 import AppTest

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")


def metrics(app):
    return {metric.label: metric.value for metric in app.metric}


def tables(app):
    return [table.value.to_dict("records") for table in app.table]


def test_a_fresh_server(monkeypatch):
    monkeypatch.delenv("CELLCUTTER_WORKERS", raising=False)
    app = open_page("server")
    shown = metrics(app)
    assert shown["Trains on"] == "CPU (test)"
    assert (shown["Running jobs"], shown["Waiting jobs"]) == ("0", "0")
    assert float(shown["Cores"]) > 0
    assert shown["0 runs"] == "0 bytes"
    limits, versions = tables(app)
    assert {row["What"]: row["Limit"] for row in limits} == {
        "Size of an uploaded file": "500 MB",
        "Memory of an image": "2.15 GB",
        "Pixels of an image or region that is worked on at once": "none",
        "Number of runs": "none",
        "Disk of all runs and uploads": "none",
        "Disk that stays free": "500 MB",
        "Time of one training or application": "none",
        "Days that a draft is kept, and an upload that nothing uses": "none",
        "Trainings at once": "1",
    }
    assert {row["Program"]: row["Version"] for row in versions}["Streamlit"] == st.__version__
    assert {row["Program"]: row["Version"] for row in versions}["Python"] == sys.version.split()[0]


def test_a_server_with_runs_and_limits(monkeypatch):
    make_run("r1")
    make_run("r2", end=None)
    monkeypatch.setenv("CELLCUTTER_RUN_LIMIT", "1500")
    monkeypatch.setenv("CELLCUTTER_TIME_LIMIT", "7200")
    monkeypatch.setenv("CELLCUTTER_DISK_LIMIT", "20GB")
    app = open_page("server")
    shown = metrics(app)
    assert shown["Running jobs"] == "1"
    assert shown["2 runs"].endswith(("KB", "MB"))
    rows = {row["Set by"].strip("`"): row for row in tables(app)[0]}
    assert (rows["CELLCUTTER_RUN_LIMIT"]["Limit"], rows["CELLCUTTER_RUN_LIMIT"]["Used"]) == (
        "1,500",
        "2",
    )
    assert rows["CELLCUTTER_TIME_LIMIT"]["Limit"] == "2.0 h"
    assert rows["CELLCUTTER_DISK_LIMIT"]["Limit"] == "20 GB"
    assert rows["CELLCUTTER_DISK_LIMIT"]["Used"].endswith(("KB", "MB"))


def test_a_server_for_many_shows_what_each_person_may_have(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_PEOPLE", "many")
    monkeypatch.setenv("CELLCUTTER_PERSON_DISK", "5GB")
    rows = {row["Set by"].strip("`"): row["Limit"] for row in tables(open_page("server"))[0]}
    assert rows["CELLCUTTER_PERSON_DISK"] == "5 GB"
    assert rows["CELLCUTTER_PERSON_RUNS"] == rows["CELLCUTTER_PERSON_TIME"] == "none"


def test_a_limit_that_is_set_wrongly_is_said_on_every_page(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_DISK_LIMIT", "much")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=LONGEST).run()
    assert not app.exception
    assert [error.value for error in app.error] == [
        "This server is set up wrongly: CELLCUTTER_DISK_LIMIT is 'much'; give a size such as "
        "500MB, 8GB or 8GiB."
    ]
    assert not app.title

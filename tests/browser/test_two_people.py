"""A server for many people, as two browsers see it: the cookie, the lists, a link to a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from serving import ROOT, Server, serving
from test_app import visit

from cellcutter_core.config import QUICK
from cellcutter_core.people.person import COOKIE, is_secret
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction


@pytest.fixture(scope="module")
def for_many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    os.environ["CELLCUTTER_PEOPLE"] = "many"
    try:
        with serving(ROOT / "app.py", folder=tmp_path_factory.mktemp("many")) as server:
            yield server
    finally:
        del os.environ["CELLCUTTER_PEOPLE"]


def secret_of(page: Any) -> str | None:
    found = [one for one in page.context.cookies() if one["name"] == COOKIE]
    return found[0]["value"] if found else None


def known(page: Any) -> str:
    """Wait until the browser has the cookie."""
    page.wait_for_function(f"document.cookie.includes('{COOKIE}=')")
    secret = secret_of(page)
    assert is_secret(secret)
    assert secret is not None
    return secret


def run_of(server: Server, owner: str, name: str) -> Run:
    """A run with one epoch."""
    mask = np.zeros((64, 64), bool)
    mask[20:44, 20:44] = True
    image = mask[..., None].astype(np.float32)
    inputs = Inputs(image, mask, np.array([[32.0, 32.0]]))
    about = {"owner": owner, "image": "square"}
    run = Run.create(server.runs / name, inputs, QUICK, description=about)
    run.record("started", pid=1, host="elsewhere", epochs=QUICK.training.epochs)
    run.add_epoch(0, Prediction(mask.astype(np.int32), mask.astype(np.uint8), image[..., 0]))
    run.record("epoch", epoch=0, miou=None, scores=None)
    run.record("stopped")
    return run


def test_two_browsers_are_two_people_and_each_stays_the_same(
    for_many: Server, new_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(for_many.runs))
    from cellcutter_core.people.person import person_of

    one, other = new_page(), new_page()
    for page in (one, other):
        visit(page, for_many, "runs")
    secret, others = known(one), known(other)
    assert secret != others
    # Nothing in the address tells it.
    assert secret not in one.url
    mine = run_of(for_many, person_of(secret), "r-mine")
    theirs = run_of(for_many, person_of(others), "r-theirs")
    for page, name in ((one, mine.id), (other, theirs.id)):
        visit(page, for_many, f"runs?run={name}")
        page.get_by_role("button", name="Delete the open run").wait_for()
    assert (known(one), known(other)) == (secret, others)
    # A second page of the same browser is the same person.
    again = one.context.new_page()
    visit(again, for_many, f"train?run={mine.id}")
    assert known(again) == secret
    again.get_by_role("button", name="Continue with", exact=False).wait_for()
    # The link of another person's run shows it, and changes nothing.
    visit(one, for_many, f"train?run={theirs.id}")
    one.get_by_text("This run belongs to another person", exact=False).wait_for()
    assert not one.get_by_role("button", name="Continue with", exact=False).count()
    visit(one, for_many, f"runs?run={theirs.id}")
    one.get_by_role("button", name="Take off my list").wait_for()
    assert Run(theirs.path).events() == theirs.events()

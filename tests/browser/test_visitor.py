"""The visitor without a browser does what a browser does; the load test in `bench/` needs that."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import LONGEST
from PIL import Image as Picture
from serving import Server
from visitor import Visitor, visiting

from cellcutter_core.config import MaskSettings
from cellcutter_core.mask.mask_of_settings import mask_channels
from cellcutter_core.simulation.sample import sample

HIGH, LOW = 40, 20
"""Stops of the slider for the prior, of 61."""

COUNTING = """import streamlit as st

@st.fragment(run_every=0.2)
def count():
    st.session_state.n = st.session_state.get("n", 0) + 1
    st.metric("Count", st.session_state.n)

st.title("Beside")
count()
"""


def await_all(*parts: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run these at once, in a thread: Playwright's own loop may run in this one."""

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*parts)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, all_of_them()).result()


async def mask_of(visitor: Visitor, stop: int) -> tuple[MaskSettings, np.ndarray]:
    """Move the slider of the prior; return the settings and the mask that are shown at the end."""
    option = visitor.one("slider", "Prior").options[stop]
    await visitor.slide("Prior", option)
    await visitor.settled(limit=LONGEST)
    pictures = [one.what.bytes for one in visitor.came if one.kind == "bidi_component"]
    white = [np.asarray(Picture.open(io.BytesIO(one[32:]))) for one in pictures if len(one) > 32]
    assert visitor.stop_of("Prior") == option
    prior, max_weight, sigma = (
        float(visitor.stop_of(name)) for name in ("Prior", "Max weight", "Sigma")
    )
    settings = MaskSettings(automatic=False, prior=prior, max_weight=max_weight, sigma=sigma)
    return settings, white[-1][..., 0] > 127


async def visit(url: str, stop: int) -> tuple[MaskSettings, np.ndarray, str, list[str]]:
    """Cut the sample by hand with one prior; return settings, mask, draft and errors."""
    async with visiting(url) as visitor:
        await visitor.open()
        await visitor.settled(limit=LONGEST)
        await visitor.go("Mask")
        await visitor.settled(limit=LONGEST)
        await visitor.switch("Automatic", False)
        await visitor.settled(limit=LONGEST)
        await mask_of(visitor, HIGH + LOW - stop)
        settings, mask = await mask_of(visitor, stop)
        return settings, mask, visitor.query["draft"], visitor.troubles()


def test_two_visitors_at_once_see_their_own_masks(server: Server) -> None:
    (high, full, one, _), (low, empty, other, _) = visits = await_all(
        visit(server.url, HIGH), visit(server.url, LOW)
    )
    assert one != other
    assert high.prior > low.prior
    assert not any(troubles for *_, troubles in visits)
    image = sample()
    cell = image.pixels[..., list(image.cell)]
    for settings, mask in ((high, full), (low, empty)):
        # The page rounds the numbers that it shows.
        assert (mask_channels(cell, settings) != mask).mean() < 0.001
    assert full.mean() > 2 * empty.mean()


def test_an_address_opens_its_page_and_an_error_is_seen(server: Server) -> None:
    async def visit() -> tuple[list[str], dict[str, str], list[str]]:
        async with visiting(server.url, query="run=20260101-120000-aaaaaaaaaaaaa") as visitor:
            await visitor.open("mask")
            await visitor.settled(limit=LONGEST)
            titles = [one.body for one in visitor.all("heading")]
            return titles, visitor.query, visitor.troubles()

    ((titles, query, troubles),) = await_all(visit())
    assert titles == ["Mask"]
    assert "there is no run" in troubles[0]
    assert "draft" not in query


def test_a_wait_ends_and_says_what_was_on_the_page(server: Server) -> None:
    async def wait() -> None:
        async with visiting(server.url) as visitor:
            await visitor.open()
            await visitor.settled(limit=LONGEST)
            await visitor.until(lambda: False, limit=0.1)

    with pytest.raises(TimeoutError, match=r"not within 0\.1 s; on the page: .*Overview"):
        await_all(wait())


def test_a_fragment_that_asks_for_it_is_run_again(serve: Any, tmp_path: Path) -> None:
    script = tmp_path / "counting.py"
    script.write_text(COUNTING, "utf-8")

    async def watch(url: str) -> None:
        async with visiting(url) as visitor:
            await visitor.open()
            await visitor.settled(limit=LONGEST)
            start = int(visitor.one("metric", "Count").body)
            await visitor.until(
                lambda: int(visitor.one("metric", "Count").body) > start + 1, limit=LONGEST
            )
            # What the script has shown beside the fragment stays.
            assert [one.body for one in visitor.all("heading")] == ["Beside"]

    with serve(script) as server:
        await_all(watch(server.url))

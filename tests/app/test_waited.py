"""A page that waits for a computation in a child process."""

from __future__ import annotations

import streamlit as st
from patience import LONGEST
from streamlit.testing.v1 import AppTest


def waiting_page() -> None:
    """Wait for what takes two seconds, and show how often it was asked for."""
    import threading
    from typing import Any

    import streamlit as st

    from cellcutter_core.processes.calls import Call, Calls
    from pages.shared.caching.in_child import NotYet, waited

    call = Call("key", Calls(1))
    threading.Timer(2.0, call.set_result, [(7, 0.0)]).start()
    n_asked = 0

    def compute() -> Any:
        nonlocal n_asked
        n_asked += 1
        if not call.done():
            raise NotYet("slot", "key", call)
        return call.result()[0]

    found = waited(compute)
    st.text(f"{found} after {n_asked}")


def test_a_waiting_page_asks_only_when_there_is_something_new_to_show() -> None:
    app = AppTest.from_function(waiting_page, default_timeout=LONGEST).run()
    assert not app.exception
    found, _, n_asked = app.text[0].value.partition(" after ")
    assert found == "7"
    # At the start, when one and when two seconds are shown, and at the end; not every 0.1 s.
    assert 2 <= int(n_asked) <= 6


def impatient_page() -> None:
    """Ask for what takes an hour, and show the process that computes it."""
    import time

    import streamlit as st

    from pages.shared.caching.in_child import NotYet, _pending, aside

    try:
        aside("mask", "an hour", time.sleep, 3600)
    except NotYet:
        call = _pending()["aside_mask"]
        st.session_state["call"] = call


def test_a_visitor_who_leaves_ends_what_is_computed_for_them() -> None:
    app = AppTest.from_function(impatient_page, default_timeout=LONGEST).run()
    call = app.session_state["call"]
    assert not call.done()
    st.cache_resource.clear()  # As at the end of a session.
    assert call.cancelled()
    # Whoever comes back gets it computed again.
    app.run()
    assert not app.session_state["call"].done()
    app.session_state["call"].leave()

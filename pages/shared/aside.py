"""Results that child processes compute, and what a page does until they are there."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import cache
from typing import Any, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cellcutter_core.processes.calls import Call, Calls

T = TypeVar("T")
# How often a page that waits looks whether its visitor goes on, in seconds.
PATIENCE = 0.1
# So long a slider has to rest before what it asks for is computed.
REST = 0.3


class NotYet(Exception):
    """The result is being computed; ask again."""


@cache
def _calls() -> Calls:
    """The children of this server."""
    return Calls()


def aside(
    slot: str, key: str, function: Callable[..., Any], *args: Any, ask: bool = True
) -> tuple[Any, float]:
    """What a function returns, computed in a child, and the seconds that it took.

    Parameters
    ----------
    slot : str
        A visitor wants one result at a time in each slot: asking for another ends the last.
    key : str
        Names function and arguments.
    ask : bool
        Whether to begin with it where that was not done yet.

    Raises
    ------
    NotYet
        If it is not there in a moment. It goes on, and is found by asking again.
    """
    slot = f"aside_{slot}"
    held: Call | None = st.session_state.get(slot)
    if held is not None and held.key != key:
        _calls().leave(held)
        del st.session_state[slot]
        held = None
    if held is None:
        if not ask:
            raise NotYet
        held = st.session_state[slot] = _calls().ask(key, function, *args)
    try:
        found = held.result(PATIENCE)
    except (TimeoutError, CancelledError):
        if held.future.cancelled():
            del st.session_state[slot]
        raise NotYet from None
    except Exception:
        del st.session_state[slot]
        raise
    del st.session_state[slot]
    return found


def rest() -> None:
    """Let a visitor who moves a slider go on before anything is begun."""
    note = st.empty()
    end = time.monotonic() + REST
    while time.monotonic() < end:
        time.sleep(PATIENCE)
        note.empty()


def waited(compute: Callable[[], T], note: DeltaGenerator | None = None) -> T:
    """What `compute` returns once it does not raise `NotYet` any more.

    Parameters
    ----------
    compute : callable
    note : placeholder, optional
        Where to say so meanwhile; made here where it is needed.
    """
    start = time.monotonic()
    while True:
        try:
            found = compute()
            if note is not None:
                note.empty()
            return found
        except NotYet:
            note = st.empty() if note is None else note
            # Writing is also what lets Streamlit break off here when the visitor goes on.
            note.caption(f":material/hourglass_top: Computing, {time.monotonic() - start:.0f} s")

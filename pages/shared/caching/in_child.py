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
# What takes longer than this can be cancelled, in seconds.
CANCEL_AFTER = 2.0


class NotYet(Exception):
    """The result is being computed; ask again.

    Parameters
    ----------
    slot, key : str
        What is being computed, see `aside`.
    """

    def __init__(self, slot: str, key: str) -> None:
        super().__init__(slot)
        self.slot, self.key = slot, key


class Cancelled(ValueError):
    """The visitor does not want this result any more.

    Parameters
    ----------
    slot : str
        See `aside`.
    """

    def __init__(self, slot: str) -> None:
        super().__init__("Cancelled. Change a setting or the region, or compute it after all.")
        self.slot = slot


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
    Cancelled
        If the visitor has cancelled it, see `waited`.
    ValueError
        If it took too long, see `Calls`; and what the function raises.
    """
    slot = f"aside_{slot}"
    if st.session_state.get(f"{slot}_cancelled") == key:
        raise Cancelled(slot)
    held: Call | None = st.session_state.get(slot)
    if held is not None and held.key != key:
        _calls().leave(held)
        del st.session_state[slot]
        held = None
    if held is None:
        if not ask:
            raise NotYet(slot, key)
        held = st.session_state[slot] = _calls().ask(key, function, *args)
    try:
        found = held.result(PATIENCE)
    except (TimeoutError, CancelledError):
        if held.future.cancelled():
            del st.session_state[slot]
        raise NotYet(slot, key) from None
    except Exception:
        del st.session_state[slot]
        raise
    del st.session_state[slot]
    return found


def _cancel(slot: str) -> None:
    """In a callback: end what is computed in a slot, and don't begin with it again."""
    held: Call | None = st.session_state.pop(slot, None)
    if held is not None:
        st.session_state[f"{slot}_cancelled"] = held.key
        _calls().leave(held)


def ask_again(error: Cancelled) -> None:
    """Say that it was cancelled, with a button that computes it after all."""
    st.info(str(error), icon=":material/cancel:")
    st.button(
        "Compute",
        key=f"again_{error.slot}",
        on_click=st.session_state.pop,
        args=(f"{error.slot}_cancelled", None),
    )


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
    line: DeltaGenerator | None = None
    while True:  # What it waits for is ended after `LONGEST` seconds at the latest.
        try:
            found = compute()
            if note is not None:
                note.empty()
            return found
        except NotYet as waits:
            seconds = time.monotonic() - start
            note = st.empty() if note is None else note
            if line is None and seconds > CANCEL_AFTER:
                with note.container(horizontal=True, vertical_alignment="center"):
                    line = st.empty()
                    st.button(
                        "Cancel",
                        key=f"cancel_{waits.slot}_{waits.key}",
                        on_click=_cancel,
                        args=(waits.slot,),
                    )
            # Writing is also what lets Streamlit break off here when the visitor goes on.
            (line or note).caption(f":material/hourglass_top: Computing, {seconds:.0f} s")

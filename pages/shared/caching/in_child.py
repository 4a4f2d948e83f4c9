"""Compute results in child processes, and let a page wait for them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import wait
from functools import cache
from typing import Any, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cellcutter_core.processes.calls import Call, Calls

T = TypeVar("T")
# How often a waiting page checks whether the visitor has done something, in seconds.
PATIENCE = 0.1
# How long a slider must rest before its result is computed, in seconds.
REST = 0.3
# A computation that takes longer than this many seconds can be cancelled.
CANCEL_AFTER = 2.0
# How long a computation that may not wait takes until it makes room for another one, in seconds.
SLOW = 0.5
# How far the priority of a computation that may wait is below that of the others.
BEHIND = 5


class NotYet(Exception):
    """The result is being computed; ask again.

    Parameters
    ----------
    slot, key : str
        Slot and key of the computation, see `aside`.
    call : Call, optional
        The computation, if it was started.
    """

    def __init__(self, slot: str, key: str, call: Call | None = None) -> None:
        super().__init__(slot)
        self.slot, self.key, self._call = slot, key, call

    def is_over(self) -> bool:
        """Wait a moment; return whether it is worth asking again."""
        return self._call is None or bool(wait([self._call], PATIENCE).done)


class Cancelled(ValueError):
    """The visitor has cancelled this computation.

    Parameters
    ----------
    slot : str
        See `aside`.
    """

    def __init__(self, slot: str) -> None:
        super().__init__("Cancelled. Change a setting or the region, or click Compute.")
        self.slot = slot


@cache
def _calls(nice: int) -> Calls:
    """Return the child processes of this server that have this priority."""
    return Calls(nice=nice) if nice else Calls(slow=SLOW)


def _leave(calls: dict[str, Call]) -> None:
    for call in list(calls.values()):
        call.leave()


@st.cache_resource(scope="session", show_spinner=False, on_release=_leave)
def _pending() -> dict[str, Call]:
    """Return this visitor's pending computations by slot; they end with the session."""
    return {}


def aside(
    slot: str,
    key: str,
    function: Callable[..., Any],
    *args: Any,
    ask: bool = True,
    may_wait: bool = False,
) -> tuple[Any, float]:
    """Call a function in a child process. Return its result and the seconds that it took.

    Parameters
    ----------
    slot : str
        Each visitor has one computation at a time in a slot: another key ends the last one.
    key : str
        Identifies function and arguments.
    ask : bool
        Whether to start the computation if it was not started yet.
    may_wait : bool
        Whether computations of other visitors that may not wait come first.

    Raises
    ------
    NotYet
        If the result is not there after a moment. The computation goes on; call this again.
    Cancelled
        If the visitor has cancelled it, see `waited`.
    ValueError
        If it took too long, see `Calls`. All errors of the function are raised as well.
    """
    slot = f"aside_{slot}"
    if st.session_state.get(f"{slot}_cancelled") == key:
        raise Cancelled(slot)
    pending = _pending()
    call = pending.get(slot)
    if call is not None and call.key != key:
        pending.pop(slot).leave()
        call = None
    if call is None:
        if not ask:
            raise NotYet(slot, key)
        calls = _calls(BEHIND if may_wait else 0)
        call = pending[slot] = calls.ask(key, function, *args)
    if not wait([call], PATIENCE).done:
        raise NotYet(slot, key, call)
    pending.pop(slot, None)
    if call.cancelled():
        raise NotYet(slot, key)
    return call.result()


def must_wait() -> bool:
    """Return whether computations that may wait have to wait now, because there are many."""
    return _calls(BEHIND).are_many


def _cancel(slot: str) -> None:
    """In a callback: end the computation in a slot, and do not start it again."""
    call = _pending().pop(slot, None)
    if call is not None:
        st.session_state[f"{slot}_cancelled"] = call.key
        call.leave()


def forget_cancelled() -> None:
    """Let all that the visitor has cancelled be computed again, because they now ask for it."""
    for key in list(st.session_state):
        if str(key).startswith("aside_") and str(key).endswith("_cancelled"):
            del st.session_state[key]


def ask_again(error: Cancelled) -> None:
    """Say that the computation was cancelled, with a button that starts it again."""
    st.info(str(error), icon=":material/cancel:")
    st.button(
        "Compute",
        key=f"again_{error.slot}",
        on_click=st.session_state.pop,
        args=(f"{error.slot}_cancelled", None),
    )


def rest() -> None:
    """Wait a moment before a computation starts, in case the visitor still moves a slider."""
    note = st.empty()
    end = time.monotonic() + REST
    while time.monotonic() < end:
        time.sleep(PATIENCE)
        note.empty()


def waited(
    compute: Callable[[], T], note: DeltaGenerator | None = None, *, most: float | None = None
) -> T:
    """Call `compute` until it does not raise `NotYet`, and return its result.

    Parameters
    ----------
    compute : callable
    note : placeholder, optional
        Where to show the waiting time; made here if needed.
    most : float, optional
        Seconds after which it raises the `NotYet` itself; the computation goes on.
    """
    start = time.monotonic()
    line: DeltaGenerator | None = None
    while True:  # Bounded: the computation is ended after `LONGEST` seconds at the latest.
        try:
            found = compute()
            if note is not None:
                note.empty()
            return found
        except NotYet as waits:
            seconds = time.monotonic() - start
            if most is not None and seconds > most:
                raise
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
            (line or note).caption(f":material/hourglass_top: Computing, {seconds:.0f} s")
            # Many visitors may wait, so this takes next to nothing until the number is another one.
            # A look at the session lets Streamlit stop this run if the visitor does something else.
            another = math.floor(seconds + 0.5) + 0.5
            while not waits.is_over() and time.monotonic() - start < another:
                st.session_state.get(waits.slot)

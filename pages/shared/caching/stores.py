"""Where results are cached: for all visitors on the built-in sample, else for one session."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal

import streamlit as st

from pages.shared import state

# Seconds after a visitor leaves until memory is handed back; all their results are freed by then.
SETTLE = 5.0


def kept(max_entries: int, *, spinner: str | bool = False) -> Any:
    """Cache what a function returns, for this visitor's session or for all visitors.

    The sample is small and the same for everybody, so a class of visitors computes it once. Results
    on a visitor's own image are freed when the visitor leaves. Results are shared, not copied:
    nobody may write to them.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def cache(scope: Literal["global", "session"]) -> Callable[..., Any]:
            return st.cache_resource(
                function,
                max_entries=max_entries,
                scope=scope,
                show_spinner=spinner,
                on_release=_hand_back_soon if scope == "session" else None,
            )

        of_all, of_one = cache("global"), cache("session")

        @wraps(function)
        def call(*args: Any) -> Any:
            is_sample = state.choices().source.kind == "sample"
            return (of_all if is_sample else of_one)(*args)

        return call

    return decorate


def hand_back() -> None:
    """Give freed memory back to the system; it takes a millisecond.

    The GNU C library keeps freed memory that lies between used memory: some 30 MB after a few pages
    of a large image. It releases that memory when asked.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return  # Another C library: it does this in its own way.
    trim(0)


def _hand_back_soon(value: Any) -> None:
    """Hand memory back to the system once this value, and all freed with it, is gone."""
    del value
    timer = threading.Timer(SETTLE, hand_back)
    timer.daemon = True
    timer.start()

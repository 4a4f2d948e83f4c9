"""Where results are cached: for all visitors on the built-in sample, else for one session.

And what becomes of their memory.
"""

from __future__ import annotations

import ctypes
import gc
import sys
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


_n_modules = 0


def set_modules_apart() -> None:
    """Let the collection of garbage pass over what modules hold, once more are loaded.

    Streamlit collects garbage after each run of a page. It would look at the 140,000 objects of all
    modules each time, for some 50 ms in which no other visitor is served.
    """
    global _n_modules
    if len(sys.modules) <= _n_modules:
        return
    _n_modules = len(sys.modules)
    # What visitors had when it was done last may be garbage by now.
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _hand_back_soon(value: Any) -> None:
    """Hand memory back to the system once this value, and all freed with it, is gone."""
    del value
    timer = threading.Timer(SETTLE, hand_back)
    timer.daemon = True
    timer.start()

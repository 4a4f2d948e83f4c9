"""Where results are cached: for all visitors on the built-in sample, else for one session.

And what becomes of their memory.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal

import streamlit as st

from pages.shared import state

# At least so many results on samples are kept for each function: visitors choose different samples.
# One of 512 × 512 pixels with mask, markers and pictures takes 8 MB.
OF_SAMPLES = 32
# Seconds after a visitor leaves until memory is handed back; all their results are freed by then.
SETTLE = 5.0
# Seconds between two collections of garbage, at least.
COLLECTED_EVERY = 10.0


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
                max_entries=max_entries if scope == "session" else max(max_entries, OF_SAMPLES),
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


_n_modules, _collected_at = 0, 0.0


def collect_garbage() -> None:
    """Free what visitors have left behind, unless that was done a moment ago.

    Nobody is served meanwhile: with thirty visitors it takes 0.1 s. So Streamlit's own collection,
    after each run of a page, is off (`runner.postScriptGC`). What fragments leave is collected
    after the next run of a page, or before by Python, as it sees fit. The 140,000 objects that
    modules hold are passed over, once more modules are loaded.
    """
    global _n_modules, _collected_at
    are_new = len(sys.modules) > _n_modules
    if not are_new and time.monotonic() < _collected_at + COLLECTED_EVERY:
        return
    _n_modules, _collected_at = len(sys.modules), time.monotonic()
    if are_new:
        # What visitors had when it was done last may be garbage by now.
        gc.unfreeze()
    gc.collect()
    if are_new:
        gc.freeze()


def _hand_back_soon(value: Any) -> None:
    """Hand memory back to the system once this value, and all freed with it, is gone."""
    del value
    timer = threading.Timer(SETTLE, hand_back)
    timer.daemon = True
    timer.start()

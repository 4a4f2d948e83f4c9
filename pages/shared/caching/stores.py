"""Where results are kept: those on the built-in sample for all visitors, others for their own."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal

import streamlit as st

from pages.shared import state

# Seconds after which memory of a visitor who left is handed back: all their results are gone then.
SETTLE = 5.0


def kept(max_entries: int, *, spinner: str | bool = False) -> Any:
    """Keep what a function returns, for the next rerun of this visitor or for everybody.

    The sample is the same for everybody and small, so a class that opens it computes it once. What
    was made of a visitor's own image goes when they leave. Results are shared, not copied: nobody
    may write to them.
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
    """Give freed memory to the system, in a thousandth of a second.

    The GNU C library keeps what was freed between what is in use, some 30 MB after a few pages of a
    large image; it lets go when asked.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return  # Another C library, which has a way of its own.
    trim(0)


def _hand_back_soon(value: Any) -> None:
    """Give the system its memory back once this and what was released with it is gone."""
    del value
    timer = threading.Timer(SETTLE, hand_back)
    timer.daemon = True
    timer.start()

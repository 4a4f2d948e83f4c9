"""Where results are kept: those on the built-in sample for all visitors, others for their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal

import streamlit as st

from pages.shared import state


def kept(max_entries: int, *, spinner: str | bool = False) -> Any:
    """Keep what a function returns, for the next rerun of this visitor or for everybody.

    The sample is the same for everybody and small, so a class that opens it computes it once. What
    was made of a visitor's own image goes when they leave. Results are shared, not copied: nobody
    may write to them.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def cache(scope: Literal["global", "session"]) -> Callable[..., Any]:
            return st.cache_resource(
                function, max_entries=max_entries, scope=scope, show_spinner=spinner
            )

        of_all, of_one = cache("global"), cache("session")

        @wraps(function)
        def call(*args: Any) -> Any:
            is_sample = state.choices().source.kind == "sample"
            return (of_all if is_sample else of_one)(*args)

        return call

    return decorate

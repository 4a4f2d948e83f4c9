"""What a session still holds when the results that were kept for it are released."""

import gc
import sys
import types
from typing import Any

import numpy as np
import pytest
import streamlit as st
from made_runs import asked, make_run, open_page

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")

LARGE = 10_000


def arrays_held_by(root: Any) -> list[tuple[int, ...]]:
    """Shapes of the large arrays that it reaches by whatever way but what belongs to a module."""
    seen = {id(vars(module)) for module in list(sys.modules.values())}
    ahead, found = [root], []
    while ahead:
        one = ahead.pop()
        if id(one) in seen or isinstance(one, types.ModuleType | type):
            continue
        seen.add(id(one))
        if isinstance(one, np.ndarray) and one.nbytes > LARGE:
            found.append(one.shape)
        ahead.extend(gc.get_referents(one))
    return found


@pytest.mark.parametrize(
    "page", ["overview", "data", "mask", "cells", "train", "compare", "results", "apply"]
)
def test_what_widgets_call_holds_no_image(page):
    """Streamlit keeps the session of a visitor who left, in case they come back."""
    app = open_page(page, make_run("r1"))
    assert arrays_held_by(np.zeros((LARGE, 2)).T) == [(2, LARGE)]
    st.cache_data.clear()
    st.cache_resource.clear()
    assert arrays_held_by(app.session_state) == []

"""What becomes of the memory of pages."""

from __future__ import annotations

import gc
import sys
import types
import weakref
from collections.abc import Iterator

import pytest
from opening import at_page

from cellcutter_core.choices.choices import Choices
from pages.shared.caching import stores


@pytest.fixture(autouse=True)
def nothing_apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stores, "_n_modules", 0)
    gc.unfreeze()
    yield
    gc.unfreeze()


class Circle:
    """Something that only the collection of garbage frees."""

    def __init__(self) -> None:
        self.itself = self


def test_a_page_sets_what_modules_hold_apart_and_garbage_still_goes() -> None:
    at_page("runs").run()
    assert gc.get_freeze_count() > 50_000
    garbage = weakref.ref(Circle())
    gc.collect()
    assert garbage() is None


def test_what_was_set_apart_and_is_garbage_goes_when_another_module_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    circle = Circle()
    monkeypatch.setattr(stores, "_n_modules", 0)
    stores.collect_garbage()
    garbage = weakref.ref(circle)
    del circle
    gc.collect()
    stores.collect_garbage()
    assert garbage() is not None
    monkeypatch.setitem(sys.modules, "one_more_module", types.ModuleType("one_more_module"))
    stores.collect_garbage()
    assert garbage() is None


def test_garbage_is_collected_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    stores.collect_garbage()
    gc.disable()
    try:
        garbage = weakref.ref(Circle())
        monkeypatch.setattr(stores, "COLLECTED_EVERY", 1e6)
        stores.collect_garbage()
        assert garbage() is not None
    finally:
        gc.enable()
    monkeypatch.setattr(stores, "COLLECTED_EVERY", 0.0)
    stores.collect_garbage()
    assert garbage() is None


def test_thirty_visitors_with_a_sample_each_do_not_push_each_other_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores.state, "choices", Choices)
    made = []
    keep = stores.kept(4)(lambda key: made.append(key) or key)
    for _ in range(2):
        for seed in range(30):
            keep(f"sample {seed}")
    assert len(made) == 30

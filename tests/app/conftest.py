"""Tests of pages share what is the same for all of them."""

import sys
from collections.abc import Iterator
from functools import lru_cache

import pytest
from samples import sample
from streamlit import config
from streamlit.components.v2 import manifest_scanner

# Every AppTest looks through all installed packages for components.
_installed_components = lru_cache(manifest_scanner.scan_component_manifests)


@pytest.fixture(autouse=True)
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sample is drawn once, also by the code of a page, and components are looked for once."""
    monkeypatch.setattr("cellcutter_core.simulation.sample.sample", sample)
    monkeypatch.setattr("cellcutter_core.choices.sources.sample", sample)
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", _installed_components)


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Pages find the app's own settings, and leave the main module to whoever starts processes.

    Another test may have read Streamlit's settings in another folder. An AppTest puts its script in
    the place of the main module, which a new process of a pool would run.
    """
    config.get_config_options(force_reparse=True)
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main

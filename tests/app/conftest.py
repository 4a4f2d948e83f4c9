"""Tests of pages share what is the same for all of them."""

from functools import lru_cache

import pytest
from samples import sample
from streamlit.components.v2 import manifest_scanner

# Every AppTest looks through all installed packages for components.
_installed_components = lru_cache(manifest_scanner.scan_component_manifests)


@pytest.fixture(autouse=True)
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sample is drawn once, also by the code of a page, and components are looked for once."""
    monkeypatch.setattr("cellcutter_core.simulation.sample.sample", sample)
    monkeypatch.setattr("cellcutter_core.choices.sources.sample", sample)
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", _installed_components)

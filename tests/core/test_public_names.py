"""The public names, whatever was imported before them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cellcutter_core


@pytest.mark.parametrize(
    "before", ["", "import cellcutter_core.pipeline, cellcutter_core.mask.graph_cut"]
)
def test_no_public_name_is_hidden_by_a_module(before: str) -> None:
    code = (
        f"{before}\nimport types, cellcutter_core\n"
        "for name in cellcutter_core.__all__:\n"
        "    value = getattr(cellcutter_core, name)\n"
        "    assert not isinstance(value, types.ModuleType), name\n"
        "from cellcutter_core.mask.graph_cut import graph_cut\n"
        "assert cellcutter_core.graph_cut is graph_cut\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_public_names_are_there() -> None:
    assert set(cellcutter_core.__all__) <= set(dir(cellcutter_core))
    with pytest.raises(AttributeError, match="attribute nonsense"):
        _ = cellcutter_core.nonsense

"""What TensorFlow has to say of the machine is kept off the terminal, unless loading it fails."""

from __future__ import annotations

import os
import sys

import pytest

from cellcutter_core.network.backend import backend, lines_kept_back


def test_lines_of_libraries_are_kept_back(capfd: pytest.CaptureFixture[str]) -> None:
    with lines_kept_back():
        os.write(2, b"I0000 port.cc: custom operations are on\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_lines_are_shown_where_loading_fails(capfd: pytest.CaptureFixture[str]) -> None:
    @lines_kept_back()
    def load() -> None:
        os.write(2, b"no such library\n")
        raise ImportError

    with pytest.raises(ImportError):
        load()
    assert capfd.readouterr().err == "no such library\n"


@pytest.mark.parametrize("name", ["openvino", "jax"])
def test_a_backend_that_is_not_here_is_said_in_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", name)
    # None makes an import fail like that of a package that is not installed.
    monkeypatch.setitem(sys.modules, "keras", None)
    message = f"^the backend {name} cannot be loaded, because .* is not there; install it, or set"
    with pytest.raises(ValueError, match=message):
        backend()

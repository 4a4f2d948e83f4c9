"""The limits of the server as a table: what, how much, what is used, and what sets it."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.jobs.about_server import Disk
from cellcutter_core.limits import Limits, size_in_words, variable
from cellcutter_core.people.person import is_for_many
from pages.shared.run_words import format_duration

_SIZES = ("image", "disk", "free", "person_disk")
_TIMES = ("seconds", "person_seconds")


def limit_rows(allowed: Limits, disk: Disk) -> list[dict[str, str]]:
    """Return a row for each limit, that of uploads first."""
    used = {"runs": str(disk.n_runs), "disk": size_in_words(disk.used)}
    # Streamlit's megabytes are of 1024² bytes; it names the same number where one uploads.
    upload = f"{st.get_option('server.maxUploadSize')} MB"
    rows = [_row("size of an uploaded file", upload, "", "server.maxUploadSize")]
    for name, field in Limits.model_fields.items():
        if name.startswith("person_") and not is_for_many():
            continue
        limit = _in_words(name, getattr(allowed, name))
        rows.append(_row(str(field.description), limit, used.get(name, ""), variable(name)))
    return rows


def _row(what: str, limit: str, used: str, sets: str) -> dict[str, str]:
    return {
        "What": what[0].upper() + what[1:],
        "Limit": limit,
        "Used": used,
        "Set by": f"`{sets}`",
    }


def _in_words(name: str, value: int | None) -> str:
    if value is None:
        return "none"
    if name in _SIZES:
        return size_in_words(value)
    return format_duration(value) if name in _TIMES else f"{value:,}"

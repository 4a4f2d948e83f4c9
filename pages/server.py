"""What this server is, what it has to do, and what it allows."""

import streamlit as st

from cellcutter_core.jobs import about_server
from cellcutter_core.limits import Limits, limits, size_in_words, variable
from cellcutter_core.people.person import is_for_many
from cellcutter_core.runs.deleted import KEPT_DAYS
from pages.shared import panels, state
from pages.shared.caching import cached_runs
from pages.shared.run_words import format_duration

KEPT = (
    f"Deleted runs can be brought back for {KEPT_DAYS} days on the page Runs. They take room "
    "until they are removed for good there, or until the first deletion after that time."
)
_SIZES = ("image", "disk", "free", "person_disk")
_TIMES = ("seconds", "person_seconds")

state.enter("server")
panels.head("server")


@st.cache_data(ttl=60, max_entries=1, show_spinner=False)
def disk_now() -> about_server.Disk:
    """Measure the disk once a minute, for all visitors."""
    return about_server.disk()


def limit_rows(allowed: Limits, disk: about_server.Disk) -> list[dict[str, str]]:
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


def now() -> None:
    """Show device and queue."""
    st.metric("Trains on", cached_runs.trains_on() or "Finding out …")
    load = about_server.load(*cached_runs.queues())
    with st.container(horizontal=True, gap="large"):
        st.metric("Running jobs", load.running)
        st.metric("Waiting jobs", load.waiting)
        st.metric("Cores", f"{about_server.cores():g}")
        if (memory := about_server.memory()) is not None:
            total, available = memory
            st.metric("Memory", size_in_words(total))
            st.metric("Memory available", size_in_words(available))


st.fragment(now, run_every=5.0)()

st.subheader("Disk", anchor=False)
disk = disk_now()
with st.container(horizontal=True, gap="large"):
    st.metric(f"{disk.n_runs} {'run' if disk.n_runs == 1 else 'runs'}", size_in_words(disk.runs))
    st.metric("Uploads and drafts", size_in_words(disk.uploads))
    st.metric(f"{disk.n_deleted} deleted", size_in_words(disk.deleted), help=KEPT)
    st.metric("Free", size_in_words(disk.free))
st.caption("Measured once a minute.")

st.subheader("Limits", anchor=False)
st.table(limit_rows(limits(), disk), border="horizontal")
st.caption(
    "Whoever runs the server sets a limit as an environment variable before the start. The largest "
    "upload is set in `.streamlit/config.toml`. At its time limit a training stops after its "
    "current step; all its steps are kept, and it can be continued."
)

st.subheader("Versions", anchor=False)
st.table(
    [{"Program": name, "Version": number} for name, number in about_server.versions().items()],
    border="horizontal",
)

"""What this server is, what it has to do, and what it allows."""

import streamlit as st

from cellcutter_core.jobs import about_server
from cellcutter_core.limits import limits, size_in_words
from cellcutter_core.runs.deleted import KEPT_DAYS
from pages.parts.server.limit_table import limit_rows
from pages.shared import panels, state
from pages.shared.caching import cached_runs

KEPT = (
    f"Deleted runs can be brought back for {KEPT_DAYS} days on the page Runs. They take room "
    "until they are removed for good there, or until that time is over."
)

state.enter("server")
panels.head("server")


@st.cache_data(ttl=60, max_entries=1, show_spinner=False)
def disk_now() -> about_server.Disk:
    """Measure the disk once a minute, for all visitors."""
    return about_server.disk()


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

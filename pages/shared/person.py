"""Who the visitor is, on a server for many people; see `people.person`.

A cookie holds the secret of a visitor who does not log in. The browser sends it when a session
begins. The first session makes the secret, and the browser keeps it.
"""

from __future__ import annotations

import streamlit as st

from cellcutter_core.people.person import COOKIE, is_for_many, is_secret, new_secret, person_of

SECRET = "person_secret"
# A year, in seconds; each visit begins it again.
_KEPT = 365 * 86_400
# Two pages that are opened at once agree: the second takes what the first has stored.
_JS = f"""
export default function ({{ data, setStateValue }}) {{
  const there = document.cookie.match(/(?:^|; ){COOKIE}=([\\w-]{{32}})(?:;|$)/)
  const secret = there ? there[1] : data
  const safe = location.protocol === "https:" ? "; Secure" : ""
  document.cookie = `{COOKIE}=${{secret}}; path=/; max-age={_KEPT}; SameSite=Lax${{safe}}`
  if (secret !== data) setStateValue("there", secret)
}}
"""
_cookie = st.components.v2.component("cellcutter_person", js=_JS)


def person() -> str:
    """Return who the visitor is; empty on a server for one person.

    Raises
    ------
    ValueError
        As by `person_of`.
    """
    if not is_for_many():
        return ""
    return _person_of(st.session_state.get(SECRET) or _secret())


@st.cache_data(max_entries=10_000, show_spinner=False)
def _person_of(secret: str) -> str:
    return person_of(secret)


def _secret() -> str:
    if logs_in():
        secret = f"{st.user.get('iss')} {st.user.get('sub')}"
    else:
        sent = st.context.cookies.get(COOKIE)
        secret = sent if is_secret(sent) else new_secret()
    st.session_state[SECRET] = secret
    return secret


def logs_in() -> bool:
    """Return whether the operator has configured `st.login`."""
    return st.user.get("is_logged_in") is not None


def meet() -> None:
    """Ask who the visitor is before a page is shown, or store the cookie. `app.py` calls this."""
    if not is_for_many():
        return
    if not logs_in():
        person()
        _cookie(
            key="person_cookie",
            data=st.session_state[SECRET],
            on_there_change=_take_there,
        )
    elif not st.user["is_logged_in"]:
        st.title("cellcutter", anchor=False)
        st.markdown("Log in to see your runs and to start new ones.")
        if st.button("Log in", icon=":material/login:", type="primary"):
            st.login()
        st.stop()


def _take_there() -> None:
    """Take the secret that another page of this browser has stored."""
    there = st.session_state.get("person_cookie", {}).get("there")
    if is_secret(there):
        st.session_state[SECRET] = there

"""The browser app: `streamlit run app.py`. The frame around the pages."""

import streamlit as st

from cellcutter_core.jobs.executors import chosen_scheduler
from cellcutter_core.jobs.warm_process import SPARE
from cellcutter_core.limits import limits
from cellcutter_core.people.person import is_for_many
from pages.shared import person, state
from pages.shared.caching import stores
from pages.shared.page_list import GROUPS, TITLES

st.set_page_config(page_title="cellcutter", page_icon="🔬", layout="wide")

try:
    limits()
    is_for_many()
except ValueError as error:
    st.error(f"This server is set up wrongly: {error}.", icon=":material/error:")
    st.stop()
person.meet()
PAGES = {
    name: st.Page(f"pages/{name}.py", title=title, default=name == "overview")
    for name, (title, _, _) in TITLES.items()
}
GROUPED = {group: [PAGES[name] for name in names] for group, names in GROUPS.items()}
# The navigation is hidden because each page shows the pipeline itself (`panels.head`).
current = st.navigation(GROUPED, position="hidden")
st.session_state[state.FRAMED] = True
# A page that is opened directly comes here first (`state.enter`), and is opened from here.
if wanted := st.session_state.pop(state.WANTED_PAGE, None):
    st.switch_page(PAGES[wanted], query_params=dict(st.query_params))
try:
    current.run()
finally:
    stores.collect_garbage()
    stores.hand_back()
    # A visitor may start a training soon. TensorFlow is loaded now, so that it need not wait.
    if not chosen_scheduler():
        SPARE.start(after=2.0)

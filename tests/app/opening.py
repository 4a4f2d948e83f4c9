"""Open a page of the app at once, as a link to it does."""

from pathlib import Path

from patience import LONGEST
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

APP = str(Path(__file__).parents[2] / "app.py")


def at_page(page: str) -> AppTest:
    """The app, whose first run draws this page.

    `AppTest.switch_page` needs a run before it, which would draw the overview and compute its mask
    and markers: most of what such a test costs.
    """
    app = AppTest.from_file(APP, default_timeout=LONGEST)
    app._page_hash = calc_hash("" if page == "overview" else page)
    return app

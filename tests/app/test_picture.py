"""The Python half of the picture widgets, and how a page's test plays a person."""

import io
from typing import Any

import numpy as np
import pytest
from patience import LONGEST
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.shared.viewer import frame, picture
from pages.shared.viewer.picture import Edit


def page() -> None:
    import numpy as np
    import streamlit as st

    from pages.shared.viewer.picture import marker_editor, region_picker

    rgb = np.zeros((100, 150, 3), np.uint8)
    st.session_state.setdefault("box", (0, 0, 200, 200))
    st.session_state.setdefault("points", [(5, 6), (50, 60)])
    st.session_state.box = region_picker(
        rgb, st.session_state.box, key="region", alt="Black", scale=0.5
    )
    edit = marker_editor(rgb, st.session_state.points, key="markers", alt="Black")
    st.text(str(st.session_state.box))
    st.text(str(edit))


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(page, default_timeout=LONGEST).run()


def shown(app: AppTest) -> list[str]:
    assert not app.exception
    return [text.value for text in app.text]


def test_opens_in_every_new_app_test() -> None:
    for _ in range(2):
        app = AppTest.from_function(page, default_timeout=LONGEST).run()
        assert shown(app) == ["(0, 0, 200, 200)", "None"]


def test_box_from_the_session_state_comes_back_once_and_is_kept_by_the_page(app: AppTest) -> None:
    app.session_state["region-edit"] = (10, 20, 110, 120)
    assert shown(app.run())[0] == "(10, 20, 110, 120)"
    app.session_state["box"] = (0, 0, 64, 64)
    assert shown(app.run())[0] == "(0, 0, 64, 64)"


@pytest.mark.parametrize(
    ("box", "fitted"),
    [
        ((-5, -5, 95, 95), (0, 0, 100, 100)),
        ((150, 250, 250, 350), (100, 200, 200, 300)),
        ((190, 290, 191, 291), (136, 236, 200, 300)),
        ((0, 0, 999, 999), (0, 0, 200, 300)),
    ],
)
def test_box_is_fitted_into_the_image(
    app: AppTest, box: tuple[int, ...], fitted: tuple[int, ...]
) -> None:
    app.session_state["region-edit"] = box
    assert shown(app.run())[0] == str(fitted)


def test_edit_comes_back_exactly_once(app: AppTest) -> None:
    edit = Edit("add", None, (1, 2))
    app.session_state["markers-edit"] = edit
    assert shown(app.run())[1] == str(edit)
    assert shown(app.run())[1] == "None"


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Edit("remove", 0, None, (5, 6)), Edit("remove", 0, None, (5, 6))),
        # The points changed on the way: the marker is found by its place.
        (Edit("remove", 0, None, (50, 60)), Edit("remove", 1, None, (50, 60))),
        (Edit("move", 7, (9, 9), (5, 6)), Edit("move", 0, (9, 9), (5, 6))),
        # It is gone, or the place is not on the picture.
        (Edit("remove", 0, None, (7, 7)), None),
        (Edit("remove", 2, None), None),
        (Edit("add", None, (100, 0)), None),
        (Edit("move", 0, (0, -1), (5, 6)), None),
        (Edit("select", None, None), Edit("select", None, None)),
    ],
)
def test_edit_finds_its_marker_or_is_dropped(
    app: AppTest, edit: Edit, expected: Edit | None
) -> None:
    app.session_state["markers-edit"] = edit
    assert shown(app.run())[1] == str(expected)


def test_a_message_that_arrives_twice_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, Any] = {"client": "a", "number": 1, "kind": "add", "point": [3, 4]}
    state: dict[str, Any] = {"markers": {"edit": sent}}
    monkeypatch.setattr(picture.st, "session_state", state)
    picture._receive("markers", picture._read_edit)
    assert state.pop("markers-edit") == Edit("add", None, (3, 4))
    picture._receive("markers", picture._read_edit)
    assert "markers-edit" not in state
    sent["number"] = 2
    picture._receive("markers", picture._read_edit)
    assert "markers-edit" in state


def test_pixels_are_sent_without_loss() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    decoded = Image.open(io.BytesIO(frame._encoded("a digest", rgb, False)))
    np.testing.assert_array_equal(np.asarray(decoded), rgb)


def test_large_linked_pictures_are_shrunk() -> None:
    rgb = np.zeros((1000, 2048, 3), np.uint8)
    rgb[:, 1024:] = 200
    small = np.asarray(Image.open(io.BytesIO(frame._encoded("another digest", rgb, True))))
    assert small.shape == (500, 1024, 3)
    assert (small[:, :512] == 0).all()
    assert (small[:, 512:] == 200).all()


@pytest.mark.parametrize(
    "rgb", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((8, 8, 4), np.uint8)]
)
def test_other_arrays_than_rgb_are_refused(rgb: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"rgb is .* but a picture is uint8 of shape"):
        picture.region_picker(rgb, (0, 0, 8, 8), key="region", alt="")

"""Streamlit's own guards are on: XSRF tokens, the check of origins, the largest upload."""

from __future__ import annotations

import http.client
import http.cookiejar
import re
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from patience import ANSWERED
from serving import ROOT, Server, status_of
from test_app import SOON, visit

FORM = (
    b'--line\r\nContent-Disposition: form-data; name="file"; filename="../../evil.tif"\r\n'
    b"Content-Type: image/tiff\r\n\r\ncontent\r\n--line--\r\n"
)
# Every place from which an option of Streamlit can be given.
GIVEN = [
    path
    for place in (".streamlit", "Dockerfile", "docs", "README.md", "CONTRIBUTING.md", "app.py")
    for path in ([ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*"))
    if path.suffix in ("", ".toml", ".conf", ".md", ".py", ".service")
]


def test_nothing_switches_a_guard_off() -> None:
    with (ROOT / ".streamlit" / "config.toml").open("rb") as file:
        server = tomllib.load(file)["server"]
    assert server["maxUploadSize"] == 500
    guards = r"enable_?xsrf_?protection|enable_?cors|cors_?allowed_?origins|max_?upload_?size"
    assert not [name for name in server if re.fullmatch(guards, name, re.IGNORECASE)][1:]
    off = re.compile(rf"(--server\.|STREAMLIT_SERVER_)({guards})", re.IGNORECASE)
    assert len(GIVEN) > 5
    for path in GIVEN:
        assert not off.search(path.read_text("utf-8")), path


def put(server: Server, **headers: str) -> int:
    asked = urllib.request.Request(
        f"{server.url}/_stcore/upload_file/session/file",
        data=FORM,
        method="PUT",
        headers={"Content-Type": "multipart/form-data; boundary=line"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
    )
    return status_of(asked, timeout=ANSWERED)


def test_an_upload_needs_the_token_of_its_own_page(server: Server) -> None:
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    opener.open(f"{server.url}/_stcore/host-config", timeout=ANSWERED).close()
    opener.open(f"{server.url}/_stcore/health", timeout=ANSWERED).close()
    token = next(cookie.value for cookie in jar if cookie.name == "_streamlit_xsrf")
    assert token is not None
    cookie = f"_streamlit_xsrf={token}"
    assert put(server) == 403
    assert put(server, Cookie=cookie) == 403  # What a page of another site could have sent.
    assert put(server, X_Xsrftoken=token) == 403
    version, mask, _, stamp = token.split("|")
    made_up = "|".join((version, mask, "0" * 32, stamp))
    assert put(server, Cookie=cookie, X_Xsrftoken=made_up) == 403
    # With it, the token is no reason to refuse; that there is no such session is.
    assert put(server, Cookie=cookie, X_Xsrftoken=token) == 400
    assert not list(server.runs.rglob("*evil*"))


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(server: Server, page: Any) -> None:
    visit(page, server, "data")
    page.get_by_text("Your own image", exact=True).click()
    with page.expect_request(lambda asked: "upload_file" in asked.url, timeout=SOON) as sent:
        page.locator("input[type=file]").first.set_input_files(
            {"name": "small.png", "mimeType": "image/png", "buffer": b"no picture"}
        )
    headers = sent.value.all_headers()
    assert headers["x-xsrftoken"] in headers["cookie"]
    place = urllib.parse.urlsplit(sent.value.url)
    line = http.client.HTTPConnection(place.netloc, timeout=ANSWERED)
    # The headers alone: the same upload, but larger than allowed.
    line.putrequest("PUT", place.path)
    for name in ("cookie", "x-xsrftoken", "content-type"):
        line.putheader(name, headers[name])
    line.putheader("Content-Length", str(501 * 1024**2))
    line.endheaders()
    assert line.getresponse().status == 413
    line.close()


def test_answers_are_not_for_pages_of_other_sites(server: Server) -> None:
    for path in ("health", "host-config"):
        asked = urllib.request.Request(
            f"{server.url}/_stcore/{path}", headers={"Origin": "http://evil.example"}
        )
        with urllib.request.urlopen(asked, timeout=ANSWERED) as answer:
            # With the check of origins off, it would be "*".
            assert answer.headers["Access-Control-Allow-Origin"] is None

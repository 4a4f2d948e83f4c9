"""The app behind a real nginx with the configuration of docs/nginx.conf, under a path."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import subprocess
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tifffile
from patience import ANSWERED
from serving import ROOT, Server, free_port, serving, status_of
from test_app import SOON, go, no_trouble, settled, visit
from test_downloads import opened, save_as

from cellcutter_core.simulation.sample import sample

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
CONFIGURATION = ROOT / "docs" / "nginx.conf"
BASE = "cellcutter"
# Started by root, nginx would write as another user, who may not enter the folder of the test.
AROUND = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""

pytestmark = pytest.mark.skipif(NGINX is None, reason="there is no nginx")


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app, seen through nginx by a name that is not one of the app's own."""
    folder = tmp_path_factory.mktemp("nginx")
    with serving(ROOT / "app.py", folder=folder, base=BASE) as server:
        inner = re.search(r":(\d+)/", server.url)
        assert inner is not None
        site, port = CONFIGURATION.read_text("utf-8"), free_port()
        for given, instead in (
            ("listen 80;", f"listen 127.0.0.1:{port};"),
            ("http://127.0.0.1:8501;", f"http://127.0.0.1:{inner[1]};"),
        ):
            assert site.count(given) == 1
            site = site.replace(given, instead)
        (folder / "site.conf").write_text(site)
        (folder / "nginx.conf").write_text(
            AROUND.format(folder=folder, user="user root;" if os.getuid() == 0 else "")
        )
        command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            _wait_until_open(port)
            # Chromium takes every name that ends so for this machine.
            yield replace(server, url=f"http://cells.localhost:{port}/{BASE}")
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_until_open(port: int) -> None:
    end = time.monotonic() + ANSWERED
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < end, "nginx did not start"
            time.sleep(0.05)


def status(server: Server, path: str, *, n_bytes: int = 0) -> int:
    """The status of an answer of nginx; with a body of that many bytes, if there are some."""
    port = re.search(r":(\d+)/", server.url)
    assert port is not None
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port[1]}{path}",
        data=bytes(n_bytes) or None,
        method="PUT" if n_bytes else "GET",
    )
    return status_of(asked, timeout=ANSWERED)


def test_the_configuration_allows_the_uploads_of_the_app() -> None:
    with (ROOT / ".streamlit" / "config.toml").open("rb") as file:
        largest = tomllib.load(file)["server"]["maxUploadSize"]
    found = re.search(r"client_max_body_size (\d+)m;", CONFIGURATION.read_text("utf-8"))
    assert found is not None
    assert int(found[1]) == largest + 1


def test_the_path_and_its_health(behind: Server) -> None:
    assert status(behind, f"/{BASE}/_stcore/health") == 200
    assert status(behind, f"/{BASE}") == 200  # Sent on to the one with a slash.
    assert status(behind, "/") in (403, 404)


def test_an_upload_without_the_token_is_refused_here_as_well(behind: Server) -> None:
    assert status(behind, f"/{BASE}/_stcore/upload_file/session/file", n_bytes=1000) == 403


def test_a_visitor_uploads_sees_and_saves(behind: Server, page: Any) -> None:
    pixels = sample((256, 256)).pixels
    large = np.tile(pixels, (4, 4, 1))[..., :2]
    scaled = (large / large.max() * 40_000).astype(np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.moveaxis(scaled, 2, 0), metadata={"axes": "CYX"}, ome=True)
    # As large as it gets: what follows the pixels is nothing to a reader.
    content = stream.getvalue() + bytes(max(0, 3_200_000 - len(stream.getvalue())))
    assert len(content) > 3_000_000
    visit(page, behind, "data")
    page.get_by_text("Your own image", exact=True).click()
    page.locator("input[type=file]").first.set_input_files(
        {"name": "large.ome.tif", "mimeType": "image/tiff", "buffer": content}
    )
    page.get_by_text("In use: large.ome.tif").wait_for(timeout=SOON)
    settled(page)
    stage = page.locator(".viewer .stage").first
    stage.wait_for(timeout=SOON)
    # The picture itself comes by an address of its own, under the same path.
    shown = page.get_by_test_id("stImage").locator("img").first
    shown.wait_for(timeout=SOON)
    page.wait_for_function(
        "image => image.complete && image.naturalWidth > 100", arg=shown.element_handle()
    )
    assert f"/{BASE}/media/" in shown.get_attribute("src")
    no_trouble(page)
    go(page, "Cells")
    name, markers = save_as(page, "Markers")
    assert len(np.unique(opened(name, markers))) > 1
    assert page.url.startswith(f"{behind.url}/cells?")


def test_a_page_of_another_site_gets_no_websocket(behind: Server) -> None:
    port = re.search(r":(\d+)/", behind.url)
    assert port is not None
    answers = {}
    for origin in (f"http://cells.localhost:{port[1]}", "http://evil.example"):
        with socket.create_connection(("127.0.0.1", int(port[1])), timeout=ANSWERED) as line:
            line.sendall(
                (
                    f"GET /{BASE}/_stcore/stream HTTP/1.1\r\nHost: cells.localhost:{port[1]}\r\n"
                    f"Origin: {origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Protocol: streamlit\r\n\r\n"
                ).encode()
            )
            answers[origin] = line.recv(100).split(b" ")[1]
    assert list(answers.values()) == [b"101", b"403"]

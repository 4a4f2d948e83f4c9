"""The paper's files come from a server, are checked, and are kept; every failure is one line."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cellcutter_core.images.paper_data import BASE_URL, PAPER_FILES, fetch_paper, git_blob_id

CONTENT = b"PK\x03\x04 stands for an archive" * 5000
BLOB_ID = hashlib.sha1(b"blob %d\x00" % len(CONTENT) + CONTENT).hexdigest()


@dataclass
class Server:
    """A local stand-in for the authors' repository; it remembers what was asked of it."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    promised: int | None = None  # a Content-Length that is not true


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            body = state.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(state.promised or len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_port}/data/"
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CELLCUTTER_DATA", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_the_blob_id_is_that_of_git(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    # `git hash-object /dev/null`, and of "hello\n": known to everyone who met git.
    assert git_blob_id(path) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    path.write_bytes(b"hello\n")
    assert git_blob_id(path) == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_names_and_address_are_those_of_the_commit() -> None:
    assert BASE_URL == "https://raw.githubusercontent.com/jiyuuchc/cellcutter/aaef394/data/"
    assert {name: file for name, (file, _) in PAPER_FILES.items()} == {
        "a1": "a1data.npz",
        "a2": "a2data.npz",
        "a3": "a3data.npz",
    }


@pytest.mark.parametrize("slash", ["/", ""])
def test_a_file_is_fetched_once_and_kept(server: Server, folder: Path, slash: str) -> None:
    server.files["/data/a2data.npz"] = CONTENT
    url = server.url.rstrip("/") + slash
    path = fetch_paper("a2", base_url=url, blob_id=BLOB_ID)
    assert path == folder / "a2data.npz"
    assert path.read_bytes() == CONTENT
    assert fetch_paper("a2", base_url=url, blob_id=BLOB_ID) == path
    assert server.asked == ["/data/a2data.npz"]
    assert [file.name for file in folder.iterdir()] == ["a2data.npz"]


def test_without_the_variable_it_is_the_cache_of_the_user(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CELLCUTTER_DATA")
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    server.files["/data/a1data.npz"] = CONTENT
    path = fetch_paper("a1", base_url=server.url, blob_id=BLOB_ID)
    assert path == tmp_path / "cache" / "cellcutter" / "a1data.npz"


def test_a_damaged_file_in_the_folder_is_fetched_again(server: Server, folder: Path) -> None:
    server.files["/data/a1data.npz"] = CONTENT
    folder.mkdir()
    (folder / "a1data.npz").write_bytes(CONTENT[:-1])
    path = fetch_paper("a1", base_url=server.url, blob_id=BLOB_ID)
    assert path.read_bytes() == CONTENT


def test_a_file_put_there_by_hand_needs_no_network(folder: Path) -> None:
    folder.mkdir()
    (folder / "a1data.npz").write_bytes(CONTENT)
    path = fetch_paper("a1", base_url="http://127.0.0.1:9/", blob_id=BLOB_ID)
    assert path == folder / "a1data.npz"


def assert_one_line(error: pytest.ExceptionInfo[ValueError], path: Path) -> None:
    assert "\n" not in str(error.value)
    assert f"put it at {path}" in str(error.value)


def test_other_content_is_refused_and_the_old_file_stays(server: Server, folder: Path) -> None:
    server.files["/data/a1data.npz"] = b"<html>sign in to the hotel network</html>"
    with pytest.raises(ValueError, match=f"git blob id is .* should be {BLOB_ID}") as error:
        fetch_paper("a1", base_url=server.url, blob_id=BLOB_ID)
    assert_one_line(error, folder / "a1data.npz")
    assert list(folder.iterdir()) == []

    (folder / "a1data.npz").write_bytes(b"old")
    with pytest.raises(ValueError, match=r"in place of the damaged file there"):
        fetch_paper("a1", base_url=server.url, blob_id=BLOB_ID)
    assert (folder / "a1data.npz").read_bytes() == b"old"


def test_the_published_id_is_the_default(server: Server) -> None:
    server.files["/data/a3data.npz"] = CONTENT
    with pytest.raises(ValueError, match=f"should be {PAPER_FILES['a3'][1]}"):
        fetch_paper("a3", base_url=server.url)


def test_a_missing_file_on_the_server_is_named(server: Server, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"a1data.npz cannot be fetched: .* 404") as error:
        fetch_paper("a1", base_url=server.url, blob_id=BLOB_ID)
    assert_one_line(error, folder / "a1data.npz")
    assert list(folder.iterdir()) == []


def test_a_connection_that_breaks_leaves_nothing(server: Server, folder: Path) -> None:
    server.files["/data/a1data.npz"] = CONTENT[: len(CONTENT) // 2]
    server.promised = len(CONTENT)
    with pytest.raises(ValueError, match=r"cannot be fetched: the connection broke off") as error:
        fetch_paper("a1", base_url=server.url, blob_id=BLOB_ID)
    assert_one_line(error, folder / "a1data.npz")
    assert list(folder.iterdir()) == []


def test_offline_it_says_which_file_to_put_where(server: Server, folder: Path) -> None:
    # A port at which nobody listens: one that was free a moment ago.
    closed = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    url = f"http://127.0.0.1:{closed.server_port}/"
    closed.server_close()
    with pytest.raises(ValueError, match=r"a1data.npz cannot be fetched: no connection") as error:
        fetch_paper("a1", base_url=url)
    assert_one_line(error, folder / "a1data.npz")


def test_a_folder_that_cannot_be_made_is_named(folder: Path, server: Server) -> None:
    folder.write_text("a file where the folder should be")
    with pytest.raises(ValueError, match=r"cannot make the folder .*kept.*CELLCUTTER_DATA"):
        fetch_paper("a1", base_url=server.url)
    assert server.asked == []


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"name is 'a4', but .* a1, a2, a3$"):
        fetch_paper("a4")

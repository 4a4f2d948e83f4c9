"""What a visitor sends cannot run code, leave its folder, or reach what is not on the internet.

Each test tries. More of the same is in the tests of the readers: archives and headers that claim
to need much memory, data of HDF5 files in other files, pickled objects.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pickle
import re
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from small_files import blank

from cellcutter_core.choices.draft import Draft
from cellcutter_core.choices.uploads import file_of, store_upload
from cellcutter_core.config import Config, CropSettings, NetworkSettings, TrainingSettings
from cellcutter_core.images.formats import zarr_stores
from cellcutter_core.images.read_image import read_image, read_labels
from cellcutter_core.images.reading.readers import read_contents
from cellcutter_core.markers.given_markers import read_markers
from cellcutter_core.network.unet import UNet
from cellcutter_core.runs.deleted import delete_run, remove_run, restore_run
from cellcutter_core.runs.folder import find_run, list_runs
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs

SHAPE = (48, 48)
TINY = Config(
    crops=CropSettings(size=16, sigma=5),
    network=NetworkSettings(depth=3, channels=4, start="nothing", normalisation="none"),
    training=TrainingSettings(
        epochs=1, steps=1, area=None, crops=4, crops_at_once=4, precision="float32"
    ),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path / "runs"))
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def new_run(path: Path) -> Run:
    """Nine cells on a grid."""
    rows, cols = np.mgrid[8:40:14, 8:40:14].reshape(2, -1)
    mask = np.zeros(SHAPE, bool)
    for row, col in zip(rows, cols, strict=True):
        mask[row - 4 : row + 5, col - 4 : col + 5] = True
    points = np.stack([rows, cols], axis=1).astype(float)
    return Run.create(path, Inputs(mask[..., None].astype(np.float32), mask, points), TINY)


class Bomb:
    """When it is unpickled, it writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


# Code -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a.mat", "a.pkl", "a.tif", "a.zip"])
def test_nothing_pickled_is_opened_under_any_name(tmp_path: Path, name: str) -> None:
    mark, file = tmp_path / "ran", tmp_path / name
    bomb = np.empty(SHAPE, object)
    bomb[:] = Bomb(mark)
    if name == "a.npz":
        np.savez(file, image=bomb)
    elif name == "a.npy":
        np.save(file, bomb, allow_pickle=True)
    else:
        file.write_bytes(pickle.dumps(Bomb(mark)))
    for read in (read_image, read_labels, lambda path: read_markers(path, blank(SHAPE))):
        with pytest.raises(ValueError, match=re.escape(name)):
            read(file)
    assert not mark.exists()
    # The bomb is a real one.
    if name == "a.npy":
        np.load(file, allow_pickle=True)
        assert mark.exists()


@pytest.mark.parametrize("name", ["inputs.npz", "truth.npz", "state.npz", "baseline.npz"])
def test_no_array_of_a_run_is_unpickled(folder: Path, name: str) -> None:
    run, mark = new_run(folder / "a"), folder.parent / "ran"
    np.savez(
        run.path / name, **{key: np.array([Bomb(mark)], object) for key in ("image", "labels")}
    )
    for read in (
        lambda: run.inputs,
        lambda: run.truth,
        lambda: run.baselines,
        lambda: run.load_state(),
    ):
        with contextlib.suppress(ValueError):
            read()
    assert not mark.exists()


def test_code_in_a_saved_network_is_not_run(folder: Path) -> None:
    """A Lambda layer holds code of Python; a description can also name any function to import."""
    file, mark = folder / "model.keras", folder.parent / "ran"
    network = UNet(TINY.network)
    network.model(3)
    network.save(file)
    with zipfile.ZipFile(file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    description = json.loads(files["config.json"])
    evil = {
        "module": "builtins",
        "class_name": "exec",
        "config": {"name": "evil", "source": f"open({str(mark)!r}, 'w')"},
        "registered_name": None,
    }
    lambda_layer = _lambda_layer(mark)
    for layer in (evil, lambda_layer):
        layers = [*description["config"]["layers"], layer]
        changed = {**description, "config": {**description["config"], "layers": layers}}
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in {**files, "config.json": json.dumps(changed)}.items():
                archive.writestr(name, content)
        # The weights are read, and what the description adds is never made.
        found = UNet.load(file, TINY.network)
        np.testing.assert_equal(found.weights, network.weights)
        assert "evil" not in [layer.name for layer in found.model(3).layers]
    assert not mark.exists()


def _lambda_layer(mark: Path) -> dict[str, Any]:
    import keras

    place = str(mark)
    made = keras.layers.Lambda(lambda x: (open(place, "w"), x)[1], name="evil")  # noqa: PTH123, SIM115
    saved: dict[str, Any] = keras.saving.serialize_keras_object(made)
    return saved


def test_a_saved_network_of_the_old_format_is_not_loaded(folder: Path) -> None:
    import h5py

    run = new_run(folder / "a")
    with h5py.File(run.model_file, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Lambda", "config": {}})
    with pytest.raises(ValueError, match=r"model\.keras is no saved network"):
        UNet.load(run.model_file, run.config.network)


# Folders ----------------------------------------------------------------------------------------


def test_a_link_in_the_folder_of_runs_leads_nowhere(folder: Path) -> None:
    outside = new_run(folder.parent / "outside")
    (folder / "link").symlink_to(outside.path, target_is_directory=True)
    assert list_runs() == ([], 0)
    for function in (find_run, delete_run):
        with pytest.raises(ValueError, match="link is a link to another place"):
            function("link")
    assert outside.path.exists()


@pytest.mark.parametrize(
    "wrong",
    ["../outside", "/etc", "a/../../outside", "..", "a\0", "．．", "a%2f..", "~root", "a\u202e"],
)
def test_no_id_leads_out_of_its_folder(folder: Path, wrong: str) -> None:
    outside = new_run(folder.parent / "outside")
    for function in (find_run, delete_run, restore_run, remove_run, Draft):
        with pytest.raises(ValueError, match="is not the id of a run"):
            function(wrong)
    assert outside.path.exists()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../evil.tif", "evil.tif"),
        ("/etc/passwd", "passwd"),
        ("C:\\data\\cells.tif", "cells.tif"),
        ("..\\..\\evil", "evil"),
        ("..", "image"),
        ("a/..", "image"),
        (".", "image"),
        ("", "image"),
        ("a\0b.tif", "a_b.tif"),
        ("a\nb\x1b[31m.tif", "a_b_[31m.tif"),
        ("\u202efit.tif", "_fit.tif"),
        ("\ud800.tif", "_.tif"),
        ("細" * 200 + ".tif", "細" * 65 + ".tif"),
    ],
)
def test_an_upload_stays_in_its_own_folder(folder: Path, given: str, kept: str) -> None:
    for _ in range(2):
        source = store_upload(given, b"content")
        assert source.name == kept
        assert file_of(source).read_bytes() == b"content"
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert written == [folder / ".files" / source.digest / kept]


@pytest.mark.parametrize("inside", ["../../evil.txt", "/tmp/evil.txt", "a/../../../evil.txt"])
def test_no_archive_is_unpacked_to_the_disk(folder: Path, inside: str) -> None:
    content = folder.parent / "a.zip"
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(inside, b"evil")
        archive.writestr("a.roi", b"Iout" + bytes(60))
        archive.writestr(".zattrs", b"{}")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    file = file_of(store_upload("a.zip", content.read_bytes()))
    before = set(folder.parent.rglob("*"))
    for read in (read_image, read_labels, lambda path: read_markers(path, blank(SHAPE))):
        with pytest.raises(ValueError, match=r"a\.zip"):
            read(file)
    assert set(folder.parent.rglob("*")) == before
    assert not Path("/tmp/evil.txt").exists()


@pytest.mark.parametrize("absolute", [False, True])
def test_a_tiff_does_not_open_files_of_other_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    """OME-XML can say that a plane is in another file; that one could be another visitor's."""
    secret = np.random.default_rng(0).integers(1, 60_000, (2, *SHAPE), dtype=np.uint16)
    other = file_of(store_upload("secret.ome.tif", _ome_tiff(folder.parent / "s.tif", secret)))
    place = str(other) if absolute else os.path.join("..", other.parent.name, other.name)  # noqa: PTH118
    with tifffile.TiffFile(other) as file:
        described = file.ome_metadata or ""
    planes = (
        f'<TiffData IFD="{n}" FirstC="{n}" FirstT="0" FirstZ="0" PlaneCount="1">'
        f'<UUID FileName="{place}">urn:uuid:22222222-2222-2222-2222-222222222222</UUID></TiffData>'
        for n in range(2)
    )
    described = re.sub(r"<TiffData.*?(</TiffData>|/>)", "", described, flags=re.DOTALL)
    described = described.replace("</Pixels>", "".join(planes) + "</Pixels>")
    own = np.ones((2, *SHAPE), np.uint16)
    tifffile.imwrite(folder.parent / "evil.tif", own, description=described, metadata=None)
    evil = file_of(store_upload("evil.ome.tif", (folder.parent / "evil.tif").read_bytes()))
    opened: list[str] = []
    real = tifffile.FileHandle.open

    def open_(self: Any) -> None:
        opened.append(str(self._file))
        real(self)

    monkeypatch.setattr(tifffile.FileHandle, "open", open_)
    pixels = read_contents(evil, z=0).pixels
    assert set(np.unique(pixels)) == {1}
    assert opened
    assert not [name for name in opened if "secret" in name]


def _ome_tiff(path: Path, pixels: np.ndarray) -> bytes:
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "CYX"})
    return path.read_bytes()


# Addresses --------------------------------------------------------------------------------------


class Private(http.server.BaseHTTPRequestHandler):
    """A server that only this computer can reach; it notes what is asked of it."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Private,), {"asked": asked})
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield serving.server_port, asked
    serving.shutdown()
    serving.server_close()
    thread.join()


def visit(address: str) -> None:
    read_image(address, z=0, t=0, public_only=True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "2130706433", "0x7f000001", "017700000001", "127.1", "0.0.0.0",
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
        "169.254.169.254", "10.0.0.1", "[fe80::1]", "[fd00::1]", "100.64.0.1", "224.0.0.1",
    ],
)  # fmt: skip
def test_no_way_to_write_an_address_leads_into_the_private_network(
    private: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    port, asked = private
    connected: list[Any] = []
    monkeypatch.setattr(socket, "create_connection", lambda *given: connected.append(given))
    with pytest.raises(
        ValueError, match=r"(is on a computer of a private network|cannot be fetch)"
    ):
        visit(f"http://{host}:{port}/a.zarr")
    with pytest.raises(
        ValueError, match=r"(is on a computer of a private network|cannot be fetch)"
    ):
        visit(f"https://{host}:{port}/a.zarr")
    # Not even a connection is made, which would tell whether a port is open.
    assert (connected, asked) == ([], [])


def test_a_name_that_changes_its_meaning_is_looked_up_once(
    private: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name means a public computer when it is checked, a private one after."""
    port, asked = private
    meanings = iter(["8.8.8.8", *["127.0.0.1"] * 100])
    real = socket.getaddrinfo
    connected: list[Any] = []

    def look_up(host: str, *given: Any, **more: Any) -> Any:
        return real(next(meanings) if host == "rebind.example" else host, *given, **more)

    def refuse(address: Any, *_: Any) -> None:
        connected.append(address)
        raise OSError("unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(ValueError, match="cannot be fetched"):
        visit(f"http://rebind.example:{port}/a.zarr")
    # By number, so that nobody looks the name up again.
    assert connected == [("8.8.8.8", port)]
    with pytest.raises(ValueError, match="private network"):
        visit(f"http://rebind.example:{port}/a.zarr")
    assert (len(connected), asked) == (1, [])


def test_a_public_server_that_sends_on_leads_nowhere(
    private: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, asked = private

    class SendsOn(Private):
        asked: list[str] = []  # noqa: RUF012

        def do_GET(self) -> None:
            self.asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{port}/secret")
            self.end_headers()

    public = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SendsOn)
    thread = threading.Thread(target=public.serve_forever)
    thread.start()
    # This one server passes for a computer on the internet.
    real_connect, real_check = zarr_stores._connect, zarr_stores._check_public

    def connect(place: tuple[str, int], *given: Any) -> socket.socket:
        if place[1] == public.server_port:
            return socket.create_connection(("127.0.0.1", place[1]))
        return real_connect(place, *given)

    def check(connection: Any) -> None:
        if connection.port != public.server_port:
            real_check(connection)

    monkeypatch.setattr(zarr_stores, "_connect", connect)
    monkeypatch.setattr(zarr_stores, "_check_public", check)
    try:
        with pytest.raises(ValueError, match="private network"):
            visit(f"http://public.example:{public.server_port}/a.zarr")
    finally:
        public.shutdown()
        public.server_close()
        thread.join()
    assert SendsOn.asked
    assert asked == []

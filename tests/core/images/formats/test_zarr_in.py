"""OME-Zarr as other programs and our own export write it is read, from disk and from a server."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import shutil
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    ShardingCodec,
    TransposeCodec,
    ZstdCodec,
)

from cellcutter_core.export.formats.ome_zarr import ome_zarr
from cellcutter_core.images.formats import ome_zarr as ome_zarr_in
from cellcutter_core.images.formats import zarr_stores
from cellcutter_core.images.formats.zarr_arrays import open_array
from cellcutter_core.images.formats.zarr_codecs import crc32c
from cellcutter_core.images.formats.zarr_stores import FolderStore
from cellcutter_core.images.read_image import read_image, read_labels
from cellcutter_core.images.reading.contents import Unreadable
from cellcutter_core.simulation.sample import sample

PIXELS = np.random.default_rng(0).integers(0, 60_000, (2, 2, 3, 50, 70)).astype(np.uint16)
"""Time, channel, z, rows, columns."""


def written(
    folder: Path,
    pixels: NDArray[Any] = PIXELS,
    *,
    axes: str = "tczyx",
    version: str = "0.4",
    names: tuple[str, ...] = ("actin", "DAPI"),
    unit: str = "micrometer",
    **options: Any,
) -> Path:
    """An image with two levels as another program writes it, and label images beside it."""
    zarr_format = 3 if version == "0.5" else 2
    group = zarr.open_group(folder, mode="w", zarr_format=zarr_format)
    options = {"chunks": (*(1,) * (pixels.ndim - 2), 16, 32)} | options
    group.create_array("full", data=pixels, **options)
    group.create_array("half", data=pixels[..., ::2, ::2])
    group.create_group("labels").create_array("0", data=pixels[..., 0])
    kinds = {"t": "time", "c": "channel"}
    scales = [[1.0] * (pixels.ndim - 2) + [size, size] for size in (0.5, 1.0)]
    ome = {
        "multiscales": [
            {
                "version": version,
                "axes": [
                    {"name": axis, "type": kinds.get(axis, "space")}
                    | ({"unit": unit} if axis in "yx" and unit else {})
                    for axis in axes
                ],
                "datasets": [
                    {
                        "path": path,
                        "coordinateTransformations": [{"type": "scale", "scale": scale}],
                    }
                    for path, scale in zip(("full", "half"), scales, strict=True)
                ],
            }
        ],
        "omero": {"channels": [{"label": name} for name in names]},
    }
    group.attrs.update({"ome": {"version": "0.5", **ome}} if version == "0.5" else ome)
    return folder


VERSIONS = [
    {"version": "0.4"},
    {"version": "0.4", "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    {"version": "0.4", "compressors": None},
    {"version": "0.4", "order": "F"},
    *(
        {"version": "0.4", "compressors": {"id": name, **more}}
        for name, more in [
            ("zlib", {"level": 3}),
            ("gzip", {"level": 3}),
            ("bz2", {"level": 3}),
            ("zstd", {"level": 3}),
            ("lz4", {}),
            ("lzma", {}),
            ("blosc", {"cname": "lz4", "clevel": 5, "shuffle": 1}),
            ("blosc", {"cname": "zstd", "clevel": 5, "shuffle": 2}),
            ("blosc", {"cname": "zlib", "clevel": 5, "shuffle": 0}),
        ]
    ),
    {"version": "0.5"},
    {"version": "0.5", "compressors": None},
    {"version": "0.5", "compressors": GzipCodec()},
    {"version": "0.5", "compressors": [ZstdCodec(), Crc32cCodec()]},
    {
        "version": "0.5",
        "compressors": BloscCodec(cname="zstd"),
        "serializer": BytesCodec(endian="big"),
    },
    {"version": "0.5", "filters": TransposeCodec(order=(2, 0, 1, 4, 3))},
    {"version": "0.5", "shards": (1, 2, 3, 32, 64)},
    {
        "version": "0.5",
        "chunks": (1, 1, 4, 48, 64),
        "compressors": None,
        "filters": None,
        "serializer": ShardingCodec(chunk_shape=(1, 1, 2, 16, 32), index_location="start"),
    },
]


@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
@pytest.mark.filterwarnings("ignore:.*not have a Zarr V3 specification")
# Codecs in the names of tests would differ from process to process: some hold sets.
@pytest.mark.parametrize("options", VERSIONS, ids=lambda given: given["version"])
def test_what_another_program_writes(tmp_path: Path, options: dict[str, Any]) -> None:
    if isinstance(options.get("compressors"), dict):
        import numcodecs

        options = {**options, "compressors": numcodecs.get_codec(options["compressors"])}
    folder = written(tmp_path / "a.zarr", **options)
    for part in (None, (0, 0, 50, 70), (15, 31, 17, 33), (40, 0, 50, 70)):
        top, left, bottom, right = part or (0, 0, 50, 70)
        cut = PIXELS[..., top:bottom, left:right]
        read = read_image(folder, t=1, z=2, region=part)
        np.testing.assert_array_equal(read.pixels, np.moveaxis(cut[1, :, 2], 0, 2))
        read = read_image(folder, t=0, z="max", region=part)
        np.testing.assert_array_equal(read.pixels, np.moveaxis(cut[0].max(1), 0, 2))
    assert read.channels == ("actin", "DAPI")
    assert (read.cell, read.nucleus) == ((0,), 1)
    assert read.pixel_size == 0.5
    assert read.truth is None
    assert read.pixels.dtype == np.uint16


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "f4", "f8", "f2"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_data_types(tmp_path: Path, dtype: str, version: str) -> None:
    pixels = (PIXELS[0, :, 0] // 600).astype(dtype)
    folder = written(tmp_path / "a.zarr", pixels, axes="cyx", version=version)
    np.testing.assert_array_equal(read_image(folder).pixels, np.moveaxis(pixels, 0, 2))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_chunks_that_are_not_there(tmp_path: Path, version: str) -> None:
    pixels = np.zeros((1, 50, 70), np.uint16) + 7
    pixels[0, 20:, 40:] = 9
    folder = written(tmp_path / "a.zarr", pixels, axes="cyx", version=version, fill_value=7)
    assert len([file for file in (folder / "full").rglob("*") if file.is_file()]) < 13
    np.testing.assert_array_equal(read_image(folder).pixels[..., 0], pixels[0])


@pytest.mark.parametrize("packed", [False, True])
def test_our_own_export_comes_back(tmp_path: Path, packed: bool) -> None:
    seen = sample((300, 700))
    nucleus = seen.channels.index("nucleus")
    files = ome_zarr(
        seen.pixels,
        seen.truth,
        channels=seen.channels,
        nucleus=nucleus,
        pixel_size=0.325,
    )
    folder = tmp_path / "image.ome.zarr"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    path = zipped(folder) if packed else folder
    read = read_image(path)
    np.testing.assert_array_equal(read.pixels, seen.pixels)
    assert read.pixels.dtype == seen.pixels.dtype
    assert read.channels == seen.channels
    assert (read.cell, read.nucleus) == (seen.cell, nucleus)
    assert read.pixel_size == 0.325
    assert read.truth is None, "found cells are no truth"
    if not packed:
        np.testing.assert_array_equal(read_labels(folder / "labels" / "cells"), seen.truth)


def zipped(folder: Path, *, inside: bool = True) -> Path:
    path = folder.parent / f"{folder.name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent if inside else folder))
    return path


@pytest.mark.parametrize("inside", [False, True])
def test_a_zip_archive_with_the_folder_or_what_is_in_it(tmp_path: Path, inside: bool) -> None:
    folder = written(tmp_path / "a.zarr", version="0.5", shards=(1, 2, 3, 32, 64))
    read = read_image(zipped(folder, inside=inside), z=1, t=0)
    np.testing.assert_array_equal(read.pixels, np.moveaxis(PIXELS[0, :, 1], 0, 2))


@pytest.mark.parametrize("at_end", [True, False])
def test_a_shard_whose_list_of_chunks_has_changed_is_refused(tmp_path: Path, at_end: bool) -> None:
    location = "end" if at_end else "start"
    folder = tmp_path / "a.zarr"
    array = zarr.create_array(
        folder,
        shape=(64, 64),
        chunks=(16, 16),
        shards={"shape": (64, 64), "index_location": location},
        dtype="u2",
        zarr_format=3,
    )
    array[:] = np.arange(64 * 64).reshape(64, 64)
    found = open_array(FolderStore(folder), "").read((slice(0, 64), slice(0, 64)))
    np.testing.assert_array_equal(found, np.arange(64 * 64).reshape(64, 64))
    (shard,) = (file for file in folder.rglob("*") if file.is_file() and file.name != "zarr.json")
    damaged = bytearray(shard.read_bytes())
    # The lowest byte of the place of the first chunk: other pixels would be read.
    damaged[-(16 * 16 + 4) if at_end else 0] ^= 1
    shard.write_bytes(damaged)
    with pytest.raises(Unreadable, match="its list of chunks has changed"):
        open_array(FolderStore(folder), "").read((slice(0, 64), slice(0, 64)))


def test_the_checksum_of_a_list_of_chunks() -> None:
    # RFC 3720, appendix B.4.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_axes_units_and_names(tmp_path: Path) -> None:
    folder = written(tmp_path / "a.zarr", unit="nanometer", names=("",))
    read = read_image(folder, z=0, t=0)
    assert read.pixel_size == pytest.approx(0.0005)
    assert read.channels == ("channel 0", "channel 1")
    assert read_image(written(folder, unit=""), z=0, t=0).pixel_size is None
    colour = PIXELS[0, 0].astype(np.uint8)
    read = read_image(written(folder, colour, axes="cyx", names=()))
    assert read.channels == ("red", "green", "blue")
    # Version 0.2 has no names of axes.
    attributes = json.loads((written(folder) / ".zattrs").read_text())
    del attributes["multiscales"][0]["axes"]
    (folder / ".zattrs").write_text(json.dumps(attributes))
    read = read_image(folder, z=1, t=1)
    np.testing.assert_array_equal(read.pixels[..., 0], PIXELS[1, 0, 1])


def test_of_many_levels_only_the_first_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "a.zarr")
    about = json.loads((tmp_path / "a.zarr" / ".zattrs").read_text())
    about["multiscales"][0]["datasets"] *= 50
    (tmp_path / "a.zarr" / ".zattrs").write_text(json.dumps(about))
    opened = []

    def open_counted(store: Any, path: str) -> Any:
        opened.append(path)
        return open_array(store, path)

    monkeypatch.setattr(ome_zarr_in, "open_array", open_counted)
    assert read_image(tmp_path / "a.zarr", z=0, t=0, reduced_to=40).shape == (25, 35)
    assert len(opened) == ome_zarr_in.MOST_LEVELS


def test_a_region_of_a_large_image_takes_little_memory(tmp_path: Path) -> None:
    pixels = np.zeros((1, 2048, 2048), np.uint16) + np.arange(2048, dtype=np.uint16)
    folder = written(tmp_path / "a.zarr", pixels, axes="cyx", chunks=(1, 256, 256))
    with pytest.raises(ValueError, match=r"needs 8 MiB .*region of at most 724 × 724 pixels"):
        read_image(folder, max_bytes=2**20)
    read_image(folder, region=(0, 0, 9, 9), max_bytes=2**20)
    tracemalloc.start()
    try:
        region = (100, 200, 800, 900)
        # Said, so that no more than the pixels themselves is looked at.
        said = {"inverted": False, "nucleus": "none"}
        read = read_image(folder, region=region, max_bytes=2**20, **said)
        assert tracemalloc.get_traced_memory()[1] < 3 * 2**20
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(read.pixels, pixels[0, 100:800, 200:900, None])


# What is no image, or a damaged one -------------------------------------------------------------


def attributes_of(folder: Path, change: Any) -> None:
    attributes = json.loads((folder / ".zattrs").read_text())
    change(attributes)
    (folder / ".zattrs").write_text(json.dumps(attributes))


def array_of(folder: Path, **values: Any) -> None:
    file = folder / "full" / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def scale(attributes: dict[str, Any]) -> dict[str, Any]:
    return attributes["multiscales"][0]


BROKEN: dict[str, tuple[Any, str]] = {
    "no attributes": (lambda f: (f / ".zattrs").unlink(), "is not an OME-Zarr image"),
    "half a file": (lambda f: (f / ".zattrs").write_text('{"multi'), r"damaged file \.zattrs"),
    "a list": (lambda f: (f / ".zattrs").write_text("[]"), r"damaged file \.zattrs"),
    "deep": (lambda f: (f / ".zattrs").write_text("[" * 100_000), r"damaged file \.zattrs"),
    "no array": (lambda f: shutil.rmtree(f / "full"), "lacks its array 'full'"),
    "plate": (lambda f: (f / ".zattrs").write_text('{"plate": {}}'), "is a plate of several"),
    "well": (lambda f: (f / ".zattrs").write_text('{"well": {}}'), "is a well of several"),
    "several": (
        lambda f: (f / ".zattrs").write_text('{"bioformats2raw.layout": 3}'),
        "is a folder of images; give the path of one",
    ),
    "labels": (lambda f: (f / ".zattrs").write_text('{"labels": []}'), "is a folder of label"),
    "outside": (
        lambda f: attributes_of(f, lambda a: scale(a)["datasets"][0].update(path="../b")),
        r"names an array '\.\./b' outside of itself",
    ),
    "nothing in it": (lambda f: attributes_of(f, lambda a: scale(a).clear()), "KeyError"),
    "a number": (
        lambda f: attributes_of(f, lambda a: a.update(multiscales=7)),
        "metadata that do not follow OME-Zarr",
    ),
    "odd axis": (
        lambda f: attributes_of(f, lambda a: scale(a)["axes"][0].update(name="lambda", type="")),
        "has an axis 'lambda'",
    ),
    "one axis too few": (lambda f: attributes_of(f, lambda a: scale(a)["axes"].pop()), "5 axes"),
    "codec": (lambda f: array_of(f, compressor={"id": "vlen"}), "vlen, which is not supported"),
    "filter": (lambda f: array_of(f, filters=[{"id": "delta"}]), "filters .*delta"),
    "type": (lambda f: array_of(f, dtype="|O"), "pickled"),
    "text": (lambda f: array_of(f, dtype="<U5"), "but pixels are numbers"),
    "fields": (lambda f: array_of(f, dtype=[["a", "<u2"]]), "but pixels are numbers"),
    "no type": (lambda f: array_of(f, dtype="nonsense"), "invalid metadata of its array"),
    "fill": (lambda f: array_of(f, fill_value="nonsense"), "the fill value 'nonsense', which"),
    "huge": (
        lambda f: array_of(f, shape=[1, 2, 1, 60_000, 60_000]),
        "more than the limit of 1 MiB",
    ),
    "huge chunks": (
        lambda f: array_of(f, chunks=[1, 1, 1, 60_000, 60_000]),
        "its chunks are read whole",
    ),
    "zero chunks": (lambda f: array_of(f, chunks=[1, 1, 1, 0, 16]), "in chunks of"),
    "tiny chunks": (
        lambda f: array_of(f, chunks=[1] * 5, shape=[2, 2, 3, 500, 500]),
        "more than 100000 chunks",
    ),
    "negative": (lambda f: array_of(f, shape=[2, 2, 3, -5, 7]), "array or chunk of shape"),
    "empty": (lambda f: array_of(f, shape=[2, 2, 3, 0, 7]), "is empty"),
    "chunk cut short": (
        lambda f: (f / "full/0.0.0.0.0").write_bytes((f / "full/0.0.0.0.0").read_bytes()[:-20]),
        "damaged chunk",
    ),
    "chunk of something else": (
        lambda f: (f / "full/0.0.0.0.0").write_bytes(b"something else " * 9),
        "damaged chunk",
    ),
    "large chunk": (
        lambda f: (f / "full/0.0.0.0.0").write_bytes(bytes(500_000)),
        "500000 bytes where at most",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_ones_end_in_one_line(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / "a.zarr")
    damage, message = BROKEN[name]
    damage(folder)
    with pytest.raises(ValueError, match=rf"^a\.zarr: [^\n]*{message}") as caught:
        read_image(folder, z=0, t=0, max_bytes=2**20)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("codec", ["zlib", "gzip", "bz2", "zstd", "lz4", "blosc", "lzma"])
def test_a_chunk_that_unpacks_to_far_more(tmp_path: Path, codec: str) -> None:
    import numcodecs

    folder = written(tmp_path / "a.zarr")
    packer = numcodecs.get_codec({"id": codec})
    array_of(folder, compressor=packer.get_config())
    (folder / "full/0.0.0.0.0").write_bytes(bytes(packer.encode(bytes(20_000_000)))[:60_000])
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^a\.zarr: [^\n]*damaged chunk"):
            read_image(folder, z=0, t=0, max_bytes=2**20)
        # The dictionary of LZMA takes 8 MB.
        assert tracemalloc.get_traced_memory()[1] < (10e6 if codec == "lzma" else 2e6)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_any_damage_gives_an_image_or_one_line(tmp_path: Path, version: str) -> None:
    options = {"shards": (1, 2, 3, 32, 64)} if version == "0.5" else {}
    folder = written(tmp_path / "a.zarr", version=version, **options)
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    files = [file for file in files if "half" not in file.parts and "labels" not in file.parts]
    rng = np.random.default_rng(0)
    ends, n_cases = {"image": 0, "line": 0}, 400
    for _ in range(n_cases):
        file = files[rng.integers(len(files))] if rng.random() < 0.5 else files[0]
        whole = file.read_bytes()
        damaged = bytearray(whole)
        for at in rng.integers(len(whole), size=rng.integers(1, 4)):
            damaged[at] ^= rng.integers(1, 256)
        file.write_bytes(damaged if rng.random() < 0.7 else damaged[: rng.integers(len(whole))])
        try:
            read_image(folder, z=0, t=0, max_bytes=2**20)
            ends["image"] += 1
        except ValueError as error:
            said = str(error)
            ends["line"] += said.startswith("a.zarr: ") and said.isprintable()
        file.write_bytes(whole)
    assert sum(ends.values()) == n_cases
    assert min(ends.values()) > 30


# On a server ------------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, in parts as well, as stores of objects give them."""

    def log_message(self, *_: Any) -> None:
        return None

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path))
        if self.path.startswith("/elsewhere/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/elsewhere"))
            self.end_headers()
            return
        if self.path.startswith("/slow/"):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(100):
                    self.wfile.write(b" ")
                    time.sleep(0.02)
            return
        if self.path.startswith("/broken/"):
            self.send_error(500)
            return
        wanted = self.headers.get("Range", "").removeprefix("bytes=")
        if not wanted or not file.is_file():
            super().do_GET()
            return
        data = file.read_bytes()
        first, last = wanted.split("-")
        data = data[int(first) : int(last) + 1] if first else data[-int(last) :]
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    handler = functools.partial(Quiet, directory=str(tmp_path))
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()
    thread.join()


@pytest.mark.parametrize(
    "options", [{"version": "0.4"}, {"version": "0.5", "shards": (1, 2, 3, 32, 64)}]
)
def test_from_a_server(tmp_path: Path, server: str, options: dict[str, Any]) -> None:
    written(tmp_path / "my cells.zarr", **options)
    for address in ("my cells.zarr", "my%20cells.zarr/", "elsewhere/my%20cells.zarr?key=1"):
        read = read_image(f"{server}/{address}", z=1, t=0, region=(10, 10, 45, 60))
        expected = np.moveaxis(PIXELS[0, :, 1, 10:45, 10:60], 0, 2)
        np.testing.assert_array_equal(read.pixels, expected)
        assert read.channels == ("actin", "DAPI")
    with pytest.raises(ValueError, match=r"^none\.zarr: is not an OME-Zarr image, or is not"):
        read_image(f"{server}/none.zarr")
    with pytest.raises(ValueError, match=r"^a\.zarr: cannot be fetched: zarr\.json gave HTTP 500"):
        read_image(f"{server}/broken/a.zarr")


def test_a_server_that_sends_a_byte_now_and_then_does_not_hold_a_visitor(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_stores, "_check_address", lambda text: None)
    monkeypatch.setattr(zarr_stores, "ALL_SECONDS", 0.2)
    with pytest.raises(ValueError, match=r"^a\.zarr: could not be fetched within .* minutes; "):
        read_image(f"{server}/slow/a.zarr", public_only=True)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"^a\.zarr: cannot be fetched .*check the address"):
        read_image("http://127.0.0.1:9/a.zarr")
    for address in ("http://", "https://name:secret@example.org/a.zarr"):
        with pytest.raises(ValueError, match=": is not an address") as caught:
            read_image(address)
        assert "secret" not in str(caught.value)


def test_visitors_cannot_reach_what_is_open_to_the_server_alone(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "a.zarr")
    port = server.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(ValueError, match=r"^a\.zarr: is on a computer of a private network"):
            read_image(f"http://{host}:{port}/a.zarr", z=0, t=0, public_only=True)
    # Also not by way of a proxy, or of an address that sends them on.
    monkeypatch.setenv("http_proxy", server)
    with pytest.raises(ValueError, match=r"^a\.zarr: (is on|cannot be fetched)"):
        read_image(f"http://127.0.0.1:{port}/a.zarr", z=0, t=0, public_only=True)


@pytest.mark.parametrize(
    ("reached", "refused"),
    [
        ("10.0.0.1", True),
        ("169.254.169.254", True),
        ("192.168.1.5", True),
        ("100.64.0.1", True),
        ("0.0.0.0", True),
        ("::1", True),
        ("fe80::1%eth0", True),
        ("fd00::1", True),
        ("::ffff:127.0.0.1", True),
        ("224.0.0.1", True),
        ("8.8.8.8", False),
        ("::ffff:8.8.8.8", False),
        ("2001:4860:4860::8888", False),
    ],
)
def test_what_is_public(reached: str, refused: bool) -> None:
    class Connection:
        closed = False

        class sock:
            @staticmethod
            def getpeername() -> tuple[str, int]:
                return reached, 80

        def close(self) -> None:
            self.closed = True

    connection = Connection()
    if refused:
        with pytest.raises(ValueError, match="of a private network"):
            zarr_stores._check_public(connection)
    else:
        zarr_stores._check_public(connection)
    assert connection.closed is refused

"""Access to the files of a Zarr in a folder, in a zip archive, or on a web server."""

from __future__ import annotations

import http.client
import ipaddress
import math
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib import error, parse, request

from cellcutter_core.images.formats.zarr_recognition import MARKS
from cellcutter_core.images.formats.zip_archives import open_archive
from cellcutter_core.images.reading.contents import Unreadable

LARGEST_METADATA = 16 * 1024**2
"""Most bytes of a metadata file. Those of large plates take a few megabytes."""

SECONDS = 30.0
"""How long to wait for an answer of a server."""

ALL_SECONDS, PIECE = 600.0, 2**20
"""How long an address that a visitor gives may be read in total, and the most bytes that are read
between two looks at the clock."""


class Store(Protocol):
    """The files of a Zarr, given their paths in it."""

    @property
    def parallel(self) -> int:
        """How many files are read at once."""
        ...

    def get(self, path: str, limit: int) -> bytes | None:
        """The content of a file, None if it does not exist; refused over `limit` bytes."""
        ...

    def get_range(self, path: str, start: int | None, length: int) -> bytes | None:
        """Some bytes of a file, the last ones if `start` is None."""
        ...


def _check_length(path: str, length: int, limit: int) -> None:
    if length > limit:
        raise Unreadable(f"its file {path} has {length} bytes where at most {limit} are expected")


@dataclass(frozen=True)
class FolderStore:
    """A folder on this computer."""

    folder: Path
    parallel: int = 1

    def get(self, path: str, limit: int) -> bytes | None:
        file = self.folder / path
        if not file.is_file():
            return None
        _check_length(path, file.stat().st_size, limit)
        return file.read_bytes()

    def get_range(self, path: str, start: int | None, length: int) -> bytes | None:
        file = self.folder / path
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - length) if start is None else start)
            return opened.read(length)


class ZipStore:
    """A zip archive with a Zarr at its top or in a folder; see `is_zarr_archive`."""

    parallel = 1

    def __init__(self, path: Path) -> None:
        self._archive = open_archive(path)
        names = self._archive.namelist()
        marked = (name.rpartition("/") for name in names)
        root = min((folder for folder, _, name in marked if name in MARKS), key=len)
        self._root = f"{root}/" if root else ""
        self._names = set(names)

    def get(self, path: str, limit: int) -> bytes | None:
        name = self._root + path
        if name not in self._names:
            return None
        entry = self._archive.getinfo(name)
        _check_length(path, max(entry.file_size, entry.compress_size), limit)
        return self._archive.read(name)

    def get_range(self, path: str, start: int | None, length: int) -> bytes | None:
        name = self._root + path
        if name not in self._names:
            return None
        with self._archive.open(name) as file:
            size = self._archive.getinfo(name).file_size
            file.seek(max(0, size - length) if start is None else start)
            return file.read(length)


class WebStore:
    """A folder on a web server.

    Parameters
    ----------
    address : str
        http or https.
    public_only : bool
        Connect only to addresses of the public internet, without a proxy, and for `ALL_SECONDS`.
        For a server whose visitors give addresses, so that they cannot reach computers that only
        the server can reach, and not hold it for hours.
    """

    parallel = 8

    def __init__(self, address: str, *, public_only: bool = False) -> None:
        parts = parse.urlsplit(address)
        if not parts.hostname or parts.username is not None:
            raise Unreadable("is not an address; give https://SERVER/PATH, without a password")
        folder = parse.quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        self._address = f"{parts.scheme}://{parts.netloc}{folder}/"
        self._query = f"?{parts.query}" if parts.query else ""
        opener = request.OpenerDirector()
        handlers: list[Any] = [
            request.HTTPDefaultErrorHandler(),
            request.HTTPRedirectHandler(),
            request.HTTPErrorProcessor(),
            request.UnknownHandler(),
        ]
        if public_only:
            handlers += [_PublicHTTP(), _PublicHTTPS()]
        else:
            handlers += [request.ProxyHandler(), request.HTTPHandler(), request.HTTPSHandler()]
        for handler in handlers:
            opener.add_handler(handler)
        self._opener = opener
        self._end = time.monotonic() + ALL_SECONDS if public_only else math.inf

    def get(self, path: str, limit: int) -> bytes | None:
        found = self._fetch(path, {}, limit + 1)
        if found is not None:
            _check_length(path, len(found), limit)
        return found

    def get_range(self, path: str, start: int | None, length: int) -> bytes | None:
        span = f"-{length}" if start is None else f"{start}-{start + length - 1}"
        return self._fetch(path, {"Range": f"bytes={span}"}, length)

    def _check_time(self) -> None:
        if time.monotonic() > self._end:
            raise Unreadable(
                f"could not be fetched within {ALL_SECONDS / 60:g} minutes; choose a smaller "
                "region, or download it"
            )

    def _fetch(self, path: str, headers: dict[str, str], most: int) -> bytes | None:
        url = self._address + parse.quote(path) + self._query
        asked = request.Request(url, headers=headers | {"User-Agent": "cellcutter"})
        self._check_time()
        try:
            with self._opener.open(asked, timeout=SECONDS) as answer:
                if headers and answer.status != 206:
                    raise Unreadable("is on a server that sends only whole files; download it")
                data = bytearray()
                while len(data) < most:
                    self._check_time()
                    piece = answer.read1(min(PIECE, most - len(data)))
                    if not piece:
                        break
                    data += piece
                return bytes(data)
        except error.HTTPError as problem:
            # Object stores that do not allow listing answer 403 for files that do not exist.
            if problem.code in (403, 404):
                return None
            raise Unreadable(f"cannot be fetched: {path} gave HTTP {problem.code}") from None
        except (OSError, http.client.HTTPException) as problem:
            reason = getattr(problem, "reason", None) or problem
            if isinstance(reason, Unreadable):
                raise reason from None
            raise Unreadable(
                f"cannot be fetched ({str(reason) or type(reason).__name__}); check the address "
                "and the network"
            ) from None


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Addresses by which networks of IPv6 alone reach those of IPv4, which are their last 32 bits."""


def _check_address(text: str) -> None:
    """Refuse an address that is not on the public internet."""
    reached = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(reached, ipaddress.IPv6Address):
        inside = reached.ipv4_mapped or reached.sixtofour
        if reached in _NAT64:
            inside = ipaddress.IPv4Address(int(reached) & 0xFFFFFFFF)
        reached = inside or reached
    if not reached.is_global or reached.is_multicast:
        raise Unreadable(
            "is on a computer of a private network, from which the app does not read for its "
            "visitors; use the command line, or upload it as a zip archive"
        )


def _check_public(connection: http.client.HTTPConnection) -> None:
    """Refuse a computer that is not on the public internet, before anything is sent to it."""
    try:
        _check_address(connection.sock.getpeername()[0])
    except Unreadable:
        connection.close()
        raise


def _connect(
    place: tuple[str, int], timeout: float | None = None, source: tuple[str, int] | None = None
) -> socket.socket:
    """Connect to a computer on the public internet, by the very address that was checked.

    A name is looked up once, because it could change its meaning between two look-ups. Nothing is
    sent to a private network, so that nobody can find out by trying what is open there.
    """
    problem: OSError | None = None
    for *_, found in socket.getaddrinfo(*place, type=socket.SOCK_STREAM):
        address = str(found[0])
        _check_address(address)
        try:
            return socket.create_connection((address, place[1]), timeout, source)
        except OSError as error:
            problem = error
    raise problem or OSError(f"{place[0]} has no address")


class _PublicHTTPConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self._create_connection = _connect
        super().connect()
        _check_public(self)


class _PublicHTTPSConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        self._create_connection = _connect
        super().connect()
        _check_public(self)


class _PublicHTTP(request.HTTPHandler):
    def http_open(self, asked: request.Request) -> Any:
        return self.do_open(_PublicHTTPConnection, asked)


class _PublicHTTPS(request.HTTPSHandler):
    def https_open(self, asked: request.Request) -> Any:
        return self.do_open(_PublicHTTPSConnection, asked)

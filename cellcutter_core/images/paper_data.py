"""The paper's images and synthetic markers, fetched from the authors' repository on demand.

They are not part of this project: https://github.com/jiyuuchc/cellcutter, commit aaef394. Each
download is checked by the git blob id that the file has in that commit.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pooch

from cellcutter_core.files import atomic

BASE_URL = "https://raw.githubusercontent.com/jiyuuchc/cellcutter/aaef394/data/"

FOLDER_VARIABLE = "CELLCUTTER_DATA"
"""Environment variable with the folder for the files, instead of the user's cache."""

PAPER_FILES = {
    "a1": ("a1data.npz", "77292283e126cbaafd8512abddca6ab87c77bf96"),
    "a2": ("a2data.npz", "39a94804b1b886343b08fb4eb1f254944e9de9e9"),
    "a3": ("a3data.npz", "0f6d15f1d9d833acca64d8d8f9ab84c55bece926"),
}
"""File name and git blob id of each."""

TIMEOUT = (10, 60)
"""Seconds to wait for a connection, and then for the next bytes."""


def fetch_paper(name: str, *, base_url: str = BASE_URL, blob_id: str | None = None) -> Path:
    """Path of one of the paper's files on this machine, downloaded if it is not here yet.

    Parameters
    ----------
    name : {'a1', 'a2', 'a3'}
    base_url : str
        The address of the folder with the files. Give another one to use a mirror.
    blob_id : str, optional
        The git blob id the file must have, 40 hexadecimal digits. Default: that of the commit.

    Returns
    -------
    Path
        In the folder named by the environment variable CELLCUTTER_DATA, or else in the user's
        cache folder. A file there with wrong content is fetched again.

    Raises
    ------
    ValueError
        If `name` is not in the paper's data, the file cannot be fetched (no network) or has wrong
        content, or the folder cannot be written. The message is one line that says which file to
        put where by hand. Files in the folder stay as they were.
    """
    if name not in PAPER_FILES:
        raise ValueError(f"name is {name!r}, but the paper's data are {', '.join(PAPER_FILES)}")
    file_name, known_id = PAPER_FILES[name]
    expected = blob_id or known_id
    path = _folder() / file_name
    if path.is_file() and git_blob_id(path) == expected:
        return path

    url = base_url.rstrip("/") + "/" + file_name
    instead = ", in place of the damaged file there" if path.exists() else ""
    by_hand = f"download it in another way and put it at {path}{instead}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"cannot make the folder {path.parent} ({error.strerror}); "
            f"set {FOLDER_VARIABLE} to a folder that can be written"
        ) from error
    with atomic(path) as temporary:
        download = pooch.HTTPDownloader(chunk_size=1 << 16, timeout=TIMEOUT)
        try:
            download(url, str(temporary), None)
        except OSError as error:  # the errors of requests are OSErrors too
            raise ValueError(f"{url} cannot be fetched: {_reason(error)}; {by_hand}") from error
        found = git_blob_id(temporary)
        if found != expected:
            raise ValueError(
                f"{url} is not the authors' file: its git blob id is {found}, but should be "
                f"{expected}; {by_hand}"
            )
    return path


def git_blob_id(path: Path) -> str:
    """The id of a file's content in git: SHA-1 of 'blob', its size, a zero byte, the content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _folder() -> Path:
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else Path(pooch.os_cache("cellcutter"))


def _reason(error: OSError) -> str:
    """Why a download failed, in a few words; the messages of requests are too long."""
    response = getattr(error, "response", None)
    if response is not None:
        response.close()  # requests leaves the connection of a refused download open
        return f"the server answers {response.status_code} {response.reason}"
    if error.strerror:
        return error.strerror
    kind = type(error).__name__
    for part, reason in (
        ("Timeout", "no answer in time"),
        ("Connection", "no connection"),
        ("ChunkedEncoding", "the connection broke off"),
    ):
        if part in kind:
            return reason
    return kind

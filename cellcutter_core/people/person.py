"""Who a visitor is, on a server for many people.

CELLCUTTER_PEOPLE says for whom a server is: "one", the default, or "many". On a server for one
person everything in the folder of runs is theirs. On one for many, a visitor has a secret: a random
one in a cookie, or the name by which they log in. Nothing that is stored or shared holds it. A
person is known by a digest of it, made with a key of the folder of runs.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from cellcutter_core.files import explaining
from cellcutter_core.runs.folder import runs_folder, valid_id

COOKIE = "cellcutter_person"
"""Name of the cookie that holds a visitor's secret."""
FOLDER = ".people"
"""The folder, beside the runs, of what is known of people."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{32}", re.ASCII)


def is_for_many() -> bool:
    """Return whether this server is for many people.

    Raises
    ------
    ValueError
        If CELLCUTTER_PEOPLE is neither "one" nor "many".
    """
    chosen = os.environ.get("CELLCUTTER_PEOPLE", "").strip() or "one"
    if chosen not in ("one", "many"):
        raise ValueError(f"CELLCUTTER_PEOPLE is {chosen!r}; it must be 'one' or 'many'")
    return chosen == "many"


def new_secret() -> str:
    """Return a new secret for a visitor: 192 random bits."""
    return secrets.token_urlsafe(24)


def is_secret(given: object) -> bool:
    """Return whether this may be a secret that `new_secret` made."""
    return isinstance(given, str) and _SECRET.fullmatch(given) is not None


def person_of(secret: str) -> str:
    """Return the person who has a secret: 32 hexadecimal digits, from which none learns it.

    Parameters
    ----------
    secret : str
        From the cookie, or the name by which one logs in.

    Raises
    ------
    ValueError
        If the key of the folder of runs can be neither read nor written.
    """
    return hmac.digest(_key(), secret.encode(), "sha256").hex()[:32]


def _key() -> bytes:
    """Return the key of this folder of runs; the first visitor's server makes it."""
    file = runs_folder() / FOLDER / "key"
    advice = "a server for many people keeps there the key by which it knows them"
    with explaining(f"cannot read or write {file}", advice):
        with suppress(FileNotFoundError):
            return file.read_bytes()
        file.parent.mkdir(parents=True, exist_ok=True)
        # A link appears whole and never replaces another file, so all servers agree. Some shares
        # have none; there the first server has to be alone.
        draft = file.with_name(f"key-{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(secrets.token_bytes(32))
        try:
            with suppress(FileExistsError):
                os.link(draft, file)
        except OSError:
            draft.rename(file)
        finally:
            draft.unlink(missing_ok=True)
        return file.read_bytes()


def folder_of(person: str, kind: str) -> Path:
    """Return the folder with a file for each name of that kind noted for a person."""
    return runs_folder() / FOLDER / valid_id(person) / kind


def noted(person: str, kind: str) -> list[str]:
    """Return the names that are noted for a person."""
    folder = folder_of(person, kind)
    names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    # A hidden file is being written.
    return [name for name in names if not name.startswith(".")]


def note(person: str, kind: str, name: str) -> None:
    """Note a name for a person.

    Raises
    ------
    ValueError
        If the folder cannot be written.
    """
    file = folder_of(person, kind) / name
    with explaining(f"cannot write {file}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

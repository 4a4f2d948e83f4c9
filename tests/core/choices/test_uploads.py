"""Uploads: whose they are, how much of them one person may store, and when they are removed."""

import json
import os
import time

import pytest

from cellcutter_core.choices import uploads
from cellcutter_core.choices.choices import Choices
from cellcutter_core.choices.draft import Draft
from cellcutter_core.choices.sources import open_source
from cellcutter_core.choices.uploads import file_of, remove_unused, store_upload
from cellcutter_core.people.allowance import check_disk_for, uploads_of

DAY = 86_400


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    for name in ("CELLCUTTER_PERSON_DISK", "CELLCUTTER_UPLOAD_DAYS", "CELLCUTTER_DISK_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    # A test removes old uploads itself.
    monkeypatch.setattr(uploads, "_cleared_at", time.monotonic())
    return tmp_path


def age(path, days):
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def stored(name, days):
    """An upload of that age."""
    source = store_upload(name, name.encode())
    age(file_of(source).parent, days)
    return source


def is_there(source):
    return file_of(source).exists()


def test_the_uploads_of_a_person_count_once_and_are_limited(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_PERSON_DISK", "3kB")
    monkeypatch.setenv("CELLCUTTER_UPLOAD_DAYS", "30")
    first = store_upload("a.tif", b"a" * 2000, person="ann")
    assert store_upload("a.tif", b"a" * 2000, person="ann") == first
    assert uploads_of("ann") == [first.digest]
    check_disk_for("ann")
    message = "your runs take 0 bytes and your uploads 4 KB of the 3 KB.*removed after 30 days"
    # A copy under another name, which others may have made, counts once.
    store_upload("b.tif", b"a" * 2000)
    check_disk_for("ann")
    with pytest.raises(ValueError, match=message):
        store_upload("c.tif", b"c" * 2000, person="ann")
    assert uploads_of("ann") == [first.digest]
    store_upload("c.tif", b"c" * 2000, person="bob")
    # What another person has stored takes no more disk, but counts for whoever uses it.
    with pytest.raises(ValueError, match="CELLCUTTER_PERSON_DISK sets it"):
        store_upload("c.tif", b"c" * 2000, person="ann")
    store_upload("d.tif", b"d" * 20_000)
    assert uploads_of("") == []
    # Where nothing is removed, nobody is kept out for good.
    monkeypatch.delenv("CELLCUTTER_UPLOAD_DAYS")
    store_upload("c.tif", b"c" * 2000, person="ann")


def test_old_uploads_that_nothing_names_are_removed(folder, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_UPLOAD_DAYS", "30")
    names = ("gone", "young", "run", "deleted", "applied", "class", "draft", "old-draft")
    made = {name: stored(f"{name}.tif", 2 if name == "young" else 31) for name in names}
    records = {
        "run": "20261101-120000-abc/run.json",
        "deleted": ".deleted/20261101-120000-abd/run.json",
        "applied": "20261101-120000-abc/applied/one/application.json",
        "class": ".classes/20261101-120000-abe/class.json",
    }
    for name, record in records.items():
        (folder / record).parent.mkdir(parents=True, exist_ok=True)
        (folder / record).write_text(json.dumps({"source": {"digest": made[name].digest}}))
        age(folder / record, 100)
    drafts = {name: Draft() for name in ("draft", "old-draft")}
    for name, draft in drafts.items():
        draft.save(Choices(source=made[name]))
        age(folder / ".drafts" / draft.id / "choices.json", 31)
    drafts["draft"].load()  # One that somebody opens is young again.
    assert remove_unused() == 2
    assert {name for name, source in made.items() if not is_there(source)} == {"gone", "old-draft"}
    assert [path.name for path in (folder / ".drafts").iterdir()] == [drafts["draft"].id]
    assert remove_unused() == 0


def test_an_upload_that_is_stored_again_is_young_again(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_UPLOAD_DAYS", "30")
    source = stored("a.tif", 31)
    store_upload("a.tif", b"a.tif")
    assert remove_unused() == 0
    assert is_there(source)


def test_an_upload_that_is_opened_is_young_again(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_UPLOAD_DAYS", "30")
    source = stored("a.tif", 31)
    with pytest.raises(ValueError, match=r"a\.tif"):
        open_source(source)
    assert remove_unused() == 0


def test_a_removed_upload_counts_for_nobody_any_more(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_UPLOAD_DAYS", "30")
    source = store_upload("a.tif", b"a", person="ann")
    age(file_of(source).parent, 31)
    assert remove_unused() == 1
    assert uploads_of("ann") == []


def test_without_the_variable_uploads_stay():
    source = stored("a.tif", 1000)
    assert remove_unused() == 0
    assert is_there(source)


def test_old_uploads_are_removed_when_another_one_comes(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_UPLOAD_DAYS", "30")
    old = stored("a.tif", 31)
    started = []
    monkeypatch.setattr(
        uploads.threading,
        "Thread",
        lambda target, **_: started.append(target) or Started(target),
    )
    store_upload("b.tif", b"b")
    assert not started
    monkeypatch.setattr(uploads, "_cleared_at", None)
    store_upload("c.tif", b"c")
    store_upload("d.tif", b"d")
    assert len(started) == 1
    assert not is_there(old)


class Started:
    """A thread that does its work at once."""

    def __init__(self, target):
        self.start = target

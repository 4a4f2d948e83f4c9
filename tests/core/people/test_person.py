"""A person is known by their secret, and nothing that is stored tells it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from cellcutter_core.people.person import (
    FOLDER,
    is_for_many,
    is_secret,
    new_secret,
    person_of,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    return tmp_path


def test_a_server_is_for_one_person_unless_it_says_otherwise(monkeypatch):
    monkeypatch.delenv("CELLCUTTER_PEOPLE", raising=False)
    assert not is_for_many()
    monkeypatch.setenv("CELLCUTTER_PEOPLE", "many")
    assert is_for_many()
    monkeypatch.setenv("CELLCUTTER_PEOPLE", "few")
    with pytest.raises(ValueError, match="CELLCUTTER_PEOPLE is 'few'; it must be 'one' or 'many'"):
        is_for_many()


def test_the_same_secret_is_the_same_person_and_another_is_not(folder):
    secret, other = new_secret(), new_secret()
    assert person_of(secret) == person_of(secret) != person_of(other)
    assert len(person_of(secret)) == 32
    stored = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert secret.encode() not in stored
    assert (folder / FOLDER / "key").stat().st_mode & 0o077 == 0


def test_another_folder_of_runs_has_other_names_for_people(tmp_path, monkeypatch):
    secret = new_secret()
    here = person_of(secret)
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path / "elsewhere"))
    assert person_of(secret) != here


def test_servers_that_begin_at_once_agree_on_a_person(folder):
    secret = new_secret()
    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(person_of, [secret] * 64))) == 1
    assert [file.name for file in (folder / FOLDER).iterdir()] == ["key"]


@pytest.mark.parametrize("given", [None, 3, "", "a" * 31, "a" * 33, "../" + "a" * 29, "ä" * 32])
def test_what_no_server_made_is_no_secret(given):
    assert not is_secret(given)
    assert is_secret(new_secret())


def test_a_key_that_cannot_be_written_is_told(folder):
    (folder / FOLDER).write_text("a file where the folder should be")
    with pytest.raises(ValueError, match=r"cannot read or write .*key: .*the key by which"):
        person_of(new_secret())

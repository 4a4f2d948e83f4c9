"""A file is there whole, or the old one is."""

import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from patience import LONGEST

from cellcutter_core.files import (
    UNREADABLE,
    atomic,
    explaining,
    own_temporary_files,
    read_arrays,
    write_whole,
)

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_at_the_end(tmp_path: Path) -> None:
    with atomic(tmp_path / "result.npz") as temporary:
        # Writers choose the format by the suffix, and a move is atomic within one folder only.
        assert temporary.suffix == ".npz"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"whole")
        assert not (tmp_path / "result.npz").exists()
    assert names(tmp_path) == ["result.npz"]
    assert (tmp_path / "result.npz").read_bytes() == b"whole"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")

    def write() -> None:
        with atomic(str(path)) as temporary:
            temporary.write_text("ha")
            raise error

    with pytest.raises(error):
        write()
    assert names(tmp_path) == ["result.txt"]
    assert path.read_text() == "old"


def write_one(path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text("x")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "a.txt"
    with pytest.raises(
        ValueError, match=r"cannot write .*a.txt: No such file.*another folder"
    ) as e:
        write_one(path)
    assert "\n" not in str(e.value)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot write .*: Not a directory"):
        write_one(tmp_path / "file" / "a.txt")


def test_a_file_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(ValueError, match=r"cannot write .*: Is a directory"):
        write_one(tmp_path / "a.txt")
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ValueError, match=r"cannot write .*: Permission denied"):
            write_one(tmp_path / "a.txt")
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk(tmp_path: Path) -> None:
    def write() -> None:
        with atomic(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match=r"cannot write .*: No space left on device"):
        write()
    assert names(tmp_path) == []


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    write = (
        "import os, sys; from pathlib import Path; from cellcutter_core.files import atomic\n"
        "with atomic(Path(sys.argv[1]) / 'a.npz') as t, own_temporary_files(t):\n"
        "    t.write_text('half'); Path(tempfile.mkdtemp(), 'b').touch(); os.kill(os.getpid(), 9)"
    ).replace("import atomic", "import atomic, own_temporary_files; import tempfile")
    subprocess.run([sys.executable, "-c", write, str(tmp_path)], cwd=ROOT, timeout=LONGEST)
    assert len(names(tmp_path)) == 2
    with atomic(tmp_path / "own.txt") as temporary:
        temporary.write_text("whole")
        assert names(tmp_path) == [temporary.name]
        # What this process still writes, and other hidden files, stay.
        (tmp_path / ".part-of-mine").touch()
        write_one(tmp_path / "a.txt")
        assert temporary.exists()
    assert names(tmp_path) == [".part-of-mine", "a.txt", "own.txt"]


def test_what_a_library_leaves_behind_goes_with_the_file(tmp_path: Path) -> None:
    before = tempfile.gettempdir()

    def write() -> None:
        with atomic(tmp_path / "a.txt") as temporary, own_temporary_files(temporary):
            assert Path(tempfile.mkdtemp()).parent.parent == tmp_path
            raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match="No space left"):
        write()
    assert names(tmp_path) == []
    assert tempfile.gettempdir() == before


def test_text_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_whole(tmp_path / "text", "λ\nµ\n")
    write_whole(tmp_path / "bytes", b"\x00\n")
    assert (tmp_path / "text").read_bytes() == "λ\nµ\n".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\x00\n"
    with pytest.raises(ValueError, match=r"cannot write .*there: .*; choose another folder"):
        write_whole(tmp_path / "not" / "there", "")


def test_what_the_system_refuses_is_explained() -> None:
    with (
        pytest.raises(ValueError, match=r"^cannot read a: No such file; take b$"),
        explaining("cannot read a", "take b"),
    ):
        raise FileNotFoundError(2, "No such file")
    # An error without a number has only its text.
    with pytest.raises(ValueError, match=r"^cannot read a: late$"), explaining("cannot read a"):
        raise OSError("late")
    with pytest.raises(KeyError), explaining("cannot read a"):
        raise KeyError("a")


def test_a_damaged_archive_is_not_left_open(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, a=np.arange(3))
    np.testing.assert_array_equal(read_arrays(file)["a"], [0, 1, 2])
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UNREADABLE):
        read_arrays(file)
    gc.collect()  # A file that was left open would be told here, as an error.

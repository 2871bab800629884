"""A file is there whole or not at all, and nothing is left beside it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from ushape.atomic import output_error, remove_abandoned, replacing, write_whole
from ushape.errors import OutputError


def failing(number: int):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def write_half_then_raise(path: Path, exception: BaseException) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise exception


def everything_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_is_written_as_utf8_and_bytes_as_they_are(tmp_path: Path):
    write_whole(tmp_path / "a.txt", "σ × µm\n")
    write_whole(tmp_path / "b.bin", b"\x00\r\n\xff")
    assert (tmp_path / "a.txt").read_bytes() == "σ × µm\n".encode()
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\r\n\xff"
    assert everything_in(tmp_path) == ["a.txt", "b.bin"]


def test_the_old_content_is_replaced_and_stands_until_the_end(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old and longer")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent  # a rename is atomic within one file system only
        assert path.read_text() == "old and longer"
    assert path.read_text() == "new"
    assert everything_in(tmp_path) == ["a.txt"]


def test_the_content_is_on_the_disk_before_it_takes_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("fsync"), fsync(number)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), replace(a, b)))
    write_whole(tmp_path / "a.txt", "new")
    assert done == ["fsync", "replace"]


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError])
@pytest.mark.parametrize("existing", [True, False])
def test_after_any_exception_all_is_as_it_was(tmp_path: Path, exception: type[BaseException], existing: bool):
    path = tmp_path / "a.txt"
    if existing:
        path.write_text("old")
    with pytest.raises(exception):
        write_half_then_raise(path, exception())
    assert everything_in(tmp_path) == (["a.txt"] if existing else [])
    assert not existing or path.read_text() == "old"


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, ["disk is full", "nothing of it is left", "Free some space"]),
        (errno.EDQUOT, ["disk is full"]),
        (errno.EACCES, ["no permission in", "another folder"]),
        (errno.EROFS, ["no permission in"]),
        (errno.EIO, ["Input/output error", "another place"]),
    ],
)
def test_what_the_system_refuses_is_told_with_the_file_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, words: list[str]
):
    (tmp_path / "a.txt").write_text("old")
    monkeypatch.setattr(os, call, failing(number))
    with pytest.raises(OutputError) as caught:
        write_whole(tmp_path / "a.txt", "new")
    assert all(word in str(caught.value) for word in [*words, str(tmp_path / "a.txt")])
    assert isinstance(caught.value.__cause__, OSError)
    assert everything_in(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path: Path):
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half of the n")
        shutil.copy(temporary, tmp_path / "copy")
    (tmp_path / "copy").rename(temporary)  # as if it had been killed there
    (tmp_path / "mine.part").write_text("mine")
    assert len(everything_in(tmp_path)) == 3
    remove_abandoned(tmp_path)
    assert everything_in(tmp_path) == ["a.txt", "mine.part"]
    remove_abandoned(tmp_path / "nowhere")


def test_what_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".ushape-1.part").write_text("half")
    monkeypatch.setattr(Path, "unlink", failing(errno.EACCES))
    with pytest.raises(OutputError, match="no permission in"):
        remove_abandoned(tmp_path)


def test_a_disk_that_fills_while_the_body_writes(tmp_path: Path):
    with pytest.raises(OutputError, match="disk is full"):
        write_half_then_raise(tmp_path / "a.txt", OSError(errno.ENOSPC, "No space left on device"))
    assert everything_in(tmp_path) == []


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "open", failing(errno.EACCES))  # root, as which tests often run, may write anywhere
    with pytest.raises(OutputError, match="no permission in"):
        write_whole(tmp_path / "a.txt", "new")


def test_a_missing_folder_is_named_before_any_work(tmp_path: Path):
    worked = False
    with (
        pytest.raises(OutputError, match=r"there is no folder .*nowhere\. Create it first"),
        replacing(tmp_path / "nowhere" / "a"),
    ):
        worked = True
    assert not worked


def test_a_file_where_a_folder_is_needed(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Not a directory"):
        write_whole(tmp_path / "file" / "a.txt", "new")


def test_a_folder_in_the_way_stays(tmp_path: Path):
    (tmp_path / "a.txt" / "inner").mkdir(parents=True)
    with pytest.raises(OutputError, match="Is a directory"):
        write_whole(tmp_path / "a.txt", "new")
    assert everything_in(tmp_path) == ["a.txt"]


def test_a_missing_file_of_somebody_else_is_not_taken_for_a_missing_folder(tmp_path: Path):
    with pytest.raises(OutputError) as caught, replacing(tmp_path / "a.txt"):
        (tmp_path / "other").read_text()
    assert "there is no folder" not in str(caught.value)


def test_an_output_error_of_the_body_is_not_told_twice(tmp_path: Path):
    with pytest.raises(OutputError, match=r"^mine$"), replacing(tmp_path / "a.txt"):
        raise OutputError("mine")


def test_others_may_read_the_file_as_far_as_the_user_wants(tmp_path: Path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a.txt", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_the_longest_name_that_a_file_can_have(tmp_path: Path):
    write_whole(tmp_path / ("n" * 255), "new")
    assert everything_in(tmp_path) == ["n" * 255]


def test_a_link_is_replaced_and_what_it_points_to_is_kept(tmp_path: Path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "a.txt").symlink_to(tmp_path / "target")
    write_whole(tmp_path / "a.txt", "new")
    assert ((tmp_path / "target").read_text(), (tmp_path / "a.txt").read_text()) == ("old", "new")


def test_errors_are_also_told_as_os_errors():
    assert isinstance(output_error(Path("a.txt"), OSError(errno.EIO, "broken")), OSError)

"""Writing a file: what stands at the end of a write that fails, at whatever operation and of whatever size."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl
import pytest

from tests.faults import Faults, Killed, injected, refusal
from tsx.errors import WriteError
from tsx.io.atomic import atomic_write
from tsx.io.writing import write_table

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT)
FORMATS = ("csv", "json", "parquet")
NEW = pl.DataFrame({"id": ["a", "b"], "y": [1.5, None]})


def put(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file may become larger than `size` bytes: the system refuses the write, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def operations(write: Callable[[], None]) -> int:
    faults = Faults()
    with injected(faults):
        write()
    return faults.count


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_write(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == ["result.txt"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("rows", [1, 300, 20_000])
def test_a_table_that_the_disk_has_no_room_for_leaves_the_old_one(tmp_path: Path, suffix: str, rows: int) -> None:
    path = tmp_path / f"table.{suffix}"
    path.write_text("old")
    frame = pl.DataFrame({"y": range(rows)}, schema={"y": pl.Float64}).sample(fraction=1, shuffle=True, seed=0)
    for size in (0, 1, 5):
        with room(size), pytest.raises(WriteError) as failed:
            write_table(frame, path)
        assert failed.value.code == "file-not-writable"
        assert os.strerror(errno.EFBIG) in failed.value.message
    assert names(tmp_path) == [path.name]
    assert path.read_text() == "old"


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("number", ERRORS)
def test_whatever_the_system_refuses_the_old_file_stands_or_the_new_one_is_whole(
    tmp_path: Path, suffix: str, number: int
) -> None:
    path, whole = tmp_path / f"table.{suffix}", tmp_path / f"whole.{suffix}"
    write_table(NEW, whole)
    new = whole.read_bytes()
    whole.unlink()
    refused = 0
    for at in range(operations(lambda: write_table(NEW, path))):
        path.write_text("old")
        message = refusal(Faults(at, lambda: OSError(number, os.strerror(number))), lambda: write_table(NEW, path))
        assert message is None or os.strerror(number) in message
        assert path.read_bytes() == (new if message is None else b"old")
        refused += message is not None
        for left in set(names(tmp_path)) - {path.name}:  # where removing it is what failed
            (tmp_path / left).unlink()
    assert refused >= 4  # opening, writing, flushing, renaming


@pytest.mark.parametrize("suffix", FORMATS)
def test_killed_at_any_operation_one_whole_file_stands_and_the_next_write_cleans_up(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"table.{suffix}"
    write_table(NEW, path)
    new = path.read_bytes()
    stood = set()
    for at in range(operations(lambda: write_table(NEW, path))):
        path.write_bytes(b"old")
        with suppress(Killed), injected(Faults(at)):
            write_table(NEW, path)
        assert path.read_bytes() in (b"old", new)
        stood.add(path.read_bytes())
        write_table(NEW, path)
        assert names(tmp_path) == [path.name]
    assert len(stood) == 2


def test_the_temporary_file_of_a_live_run_stays(tmp_path: Path) -> None:
    path = tmp_path / "result"
    with atomic_write(path) as file:
        file.write(b"slow")
        put(path, b"fast")
        assert len(names(tmp_path)) == 2
    assert path.read_bytes() == b"slow"
    assert names(tmp_path) == ["result"]


def test_files_that_only_look_like_left_ones_stay(tmp_path: Path) -> None:
    others = [
        ".result.tmp",
        ".result.0123456.tmp",
        "result.01234567.tmp",
        ".other.01234567.tmp",
        ".result.0123456g.tmp",
    ]
    for name in others:
        (tmp_path / name).write_text("mine")
    put(tmp_path / "result", b"new")
    assert names(tmp_path) == sorted([*others, "result"])


def test_through_a_link_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "latest.csv"
    link.symlink_to("there/today.csv")
    put(link, b"y\n1\n")
    assert link.is_symlink()
    assert (tmp_path / "there" / "today.csv").read_bytes() == b"y\n1\n"

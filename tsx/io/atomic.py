"""A file is written whole or not at all, through one function for every format.

The content goes to a temporary file beside the old one, is flushed to the disk, and takes its place by a rename. What a
killed run left behind is removed by the next one that writes the same file.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, cast

from tsx.errors import WriteError

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


MODE: ContextVar[int] = ContextVar("MODE", default=0o666)
"""Who may read and write new files, before the umask."""


@contextmanager
def for_owner_alone() -> Iterator[None]:
    """Files written within the block may be read and written by their owner alone."""
    token = MODE.set(0o600)
    try:
        yield
    finally:
        MODE.reset(token)


class _Sink(io.RawIOBase):
    """The temporary file, as libraries write to it: `failure` is the first error of the system.

    Libraries lose errors (Polars drops that of the last few kilobytes) or hide them behind types of their own. It has
    no descriptor, so that none of them can write past it.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.failure: OSError | None = None
        self._file = os.fdopen(descriptor, "wb")

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        """Write the whole of some bytes. Raises OSError."""
        try:
            return self._file.write(content)
        except OSError as error:
            self.failure = self.failure or error
            raise

    def finish(self) -> None:
        """Everything is on the disk, or OSError is raised."""
        if self.failure is not None:
            raise self.failure
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Close the file, whatever comes of what is still in its buffer."""
        with suppress(OSError):
            self._file.close()


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Yield a file to write bytes to; at the end it becomes `path`, or the file that `path` is a link to.

    Where anything fails, the old file stays as it was and nothing else is left. Raises WriteError `file-not-writable`
    for every failure of the system, also where a library has turned it into an error of its own.
    """
    target = Path(os.path.realpath(path))
    try:
        remove_leftovers(target)
        temporary, descriptor = create_temporary(target)
        sink = _Sink(descriptor)
        try:
            yield cast(IO[bytes], sink)
            sink.finish()
            os.replace(temporary, target)
        except Exception:
            if sink.failure is not None:
                raise sink.failure from None
            raise
        finally:
            sink.discard()
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        flush_folder(target.parent)
    except OSError as error:
        raise not_writable(path, error) from None


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files, or folders, of runs that were killed while they wrote `path`, a file or a folder."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}(\.old)?\.tmp")
    with suppress(OSError):
        for entry in list(os.scandir(path.parent)):
            folder = entry.is_dir(follow_symlinks=False)
            if leftover.fullmatch(entry.name) and (folder or entry.is_file(follow_symlinks=False)):
                with abandoned(entry.path) as free:
                    if free and folder:
                        shutil.rmtree(entry.path, ignore_errors=True)
                    elif free:
                        os.unlink(entry.path)


def claim(descriptor: int) -> bool:
    """Mark an open file or folder as that of a live run for as long as it is open.

    False: another run has removed it in the meantime. The kernel takes the mark away when the process ends.
    """
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    return os.fstat(descriptor).st_nlink > 0


@contextmanager
def abandoned(path: str | Path) -> Iterator[bool]:
    """Whether no live run has claimed a file or folder, and none can within the block. Raises OSError."""
    if fcntl is None:
        yield True
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield _lock_is_free(descriptor)
    finally:
        os.close(descriptor)


def _lock_is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is locked, or there are no locks and nobody can say
        return False
    return True


def flush_folder(folder: Path) -> None:
    """Make renames in a folder durable. Where that fails, the files are whole all the same."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def not_writable(path: str | Path, error: OSError) -> WriteError:
    """What every failure to write becomes: `file-not-writable`, with what the system says."""
    return WriteError(
        "file-not-writable",
        f"{path} cannot be written: {error.strerror or 'input/output error'}",
        hint="check that the folder exists, may be written and has room",
        where=str(path),
    )


def create_temporary(target: Path) -> tuple[Path, int]:
    """A new file beside `target`, which `remove_leftovers` knows, and its descriptor: a live run's while it is open."""
    while True:
        temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
        descriptor = os.open(temporary, CREATE, MODE.get())
        if claim(descriptor):
            return temporary, descriptor
        os.close(descriptor)

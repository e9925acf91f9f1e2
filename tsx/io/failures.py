"""What can go wrong in reading, as declared errors, and how much memory there is for it.

Polars' own error texts can quote cells, so none of them may be shown: wherever a lazy frame is collected, `collecting`
stands around it and turns the failure into a `DataError` that names places and counts only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from polars.exceptions import (
    ColumnNotFoundError,
    DuplicateError,
    NoDataError,
    PanicException,
    PolarsError,
    SchemaError,
    ShapeError,
)

from tsx.errors import DataError, NotFound
from tsx.wording import count

SHARE = 4
"""One source may take this part of the available memory: other copies of it are still to be made."""
MISTAKES = (ColumnNotFoundError, DuplicateError, SchemaError, ShapeError)
"""What Polars raises where an expression does not fit its columns."""
CGROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current")


@contextmanager
def collecting(where: str, *, source: bool = False) -> Iterator[None]:
    """Stand around every collect: a failure inside Polars becomes DataError `file-unreadable` without any cell.

    Expressions that do not fit the columns are a mistake of this package, for which no file may be blamed: they are
    let through as they are, but where `source` says that the columns of a file or a given frame are being found out.
    """
    try:
        yield
    except NoDataError:
        raise empty(where) from None
    except MISTAKES as error:
        if not source:
            raise
        raise unreadable(where, _diagnose(str(error))) from None
    except (PolarsError, PanicException, UnicodeDecodeError) as error:
        raise unreadable(where, _diagnose(str(error))) from None
    except FileNotFoundError:
        raise not_found(where) from None
    except OSError as error:
        if "object-store error" in str(error):
            why = "the store did not give it"
            raise unreadable(where, why, "check the address, and the keys in the environment or tsx.toml") from None
        why = f"the system says: {error.strerror}" if error.strerror else "it is damaged or cut short"
        raise unreadable(where, why) from None
    except MemoryError:
        raise DataError(
            "file-too-large",
            f"{where or 'the table'} does not fit into memory",
            hint="give fewer rows or columns",
            where=where,
        ) from None


def not_found(where: str) -> NotFound:
    return NotFound("file-not-found", f"there is no file {where}", hint="check the path", where=where)


def empty(where: str) -> DataError:
    return DataError("file-empty", f"{where} holds no rows", hint="give a table with a header and rows", where=where)


def unreadable(where: str, why: str, hint: str = "check that it is text or Parquet and complete") -> DataError:
    return DataError("file-unreadable", f"{where or 'the table'} cannot be read: {why}", hint=hint, where=where)


def check_size(size: int, where: str, what: str, share: int = SHARE) -> None:
    """Refuse what would take more than 1 / `share` of the available memory: DataError `file-too-large`."""
    limit = available_memory() // share
    if size > limit:
        raise too_large(where, f"{what} take {size:,} bytes; at most {limit:,} may be used for it")


def too_large(where: str, why: str) -> DataError:
    hint = "split it into several files, keep only the columns needed, or use Parquet"
    return DataError("file-too-large", f"{where} is too large to be read: {why}", hint=hint, where=where)


def check_rows(rows: int, limit: int | None, where: str) -> None:
    """Refuse more rows than `limit`: DataError `too-many-rows`."""
    if limit is not None and rows > limit:
        raise DataError(
            "too-many-rows",
            f"{where} holds {count(rows, 'row')}; at most {limit:,} are allowed",
            hint="allow more with --max-rows, or give a shorter table",
            setting="max_rows",
            where=where,
        )


def available_memory() -> int:
    """Bytes that can be had now: what the system says is available, or less where a control group sets a limit."""
    available = 8 * 2**30
    with suppress(OSError, ValueError, AttributeError):
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    with suppress(OSError, ValueError):
        limit, used = (int(Path(name).read_text(encoding="ascii")) for name in CGROUP)
        available = min(available, max(limit - used, 0))
    return available


def _diagnose(text: str) -> str:
    """What Polars could not read, in our own words: nothing of its text is quoted."""
    lowered = text.casefold()
    if "utf-8" in lowered or "codec" in lowered:
        return "it is not UTF-8 text"
    if "parquet" in lowered:
        return "it is not a whole Parquet file"
    return "its bytes and its columns' types do not fit together"

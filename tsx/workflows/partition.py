"""A table cut into parts of whole series, so that each can be worked on by itself."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import polars as pl
from polars.exceptions import ComputeError

from tsx.errors import ConfigError, TsxError, UsageError, WriteError
from tsx.io.atomic import claim, flush_folder, remove_leftovers
from tsx.io.atomic import not_writable as failed_to_write
from tsx.io.failures import collecting
from tsx.io.source import Source, scan, where_of
from tsx.io.writing import ROW_GROUP
from tsx.panel.id_hashes import hash_ids
from tsx.panel.shares import share_expression
from tsx.progress import Progress, task
from tsx.spec.settings import Reading
from tsx.spec.verbs import Request
from tsx.store.from_json import from_json
from tsx.store.receipts import file_digest
from tsx.workflows.outputs import check_no_model, not_writable

FORMAT = 1
INDEX = "_partition.json"
OPEN_ROWS = 8_000_000
"""Rows that wait in memory for their groups to be full, of all parts together, about."""
SMALLEST_GROUP = 5_000
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where a disk, or a user's share of it, is full."""
REMOVE_AGAIN = (0.02, 0.1, 0.5)
"""Seconds to wait before each further attempt to remove a folder."""


@dataclass(frozen=True)
class PartFile:
    """One part, as it was written."""

    name: str
    rows: int
    series: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """What `_partition.json` says: the columns of the id, how many shares there are, and the parts that have rows."""

    format: int
    ids: tuple[str, ...]
    shares: int
    parts: tuple[PartFile, ...]


@dataclass(frozen=True, eq=False)
class Partition:
    """A folder of parts, each with whole series.

    Examples:
        >>> made = tsx.partition("sales.parquet", id="store", parts=2, out="parts")
        >>> made.series
        3
    """

    folder: Path
    ids: tuple[str, ...]
    parts: tuple[PartFile, ...]

    def __repr__(self) -> str:
        return f"Partition(parts={len(self.parts)}, series={self.series}, rows={self.rows})"

    def as_frame(self) -> pl.DataFrame:
        """A row for each part: its name, rows, series, bytes, SHA-256.

        >>> made.as_frame()["series"].sum()
        3
        """
        return pl.DataFrame([asdict(part) for part in self.parts])

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def series(self) -> int:
        """Series of all parts."""
        return sum(part.series for part in self.parts)


def partition(data: Source, request: Request, progress: Progress) -> Partition:
    """Cut a table into parts, as `tsx.partition` says. Raises as `tsx.partition` does."""
    ids, shares = list(request["id"]), request["parts"]
    if not ids:
        raise UsageError(
            "argument-missing",
            "a part holds whole series, and nothing says which column names them",
            hint="name it with --id; several columns that make the id together are separated by commas",
            where="id",
        )
    if not str(request["out"]):
        raise UsageError(
            "argument-missing",
            "no folder is named for the parts",
            hint="give --out FOLDER",
            where="out",
        )
    folder = Path(os.path.abspath(request["out"]))
    check_no_model(folder)
    raw = scan(data, Reading(max_rows=request["max_rows"]))
    with collecting(where_of(data), source=True):
        columns = raw.rows.collect_schema().names()
    missing = [name for name in ids if name not in columns]
    if missing:
        raise ConfigError(
            "column-not-found",
            f"the table has no column {', '.join(f'`{name}`' for name in missing)}",
            hint="name the columns of the id as they stand in the table",
            where="id",
        )
    with _replacing(folder) as place, task(progress, "partitioning"):
        with collecting(where_of(data)), _into(folder):
            _write_parts(raw.rows, ids, shares, place)
        parts = tuple(_part(path, ids) for path in sorted(place.iterdir()))
        content = asdict(Index(FORMAT, tuple(ids), shares, parts))
        (place / INDEX).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return Partition(folder, tuple(ids), parts)


def _write_parts(rows: pl.LazyFrame, ids: list[str], shares: int, place: Path) -> None:
    """Every row to the file of its share, in the order in which they come."""
    key = "share"
    while key in rows.collect_schema().names():
        key = f"_{key}"
    group = min(ROW_GROUP, max(SMALLEST_GROUP, OPEN_ROWS // shares))
    rows.with_columns(share_expression(ids, shares).alias(key)).sink_parquet(
        pl.PartitionBy(
            place,
            key=key,
            include_key=False,
            approximate_bytes_per_file=None,
            file_path_provider=lambda part: f"part-{part.partition_keys.item() + 1:05d}.parquet",
        ),
        compression_level=1,
        row_group_size=group,
        sync_on_close="data",
        engine="streaming",
    )


def _part(path: Path, ids: list[str]) -> PartFile:
    rows = pl.scan_parquet(path, glob=False)
    number, series = rows.select(pl.len(), pl.struct(ids).n_unique().alias("series")).collect(engine="streaming").row(0)
    sha256, size = file_digest(path)
    return PartFile(path.name, number, series, size, sha256)


def read_partition(folder: Path) -> Index | None:
    """What `tsx partition` says of a folder that it wrote; None of any other."""
    try:
        content: Any = json.loads((folder / INDEX).read_bytes())
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            return None
        return from_json(Index, content)
    except (OSError, ValueError, RecursionError, TsxError):
        return None


def series_in_several(paths: list[Path], ids: tuple[str, ...]) -> int:
    """How many series have rows in more than one of the files; 0 where these have no such columns of an id.

    Raises as `scan` does.
    """
    hashes = []
    for path in paths:
        rows = scan(path).rows
        with collecting(str(path)):
            if not ids or not set(ids) <= set(rows.collect_schema().names()):
                return 0
            found = rows.select(ids).unique().collect(engine="streaming")
        hashes.append(np.unique(hash_ids(found.to_struct() if len(ids) > 1 else found.to_series())))
    together = np.concatenate(hashes)
    return len(together) - len(np.unique(together))


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A new folder to write in, which becomes `folder` at the end, whole or not at all.

    A partition that lies there is replaced where all its parts are as they were written. Raises WriteError
    `file-not-writable`.
    """
    _check_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
        new.mkdir()
        descriptor = os.open(new, os.O_RDONLY)
        try:
            claim(descriptor)
            yield new
            _check_free(folder)
            old = folder.with_name(f"{new.name[:-4]}.old.tmp")
            if folder.exists():
                os.rename(folder, old)
            os.rename(new, folder)
            flush_folder(folder.parent)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            os.close(descriptor)
            _remove(new)
    except OSError as error:
        raise failed_to_write(folder, error) from None


def _remove(folder: Path) -> None:
    """Remove a folder in which a writer of another part may still open a file after the first one has failed."""
    for wait in (0.0, *REMOVE_AGAIN):
        sleep(wait)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


@contextmanager
def _into(folder: Path) -> Iterator[None]:
    """Raises WriteError `file-not-writable` for a full disk, of which Polars says that a Parquet file is damaged, as it
    does of one that it reads."""
    try:
        yield
    except (ComputeError, OSError) as error:
        said = re.search(r"\(os error (\d+)\)", str(error))
        number = int(said[1]) if said else getattr(error, "errno", None)
        if number not in NO_ROOM:
            raise
        raise failed_to_write(folder, OSError(number, os.strerror(number))) from None


def _check_free(folder: Path) -> None:
    """Raises WriteError `file-not-writable` where something stands there that `tsx partition` did not write."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise not_writable(folder, "that is a file", "name a folder")
    there = {entry.name for entry in os.scandir(folder)}
    index = read_partition(folder)
    if not there or (index is not None and _is_as_written(folder, index, there)):
        return
    raise _foreign(folder)


def _is_as_written(folder: Path, index: Index, there: set[str]) -> bool:
    if there != {INDEX, *(part.name for part in index.parts)}:
        return False
    with suppress(OSError):
        return all(file_digest(folder / part.name) == (part.sha256, part.bytes) for part in index.parts)
    return False


def _foreign(folder: Path) -> WriteError:
    return not_writable(
        folder, "it holds files that are not of a partition as it was written", "name a folder that is not there yet"
    )

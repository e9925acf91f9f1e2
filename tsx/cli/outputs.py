"""Whether a result can be written where the user wants it, found before any work is done."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tsx.errors import TsxError, UsageError, WriteError

if TYPE_CHECKING:
    from tsx.cli.parameters import Arguments

TABLES = (".parquet", ".csv", ".json")


def check_table(value: str | None) -> None:
    """Raises UsageError `file-format-unknown`, WriteError `file-not-writable`."""
    if value is None or value == "-":
        return
    path = Path(value)
    if path.suffix.casefold() not in TABLES:
        raise UsageError(
            "file-format-unknown",
            f"{path} names no known format",
            where=value,
            hint=f"end the name in {', '.join(TABLES)}, or give - for CSV on stdout",
        )
    check_file(path)


def check_not_read(arguments: Arguments) -> None:
    """Raises WriteError `file-not-writable` where --out names a table that is read, or a file in a folder that is."""
    out = arguments["out"]
    if out is None or out == "-":
        return
    path = Path(os.path.realpath(out))
    for name in _tables_read(arguments):
        table = Path(os.path.realpath(name))
        if table == path:
            raise not_writable(Path(out), "that is the table being read", "name another file")
        if table.is_dir() and path.is_relative_to(table):
            raise not_writable(Path(out), f"it would be read as a part of {name}", "name a file outside that folder")


def _tables_read(arguments: Arguments) -> list[str]:
    """The files and folders that a command reads: as given, or those that its model was fitted on."""
    future = arguments.values.get("future_data")
    table = [] if "sql" in arguments.given else arguments.data or _fitted_on(arguments.values.get("model"))
    return [*table, *([future] if future else [])]


def _fitted_on(model: str | None) -> list[str]:
    from tsx.store.snapshot import read_snapshot

    if model is None:
        return []
    try:
        content = read_snapshot(Path(model)).content
    except TsxError:  # said when the model is opened
        return []
    data = content.get("data")
    path = data.get("path") if isinstance(data, dict) else None
    return [path] if isinstance(path, str) else [each for each in path or () if isinstance(each, str)]


def check_file(path: Path) -> None:
    """Raises WriteError `file-not-writable` where a folder stands, the folder of the file is missing, or a model has
    the file."""
    check_no_model(path)
    if path.is_dir():
        raise not_writable(path, "that is a folder", "name a file")
    if not path.parent.is_dir():
        raise not_writable(path, f"there is no folder {path.parent}", f"mkdir -p {shlex.quote(str(path.parent))}")


def check_report(value: str) -> None:
    """Raises WriteError `file-not-writable` where a report cannot be written, or had better not be."""
    from tsx.store.layout import is_model

    path = Path(value)
    check_no_model(path)
    if path.exists() and not path.is_dir():
        raise not_writable(path, "that is a file", "name a folder")
    if is_model(path):
        raise not_writable(path, "that is the directory of a model", "name another folder")


def check_no_model(path: Path) -> None:
    """Raises WriteError `file-not-writable` where the path is part of a model."""
    from tsx.store.layout import model_around

    if (model := model_around(path)) is not None:
        raise not_writable(path, f"that is part of the model {model}", "name a file or folder outside the model")


def not_writable(path: Path, why: str, hint: str) -> WriteError:
    return WriteError("file-not-writable", f"{path} cannot be written: {why}", hint=hint, where=str(path))

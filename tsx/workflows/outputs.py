"""Whether a result can be written where the user wants it, found before any work is done."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from tsx.errors import UsageError, WriteError
from tsx.runtime.browser import find_browser
from tsx.runtime.drawing import begin_drawing_program

TABLES = (".parquet", ".csv", ".json")
PAGES = {"html", "pdf"}
"""Reports that hold the program which draws their charts."""


def is_folder_of_parts(value: str | Path | None) -> bool:
    """Whether a result is to be a folder of parts: its name ends in a slash."""
    return value is not None and str(value).endswith(("/", os.sep))


def check_table_or_parts(value: str | Path | None) -> None:
    """As `check_table`; a folder of parts is looked at when it is known which there are."""
    if not is_folder_of_parts(value):
        check_table(value)


def check_table(value: str | Path | None) -> None:
    """Raises UsageError `file-format-unknown`, WriteError `file-not-writable`."""
    if value is None or str(value) == "-":
        return
    from tsx.io.destination import check_destination, is_destination  # loads Polars, which help has no use for

    if is_destination(value):
        check_destination(str(value))
        return
    path = Path(value)
    if path.suffix.casefold() not in TABLES:
        raise UsageError(
            "file-format-unknown",
            f"{path} names no known format",
            where=str(value),
            hint=f"end the name in {', '.join(TABLES)}, or give - for CSV on stdout",
        )
    check_file(path)


def check_file(value: str | Path) -> None:
    """Raises WriteError `file-not-writable` for what is no file here, where a folder stands, the folder of the file is
    missing, or a model has the file."""
    from tsx.io.destination import is_destination
    from tsx.io.remote import place_of

    if is_destination(value):
        raise not_writable(value, "that is no file here", "name a file of a file system")
    path = Path(value)
    check_no_model(path)
    if path.is_dir():
        raise not_writable(path, "that is a folder", f"name a file, or {path}/ for parts, each with its own file")
    if not path.parent.is_dir():
        folder = place_of(path.parent)
        raise not_writable(path, f"there is no folder {folder}", f"mkdir -p {shlex.quote(folder)}")


def check_report(value: str | Path) -> None:
    """Raises WriteError `file-not-writable` where a report cannot be written, or had better not be."""
    from tsx.io.destination import is_destination

    if is_destination(value):
        raise not_writable(value, "a report is files of a folder", "name a folder of a file system")
    check_folder(Path(value))


def check_folder(path: Path) -> None:
    """Raises WriteError `file-not-writable` where a file stands, or the folder is a model or part of one."""
    from tsx.store.layout import is_model

    check_no_model(path)
    if path.exists() and not path.is_dir():
        raise not_writable(path, "that is a file", "name a folder")
    if is_model(path):
        raise not_writable(path, "that is the directory of a model", "name another folder")


def prepare_programs(kinds: Sequence[str]) -> None:
    """See to the programs that reports of these kinds need, before the work begins whose result they show.

    Raises MissingDependency `dependency-missing` where there is none.
    """
    if "pdf" in kinds:
        find_browser()
    if PAGES & set(kinds):
        begin_drawing_program()


def check_no_model(path: Path) -> None:
    """Raises WriteError `file-not-writable` where the path is part of a model."""
    from tsx.store.layout import model_around

    if (model := model_around(path)) is not None:
        raise not_writable(path, f"that is part of the model {model}", "name a file or folder outside the model")


def not_writable(path: str | Path, why: str, hint: str) -> WriteError:
    from tsx.io.remote import place_of

    place = place_of(path)
    return WriteError("file-not-writable", f"{place} cannot be written: {why}", hint=hint, where=place)

"""Whether a command would write over what it reads, and where it keeps checkpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tsx.errors import TsxError
from tsx.workflows.outputs import not_writable

if TYPE_CHECKING:
    from tsx.cli.parameters import Arguments
    from tsx.spec.verbs import Verb


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


def checkpoint_of(verb: Verb, out: str | None) -> Path:
    """The folder of a command's checkpoints: beside its result, or in the working folder where that is only shown."""
    from tsx.io.remote import place_of

    path = Path(os.path.abspath(f"tsx-{verb.command}" if out is None or out == "-" else place_of(out)))
    return path.with_name(f".{path.name}.checkpoint")


def _tables_read(arguments: Arguments) -> list[str]:
    """The files and folders that a command reads: as given, or those that its model was fitted on."""
    future = arguments.values.get("future_data")
    table = [] if "sql" in arguments.given else arguments.data or _fitted_on(arguments.values.get("model"))
    return [*table, *([future] if future else [])]


def _fitted_on(model: str | None) -> list[str]:
    from tsx.store.fitted_on import path_of_fit

    if model is None:
        return []
    try:
        path = path_of_fit(model)
    except TsxError:  # said when the model is opened
        return []
    return [path] if isinstance(path, str) else list(path or ())

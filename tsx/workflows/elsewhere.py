"""The work of a run in other processes, each of which reads the table and the model for itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from tsx.errors import DataError, UsageError
from tsx.io import remote
from tsx.io.database import Query
from tsx.io.remote import is_remote, open_stores_with, options
from tsx.io.source import Source, where_of
from tsx.progress import SILENT, Progress, Run
from tsx.runtime.engines import LOCAL, Work, Worker
from tsx.spec import verbs
from tsx.spec.verbs import Request
from tsx.store.copies import asked_once

Made = TypeVar("Made")
Open = Callable[[Any, Request], tuple[Worker[Any, Any], Run]]
"""From a table and a request to what does a piece of a run, and which run that is: a function that another process
finds by its name."""


class Elsewhere(Generic[Made]):
    """Makes something in this process or in another one, where object stores are then opened as they are here."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self.make = make

    def __call__(self) -> Made:
        return self.make()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial, (_with_stores, options() or {}, self.make)


def _with_stores(stores: dict[str, str], make: Callable[[], Made]) -> Made:
    open_stores_with(stores)
    return make()


def work_of(request: Request, data: Any, run: Run, open_worker: Open, progress: Progress = SILENT) -> Work:
    """By what the run does its pieces, as `--engine` says. `progress` sees when it waits for room on a cluster.

    Raises UsageError `source-unknown` for a table that no other process can read.
    """
    engine = request["engine"]
    if engine == "local":
        return LOCAL
    make = partial(_opened, open_worker, *asked_elsewhere(request, data), run.id)
    return Work(engine, Elsewhere(make), progress)


def asked_elsewhere(request: Request, data: Any) -> tuple[str, dict[str, Any], Any]:
    """What another process is to be asked, as it understands it: the verb, the settings, and the table.

    Raises UsageError `source-unknown` for a table that no other process can read.
    """
    tables = (data, *(request[name] for name in request.given if request.verb[name].kind == "table"))
    if any(isinstance(one, str | Path) and str(one) == "-" for one in tables):
        raise UsageError(
            "source-unknown",
            "other processes read the tables too, and what comes through a pipe can be read once",
            hint="write the table to a file, and name that",
            where="data",
        )
    own = ("engine", "checkpoint", "sql", "connection")
    given = {
        name: absolute(request, name) for name in request.given if name not in own and not request.verb[name].output
    }
    if request.verb.takes("model"):
        given["model"] = absolute(request, "model")
    return request.verb.name, given, _absolute(data)


@asked_once()
def _opened(open_worker: Open, verb: str, given: dict[str, Any], data: Any, run: str) -> Worker[Any, Any]:
    """The worker of another process. Raises DataError `inputs-changed`, and as `open_worker`."""
    worker, own = open_worker(data, Request(verbs.by_name(verb), given))
    if own.id != run:
        raise inputs_changed(data)
    return worker


def inputs_changed(data: Any) -> DataError:
    return DataError(
        "inputs-changed",
        "a process that works on this run reads another table or another model than this one",
        hint="see that no other program writes to them, and that their paths name the same files on every machine",
        where=where_of(data) if isinstance(data, str | Path) else "data",
    )


def absolute(request: Request, name: str) -> Any:
    """The value of a setting, as a process in another folder understands it."""
    value = request[name]
    kind = request.verb[name].kind
    if not isinstance(value, str | Path) or kind not in ("path", "table"):
        return value
    return remote.absolute(value) if kind == "path" else _absolute(value)


def _absolute(data: Source | None) -> Any:
    """A table; a word that names none stands for itself."""
    if isinstance(data, list | tuple):
        return [_absolute(one) for one in data]
    if isinstance(data, str | Path) and (is_remote(data) or Path(data).exists()):
        return remote.absolute(data)
    return data.absolute() if isinstance(data, Query) else data

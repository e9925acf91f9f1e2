"""One part of a run: read, worked on as a table of its own, written, and confirmed by a receipt."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from tsx.errors import ConfigError, DataError, WriteError
from tsx.explanation.report_folder import INDEX, earlier_hashes, file_hash
from tsx.io.atomic import for_owner_alone, not_writable
from tsx.io.failures import unreadable
from tsx.io.remote import place_of
from tsx.io.writing import write_table
from tsx.progress import SILENT
from tsx.runtime.engines import Engine
from tsx.spec import verbs
from tsx.spec.decision import Finding
from tsx.spec.shares import Share
from tsx.spec.verbs import Request
from tsx.store.copies import asked_once
from tsx.store.receipts import FORMAT, Receipt, file_digest, is_as_written, read_receipt, write_receipt

OF_THE_WHOLE = ("future-series-unknown", "rows-fewer", "series-fewer", "series-missing", "unseen-series")
"""Findings that compare a table with that of the fit, or with future data: a part is not the whole of it."""


@dataclass(frozen=True)
class Job:
    """What all parts have in common, as plain data that another process can be sent.

    verb    its name; `given`: its settings
    folder  the results; `key`, `model_sha256` and `program`: as in `Plan`
    """

    verb: str
    given: dict[str, Any]
    folder: str
    key: str
    model_sha256: str | None
    program: str


@dataclass(frozen=True)
class Piece:
    """One part: its name, its file, and the share of the series of the file where it is not all of them."""

    name: str
    path: str
    share: Share | None = None


@dataclass(frozen=True)
class Done:
    """A part with a valid receipt; `reused`: it was there before."""

    receipt: Receipt
    reused: bool


@dataclass(frozen=True)
class Failed:
    """A part whose table cannot be used; others can."""

    part: str
    error: DataError


@dataclass(frozen=True, eq=False)
class Made:
    """The result of a part: `write` puts it under a path without suffix and gives the file that stands for it.

    facts: what is said of the part, JSON-able, without a value of a row.
    """

    write: Callable[[Path], Path]
    rows: int
    series: int
    facts: dict[str, Any]


@asked_once()
def open_worker(job: Job) -> Callable[[Piece], Done | Failed]:
    """The function that does a part, with the model opened once.

    Raises WriteError `results-elsewhere`, and as opening the model does.
    """
    verb = verbs.by_name(job.verb)
    how = WAYS[job.verb]
    request = Request(verb, job.given)
    folder = Path(job.folder)
    if not folder.is_dir():
        raise results_elsewhere(folder, "a machine that is to do parts has no folder of the results")
    fitted = how.open(request)
    stored = None if fitted is None else fitted.manifest.stored
    version, model = None if stored is None else stored.version, job.model_sha256
    if stored is not None and stored.sha256 != model:
        raise ConfigError(
            "model-changed",
            "the model was fitted again since this run began",
            hint="run the same command again; all parts are then made with the new model",
            where=place_of(request["model"]),
        )

    def work(piece: Piece) -> Done | Failed:
        began = perf_counter()
        source, size = _digest(piece)
        before = read_receipt(folder, piece.name)
        if before is not None and _agrees(before, job, source) and _is_whole(folder, before):
            return Done(before, reused=True)
        own = {} if piece.share is None else {"shard": piece.share}
        asked = how.settings_of(replace(request, given={**request.given, **own}), piece.name)
        with for_owner_alone() if request.given.get("private") else nullcontext():
            try:
                made = how.make(fitted, piece.path, asked)
            except DataError as error:
                return Failed(piece.name, error)
            output = made.write(folder / piece.name)
            try:
                digest, length = file_digest(output)
            except OSError as error:
                raise not_writable(output, error) from None
            receipt = Receipt(
                FORMAT,
                piece.name,
                job.key,
                version,
                model,
                source,
                size,
                str(output.relative_to(folder)),
                digest,
                length,
                made.rows,
                made.series,
                job.program,
                round(perf_counter() - began, 3),
                peak_memory(),
                made.facts,
            )
            write_receipt(folder, receipt)
        return Done(receipt, reused=False)

    return work


def results_elsewhere(folder: Path, message: str) -> WriteError:
    return WriteError(
        "results-elsewhere",
        message,
        hint="name a folder that all machines share under the same path: --out /shared/results/",
        where=str(folder),
    )


def _agrees(receipt: Receipt, job: Job, source: str) -> bool:
    """Whether a receipt is of this job on this input."""
    found = (receipt.key, receipt.model_sha256, receipt.input_sha256)
    return found == (job.key, job.model_sha256, source)


def _is_whole(folder: Path, receipt: Receipt) -> bool:
    """Whether the result is as it was written: the file, or all files of a report by their index."""
    if not is_as_written(folder, receipt):
        return False
    output = folder / receipt.output
    if output.name != INDEX:
        return True
    hashes = earlier_hashes(output.parent)
    return all(file_hash(output.parent / name) == value for name, value in hashes.items())


def peak_memory() -> int:
    """Bytes that were resident in this process at most, so far."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts the parent's too, from which it was forked
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


def _digest(piece: Piece) -> tuple[str, int]:
    """The SHA-256 of what a part is read from, and its bytes."""
    try:
        digest, size = file_digest(Path(piece.path))
    except OSError as error:
        why = f"the system says: {error.strerror or 'input/output error'}"
        raise unreadable(piece.path, why, "check that every process may read it") from None
    return (digest if piece.share is None else f"{digest} {piece.share}"), size


def _findings(findings: tuple[Finding, ...], path: str) -> list[dict[str, Any]]:
    """Those that hold for a part by itself, as a receipt keeps them: without the path of the part."""
    own = (one for one in findings if one.code not in OF_THE_WHOLE)
    return [replace(one, where="" if one.where == path else one.where).stored() for one in own]


def _table(frame: Any) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        file = path.with_name(f"{path.name}.parquet")
        write_table(frame, file)
        return file

    return write


@dataclass(frozen=True)
class Way:
    """How a verb does a part.

    open         the model, once for all parts; None where a part needs none
    make         the result, from the model, the path of the table and what was asked
    settings_of  what is asked of a part by its name
    by_series    whether the rows are of series, in the order of their ids
    engine       what does the parts in this process: `threads` where nothing is trained, which draws random numbers
    of_fitted    whether, without a table, it does all series of the one that the model was fitted on
    """

    open: Callable[[Request], Any]
    make: Callable[[Any, str, Request], Made]
    settings_of: Callable[[Request, str], Request] = lambda request, name: request
    by_series: bool = False
    engine: Engine = "local"
    of_fitted: bool = True


def _open_forecaster(request: Request) -> Any:
    from tsx.store.forecaster import load_forecaster
    from tsx.workflows.open_model import FittedModel

    device = request["device"] if request.verb.takes("device") else "cpu"
    return FittedModel(*load_forecaster(request["model"], device=device))


def _forecast(fitted: Any, path: str, request: Request) -> Made:
    from tsx.workflows.forecast import forecast_opened
    from tsx.workflows.open_model import open_model

    opened = open_model(path, request, SILENT, future_data=request["future_data"], fitted=fitted)
    made = forecast_opened(opened, request, None)
    newest = made.times["newest"].max() if made.times.width else None
    facts = {"findings": _findings(made.findings, path), "newest": _moment(newest), "columns": made.table.columns}
    return Made(_table(made.table), made.table.height, made.series, facts)


def _moment(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else value.isoformat()


def _own_ledger(request: Request, name: str) -> Request:
    """A part has a ledger of its own, in a folder of its name."""
    if request["ledger"] is None:
        return request
    return replace(request, given={**request.given, "ledger": str(Path(request["ledger"]) / name)})


def _open_classifier(request: Request) -> Any:
    from tsx.store.classifier import load_classifier
    from tsx.workflows.classify import FittedClassifier

    return FittedClassifier(*load_classifier(request["model"], device=request["device"]))


def _classify(fitted: Any, path: str, request: Request) -> Made:
    from tsx.workflows.classify import classify

    made = classify(path, request, SILENT, fitted)
    facts = {"findings": _findings(made.findings, path), "classes": list(made.classes), "columns": made.frame.columns}
    return Made(_table(made.frame), made.frame.height, made.frame.height, facts)


def _open_either(request: Request) -> Any:
    from tsx.store.classifier import is_classifier

    return (_open_classifier if is_classifier(request["model"]) else _open_forecaster)(request)


def _explain(fitted: Any, path: str, request: Request) -> Made:
    from tsx.workflows.explain import explain

    made = explain(path, request, SILENT, fitted)
    kinds = tuple(kind for kind in request.given.get("report", ()) if kind != "terminal")

    def write(folder: Path) -> Path:
        made.write(folder, kinds)
        return folder / INDEX

    summary = made.summary()
    facts = {
        "findings": _findings(made.noticed, path),
        "verdict": summary["verdict"],
        "newest": _moment(made.newest),
    }
    return Made(write, summary.get("windows", summary["series"]), summary["series"], facts)


def _no_model(request: Request) -> None:
    return None


def _backtest(fitted: Any, path: str, request: Request) -> Made:
    from tsx.workflows.backtest import backtest

    made = backtest(path, request, SILENT)
    facts = {
        "findings": _findings(made.findings, path),
        "summary": made.summary,
        "verdict": vars(made.verdict),
        "columns": made.frame.columns,
    }
    return Made(_table(made.frame), made.frame.height, made.by_series().height, facts)


def _monitor(fitted: Any, path: str, request: Request) -> Made:
    from tsx.workflows.monitor import monitor

    made = monitor(path, request, SILENT, fitted)
    facts = {
        "findings": _findings(made.findings, path),
        "summary": made.summary,
        "verdict": vars(made.verdict),
        "advice": vars(made.advice),
        "newest": _moment(made.newest),
        "columns": made.nights.columns,
    }
    series = int(made.nights["series"].max() or 0)  # type: ignore[arg-type]
    return Made(_table(made.nights), made.nights.height, series, facts)


WAYS: Mapping[str, Way] = {
    "forecast": Way(_open_forecaster, _forecast, _own_ledger, by_series=True, engine="threads"),
    "classify": Way(_open_classifier, _classify, by_series=True, engine="threads", of_fitted=False),
    "explain": Way(_open_either, _explain),
    "backtest": Way(_no_model, _backtest),
    "monitor": Way(_open_forecaster, _monitor, _own_ledger),
}
"""How each verb that works in parts does one of them."""

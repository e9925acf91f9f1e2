"""A run in parts: a folder of parts in, a folder of results out, one part in memory at a time.

Which parts there are is known from the input alone, so that shards of a run, on one machine or on many, agree on it
without talking to each other. A part whose receipt is valid is not done again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import polars as pl

from tsx.errors import ConfigError, DataError, TsxError, UsageError
from tsx.io.destination import is_destination
from tsx.io.failures import collecting
from tsx.io.formats import stem_of
from tsx.io.remote import is_remote, is_uri, place_of
from tsx.io.source import Source, parts_of, scan, where_of
from tsx.progress import Progress, task
from tsx.runtime.engines import Engine, executor
from tsx.spec.decision import Finding
from tsx.spec.shares import Share
from tsx.spec.verbs import Request
from tsx.spec.verdict import Verdict
from tsx.store.catalog import version_in_use
from tsx.store.fitted_on import path_of_fit, still_there
from tsx.store.receipts import FORMAT, Plan, Receipt, file_digest, key_of, read_plan, read_receipt, write_plan
from tsx.store.snapshot import read_content, read_hash
from tsx.wording import count, number, verb
from tsx.workflows.elsewhere import Elsewhere, absolute
from tsx.workflows.outputs import check_folder, not_writable
from tsx.workflows.part_work import WAYS, Done, Failed, Job, Piece, open_worker, results_elsewhere
from tsx.workflows.partition import read_partition


@dataclass(frozen=True, eq=False)
class InParts:
    """What a run in parts did.

    folder    of the results
    receipts  of the parts that this run was to do, in order; `reused_parts`: those of them that were there before
    parts     how many there are in all
    findings  of all these parts, each code and place once, with the sum of their counts
    verdict   how the model did when it was fitted; None where nothing says so, or each part has a verdict of its own
    seconds   that the run took

    Examples:
        >>> done = tsx.in_parts(tsx.forecast, "parts", out="forecasts", model="tsx-model")
        >>> done.series
        3
    """

    folder: Path
    receipts: tuple[Receipt, ...]
    reused_parts: frozenset[str]
    parts: int
    findings: tuple[Finding, ...]
    verdict: Verdict | None
    seconds: float

    def __repr__(self) -> str:
        return (
            f"InParts(folder={str(self.folder)!r}, parts={len(self.receipts)} of {self.parts}, reused={self.reused}, "
            f"series={self.series}, rows={self.rows}, findings={len(self.findings)})"
        )

    def as_frame(self) -> pl.DataFrame:
        """A row for each part: its name, rows, series, seconds, and the most memory of its process.

        >>> done.as_frame().columns[:3]
        ['part', 'rows', 'series']
        """
        names = ("part", "rows", "series", "seconds", "peak_memory", "output", "output_sha256")
        return pl.DataFrame([{name: getattr(one, name) for name in names} for one in self.receipts])

    @property
    def rows(self) -> int:
        """Rows of the results."""
        return sum(one.rows for one in self.receipts)

    @property
    def series(self) -> int:
        """Series of the results."""
        return sum(one.series for one in self.receipts)

    @property
    def new_series(self) -> int:
        """Series of the parts that were not there before."""
        return sum(one.series for one in self.receipts if one.part not in self.reused_parts)

    @property
    def reused(self) -> int:
        """How many parts were there before."""
        return len(self.reused_parts)

    @property
    def peak_memory(self) -> int:
        """Bytes of the largest process that did a part."""
        return max((one.peak_memory for one in self.receipts), default=0)

    @property
    def newest(self) -> Any:
        """The newest observed time of all parts: a date, a time, or the number of a step; None where none has one."""
        times = (one.facts.get("newest") for one in self.receipts)
        return max((_moment(each) for each in times if each is not None), default=None)

    @property
    def metrics(self) -> dict[str, float]:
        """Error and coverage of the first model of every part's summary, over all values that were scored."""
        own = [one.facts["summary"][0] for one in self.receipts if one.facts.get("summary")]
        metrics = {}
        for name in ("mase", "coverage_80"):
            rows = [(row["n"], row[name]) for row in own if row.get(name) is not None and row.get("n")]
            if rows:
                metrics[name] = sum(n * value for n, value in rows) / sum(n for n, _ in rows)
        return metrics

    def ids(self) -> pl.DataFrame:
        """The ids that have a result, a row each.

        >>> done.ids().height
        3
        """
        plan = read_plan(self.folder)
        outputs = [self.folder / one.output for one in self.receipts]
        if plan is None or not plan.ids or not outputs:
            return pl.DataFrame()
        rows = pl.concat([pl.scan_parquet(path, glob=False).select(plan.ids) for path in outputs])
        with collecting(str(self.folder)):
            return rows.unique().collect(engine="streaming")

    def summary(self) -> dict[str, Any]:
        """What `--json` shows, JSON-able, without the findings.

        >>> done.summary()["series"]
        3
        """
        return {
            "out": str(self.folder),
            "series": self.series,
            "rows": self.rows,
            "newest": self.newest,
            **({"metrics": self.metrics} if self.metrics else {}),
            "parts": {"all": self.parts, "of_this_run": len(self.receipts), "reused": self.reused},
            "seconds": round(self.seconds, 3),
            "peak_memory": self.peak_memory,
        }


@dataclass(frozen=True)
class Into:
    """Where the results go, which share of the parts is done, and by what."""

    folder: str | Path
    share: Share | None = None
    engine: Engine = "local"


def run_in_parts(data: Source | None, request: Request, into: Into, progress: Progress) -> InParts:
    """Do the parts of this run, as `tsx.in_parts` says.

    A part that cannot be read does not stop the others; the first such error is raised when they are over, with how
    many there are. Raises as `tsx.in_parts` does.
    """
    began = perf_counter()
    check(request)
    if data is None and not WAYS[request.verb.name].of_fitted:
        raise ConfigError(
            "settings-contradict",
            "without a table the series of the fitted one are classified that have no label, and a run in parts does "
            "all series of a table",
            hint="write one file: --out FILE.parquet, or name the table whose series are all to be classified",
            where="out",
        )
    data = data if data is not None else still_there(path_of_fit(request["model"]), request["model"])
    pieces, ids = pieces_of(data, request, into.share)
    folder = _folder(into.folder, pieces)
    given = {name: absolute(request, name) for name in request.given}
    if request.verb.takes("model"):
        given["model"] = absolute(request, "model")
    sorted_by = ids if WAYS[request.verb.name].by_series else ()
    names = tuple(piece.name for piece in pieces)
    sha256 = read_hash(request["model"]) if request.verb.takes("model") else None
    plan = Plan(FORMAT, _key(request, given), request.verb.name, sha256, _program(), sorted_by, names)
    write_plan(folder, plan)
    job = Job(request.verb.name, given, str(folder), plan.key, sha256, plan.program)
    mine = pieces if into.share is None else pieces[into.share.number - 1 :: into.share.of]
    done: list[Done] = []
    failed: list[Failed] = []
    engine = _engine(request, into, len(mine))
    make = Elsewhere(partial(open_worker, job))
    with task(progress, "parts", len(mine)), executor(engine, make, progress) as pool:
        for outcome in pool.as_they_come(mine):
            (done if isinstance(outcome, Done) else failed).append(outcome)  # type: ignore[arg-type]
            progress.update(len(done) + len(failed), _speed(done, perf_counter() - began))
    if failed:
        raise _failure(failed, len(mine))
    check_results(folder, done)
    order = {piece.name: place for place, piece in enumerate(mine)}
    receipts = tuple(sorted((one.receipt for one in done), key=lambda one: order[one.part]))
    reused = frozenset(one.receipt.part for one in done if one.reused)
    verdict = _verdict(request) if WAYS[request.verb.name].by_series else None
    return InParts(folder, receipts, reused, len(pieces), _together(receipts), verdict, perf_counter() - began)


def check_results(folder: Path, done: list[Done]) -> None:
    """Raises WriteError `results-elsewhere` where processes on other machines do not see this folder."""
    gone = sum(not _is_there(folder, one.receipt) for one in done)
    if gone:
        raise results_elsewhere(
            folder,
            f"{gone:,} of {count(len(done), 'part')} {verb(gone, 'is')} not in the folder of the results: other "
            "machines wrote them to folders of their own",
        )


def _is_there(folder: Path, receipt: Receipt) -> bool:
    """Whether the folder has this receipt, or one that says the same of the result; an earlier run may have left one
    of another result."""
    found = read_receipt(folder, receipt.part)
    return found is not None and all(
        getattr(found, name) == getattr(receipt, name)
        for name in ("key", "model_sha256", "input_sha256", "output_sha256")
    )


def _engine(request: Request, into: Into, parts: int) -> Engine:
    """What does the parts. One alone has all threads of this process."""
    own: Engine = "local" if parts == 1 else WAYS[request.verb.name].engine
    return own if into.engine == "local" else into.engine


def check(request: Request) -> None:
    """Raises ConfigError `settings-contradict` for what is asked of a table as a whole."""
    if request.verb.name == "forecast":
        from tsx.workflows.forecast import check_forecast

        check_forecast(request)
    whole = [name for name in ("reconcile", "label", "sql", "since", "compare") if request.given.get(name)]
    if whole:
        flag = request.verb[whole[0]].flag
        raise ConfigError(
            "settings-contradict",
            f"{flag} is about the whole table, and a run in parts sees one part at a time",
            hint=f"leave {flag} out, or write one file: --out FILE.parquet",
            where=whole[0],
        )
    if request.given.get("private") and request["pseudonym_key"] is None:
        raise ConfigError(
            "settings-contradict",
            "without a key every part has pseudonyms of its own, and no run can be repeated",
            hint="give --pseudonym-key FILE",
            where="private",
        )


def pieces_of(data: Source, request: Request, share: Share | None) -> tuple[list[Piece], tuple[str, ...]]:
    """All parts of the run, in order, and the columns of the id where these are known.

    Of a folder or several files each is a part; of one file the shares of its series are. Raises UsageError
    `source-unknown`, DataError `file-names-twice`.
    """
    of_files = isinstance(data, str | Path) or (
        isinstance(data, Sequence) and all(isinstance(one, str | Path) for one in data)
    )
    if not of_files or str(data) == "-" or is_remote(data):
        raise UsageError(
            "source-unknown",
            "a run in parts reads files of this machine or of a file system that it shares",
            hint="write the table to files, and name their folder; a table that lies elsewhere is read in one piece",
            where="data",
        )
    source = cast("str | Path | Sequence[str | Path]", data)
    several = not isinstance(source, str | Path) or Path(source).is_dir()
    paths = [path.resolve() for path in parts_of(source)]
    if not several:
        of = 1 if share is None else share.of
        name = stem_of(paths[0].name)
        shares = [None] if of == 1 else [Share(k + 1, of) for k in range(of)]
        names = [name] if of == 1 else [f"{name}-{k + 1:05d}-of-{of:05d}" for k in range(of)]
        return [Piece(each, str(paths[0]), one) for each, one in zip(names, shares, strict=True)], _ids(request)
    names = [stem_of(path.name) for path in paths]
    twice = sum(number - 1 for number in Counter(names).values())
    if twice:
        raise DataError(
            "file-names-twice",
            f"the results are named after the files, and {twice:,} of {len(paths):,} have the name of another one",
            hint="rename the files",
            where=str(data),
        )
    pieces = [Piece(name, str(path)) for name, path in zip(names, paths, strict=True)]
    ids = _ids(request)
    if isinstance(data, str | Path) and read_partition(Path(data)) is None:
        _check_whole_series(paths, ids, request)
    return pieces, ids


def _check_whole_series(paths: list[Path], ids: tuple[str, ...], request: Request) -> None:
    """Raises DataError `series-in-several-parts`."""
    from tsx.workflows.partition import series_in_several

    several = series_in_several(paths, ids)
    if several:
        raise DataError(
            "series-in-several-parts",
            f"the rows of {several:,} series stand in more than one of {count(len(paths), 'file')}; a part must hold "
            "whole series",
            hint="bring them together with `tsx partition DATA --id COLUMN --out FOLDER`, or write one file: --out "
            "FILE.parquet",
            where=str(paths[0].parent),
        )


def _ids(request: Request) -> tuple[str, ...]:
    """The columns of the id as the model, or the user, names them."""
    if not request.verb.takes("model"):
        return tuple(request.given.get("id", ()))
    schema = read_content(request["model"]).get("schema")
    id = schema.get("id") if isinstance(schema, dict) else None
    return tuple(id) if isinstance(id, list) else () if id is None else (str(id),)


def _folder(wanted: str | Path, pieces: list[Piece]) -> Path:
    """The folder of the results, made where there is none. Raises WriteError `file-not-writable`."""
    if is_uri(wanted) or is_destination(wanted):
        raise not_writable(
            place_of(wanted), "the results of parts are files of a folder", "name a folder of a file system"
        )
    folder = Path(os.path.realpath(wanted))
    check_folder(folder)
    if any(Path(piece.path).parent == folder for piece in pieces):
        raise not_writable(folder, "the parts that are read lie there", "name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error.strerror or "input/output error", "name another folder") from None
    return folder


def _key(request: Request, given: dict[str, Any]) -> str:
    """The key of the run: the verb, the settings, the bytes of the files that they name, and the program."""
    settings: dict[str, Any] = {}
    for name, value in given.items():
        if name in ("model", "ledger"):
            continue
        if request.verb[name].kind == "table" or name == "pseudonym_key":
            settings[name] = _content(value, name)
        else:
            settings[name] = value
    return key_of([request.verb.name, settings, _program()])


def _content(value: Any, name: str) -> str:
    """The SHA-256 of the table behind a setting; a word that names none stands for itself."""
    if not isinstance(value, str | Path) or str(value) == "-":
        raise UsageError(
            "source-unknown",
            "a run in parts reads files, each of which can be read again",
            hint="write the table to a file, and name that",
            where=name,
        )
    if is_remote(value):  # the files of a Delta or Iceberg table here do not say which of its rows are in use
        return _digest_of_rows(value)
    path = Path(value)
    return key_of([file_digest(each) for each in parts_of(path)]) if path.exists() else str(value)


def _digest_of_rows(source: str | Path) -> str:
    """The SHA-256 of the rows of a table that lies elsewhere. Raises as `scan`."""
    content = BytesIO()
    with collecting(where_of(source)):
        scan(source).rows.collect().write_ipc(content)
    return hashlib.sha256(content.getbuffer()).hexdigest()


def _program() -> str:
    return importlib.metadata.version("tsx-forecast")


def _verdict(request: Request) -> Verdict | None:
    manifest = version_in_use(request["model"]).manifest
    return None if manifest is None else manifest.metrics.verdict


def _moment(value: int | str) -> Any:
    """The number of a step, or the date or time of a text in ISO 8601."""
    if isinstance(value, int):
        return value
    return date.fromisoformat(value) if len(value) == len("2024-01-01") else datetime.fromisoformat(value)


def _speed(done: list[Done], seconds: float) -> str:
    new = sum(one.receipt.series for one in done if not one.reused)
    return f"{number(new / seconds, 3)} series/s" if new and seconds > 0 else ""


def _failure(failed: list[Failed], parts: int) -> TsxError:
    """The first error of those parts that could not be read, with how many there were."""
    first = failed[0]
    first.error.message = (
        f"{len(failed):,} of {count(parts, 'part')} {verb(len(failed), 'was')} not done; of {first.part}: "
        f"{first.error.message}"
    )
    return first.error


def _together(receipts: tuple[Receipt, ...]) -> tuple[Finding, ...]:
    """The findings of all parts: of each code and place the words of the first, and the sum of the counts.

    What every part says in the same words is of the model or the settings, and is said once.
    """
    found: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for receipt in receipts:
        for one in receipt.facts.get("findings", ()):
            found.setdefault((one["code"], one["where"]), []).append((receipt.part, one))
    findings = []
    for ones in found.values():
        part, first = ones[0]
        counts = [one["count"] for _, one in ones if one["count"] is not None]
        finding = Finding(**first)
        of_all = len(ones) == len(receipts) and all(one == first for _, one in ones)
        if len(receipts) > 1 and (counts or not of_all):
            in_all = f", {sum(counts):,} in all" if counts else ""
            message = f"in {len(ones):,} of {len(receipts):,} parts{in_all}; in {part}: {finding.message}"
            finding = replace(finding, message=message, count=sum(counts) if counts else None)
        findings.append(finding)
    return tuple(findings)

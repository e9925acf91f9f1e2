"""An explanation as files: the tables of the contract, and beside them the reports that were asked for."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, cast

import polars as pl

from tsx.errors import UsageError
from tsx.explanation.interaction_graph import interaction_graph
from tsx.explanation.report_folder import INDEX, MOVING, check_own, earlier_hashes, file_hash
from tsx.explanation.result import Explained
from tsx.io.atomic import atomic_write, not_writable
from tsx.runtime.signals import uninterrupted
from tsx.spec.verbs import REPORTS
from tsx.wording import json_value
from tsx.workflows.outputs import check_file, check_report

FRAMES = (
    "forecasts",
    "lag_profile",
    "memory_units",
    "retention",
    "gradient_decay",
    "attention",
)
"""Attributes of an explanation of forecasts; one of classes has its own among its tables. `lag_importance`, which may
be larger than memory, is written in a way of its own."""


def write_explanation(explanation: Explained, directory: str | Path, kinds: tuple[str, ...]) -> list[Path]:
    """Write the contract's tables and the reports of `kinds` into `directory`, and return the paths of all of them.

    The tables and `explanation.json` are always written; `html`, `md` and `pdf` add `report.html` and so on, `png` and
    `svg` every chart as `chart-lags.png` and so on, `terminal` adds nothing.

    All files are written beside the old ones before the first takes its place; `explanation.json`, with the hashes of
    the others, comes last. Files of an earlier report that this one does not have are removed, where they are as they
    were written; a file that is not of an earlier report is never replaced. Raises UsageError `report-kind-unknown`,
    MissingDependency `dependency-missing`, WriteError `file-not-writable`.
    """
    check_kinds(kinds)
    check_report(directory)
    folder = Path(directory)
    reports = _reports(explanation, kinds)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error) from None
    hashes: dict[str, str] = {}
    with ExitStack() as staged:  # what is entered first is moved last
        index = staged.enter_context(atomic_write(folder / INDEX))
        staged.enter_context(_earlier_removed(folder, hashes))
        for name, write in _files(explanation, reports, kinds):
            file = Hashed(staged.enter_context(atomic_write(folder / name)))
            write(cast(IO[bytes], file))
            hashes[name] = file.hash.hexdigest()
        index.write(_bytes(to_json({**explanation.summary(), "hashes": dict(sorted(hashes.items()))})))
        _check_own(folder, (*hashes, INDEX))
        with uninterrupted():
            with atomic_write(folder / MOVING) as moving:  # so that the files are known as ours if the run is killed
                moving.write(_bytes(to_json({"hashes": hashes})))
            staged.pop_all().close()
            with suppress(OSError):  # the next run removes it
                (folder / MOVING).unlink(missing_ok=True)
    return [folder / name for name in (*hashes, INDEX)]


def write_report(explanation: Explained, kind: str, path: str | Path) -> Path:
    """Write the report of one kind (html, md, json, pdf) as a file by itself; its tables are not written.

    Raises UsageError `report-kind-unknown`, MissingDependency `dependency-missing`, WriteError `file-not-writable`.
    """
    if kind not in ONE_FILE:
        raise _kind_unknown((kind,), ONE_FILE)
    check_file(path)
    content = ONE_FILE[kind](explanation)
    with atomic_write(path) as file:
        file.write(content)
    return Path(path)


def _files(
    explanation: Explained, reports: dict[str, bytes], kinds: tuple[str, ...]
) -> Iterator[tuple[str, Callable[[IO[bytes]], Any]]]:
    """Every file but `explanation.json`: its name, and what writes it."""
    frames: dict[str, pl.DataFrame | None] = {name: getattr(explanation, name, None) for name in FRAMES}
    frames |= {name: frame for name, frame in explanation.tables.items() if not frame.is_empty()}
    for name, frame in frames.items():
        if frame is not None:
            yield f"{name}.parquet", frame.write_parquet
    yield "lag_importance.parquet", _importance(explanation)
    documents: dict[str, Any] = {"checks.json": {"checks": [vars(check) for check in explanation.checks]}}
    if explanation.surrogate:
        documents = {"surrogate.json": explanation.surrogate, **documents}
    pairs = explanation.tables.get("interactions")
    if pairs is not None and not pairs.is_empty():
        graph = interaction_graph(pairs, explanation.lag_profile, explanation.schema.id_names)
        documents |= {"interactions.json": graph.document()}
        reports = {"interactions.graphml": _bytes(graph.graphml()), **reports}
    for name, content in ({name: _bytes(to_json(one)) for name, one in documents.items()} | reports).items():
        yield name, _writer(content)
    for name, picture in _pictures(explanation, kinds):
        yield name, _writer(picture)


class Hashed(io.RawIOBase):
    """A file to write to that also takes the SHA-256 of what is written."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self.hash = sha256()
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.hash.update(content)
        return self._file.write(content)


@contextmanager
def _earlier_removed(folder: Path, hashes: dict[str, str]) -> Iterator[None]:
    """At the end remove the files that the earlier report names with their hashes and this one does not have."""
    earlier = earlier_hashes(folder)
    yield
    for name in earlier.keys() - hashes.keys():
        if file_hash(folder / name) == earlier[name]:
            _remove(folder, name)


def _remove(folder: Path, name: str) -> None:
    try:
        (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise not_writable(folder, error) from None


def _check_own(folder: Path, names: Iterable[str]) -> None:
    try:
        check_own(folder, names)
    except OSError as error:
        raise not_writable(folder, error) from None


def _importance(explanation: Explained) -> Callable[[IO[bytes]], Any]:
    """A table on disk is copied, never read: the explanation still needs its own file."""
    source = explanation.importance_path
    if source is None:
        return explanation.lag_importance.write_parquet

    def copy(file: IO[bytes]) -> None:
        with source.open("rb") as table:
            shutil.copyfileobj(table, file)

    return copy


def check_folder(directory: str | Path, kinds: tuple[str, ...]) -> None:
    """That nothing is in the way of the files that every report of these kinds has, before any work is done.

    Raises WriteError `file-not-writable`.
    """
    tables = (f"{name}.parquet" for name in ("lag_importance", *FRAMES))
    texts = (f"report.{kind}" for kind in kinds if kind in IN_FOLDER)
    _check_own(Path(directory), (INDEX, *tables, "surrogate.json", "checks.json", *texts))


def check_kinds(kinds: tuple[str, ...]) -> None:
    """Raises UsageError `report-kind-unknown` for a kind of report that there is not."""
    unknown = [kind for kind in kinds if kind not in REPORTS]
    if unknown:
        raise _kind_unknown(unknown, REPORTS)


def _kind_unknown(kinds: Iterable[str], known: Iterable[str]) -> UsageError:
    return UsageError(
        "report-kind-unknown",
        f"there is no report of kind {', '.join(map(repr, kinds))}",
        hint=f"choose among {', '.join(known)}",
        where="report",
    )


def to_json(value: Any) -> str:
    """Indented JSON with null for what is not a finite number and ISO 8601 for times."""
    return json.dumps(json_value(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _html(explanation: Explained) -> bytes:
    from tsx.report.html import html_report

    return _bytes(html_report(explanation))


def _markdown(explanation: Explained) -> bytes:
    from tsx.report.markdown import markdown_report

    return _bytes(markdown_report(explanation))


def _pdf(explanation: Explained) -> bytes:
    from tsx.report.html import html_report
    from tsx.runtime.browser import printed

    return printed(html_report(explanation))


ONE_FILE: dict[str, Callable[[Explained], bytes]] = {
    "html": _html,
    "md": _markdown,
    "json": lambda explanation: _bytes(to_json(explanation.summary())),
    "pdf": _pdf,
}
"""Reports that are one file, by their kind."""
IN_FOLDER = ("html", "md", "pdf")
"""Those of them that a folder gets when asked; the summary it always has, as `explanation.json`."""


def _reports(explanation: Explained, kinds: tuple[str, ...]) -> dict[str, bytes]:
    return {f"report.{kind}": ONE_FILE[kind](explanation) for kind in IN_FOLDER if kind in kinds}


def _pictures(explanation: Explained, kinds: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    if {"png", "svg"}.intersection(kinds):
        from tsx.report.charts.pictures import pictures

        yield from pictures(explanation, kinds)


def _bytes(text: str) -> bytes:
    # A lone surrogate has no UTF-8; an id read from a damaged file must not stop the report.
    return text.encode("utf-8", errors="backslashreplace")


def _writer(content: bytes) -> Callable[[IO[bytes]], Any]:
    return lambda file: file.write(content)

"""An explanation as files: the tables of the contract, and beside them the reports that were asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import polars as pl

from tsx.errors import UsageError
from tsx.explanation.result import Explanation
from tsx.io.atomic import atomic_write, not_writable
from tsx.wording import json_value

KINDS = ("terminal", "html", "json", "md", "png")
FRAMES = (
    "forecasts",
    "lag_profile",
    "memory_units",
    "retention",
    "gradient_decay",
    "attention",
)
"""Attributes of an explanation; `lag_importance`, which may be larger than memory, is written in a way of its own."""
OF_CHECKS = ("comparison", "curves", "randomised_layers")
"""Tables of the checks and of the comparison with an earlier report."""


def write_explanation(explanation: Explanation, directory: str | Path, kinds: tuple[str, ...]) -> list[Path]:
    """Write the contract's tables and the reports of `kinds` into `directory`, and return the paths of all of them.

    The tables and `explanation.json` are always written; `html` and `md` add `report.html` and `report.md`, `png` adds
    every chart as `chart-lags.png` and so on, `terminal` adds nothing. Every file appears whole or not at all. In a
    folder that holds an earlier report, a table that this explanation does not have is removed. Raises UsageError
    `report-kind-unknown`, WriteError `file-not-writable`.
    """
    check_kinds(kinds)
    folder = Path(directory)
    reports = _reports(explanation, kinds)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error) from None
    written = []

    def put(name: str, write: Callable[[IO[bytes]], Any]) -> None:
        path = folder / name
        with atomic_write(path) as file:
            write(file)
        written.append(path)

    stale = (folder / "explanation.json").exists()
    frames: dict[str, pl.DataFrame | None] = {name: getattr(explanation, name) for name in FRAMES}
    further = {name: frame for name, frame in explanation.tables.items() if not frame.is_empty()}
    for name, frame in (frames | dict.fromkeys(_further_tables()) | further).items():
        if frame is None and stale:
            _remove(folder / f"{name}.parquet")
        elif frame is not None:
            put(f"{name}.parquet", frame.write_parquet)
    put("lag_importance.parquet", _importance(explanation))
    documents = {
        "surrogate.json": explanation.surrogate,
        "checks.json": {"checks": [vars(check) for check in explanation.checks]},
        "explanation.json": explanation.summary(),
    }
    texts = {name: to_json(document) for name, document in documents.items()} | reports
    for name, text in texts.items():
        # A lone surrogate has no UTF-8; an id read from a damaged file must not stop the report.
        put(name, _writer(text.encode("utf-8", errors="backslashreplace")))
    for name, picture in _pictures(explanation, kinds):
        put(name, _writer(picture))
    return written


def _further_tables() -> list[str]:
    """Tables that an earlier run may have left and this one may not have."""
    from tsx.explanation.measures import MEASURES

    names = {table.name for measure in MEASURES for table in measure.tables} - {*FRAMES, "by_step"}
    return sorted({*names, *OF_CHECKS})


def _importance(explanation: Explanation) -> Callable[[IO[bytes]], Any]:
    """A table on disk is copied, never read: the explanation still needs its own file."""
    source = explanation.importance_path
    if source is None:
        return explanation.lag_importance.write_parquet

    def copy(file: IO[bytes]) -> None:
        with source.open("rb") as table:
            shutil.copyfileobj(table, file)

    return copy


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise not_writable(path, error) from None


def check_kinds(kinds: tuple[str, ...]) -> None:
    """Raises UsageError `report-kind-unknown` for a kind of report that there is not."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UsageError(
            "report-kind-unknown",
            f"there is no report of kind {', '.join(map(repr, unknown))}",
            hint=f"choose among {', '.join(KINDS)}",
            where="report",
        )


def to_json(value: Any) -> str:
    """Indented JSON with null for what is not a finite number and ISO 8601 for times."""
    return json.dumps(json_value(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _reports(explanation: Explanation, kinds: tuple[str, ...]) -> dict[str, str]:
    reports = {}
    if "html" in kinds:
        from tsx.report.html import html_report

        reports["report.html"] = html_report(explanation)
    if "md" in kinds:
        from tsx.report.markdown import markdown_report

        reports["report.md"] = markdown_report(explanation)
    return reports


def _pictures(explanation: Explanation, kinds: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    if "png" in kinds:
        from tsx.report.charts.png import pictures

        yield from pictures(explanation)


def _writer(content: bytes) -> Callable[[IO[bytes]], Any]:
    return lambda file: file.write(content)

"""Gates: what a result must pass for its command to end with exit status 0.

The settings are declared in `tsx.spec.verbs`; `GATES` says for each by what it fails.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import polars as pl

from tsx.errors import ConfigError, QualityGate
from tsx.io.failures import not_found, unreadable
from tsx.spec.decision import Finding
from tsx.spec.findings import NO_SKILL, WARNING
from tsx.spec.verdict import Verdict
from tsx.wording import count, duration, number, percent, value_preview, verb


@dataclass(frozen=True, eq=False)
class Checked:
    """What gates look at of a result.

    findings  what was noticed
    verdict   the model against simple forecasts; None where nothing was held out
    newest    the time of the newest observed target: a date, a time, or the number of a step
    ids       of the series that have a result, a row each
    metrics   of recorded forecasts
    drifted   raises QualityGate where an explanation has drifted further than its argument
    """

    findings: tuple[Finding, ...] = ()
    verdict: Verdict | None = None
    newest: Any = None
    ids: pl.DataFrame | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    drifted: Callable[[float], None] | None = None


def failed_gate(limits: Mapping[str, Any], checked: Checked) -> QualityGate | None:
    """The gates that fail of those that `limits` (settings by name) ask for, as one error; None where all pass.

    Raises ConfigError `age-unknown`, NotFound `file-not-found`, DataError `file-unreadable`.
    """
    failed = [each for name, gate in GATES.items() if limits.get(name) for each in gate(limits[name], checked)]
    if len(failed) < 2:
        return failed[0] if failed else None
    hints = dict.fromkeys(each.hint for each in failed if each.hint)
    return QualityGate(
        "gates-failed",
        f"{count(len(failed), 'gate')} failed: {'; '.join(each.message for each in failed)}",
        hint="; ".join(hints),
        where=failed[0].where,
        values="; ".join(each.values for each in failed if each.values),
        gates=failed,
    )


def _fail_on(codes: tuple[str, ...], checked: Checked) -> Iterator[QualityGate]:
    for finding in checked.findings:
        if finding.code in codes or (finding.severity == WARNING and WARNING in codes):
            yield QualityGate(finding.code, finding.message, where="fail_on", values=finding.values)
    if NO_SKILL in codes and not (checked.verdict and checked.verdict.has_skill):
        why = "nothing was held out to show it" if checked.verdict is None else checked.verdict.sentence.rstrip(".")
        yield QualityGate(
            "no-skill",
            f"skill over simple methods is not shown: {why}",
            hint="use the simple method, or see `tsx tune`",
            where="fail_on",
        )


def _max_age(seconds: float, checked: Checked) -> Iterator[QualityGate]:
    newest = checked.newest
    if not isinstance(newest, date):
        raise ConfigError(
            "age-unknown",
            "the table's times are numbers of steps, which have no age",
            hint="leave --max-age out",
            where="max_age",
        )
    moment = newest if isinstance(newest, datetime) else datetime.combine(newest, time())
    age = (now() - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds()
    if age > seconds:
        yield QualityGate(
            "data-too-old",
            f"the newest row is {duration(age)} old, more than {duration(seconds)}",
            hint="see why no newer rows have come",
            where="max_age",
        )


def now() -> datetime:
    return datetime.now(UTC)


def _require_series(file: str, checked: Checked) -> Iterator[QualityGate]:
    ids = pl.DataFrame() if checked.ids is None else checked.ids
    there = set(ids.cast(pl.String).iter_rows())
    required = _required(file, tuple(ids.columns))
    missing = [", ".join(id) for id in required if id not in there]
    if missing:
        yield QualityGate(
            "required-series-missing",
            f"{len(missing):,} of {count(len(required), 'required series')} {verb(len(missing), 'has')} no result",
            hint="see whether the table is whole; --show-values names up to five of them",
            where="require_series",
            values=value_preview(missing),
        )


def _required(file: str, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The ids in a text file, each once; a first line that holds the names of the columns is none."""
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise not_found(file) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise unreadable(file, f"the system says: {why}", "give a text file with one id a line") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows = [tuple(row) for row in csv.reader(lines, skipinitialspace=True)] if len(names) > 1 else [(x,) for x in lines]
    return list(dict.fromkeys(rows[1:] if rows[:1] == [names] else rows))


def _max_drift(limit: float, checked: Checked) -> Iterator[QualityGate]:
    try:
        if checked.drifted is not None:
            checked.drifted(limit)
    except QualityGate as failed:
        yield failed


def _max_error(limit: float, checked: Checked) -> Iterator[QualityGate]:
    error = checked.metrics.get("mase")
    if error is None or error > limit:
        yield QualityGate(
            "error-too-large",
            f"the scaled error (MASE) of the recorded forecasts is {number(error, 3)}; at most {limit:g} is allowed",
            hint="see what `tsx monitor` advises",
            where="max_error",
        )


def _min_coverage(limit: float, checked: Checked) -> Iterator[QualityGate]:
    coverage = checked.metrics.get("coverage_80")
    if coverage is None or coverage < limit:
        yield QualityGate(
            "coverage-too-low",
            f"the 80 % intervals covered {percent(coverage)}; at least {percent(limit)} is asked for",
            hint="see what `tsx monitor` advises",
            where="min_coverage",
        )


GATES: dict[str, Callable[[Any, Checked], Iterator[QualityGate]]] = {
    "fail_on": _fail_on,
    "max_age": _max_age,
    "require_series": _require_series,
    "max_error": _max_error,
    "min_coverage": _min_coverage,
    "max_drift": _max_drift,
}
"""By what each setting of a gate makes a result fail."""

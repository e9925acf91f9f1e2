"""From a source to a panel: for a new model, or for one that was fitted and reads every table as it read the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from tsx.errors import ConfigError, TsxError, UsageError
from tsx.io.failures import collecting
from tsx.io.source import Source, scan, where_of
from tsx.panel.calendar_features import with_calendar
from tsx.panel.counts import check_counts
from tsx.panel.known_future import append_future, check_future, reaches_ahead
from tsx.panel.panel import Panel
from tsx.panel.reading import PanelRead, read_panel
from tsx.panel.reporting_delay import mask_provisional
from tsx.panel.shares import of_share
from tsx.panel.transform import DERIVED, derive_target, derived_decision
from tsx.profile.advice import choose_counts
from tsx.profile.series import likely_horizon
from tsx.progress import SILENT, Progress
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Duplicates, Reading, Roles, Settings
from tsx.spec.shares import Share
from tsx.table.infer_roles import is_text
from tsx.table.roles import RoleSuggestion, check_schema, find_roles, suggest_roles
from tsx.table.tidy import Table, check_cells, tidy

if TYPE_CHECKING:
    from tsx.model.forecaster import Forecaster


@dataclass(frozen=True, eq=False)
class Opened:
    """A table on its way in: tidy, as a panel, and all that was decided meanwhile; the decision on the frequency and
    those that suggest roles are among `decisions`."""

    table: Table
    panel: Panel
    reading: Reading
    decisions: tuple[Decision, ...]
    frequency: Decision
    suggestions: tuple[RoleSuggestion, ...]


AS_IT_IS = Settings(counts=False)


def open_table(
    data: Source,
    roles: Roles,
    reading: Reading,
    freq: str | None,
    progress: Progress,
    settings: Settings = AS_IT_IS,
) -> Opened:
    """The table as a panel. Of `settings` the transform, the delay and the counts say what y is; where it is not said
    whether these are counts, the values decide.

    Raises ConfigError `settings-contradict`, DataError `not-counts`, and as reading and `tsx.panel.transform` do.
    """
    freq = None if freq is None else str(freq)
    if settings.counts and settings.transform in DERIVED:
        raise ConfigError(
            "settings-contradict",
            f"a {settings.transform} is no count",
            hint="leave --counts or --transform out",
            where="counts",
        )
    reading = replace(reading, realised=settings.transform == "variance")
    with collecting(where_of(data)):
        table = tidy(scan(data, reading), roles, reading)
        schema, chosen = find_roles(table)
        noticed = check_cells(table, schema)
        read = read_table(table, schema, freq, progress)
        if schema.future and not roles.future:
            horizon = settings.horizon or int(likely_horizon(read.panel, season=1).value)
            if not reaches_ahead(read.panel, schema.future, horizon):
                # A few rows of something else at the end, such as events, do not make a column known ahead.
                schema, chosen = find_roles(table, too_short=schema.future)
                read = read_table(table, schema, freq, progress)
        suggestions = suggest_roles(table, schema)
    panel, reading = read.panel, read.reading
    suggested = (suggestion.decision() for suggestion in suggestions)
    decisions = (*table.decisions, *chosen, *suggested, *read.decisions)
    panel = replace(panel, findings=(*table.findings, *noticed, *panel.findings))
    panel = mask_provisional(panel, settings.delay)
    if settings.transform in DERIVED:
        panel = derive_target(panel, settings.transform, realised=reading.realised and _several_rows_a_step(read))
        decisions = (*decisions, derived_decision(panel.schema))
    if settings.counts:
        check_counts(panel)
    elif settings.counts is None and settings.transform not in DERIVED and (found := choose_counts(panel)) is not None:
        decisions = (*decisions, found)
        settings = replace(settings, counts=True)
    if settings.counts:
        panel = replace(panel, schema=replace(panel.schema, counts=True))
    return Opened(table, panel, replace(reading, max_rows=None), decisions, read.frequency, suggestions)


def read_table(table: Table, schema: Schema, freq: str | None, progress: Progress) -> PanelRead:
    """The panel of a tidy table. Raises as `read_panel` does."""
    return read_panel(
        table.rows,
        schema,
        reading=table.reading,
        freq=freq,
        where=table.where,
        files=table.files,
        progress=progress,
    )


def wishes_left(settings: Settings) -> Settings:
    """What the network still has to do of the settings after a table was opened with them: a derived y is as it is."""
    return replace(settings, transform=None) if settings.transform in DERIVED else settings


def open_again(
    forecaster: Forecaster,
    data: Source,
    *,
    future_data: Source | None = None,
    duplicates: Duplicates | None = None,
    max_rows: int | None = None,
    share: Share | None = None,
    progress: Progress = SILENT,
) -> Panel:
    """The panel that a fitted model forecasts from; its findings say what changed since.

    `share`: of the series that are read; by default all are.
    """
    schema, horizon = forecaster.schema.as_read, forecaster.config.horizon
    reading = forecaster.reading
    reading = replace(reading, duplicates=duplicates or reading.duplicates, max_rows=max_rows)
    ahead: tuple[Finding, ...] = ()
    with _hinting(AS_FITTED), collecting(where_of(data)):
        scanned = scan(data, reading)
        table = tidy(scanned, roles_again(schema, reading, scanned.rows.collect_schema()), reading)
        check_schema(table.rows, schema, names_are_ids=reading.wide)
    rows = table.rows if share is None else of_share(table.rows, schema.ids, share)
    if future_data is not None:
        rows, ahead = _with_future(rows, future_data, forecaster, reading)
    with _hinting(AS_FITTED), collecting(where_of(data)):
        cells = check_cells(table, schema)
        read = read_table(replace(table, rows=rows, reading=reading), schema, forecaster.frequency, progress)
    findings = (*table.findings, *cells, *ahead, *_read_differently(table, read, reading))
    if future_data is not None:
        findings = (*findings, *check_future(read.panel, schema, horizon, where=where_of(future_data)))
    panel = replace(read.panel, findings=(*findings, *read.panel.findings))
    panel = mask_provisional(panel, forecaster.config.delay)
    if forecaster.schema.derived:
        panel = derive_target(
            panel, forecaster.schema.derived, realised=reading.realised and _several_rows_a_step(read)
        )
        panel = _under_the_name(panel, forecaster.schema.target, table.where)
    return with_calendar(panel, reading, horizon, forecaster.schema.computed)


def _several_rows_a_step(read: PanelRead) -> bool:
    """Whether several rows were put to one step."""
    return read.regularized is not None and read.regularized.value in ("last", "mean")


def _under_the_name(panel: Panel, target: str, where: str) -> Panel:
    """The panel with the target that the model knows; a finding where it was made in another way."""
    if panel.schema.target == target:
        return panel
    other = Finding("read-differently", f"y is the {panel.schema.target}; the model was fitted on the {target}", where)
    return replace(panel, schema=replace(panel.schema, target=target), findings=(*panel.findings, other))


def _read_differently(table: Table, read: PanelRead, reading: Reading) -> tuple[Finding, ...]:
    """What was decided about this table that was not so about the one that the model was fitted on."""
    changes = []
    if table.decimal is not None and reading.decimal not in (None, table.decimal.value):
        changes.append((table.decimal, f"numbers with a decimal {'comma' if reading.decimal == ',' else 'point'}"))
    if read.missing is not None:
        known = ", ".join(reading.found_missing)
        was = f"a table where only {known} stood for missing" if known else "a table without such numbers"
        changes.append((read.missing, was))
    expected = (reading.regularize, "snap" if reading.snapped else None)
    if read.regularized is not None and read.regularized.value not in expected:
        changes.append((read.regularized, "rows that lay on their steps"))
    return tuple(
        Finding("read-differently", f"{decision.reason}; the model was fitted on {was}", table.where)
        for decision, was in changes
    )


def _with_future(
    rows: pl.LazyFrame, data: Source, forecaster: Forecaster, reading: Reading
) -> tuple[pl.LazyFrame, tuple[Finding, ...]]:
    """The rows with those of the future data appended, and what was noticed in these."""
    schema, where = forecaster.schema.as_read, where_of(data)
    if not schema.given_ahead:
        raise UsageError(
            "future-data-unused",
            "the model reads no known-future covariates, so there is nothing to take from the future data",
            hint="leave --future-data out, or fit with --future",
            where=where,
        )
    with _hinting(AS_THE_TABLE):
        ahead, cells = _tidy_future(data, schema, reading)
    rows, findings = append_future(
        rows,
        ahead.rows,
        schema,
        horizon=forecaster.config.horizon,
        freq=forecaster.frequency,
        where=where,
        reading=reading,
    )
    return rows, (*ahead.findings, *cells, *findings)


def _tidy_future(data: Source, schema: Schema, reading: Reading) -> tuple[Table, tuple[Finding, ...]]:
    """The future data: one row a series and time, however the table itself was laid out.

    Somebody else may have written them: the model's writing of times and numbers counts only where theirs is not clear.
    """
    roles = Roles(schema.ids, (schema.time,), future=schema.given_ahead)
    needed = Schema(schema.time, id=schema.id, past=schema.future, past_words=schema.future_words)
    plain = Reading(
        # Times without a zone are brought to that of the table, as all future data are.
        zone=None if reading.zoned else reading.zone,
        missing=reading.missing,
        found_missing=reading.found_missing,
    )
    with collecting(where_of(data)):
        scanned = scan(data, plain)
        try:
            table = tidy(scanned, roles, plain)
            return table, check_cells(table, needed)
        except TsxError as error:
            if error.setting not in ("time_format", "decimal"):
                raise
            as_fitted = replace(plain, time_format=reading.time_format, decimal=reading.decimal)
            try:
                table = tidy(scanned, roles, as_fitted)
                noticed = check_cells(table, needed)
            except TsxError:
                raise error from None
            if is_text(table.rows.collect_schema()[schema.time]):
                raise
            return table, noticed


OF_EVERY_RUN = ("duplicates", "max_rows")
"""Settings of reading that a forecast takes too; the others are those of the fit."""


AS_FITTED = "the model reads tables as it was fitted to; for another way fit again: {}"
AS_THE_TABLE = "write the future data as the table is written that the model was fitted on"


@contextmanager
def _hinting(hint: str) -> Iterator[None]:
    """A hint that asks for a setting which the fit has fixed becomes this one, in which it may stand for `{}`."""
    try:
        yield
    except TsxError as error:
        if error.setting and error.setting not in OF_EVERY_RUN:
            error.hint = hint.format(error.hint)
        raise


def roles_again(schema: Schema, reading: Reading, columns: Iterable[str]) -> Roles:
    """The roles that lead from a table like the fitted one to its schema."""
    time, past, future = (schema.time,), (*schema.past, *schema.past_words), schema.given_ahead
    if reading.wide:
        # The column of values is made; a series of this table may be called like it.
        target = () if schema.target in columns else (schema.target,)
        return Roles(schema.ids, time, target, past, future, schema.static)
    return Roles(schema.ids, time, reading.stacked or (schema.target,), past, future, schema.static)

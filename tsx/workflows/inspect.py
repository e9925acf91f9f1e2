"""What `tsx inspect` says about a table: its columns and series, how hard they are, and the command that fits it.

Never loads torch, and looks at a sample of rows and series, so that a large table costs little more than its reading;
what was sampled is part of the result. No cell, id or category of the table is in it, apart from its first and last
time.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import polars as pl

from tsx.errors import DataError, TsxError
from tsx.evaluation.naive_scores import NaiveScores, naive_scores
from tsx.io.database import Query
from tsx.io.failures import collecting
from tsx.io.source import Source, scan, words_of
from tsx.panel.panel import Panel
from tsx.profile.advice import advice
from tsx.profile.outliers import outlier_findings
from tsx.profile.personal_data import Suspicion, suspect_columns
from tsx.profile.season import find_season
from tsx.profile.series import SeriesProfile, chosen_series, profile_series
from tsx.progress import Progress
from tsx.shown import Shown
from tsx.spec.command_line import flags
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.spec.setting import declared
from tsx.spec.settings import Reading, Roles
from tsx.spec.verbs import FIT, Request
from tsx.table.label_roles import hinting_at_label, is_outcome_name
from tsx.table.roles import RoleSuggestion
from tsx.table.sentinels import sentinels_of
from tsx.table.tidy import Table, tidy, typed
from tsx.training.choose_link import choose_link
from tsx.workflows.open_table import Opened, open_table

MAX_ROWS = 4_000
FEWEST_ROWS = 400
MAX_CELLS = 1_000_000
PLACES = 8
"""So many places of a large table are looked at: rows of one series often stand together."""
MOSTLY = 0.5
MOST_LISTED = 10
ROW = "__row"
SUGGESTIBLE = ("number", "whole number", "yes/no", "text")
SAME = 0.95
"""A column that moves with the target so closely is rarely a cause of it."""
MOST_OUTCOMES = 100
"""Values that a column of outcomes has at most."""


@dataclass(frozen=True, eq=False)
class TableRequest:
    """A table to be read: where it is, and the roles, reading and frequency as they were given."""

    source: Source
    roles: Roles = field(default_factory=Roles)
    reading: Reading = field(default_factory=Reading)
    freq: str | None = None


@dataclass(frozen=True)
class ColumnProfile:
    """One column, judged on the sampled rows.

    kind      number, whole number, yes/no, text, date, time or other.
    missing   share of the sampled rows without a value (null or NaN).
    distinct  how many different values the sampled rows hold.
    numbers   of a text column: the share of its values that are numbers, where that is most of them.
    role      the part it plays; empty: it is not used. `suggested`: the one it could play, with the `reason`.
    """

    name: str
    kind: str
    missing: float
    distinct: int
    numbers: float | None = None
    personal: Suspicion | None = None
    role: str = ""
    suggested: str = ""
    reason: str = ""


@dataclass(frozen=True)
class ColumnsOverview:
    """The columns of a table, also of one that cannot be read to the end: then `rows` is None."""

    rows: int | None
    sampled: int
    columns: tuple[ColumnProfile, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Inspection(Shown):
    """What is in a table, and the command that fits it.

    Examples:
        >>> inspection = tsx.inspect("sales.parquet")
        >>> inspection.series, inspection.frequency
        (3, '1d')
    """

    schema: Schema
    frequency: str
    decisions: tuple[Decision, ...]
    findings: tuple[Finding, ...]
    steps: int
    """Calendar steps of all series up to their last observed target, those without a row among them."""
    series: int
    first: Any
    last: Any
    missing_share: dict[str, float]
    """Share of those steps without a value, by channel, over the whole table."""
    season: int
    command: str
    label_command: str
    """The command that learns a class of each series, where a column looks like one; else empty."""
    overview: ColumnsOverview
    profile: SeriesProfile
    naive: NaiveScores
    shortest: int
    longest: int
    """Steps of the shortest and of the longest series."""
    frequency_decision: Decision
    season_decision: Decision
    suggestions: tuple[RoleSuggestion, ...]
    """These three stand among `decisions` too."""

    def __repr__(self) -> str:
        return (
            f"Inspection(series={self.series}, steps={self.steps}, frequency={self.frequency!r}, "
            f"season={self.season}, channels={len(self.schema.channels)}, findings={len(self.findings)})"
        )

    def as_frame(self) -> pl.DataFrame:
        """The columns of the table: `name`, `role`, `suggested`, `kind`, `missing`, `distinct`, `reason`.

        >>> inspection.as_frame()["name"].to_list()
        ['store', 'day', 'units', 'price']
        """
        names = ("name", "role", "suggested", "kind", "missing", "distinct", "reason")
        return pl.DataFrame([{name: getattr(column, name) for name in names} for column in self.overview.columns])

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-able values, without what quotes the data.

        >>> inspection.to_dict()["frequency"]
        '1d'
        """
        again = ("frequency_decision", "season_decision", "suggestions")
        values = {part.name: getattr(self, part.name) for part in fields(self) if part.name not in again}
        for name in ("first", "last"):
            values[name] = values[name].isoformat() if hasattr(values[name], "isoformat") else values[name]
        values |= {name: asdict(values[name]) for name in ("schema", "profile")}
        values["decisions"] = [asdict(decision) for decision in self.decisions]
        values["findings"] = [finding.to_dict() for finding in self.findings]
        values["profile"] |= asdict(values.pop("naive"))
        overview = values.pop("overview").to_dict()
        return values | {"rows": overview["rows"], "rows_sampled": overview["sampled"], "columns": overview["columns"]}


def inspect(data: Source, request: Request, progress: Progress) -> Inspection:
    """Inspect a table, as `tsx.inspect` says. Raises as `tsx.inspect` does."""
    table_request = TableRequest(data, request.part(Roles), request.part(Reading), request["freq"])
    with hinting_at_label(data, table_request.roles, table_request.reading):
        read = open_table(data, table_request.roles, table_request.reading, table_request.freq, progress)
    return inspect_table(read, table_request)


def inspect_table(opened: Opened, request: TableRequest) -> Inspection:
    """What the panel of a table is like."""
    table, panel = opened.table, opened.panel
    season = find_season(panel)
    overview = inspect_columns(table, panel.schema, opened.suggestions)
    profile = profile_series(panel, int(season.value))
    labels = [column.name for column in overview.columns if column.suggested == "label"]
    newest = panel.times(np.arange(len(panel)), panel.lengths - 1)
    return Inspection(
        schema=panel.schema,
        frequency=panel.calendar.alias,
        decisions=(*_without_labels(opened.decisions, labels), season, choose_link(panel, int(season.value))),
        findings=(
            *panel.findings,
            *outlier_findings(profile.channels, profile.series),
            *advice(panel, int(season.value)),
            *_personal(overview.columns),
        ),
        steps=int(panel.lengths.sum()),
        series=len(panel),
        first=panel.starts.min(),
        last=newest.max(),
        missing_share=missing_share(panel),
        season=int(season.value),
        command=fit_command(request, panel.schema, table.reading),
        label_command=label_command(request, panel.schema, table.reading, labels[0]) if labels else "",
        overview=overview,
        profile=profile,
        naive=naive_scores(panel, chosen_series(panel), int(profile.horizon.value), int(season.value), profile.steps),
        shortest=int(panel.lengths.min()) if len(panel) else 0,
        longest=int(panel.lengths.max(initial=0)),
        frequency_decision=opened.frequency,
        season_decision=season,
        suggestions=opened.suggestions,
    )


def inspect_columns(
    table: Table, schema: Schema | None = None, suggested: Sequence[RoleSuggestion] = ()
) -> ColumnsOverview:
    """What the columns of `table` hold, from a sample of its rows; where `schema` is known, with the roles they have
    and those that were suggested.

    Raises DataError where not even its first rows can be read.
    """
    with collecting(table.where):
        names = list(table.rows.collect_schema())
        most = int(np.clip(MAX_CELLS // max(1, len(names)), FEWEST_ROWS, MAX_ROWS))
        try:
            with collecting(table.where):
                rows, sample = _sample(table, most)
        except DataError:
            rows, sample = None, table.rows.head(most).collect()
        times = {schema.time} if schema else set(table.roles.time)
        suspected = {suspicion.column: suspicion for suspicion in suspect_columns(sample, times)}
        parts = _parts(schema) if schema else {}
        columns = [_column(sample[name], suspected.get(name), parts.get(name, "")) for name in names]
        if schema is not None:
            columns = _suggest(columns, sample, schema, suggested)
    return ColumnsOverview(rows, len(sample), tuple(columns))


def overview_of_columns(request: TableRequest) -> ColumnsOverview | None:
    """The columns of a table that could not be read to a panel, as far as it can be read; None where it cannot be.

    Standard input cannot be read a second time, and a query is not asked again.
    """
    if request.source == "-" or isinstance(request.source, Query):
        return None
    try:
        scanned = scan(request.source, request.reading)
        try:
            table = tidy(scanned, request.roles, request.reading)
        except TsxError:
            table = typed(scanned, request.roles, request.reading)
        return inspect_columns(table)
    except TsxError:
        return None


def missing_share(panel: Panel) -> dict[str, float]:
    """Share of the history's steps without a value, by channel."""
    names, total = panel.schema.channels, int(panel.lengths.sum())
    # Adding up is many times as fast as looking for NaN in each, and most tables have none.
    if not total or not np.isnan(panel.values.ravel().sum()):
        return dict.fromkeys(names, 0.0)
    ahead = np.diff(panel.offsets) - panel.lengths
    inner = np.arange(ahead.sum()) - np.repeat(np.cumsum(ahead) - ahead, ahead)
    after = np.repeat(panel.offsets[:-1] + panel.lengths, ahead) + inner
    empty = (
        np.count_nonzero(np.isnan(panel.values[:, c])) - np.count_nonzero(np.isnan(panel.values[after, c]))
        for c in range(len(names))
    )
    return {name: number / total for name, number in zip(names, empty, strict=True)}


def fit_command(request: TableRequest, schema: Schema, reading: Reading) -> str:
    """The command line that fits this table with these roles, quoted for a POSIX shell.

    Columns that came about in reading (of a wide table, of several targets) are not in the file: there the user's own
    roles are given back, and `fit` comes to the same table.
    """
    roles = request.roles
    given = _same_series(request, schema, reading) | {
        "target": roles.target or reading.stacked or (() if reading.wide else (schema.target,)),
        "past": (*schema.past, *schema.past_words),
        "future": schema.given_ahead,
        "static": schema.static,
        "freq": request.freq,
        "wide": reading.wide or request.reading.wide,
    }
    return shlex.join(["tsx", "fit", *words_of(request.source), *flags(FIT, given)])


def label_command(request: TableRequest, schema: Schema, reading: Reading, label: str) -> str:
    """The command line that learns the `label` of the same series from every other column."""
    given = _same_series(request, schema, reading) | {"label": label}
    return shlex.join(["tsx", "fit", *words_of(request.source), *flags(FIT, given)])


def _same_series(request: TableRequest, schema: Schema, reading: Reading) -> dict[str, Any]:
    """How the table was read, and the columns that tell its series and times apart, as settings of `fit`."""
    roles = request.roles
    reshaped = reading.wide or bool(reading.stacked)
    given = {one.name: getattr(request.reading, one.name) for one in declared(Reading)}
    return given | {
        "id": roles.id or (() if reshaped or reading.id_from else schema.ids),
        "time": roles.time or reading.time_parts or (() if reading.wide else (schema.time,)),
    }


def _without_labels(decisions: Sequence[Decision], labels: Sequence[str]) -> Iterator[Decision]:
    """The decisions, less the advice to read what looks like a label as a covariate."""
    for decision in decisions:
        if decision.name != "unused_columns":
            yield decision
        elif rest := [name for name in decision.value if name not in labels]:
            yield replace(decision, value=rest)


def _sample(table: Table, most: int) -> tuple[int, pl.DataFrame]:
    """The number of rows and some of them: all of a small table, else runs of rows from 8 places of it."""
    rows = table.rows
    total = int(rows.select(pl.len()).collect(engine="streaming").item())
    if total <= most:
        return total, rows.collect(engine="streaming")
    if table.reading.wide or table.reading.stacked:
        # A slice of stacked columns is no cheaper than all of them, so one streaming pass has to do.
        every = -(-total // most)
        some = rows.with_row_index(ROW).filter(pl.col(ROW).hash(0) % every == 0).drop(ROW)
        return total, some.collect(engine="streaming")
    run = most // PLACES
    begins = np.linspace(0, total - run, PLACES).astype(int).tolist()
    # One after the other: a slice is only pushed down into the file where it is the whole query.
    return total, pl.concat([rows.slice(begin, run).collect(engine="streaming") for begin in begins])


def _column(values: pl.Series, suspicion: Suspicion | None, role: str) -> ColumnProfile:
    dtype = values.dtype
    known = values.drop_nulls()
    if dtype.is_float():
        known = known.drop_nans()
    if dtype.is_numeric() and role not in ("id", "time"):
        known = known.filter(~known.is_in(sentinels_of(known)))
    numbers = None
    if dtype == pl.String and len(known):
        share = float(known.cast(pl.Float64, strict=False).is_not_null().mean() or 0.0)  # type: ignore[arg-type]
        numbers = round(share, 4) if share >= MOSTLY else None
    return ColumnProfile(
        name=values.name,
        kind=_kind(dtype),
        missing=1 - len(known) / len(values) if len(values) else 0.0,
        distinct=0 if dtype.is_nested() else known.n_unique(),
        numbers=numbers,
        personal=suspicion,
        role=role,
    )


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "whole number"
    if dtype.is_numeric():
        return "number"
    named = {
        pl.Boolean: "yes/no",
        pl.Date: "date",
        pl.Datetime: "time",
        pl.String: "text",
        pl.Categorical: "text",
        pl.Enum: "text",
    }
    return next((name for kind, name in named.items() if dtype == kind), "other")


def _parts(schema: Schema) -> dict[str, str]:
    named = {
        "id": schema.ids,
        "time": (schema.time,),
        "target": (schema.target,),
        "past": (*schema.past, *schema.past_words),
        "future": schema.given_ahead,
        "static": schema.static,
    }
    return {name: part for part, names in named.items() for name in names}


def _suggest(
    columns: list[ColumnProfile], sample: pl.DataFrame, schema: Schema, suggested: Sequence[RoleSuggestion]
) -> list[ColumnProfile]:
    """The roles that unused columns could have: by the sampled rows, else as suggested."""
    free = [
        column.name
        for column in columns
        if not column.role and column.personal is None and column.distinct > 1 and column.kind in SUGGESTIBLE
    ]
    kinds = {column.name: column.kind for column in columns}
    few = {column.name: column.distinct <= MOST_OUTCOMES for column in columns}
    by_first_rows = {
        column: (suggestion.role, suggestion.reason)
        for suggestion in suggested
        if suggestion.role is not None
        for column in suggestion.columns
    }
    same = _moving_with_target(sample, [name for name in free if kinds[name] != "text"], schema)
    whole = {column.name for column in columns if not column.missing}
    constant, series = _constant_in_series(sample, [name for name in free if name in whole], schema)
    per_series = {*constant, *(name for name, (role, _) in by_first_rows.items() if role == "static")}
    suggestions = {}
    for name in free:
        if name in same:
            together = f"correlation {same[name]:.2f} within a series"
            suggestions[name] = ("", f"moves with the target ({together}): perhaps the same in other words")
        elif is_outcome_name(name) and few[name] and name in per_series:
            reason = "constant within each series and named as an outcome; as an input it would give the answer away"
            suggestions[name] = ("label", reason)
        elif name in constant:
            suggestions[name] = ("static", f"constant within all {series:,} sampled series, and different between them")
        elif name in by_first_rows:
            suggestions[name] = by_first_rows[name]
    return [
        replace(column, suggested=suggestions[column.name][0], reason=suggestions[column.name][1])
        if column.name in suggestions
        else column
        for column in columns
    ]


def _moving_with_target(sample: pl.DataFrame, names: Sequence[str], schema: Schema) -> dict[str, float]:
    """The columns that correlate with the target of the same time, each around its mean in its series."""
    if not names:
        return {}
    values = [pl.col(name).cast(pl.Float64).fill_nan(None) for name in (schema.target, *names)]
    if schema.ids:
        values = [value - value.mean().over(schema.ids) for value in values]
    around = sample.select(value.alias(str(k)) for k, value in enumerate(values))
    both = [pl.col("0").is_not_null() & pl.col(str(k)).is_not_null() for k in range(1, len(values))]
    correlations = around.select(
        pl.corr(pl.col("0").filter(seen), pl.col(str(k)).filter(seen)).alias(str(k))
        for k, seen in enumerate(both, start=1)
    ).row(0)
    return {name: r for name, r in zip(names, correlations, strict=True) if r is not None and SAME <= abs(r) <= 1.01}


def _constant_in_series(sample: pl.DataFrame, names: Sequence[str], schema: Schema) -> tuple[set[str], int]:
    """The columns that never change within the sampled series of several rows, and how many such series there are."""
    if not schema.ids or not names:
        return set(), 0
    counts = [pl.col(name).n_unique().alias(f"c{k}") for k, name in enumerate(names)]
    series = sample.group_by(pl.struct(schema.ids).alias("id"))
    each = series.agg(pl.len().alias("rows"), *counts).filter(pl.col("rows") > 1)
    if len(each) < 2:
        return set(), len(each)
    return {name for k, name in enumerate(names) if each[f"c{k}"].max() == 1}, len(each)


def _personal(columns: Sequence[ColumnProfile]) -> list[Finding]:
    """That columns look like data about persons; of the id column also where ids appear."""
    suspected = [(column, column.personal) for column in columns if column.personal is not None]
    if not suspected:
        return []
    listed = ", ".join(f"{column.name!r} ({suspicion.words})" for column, suspicion in suspected[:MOST_LISTED])
    if len(suspected) > MOST_LISTED:
        listed += f" and {len(suspected) - MOST_LISTED:,} more"
    many = f"{len(suspected)} columns look" if len(suspected) > 1 else "1 column looks"
    findings = [
        Finding(
            "personal-data", f"{many} like data about persons: {listed}", suspected[0][0].name, count=len(suspected)
        )
    ]
    findings += [
        Finding(
            "personal-id",
            f"the id column {column.name!r} looks like {suspicion.words}: ids stand in forecasts "
            "and reports (a model keeps only hashes of them); replace them by codes where others may read those",
            column.name,
            count=1,
        )
        for column, suspicion in suspected
        if column.role == "id"
    ]
    return findings

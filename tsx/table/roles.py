"""Which column of a table plays which part: what the user named is checked, the rest is chosen and the reason kept."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.io.failures import collecting
from tsx.spec.decision import Decision
from tsx.spec.schema import Schema, one_or_several
from tsx.table.infer_roles import (
    SAME_COLUMNS,
    Types,
    calendar_like,
    check_id_type,
    check_names,
    infer_id,
    infer_target,
    infer_time,
    is_id_name,
    is_text,
    is_time,
    kind_of,
    similar,
    type_wrong,
    whole_times,
)
from tsx.table.text_values import sides_of
from tsx.table.tidy import Table
from tsx.wording import column_list, count, verb

OWN_COLUMNS = {
    *("cutoff", "step", "y", "model", "yhat"),
    *("base_value", "feature", "lag", "oldest_lag", "distance", "value", "shap", "shap_se", "weight"),
}
"""Columns that forecasts, backtests and explanations bring beside the user's id and time; `q0.1`, `p_above_180` and
the like too."""
AS_NUMBERS_BEGIN = r"^\s*[<>≤≥~+-]*\s*[.,]?\d"
"""How a text begins that was meant as a number, with a bound or a unit perhaps."""
GLANCE_ROWS = 20_000
"""The first rows, by which columns are suggested for a part."""
MOST_SUGGESTED = 1000
"""Columns that are looked at for suggestions."""


@dataclass(frozen=True)
class RoleSuggestion:
    """Columns without a role that could have one, and why; role None: they repeat what the time says already."""

    role: str | None
    columns: tuple[str, ...]
    reason: str

    def decision(self) -> Decision:
        name = "calendar_like" if self.role is None else f"suggested_{self.role}"
        return Decision(name, list(self.columns), self.reason)


def find_roles(tidied: Table, too_short: Collection[str] = ()) -> tuple[Schema, tuple[Decision, ...]]:
    """The roles of the table's columns and a decision for every one that the user did not name.

    `too_short`: columns that go on after the last target, but not for a forecast's horizon, and so are not known ahead.
    Errors: ConfigError `column-not-found`, `column-twice`, `column-type-wrong`, `column-name-taken`;
    DataError `no-time-column`, `time-ambiguous`, `no-target-column`.
    """
    table, roles = tidied.rows, tidied.roles
    ids, past, future, static = roles.id, roles.past, roles.future, roles.static
    time = roles.time[0] if roles.time else None
    target = roles.target[0] if roles.target else None
    with collecting(tidied.where):
        types = dict(table.collect_schema())
        check_names(roles.by_role, types, names_are_ids=tidied.reading.wide)
        decisions = []
        taken = {*roles.besides_time, *roles.time[:1]}
        if time is None:
            time, reason = infer_time(table, types, taken, tidied.reading.time_format)
            decisions.append(Decision("time", time, reason))
            taken.add(time)
        if not ids:
            ids, reason = infer_id(table, types, time, taken)
            of_rows: list[str] = []
            while ids and _tells_kinds(table, types, time, ids, taken, target):
                of_rows += ids
                ids, reason = infer_id(table, types, time, {*taken, *of_rows})
            if of_rows:
                tells = f"{column_list(of_rows)} {verb(len(of_rows), 'tells')} kinds of rows apart, not series"
                reason = f"{reason}; {tells}" if ids else f"one series: {tells}"
            decisions.append(Decision("id", one_or_several(ids), reason))
            taken |= {*ids}
        if target is None:
            target, reason = infer_target(table, types, time, ids, taken)
            decisions.append(Decision("target", target, reason))
            taken.add(target)
        schema = with_words(
            Schema(time, target, one_or_several(ids), tuple(past), tuple(future), tuple(static)), types, table
        )
        check_types(schema, types, table)
        unused = _unused_numbers(types, taken)
        long = [name for name in unused if name not in too_short]
        known = () if future or not long else _known_ahead(table, ids, time, target, long)
    if known:
        decisions.append(
            Decision(
                "future",
                list(known),
                f"{count(len(known), 'numeric column')} with values in every row after the last target",
            )
        )
        unused = [name for name in unused if name not in known]
    if unused:
        decisions.append(
            Decision(
                "unused_columns",
                unused,
                "numeric, but covariates are not guessed; use them with "
                "--past (known up to now) or --future (known ahead)",
            )
        )
    return replace(schema, future=(*schema.future, *known)), tuple(decisions)


def with_words(schema: Schema, types: Types, table: pl.LazyFrame) -> Schema:
    """The schema with past and known-future covariates told apart into numbers and words. Call inside `collecting`.

    A column of texts of which most begin as numbers do is no column of words: it holds numbers that cannot be read.
    """
    texts = [name for name in (*schema.past, *schema.future) if is_text(types[name])]
    if not texts:
        return schema
    cells = (pl.col(name).cast(pl.String).drop_nulls() for name in texts)
    shares = table.select(cell.str.contains(AS_NUMBERS_BEGIN).mean().fill_null(0.0) for cell in cells)
    row = shares.collect(engine="streaming").row(0, named=True)
    words = {name for name in texts if row[name] < 0.5}
    return replace(
        schema,
        past=tuple(name for name in schema.past if name not in words),
        future=tuple(name for name in schema.future if name not in words),
        past_words=tuple(name for name in schema.past if name in words),
        future_words=tuple(name for name in schema.future if name in words),
    )


def _tells_kinds(
    table: pl.LazyFrame, types: Types, time: str, ids: Sequence[str], taken: Collection[str], target: str | None
) -> bool:
    """Whether the column found for the id tells kinds of rows (readings, meals) and not series: some of its values have
    no target, and the rows that have one repeat no time without it.
    """
    if target is None:
        try:
            target, _ = infer_target(table, types, time, ids, {*taken, *ids})
        except DataError:
            return False  # said once the id is decided
    if is_id_name(ids[0]) or not (types[target].is_numeric() or types[target] == pl.Boolean):
        return False
    sample = whole_times(table, [time, *ids, target])
    held = sample.filter(observed(target).is_not_null())
    return 0 < held[ids[0]].n_unique() < sample[ids[0]].n_unique() and not held[time].is_duplicated().any()


def suggest_roles(tidied: Table, schema: Schema) -> tuple[RoleSuggestion, ...]:
    """What the columns without a role in `schema` could be, by the first rows of the table.

    Raises DataError where these cannot be read.
    """
    table, ids, time = tidied.rows, schema.ids, schema.time
    with collecting(tidied.where):
        types = dict(table.collect_schema())
        taken = {*ids, time, *schema.columns}
        numeric = _unused_numbers(types, taken)[:MOST_SUGGESTED]
        texts = [name for name, dtype in types.items() if is_text(dtype) and name not in taken]
        looked = [*numeric, *texts[: MOST_SUGGESTED - len(numeric)]]
        if not looked:
            return ()
        sample = table.select(*ids, time, *looked).head(GLANCE_ROWS).collect(engine="streaming")
    calendar = calendar_like(sample, time, numeric)
    static = [name for name in _constant(sample, ids, looked) if name not in calendar] if ids else []
    past = [name for name in numeric if name not in (*calendar, *static)]
    suggestions = (
        RoleSuggestion(None, tuple(calendar), "these repeat what the time says already; --calendar brings the like"),
        RoleSuggestion("static", tuple(static), "constant within each series; use them with --static"),
        RoleSuggestion("past", tuple(past), "numeric, and not known after the last target; use with --past"),
    )
    return tuple(suggestion for suggestion in suggestions if suggestion.columns)


def _unused_numbers(types: Types, taken: Collection[str]) -> list[str]:
    """The numeric columns without a role, but those that are named like an id."""
    return [name for name, dtype in types.items() if dtype.is_numeric() and name not in taken and not is_id_name(name)]


def observed(column: str) -> pl.Expr:
    """The column as float64 with NaN turned to null: both mean that nothing was observed."""
    return pl.col(column).cast(pl.Float64).fill_nan(None)


def check_schema(table: pl.LazyFrame, schema: Schema, *, names_are_ids: bool = False) -> None:
    """That a later table has the columns that a model was fitted on, with fitting types; call inside `collecting`.

    names_are_ids: the table is wide, so no column is named that the model was not fitted on.
    Errors: DataError `column-missing`; ConfigError `column-type-wrong`, `column-name-taken`.
    """
    types = dict(table.collect_schema())
    needed = {
        **dict.fromkeys(schema.ids, "id"),
        schema.time: "time",
        **({schema.target: "target"} if schema.target else {}),
        **({schema.label: "label"} if schema.label else {}),
        **dict.fromkeys((*schema.past, *schema.past_words), "past covariate"),
        **dict.fromkeys(schema.given_ahead, "future covariate"),
        **dict.fromkeys(schema.static, "static covariate"),
    }
    missing = [name for name in needed if name not in types]
    if missing:
        others = [] if names_are_ids else [name for name in types if name not in needed]
        near = similar(missing[0], others)
        also = f" and {len(missing) - 1:,} more of its columns" if len(missing) > 1 else ""
        raise DataError(
            "column-missing",
            f"the model needs the column {missing[0]!r} ({needed[missing[0]]}){also}; the table has "
            + (f"{len(types):,} columns" if names_are_ids else column_list(types)),
            hint=f"it looks renamed to {near!r}; rename it back" if near is not None else SAME_COLUMNS,
            where=missing[0],
            values=column_list(types) if names_are_ids else "",
        )
    check_types(schema, types, table, later=True)


def check_types(schema: Schema, types: Types, table: pl.LazyFrame, *, later: bool = False) -> None:
    """later: the table is read for a model that exists, whose columns are not up for choice."""
    for name in (*schema.id_names, schema.time) if schema.target else ():
        if name in OWN_COLUMNS or re.fullmatch(r"q0?\.\d+|p_(any_)?(above|below)_.+", name):
            raise ConfigError(
                "column-name-taken",
                f"the id or time column is called {name!r}, as is a column of every result",
                hint="rename it in the table",
                where=name,
            )
    dtype = types[schema.time]
    if not (is_time(dtype) or dtype.is_integer()):
        what = "holds text that is no time" if is_text(dtype) else f"holds {kind_of(dtype)}"
        raise type_wrong(
            f"time column {schema.time!r} {what}",
            "use dates or times, such as 2024-05-31 or 2024-05-31T08:00:00, or whole numbers; other ways to write "
            "them are said with --time-format",
            schema.time,
            later,
        )
    for name in schema.ids:
        check_id_type(name, types[name], later=later)
    for name in (*((schema.target,) if schema.target else ()), *schema.past, *schema.future):
        dtype = types[name]
        if is_text(dtype):
            texts = pl.col(name).cast(pl.String)
            bad = texts.filter(texts.is_not_null() & texts.cast(pl.Float64, strict=False).is_null())
            facts = table.select(bad.len(), words=bad.n_unique(), cells=texts.count()).collect(engine="streaming")
            number, words, cells = facts.row(0)
            sides = sides_of(table.select(texts).head(GLANCE_ROWS).collect()[name])
            bounds = (
                f"if cells such as <0.5 give bounds, take these with --censored {','.join(sides)}; " if sides else ""
            )
            one_word = (
                "if that one word means missing, name it with --missing; else "
                if words == 1 and 1 < number < cells
                else ""
            )
            constant = "" if name == schema.target else "; text that is constant per series may be --static"
            codes = "" if name == schema.target or later else "; write codes that are no numbers with a letter first"
            raise type_wrong(
                f"column {name!r} holds text, {count(number, 'cell')} of it no number",
                f"{bounds}{one_word}keep numbers without a unit, and leave missing cells empty{constant}{codes}",
                name,
                later,
            )
        if not (dtype.is_numeric() or (dtype == pl.Boolean and name != schema.target)):
            raise type_wrong(
                f"column {name!r} holds {kind_of(dtype)}; numbers are needed", "name a numeric column", name, later
            )
    for name in schema.words:
        if not (is_text(types[name]) or types[name].is_integer() or types[name] in (pl.Boolean, pl.Null)):
            raise type_wrong(
                f"column {name!r} holds {kind_of(types[name])}; words are needed", "name a column of text", name, later
            )
    for name in schema.static:
        dtype = types[name]
        if not (dtype.is_numeric() or dtype == pl.Boolean or is_text(dtype)):
            raise type_wrong(f"static column {name!r} holds {kind_of(dtype)}", "use numbers or text", name, later)


def _known_ahead(
    table: pl.LazyFrame, ids: Sequence[str], time_column: str, target: str, columns: Sequence[str]
) -> tuple[str, ...]:
    """Those columns that are observed in every row after its series' last target, where half the series have such."""
    has_no_target = observed(target).is_null()
    beyond = [(has_no_target & observed(name).is_not_null()).any().alias(name) for name in columns]
    row = table.select(beyond).collect(engine="streaming").row(0, named=True)
    columns = [name for name in columns if row[name]]
    if not columns:
        return ()
    rows = table.select(
        (pl.struct(ids) if ids else pl.lit(0)).alias("\x1fid"),
        pl.col(time_column).alias("\x1ftime"),
        observed(target).alias("\x1ftarget"),
        *(observed(name).alias(name) for name in columns),
    )
    time = pl.col("\x1ftime")
    ends = (
        rows.group_by("\x1fid")
        .agg(time.max().alias("\x1fend"), time.filter(pl.col("\x1ftarget").is_not_null()).max().alias("\x1flast"))
        .collect(engine="streaming")
    )
    ahead = ends.filter(pl.col("\x1fend") > pl.col("\x1flast"))
    if ahead.is_empty() or 2 * len(ahead) < len(ends):
        return ()
    tails = rows.join(ahead.lazy(), on="\x1fid").filter(time > pl.col("\x1flast"))
    missing = tails.select(pl.col(name).null_count() for name in columns).collect(engine="streaming")
    return tuple(name for name in columns if missing[name].item() == 0)


def _constant(sample: pl.DataFrame, ids: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Columns that never change within a series of several rows, but do between series."""
    per_series = sample.group_by(ids).agg(
        pl.len().alias("\x1frows"), *(pl.col(name).n_unique().alias(name) for name in columns)
    )
    long = per_series.filter(pl.col("\x1frows") > 1)
    if len(long) < 2:
        return []
    return [name for name in columns if long[name].max() == 1 and sample[name].n_unique() > 1]

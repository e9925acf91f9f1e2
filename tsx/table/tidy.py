"""From columns as they came to one row a series and time, typed: the steps, each a function from draft to draft.

All of it is lazy but for looks at samples, and counts over all rows where a sample leaves something open.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import polars as pl

from tsx.io.failures import collecting
from tsx.io.raw_table import RawTable
from tsx.io.source import FILE_COLUMN
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles
from tsx.table import text_values, time_formats, validation
from tsx.table.column_types import type_columns
from tsx.table.draft import Draft
from tsx.table.infer_roles import is_id_name
from tsx.table.time_column import find_time, join_time_parts, read_time, rows_without_time
from tsx.table.to_long import to_long
from tsx.table.validation import Check, missing_numbers, null_where_missing
from tsx.table.zones import to_zone
from tsx.wording import count, verb


@dataclass(frozen=True, eq=False)
class Table:
    """A tidy table: its rows, the roles and the reading as decided, and what was noticed on the way."""

    rows: pl.LazyFrame
    roles: Roles
    reading: Reading
    where: str
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()
    checks: tuple[Check, ...] = field(default=(), repr=False)
    """What is to be verified over all rows once it is known which columns are used."""
    decimal: Decision | None = None
    """The decision about the decimal mark, where its text columns have one that needs a reason."""
    files: int = 1


def tidy(raw: RawTable, roles: Roles, reading: Reading) -> Table:
    """One row a series and time, typed: numbers, yes or no and times out of text, and wide tables made long.

    In the table that comes back the roles are those of the long form (id `series`, target `value` where columns were
    stacked), and the reading holds everything that was decided, so that a later table is read in the same way.

    Errors: ConfigError `column-not-found`, `column-type-wrong`,
    `roles-contradict`, `time-format-unknown`, `zone-unknown`, `time-parts-unknown`; DataError
    `time-ambiguous`, `time-not-in-zone`, `time-twice`, `column-missing`, `duplicate-rows`, `no-id-column`,
    `no-target-column`.
    """
    with collecting(raw.where):
        return _table(to_long(_read_rows(raw, roles, reading)), raw)


def tidy_sequences(raw: RawTable, roles: Roles, reading: Reading) -> Table:
    """As `tidy`, of a table to classify, whose columns are channels of one series and are never stacked."""
    with collecting(raw.where):
        return _table(_read_rows(raw, roles, reading), raw)


def _read_rows(raw: RawTable, roles: Roles, reading: Reading) -> Draft:
    """The rows as they came, typed, with their times read."""
    time_formats.check_format(reading.time_format)
    if reading.zone is not None:
        time_formats.check_zone(reading.zone)
    if reading.id_from == "filename" and not roles.id:
        roles = replace(roles, id=(FILE_COLUMN,))
    draft = _with_time(raw, roles, reading)
    if "time" in reading.skip_rows_without and (lacking := rows_without_time(draft)) is not None:
        readable, finding = lacking
        raw = replace(raw, rows=raw.rows.filter(readable), findings=(*raw.findings, finding))
        draft = _with_time(raw, roles, reading)
    return to_zone(_without_missing_numbers(draft))


def _table(draft: Draft, raw: RawTable) -> Table:
    return Table(
        draft.rows,
        draft.roles,
        draft.reading,
        raw.where,
        decisions=draft.decisions,
        findings=tuple(one if one.where else replace(one, where=raw.where) for one in draft.findings),
        checks=draft.checks,
        decimal=draft.columns.decimal,
        files=raw.files,
    )


def typed(raw: RawTable, roles: Roles, reading: Reading) -> Table:
    """The columns with their types as far as each says by itself: nothing is put together, and no row is left out.

    Errors: ConfigError `time-format-unknown`.
    """
    time_formats.check_format(reading.time_format)
    with collecting(raw.where):
        draft = _typed(raw, roles, reading)
        return Table(draft.rows, draft.roles, draft.reading, raw.where)


def _with_time(raw: RawTable, roles: Roles, reading: Reading) -> Draft:
    """The draft whose columns have their types and whose time column is found and read."""
    return read_time(find_time(join_time_parts(_typed(raw, roles, reading))))


def _typed(raw: RawTable, roles: Roles, reading: Reading) -> Draft:
    """The draft that the other steps begin with: every column with its type, and what is to be verified of its text."""
    rows = raw.rows
    bounds: tuple[Check, ...] = ()
    if reading.censored:
        texts = [name for name, dtype in rows.collect_schema().items() if dtype == pl.String and name != FILE_COLUMN]
        pattern = text_values.bound_pattern(reading.censored)
        bounds = tuple(Check(rows, name, name, bounds=pattern) for name in texts)
        rows = text_values.without_bounds(rows, texts, reading.censored)
    columns = type_columns(rows, roles, reading)
    findings = raw.findings
    if columns.flagged:
        cells, number = text_values.count_flags(rows, columns.flagged), len(columns.flagged)
        message = (
            f"{count(cells, 'cell')} of {count(number, 'column')} {verb(cells, 'has')} a flag behind the number, such "
            "as p for provisional, which is left out"
        )
        findings = (*findings, Finding("flags-left-out", message, raw.where, count=cells))
    doubtful = columns.mark is None
    checks = tuple(
        Check(columns.texts, name, name, form, words=reading.missing, doubtful=doubtful)
        for name, form in columns.forms.items()
        if form.kind in ("number", "boolean")
    )
    decisions = (*raw.decisions, *([columns.decimal] if columns.decimal else ()))
    if reading.decimal is None and columns.mark_shown:
        reading = replace(reading, decimal=columns.mark)
    return Draft(columns, roles, reading, decisions=decisions, findings=findings, checks=(*bounds, *checks))


def _without_missing_numbers(draft: Draft) -> Draft:
    """The draft with null for numbers that mean missing, such as -999.

    The user names these numbers, or they were detected in an earlier table. Times and ids keep theirs.
    """
    time, static = draft.time, draft.roles.static
    words = (*draft.reading.missing, *draft.reading.found_missing)
    # Steps of a time column are never missing.
    checks = [
        replace(check, words=()) if check.column == time and isinstance(check.form, text_values.Form) else check
        for check in draft.checks
    ]
    if not missing_numbers(words):
        return replace(draft, checks=tuple(checks))
    whole = {name for name in (draft.roles.label, draft.roles.keep_together) if name is not None}
    unchanged = {*static, time, *draft.roles.id, *whole}
    checks = [
        check if check.column in unchanged or is_id_name(check.column) else replace(check, words=words)
        for check in checks
    ]
    columns = draft.columns
    for name, dtype in draft.types.items():
        if dtype.is_numeric() and name not in (time, *draft.roles.id, *whole) and not is_id_name(name):
            # Numbers detected in the channels are not used for a static column.
            applicable = draft.reading.missing if name in static else words
            columns = columns.reading(name, null_where_missing(columns.expr(name), applicable), dtype)
            if name not in columns.forms:
                checks.append(Check(columns.rows, name, name, words=applicable))
    return replace(draft, columns=columns, checks=tuple(checks))


def check_cells(table: Table, schema: Schema) -> tuple[Finding, ...]:
    """Verify the columns that are used over all rows: every cell is what its column holds, or says that it is missing.

    Returns findings for the words and numbers that mean missing. Errors: DataError `cells-not-numbers`,
    `times-unreadable`, `decimal-ambiguous`.
    """
    with collecting(table.where):
        return validation.run(table.checks, (schema.time, *schema.columns))

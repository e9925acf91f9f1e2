"""The type of every column: what the text columns hold, and which columns of numbers are points of time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import polars as pl

from tsx.io.source import FILE_COLUMN
from tsx.spec.decision import Decision
from tsx.spec.settings import Reading, Roles
from tsx.table import text_values, time_formats
from tsx.table.infer_roles import is_id_name, is_time_name
from tsx.table.time_parts import CLOCK_NAMES, unit_named

MOST_TIME_COLUMNS = 50
"""So many text columns are looked at for times; a table of more names its time column."""
GLANCE = 200
"""Cells that show whether a text column holds times at all."""


TYPES: dict[str, pl.DataType] = {
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
    "instant": pl.Datetime("us", "UTC"),
    "clock": pl.Time(),
}


@dataclass(frozen=True, eq=False)
class ColumnTypes:
    """The table's columns with the expressions that type them.

    types: of all columns once read. read: expressions for the times; those for other text columns follow from their
    forms, and are made for the columns that are used. forms, dates: what text columns hold, by their cells. numbers:
    columns of numbers that are times, with their epoch, `digits` or `excel`. counts: of the sample's cells, by text
    column. mark: the decimal mark, None where every marked cell could be two numbers.
    """

    rows: pl.LazyFrame
    types: dict[str, pl.DataType]
    read: dict[str, pl.Expr]
    forms: dict[str, text_values.Form] = field(default_factory=dict)
    dates: dict[str, time_formats.TimeForm] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    mark: text_values.Mark | None = "."
    mark_reason: str = ""
    mark_shown: bool = False
    """Whether the mark was given or stands in some cell."""
    sample: pl.DataFrame = field(default_factory=pl.DataFrame)
    every_row: bool = True
    """Whether the sample holds all rows."""
    texts: pl.LazyFrame = field(default_factory=pl.LazyFrame)
    """The rows of the text columns: the sample where that is everything, for it need not be read again."""

    def expr(self, column: str) -> pl.Expr:
        """What reads the column."""
        if (read := self.read.get(column)) is not None:
            return read.alias(column)
        return text_values.value_of(column, self.forms[column]) if column in self.forms else pl.col(column)

    def reading(self, column: str, expr: pl.Expr, dtype: pl.DataType) -> ColumnTypes:
        """The same columns, of which `column` is read by `expr`."""
        return replace(self, read={**self.read, column: expr}, types={**self.types, column: dtype})

    def is_empty(self, column: str) -> bool:
        """Whether a column holds nothing at all."""
        dtype = self.types[column]
        return dtype == pl.Null or (dtype == pl.String and column in self._empty_texts)

    @cached_property
    def _empty_texts(self) -> set[str]:
        return set(self.sample.columns) - set(self.counts)

    @property
    def decimal(self) -> Decision | None:
        """The decision about the decimal mark, where cells have one that needs a reason."""
        return Decision("decimal", self.mark, self.mark_reason) if self.counts and self.mark_reason else None

    def holds_decimals(self, column: str) -> bool:
        """Whether a column holds numbers, and not only whole ones."""
        row = self.counts.get(column)
        if row is None:
            return self.types[column].is_float()
        return bool(row["whole"] < row["cells"] == max(row["point"], row["comma"]))

    @property
    def kinds(self) -> dict[str, time_formats.Kind]:
        """Which columns hold dates, dates with a clock and clock times."""
        kinds: dict[str, time_formats.Kind] = {name: form.kind for name, form in self.dates.items()}
        for name, dtype in self.types.items():
            if isinstance(dtype, pl.Datetime):
                kinds[name] = "instant" if dtype.time_zone else "datetime"
            elif isinstance(dtype, pl.Date):
                kinds[name] = "date"
            elif isinstance(dtype, pl.Time):
                kinds[name] = "clock"
        return kinds


def type_columns(rows: pl.LazyFrame, roles: Roles, reading: Reading) -> ColumnTypes:
    """What every column of `rows` holds. Call inside `collecting`. Errors: ConfigError `time-format-unknown`."""
    raw = dict(rows.collect_schema())
    texts = [name for name, dtype in raw.items() if dtype == pl.String and name != FILE_COLUMN]
    named_times = reading.time_parts or roles.time
    wanted = {*roles.target, *roles.past, *roles.future, *reading.stacked}
    sample, every_row = text_values.sample_of(rows, texts) if texts else (pl.DataFrame(), True)
    counts = _counts(sample, reading)
    if not every_row and (unseen := [name for name in texts if name not in counts]):
        counts |= _tallied(text_values.first_cells(rows, unseen, reading.missing).lazy(), reading)
    mark, reason, shown = _decimal(rows, counts, every_row, reading)
    # Among typed columns a text column of whole numbers was left text on purpose.
    codes = any(dtype != pl.String for name, dtype in raw.items() if name != FILE_COLUMN)
    forms = {}
    for name, row in counts.items():
        counted = name in wanted or name in named_times or is_time_name(name) or unit_named(name) is not None
        forms[name] = text_values.form_of(
            row, mark or ".", every_row=every_row, wanted=name in wanted, counted=counted, codes=codes
        )
    forms |= {name: text_values.Form("empty") for name in texts if name not in forms}
    kept = {roles.id, *(name for name in texts if is_id_name(name) and name not in wanted)} - {None, *named_times}
    forms = {name: form for name, form in forms.items() if name not in kept}
    found = _text_times(sample, forms, roles, reading)
    numeric = {
        name: _as_steps(name, form, counts)
        for name, form in forms.items()
        if form.kind in ("number", "boolean") and name not in found
    }
    numeric |= {name: form for name, form in forms.items() if form.kind == "empty" and name in wanted}
    read = {name: time_formats.time_of(pl.col(name), form).alias(name) for name, form in found.items()}
    if reading.missing:
        kept_texts = [name for name in roles.static if name in texts and name not in numeric]
        read |= {name: text_values.without(name, reading.missing) for name in kept_texts}
    types = {name: _type_of(numeric[name]) if name in numeric else dtype for name, dtype in raw.items()}
    types |= {name: TYPES[form.kind] for name, form in found.items()}
    numbers = _number_times(rows, numeric, types, roles, reading)
    for name, form in numbers.items():
        number = text_values.value_of(name, numeric[name]) if name in numeric else pl.col(name)
        read[name], types[name] = _time_of_number(name, number, form)
    texts_of = sample.lazy() if every_row else rows
    return ColumnTypes(
        rows, types, read, numeric, found, numbers, counts, mark, reason, shown, sample, every_row, texts_of
    )


def _counts(sample: pl.DataFrame, reading: Reading) -> dict[str, dict[str, Any]]:
    if not sample.width:
        return {}
    return _tallied(
        sample.lazy().unpivot(variable_name=text_values.LONG_COLUMN, value_name=text_values.LONG_CELL), reading
    )


def _tallied(long: pl.LazyFrame, reading: Reading) -> dict[str, dict[str, Any]]:
    return {row[text_values.LONG_COLUMN]: row for row in text_values.tally(long, reading.missing).iter_rows(named=True)}


def _decimal(
    rows: pl.LazyFrame, counts: dict[str, dict[str, Any]], every_row: bool, reading: Reading
) -> tuple[text_values.Mark | None, str, bool]:
    """The decimal mark, the reason, and whether a cell shows it or it was given."""
    given: text_values.Mark | None = None if reading.decimal is None else "," if reading.decimal == "," else "."
    if not counts:
        return given or ".", "", False
    frame = pl.DataFrame(list(counts.values()), infer_schema_length=None)
    if given is not None:
        return *text_values.given_mark(frame, given), True
    if not every_row and not text_values.has_mark(frame, surely=True):
        numbers = [
            name for name, row in counts.items() if max(row["point"], row["comma"]) >= text_values.MOSTLY * row["cells"]
        ]
        frame = text_values.marks_of_all(rows, numbers) if numbers else frame
    mark, reason = text_values.decimal_mark(frame)
    return mark, reason, text_values.has_mark(frame, surely=False)


def _as_steps(name: str, form: text_values.Form, counts: dict[str, dict[str, Any]]) -> text_values.Form:
    """A column of whole numbers under a name for times stays whole: its numbers may be steps."""
    row = counts[name]
    if form.kind == "number" and is_time_name(name) and row["whole"] == row["cells"] - form.bad and not form.unit:
        return replace(form, whole=True, plain=True)
    return form


def _text_times(
    sample: pl.DataFrame, forms: dict[str, text_values.Form], roles: Roles, reading: Reading
) -> dict[str, time_formats.TimeForm]:
    """The text columns that hold times; those that the user named, or that are called so, may have more bad cells."""
    named, others = reading.time_parts or roles.time, roles.besides_time
    pattern = reading.time_format is not None and "%" in reading.time_format
    text = [
        name
        for name, form in forms.items()
        if name not in others and (form.kind == "text" or (pattern and form.kind == "number" and name in named))
    ]
    text.sort(key=lambda name: (name not in named, not is_time_name(name)))
    found = {}
    for name in text[:MOST_TIME_COLUMNS]:
        wish = reading.time_format if not named or name in named else None
        cell = text_values.stripped(name)
        column = sample.lazy().filter(~text_values.is_missing(cell, reading.missing)).select(cell).collect()[name]
        clock = name.casefold().strip() in CLOCK_NAMES
        glance = time_formats.time_form(column.head(GLANCE), wish, clock=clock)
        form = time_formats.time_form(column, wish, clock=clock) if glance is not None else None
        share = 0.5 if name in named or is_time_name(name) else text_values.MOSTLY
        if pattern and (name in named or (not named and time_formats.time_form(column.head(GLANCE), None) is not None)):
            share = 0.0  # It is the time, whether the pattern fits or not.
        if form is not None and form.unlike <= (1 - share) * form.cells:
            found[name] = form
    return found


def _type_of(form: text_values.Form) -> pl.DataType:
    if form.kind == "boolean":
        return pl.Boolean()
    return pl.Int64() if form.whole else pl.Float64()


def _number_times(
    rows: pl.LazyFrame,
    forms: dict[str, text_values.Form],
    types: dict[str, pl.DataType],
    roles: Roles,
    reading: Reading,
) -> dict[str, str]:
    """Columns of numbers that are epochs, written-out dates or, where the user says so, spreadsheet days."""
    others = {*roles.besides_time, *reading.time_parts}
    names = [
        name
        for name, dtype in types.items()
        if dtype.is_numeric() and name not in others and (name in roles.time or (not roles.time and is_time_name(name)))
    ]
    if not names or len(roles.time) > 1:
        return {}
    wish = reading.time_format
    if wish is not None and (wish in (*time_formats.EPOCHS, "excel") or "%" in wish):
        return dict.fromkeys(names, wish)
    typed = rows.select(text_values.value_of(name, forms[name]) if name in forms else pl.col(name) for name in names)
    bounds = typed.select(
        *(pl.col(name).min().alias(f"low {name}") for name in names),
        *(pl.col(name).max().alias(f"high {name}") for name in names),
    )
    row = bounds.collect(engine="streaming").row(0, named=True)
    found = {}
    for name in names:
        low, high = row[f"low {name}"], row[f"high {name}"]
        if low is None or low != low or high - low == float("inf"):
            continue
        form = time_formats.number_form(low, high, whole=types[name].is_integer())
        if form == "digits":
            length = len(str(int(low)))
            unread = pl.col(name).is_not_null() & time_formats.time_of_digits(pl.col(name), length).is_null()
            bad = typed.select(unread.mean()).collect(engine="streaming").item()
            form = f"digits {length}" if bad == 0 or (length >= 8 and bad < 1 - text_values.MOSTLY) else None
            form = form or time_formats.number_form(low, high, whole=False)
        if form is not None:
            found[name] = form
    return found


def _time_of_number(name: str, number: pl.Expr, form: str) -> tuple[pl.Expr, pl.DataType]:
    kind, _, length = form.partition(" ")
    if "%" in form:
        layout = time_formats.pattern_form(form)
        return time_formats.time_of(number.cast(pl.String), layout).alias(name), TYPES[layout.kind]
    if kind == "digits":
        time = time_formats.time_of_digits(number, int(length))
        return time.alias(name), pl.Date() if int(length) <= 8 else pl.Datetime("us")
    zone = None if form == "excel" else "UTC"
    return time_formats.time_of_number(number, form).alias(name), pl.Datetime("us", zone)


def time_decisions(name: str, typed: ColumnTypes, reading: Reading) -> tuple[str | None, list[Decision]]:
    """The `time_format` of column `name` as it is stored, and what was decided about it."""
    if reading.time_format is not None:
        return reading.time_format, []
    if (form := typed.dates.get(name)) is not None:
        decisions = []
        if form.order != "iso":
            why = (
                "months are named"
                if all("~" in layout.pattern for layout in form.layouts)
                else ("a number over 12 shows where the day stands")
            )
            decisions.append(Decision("time_format", form.order, why))
        if (
            form.kind == "instant"
            and reading.zone is None
            and typed.sample[name].str.contains(r"[+-]\d\d:?\d\d$").any()
        ):
            decisions.append(Decision("zone", "UTC", "the times carry offsets; bring them to a zone with --zone"))
        return form.order, decisions
    if (kind := typed.numbers.get(name)) is None:
        return None, []
    if kind.startswith("digits"):
        return "iso", []
    return kind, [Decision("time_format", kind, f"as such the numbers of {name!r} lie between the years 1990 and 2100")]

"""The type of every column: what the text columns hold, and which columns of numbers are points of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl

from tsx.io.source import FILE_COLUMN
from tsx.spec.decision import Decision
from tsx.spec.settings import Reading, Roles
from tsx.table import text_values, time_formats
from tsx.table.infer_roles import is_date_name, is_id_name, is_time, is_time_name
from tsx.table.time_parts import CLOCK_NAMES, unit_named

MOST_TIME_COLUMNS = 50
"""So many text columns are looked at for times; a table of more names its time column."""
LONG_EPOCHS = ("epoch-ms", "epoch-us", "epoch-ns")
NO_CLASS = ("", "NA", "NaN", "null")
"""Texts that say that a series has no label; others that mean missing among numbers, such as none, may be a class."""
GLANCE = 200
"""Cells that show whether a text column holds times at all."""


@dataclass(frozen=True, eq=False)
class ColumnTypes:
    """The table's columns with the expressions that type them.

    types: of all columns once read. read: expressions for the times; those for other text columns follow from their
    forms, and are made for the columns that are used. forms, dates: what text columns hold, by their cells. numbers:
    columns of numbers that are times: how their digits are read, or an epoch or `excel`. counts: of the sample's cells,
    by text column. mark: the decimal mark, None where every marked cell could be two numbers.
    """

    rows: pl.LazyFrame
    types: dict[str, pl.DataType]
    read: dict[str, pl.Expr]
    forms: dict[str, text_values.Form] = field(default_factory=dict)
    dates: dict[str, time_formats.TimeForm] = field(default_factory=dict)
    numbers: dict[str, time_formats.TimeForm | str] = field(default_factory=dict)
    counts: text_values.Counts = field(default_factory=dict)
    mark: text_values.Mark | None = "."
    decimal: Decision | None = None
    """The decision about the decimal mark, where cells have one that needs a reason."""
    mark_shown: bool = False
    """Whether the mark was given or stands in some cell."""
    sample: pl.DataFrame = field(default_factory=pl.DataFrame)
    every_row: bool = True
    """Whether the sample holds all rows."""
    flagged: tuple[str, ...] = ()
    """Columns of numbers behind some of which a flag was left out."""

    def expr(self, column: str) -> pl.Expr:
        """What reads the column."""
        if (read := self.read.get(column)) is not None:
            return read.alias(column)
        return text_values.value_of(column, self.forms[column]) if column in self.forms else pl.col(column)

    def reading(self, column: str, expr: pl.Expr, dtype: pl.DataType) -> ColumnTypes:
        """The same columns, of which `column` is read by `expr`."""
        return replace(self, read={**self.read, column: expr}, types={**self.types, column: dtype})

    @cached_property
    def texts(self) -> pl.LazyFrame:
        """The rows of the text columns: the sample where that is everything, for it need not be read again."""
        return self.sample.lazy() if self.every_row else self.rows

    def is_empty(self, column: str) -> bool:
        """Whether a column holds nothing at all."""
        dtype = self.types[column]
        return dtype == pl.Null or (dtype == pl.String and column not in self.counts and column != FILE_COLUMN)

    def holds_decimals(self, column: str) -> bool:
        """Whether a column holds numbers, and not only whole ones."""
        row = self.counts.get(column)
        if row is None:
            return self.types[column].is_float()
        return bool(row["whole"] < row["cells"] == max(row["point"], row["comma"]))

    @property
    def kinds(self) -> dict[str, time_formats.Kind]:
        """Which columns hold dates, dates with a clock and clock times."""
        kinds: dict[str, time_formats.Kind] = {}
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
    counts = text_values.tally(_long(sample), reading.missing) if texts else {}
    flagged = text_values.flagged_columns(sample, counts)
    if flagged:
        bare = text_values.without_flags(flagged)
        rows, sample = rows.with_columns(bare), sample.with_columns(bare)
        counts |= text_values.tally(_long(sample.select(flagged)), reading.missing)
    if not every_row and (unseen := [name for name in texts if name not in counts]):
        counts |= text_values.tally(text_values.first_cells(rows, unseen, reading.missing).lazy(), reading.missing)
    mark, decimal, mark_shown = text_values.decimal_mark(rows, counts, every_row, reading.decimal)
    # Among typed columns a text column of whole numbers was left text on purpose.
    codes = any(dtype != pl.String for name, dtype in raw.items() if name != FILE_COLUMN)
    forms = {}
    for name, row in counts.items():
        counted = name in wanted or name in named_times or is_time_name(name) or unit_named(name) is not None
        forms[name] = text_values.form_of(
            row, mark or ".", every_row=every_row, wanted=name in wanted, counted=counted, codes=codes
        )
    forms |= {name: text_values.Form("empty") for name in texts if name not in forms}
    classes = {name for name in (roles.label, roles.keep_together) if name in texts}
    ids = {*roles.id, *classes, *(name for name in texts if is_id_name(name) and name not in wanted)} - {
        None,
        *named_times,
    }
    forms = {name: form for name, form in forms.items() if name not in ids}
    dates = _text_times(sample, forms, roles, reading)
    numeric = {
        name: _as_steps(name, form, counts)
        for name, form in forms.items()
        if form.kind in ("number", "boolean") and name not in dates
    }
    numeric |= {name: form for name, form in forms.items() if form.kind == "empty" and name in wanted}
    read = {name: time_formats.time_of(pl.col(name), form).alias(name) for name, form in dates.items()}
    if reading.missing:
        categories = [name for name in roles.static if name in texts and name not in numeric]
        read |= {name: text_values.without(name, reading.missing) for name in categories}
    read |= {name: text_values.without(name, (*NO_CLASS, *reading.missing)) for name in classes}
    types = {name: numeric[name].dtype if name in numeric else dtype for name, dtype in raw.items()}
    types |= {name: form.dtype for name, form in dates.items()}
    numbers = _number_times(rows, numeric, types, roles, reading)
    for name, form in numbers.items():
        number = text_values.value_of(name, numeric[name]) if name in numeric else pl.col(name)
        if isinstance(form, time_formats.TimeForm):
            time, types[name] = time_formats.time_of(number.cast(pl.String), form), form.dtype
        else:
            time = time_formats.time_of_number(number, form)
            types[name] = pl.Datetime("us", None if form == "excel" else "UTC")
        read[name] = time.alias(name)
    return ColumnTypes(
        rows, types, read, numeric, dates, numbers, counts, mark, decimal, mark_shown, sample, every_row, tuple(flagged)
    )


def _long(sample: pl.DataFrame) -> pl.LazyFrame:
    """The sample as a table of (column, cell)."""
    return sample.lazy().unpivot(variable_name=text_values.LONG_COLUMN, value_name=text_values.LONG_CELL)


def _as_steps(name: str, form: text_values.Form, counts: text_values.Counts) -> text_values.Form:
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
    dates = {}
    for name in text[:MOST_TIME_COLUMNS]:
        wish = reading.time_format if not named or name in named else None
        cell = text_values.stripped(name)
        column = sample.lazy().filter(~text_values.is_missing(cell, reading.missing)).select(cell).collect()[name]
        called = "clock" if name.casefold().strip() in CLOCK_NAMES else unit_named(name)
        glance = time_formats.time_form(column.head(GLANCE), wish, called=called, zone=reading.zone)
        form = time_formats.time_form(column, wish, called=called, zone=reading.zone) if glance is not None else None
        share = 0.5 if name in named or is_time_name(name) else text_values.MOSTLY
        if pattern and (name in named or (not named and time_formats.time_form(column.head(GLANCE), None) is not None)):
            share = 0.0  # It is the time, whether the pattern fits or not.
        if form is not None and form.unlike <= (1 - share) * form.cells:
            dates[name] = form
    return dates


def _number_times(
    rows: pl.LazyFrame,
    forms: dict[str, text_values.Form],
    types: dict[str, pl.DataType],
    roles: Roles,
    reading: Reading,
) -> dict[str, time_formats.TimeForm | str]:
    """Columns of numbers that are epochs, written-out dates or, where the user says so, spreadsheet days."""
    others = {*roles.besides_time, *reading.time_parts}
    names = [
        name
        for name, dtype in types.items()
        if dtype.is_numeric() and name not in others and (name in roles.time or (not roles.time and is_time_name(name)))
    ]
    if len(roles.time) > 1:
        return {}
    wish = reading.time_format
    if not names and not roles.time and wish is None and not any(map(is_time, types.values())):
        # Where nothing else is a time: numbers of 12 digits and more under any name are, in the years 1990 to 2100.
        names = [name for name, dtype in types.items() if dtype.is_integer() and name not in others]
        found = _number_epochs(rows, forms, names)
        return {name: form for name, form in found.items() if form in LONG_EPOCHS}
    if not names:
        return {}
    if wish is not None and "%" in wish:
        return dict.fromkeys(names, time_formats.pattern_form(wish))
    if wish in (*time_formats.EPOCHS, "excel"):
        return dict.fromkeys(names, wish)
    return _number_epochs(rows, forms, names)


def _number_epochs(
    rows: pl.LazyFrame, forms: dict[str, text_values.Form], names: Sequence[str]
) -> dict[str, time_formats.TimeForm | str]:
    """Which of these columns of numbers hold times, and how these are written."""
    if not names:
        return {}
    typed = rows.select(text_values.value_of(name, forms[name]) if name in forms else pl.col(name) for name in names)
    types = dict(typed.collect_schema())
    bounds = typed.select(pl.all().min().name.prefix("low "), pl.all().max().name.prefix("high "))
    row = bounds.collect(engine="streaming").row(0, named=True)
    times: dict[str, time_formats.TimeForm | str] = {}
    for name in names:
        low, high = row[f"low {name}"], row[f"high {name}"]
        if low is None or low != low or high - low == float("inf"):
            continue
        form = time_formats.digits_form(low, high) if types[name].is_integer() else None
        if form is not None:
            unread = pl.col(name).is_not_null() & time_formats.time_of(pl.col(name).cast(pl.String), form).is_null()
            bad = typed.select(unread.mean()).collect(engine="streaming").item()
            # Six digits are often plain numbers: then all of them must be months.
            if bad > 0 and (len(str(low)) < 8 or bad >= 1 - text_values.MOSTLY):
                form = None
        time = form or time_formats.epoch_of(low, high)
        if time is None and is_date_name(name) and time_formats.may_be_excel(low, high):
            time = "excel"
        if time is not None:
            times[name] = time
    return times

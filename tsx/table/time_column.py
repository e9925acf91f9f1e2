"""The time of a table on its way to being tidy: put together, its writing settled, and brought to its zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.spec.decision import Decision, Finding
from tsx.spec.settings import Reading, Roles
from tsx.table import text_values, time_formats, time_parts, validation, zones
from tsx.table.column_types import Typed, blanked, time_decisions
from tsx.table.infer_roles import Columns, check_names, choose_time, is_id_name, is_text
from tsx.wording import column_list

JOINED_TIME = ("date", "ds", "time", "joined_time")
"""Names for a time made of a year and more; the first that is free."""
GLANCE = 1000


class Settling:
    """The table until its time is settled: its columns' types, the expressions that read them, and what was said."""

    def __init__(
        self, typed: Typed, roles: Roles, reading: Reading, decisions: list[Decision], findings: list[Finding]
    ) -> None:
        self.typed, self.roles, self.reading = typed, roles, reading
        self.decisions, self.findings = decisions, findings
        self.types = dict(typed.types)
        self.read: dict[str, pl.Expr] = {}
        """Expressions that differ from those of `typed`."""
        self.time: str | None = None
        self.joined: time_parts.Parts | None = None
        words, doubtful = reading.missing, typed.mark is None
        self.checks = [
            validation.Check(typed.texts, name, name, form, words=words, doubtful=doubtful)
            for name, form in typed.forms.items()
            if form.kind in ("number", "boolean")
        ]
        if typed.counts:
            if typed.mark_reason:
                self.decisions.append(Decision("decimal", typed.mark, typed.mark_reason))
            if reading.decimal is None and typed.mark_shown:
                self.reading = replace(reading, decimal=typed.mark)
        self.made: pl.LazyFrame | None = None

    @property
    def rows(self) -> pl.LazyFrame:
        """The table as it is by now; its columns are typed when it is first asked for."""
        if self.made is None:
            self.made = self.typed.rows.select(self.expr(name) for name in self.types)
        return self.made

    @rows.setter
    def rows(self, rows: pl.LazyFrame) -> None:
        self.made = rows

    @property
    def taken(self) -> set[str]:
        """Columns that the user named for something else than the time."""
        roles = self.roles
        return {name for name in (roles.id, *roles.target, *roles.past, *roles.future, *roles.static) if name}

    def expr(self, column: str) -> pl.Expr:
        read = self.read.get(column)
        return (read if read is not None else self.typed.expr(column)).alias(column)

    def join_time(self) -> None:
        """Make one time of a date and a clock, a year and a week, and the like."""
        named = self.reading.time_parts or (self.roles.time if len(self.roles.time) > 1 else ())
        if named:
            missing = [name for name in named if name not in self.types]
            if self.reading.time_parts and missing:
                if self.roles.time and self.roles.time[0] in self.types:
                    return  # The table has the whole time already, as the table of future covariates does.
                raise column_missing(missing, f"the time is made of {column_list(named)}")
            check_names({"time": list(named)}, Columns(self.types))
            joined = time_parts.parts_named(named, self._kinds())
        elif self.roles.time or (found := self._parts_found()) is None:
            return
        else:
            joined = found
        texts = [name for name in joined.columns if is_text(self.types[name])]
        time = time_parts.time_of(joined, {name: self.expr(name) for name in joined.columns}, texts)
        if not named:
            seen = self.typed.rows.head(GLANCE).select(time.dt.year().alias("year")).collect()["year"]
            if int((seen >= time_formats.EARLIEST_YEAR).sum()) < text_values.MOSTLY * len(seen):
                return
            self.decisions.append(Decision("time_parts", list(joined.columns), f"a time together: {joined.words}"))
        for name in joined.columns:
            if name not in self.taken:
                self.types.pop(name)
        kept = self.roles.time[0] if self.reading.time_parts and self.roles.time else None
        date = joined.units.get("date")
        self.time = kept or date or next(name for name in JOINED_TIME if name not in self.types)
        there = pl.any_horizontal(pl.col(name).is_not_null() for name in joined.columns)
        self.checks.append(validation.Check(self.typed.rows, joined.columns[0], self.time, bad=there & time.is_null()))
        self.read[self.time] = time
        self.types[self.time] = pl.Datetime("us") if {"clock", "hour"} & set(joined.units) else pl.Date()
        self.joined = joined
        self.roles = replace(self.roles, time=(self.time,))
        self.reading = replace(self.reading, time_parts=joined.columns)

    def _parts_found(self) -> time_parts.Parts | None:
        free = [name for name in self.types if name not in self.taken]
        named = [name for name in free if time_parts.unit_named(name) is not None]
        numbers = [name for name in named if self.types[name].is_numeric() or self._names_part(name)]
        return time_parts.parts_found(free, self._kinds(), numbers)

    def _kinds(self) -> dict[str, str]:
        """Which columns hold dates and clocks; dates with a clock that is always midnight are dates."""
        kinds: dict[str, str] = {name: kind for name, kind in self.typed.kinds.items() if name in self.types}
        midnights = [name for name, kind in kinds.items() if kind == "datetime"]
        if not midnights or "clock" not in kinds.values():
            return kinds
        head = self.typed.rows.head(GLANCE).select(self.expr(name) for name in midnights).collect()
        for name in midnights:
            if (head[name] == head[name].dt.truncate("1d")).all():
                kinds[name] = "date"
                self.read[name], self.types[name] = self.expr(name).cast(pl.Date), pl.Date()
        return kinds

    def _names_part(self, column: str) -> bool:
        """Whether a text column holds the names of months, or Q1 to Q4."""
        text = text_values.stripped(column)
        test = {
            "month": time_formats.translate(text).str.contains("^~[0-9]{2}$"),
            "quarter": text.str.contains(time_parts.QUARTER),
        }.get(time_parts.unit_named(column) or "")
        if test is None or column not in self.typed.sample.columns:
            return False
        share = self.typed.sample.head(GLANCE).select(test.mean()).item()
        return share is not None and share >= text_values.MOSTLY

    def settle_time(self) -> None:
        """Choose the time as `find_roles` will, decide what its cells leave open, and bring it to its zone."""
        if self.time is None and self.roles.time:
            self.time = self.roles.time[0]
        elif self.time is None:
            try:
                self.time = choose_time(Columns(self.types), self.taken)[0]
            except DataError:
                self.time = None
        if self.time not in self.types:
            self.time = None
        sources = self.joined.columns if self.joined else tuple(name for name in (self.time,) if name)
        for name in sources:
            if (form := self.typed.dates.get(name)) is not None:
                form = self._settle_order(name, form)
                if not self.joined:
                    self.checks.append(validation.Check(self.typed.texts, name, name, form, words=self.reading.missing))
        if self.time is not None and not self.joined:
            self._check_numbers(self.time)
            time_format, said = time_decisions(self.time, self.typed, self.reading)
            self.decisions += said
            self.reading = replace(self.reading, time_format=time_format)
        self._blank_out()
        self._to_zone()

    def _blank_out(self) -> None:
        """Take the numbers that mean missing out of the columns of numbers that are neither a time nor an id."""
        words = (*self.reading.missing, *self.reading.found_missing)
        steps = [done for done in self.checks if done.column == self.time and isinstance(done.form, text_values.Form)]
        self.checks = [replace(done, words=()) if done in steps else done for done in self.checks]
        if not validation.marks_of(words):
            return
        apart = {*self.roles.static, self.time, self.roles.id}
        self.checks = [
            done if done.column in apart or is_id_name(done.column) else replace(done, words=words)
            for done in self.checks
        ]
        for name, dtype in self.types.items():
            if dtype.is_numeric() and name not in (self.time, self.roles.id) and not is_id_name(name):
                # What was found in the channels says nothing of a static column.
                meant = self.reading.missing if name in self.roles.static else words
                self.read[name] = blanked(self.expr(name), meant)
                if name not in self.typed.forms:
                    self.checks.append(validation.Check(self.typed.rows, name, name, words=meant))

    def _check_numbers(self, time: str) -> None:
        """Verify a time made of numbers: those that are written-out dates may hold days that do not exist."""
        if time in self.typed.numbers:
            bad = pl.col(time).is_not_null() & self.expr(time).is_null()
            self.checks = [done for done in self.checks if done.column != time]
            self.checks.append(validation.Check(self.typed.rows, time, time, bad=bad))

    def _settle_order(self, name: str, form: time_formats.TimeForm) -> time_formats.TimeForm:
        """Day or month first, by all rows of the column where the sample fits both."""
        unclear = bool(form.rival)
        if unclear and not self.typed.every_row:
            rival = replace(form, order="month-first", layouts=form.rival, rival=())
            cell = text_values.stripped(name)
            there = cell.is_not_null() & ~text_values.is_missing(cell, self.reading.missing)
            bad = [(there & time_formats.time_of(pl.col(name), option).is_null()).sum() for option in (form, rival)]
            day, month = self.typed.rows.select(day=bad[0], month=bad[1]).collect(engine="streaming").row(0)
            unclear = day == month
            form = self.typed.dates[name] = rival if month < day else replace(form, rival=())
            if not self.joined:
                self.read[name] = time_formats.time_of(pl.col(name), form)
        numbers = self.typed.sample[name].str.strip_chars()
        years = not unclear and self.reading.time_format is None and time_formats.year_may_come_first(numbers, form)
        if unclear or years:
            raise time_formats.ambiguous(f"every cell of column {name!r}", years=years, where=name)
        return form

    def _to_zone(self) -> None:
        zone, time = self.reading.zone, self.time
        dtype = self.types.get(time) if time else None
        if time is None or not isinstance(dtype, pl.Datetime):
            return
        if zone is None:
            if dtype.time_zone is not None:
                self.reading = replace(self.reading, zone=dtype.time_zone, zoned=True)
            return
        if dtype.time_zone == zone:
            return
        if dtype.time_zone is not None:
            self.read[time] = self.expr(time).dt.convert_time_zone(zone)
        elif self.reading.zoned:
            raise ConfigError(
                "column-type-wrong",
                f"the times of column {time!r} name no zone; the model was fitted on times in {zone}",
                hint="write them with their offset, such as 2024-05-31T08:00:00+02:00, or in UTC as ...T06:00:00Z",
                where=time,
            )
        else:
            columns = Columns(self.types)
            named = self.roles.id
            others = [name for name in self.types if name in columns.text or is_id_name(name)]
            keys = [named] if named in self.types else [name for name in others if name != time]
            at, found = zones.localised(self.rows, time, zone, [key for key in keys if key])
            self.rows = self.rows.with_columns(at)
            self.findings += found
        self.types[time] = pl.Datetime(dtype.time_unit, zone)


def column_missing(names: Sequence[str], why: str) -> DataError:
    return DataError(
        "column-missing",
        f"the table lacks {column_list(names)}; {why}",
        hint="give a table with the same columns as the one that the model was fitted on",
        where=names[0],
    )

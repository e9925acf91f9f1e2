"""From columns as they came to one row a series and time, typed.

The columns get their types (`typed`), a time in several columns is put together (`parts`), the time is settled and
brought to its zone (`zones`), and wide tables are made long (`shapes`). All of it is lazy but for looks at samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from tsx.config import Decision, Finding, Reading, Roles, Schema
from tsx.data import cells, check, parts, shapes, times, zones
from tsx.data.choose import Columns, check_names, check_roles, choose_id, choose_time, is_id_name, is_text, listed
from tsx.data.files import FILE_COLUMN
from tsx.data.sources import Scanned, collecting
from tsx.data.typed import Typed, blanked, time_decisions, type_columns
from tsx.errors import ConfigError, DataError

JOINED_TIME = ("date", "ds", "time", "joined_time")
"""Names for a time made of a year and more; the first that is free."""
SERIES_NAMES, VALUE_NAMES = (shapes.SERIES, "unique_id", "series_id"), (shapes.VALUE, "y", "stacked_value")
"""Names for the columns of a wide table made long; the first that is free."""
GLANCE = 1000
MANY = 100
"""Text columns of a wide table that are stacked as text and read as one, and not each on its own."""


@dataclass(frozen=True, eq=False)
class Table:
    """A tidy table: its rows, the roles and the reading as decided, and what was noticed on the way."""

    rows: pl.LazyFrame
    roles: Roles
    reading: Reading
    where: str
    decisions: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()
    checks: tuple[check.Check, ...] = field(default=(), repr=False)
    """What is to be verified over all rows once it is known which columns are used."""


def tidy(scanned: Scanned, roles: Roles, reading: Reading) -> Table:
    """One row a series and time, typed: numbers, yes or no and times out of text, and wide tables made long.

    In the table that comes back the roles are those of the long form (id `series`, target `value` where columns were
    stacked), and the reading holds everything that was decided, so that a later table is read in the same way.

    Errors: ConfigError `column-not-found`, `column-type-wrong`,
    `roles-contradict`, `time-format-unknown`, `zone-unknown`, `time-parts-unknown`; DataError
    `time-ambiguous`, `time-not-in-zone`, `time-twice`, `column-missing`, `duplicate-rows`, `no-id-column`,
    `no-target-column`.
    """
    times.check_format(reading.time_format)
    if reading.zone is not None:
        times.check_zone(reading.zone)
    with collecting(scanned.where):
        if reading.id_from == "filename" and roles.id is None:
            roles = replace(roles, id=FILE_COLUMN)
        typed = type_columns(scanned.rows, roles, reading)
        work = _Work(typed, roles, reading, list(scanned.decisions), list(scanned.findings))
        work.join_time()
        work.settle_time()
        work.reshape()
    return Table(
        work.rows,
        work.roles,
        work.reading,
        scanned.where,
        tuple(work.decisions),
        tuple(work.findings),
        tuple(work.checks),
    )


def check_cells(table: Table, schema: Schema) -> tuple[Finding, ...]:
    """Verify the columns that are used over all rows: every cell is what its column holds, or says that it is missing.

    Returns findings for the words and numbers that mean missing. Errors: DataError `cells-not-numbers`,
    `times-unreadable`, `decimal-ambiguous`.
    """
    with collecting(table.where):
        return check.run(table.checks, (schema.time, *schema.channels, *schema.static))


class _Work:
    """The table while it is being made tidy: its columns' types, the expressions that read them, and what was said."""

    def __init__(
        self, typed: Typed, roles: Roles, reading: Reading, decisions: list[Decision], findings: list[Finding]
    ) -> None:
        self.typed, self.roles, self.reading = typed, roles, reading
        self.decisions, self.findings = decisions, findings
        self.types = dict(typed.types)
        self.read: dict[str, pl.Expr] = {}
        """Expressions that differ from those of `typed`."""
        self.time: str | None = None
        self.joined: parts.Parts | None = None
        words, doubtful = reading.missing, typed.mark is None
        self.checks = [
            check.Check(typed.texts, name, name, form, words=words, doubtful=doubtful)
            for name, form in typed.forms.items()
            if form.kind in ("number", "boolean")
        ]
        if typed.counts:
            if typed.mark_reason:
                self.decisions.append(Decision("decimal", typed.mark, typed.mark_reason))
            if reading.decimal is None:
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
                raise _column_missing(missing, f"the time is made of {listed(named)}")
            check_names({"time": list(named)}, Columns(self.types))
            joined = parts.parts_named(named, self._kinds())
        elif self.roles.time or (found := self._parts_found()) is None:
            return
        else:
            joined = found
        texts = [name for name in joined.columns if is_text(self.types[name])]
        time = parts.time_of(joined, {name: self.expr(name) for name in joined.columns}, texts)
        if not named:
            seen = self.typed.rows.head(GLANCE).select(time.dt.year().alias("year")).collect()["year"]
            if int((seen >= times.EARLIEST_YEAR).sum()) < cells.MOSTLY * len(seen):
                return
            self.decisions.append(Decision("time_parts", list(joined.columns), f"a time together: {joined.words}"))
        for name in joined.columns:
            if name not in self.taken:
                self.types.pop(name)
        kept = self.roles.time[0] if self.reading.time_parts and self.roles.time else None
        date = joined.units.get("date")
        self.time = kept or date or next(name for name in JOINED_TIME if name not in self.types)
        there = pl.any_horizontal(pl.col(name).is_not_null() for name in joined.columns)
        self.checks.append(check.Check(self.typed.rows, joined.columns[0], self.time, bad=there & time.is_null()))
        self.read[self.time] = time
        self.types[self.time] = pl.Datetime("us") if {"clock", "hour"} & set(joined.units) else pl.Date()
        self.joined = joined
        self.roles = replace(self.roles, time=(self.time,))
        self.reading = replace(self.reading, time_parts=joined.columns)

    def _parts_found(self) -> parts.Parts | None:
        free = [name for name in self.types if name not in self.taken]
        named = [name for name in free if parts.unit_named(name) is not None]
        numbers = [name for name in named if self.types[name].is_numeric() or self._names_part(name)]
        return parts.parts_found(free, self._kinds(), numbers)

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
        text = cells.stripped(column)
        test = {
            "month": times.translate(text).str.contains("^~[0-9]{2}$"),
            "quarter": text.str.contains(parts.QUARTER),
        }.get(parts.unit_named(column) or "")
        if test is None or column not in self.typed.sample.columns:
            return False
        share = self.typed.sample.head(GLANCE).select(test.mean()).item()
        return share is not None and share >= cells.MOSTLY

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
                    self.checks.append(check.Check(self.typed.texts, name, name, form, words=self.reading.missing))
        if self.time is not None and not self.joined:
            self._check_numbers(self.time)
            time_format, said = time_decisions(self.time, self.typed, self.reading)
            self.decisions += said
            self.reading = replace(self.reading, time_format=time_format)
        self._blank_out()
        self._to_zone()

    def _blank_out(self) -> None:
        """Take the numbers that mean missing out of the columns of numbers that are neither a time nor an id."""
        words = self.reading.missing
        steps = [done for done in self.checks if done.column == self.time and isinstance(done.form, cells.Form)]
        self.checks = [replace(done, words=()) if done in steps else done for done in self.checks]
        if not check.marks_of(words):
            return
        for name, dtype in self.types.items():
            if dtype.is_numeric() and name not in (self.time, self.roles.id) and not is_id_name(name):
                self.read[name] = blanked(self.expr(name), words)
                if name not in self.typed.forms:
                    self.checks.append(check.Check(self.typed.rows, name, name, words=words))

    def _check_numbers(self, time: str) -> None:
        """Verify a time made of numbers: those that are written-out dates may hold days that do not exist."""
        if time in self.typed.numbers:
            bad = pl.col(time).is_not_null() & self.expr(time).is_null()
            self.checks = [done for done in self.checks if done.column != time]
            self.checks.append(check.Check(self.typed.rows, time, time, bad=bad))

    def _settle_order(self, name: str, form: times.TimeForm) -> times.TimeForm:
        """Day or month first, by all rows of the column where the sample fits both."""
        unclear = bool(form.rival)
        if unclear and not self.typed.every_row:
            rival = replace(form, order="month-first", layouts=form.rival, rival=())
            cell = cells.stripped(name)
            there = cell.is_not_null() & ~cells.is_missing(cell, self.reading.missing)
            bad = [(there & times.time_of(pl.col(name), option).is_null()).sum() for option in (form, rival)]
            day, month = self.typed.rows.select(day=bad[0], month=bad[1]).collect(engine="streaming").row(0)
            unclear = day == month
            form = self.typed.dates[name] = rival if month < day else replace(form, rival=())
            if not self.joined:
                self.read[name] = times.time_of(pl.col(name), form)
        numbers = self.typed.sample[name].str.strip_chars()
        years = not unclear and self.reading.time_format is None and times.year_may_come_first(numbers, form)
        if unclear or years:
            raise DataError(
                "time-ambiguous",
                f"every cell of column {name!r} can be read "
                + ("with the year first and with the day first" if years else "with the day first and the month first"),
                hint="say how times are written with a pattern, such as --time-format %y-%m-%d or %d-%m-%y"
                if years
                else "say which with --time-format day-first or --time-format month-first",
                where=name,
            )
        return form

    def _to_zone(self) -> None:
        zone, time = self.reading.zone, self.time
        dtype = self.types.get(time) if time else None
        if zone is None or time is None or not isinstance(dtype, pl.Datetime):
            return
        if dtype.time_zone is not None:
            self.rows = self.rows.with_columns(pl.col(time).dt.convert_time_zone(zone))
        else:
            columns = Columns(self.types)
            named = self.roles.id
            others = [name for name in self.types if name in columns.text or is_id_name(name)]
            keys = [named] if named in self.types else [name for name in others if name != time]
            at, found = zones.localised(self.rows, time, zone, [key for key in keys if key])
            self.rows = self.rows.with_columns(at)
            self.findings += found
        self.types[time] = pl.Datetime(dtype.time_unit, zone)

    def reshape(self) -> None:
        """Make a wide table long."""
        targets = self.roles.target
        asked = len(targets) > 1 or (self.reading.wide and not {*targets}.isdisjoint(self.types))
        several = self.reading.stacked or (targets if asked else ())
        if several:
            self._stack_targets(several)
        elif self.time is None:
            self._unstep()
        elif self.reading.wide:
            self._stack_series()
        else:
            self._suggest_wide()

    def _numeric(self) -> list[str]:
        """Columns of numbers, or without any cell, that have no other part."""
        used = {*self.taken, self.time}
        return [
            name
            for name, dtype in self.types.items()
            if name not in used and ((dtype.is_numeric() and not is_id_name(name)) or self._is_empty(name))
        ]

    def _is_empty(self, name: str) -> bool:
        """Whether a column holds nothing at all."""
        dtype = self.types[name]
        return dtype == pl.Null or (dtype == pl.String and name in self.typed.empty)

    def _check_wide_roles(self) -> None:
        """That the user names what a wide table has: `series` and `value` come from an earlier table's reading."""
        roles, columns = self.roles, Columns(self.types)
        check_roles(replace(roles, target=()), columns)
        if roles.id is not None and roles.id not in SERIES_NAMES:
            check_names({"id": [roles.id]}, columns, private=True)
        if roles.target and roles.target[0] not in VALUE_NAMES:
            check_names({"target": list(roles.target)}, columns, private=True)
        id = roles.id if roles.id in self.types else None
        if id is not None and self.typed.holds_decimals(id):
            raise ConfigError(
                "roles-contradict",
                "the column named for the id holds decimals, and in a wide table every column of numbers is a series",
                hint="leave --id out: each column's name is its series' id",
                where="id",
                values=id,
            )

    def _stack_targets(self, columns: Sequence[str]) -> None:
        """Make each of several targets a series of its own, within its id where there is one."""
        missing = [name for name in columns if name not in self.types]
        if self.reading.stacked and missing:
            if len(missing) == len(columns):
                return  # The table is long already, as the table of future covariates is.
            raise _column_missing(missing, f"{len(columns):,} target columns make the series")
        check_names({"target": list(columns)}, Columns(self.types))
        check_roles(replace(self.roles, target=tuple(columns)), Columns(self.types))
        shapes.check_numbers({name: self.types[name] for name in columns if not self._is_empty(name)})
        if self.time is None:
            return
        id = self.roles.id if self.roles.id in self.types else None
        if id is None and not self.reading.stacked:
            others = {name: dtype for name, dtype in self.types.items() if name not in columns}
            id, reason = choose_id(self.rows, Columns(others), self.time, {*self.taken, self.time})
            said = f"{reason}; {len(columns)} targets are a series each"
            self.decisions.append(Decision("id", id or shapes.SERIES, said))
        keep = [name for name in self.types if name not in columns]
        self._stack(columns, keep, id)
        self.reading = replace(self.reading, stacked=tuple(columns))

    def _stack_series(self) -> None:
        """Make every column of numbers a series."""
        assert self.time is not None
        self._check_wide_roles()
        on = self._numeric()
        kept = {*self.taken, self.time}
        keep = [name for name in self.types if name in kept]
        left = len(self.types) - len(on) - len(keep)
        if not on:
            if self.roles.id in self.types:
                return  # The table is long already, as the table of future covariates is.
            raise DataError(
                "no-target-column",
                f"none of {len(self.types):,} columns holds numbers that could be a series",
                hint="leave --wide out, or name the time with --time",
                where=self.time,
            )
        if left:
            self.findings.append(
                Finding(
                    "columns-left-out", f"{left:,} of {len(self.types):,} columns hold no numbers and are no series"
                )
            )
        id = self.roles.id if self.roles.id in self.types else None
        if not self.roles.time:
            self.roles = replace(self.roles, time=(self.time,))
            self.decisions.append(Decision("time", self.time, "the column of times of a wide table"))
        self._stack(on, keep, id)
        if not self.roles.future:
            # Series begin and end at different times; what was never observed there is no row.
            self.rows = shapes.with_values(self.rows, self.roles.target[0])

    def _stack(self, on: Sequence[str], keep: Sequence[str], id: str | None) -> None:
        given = self.roles.target[0] if len(self.roles.target) == 1 and self.roles.target[0] not in self.types else None
        value = given or next(name for name in VALUE_NAMES if name not in self.types)
        name = self.roles.id or id or next(n for n in SERIES_NAMES if n not in self.types)
        if id is not None:
            shapes.check_id(id, self.types[id])
        as_text = len(on) > MANY and not self.reading.zone and self._are_texts(on)
        if as_text:
            rows = self.typed.rows.select(*(self.expr(column) for column in keep), *(pl.col(c) for c in on))
            long = shapes.stacked(rows, on, keep, id=id, name=name, value=value)
            form = shapes.joint_form([row for c in on if (row := self.typed.counts.get(c))], self.typed.mark or ".")
            read = blanked(cells.value_of(value, form), self.reading.missing)
            self.rows = long.with_columns(read.alias(value))
            numbered = self.typed.texts.select(on).with_row_index(check.ROW_OF, offset=1)
            texts = shapes.stacked(numbered, on, [check.ROW_OF], value=value)
            self.checks = [
                check.Check(
                    texts,
                    value,
                    value,
                    form,
                    words=self.reading.missing,
                    doubtful=self.typed.mark is None,
                    private=True,
                    row=check.ROW_OF,
                )
            ]
        else:
            numbers = self.rows.with_columns(pl.col(column).cast(pl.Float64, strict=False) for column in on)
            self.rows = shapes.stacked(numbers, on, keep, id=id, name=name, value=value)
            private = not (self.reading.stacked or len(self.roles.target) > 1)
            self.checks = [done.under(value, private=private) if done.column in on else done for done in self.checks]
        time = self.roles.time or ((self.time,) if self.time else ())
        self.roles = replace(self.roles, id=name, target=(value,), time=time)

    def _are_texts(self, columns: Sequence[str]) -> bool:
        """Whether all of these came as text that holds numbers, or nothing."""
        forms = [self.typed.forms.get(column) for column in columns]
        readable = all(form is None or form.kind in ("number", "empty") for form in forms)
        return readable and set(columns) <= set(self.typed.sample.columns)

    def _unstep(self) -> None:
        """Make a table with one row per series long: its columns are steps, by what they are called."""
        if self.roles.time and not self.reading.wide:
            return
        check_roles(self.roles, Columns(self.types))
        numeric = self._numeric()
        steps = shapes.steps_of(numeric, self.reading.time_format)
        if steps is None or 2 * len(steps.columns) < len(self.types):
            return
        others = [name for name in self.types if name not in steps.columns]
        texts = [name for name in others if is_text(self.types[name]) or is_id_name(name)]
        texts.sort(key=lambda name: not is_id_name(name))
        named = self.roles.id
        if named is not None and not (self.reading.wide and named in SERIES_NAMES):
            check_names({"id": [named]}, Columns(self.types), private=True)
        if named is not None:
            # A name that no column has was made of all texts when the model was fitted.
            ids, reason = ((named,) if named in self.types else tuple(texts)), ""
        else:
            ids, reason = shapes.ids_of_rows(self.rows, texts)
        time = self.roles.time[0] if self.roles.time else next(n for n in (shapes.TIME, "ds") if n not in others)
        value = next(name for name in VALUE_NAMES if name not in self.types)
        joint = named or next(name for name in SERIES_NAMES if name not in self.types)
        self.rows = shapes.with_values(shapes.unstepped(self.rows, steps, others, ids, joint, time, value), value)
        id = joint if len(ids) > 1 else ids[0] if ids else None
        self.checks = [
            done.under(value, private=True) if done.column in steps.columns else done for done in self.checks
        ]
        self.decisions.append(Decision("wide", True, f"one row is a series: {steps.words}"))
        if reason:
            self.decisions.append(Decision("id", id, reason))
        self.roles = replace(self.roles, id=id, time=(time,), target=(value,))
        self.reading = replace(self.reading, wide=True)
        self.time = time

    def _suggest_wide(self) -> None:
        """Say it where the numeric columns of a table without an id look like several series side by side."""
        numeric = [] if self.roles.target or self.roles.id else self._numeric()
        others = [name for name in self.types if is_text(self.types[name]) and name not in numeric]
        if len(numeric) < shapes.FEWEST_ALIKE or others or self.time is None:
            return
        sample = self.rows.select(self.time, *numeric[:MANY]).head(GLANCE).collect(engine="streaming")
        if sample[self.time].is_unique().all() and shapes.looks_wide(sample, numeric):
            self.findings.append(
                Finding(
                    "looks-wide",
                    f"{len(numeric):,} columns of numbers look like {len(numeric):,} series side by side; "
                    "read each as a series with --wide",
                )
            )


def _column_missing(names: Sequence[str], why: str) -> DataError:
    return DataError(
        "column-missing",
        f"the table lacks {listed(names)}; {why}",
        hint="give a table with the same columns as the one that the model was fitted on",
        where=names[0],
    )

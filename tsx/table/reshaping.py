"""Wide tables, tables of steps and several targets on their way to one row a series and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.spec.decision import Decision, Finding
from tsx.table import text_values, to_long, validation
from tsx.table.column_types import blanked
from tsx.table.infer_roles import Columns, check_names, check_roles, choose_id, is_id_name, is_text
from tsx.table.time_column import GLANCE, Settling, column_missing
from tsx.wording import column_list

SERIES_NAMES, VALUE_NAMES = (to_long.SERIES, "unique_id", "series_id"), (to_long.VALUE, "y", "stacked_value")
"""Names for the columns of a wide table made long; the first that is free."""
MANY = 100
"""Text columns of a wide table that are stacked as text and read as one, and not each on its own."""


class Reshaping(Settling):
    """The table while it is made long, once its time is settled."""

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
        covariates = {"past": [*roles.past], "future": [*roles.future], "static": [*roles.static]}
        check_names(covariates, columns, private=True)
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
            raise column_missing(missing, f"{len(columns):,} target columns make the series")
        check_names({"target": list(columns)}, Columns(self.types), private=self.reading.wide)
        check_roles(replace(self.roles, target=tuple(columns)), Columns(self.types))
        to_long.check_numbers({name: self.types[name] for name in columns if not self._is_empty(name)})
        if self.time is None:
            return
        id = self.roles.id if self.roles.id in self.types else None
        if id is None and not self.reading.stacked:
            others = {name: dtype for name, dtype in self.types.items() if name not in columns}
            id, reason = choose_id(self.rows, Columns(others), self.time, {*self.taken, self.time})
            said = f"{reason}; {len(columns)} targets are a series each"
            self.decisions.append(Decision("id", id or to_long.SERIES, said))
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
            self.rows = to_long.with_values(self.rows, self.roles.target[0])

    def _stack(self, on: Sequence[str], keep: Sequence[str], id: str | None) -> None:
        given = self.roles.target[0] if len(self.roles.target) == 1 and self.roles.target[0] not in self.types else None
        value = given or next(name for name in VALUE_NAMES if name not in self.types)
        name = self.roles.id or id or next(n for n in SERIES_NAMES if n not in self.types)
        if id is not None:
            to_long.check_id(id, self.types[id])
        # Local times were brought to their zone in the typed rows.
        as_text = len(on) > MANY and self.made is None and self._are_texts(on)
        if as_text:
            words = (*self.reading.missing, *self.reading.found_missing)
            rows = self.typed.rows.select(*(self.expr(column) for column in keep), *(pl.col(c) for c in on))
            long = to_long.stacked(rows, on, keep, id=id, name=name, value=value)
            form = to_long.joint_form([row for c in on if (row := self.typed.counts.get(c))], self.typed.mark or ".")
            read = blanked(text_values.value_of(value, form), words)
            self.rows = long.with_columns(read.alias(value))
            numbered = self.typed.texts.select(on).with_row_index(validation.ROW_OF, offset=1)
            texts = to_long.stacked(numbered, on, [validation.ROW_OF], value=value)
            self.checks = [
                validation.Check(
                    texts,
                    value,
                    value,
                    form,
                    words=words,
                    doubtful=self.typed.mark is None,
                    private=True,
                    row=validation.ROW_OF,
                )
            ]
        else:
            numbers = self.rows.with_columns(pl.col(column).cast(pl.Float64, strict=False) for column in on)
            self.rows = to_long.stacked(numbers, on, keep, id=id, name=name, value=value)
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
        steps = to_long.steps_of(numeric, self.reading.time_format)
        if steps is None or 2 * len(steps.columns) < len(self.types):
            return
        others = [name for name in self.types if name not in steps.columns]
        texts = [name for name in others if is_text(self.types[name]) or is_id_name(name)]
        texts.sort(key=lambda name: not is_id_name(name))
        named = self.roles.id
        if named is not None and not (self.reading.wide and named in SERIES_NAMES):
            check_names({"id": [named]}, Columns(self.types), private=True)
        if named is not None:
            # A name that no column has was made of several when the model was fitted.
            ids, reason = ((named,) if named in self.types else self.reading.id_parts or tuple(texts)), ""
            if lacking := [name for name in ids if name not in self.types]:
                raise column_missing(lacking, f"the id is made of {column_list(ids)}")
        else:
            ids, reason = to_long.ids_of_rows(self.rows, texts)
        time = self.roles.time[0] if self.roles.time else next(n for n in (to_long.TIME, "ds") if n not in others)
        value = next(name for name in VALUE_NAMES if name not in self.types)
        joint = named or next(name for name in SERIES_NAMES if name not in self.types)
        self.rows = to_long.with_values(to_long.unstepped(self.rows, steps, others, ids, joint, time, value), value)
        id = joint if len(ids) > 1 else ids[0] if ids else None
        self.checks = [
            done.under(value, private=True) if done.column in steps.columns else done for done in self.checks
        ]
        self.decisions.append(Decision("wide", True, f"one row is a series: {steps.words}"))
        if steps.form is not None and steps.form.order != (self.reading.time_format or "iso"):
            self.decisions.append(Decision("time_format", steps.form.order, "so the names of the columns are written"))
        if reason:
            self.decisions.append(Decision("id", id, reason))
        self.roles = replace(self.roles, id=id, time=(time,), target=(value,))
        parts = ids if len(ids) > 1 else ()
        form = steps.form.order if steps.form is not None else self.reading.time_format
        self.reading = replace(self.reading, wide=True, id_parts=parts, time_format=form)
        self.time = time

    def _suggest_wide(self) -> None:
        """Say it where the numeric columns of a table without an id look like several series side by side."""
        numeric = [] if self.roles.target or self.roles.id else self._numeric()
        others = [name for name in self.types if is_text(self.types[name]) and name not in numeric]
        if len(numeric) < to_long.FEWEST_ALIKE or others or self.time is None:
            return
        sample = self.rows.select(self.time, *numeric[:MANY]).head(GLANCE).collect(engine="streaming")
        if sample[self.time].is_unique().all() and to_long.looks_wide(sample, numeric):
            self.findings.append(
                Finding(
                    "looks-wide",
                    f"{len(numeric):,} columns of numbers look like {len(numeric):,} series side by side; "
                    "read each as a series with --wide",
                )
            )

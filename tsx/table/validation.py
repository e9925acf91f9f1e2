"""What is verified over all rows once it is known which columns are used: every cell is what its column holds.

Only what does not fit costs a second pass, which finds the first rows of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tsx.errors import DataError
from tsx.spec.decision import Finding
from tsx.table import text_values, time_formats
from tsx.wording import count, verb

MOST_BAD = 10_000
"""So many cells that do not fit are looked at."""
FIRST = 5
"""So many rows are pointed at in a message, and so many cells are quoted with --show-values."""
ROW, ROW_OF = "\x1frow", "\x1frow of the file"


@dataclass(frozen=True, eq=False)
class Check:
    """The cells of column `source` in `rows`, which the tidy table calls `column`.

    form: what a text column holds; of other columns, `bad` tests what should not be there. words: what means missing
    beside the usual words. bounds: what a cell looks like that is a bound. doubtful: the decimal mark is not known.
    names_are_ids: the source's name is an id and stays out of messages. row: a column of `rows` that numbers the rows
    of the file.
    """

    rows: pl.LazyFrame
    source: str
    column: str
    form: text_values.Form | time_formats.TimeForm | None = None
    bad: pl.Expr | None = None
    bounds: str | None = None
    words: tuple[str, ...] = ()
    doubtful: bool = False
    names_are_ids: bool = False
    row: str | None = None

    @property
    def place(self) -> str:
        return "the series' columns" if self.names_are_ids else f"column {self.source!r}"

    @property
    def thing(self) -> str:
        """What a cell should be."""
        if isinstance(self.form, text_values.Form):
            return "yes or no" if self.form.kind == "boolean" else "number"
        return "number" if self.bad is None and self.form is None else "time"

    def tests(self) -> dict[str, pl.Expr]:
        """Whether a cell is `bad`, says that it is `missing`, or could be two numbers by its mark (`doubtful`)."""
        if self.bad is not None:
            return {"bad": self.bad}
        if self.bounds is not None:
            return {"bounds": text_values.stripped(self.source).str.contains(self.bounds)}
        if self.form is None:
            return {"missing": is_missing_number(pl.col(self.source), self.words)}
        cell = text_values.stripped(self.source)
        word = text_values.is_missing(cell, self.words)
        there = cell.is_not_null() & ~word
        named = word & (cell != "")
        if isinstance(self.form, time_formats.TimeForm):
            return {"bad": there & ~time_formats.readable(self.source, self.form), "missing": named}
        missing = named | is_missing_number(text_values.value_of(self.source, self.form), self.words)
        tests = {"bad": there & ~text_values.readable(self.source, self.form), "missing": missing}
        if self.doubtful:
            marked = there & cell.str.contains(r"[.,]")
            both = [cell.str.contains(pattern) for pattern in text_values.PATTERNS.values()]
            tests["doubtful"] = pl.all_horizontal(marked, *both)
        return tests


def is_missing_number(value: pl.Expr, missing: Sequence[str]) -> pl.Expr:
    """Whether a number is one of those that mean missing."""
    numbers = missing_numbers(missing)
    return value.cast(pl.Float64, strict=False).is_in(numbers).fill_null(False) if numbers else pl.lit(False)


def null_where_missing(value: pl.Expr, missing: Sequence[str]) -> pl.Expr:
    """The numbers of `value`, null for those that mean missing."""
    return pl.when(~is_missing_number(value, missing)).then(value)


def missing_numbers(missing: Sequence[str]) -> list[float]:
    """Those of the texts that mean missing which are numbers; numbers are compared by value."""
    marks = []
    for text in missing:
        try:
            marks.append(float(text.replace(",", ".")))
        except ValueError:
            continue
    return marks


def run(checks: Sequence[Check], columns: Sequence[str]) -> tuple[Finding, ...]:
    """Verify those of the tidy columns `columns` that have checks. Call inside `collecting`.

    Errors: DataError `cells-not-numbers`, `times-unreadable`, `decimal-ambiguous`.
    """
    used = [check for check in checks if check.column in columns]
    counted: list[tuple[Check, dict[str, int]]] = []
    for rows in {id(check.rows): check.rows for check in used}.values():
        group = [check for check in used if check.rows is rows]
        tests = {f"{name}{n}": test for n, check in enumerate(group) for name, test in check.tests().items()}
        facts = rows.select(pl.len().alias("rows"), **{name: test.sum() for name, test in tests.items()})
        row = facts.collect(engine="streaming").row(0, named=True)
        for n, check in enumerate(group):
            numbers = {name: int(row.get(f"{name}{n}") or 0) for name in ("bad", "missing", "doubtful", "bounds")}
            counted.append((check, {**numbers, "rows": int(row["rows"])}))
    findings: list[Finding] = []
    for column in columns:
        of = [(check, numbers) for check, numbers in counted if check.column == column]
        for check, numbers in of:
            if numbers["doubtful"]:
                raise _decimal_ambiguous(check, numbers)
            if numbers["bad"]:
                raise _unreadable(check, numbers)
        findings += _findings(column, of)
    return tuple(findings)


def _findings(column: str, of: Sequence[tuple[Check, dict[str, int]]]) -> list[Finding]:
    findings = []
    total = sum(numbers["rows"] for check, numbers in of if check.bounds is None)
    censored = sum(numbers["bounds"] for _, numbers in of)
    if censored:
        rows = sum(numbers["rows"] for check, numbers in of if check.bounds is not None)
        gives = verb(censored, "gives")
        message = f"{censored:,} of {rows:,} cells of column {column!r} {gives} a bound, such as <0.5, which is taken"
        findings.append(Finding("bounds-taken", message, column, count=censored))
    missing = sum(numbers["missing"] for _, numbers in of)
    if missing:
        holds = verb(missing, "holds")
        message = f"{missing:,} of {total:,} cells of column {column!r} {holds} a word or number that means missing"
        findings.append(Finding("missing-words", message, column, count=missing))
    units = {check.form.unit for check, _ in of if isinstance(check.form, text_values.Form) and check.form.unit}
    if units:
        signs = " and ".join(sorted(units))
        message = f"the sign {signs} in column {column!r} is left out: its numbers stay as they are written"
        findings.append(Finding("unit-left-out", message, column))
    return findings


def _decimal_ambiguous(check: Check, numbers: dict[str, int]) -> DataError:
    rows, values = _first(check, "doubtful")
    return DataError(
        "decimal-ambiguous",
        f"{numbers['doubtful']:,} of {numbers['rows']:,} cells of {check.place} could have a decimal mark or a "
        f"thousands mark (first rows {rows}), and no cell of the table shows which",
        hint="say which mark stands before the decimals: --decimal . or --decimal ,",
        setting="decimal",
        where="" if check.names_are_ids else check.source,
        values=values,
    )


def _unreadable(check: Check, numbers: dict[str, int]) -> DataError:
    rows, values = _first(check, "bad")
    one = numbers["bad"] == 1
    share = f"{numbers['bad']:,} of {numbers['rows']:,} cells of {check.place} {verb(numbers['bad'], 'is')}"
    place = f"(row {rows})" if one else f"(first rows {rows})"
    where = "" if check.names_are_ids else check.source
    if check.thing == "time":
        return DataError(
            "times-unreadable",
            f"{share} no {'time' if one else 'times'} {place}",
            hint="correct these cells (--show-values quotes them), or say how times are written with --time-format, or "
            f"leave these rows out with --skip-rows-without time, which leaves {numbers['rows'] - numbers['bad']:,} of "
            f"{count(numbers['rows'], 'row')}",
            setting="time_format",
            where=where,
            values=values,
        )
    nothing = {"number": "no number" if one else "no numbers"}.get(check.thing, f"not {check.thing}")
    hint, setting = (
        "say which words mean missing with --missing, or clean these cells (--show-values quotes them)",
        "missing",
    )
    if sides := _sides(check):
        hint, setting = (
            f"some give bounds, such as <0.5: take these with --censored {','.join(sides)}; else {hint}",
            "censored",
        )
    return DataError(
        "cells-not-numbers",
        f"{share} {nothing} {place}",
        hint=hint,
        setting=setting,
        where=where,
        values=values,
    )


def _sides(check: Check) -> tuple[str, ...]:
    """On which sides some of the cells give a bound."""
    if check.rows.collect_schema().get(check.source) != pl.String:
        return ()
    bad = check.rows.filter(check.tests()["bad"]).select(check.source).head(MOST_BAD).collect(engine="streaming")
    return text_values.sides_of(bad[check.source])


def _first(check: Check, test_name: str) -> tuple[str, str]:
    """The first rows in which the test holds, in words, and their cells."""
    test, there = check.tests()[test_name], check.rows.collect_schema()
    if check.row is None:
        # Nothing is read but the columns of the test.
        needed = dict.fromkeys([*test.meta.root_names(), check.source])
        numbered = check.rows.select(name for name in needed if name in there).with_row_index(ROW, offset=1)
    else:
        numbered = check.rows.with_columns(pl.col(check.row).alias(ROW))
    shown = [check.source] if check.source in there else []
    first = numbered.filter(test).sort(ROW).head(FIRST).select(ROW, *shown).collect(engine="streaming")
    cells = first[check.source].to_list() if shown else []
    return ", ".join(f"{row:,}" for row in first[ROW]), ", ".join(map(str, cells))

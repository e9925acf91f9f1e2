"""What the cells of a text column hold: numbers in any country's writing, yes or no, or text.

It is decided from a sample, read by Polars expressions that turn what they cannot read into null, and verified over
all rows afterwards (`tsx.table.tidy.check_cells`): a cell that the decision does not cover is counted, never lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import polars as pl

from tsx.spec.decision import Decision
from tsx.wording import count

Kind = Literal["number", "boolean", "text", "empty"]
Mark = Literal[".", ","]
Counts = dict[str, dict[str, Any]]
"""By column: counts of its cells, and their unit."""

SAMPLE_CELLS = 500_000
SAMPLE_ROWS = (20, 100_000)
LATER = 1000
"""Cells looked at of a column that is empty throughout the sample."""
MOSTLY = 0.9
"""Share of numbers above which a column is one of numbers with unreadable cells, and not one of text."""
FEW_WORDS = 5
"""So many different cells that are no number make a column of whole numbers one of numbers still, not one of codes."""
# No column of a table is called so: Polars confuses those that an unpivot makes with those it takes.
LONG_COLUMN, LONG_CELL = "\x1fcolumn", "\x1fcell"

MISSING_WORDS = frozenset(
    {
        *("", "na", "n/a", "#n/a", "#na", "n.a.", "n.a", "<na>", "nan", "-nan", "nat", "null", "(null)", "none", "nil"),
        *(
            ":",
            "-",
            "--",
            "---",
            "\u2013",
            "\u2014",
            ".",
            "..",
            "...",
            "?",
            "??",
            "*",
            "\\n",
            "missing",
            "unknown",
            "unavailable",
        ),
        *("undefined", "not available", "no data", "nodata", "#value!", "#ref!", "#div/0!", "#num!", "#null!"),
        *("#name?", '""', "''", "1.#qnan", "-1.#ind", "1.#ind"),
    }
)
"""Cells, in lower case, that mean in any column of numbers or times: not observed."""
TRUE_WORDS = ("true", "yes", "t", "y", "wahr", "ja", "j", "vrai", "oui", "s\u00ed", "sim")
FALSE_WORDS = ("false", "no", "f", "n", "falsch", "nein", "faux", "non", "n\u00e3o")

_BLANKS = " \u00a0\u202f\u2009'\u2019"
_SIGN = "[+\\-\u2212]? ?"
_BLANKED = f"[1-9][0-9]{{0,2}}(?:[{_BLANKS}][0-9]{{3}})+"
_POWER = "(?:[eE][+-]?[0-9]+)?"
_GROUPED = {".": "[1-9][0-9]{0,2}(?:,[0-9]{2,3})*,[0-9]{3}", ",": "[1-9][0-9]{0,2}(?:\\.[0-9]{3})+"}
_UNIT = "[%$\u20ac\u00a3\u00a5\u20b9]"


BOUNDS = {"low": "<\u2264", "high": ">\u2265"}
"""The signs before a bound, where a value lies below what an instrument measures, or above it."""


def bound_pattern(sides: Sequence[str]) -> str:
    """What a cell looks like that gives a bound on one of these sides: <0.5, > 400, <=1,5."""
    return f"^[{''.join(BOUNDS[side] for side in sides)}]=? ?[0-9][0-9.,]*$"


def without_bounds(rows: pl.LazyFrame, columns: Sequence[str], sides: Sequence[str]) -> pl.LazyFrame:
    """The rows with these text columns, a bound without its sign."""
    cells = [stripped(name) for name in columns]
    return rows.with_columns(
        pl.when(cell.str.contains(bound_pattern(sides)))
        .then(cell.str.strip_chars("<>=\u2264\u2265 "))
        .otherwise(pl.col(name))
        .alias(name)
        for name, cell in zip(columns, cells, strict=True)
    )


def sides_of(cells: pl.Series) -> tuple[str, ...]:
    """On which sides some of the cells give a bound."""
    return tuple(side for side in BOUNDS if cells.str.strip_chars().str.contains(bound_pattern((side,))).any())


_FLAGGED = r"^([-+\u2212]?[0-9][0-9.,]*)(?: +[bcdefnprsuz]{1,3}| *[*#\u2020\u2021])$"
"""A number with a flag behind it: p for provisional, e for estimated, as statistical offices write, or a sign."""
_FLAGGED_MISSING = r"^: +[a-z]{1,3}$"


def flagged_columns(sample: pl.DataFrame, counts: Counts) -> list[str]:
    """The text columns of a sample whose numbers have a flag behind them here and there.

    In most cells there is none, and nothing but numbers stands in the column; where most of its cells have one, other
    columns must be alike, and a number must stand in its name, as in that of a step. `counts`: those of the sample.
    """
    numbers = {name: max(row["point"], row["comma"]) for name, row in counts.items()}
    others = {name: row["cells"] - numbers[name] for name, row in counts.items()}
    plain = sum(number for name, number in numbers.items() if not others[name])
    mixed = [name for name in counts if 0 < others[name] <= numbers[name]]
    steps = [name for name in counts if others[name] > numbers[name] and any(map(str.isdigit, name))]
    candidates = [*mixed, *(steps if plain > sum(others[name] for name in steps) else [])]
    if not candidates:
        return []
    cells = {name: stripped(name) for name in candidates}
    flags = sample.select(
        (cell.str.contains(_FLAGGED) | cell.str.contains(_FLAGGED_MISSING)).sum().alias(name)
        for name, cell in cells.items()
    ).row(0, named=True)
    return [name for name in candidates if flags[name] == others[name]]


def without_flags(names: Sequence[str]) -> list[pl.Expr]:
    """These text columns without the flags behind their numbers."""
    return [stripped(name).str.replace(_FLAGGED, "$1").str.replace(_FLAGGED_MISSING, ":").alias(name) for name in names]


def count_flags(rows: pl.LazyFrame, names: Sequence[str]) -> int:
    """How many cells of these columns have a flag."""
    flags = [stripped(name).str.contains(f"{_FLAGGED}|{_FLAGGED_MISSING}").sum() for name in names]
    return int(rows.select(pl.sum_horizontal(flags)).collect(engine="streaming").item())


def _pattern(mark: Mark) -> str:
    dot = "\\" + mark
    number = f"(?:(?:[0-9]+|{_GROUPED[mark]}|{_BLANKED})(?:{dot}[0-9]*)?|{dot}[0-9]+){_POWER}"
    return f"^(?:{_SIGN}{number}|\\({number}\\)|[+-]?(?i:inf(?:inity)?))$"


PATTERNS: dict[Mark, str] = {".": _pattern("."), ",": _pattern(",")}
"""Numbers with a decimal point, and with a decimal comma; thousands are marked by the other one, a blank or an '."""


@dataclass(frozen=True)
class Form:
    """How the texts of one column are read. `bad` of the sample's `cells` cells do not fit."""

    kind: Kind
    mark: Mark = "."
    unit: str | None = None
    whole: bool = False
    """Whole numbers only, in every row."""
    plain: bool = False
    """Written as programs write them, in every row: nothing has to be taken out before the cells are read."""
    cells: int = 0
    bad: int = 0

    @property
    def dtype(self) -> pl.DataType:
        """The type of the column once read."""
        if self.kind == "boolean":
            return pl.Boolean()
        return pl.Int64() if self.whole else pl.Float64()


def sample_of(rows: pl.LazyFrame, columns: Sequence[str]) -> tuple[pl.DataFrame, bool]:
    """The first rows of text columns, and whether these are all. Call inside `collecting`."""
    low, high = SAMPLE_ROWS
    number = min(max(SAMPLE_CELLS // max(len(columns), 1), low), high)
    sample = rows.select(columns).head(number + 1).collect(engine="streaming")
    return sample.head(number), len(sample) <= number


def first_cells(rows: pl.LazyFrame, columns: Sequence[str], words: Sequence[str] = ()) -> pl.DataFrame:
    """The first cells, over all rows, of columns that a sample shows empty, as a table of (column, cell).

    A sensor may report from some day on.
    """
    there = [stripped(name).is_not_null() & ~is_missing(stripped(name), words) for name in columns]
    first = [pl.col(name).filter(test).head(LATER).implode() for name, test in zip(columns, there, strict=True)]
    lists = rows.select(first).collect(engine="streaming")
    return lists.unpivot(variable_name=LONG_COLUMN, value_name=LONG_CELL).explode(LONG_CELL)


def stripped(column: str) -> pl.Expr:
    return pl.col(column).str.strip_chars()


def is_missing(cell: pl.Expr, words: Sequence[str] = ()) -> pl.Expr:
    """Whether a cell of text says that nothing was observed, by the usual words or by `words`."""
    return cell.str.to_lowercase().is_in(sorted(MISSING_WORDS | {word.strip().lower() for word in words}))


def tally(long: pl.LazyFrame, words: Sequence[str] = ()) -> Counts:
    """By column, the counts that decide what it holds, from a table of (column, cell).

    Columns are given apart by a group-by and not in a loop, so that 100,000 of them cost what their cells cost.
    """
    cell, bare, unit, by = pl.col(LONG_CELL), pl.col("bare"), pl.col("unit"), LONG_COLUMN
    simple = bare.cast(pl.Float64, strict=False).is_not_null()
    fits = (
        pl.when(unit.is_not_null().mean().over(by) > 0.5)
        .then(unit == unit.mode().first().over(by))
        .otherwise(unit.is_null())
    )
    rows = (
        long.with_columns(stripped(LONG_CELL))
        .filter(cell.is_not_null() & ~is_missing(cell, words))
        .with_columns(unit=cell.str.extract(f"({_UNIT})", 1))
        .with_columns(bare=pl.when(unit.is_null()).then(cell).otherwise(cell.str.replace(rf"\s*{_UNIT}\s*", "")))
        .with_columns(fits=fits, plain=simple, whole=bare.cast(pl.Int64, strict=False).is_not_null())
        # Only cells with a mark or a blank need the patterns; most tables have none.
        .with_columns(
            point=pl.col("fits") & (pl.col("plain") | bare.str.contains(PATTERNS["."])),
            comma=pl.col("fits") & (pl.col("whole") | bare.str.contains(PATTERNS[","])),
        )
    )
    counts = rows.group_by(by).agg(
        pl.len().alias("cells"),
        (pl.col("plain") & unit.is_null()).sum().alias("plain"),
        pl.col("point").sum(),
        pl.col("comma").sum(),
        bare.str.contains(r"^0[0-9]").sum().alias("padded"),
        unit.filter(pl.col("fits")).first(),
        cell.str.to_lowercase().is_in([*TRUE_WORDS, *FALSE_WORDS]).sum().alias("logical"),
        cell.filter(~(pl.col("point") | pl.col("comma"))).n_unique().alias("words"),
        *_mark_counts(bare, pl.col("point"), pl.col("comma"), bare, pl.col("whole")),
    )
    return {row[by]: row for row in counts.collect(engine="streaming").iter_rows(named=True)}


def _mark_counts(marked: pl.Expr, point: pl.Expr, comma: pl.Expr, cells: pl.Expr, whole: pl.Expr) -> list[pl.Expr]:
    """Counts of cells that decide the decimal mark.

    point, comma: whether each of the cells `marked` is a number with that decimal mark. whole: whether each of `cells`
    is a whole number.
    """
    has_dot, has_comma = (marked.str.contains(mark, literal=True) for mark in ".,")
    tests = {
        "only_point": point & ~comma & has_dot,
        "only_comma": comma & ~point,
        "doubt_comma": point & comma & has_comma,
        "doubt_point": point & comma & has_dot,
        "whole": whole,
        "long": whole & (cells.str.len_bytes() > 3),
    }
    return [test.sum().alias(name) for name, test in tests.items()]


def decimal_mark(
    rows: pl.LazyFrame, counts: Counts, every_row: bool, given: str | None
) -> tuple[Mark | None, Decision | None, bool]:
    """The decimal mark of all columns together, a decision where it needs a reason, and whether a cell shows it.

    given: the mark of the user or of an earlier table, which holds unless every cell with a mark contradicts. None:
    every marked cell is a number in both ways. Call inside `collecting`.
    """
    numbers = {name: row for name, row in counts.items() if max(row["point"], row["comma"]) >= MOSTLY * row["cells"]}
    if given is None and numbers and not every_row and not _total(numbers, "only_point", "only_comma"):
        numbers = _marks_of_all(rows, list(numbers))
    point, comma = _total(numbers, "only_point"), _total(numbers, "only_comma")
    if given is not None:
        mark: Mark = "," if given == "," else "."
        for_given, for_other = (comma, point) if mark == "," else (point, comma)
        if not for_other or for_given:
            return mark, None, bool(counts)
        other: Mark = "." if mark == "," else ","
        sign = "point" if mark == "," else "comma"
        reason = f"{count(for_other, 'cell')} can only be read with a decimal {sign}, not with {mark!r}"
        return other, Decision("decimal", other, reason), True
    if comma > point:
        return ",", Decision("decimal", ",", f"{count(comma, 'cell')} can only be read with a decimal comma"), True
    if point:
        return ".", None, True
    doubtful = _total(numbers, "doubt_comma", "doubt_point")
    # 987 beside 1.234 is how thousands are marked, 1.084 beside 1.107 how three decimals are printed.
    mixed = any(row["doubt_point"] and row["whole"] and not row["long"] for row in numbers.values())
    if mixed or _total(numbers, "doubt_comma"):
        return None, None, True
    if doubtful:
        reason = "every marked cell has three digits after its point; were these thousands, say --decimal ,"
        return ".", Decision("decimal", ".", reason), True
    return ".", None, False


def _total(counts: Counts, *names: str) -> int:
    return sum(row[name] for row in counts.values() for name in names)


def _marks_of_all(rows: pl.LazyFrame, columns: Sequence[str]) -> Counts:
    """The counts that decide the decimal mark, of all rows: the order of the rows decides nothing."""
    has = {name: pl.col(name).str.contains("[.,]") for name in columns}
    # Most tables of whole numbers hold no mark at all, and to see that is cheap.
    marked_columns = rows.select(test.any().alias(name) for name, test in has.items()).collect(engine="streaming")
    columns = [name for name in columns if marked_columns[name].item()]
    facts = []
    for name in columns:
        marked = stripped(name).filter(has[name]).str.replace(rf"\s*{_UNIT}\s*", "")
        point, comma = (marked.str.contains(PATTERNS[mark]) for mark in (".", ","))
        cells = pl.col(name).str.strip_chars(" \t%$\u20ac\u00a3\u00a5\u20b9")
        whole = cells.cast(pl.Int64, strict=False).is_not_null()
        facts.append(pl.struct(_mark_counts(marked, point, comma, cells, whole)).alias(name))
    return rows.select(facts).collect(engine="streaming").row(0, named=True) if facts else {}


def form_of(
    counts: dict[str, Any],
    mark: Mark,
    *,
    every_row: bool,
    wanted: bool = False,
    counted: bool = False,
    codes: bool = False,
) -> Form:
    """How to read the column of these counts.

    every_row: the counts are of all rows. wanted: the column was named for a part that needs numbers. counted:
    whole numbers are counts or times here, even 007. codes: whole numbers are names of things here, as they are in a
    text column among typed ones.
    """
    cells = counts["cells"]
    if not cells:
        return Form("empty")
    share = 0.5 if wanted else MOSTLY
    if counts["logical"] == cells or (wanted and counts["logical"] >= share * cells):
        return Form("boolean", cells=cells, bad=cells - counts["logical"])
    good = counts["point" if mark == "." else "comma"]
    only_whole = counts["whole"] == good
    if good < share * cells or not good:
        return Form("text", cells=cells, bad=cells - good)
    names = counts["padded"] or (codes and good == cells) or (good < cells and counts["words"] > FEW_WORDS)
    if only_whole and names and not counted:
        return Form("text", cells=cells)
    plain = every_row and counts["unit"] is None and counts["plain"] == good and (mark == "." or only_whole)
    whole = plain and only_whole
    return Form("number", mark, counts["unit"], whole, plain, cells, cells - good)


def value_of(column: str, form: Form) -> pl.Expr:
    """The column's values; a cell that is none becomes null. Empty columns become numbers."""
    cell = pl.col(column)
    if form.kind == "empty":
        return pl.lit(None, pl.Float64).alias(column)
    if form.kind == "boolean":
        lowered = stripped(column).str.to_lowercase()
        return pl.when(lowered.is_in(TRUE_WORDS)).then(True).when(lowered.is_in(FALSE_WORDS)).then(False).alias(column)
    if form.kind != "number":
        return cell
    if form.plain:
        return cell.cast(pl.Int64 if form.whole else pl.Float64, strict=False)
    return cell.str.replace_many(*_unmarking(form.mark, form.unit)).cast(pl.Float64, strict=False)


@lru_cache
def _unmarking(mark: Mark, unit: str | None) -> tuple[list[str], list[str]]:
    """What is replaced in a number's text, and by what, so that it is written as programs write it."""
    out = [*_BLANKS, "." if mark == "," else ",", ")", *([unit] if unit else [])]
    written: dict[str, str] = {**dict.fromkeys(out, ""), "(": "-", "\u2212": "-", **({",": "."} if mark == "," else {})}
    return list(written), list(written.values())


def without(column: str, words: Sequence[str]) -> pl.Expr:
    """The texts of a column, but for `words`: in text the usual words for missing may be names."""
    cell = pl.col(column)
    missing = stripped(column).str.to_lowercase().is_in(sorted({word.strip().lower() for word in words}))
    return pl.when(~missing).then(cell).alias(column)


def readable(column: str, form: Form) -> pl.Expr:
    """Whether each cell is what the column holds; stricter than `value_of`, which takes 1,2,3 for 123."""
    cell = stripped(column)
    if form.kind == "boolean":
        return cell.str.to_lowercase().is_in([*TRUE_WORDS, *FALSE_WORDS])
    if form.kind != "number":
        return pl.lit(True)
    if form.plain:
        return cell.cast(pl.Int64 if form.whole else pl.Float64, strict=False).is_not_null()
    if form.unit:
        bare = cell.str.replace(rf"\s*{_UNIT}\s*", "")
        return cell.str.contains(form.unit, literal=True) & bare.str.contains(PATTERNS[form.mark])
    return cell.str.contains(PATTERNS[form.mark])

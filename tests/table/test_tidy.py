"""The whole second stage: the same series in ten wild layouts, and later tables read as the first one was."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsx.errors import ConfigError, DataError
from tsx.io.raw_table import RawTable
from tsx.io.source import scan
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles
from tsx.table.roles import check_schema, find_roles
from tsx.table.tidy import Table, check_cells, tidy

NONE_NAMED, PLAIN = Roles(), Reading()
STEPS = 60
START = dt.datetime(2024, 1, 1)
VALUES = {
    "north": [1000 + 37.25 * n if n % 7 else None for n in range(STEPS)],
    "south": [-20 + 0.5 * n for n in range(STEPS)],
}
TIMES = [START + dt.timedelta(days=n) for n in range(STEPS)]
LONG = [(id, time, value) for id, values in VALUES.items() for time, value in zip(TIMES, values, strict=True)]


def german(number: float | None) -> str:
    """1.234,50 as it is written in Germany; k.A. where nothing is."""
    return "n/a" if number is None else f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


def lines(header: str, rows: list[str]) -> str:
    return "\n".join([header, *rows, ""])


def iso(path: Path) -> tuple[Roles, Reading]:
    rows = [f"{id},{time:%Y-%m-%d},{'' if value is None else value}" for id, time, value in LONG]
    path.write_text(lines("id,date,value", rows))
    return NONE_NAMED, PLAIN


def european(path: Path) -> tuple[Roles, Reading]:
    rows = [f"{id};{time:%d.%m.%Y};{german(value)}" for id, time, value in reversed(LONG)]
    path.write_text(lines("id;Datum;Wert", rows))
    return NONE_NAMED, PLAIN


def american(path: Path) -> tuple[Roles, Reading]:
    rows = [f"{id}\t{time:%m/%d/%y}\t{'.' if value is None else f'{value:,.2f}'}" for id, time, value in LONG]
    path.write_text(lines("id\tdate\tvalue", rows))
    return NONE_NAMED, PLAIN


def seconds(path: Path) -> tuple[Roles, Reading]:
    rows = [f"{id},{int(time.replace(tzinfo=dt.UTC).timestamp())},{value}" for id, time, value in LONG]
    path.write_text(lines("id,timestamp,value", rows))
    return NONE_NAMED, PLAIN


def date_and_clock(path: Path) -> tuple[Roles, Reading]:
    rows = [f"{id},{time:%d-%b-%Y},{time:%I:%M %p},{'NULL' if value is None else value}" for id, time, value in LONG]
    path.write_text(lines("id,date,time,value", rows))
    return NONE_NAMED, PLAIN


def three_columns(path: Path) -> tuple[Roles, Reading]:
    rows = [f"{id},{time.year},{time:%B},{time.day},{value}" for id, time, value in LONG]
    path.write_text(lines("id,year,month,day,value", rows))
    return NONE_NAMED, PLAIN


def wide(path: Path) -> tuple[Roles, Reading]:
    rows = [f"{time:%Y-%m-%d};{german(a)};{german(b)}" for time, a, b in zip(TIMES, *VALUES.values(), strict=True)]
    path.write_text(lines("date;" + ";".join(VALUES), rows))
    return NONE_NAMED, Reading(wide=True)


def step_columns(path: Path) -> tuple[Roles, Reading]:
    rows = [
        ",".join([id, *("NA" if value is None else str(value) for value in values)]) for id, values in VALUES.items()
    ]
    path.write_text(lines(",".join(["region", *(f"{time:%Y-%m-%d}" for time in TIMES)]), rows))
    return NONE_NAMED, PLAIN


def targets(path: Path) -> tuple[Roles, Reading]:
    rows = [f"{time:%Y%m%d},{a},{b},7" for time, a, b in zip(TIMES, *VALUES.values(), strict=True)]
    path.write_text(lines("date,north,south,other", rows))
    return Roles(target=tuple(VALUES)), PLAIN


def typed(path: Path) -> tuple[Roles, Reading]:
    pl.DataFrame(LONG, schema=["id", "when", "value"], orient="row").write_parquet(path)
    return NONE_NAMED, PLAIN


LAYOUTS: list[Callable[[Path], tuple[Roles, Reading]]] = [
    *(iso, european, american, seconds, date_and_clock, three_columns, wide, step_columns, targets, typed),
]


def resolved(schema: Schema) -> Roles:
    return Roles(schema.ids, (schema.time,), (schema.target,), schema.past, schema.future, schema.static)


def values(rows: pl.LazyFrame, schema: Schema) -> dict[tuple[str, dt.datetime], float]:
    """What was observed, by id and time without a zone."""
    assert isinstance(schema.id, str)
    time = pl.col(schema.time).cast(pl.Datetime("us"))
    frame = rows.select(pl.col(schema.id).cast(pl.String), time, pl.col(schema.target)).collect()
    return {(id, at): value for id, at, value in frame.iter_rows() if value is not None}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_series_in_ten_wild_layouts_is_the_same_table(
    layout: Callable[[Path], tuple[Roles, Reading]], tmp_path: Path
) -> None:
    path = tmp_path / f"table.{'parquet' if layout is typed else 'csv'}"
    roles, reading = layout(path)
    table = tidy(scan(path, reading), roles, reading)
    schema, _ = find_roles(table)
    check_cells(table, schema)
    assert values(table.rows, schema) == {(id, time): value for id, time, value in LONG if value is not None}
    later = tidy(scan(path, table.reading), resolved(schema), table.reading)
    check_schema(later.rows, schema)
    assert values(later.rows, schema) == values(table.rows, schema)
    assert later.reading == table.reading


def test_a_tidy_table_passes_without_a_word() -> None:
    frame = pl.LazyFrame({"ds": TIMES, "y": [1.0] * STEPS})
    table = tidy(RawTable(frame, "frame"), NONE_NAMED, PLAIN)
    assert table.rows.collect().equals(frame.collect())
    assert (table.decisions, table.findings, table.reading) == ((), (), PLAIN)
    text = tidy(
        RawTable(frame.with_columns(pl.col("ds").dt.to_string("%Y-%m-%d")).cast(pl.String), "x"), NONE_NAMED, PLAIN
    )
    assert (text.decisions, text.findings) == ((), ())


def test_a_later_table_is_read_as_the_first_one_was() -> None:
    first = pl.LazyFrame({"when": ["31/01/2024", "01/02/2024"], "y": ["1.234,5", "2"]})
    table = tidy(RawTable(first, "first"), NONE_NAMED, PLAIN)
    assert (table.reading.time_format, table.reading.decimal) == ("day-first", ",")
    # Alone the later cells could be either.
    later = pl.LazyFrame({"when": ["03/02/2024", "04/02/2024"], "y": ["1,234", "5,678"]})
    rows = tidy(RawTable(later, "later"), Roles(time=("when",), target=("y",)), table.reading).rows.collect()
    assert rows.rows() == [(dt.date(2024, 2, 3), 1.234), (dt.date(2024, 2, 4), 5.678)]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 5000), st.floats(-1e6, 1e6) | st.none()),
        min_size=1,
        max_size=30,
        unique_by=lambda row: row[:2],
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_and_columns_changes_nothing(rows: list[tuple[str, int, float | None]], random: Any) -> None:
    def read(rows: list[tuple[str, int, float | None]], names: list[str]) -> dict[tuple[str, dt.datetime], float]:
        frame = pl.DataFrame(
            [(id, START + dt.timedelta(hours=step), value) for id, step, value in rows],
            schema={"id": pl.String, "ds": pl.Datetime("us"), "y": pl.Float64},
            orient="row",
        )
        text = frame.with_columns(pl.col("ds").dt.to_string("%Y-%m-%dT%H:%M")).cast(pl.String).select(names)
        table = tidy(RawTable(text.lazy(), "x"), Roles(target=("y",)), PLAIN)
        schema, _ = find_roles(table)
        check_cells(table, schema)
        return values(table.rows, schema)

    expected = {(id, START + dt.timedelta(hours=step)): value for id, step, value in rows if value is not None}
    assert read(rows, ["id", "ds", "y"]) == expected
    shuffled, names = random.sample(rows, len(rows)), random.sample(["id", "ds", "y"], 3)
    assert read(shuffled, names) == expected


@pytest.mark.parametrize("wish", [{"target": ("gone", "y")}, {"time": ("gone", "y")}])
def test_a_name_that_no_column_has_is_refused_early(wish: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        tidy(RawTable(pl.LazyFrame({"ds": TIMES, "y": [1.0] * STEPS}), "frame"), Roles(**wish), PLAIN)
    assert caught.value.code == "column-not-found"


def test_nothing_of_the_cells_is_in_what_is_said() -> None:
    frame = pl.LazyFrame(
        {
            "when": ["31.12.2023 secret", *(f"{day}.1.2024" for day in range(1, 31))],
            "who": ["secret"] * 31,
            "y": ["1,5"] * 30 + ["secret"],
            "x": ["12 %"] * 31,
        }
    )
    table: Table = tidy(RawTable(frame, "table.csv"), NONE_NAMED, PLAIN)
    schema, decisions = find_roles(table)
    with pytest.raises(DataError) as caught:
        check_cells(table, schema)
    error = caught.value
    said = [*decisions, *table.decisions, *table.findings, error.message, error.hint, error.where, table.reading]
    assert "secret" not in repr(said)

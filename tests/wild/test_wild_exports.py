"""Layouts of statistical offices, devices and spreadsheets, written anew: each becomes the panel that it holds."""

from __future__ import annotations

import calendar
import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from tests.io.test_optional_packages import write_workbook
from tests.wild.truth import MONTHLY, Truth, difference, file, iso, plain
from tsx.errors import ConfigError, DataError
from tsx.io.source import as_source, scan
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import Opened, open_table

YEARS = plain(dt.date(2001, 1, 1), "1mo", (12 * 15,), ids=("value",))
MONTHS = MONTHLY.only(0).named("value")
DAYS = plain(dt.date(2023, 12, 1), "1d", (60,), ids=("value",))


def opened(source: Any, roles: Roles = Roles(), reading: Reading = Reading()) -> Opened:  # noqa: B008
    return open_table(source, roles, reading, None, SILENT)


# One row a year.

FULL = [name for name in calendar.month_name if name]
UNEVEN = ["Jan", "Feb", "March", "April", "May", "June", "July", "Aug", "Sept", "Oct", "Nov", "Dec"]
GERMAN = ("September", "Oktober", "November", "Dezember")
HEADERS = {
    "short": [name for name in calendar.month_abbr if name],
    "full": FULL,
    "uneven": UNEVEN,
    "with a point": [f"{name[:3]}." for name in FULL],
    "numbers": [str(k) for k in range(1, 13)],
    "padded": [f"{k:02}" for k in range(1, 13)],
    "German": [*("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August"), *GERMAN],
}


def by_year(of: Truth, months: list[str], *, year: str = "Year", extra: str = "") -> str:
    """A line a year; `extra` is one more column, of the year's sum."""
    (one,) = of.series
    lines = [",".join([year, *months, *([extra] if extra else [])])]
    for k in range(0, len(one.times), 12):
        values = one.target[k : k + 12]
        total = [f"{sum(v for v in values if v is not None):.2f}"] if extra else []
        lines.append(",".join([str(one.times[k].year), *(f"{v:.2f}" for v in values if v is not None), *total]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("months", list(HEADERS))
def test_a_row_a_year_with_a_column_for_each_month_is_one_monthly_series(months: str, tmp_path: Path) -> None:
    made = opened(file("a.csv", by_year(YEARS, HEADERS[months]))(tmp_path))
    assert difference(made.panel, YEARS) == ""
    assert "looks-wide" not in {one.code for one in made.panel.findings}


@pytest.mark.parametrize("extra", ["Annual", "Total", "Mean"])
def test_the_sum_of_a_year_beside_its_months_is_no_month(extra: str, tmp_path: Path) -> None:
    path = file("a.csv", by_year(YEARS, FULL, year="YEAR", extra=extra))(tmp_path)
    assert difference(opened(path, Roles(), Reading(wide=True)).panel, YEARS) == ""


# One row a day.

CLOCKS: dict[str, tuple[str, Callable[[int], str]]] = {
    "half-hours from 0": ("30m", lambda k: f"hh_{k}"),
    "hours from 1": ("1h", lambda k: f"H{k + 1}"),
    "clocks": ("30m", lambda k: f"{k // 2:02}:{k % 2 * 30:02}"),
    "spans of clocks": ("15m", lambda k: f"{k // 4:02}:{k % 4 * 15:02} - {(k + 1) // 4:02}:{(k + 1) % 4 * 15:02}"),
    "the last is 24:00": ("1h", lambda k: f"{k + 1:02}:00"),
}


@pytest.mark.parametrize("name", list(CLOCKS))
@pytest.mark.parametrize("meters", [("a",), ("a", "b")])
def test_a_row_a_day_with_a_column_for_each_part_of_it_is_one_series(
    name: str, meters: tuple[str, ...], tmp_path: Path
) -> None:
    freq, called = CLOCKS[name]
    start = dt.datetime(2024, 2, 27, 1 if "24:00" in name else 0)
    parts = {"30m": 48, "1h": 24, "15m": 96}[freq]
    of = plain(start, freq, (parts * 7,) * len(meters), ids=meters if len(meters) > 1 else ("value",))
    lines = [",".join(["meter", "day", *map(called, range(parts))][len(meters) == 1 :])]
    for one in of.series:
        for day in range(7):
            date = dt.date(2024, 2, 27) + dt.timedelta(days=day)
            cells = [f"{value:g}" for value in one.target[day * parts : (day + 1) * parts]]
            lines.append(",".join([one.id, str(date), *cells][len(meters) == 1 :]))
    path = file("a.csv", "\n".join(lines) + "\n")(tmp_path)
    for reading in (Reading(), Reading(wide=True)):
        assert difference(opened(path, Roles(), reading).panel, of) == ""


STATIONS = {
    "sentences, names and units": (
        "Somewhere\nData that are missing on more than two days of a month are marked by ---\n",
        True,
    ),
    "names and units": ("", True),
    "a long sentence above names": ("The mean of all days of the month and its total of rain in millimetres\n", False),
}


@pytest.mark.parametrize("name", list(STATIONS))
def test_a_station_with_columns_between_blanks_is_read_below_its_sentences(name: str, tmp_path: Path) -> None:
    above, units = STATIONS[name]
    head = "   yyyy  mm   tmax    rain\n" + ("              degC      mm\n" if units else "")
    rows = [
        f"   {t.year}  {t.month:2}   {v:6g}   {k % 7:5}\n"
        for k, (t, v) in enumerate(zip(YEARS.series[0].times, YEARS.series[0].target))
    ]
    made = opened(file("a.txt", above + head + "".join(rows))(tmp_path), Roles(target=("tmax",)))
    assert difference(made.panel, YEARS.named("tmax")) == ""
    assert ("units_line" in {one.name for one in made.decisions}) is units


# Flags behind numbers.

FLAGS = {"letters": (" p", " e", " bd"), "signs": ("*", "#", " *"), "one": (" p",)}


@pytest.mark.parametrize("name", list(FLAGS))
def test_flags_behind_numbers_are_left_out_and_counted(name: str, tmp_path: Path) -> None:
    flags = FLAGS[name]
    cells = [f"{v:g}{flags[k % len(flags)] if k > 50 else ''}" for k, v in enumerate(DAYS.series[0].target) if v]
    text = "".join(f"{time},{cell}\n" for time, cell in zip(DAYS.series[0].times, cells, strict=True))
    made = opened(file("a.csv", "day,value\n" + text)(tmp_path))
    assert difference(made.panel, DAYS) == ""
    (finding,) = [one for one in made.panel.findings if one.code == "flags-left-out"]
    assert finding.message.startswith("9 cells of 1 column have a flag")


def test_a_step_whose_cells_all_have_a_flag_is_still_a_step(tmp_path: Path) -> None:
    of = plain(dt.date(2021, 1, 1), "1mo", (30, 30, 30))
    head = ["freq,geo\\TIME_PERIOD", *(f"{time:%Y-%m} " for time in of.series[0].times)]
    rows = [
        [f"M,{one.id}", *(f"{v:g}{' p' if k > 27 else ' '}" for k, v in enumerate(one.target))] for one in of.series
    ]
    rows[1][4] = ": c"
    made = opened(file("a.tsv", "".join("\t".join(row) + "\n" for row in [head, *rows]))(tmp_path))
    values = [[None if (n, k) == (1, 3) else v for k, v in enumerate(one.target)] for n, one in enumerate(of.series)]
    assert difference(made.panel, of.filled(values).named(*(f"M,{one.id}" for one in of.series))) == ""


@pytest.mark.parametrize("cells", [("12", "12 b", "14 c"), ("7 a", "7 b", "8 a"), ("A 1", "A 2", "B 1")])
def test_house_numbers_are_no_numbers_with_flags(cells: tuple[str, ...], tmp_path: Path) -> None:
    of = plain(dt.date(2024, 1, 1), "1d", (30, 30, 30), ids=cells)
    text = "".join(f"{id},{time},{value:g}\n" for id, time, value in of.rows)
    assert difference(opened(file("a.csv", "house,day,value\n" + text)(tmp_path)).panel, of) == ""


def test_a_step_that_holds_text_is_not_left_out_in_silence(tmp_path: Path) -> None:
    lines = ["id,2021,2022,2023,2024", "a,1,2,3,low", "b,2,3,4,high", "c,5,3,4,low"]
    with pytest.raises(DataError) as caught:
        opened(file("a.csv", "\n".join(lines) + "\n")(tmp_path))
    assert (caught.value.code, caught.value.message[:6]) == ("cells-not-numbers", "1 of 4")


PARTS = [
    (("", "x", "y"), ("Chad", "China", "China")),
    (("", "x", ""), ("China", "China", "Peru")),
    (("a", "a", ""), ("X", "Y", "Y")),
]


@pytest.mark.parametrize(("provinces", "countries"), PARTS)
def test_a_part_of_an_id_that_is_empty_in_some_rows_tells_them_apart(
    provinces: tuple[str, ...], countries: tuple[str, ...], tmp_path: Path
) -> None:
    names = [f"{province}!{country}" for province, country in zip(provinces, countries, strict=True)]
    of = plain(dt.date(2021, 1, 1), "1d", (20, 20, 20), ids=names)
    head = ["Province", "Country", *(f"{time:%-m/%-d/%y}" for time in of.series[0].times)]
    rows = [[*one.id.split("!"), *(f"{v:g}" for v in one.target)] for one in of.series]
    made = opened(file("a.csv", "".join(",".join(row) + "\n" for row in [head, *rows]))(tmp_path))
    joined = pl.DataFrame(made.panel.ids.struct.unnest()).select(pl.concat_str(pl.all(), separator="!")).to_series()
    assert difference(dataclasses.replace(made.panel, ids=joined), of) == ""


# Steps, periods.


@pytest.mark.parametrize(("step", "prefix", "begin"), [(5, "", 0), (15, "", 0), (10, "t", 10), (2, "week ", 2)])
def test_columns_named_by_even_steps_are_steps(step: int, prefix: str, begin: int, tmp_path: Path) -> None:
    of = plain(begin, str(step), (30, 30, 30))
    names = [f"{prefix}{time}" for time in of.series[0].times]
    lines = [",".join(["ID", *names]), *(",".join([one.id, *(f"{v:.2f}" for v in one.target)]) for one in of.series)]
    made = opened(file("a.csv", "\n".join(lines) + "\n")(tmp_path), Roles(), Reading(wide=True))
    assert difference(made.panel, of) == ""


PERIODS: dict[str, tuple[Truth, Callable[[Any], str]]] = {
    "2015M01": (MONTHS, lambda time: f"{time:%YM%m}"),
    "2015m1": (MONTHS, lambda time: f"{time.year}m{time.month}"),
    "2015-Q1": (plain(dt.date(2014, 1, 1), "1q", (40,), ids=("value",)), lambda t: f"{t.year}-Q{(t.month + 2) // 3}"),
    "1Q2015": (plain(dt.date(2014, 1, 1), "1q", (40,), ids=("value",)), lambda t: f"{(t.month + 2) // 3}Q{t.year}"),
    "2015-032": (DAYS, lambda time: f"{time:%Y-%j}"),
    "Sept 2015": (MONTHS, lambda time: f"{UNEVEN[time.month - 1]} {time.year}"),
}


@pytest.mark.parametrize("name", list(PERIODS))
def test_a_period_is_read_as_statistical_offices_write_it(name: str, tmp_path: Path) -> None:
    of, cell = PERIODS[name]
    lines = [f"{cell(time)},{value:.2f}\n" for time, value in zip(of.series[0].times, of.series[0].target)]
    assert difference(opened(file("a.csv", "period,value\n" + "".join(lines))(tmp_path)).panel, of) == ""


# Bounds.


def bounded(low: str, high: str) -> tuple[str, Truth]:
    """Concentrations, the lowest and the highest of which are bounds."""
    values = [(k * 37 % 60) / 10 for k in range(60)]
    cells = [low.format(0.5) if v < 0.5 else high.format(5.5) if v > 5.5 else f"{v:g}" for v in values]
    text = "".join(f"{iso(time)},{cell}\n" for time, cell in zip(DAYS.series[0].times, cells, strict=True))
    return "day,value\n" + text, DAYS.filled([[min(max(v, 0.5), 5.5) for v in values]])


@pytest.mark.parametrize(("low", "high"), [("<{}", ">{}"), ("< {}", "> {}"), ("<={}", "≥{}")])
def test_bounds_are_taken_where_asked_and_hinted_at_where_not(low: str, high: str, tmp_path: Path) -> None:
    content, of = bounded(low, high)
    path = file("a.csv", content)(tmp_path)
    with pytest.raises((DataError, ConfigError)) as caught:
        opened(path, Roles(target=("value",)))
    assert "--censored low,high" in caught.value.hint
    made = opened(path, Roles(target=("value",)), Reading(censored=("low", "high")))
    assert difference(made.panel, of) == ""
    (finding,) = [one for one in made.panel.findings if one.code == "bounds-taken"]
    number = content.count(low.format("")[0]) + content.count(high.format("")[0])
    assert finding.message.startswith(f"{number} of 60 cells")


def test_a_bound_on_the_side_that_was_not_named_is_still_an_error(tmp_path: Path) -> None:
    path = file("a.csv", bounded("<{}", ">{}")[0])(tmp_path)
    with pytest.raises((DataError, ConfigError)) as caught:
        opened(path, Roles(target=("value",)), Reading(censored=("low",)))
    assert "--censored high" in caught.value.hint


# Workbooks and JSON.

CONTENTS: list[list[str | float]] = [["Workbook Contents"], ["Daily prices of something"], ["Click a worksheet name"]]
TITLES: list[list[str | float]] = [["Back to Contents", "Data 1: prices"], ["Sourcekey", "RWX"], ["Date", "value"]]


def sheet(of: Truth) -> list[list[str | float]]:
    return [[iso(time), float(value or 0)] for time, value in zip(of.series[0].times, of.series[0].target)]


def test_the_first_sheet_with_a_table_is_read_and_all_are_named(tmp_path: Path) -> None:
    later = DAYS.mapped(lambda value: None if value is None else value + 1)
    path = tmp_path / "a.xlsx"
    write_workbook(path, CONTENTS, Data=[*TITLES, *sheet(DAYS)], More=[["Date", "value"], *sheet(later)])
    made = opened(path)
    assert difference(made.panel, DAYS) == ""
    (decision,) = [one for one in made.decisions if one.name == "sheet"]
    assert decision.value == "Data"
    assert all(name in decision.reason for name in ("Sales", "Data", "More", "--sheet"))
    for wish in ("More", "3"):
        assert difference(opened(path, Roles(), Reading(sheet=wish)).panel, later) == ""
    with pytest.raises(ConfigError) as caught:
        opened(path, Roles(), Reading(sheet="May"))
    assert caught.value.code == "sheet-unknown"


FRAME = pl.DataFrame(
    {
        "when": [int(dt.datetime.combine(t, dt.time(), dt.UTC).timestamp() * 1000) for t in DAYS.series[0].times],
        "value": DAYS.series[0].target,
    }
)
INSTANTS = DAYS.retimed("1d", lambda day: dt.datetime.combine(day, dt.time(), dt.UTC))
COLUMNS = {name: {str(k): v for k, v in enumerate(FRAME[name].to_list())} for name in FRAME.columns}
JSON: dict[str, Any] = {
    "columns": COLUMNS,
    "index": {str(k): row for k, row in enumerate(FRAME.to_dicts())},
    "list": FRAME.to_dict(as_series=False),
    "split": {"columns": FRAME.columns, "index": list(range(60)), "data": [list(row) for row in FRAME.rows()]},
    "table": {"schema": {"fields": [], "pandas_version": "1.4.0"}, "data": FRAME.to_dicts()},
    "records": FRAME.to_dicts(),
}


@pytest.mark.parametrize("layout", list(JSON))
@pytest.mark.parametrize("indent", [None, 2])
def test_json_is_read_in_each_layout_of_pandas(layout: str, indent: int | None, tmp_path: Path) -> None:
    path = file("a.json", json.dumps(JSON[layout], indent=indent))(tmp_path)
    assert difference(opened(path).panel, INSTANTS.named("value")) == ""


# Numbers that stand for missing.


@pytest.mark.parametrize("codes", [(-999.0, -9999.0), (-99.0, -999.0), (-999.0, 99999.0)])
def test_several_numbers_that_stand_for_missing_are_found_in_one_column(
    codes: tuple[float, float], tmp_path: Path
) -> None:
    cells = [codes[k % 2] if k % 5 == 3 else value for k, value in enumerate(DAYS.series[0].target)]
    text = "".join(f"{iso(time)},{cell:g}\n" for time, cell in zip(DAYS.series[0].times, cells, strict=True))
    made = opened(file("a.csv", "day,value\n" + text)(tmp_path))
    values = [None if k % 5 == 3 else float(f"{v:g}") for k, v in enumerate(DAYS.series[0].target)]
    assert difference(made.panel, DAYS.filled([values])) == ""


@pytest.mark.parametrize(
    ("names", "wide"),
    [
        (("AAPL", "MSFT", "GOOG", "TSLA"), True),
        (("CA01", "TX02", "NY03"), True),
        (("CO", "NOX", "T"), False),
        (("Open", "High", "Low"), False),
    ],
)
def test_columns_of_alike_codes_look_wide_whatever_their_scales(names: tuple[str, ...], wide: bool) -> None:
    values = DAYS.series[0].target
    frame = pl.DataFrame(
        {"day": DAYS.series[0].times, **{n: [v * 40**k for v in values if v] for k, n in enumerate(names)}}
    )
    assert ("looks-wide" in {one.code for one in opened(frame).panel.findings}) is wide


# Several frequencies.


@pytest.mark.parametrize(("freq", "every"), [("1w", 7), ("1mo", 31), ("3d", 0)])
def test_series_of_another_frequency_in_one_table_are_said(freq: str, every: int) -> None:
    daily = plain(dt.date(2022, 1, 1), "1d", (400, 400), ids=("a", "b"))
    other = plain(dt.date(2022, 1, 1), freq, (13,), ids=("z",))
    frame = pl.DataFrame([row for of in (daily, other) for row in of.rows], schema=["id", "ds", "y"], orient="row")
    messages = [one.message for one in opened(frame).panel.findings if one.code == "mixed-frequencies"]
    if every:
        (message,) = messages
        assert message.startswith(f"1 of 3 series has a row only every {every} steps of 1 day")
    else:
        assert messages == []


def test_a_daily_series_with_gaps_is_not_of_another_frequency() -> None:
    daily = plain(dt.date(2022, 1, 1), "1d", (400, 400), ids=("a", "b"))
    kept = [row for n, row in enumerate(daily.rows) if row[0] == "a" or n * n % 7 < 2]
    frame = pl.DataFrame(kept, schema=["id", "ds", "y"], orient="row")
    assert "mixed-frequencies" not in {one.code for one in opened(frame).panel.findings}


MIXED = {
    "days, weeks and months": (("1d", 400), ("1w", 60), ("1mo", 14)),
    "weeks and months, on no common step": (("1w", 80), ("1mo", 24)),
    "weeks and quarters": (("1w", 80), ("1q", 24)),
}


@pytest.mark.parametrize("name", list(MIXED))
def test_each_frequency_of_a_table_can_be_read_by_itself_and_the_others_are_counted(name: str) -> None:
    parts = {
        freq: plain(dt.date(2022, 1, 1), freq, (number, number - 2), ids=(freq, freq + "b"))
        for freq, number in MIXED[name]
    }
    rows = [row for of in parts.values() for row in of.rows]
    frame = pl.DataFrame(rows, schema=["id", "ds", "y"], orient="row")
    try:
        (said,) = [one.message for one in opened(frame).panel.findings if one.code == "mixed-frequencies"]
    except DataError as error:
        said = error.hint
    for freq, of in parts.items():
        assert f"--freq {freq} --skip-other-freq (2 series)" in said
        made = open_table(frame, Roles(), Reading(skip_other_freq=True), freq, SILENT)
        assert difference(made.panel, of) == ""
        (finding,) = [one for one in made.panel.findings if one.code == "other-frequencies"]
        assert finding.message.startswith(f"{2 * len(parts) - 2} of {2 * len(parts)} series have another step")


def test_without_a_frequency_the_one_that_most_series_have_is_read() -> None:
    weeks, days = (
        plain(dt.date(2022, 1, 1), "1w", (40,) * 3, ids="abc"),
        plain(dt.date(2022, 1, 1), "1d", (99,), ids="d"),
    )
    frame = pl.DataFrame([*weeks.rows, *days.rows], schema=["id", "ds", "y"], orient="row")
    assert difference(opened(frame, Roles(), Reading(skip_other_freq=True)).panel, weeks) == ""


# What other programs keep.


def counted(start: Any, freq: str, value: Callable[[int], float]) -> Truth:
    of = plain(start, freq, (30,), ids=("value",))
    return of.filled([[value(k) for k in range(30)]])


OLD_SHEETS = {
    "Daily": counted(dt.date(2024, 2, 20), "1d", lambda k: k * 37 % 23 + 0.25),
    "Hourly": counted(dt.datetime(2024, 5, 30, 7), "1h", lambda k: k * 31 % 19),
    "Text": counted(dt.date(2020, 1, 1), "1mo", lambda k: k * 29 % 17 + 0.5),
}
OLD = Path(__file__).parents[1] / "fixtures" / "three-sheets.xls"


@pytest.mark.parametrize("sheet", list(OLD_SHEETS))
@pytest.mark.parametrize("name", ["a.xls", "a.xlsx", "a"])
def test_a_workbook_of_old_is_read_whatever_it_is_called(sheet: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(OLD.read_bytes())
    assert difference(opened(path, Roles(), Reading(sheet=sheet)).panel, OLD_SHEETS[sheet]) == ""


PERIODS_OF_PANDAS = ["M", "Q-DEC", "Q-NOV", "Y-DEC", "Y-JUN", "W-SUN", "W-WED", "D", "h", "min", "s"]


@pytest.mark.parametrize("freq", PERIODS_OF_PANDAS)
def test_periods_of_pandas_begin_when_pandas_says(freq: str, tmp_path: Path) -> None:
    for start in ("1950-03-01", "2023-12-29"):
        periods = pd.period_range(start, periods=30, freq=freq)
        frame = pd.DataFrame({"when": periods, "y": range(30)})
        begins = [time.to_pydatetime() for time in periods.to_timestamp()]
        frame.to_parquet(tmp_path / "a.parquet")
        frame.to_feather(tmp_path / "a.feather")
        for name in ("a.parquet", "a.feather"):
            read = scan(tmp_path / name).rows.collect()["when"].cast(pl.Datetime("us"))
            assert read.to_list() == begins


@pytest.mark.parametrize("places", [0, 2, 9])
def test_decimals_of_256_bits_are_numbers(places: int, tmp_path: Path) -> None:
    days = DAYS.series[0].times
    values = [Decimal(k * 37 % 23 * 100 + 17).scaleb(-places) for k in range(60)]
    table = pa.table({"day": days, "value": pa.array(values, pa.decimal256(50, places))})
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    of = DAYS.filled([[float(value) for value in values]])
    for source in (tmp_path / "a.parquet", tmp_path / "a.arrow", as_source(table)):
        assert difference(opened(source).panel, of) == ""

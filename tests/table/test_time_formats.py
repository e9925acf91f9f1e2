"""Times as people write them: every way to write one comes back, and what could be two is asked about."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tsx.errors import ConfigError, DataError, TsxError
from tsx.io.raw_table import RawTable
from tsx.spec.decision import Decision
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles
from tsx.table.roles import find_roles
from tsx.table.tidy import Table, check_cells, tidy
from tsx.table.time_formats import MONTHS

DAYS = [dt.date(2024, 5, 30), dt.date(2024, 5, 31), dt.date(2024, 6, 1)]
PLAIN = Reading()


def read(cells: list[Any], reading: Reading = PLAIN, roles: Roles | None = None, **more: Any) -> Table:
    """A table with the cells as column `when`, which is verified over all rows."""
    frame = pl.LazyFrame({"when": cells, "y": [float(n) for n in range(len(cells))], **more})
    table = tidy(RawTable(frame, "table.csv"), roles if roles is not None else Roles(time=("when",)), reading)
    schema, _ = find_roles(table)
    check_cells(table, schema)
    return table


def times(cells: list[Any], reading: Reading = PLAIN) -> list[Any]:
    return read(cells, reading).rows.collect()["when"].to_list()


def refused(code: str, cells: list[Any], reading: Reading = PLAIN, error: type[TsxError] = DataError) -> TsxError:
    with pytest.raises(error) as caught:
        read(cells, reading)
    assert caught.value.code == code
    assert "secret" not in f"{caught.value.message}{caught.value.hint}{caught.value.where}"
    return caught.value


moments = st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2068, 12, 31))

DATES = [
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y", "%m/%d/%Y", "%m-%d-%Y", "%d.%m.%y"),
    *("%m/%d/%y", "%d %B %Y", "%d %b %Y", "%d-%b-%y", "%d-%b-%Y", "%B %d, %Y", "%b %d %Y", "%d%b%Y", "%A, %d %B %Y"),
    *("%Y-%b-%d", "%d. %B %Y"),
]
CLOCKS = ["%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%H:%M:%S,%f"]


@given(st.sampled_from(DATES), st.lists(moments, min_size=2, max_size=20))
def test_a_date_in_any_writing_comes_back(form: str, drawn: list[dt.datetime]) -> None:
    # A day over 12 shows the order; the years of two digits are spread so that they are not taken for days.
    dates = [dt.date(2024, 1, 31), *(moment.date() for moment in drawn)]
    assert times([date.strftime(form) for date in dates], _told(form)) == dates


@given(st.sampled_from(DATES[:9]), st.sampled_from(CLOCKS), st.sampled_from([" ", ", "]), st.lists(moments, max_size=9))
def test_a_time_in_any_writing_comes_back(form: str, clock: str, gap: str, drawn: list[dt.datetime]) -> None:
    kept = "%f" in clock, "%S" in clock
    cut = [
        moment if kept[0] else moment.replace(microsecond=0) if kept[1] else moment.replace(second=0, microsecond=0)
        for moment in [dt.datetime(2024, 1, 31, 8, 5), dt.datetime(2024, 1, 31, 20, 5, 7, 250), *drawn]
    ]
    assert times([moment.strftime(f"{form}{gap}{clock}") for moment in cut], _told(form)) == cut


def _told(form: str) -> Reading:
    """Two-digit years may look like days; then the user says what they are."""
    return Reading(time_format="day-first" if form.startswith("%d") else "month-first") if "%y" in form else PLAIN


@given(moments, st.sampled_from(["Z", "+02:00", "-0530", "+00", " +0100", " UTC"]), st.sampled_from(["T", " "]))
def test_a_time_with_an_offset_is_an_instant(moment: dt.datetime, offset: str, gap: str) -> None:
    text = f"{moment.isoformat(gap, 'milliseconds')}{offset}"
    hours = {"Z": 0.0, "+02:00": 2, "-0530": -5.5, "+00": 0, " +0100": 1, " UTC": 0}[offset]
    expected = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=dt.UTC) - dt.timedelta(hours=hours)
    assert times([text]) == [expected]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2024-05", "2024-06"], [dt.date(2024, 5, 1), dt.date(2024, 6, 1)]),
        (["2024-W05", "2024-W06"], [dt.date(2024, 1, 29), dt.date(2024, 2, 5)]),
        (["2024W05-1", "2024W05-2"], [dt.date(2024, 1, 29), dt.date(2024, 1, 30)]),
        (["2024-W05-3"], [dt.date(2024, 1, 31)]),
        (["20240531", "20240601"], [dt.date(2024, 5, 31), dt.date(2024, 6, 1)]),
        (["20240531T0800", "20240531T0815"], [dt.datetime(2024, 5, 31, 8), dt.datetime(2024, 5, 31, 8, 15)]),
        (["20240531T080005"], [dt.datetime(2024, 5, 31, 8, 0, 5)]),
        (["202405310815"], [dt.datetime(2024, 5, 31, 8, 15)]),
        (["May 2024", "June 2024"], [dt.date(2024, 5, 1), dt.date(2024, 6, 1)]),
        (["Mai 2024", "Dez 2024"], [dt.date(2024, 5, 1), dt.date(2024, 12, 1)]),
        (["31-Mai-24", "1-Juni-24"], [dt.date(2024, 5, 31), dt.date(2024, 6, 1)]),
        (["5. März 2024", "6. Oktober 2024"], [dt.date(2024, 3, 5), dt.date(2024, 10, 6)]),
        (["1 août 2024"], [dt.date(2024, 8, 1)]),
        (["2024 Q3", "2024-Q4"], [dt.date(2024, 7, 1), dt.date(2024, 10, 1)]),
        (["Q1 2024", "Q2 2024"], [dt.date(2024, 1, 1), dt.date(2024, 4, 1)]),
        (["12/2024", "1/2025"], [dt.date(2024, 12, 1), dt.date(2025, 1, 1)]),
        (["1.5.2024", "13.5.2024"], [dt.date(2024, 5, 1), dt.date(2024, 5, 13)]),
        (["2024-05-31", "2024-05-31 08:00"], [dt.datetime(2024, 5, 31), dt.datetime(2024, 5, 31, 8)]),
        (["2024-05-31 8:00 a.m.", "2024-05-31 8:00 p.m."], [dt.datetime(2024, 5, 31, 8), dt.datetime(2024, 5, 31, 20)]),
    ],
)
def test_other_usual_writings(cells: list[str], expected: list[Any]) -> None:
    assert times(cells) == expected


@pytest.mark.parametrize("name", sorted(MONTHS))
def test_a_month_has_its_names(name: str) -> None:
    assert times([f"3 {name} 2024", f"3. {name.capitalize()} 2025"]) == [
        dt.date(year, MONTHS[name], 3) for year in (2024, 2025)
    ]


def test_day_or_month_first_is_asked_for_and_never_guessed() -> None:
    # The months alone would make a regular sequence: still no guess.
    cells = [f"01/{month:02}/2024" for month in range(1, 13)]
    error = refused("time-ambiguous", cells)
    assert "--time-format day-first" in error.hint
    assert times(cells, Reading(time_format="day-first")) == [dt.date(2024, month, 1) for month in range(1, 13)]
    assert times(cells, Reading(time_format="month-first")) == [dt.date(2024, 1, month) for month in range(1, 13)]


def test_a_number_over_12_anywhere_shows_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.table.text_values.SAMPLE_ROWS", (3, 5))
    early = [f"{day:02}/01/2024" for day in range(1, 13)]
    table = read([*early, "13/01/2024"])
    assert table.rows.collect()["when"].to_list() == [dt.date(2024, 1, day) for day in range(1, 14)]
    assert Decision("time_format", "day-first", "a number over 12 shows where the day stands") in table.decisions
    refused("time-ambiguous", early)
    assert times([*early, "01/13/2024"])[-1] == dt.date(2024, 1, 13)


def test_a_year_of_two_digits_that_may_come_first_is_asked_about() -> None:
    cells = [f"24-05-{day:02}" for day in range(1, 32)]
    assert "--time-format %y-%m-%d" in refused("time-ambiguous", cells).hint
    assert times(cells, Reading(time_format="%y-%m-%d"))[-1] == dt.date(2024, 5, 31)


@given(
    moments,
    st.sampled_from([("epoch-s", 1), ("epoch-ms", 10**3), ("epoch-us", 10**6), ("epoch-ns", 10**9)]),
    st.sampled_from(["int", "text", "float"]),
)
def test_epochs_are_told_by_their_size(moment: dt.datetime, epoch: tuple[str, int], kind: str) -> None:
    assume(moment.year >= 1991)
    moment = moment.replace(microsecond=0, tzinfo=dt.UTC)
    number = int(moment.timestamp()) * epoch[1]
    cells: list[Any] = [{"int": number, "text": str(number), "float": float(number)}[kind]]
    table = read(cells)
    assert table.rows.collect()["when"].to_list() == [moment]
    assert table.reading.time_format == epoch[0]
    assert [decision.value for decision in table.decisions if decision.name == "time_format"] == [epoch[0]]


def test_seconds_with_a_fraction_are_kept() -> None:
    assert times([1717142400.25]) == [dt.datetime(2024, 5, 31, 8, 0, 0, 250_000, tzinfo=dt.UTC)]


def test_small_numbers_are_steps_and_numbers_under_other_names_are_numbers() -> None:
    assert times([1, 2, 3]) == [1, 2, 3]
    assert times(["10", "20", "30"]) == [10, 20, 30]
    frame = pl.LazyFrame({"ds": DAYS, "y": [1_700_000_000 + n for n in range(3)]})
    assert tidy(RawTable(frame, "frame"), Roles(), PLAIN).rows.collect_schema()["y"] == pl.Int64


def test_days_of_a_spreadsheet_are_read_when_told() -> None:
    assert times(["45443", "45443.5"], Reading(time_format="excel")) == [
        dt.datetime(2024, 5, 31),
        dt.datetime(2024, 5, 31, 12),
    ]


@pytest.mark.parametrize(
    ("pattern", "cell", "expected"),
    [
        ("%y%m%d", "240531", dt.date(2024, 5, 31)),
        ("%d.%m.%Y %H Uhr", "31.05.2024 08 Uhr", dt.datetime(2024, 5, 31, 8)),
        ("%m|%Y", "05|2024", dt.date(2024, 5, 1)),
    ],
)
def test_a_pattern_of_the_users_own_is_used(pattern: str, cell: str, expected: Any) -> None:
    assert times([cell, cell], Reading(time_format=pattern)) == [expected] * 2


@pytest.mark.parametrize("wish", ["dayfirst", "epoch"])
def test_an_unknown_time_format_is_refused(wish: str) -> None:
    refused("time-format-unknown", ["2024-05-31"], Reading(time_format=wish), ConfigError)


def test_a_pattern_that_fits_no_cell_is_refused_with_numbers() -> None:
    assert "2 of 2 cells" in refused("times-unreadable", ["secret", "secret"], Reading(time_format="%d.%m.%Y")).message


def test_cells_that_are_no_times_are_counted_and_placed() -> None:
    cells = [str(dt.date(2024, 1, 1) + dt.timedelta(n)) for n in range(100)]
    cells[4], cells[89] = "secret", "2024-02-30"
    error = refused("times-unreadable", cells)
    assert error.message == "2 of 100 cells of column 'when' are no times (first rows 5, 90)"
    assert error.values == "secret, 2024-02-30"


def test_a_column_that_is_nearly_all_times_is_the_time_all_the_same() -> None:
    cells = [str(day) for day in DAYS] * 10 + ["secret"]
    frame = pl.LazyFrame({"when": cells, "y": range(31)})
    table = tidy(RawTable(frame, "frame"), Roles(), PLAIN)
    schema, _ = find_roles(table)
    assert schema.time == "when"
    with pytest.raises(DataError, match="1 of 31 cells"):
        check_cells(table, schema)


def test_a_year_of_two_digits_beyond_the_sample_is_no_year_of_the_romans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.table.text_values.SAMPLE_ROWS", (3, 5))
    refused("times-unreadable", ["31.05.2024"] * 10 + ["31.05.24"])


def test_typed_times_stay_as_they_are() -> None:
    zoned = pl.Series([dt.datetime(2024, 5, 31)]).dt.replace_time_zone("Asia/Tokyo")
    frame = pl.DataFrame({"when": zoned, "y": [1.0]})
    table = tidy(RawTable(frame.lazy(), "frame"), Roles(), PLAIN)
    assert table.rows.collect_schema() == frame.schema
    assert table.decisions == ()


def test_numbers_beyond_every_calendar_are_no_times() -> None:
    refused("times-unreadable", [45443.0, 1e30, float("inf")], Reading(time_format="excel"))
    refused("times-unreadable", [2**62, 1717142400], Reading(time_format="epoch-s"))


# Zones.


def local(cells: list[str], zone: str = "Europe/Berlin", **more: Any) -> list[dt.datetime]:
    return read(cells, Reading(zone=zone), **more).rows.collect()["when"].dt.convert_time_zone("UTC").to_list()


def utc(*clock: int) -> dt.datetime:
    return dt.datetime(*clock, tzinfo=dt.UTC)  # type: ignore[misc]


def test_times_without_a_zone_are_those_of_the_zone() -> None:
    assert local(["2024-01-01 12:00", "2024-07-01 12:00"]) == [utc(2024, 1, 1, 11), utc(2024, 7, 1, 10)]


def test_times_with_an_offset_are_brought_to_the_zone() -> None:
    table = read(["2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00"], Reading(zone="Europe/Berlin"))
    assert table.rows.collect_schema()["when"] == pl.Datetime("us", "Europe/Berlin")
    assert local(["2024-03-31T01:00:00+01:00"]) == [utc(2024, 3, 31, 0)]


def test_typed_times_are_brought_to_the_zone_too() -> None:
    instants = pl.Series([dt.datetime(2024, 7, 1)]).dt.replace_time_zone("UTC").to_list()
    assert local(instants) == [utc(2024, 7, 1)]
    assert local([dt.datetime(2024, 7, 1, 12)]) == [utc(2024, 7, 1, 10)]  # type: ignore[list-item]


def test_the_hour_shown_twice_is_told_apart_by_the_order_of_rows() -> None:
    clocks = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    expected = [utc(2024, 10, 26, 23, 30) + dt.timedelta(minutes=30 * n) for n in range(6)]
    cells = [f"2024-10-27 {clock}" for clock in clocks]
    assert local(cells) == expected
    assert local(cells[::-1]) == expected[::-1]
    (finding,) = read(cells, Reading(zone="Europe/Berlin")).findings
    assert finding.code == "time-twice"
    assert finding.message.startswith("4 of 6 times")
    both = local([cell for cell in cells for _ in "ab"], device=["a", "b"] * 6)
    assert both == [moment for moment in expected for _ in "ab"]


def test_each_series_has_its_own_direction_in_the_hour_shown_twice() -> None:
    clocks = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    expected = [utc(2024, 10, 26, 23, 30) + dt.timedelta(minutes=30 * n) for n in range(6)]
    cells = [f"2024-10-27 {clock}" for clock in clocks]
    mixed = local([*cells, *cells[::-1], *cells], device=["a"] * 6 + ["b"] * 6 + ["c"] * 6)
    assert mixed == [*expected, *expected[::-1], *expected]
    mixed = local([*cells[::-1], *cells, *cells[::-1]], device=["a"] * 6 + ["b"] * 6 + ["c"] * 6)
    assert mixed == [*expected[::-1], *expected, *expected[::-1]]


def test_an_hour_that_the_rows_do_not_tell_apart_is_refused_with_numbers() -> None:
    error = refused(
        "time-twice", ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 03:00"], Reading(zone="Europe/Berlin")
    )
    assert "1 of 3 times" in error.message
    assert "(row 2)" in error.message


def test_a_time_that_the_clocks_skip_is_refused_with_numbers() -> None:
    error = refused("time-not-in-zone", ["2024-03-31 01:00", "2024-03-31 02:00"], Reading(zone="Europe/Berlin"))
    assert "1 of 2 times" in error.message
    refused("zone-unknown", ["2024-05-31"], Reading(zone="Mars/Olympus"), ConfigError)


# Times in several columns.


def joined(roles: Roles = Roles(), **columns: Any) -> Table:  # noqa: B008
    frame = pl.LazyFrame({**columns, "y": [1.0] * len(next(iter(columns.values())))})
    table = tidy(RawTable(frame, "table.csv"), roles, PLAIN)
    schema, _ = find_roles(table)
    check_cells(table, schema)
    return table


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"Date": ["31.05.2024"], "Time": ["8:05"]}, dt.datetime(2024, 5, 31, 8, 5)),
        ({"date": [dt.date(2024, 5, 31)], "time": [dt.time(8, 5)]}, dt.datetime(2024, 5, 31, 8, 5)),
        ({"date": [dt.datetime(2024, 5, 31)], "time": ["8:05 PM"]}, dt.datetime(2024, 5, 31, 20, 5)),
        ({"datum": ["2024-05-31"], "uhrzeit": ["08:05:30"]}, dt.datetime(2024, 5, 31, 8, 5, 30)),
        ({"year": [2024], "week": [5]}, dt.date(2024, 1, 29)),
        ({"year": ["2020"], "week": ["53"]}, dt.date(2020, 12, 28)),
        ({"Year": [2024], "Month": ["May"]}, dt.date(2024, 5, 1)),
        ({"jahr": [2024], "monat": ["Mai"]}, dt.date(2024, 5, 1)),
        ({"year": [2024], "month": [5], "day": [31]}, dt.date(2024, 5, 31)),
        ({"year": [2024], "month": ["05"], "day": ["31"], "hour": ["8"]}, dt.datetime(2024, 5, 31, 8)),
        ({"year": [2024], "quarter": [3]}, dt.date(2024, 7, 1)),
        ({"year": [2024], "qtr": ["Q3"]}, dt.date(2024, 7, 1)),
    ],
)
def test_columns_that_make_a_time_together_are_joined(columns: dict[str, Any], expected: Any) -> None:
    table = joined(**columns)
    (time,) = table.roles.time
    assert table.rows.collect()[time].to_list() == [expected]
    assert table.reading.time_parts == tuple(columns)
    assert "time_parts" in {decision.name for decision in table.decisions}
    later = tidy(RawTable(pl.LazyFrame({**columns, "y": [1.0]}), "later"), table.roles, table.reading)
    assert later.rows.collect().equals(table.rows.collect())
    assert later.decisions == ()


def test_the_user_names_the_columns_of_the_time() -> None:
    table = joined(Roles(time=("on", "hour")), on=["2024-05-31", "2024-05-31"], hour=[23, 24])
    assert table.rows.collect()["on"].to_list() == [dt.datetime(2024, 5, 31, 23), dt.datetime(2024, 6, 1)]
    with pytest.raises(ConfigError) as caught:
        joined(Roles(time=("on", "x")), on=["2024-05-31"], x=[23])
    assert caught.value.code == "time-parts-unknown"


def test_parts_that_make_no_day_are_counted() -> None:
    with pytest.raises(DataError) as caught:
        joined(year=[2024] * 20, month=[2] * 20, day=[1] * 19 + [30])
    assert caught.value.code == "times-unreadable"
    assert "1 of 20" in caught.value.message
    assert "is no time (row 20)" in caught.value.message


def test_a_clock_beside_the_days_of_something_else_is_not_joined() -> None:
    table = joined(date=["2024-05-31", "2024-06-01"], sunrise=["5:04", "5:03"])
    assert table.rows.collect_schema()["date"] == pl.Date
    assert table.reading.time_parts == ()


def test_a_table_that_lacks_a_part_of_the_time_is_refused() -> None:
    table = joined(year=[2024], week=[5])
    with pytest.raises(DataError) as caught:
        tidy(RawTable(pl.LazyFrame({"year": [2024], "y": [1.0]}), "later"), table.roles, table.reading)
    assert caught.value.code == "column-missing"


def test_the_schema_of_a_joined_time_names_the_user_s_column() -> None:
    table = joined(date=["2024-05-31"], time=["8:05"])
    assert find_roles(table)[0] == Schema("date", "y")

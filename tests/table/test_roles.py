"""Roles of columns: what is chosen and why, and what is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from tsx.errors import ConfigError, DataError, TsxError
from tsx.io.raw_table import RawTable
from tsx.spec.decision import Decision
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles
from tsx.table.infer_roles import identifying_column
from tsx.table.roles import check_schema, find_roles, suggest_roles
from tsx.table.tidy import Table, tidy

DAYS = [dt.date(2024, 1, day) for day in (1, 2, 3)]


def table(**columns: Any) -> pl.LazyFrame:
    return pl.LazyFrame(columns)


def tidied(frame: pl.LazyFrame, **named: Any) -> Table:
    """The frame with the columns that the user named."""
    several = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in named.items()}
    return tidy(RawTable(frame, "the given frame"), Roles(**several), Reading())


def roles(frame: pl.LazyFrame, **named: Any) -> tuple[Schema, dict[str, Decision]]:
    table = tidied(frame, **named)
    schema, decisions = find_roles(table)
    suggested = [suggestion.decision() for suggestion in suggest_roles(table, schema)]
    return schema, {decision.name: decision for decision in (*decisions, *suggested)}


def refused(error: type[TsxError], code: str, frame: pl.LazyFrame, **named: Any) -> TsxError:
    with pytest.raises(error) as caught:
        find_roles(tidied(frame, **named))
    assert caught.value.code == code
    assert "secret" not in f"{caught.value.message}{caught.value.hint}"
    return caught.value


def test_a_tidy_table_needs_no_name_and_every_choice_has_a_reason() -> None:
    schema, why = roles(table(unique_id=["a"] * 3, ds=DAYS, y=[1.0, 2, 3]))
    assert schema == Schema("ds", "y", "unique_id")
    assert set(why) == {"time", "id", "target"}
    assert all(decision.reason for decision in why.values())


def test_what_the_user_named_is_kept_without_a_decision() -> None:
    schema, why = roles(
        table(a=["x"] * 3, b=DAYS, c=[1, 2, 3], d=[1, 2, 3], e=["s"] * 3, f=[True] * 3),
        id="a",
        time="b",
        target="c",
        past=["d"],
        future=["f"],
        static=["e"],
    )
    assert schema == Schema("b", "c", "a", ("d",), ("f",), ("e",))
    assert why == {}


def test_the_only_column_of_times_is_the_time_whatever_its_name() -> None:
    assert roles(table(when=DAYS, y=[1, 2, 3]))[0].time == "when"


def test_of_several_columns_of_times_the_usual_name_wins() -> None:
    frame = table(born=DAYS, Date=DAYS, y=[1, 2, 3])
    schema, why = roles(frame)
    assert schema.time == "Date"
    assert "of 2 columns" in why["time"].reason
    later = [day + dt.timedelta(days=n) for n, day in enumerate(DAYS)]
    error = refused(DataError, "time-ambiguous", table(born=DAYS, seen=later, y=[1, 2, 3]))
    assert "'born', 'seen'" in error.message
    assert error.hint == "say which with --time born or --time seen"


@pytest.mark.parametrize(
    ("names", "time"),
    [
        (("creationDate", "startDate", "endDate"), "startDate"),
        (("valid_from", "valid_to"), "valid_from"),
        (("released", "month_of"), "month_of"),
        (("Last Update", "period"), "period"),
        (("booked", "valued"), "booked"),
    ],
)
def test_of_several_columns_of_times_the_one_that_says_what_a_row_is_about_is_taken(
    names: tuple[str, ...], time: str
) -> None:
    apart = 0 if "booked" in names else 1
    columns = {name: [day + dt.timedelta(days=k * apart) for day in DAYS] for k, name in enumerate(names)}
    schema, why = roles(table(**columns, y=[1, 2, 3]))
    assert schema.time == time
    assert f"of {len(names)} columns" in why["time"].reason


def test_a_column_that_never_changes_is_not_the_time_of_the_rows() -> None:
    assert roles(table(asof=[DAYS[0]] * 3, seen=DAYS, y=[1, 2, 3]))[0].time == "seen"


def test_iso_text_counts_as_time_and_other_text_does_not() -> None:
    iso = [str(day) for day in DAYS]
    assert roles(table(when=iso, y=[1, 2, 3]))[0].time == "when"
    refused(DataError, "no-time-column", table(when=["1/2/24", "2/2/24", "secret"], y=[1, 2, 3]))


def test_whole_numbers_are_time_only_under_a_name_for_steps() -> None:
    schema, _ = roles(table(t=[1, 2, 3], sales=[1, 2, 3]))
    assert (schema.time, schema.target) == ("t", "sales")
    refused(DataError, "no-time-column", table(week_number=[1, 2, 3], sales=[1, 2, 3]))


@pytest.mark.parametrize("own", ["step", "cutoff", "lag", "q0.1"])
def test_an_id_or_time_named_like_a_column_of_the_results_is_refused(own: str) -> None:
    refused(ConfigError, "column-name-taken", table(**{own: DAYS}, sales=[1, 2, 3]), time=own)
    refused(ConfigError, "column-name-taken", table(**{own: ["a", "b", "c"]}, ds=DAYS, sales=[1, 2, 3]), id=own)


@pytest.mark.parametrize("role", ["id", "time", "target"])
def test_an_empty_name_is_no_column(role: str) -> None:
    refused(ConfigError, "column-not-found", table(ds=DAYS, sales=[1, 2, 3]), **{role: ""})


def test_one_series_has_no_id() -> None:
    schema, why = roles(table(ds=DAYS, note=["x", "y", "z"], y=[1, 2, 3]))
    assert schema.id is None
    assert "no time comes twice" in why["id"].reason


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"kind": ["k"] * 4, "device": ["a", "b", "a", "b"]}, "device"),
        ({"shop_id": [1, 2, 1, 2]}, "shop_id"),
        ({"Series": ["a", "b", "a", "b"], "other": ["c", "d", "c", "d"]}, "Series"),
        ({"kind": ["k"] * 4}, None),
        ({"count": [1, 2, 1, 2]}, None),
    ],
)
def test_the_id_is_the_first_column_that_tells_the_rows_of_a_time_apart(
    columns: dict[str, list[Any]], expected: str | None
) -> None:
    schema, _ = roles(table(ds=[1, 1, 2, 2], **columns, y=[1.0, 2, 3, 4]))
    assert schema.id == expected


def test_the_id_of_a_long_table_is_judged_by_whole_points_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.table.infer_roles.SAMPLE_ROWS", 100)
    times = np.repeat(np.arange(1000), 3)
    frame = table(ds=times, half=np.where(times % 2 == 0, "a", "b"), device=np.tile(["a", "b", "c"], 1000), y=times)
    assert roles(frame)[0].id == "device"
    assert roles(frame.filter(pl.col("device") == "a"))[0].id is None


def test_the_target_is_the_usual_name_or_the_first_number_and_says_so() -> None:
    assert roles(table(ds=DAYS, x=[1, 2, 3], Target=[1, 2, 3]))[0].target == "Target"
    schema, why = roles(table(ds=DAYS, one=[1, 2, 3], two=[1, 2, 3]))
    assert schema.target == "one"
    assert why["target"].reason == "first of 2 numeric columns; name another with --target"
    assert why["unused_columns"].value == ["two"]
    assert "--past" in why["unused_columns"].reason
    refused(DataError, "no-target-column", table(ds=DAYS, note=["x", "y", "z"]))


def test_a_number_known_after_the_last_target_is_a_future_covariate() -> None:
    later = {"ds": [1, 2, 3] * 2, "id": ["a"] * 3 + ["b"] * 3}
    missing = float("nan")
    frame = table(**later, y=[1.0, 2.0, None, 1.0, 2.0, missing], price=[1, 2, 3, 4, 5, 6], seen=[1, 2, None, 4, 5, 6])
    schema, why = roles(frame)
    assert schema.future == ("price",)
    assert "after the last target" in why["future"].reason
    assert why["unused_columns"].value == ["seen"]
    # A sensor that fails at the end of one of three series says nothing about what is known ahead.
    many = table(ds=[1, 2, 3] * 3, id=["a"] * 3 + ["b"] * 3 + ["c"] * 3, y=[1, 2, None, *range(6)], price=range(9))
    assert roles(many)[0].future == ()


def test_a_column_that_is_not_there_is_refused_with_the_closest_name() -> None:
    error = refused(ConfigError, "column-not-found", table(ds=DAYS, value=[1, 2, 3]), target="valeu")
    assert "'ds', 'value'" in error.message
    assert "'value'" in error.hint


def test_a_column_has_one_role() -> None:
    frame = table(ds=DAYS, y=[1, 2, 3], x=[1, 2, 3])
    refused(ConfigError, "column-twice", frame, past=["x"], future=["x"])
    refused(ConfigError, "column-twice", frame, target="x", past=["x"])


@pytest.mark.parametrize(
    "named",
    [
        {"target": "t"},
        {"past": ["dose"]},
        {"future": ["dose"]},
        {"time": "t"},
        {"time": "x"},
        {"id": "x"},
        {"target": "when"},
        {"static": ["when"]},
    ],
)
def test_a_wrong_type_is_refused(named: dict[str, Any]) -> None:
    words, doses = ["low", "high", "secret"], ["10 mg", "<5", "none"]
    frame = table(ds=DAYS, when=DAYS, y=[1.0, 2, 3], x=[1.5, 2.5, 3.5], t=words, dose=doses)
    if "time" not in named:
        named = {**named, "time": "ds"}
    refused(ConfigError, "column-type-wrong", frame, **named)


def test_covariates_of_text_are_words_unless_most_of_their_cells_begin_as_numbers_do() -> None:
    frame = table(ds=DAYS, y=[1.0, 2, 3], x=[1.5, 2.5, 3.5], t=["low", "high", None], code=["A1", "7 b", "C3"])
    schema, _ = find_roles(Table(frame, Roles(time=("ds",), past=("x", "t"), future=("code",)), Reading(), "frame"))
    assert (schema.past, schema.past_words) == (("x",), ("t",))
    assert (schema.future, schema.future_words) == ((), ("code",))


def test_text_where_numbers_belong_is_counted() -> None:
    error = refused(ConfigError, "column-type-wrong", table(ds=DAYS, y=["low", "secret", None]))
    assert "2 cells of it no number" in error.message


# What a later table lacks.


MODEL = Schema("ds", "Close", "id", ("volume",), static=("sector",))


def later(**columns: Any) -> TsxError:
    with pytest.raises(TsxError) as caught:
        check_schema(table(**columns), MODEL)
    assert "--" not in f"{caught.value.message}{caught.value.hint}"
    return caught.value


def test_a_later_table_that_lacks_a_column_is_told_which_the_model_needs() -> None:
    there = {"id": ["a"] * 3, "ds": DAYS, "volume": [1, 2, 3], "sector": ["x"] * 3}
    error = later(**there, close=[1, 2, 3])
    assert error.code == "column-missing"
    assert error.message.startswith("the model needs the column 'Close' (target)")
    assert error.hint == "it looks renamed to 'close'; rename it back"
    assert "renamed" not in later(**there).hint
    assert "and 1 more of its columns" in later(id=["a"], ds=DAYS[:1], sector=["x"]).message


def test_a_later_table_of_other_types_is_told_without_flags() -> None:
    there = {"id": ["a"] * 3, "ds": DAYS, "volume": [1, 2, 3], "sector": ["x"] * 3}
    error = later(**there, Close=["low", "high", "secret"])
    assert error.code == "column-type-wrong"
    assert "the model was fitted on another type" in error.message
    assert "secret" not in f"{error.message}{error.hint}"
    assert later(**{**there, "ds": ["a", "b", "c"]}, Close=[1, 2, 3]).code == "column-type-wrong"


def test_at_most_ten_columns_are_named() -> None:
    error = refused(ConfigError, "column-not-found", table(ds=DAYS, **{f"x{n}": DAYS for n in range(40)}), target="y")
    assert error.message.count("'x") == 9
    assert "and 31 more" in error.message


@pytest.mark.parametrize(
    ("written", "there"), [("close", "Close"), ("adjclose", "Adj. Close"), ("temprature", "temperature")]
)
def test_a_name_written_otherwise_is_recognised(written: str, there: str) -> None:
    error = refused(
        ConfigError, "column-not-found", table(ds=DAYS, clothes=[1, 2, 3], **{there: [1, 2, 3]}), target=written
    )
    assert error.hint == f"did you mean {there!r}?"


# What the id can be, and what the rest could be.


@pytest.mark.parametrize("id", [[True, False, True, False], [DAYS[0], DAYS[1], DAYS[0], DAYS[1]]])
def test_an_id_may_be_yes_or_no_or_a_day(id: list[Any]) -> None:
    schema, why = roles(table(t=[1, 1, 2, 2], group=id, y=[1.0, 2, 3, 4]), time="t")
    assert schema.id == "group"
    assert why["id"].reason == "the first column under which no time comes twice"


def test_what_is_constant_in_each_series_is_suggested_as_static_and_the_rest_as_past() -> None:
    schema, why = roles(
        table(
            id=["a", "a", "b", "b"],
            ds=[1, 2, 1, 2],
            y=[1.0, 2, 3, 4],
            sector=["x", "x", "z", "z"],
            shares=[10, 10, 20, 20],
            volume=[1, 2, 3, 4],
            note=["p", "q", "r", "s"],
            unit=["mg", "mg", "mg", "mg"],
        )
    )
    assert schema == Schema("ds", "y", "id")
    assert why["suggested_static"].value == ["shares", "sector"]
    assert "--static" in why["suggested_static"].reason
    assert why["suggested_past"].value == ["volume"]
    assert "--past" in why["suggested_past"].reason


def test_columns_that_repeat_the_time_are_said_to_be_calendar_like() -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in range(60)]
    frame = pl.LazyFrame({"ds": days, "y": range(60), "x": range(60)}).with_columns(
        weekday=pl.col("ds").dt.weekday() - 1, mon=pl.col("ds").dt.month()
    )
    _, why = roles(frame)
    assert why["calendar_like"].value == ["weekday", "mon"]
    assert why["suggested_past"].value == ["x"]


def test_a_column_is_known_ahead_only_where_no_series_lacks_it() -> None:
    frame = pl.LazyFrame(
        {
            "id": [str(n) for n in range(200) for _ in range(10)],
            "ds": list(range(10)) * 200,
            "y": [float(n) if n < 8 else None for n in range(10)] * 200,
            "price": range(2000),
        }
    )
    assert roles(frame)[0].future == ("price",)
    one_lacks_it = frame.with_columns(pl.when(pl.int_range(pl.len()) != 1999).then("price").alias("price"))
    assert roles(one_lacks_it)[0].future == ()
    a_gap_long_ago = frame.with_columns(pl.when((pl.col("ds") != 3) | (pl.col("id") != "7")).then("y").alias("y"))
    assert roles(a_gap_long_ago)[0].future == ("price",)


def test_a_column_that_counts_rows_or_never_changes_is_no_target_by_itself() -> None:
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 2, 9), eager=True)
    count = pl.Series(range(1, 41))
    walk = pl.Series(np.random.default_rng(0).choice([-1, 1], 40).cumsum())
    frame = table(day=days, record=count, visit=(count - 1) % 8 + 1, kind=[0] * 40, y2=walk, z=walk * 0.5)
    schema, why = roles(frame)
    assert schema.target == "y2"
    assert why["target"].reason == (
        "first of 2 numeric columns, leaving out 'kind' (constant), 'record' (the row's number) and 'visit' (counting "
        "in cycles); name another with --target"
    )
    assert roles(table(day=days, record=count))[0].target == "record"


def test_an_id_under_which_every_row_stands_alone_is_a_rows_number() -> None:
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 2, 9), eager=True)
    schema, why = roles(table(id=range(40), day=days, y=[1.0, 2.0] * 20))
    assert schema.id is None
    assert "a row's number" in why["id"].reason
    twice = table(id=[*range(20), *range(20)], day=days, y=[1.0, 2.0] * 20)
    assert roles(twice)[0].id == "id"


def test_the_column_that_leaves_few_rows_repeated_is_the_id() -> None:
    days = [*pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 1, 22), eager=True)]
    frame = table(
        day=[*days, *days, days[3]], note=[f"n{k}" for k in range(45)], shop=["a"] * 22 + ["b"] * 23, y=range(45)
    )
    schema, why = roles(frame)
    assert schema.id == "shop"
    assert why["id"].reason == "under it 1 instead of 23 rows repeat a time"


@pytest.mark.parametrize("days", [1, 2, 4])
def test_the_id_of_many_series_with_few_times_is_found(days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.table.infer_roles.SAMPLE_ROWS", 40)
    times = pl.DataFrame({"ds": [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in range(days)]})
    table = times.join(pl.DataFrame({"device": [f"d{n}" for n in range(1000)]}), how="cross").lazy()
    assert identifying_column(table, ["ds"], ["device"]) == "device"
    repeated = pl.concat([table, table])
    assert identifying_column(repeated, ["ds"], ["device"]) is None


def test_a_word_that_may_mean_missing_is_asked_for() -> None:
    words = ["1.5", "LOW", "LOW"] * 20
    error = refused(ConfigError, "column-type-wrong", table(ds=DAYS * 20, y=words), target="y")
    assert "--missing" in error.hint
    each_its_own = [f"{n} units" for n in range(57)] + ["1", "2", "3"]
    error = refused(ConfigError, "column-type-wrong", table(ds=DAYS * 20, y=each_its_own), target="y")
    assert "--missing" not in error.hint


def test_a_writing_of_times_that_fits_no_column_is_named() -> None:
    frame = table(when=["13/01/2024", "14/01/2024", "15/01/2024"], y=[1, 2, 3])
    with pytest.raises(DataError) as caught:
        find_roles(tidy(RawTable(frame, "the given frame"), Roles(), Reading(time_format="iso")))
    assert caught.value.code == "no-time-column"
    assert "written as 'iso'" in str(caught.value)
    assert "--time-format" in caught.value.hint


def test_what_a_later_wide_table_lacks_is_said_without_its_series() -> None:
    frame = table(date=DAYS, secret=[1, 2, 3])
    with pytest.raises(DataError) as caught:
        check_schema(frame, Schema("day", "value", "series"), names_are_ids=True)
    assert caught.value.code == "column-missing"
    assert "secret" not in f"{caught.value.message}{caught.value.hint}{caught.value.where}"
    assert "secret" in caught.value.values

"""The sample tables are what their data sheets say they are."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import polars as pl
import pytest

FOLDER = Path(__file__).parents[1] / "sample_data"
CLOCK = pl.Datetime("us")
SCHEMAS = {
    "stocks_daily": {
        "symbol": pl.String,
        "date": pl.Date,
        "adj_close": pl.Float64,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Int64,
    },
    "glucose_real": {
        "donor": pl.String,
        "time": CLOCK,
        "glucose_mg_dl": pl.Int64,
        "isig_na": pl.Float64,
    },
    "glucose_simulated": {
        "patient": pl.String,
        "time": CLOCK,
        "cgm_mg_dl": pl.Float64,
        "carbs_g_per_min": pl.Float64,
        "insulin_u_per_min": pl.Float64,
        "true_bg_mg_dl": pl.Float64,
    },
}
every_table = pytest.mark.parametrize("name", SCHEMAS)


def table(name: str) -> pl.DataFrame:
    return pl.read_parquet(FOLDER / f"{name}.parquet")


def sheet(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def last_fifth(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that the data sheets' reference errors are taken over."""
    series = frame.columns[0]
    row, rows = pl.int_range(pl.len()).over(series), pl.len().over(series)
    return frame.filter(row >= (0.8 * rows).floor())


@every_table
def test_columns_and_types_are_the_promised_ones_in_their_order(name):
    assert list(table(name).schema.items()) == list(SCHEMAS[name].items())


@every_table
def test_rows_are_sorted_and_no_series_has_a_time_twice(name):
    keys = table(name).select(list(SCHEMAS[name])[:2])
    assert keys.equals(keys.unique().sort(keys.columns))


@every_table
def test_nothing_is_missing_but_the_sensor_current(name):
    missing = {column.name: column.null_count() for column in table(name) if column.null_count()}
    assert missing == ({"isig_na": 1061} if name == "glucose_real" else {})


@every_table
def test_data_sheet_names_every_column_and_counts_the_rows(name):
    text = sheet(name)
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(SCHEMAS[name])
    assert f"{table(name).height:,} rows" in text


@every_table
def test_index_lists_the_table_with_its_rows(name):
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    frame = table(name)
    (row,) = re.findall(rf"^\| `{name}\.parquet` .*", index, re.MULTILINE)
    assert f"| {frame[:, 0].n_unique()} | {frame.height:,} |" in row
    assert f"({name}.md)" in row


def test_the_tables_together_stay_under_one_megabyte():
    files = sorted(FOLDER.glob("*.parquet"))
    assert [file.stem for file in files] == sorted(SCHEMAS)
    assert sum(file.stat().st_size for file in files) < 1_000_000


def test_prices_lie_between_the_low_and_the_high_of_their_day():
    prices = table("stocks_daily")
    assert all(prices[column].min() > 0 for column in ("low", "adj_close", "volume"))
    for price in ("open", "close"):
        assert prices[price].is_between(prices["low"], prices["high"]).all()


def test_splits_halve_the_close_but_leave_the_adjusted_close_alone():
    change = pl.col("adj_close", "close") / pl.col("adj_close", "close").shift().over("symbol")
    splits = table("stocks_daily").select("symbol", "date", change).filter(pl.col("close") < 0.6)
    moved = {(symbol, day): adjusted for symbol, day, adjusted, _ in splits.iter_rows()}
    fall = moved.pop(("AAPL", dt.date(2000, 9, 29)))  # a true fall, as the data sheet says
    assert fall == pytest.approx(0.48, abs=0.01)
    assert set(moved) == {
        ("AAPL", dt.date(2000, 6, 21)),
        ("AAPL", dt.date(2005, 2, 28)),
        ("MSFT", dt.date(2003, 2, 18)),
    }
    assert all(0.9 < adjusted < 1.1 for adjusted in moved.values())


@pytest.mark.parametrize("name", ["glucose_real", "glucose_simulated"])
def test_glucose_lies_on_the_five_minute_grid(name):
    time = table(name)["time"]
    assert (time == time.dt.truncate("5m")).all()


def test_real_glucose_keeps_its_gaps_and_the_data_sheet_counts_them():
    time = table("glucose_real")["time"]
    step = dt.timedelta(minutes=5)
    slots = (time[-1] - time[0]) // step + 1
    text = sheet("glucose_real")
    assert f"first to last row | {slots:,} |" in text
    assert f"slots missing | {slots - len(time):,} (" in text
    assert f"gaps | {(time.diff() > step).sum()}, the longest" in text


def test_real_glucose_is_clipped_where_the_data_sheet_says():
    glucose = table("glucose_real")["glucose_mg_dl"]
    assert (glucose.min(), glucose.max()) == (40, 400)
    text = sheet("glucose_real")
    assert f"40 mg/dL | {(glucose == 40).sum()} |" in text
    assert f"400 mg/dL | {(glucose == 400).sum()} |" in text
    assert table("glucose_real")["isig_na"].drop_nulls().is_between(1, 100).all()


def test_simulated_patients_have_every_slot_of_the_same_two_weeks():
    days = dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 14, 23, 55)
    grid = pl.datetime_range(*days, "5m", eager=True).to_list()
    patients = table("glucose_simulated").group_by("patient").agg("time")
    assert patients.height == 6
    assert all(times == grid for times in patients["time"].to_list())


def test_simulated_values_are_physically_plausible():
    frame = table("glucose_simulated")
    assert frame["true_bg_mg_dl"].is_between(45, 350).all()
    assert frame["cgm_mg_dl"].is_between(39, 400).all()
    assert frame["carbs_g_per_min"].is_between(0, 30).all()  # 150 g in one meal
    assert frame["insulin_u_per_min"].is_between(0.001, 10).all()  # 50 U in one bolus


def test_every_simulated_meal_brings_a_bolus_one_row_later_and_nothing_else_does():
    insulin = pl.col("insulin_u_per_min")
    frame = table("glucose_simulated").select(
        bolus=insulin > insulin.min().over("patient"),
        meal_before=(pl.col("carbs_g_per_min") > 0).shift(fill_value=False).over("patient"),
    )
    assert frame["meal_before"].sum() == 311
    assert frame["bolus"].equals(frame["meal_before"])


def test_reference_error_of_the_stocks_is_the_one_in_the_data_sheet():
    prices = table("stocks_daily")
    change = pl.col("adj_close").log().diff().over("symbol").alias("change")
    errors = last_fifth(prices.with_columns(change)).group_by("symbol", maintain_order=True)
    rmse = errors.agg((pl.col("change") ** 2).mean().sqrt())
    assert f"| {' | '.join(rmse['symbol'])} |" in sheet("stocks_daily")
    assert f"| {' | '.join(f'{value:.5f}' for value in rmse['change'])} |" in sheet("stocks_daily")


@pytest.mark.parametrize("minutes", [30, 60])
@pytest.mark.parametrize("name", ["glucose_real", "glucose_simulated"])
def test_reference_error_of_glucose_is_the_one_in_the_data_sheet(name, minutes):
    series, time, target = list(SCHEMAS[name])[:3]
    frame = table(name).select(series, time, target)
    earlier = frame.select(series, pl.col(time).dt.offset_by(f"{minutes}m"), last=target)
    pairs = last_fifth(frame).join(earlier, on=[series, time])
    rmse = ((pairs[target] - pairs["last"]) ** 2).mean() ** 0.5
    assert f"| {minutes} minutes | {pairs.height:,} | {rmse:.2f} |" in sheet(name)

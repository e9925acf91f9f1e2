"""Panels against an oracle in plain Python, what is found in the data, and what is refused."""

from __future__ import annotations

import datetime as dt
import math
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsx.errors import ConfigError, DataError, TsxError
from tsx.io.mapped import large_arrays_in
from tsx.io.source import scan
from tsx.panel import assemble
from tsx.panel.calendar_features import with_calendar
from tsx.panel.panel import Panel
from tsx.panel.reading import read_panel
from tsx.panel.reporting_delay import mask_provisional
from tsx.panel.transform import derive_target
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles
from tsx.table.tidy import tidy

Row = dict[str, Any]
START = dt.datetime(2024, 1, 31)
STEPS: dict[str, Callable[[int], Any]] = {
    "1": lambda n: 5 + n,
    "5m": lambda n: START + dt.timedelta(minutes=5 * n),
    "1d": lambda n: (START + dt.timedelta(days=n)).date(),
    "1mo": lambda n: dt.datetime(2024 + (n + 1) // 12, (n + 1) % 12 + 1, 1) - dt.timedelta(days=1),
}
SCHEMA = Schema("ds", "y", "id", past=("p",), future=("f",), static=("size", "kind"))
SIMPLE = Schema("ds", "y", "id")


def read(table: pl.DataFrame | pl.LazyFrame, schema: Schema = SIMPLE, **more: Any) -> Panel:
    return read_panel(table.lazy(), schema, **more).panel


def same(a: Panel, b: Panel) -> bool:
    arrays = all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=name in ("values", "static_values"))
        for name in ("values", "offsets", "lengths", "centers", "static_values")
    )
    return (
        arrays
        and a.ids.equals(b.ids)
        and a.starts.equals(b.starts)
        and a.calendar == b.calendar
        and a.static_labels.equals(b.static_labels)
        and a.findings == b.findings
    )


def found(panel: Panel) -> dict[str, str]:
    return {f"{finding.code}:{finding.where}": finding.message for finding in panel.findings}


def is_missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def naive(rows: list[Row], time: Callable[[int], Any]) -> dict[str, dict[str, Any]]:
    """What the panel of `rows` must hold, one series after the other, one row after the other."""
    position = {time(n): n for n in range(-50, 100)}
    series: dict[str, dict[str, Any]] = {}
    for name in sorted({row["id"] for row in rows}):
        own = sorted((row for row in rows if row["id"] == name), key=lambda row: row["ds"])
        start = position[own[0]["ds"]]
        steps = position[own[-1]["ds"]] - start + 1
        observed = [position[row["ds"]] - start for row in own if not is_missing(row["y"])]
        length = max(observed, default=-1) + 1
        values = np.full((steps, 3), np.nan, np.float32)
        centers = []
        for c, channel in enumerate(("y", "p", "f")):
            center = next((row[channel] for row in own if not is_missing(row[channel]) and row[channel] != 0), 0.0)
            center = float(np.float32(center))
            centers.append(center)
            for row in own:
                n = position[row["ds"]] - start
                if not is_missing(row[channel]) and (channel == "f" or n < length):
                    values[n, c] = np.float32(row[channel] - center)
        series[name] = {"values": values, "centers": centers, "length": length, "start": own[0]["ds"]}
    return series


VALUES = st.one_of(st.none(), st.just(math.nan), st.floats(-1e6, 1e6), st.floats(1e9, 1e9 + 100))


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[Row]]:
    freq = draw(st.sampled_from(list(STEPS)))
    rows = []
    for name in draw(st.sets(st.sampled_from("abcde"), min_size=1, max_size=4)):
        kept = draw(st.sets(st.integers(0, 14), min_size=1, max_size=12))
        rows += [
            {
                "id": name,
                "ds": STEPS[freq](n),
                "y": draw(VALUES),
                "p": draw(VALUES),
                "f": draw(VALUES),
                "size": ord(name) / 7,
                "kind": f"kind-{name}",
            }
            for n in sorted(kept)
        ]
    # One series is whole, so that the step can be told and some target is there.
    rows += [
        {"id": "whole", "ds": STEPS[freq](n), "y": 1.0 * n, "p": None, "f": 0.0, "size": None, "kind": None}
        for n in range(20)
    ]
    return freq, draw(st.permutations(rows))


@given(tables())
def test_a_panel_holds_what_a_naive_reading_finds(example: tuple[str, list[Row]]) -> None:
    freq, rows = example
    table = pl.DataFrame(
        rows,
        schema_overrides={"y": pl.Float64, "p": pl.Float64, "f": pl.Float64, "size": pl.Float64, "kind": pl.String},
    )
    panel = read(table, SCHEMA, freq=freq)
    expected = naive(rows, STEPS[freq])
    assert panel.ids.to_list() == list(expected)
    for n, one in enumerate(expected.values()):
        block = panel.values[panel.offsets[n] : panel.offsets[n + 1]]
        np.testing.assert_array_equal(block, one["values"])
        np.testing.assert_array_equal(panel.centers[n], one["centers"])
        assert panel.lengths[n] == one["length"]
        assert panel.starts[n] == one["start"]
    assert len(panel.values) == panel.offsets[-1]
    assert panel.values.flags.c_contiguous
    assert panel.static_labels["kind"].to_list() == [None if n == "whole" else f"kind-{n}" for n in expected]
    assert same(panel, read(table.reverse(), SCHEMA, freq=freq))


def panel_table(series: int = 3, length: int = 30) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    times = pl.datetime_range(START, dt.datetime(2030, 1, 1), "1h", eager=True).head(length)
    return pl.DataFrame(
        {
            "id": np.repeat([f"s{n}" for n in range(series)], length),
            "ds": pl.concat([times] * series),
            "y": generator.normal(size=series * length).round(3),
        }
    )


def test_many_batches_in_any_order_give_the_identical_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    table = panel_table(40, 50)
    whole = read(table)
    monkeypatch.setattr("tsx.panel.assemble.BATCH_ROWS", 64)
    assert same(whole, read(table.sample(fraction=1, shuffle=True, seed=3)))


def whole_table(seed: int) -> pl.DataFrame:
    """Series one after the other: gaps, missing values, zeros at the start, rows after the last target, statics."""
    random = np.random.default_rng(seed)
    parts = []
    for n in range(12):
        places = np.sort(random.choice(70, random.integers(2, 70), replace=False)) if n else np.arange(70)
        size = len(places)
        y = np.where(np.arange(size) < random.integers(0, 6), 0.0, random.normal(1e6, 1, size))
        y = np.where((random.random(size) < 0.1) & (n > 0), np.nan, y)
        y[size - random.integers(0, 4) :] = np.nan
        parts.append(
            pl.DataFrame(
                {
                    "id": [f"s{random.integers(100) * 100 + n:05d}"] * size,
                    "ds": pl.Series(places * 3600 * 10**6).cast(pl.Duration("us")) + START,
                    "y": y,
                    "p": random.normal(size=size),
                    "f": np.where(random.random(size) < 0.2, np.nan, 5.0),
                    "size": [float(n)] * size,
                    "kind": [f"kind-{n % 3}"] * size,
                }
            )
        )
    return pl.concat(parts)


@pytest.mark.parametrize("batch", [7, 64, 10_000])
@pytest.mark.parametrize("seed", range(4))
def test_one_pass_over_series_in_order_gives_what_two_passes_over_shuffled_rows_give(
    monkeypatch: pytest.MonkeyPatch, batch: int, seed: int
) -> None:
    table = whole_table(seed)
    shuffled = read(table.sample(fraction=1, shuffle=True, seed=seed), SCHEMA)
    monkeypatch.setattr("tsx.panel.single_pass.BATCH_ROWS", batch)
    monkeypatch.setattr("tsx.panel.assemble._read_again", None)
    assert same(read(table, SCHEMA), shuffled)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_a_panel_in_a_file_is_the_one_in_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int, order: str
) -> None:
    table = whole_table(seed)
    table = table if order == "sorted" else table.sample(fraction=1, shuffle=True, seed=seed)
    in_memory = [read(table, SCHEMA), *every_change(read(table, SCHEMA))]
    monkeypatch.setattr("tsx.io.mapped.LARGE", 1)
    monkeypatch.setattr("tsx.panel.single_pass.BATCH_ROWS", 50)
    with large_arrays_in(tmp_path):
        mapped = [read(table, SCHEMA), *every_change(read(table, SCHEMA))]
    assert all(isinstance(memory_behind(panel.values), mmap.mmap) for panel in mapped)
    assert all(map(same, in_memory, mapped))


def every_change(panel: Panel) -> list[Panel]:
    """What makes a new panel of one: the calendar, provisional values, returns."""
    return [with_calendar(panel, Reading(calendar=True), 3), mask_provisional(panel, 2), derive_target(panel, "return")]


def memory_behind(array: np.ndarray) -> object:
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


def test_a_panel_in_a_file_may_be_larger_than_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tsx.panel.limits.available_memory", lambda: 1000)
    monkeypatch.setattr("tsx.io.mapped.LARGE", 1)
    with large_arrays_in(tmp_path):
        assert len(read(panel_table(20, 30))) == 20


def test_rows_that_change_between_two_passes_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    panel_table().write_csv(path)
    monkeypatch.setattr("tsx.io.mapped.LARGE", 1)
    empty_panel = assemble.empty_panel

    def then_shuffle(*arguments: Any) -> Panel:
        panel_table().reverse().write_csv(path)
        return empty_panel(*arguments)

    monkeypatch.setattr("tsx.panel.reading.empty_panel", then_shuffle)
    with large_arrays_in(tmp_path), pytest.raises(DataError) as caught:
        read(pl.scan_csv(path, try_parse_dates=True))
    assert caught.value.code == "file-unreadable"
    assert "changed while it was read" in caught.value.message


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt8, pl.UInt32, pl.Int64, pl.UInt64])
def test_steps_of_any_whole_type_are_read_in_either_order(dtype: Any) -> None:
    table = pl.DataFrame({"ds": pl.Series(np.arange(3, 90, 3), dtype=dtype), "y": np.arange(29.0)})
    for rows in (table, table.reverse()):
        panel = read(rows, Schema("ds", "y"))
        assert (panel.calendar.alias, panel.starts.dtype, len(panel.values)) == ("3", dtype, 29)


def test_a_series_that_begins_with_zeros_keeps_the_digits_of_its_level() -> None:
    level = 1e9 + np.arange(50) / 8
    table = panel_table(1, 60).with_columns(y=np.r_[np.zeros(10), level])
    for rows in (table, table.reverse()):
        panel = read(rows)
        values = panel.values[:, 0].astype(np.float64) + panel.centers[0, 0]
        np.testing.assert_allclose(values[10:], level, rtol=0, atol=1e-5)
        assert (values[:10] == 0).all()


def test_a_panel_that_does_not_fit_in_memory_is_refused_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.panel.limits.available_memory", lambda: 1000)
    error = refused(DataError, "panel-too-large", panel_table(20, 30))
    assert error.message.startswith("600 rows make 600 steps of 1 hour with 1 column, 0.0 GiB of memory")
    monkeypatch.setattr("tsx.panel.limits.available_memory", lambda: 10_000)
    assert len(read(panel_table(20, 30))) == 20


def test_more_rows_than_allowed_are_refused() -> None:
    error = refused(DataError, "too-many-rows", panel_table(), reading=Reading(max_rows=89))
    assert "90 rows" in error.message
    assert len(read(panel_table(), reading=Reading(max_rows=90))) == 3


def test_csv_and_parquet_give_the_same_panel(tmp_path: Path) -> None:
    table = panel_table().with_columns(flag=pl.col("y") > 0)
    schema = Schema("ds", "y", "id", past=("flag",))
    table.write_csv(tmp_path / "table.csv")
    table.write_parquet(tmp_path / "table.parquet")
    roles = Roles(("id",), ("ds",), ("y",), past=("flag",))
    one, other = (
        read(tidy(scan(tmp_path / name), roles, Reading()).rows, schema) for name in ("table.csv", "table.parquet")
    )
    assert same(one, other)
    assert set(np.unique(one.values[:, 1] + one.centers[0, 1])) <= {0.0, 1.0, -1.0, 2.0}


def test_steps_of_1_on_a_level_of_1e9_survive() -> None:
    table = panel_table(1, 20).with_columns(y=1e9 + pl.int_range(20))
    panel = read(table)
    assert panel.centers[0, 0] == 1e9
    assert panel.values[:, 0].tolist() == list(range(20))


def test_gaps_and_missing_values_are_masked_and_counted() -> None:
    table = panel_table(2, 30).with_columns(x=pl.lit(1.0))
    table = table.with_row_index().with_columns(
        y=pl.when(pl.col("index").is_in([3, 4])).then(None).when(pl.col("index") == 5).then(math.nan).otherwise("y"),
        x=pl.when(pl.col("index") == 40).then(None).otherwise("x"),
    )
    table = table.filter(~pl.col("index").is_in([10, 11, 45, 46])).drop("index")
    panel = read(table, Schema("ds", "y", "id", past=("x",)))
    assert np.isnan(panel.values[:, 0]).sum() == 3 + 4
    notes = found(panel)
    assert notes["missing-target:y"].startswith("3 of 56 rows")
    assert notes["missing-covariate:x"].startswith("1 of 56 rows")
    assert notes["gaps:ds"].startswith("4 of 60 steps of 1 hour")
    assert len(notes) == 3


def test_rows_after_the_last_target_keep_only_what_is_known_ahead() -> None:
    table = panel_table(2, 10).with_columns(
        p=pl.lit(2.0), f=pl.lit(3.0), y=pl.when(pl.int_range(pl.len()) >= 16).then(None).otherwise("y")
    )
    panel = read(table, Schema("ds", "y", "id", past=("p",), future=("f",)))
    assert panel.lengths.tolist() == [10, 6]
    assert panel.offsets.tolist() == [0, 10, 20]
    assert np.isnan(panel.values[16:, :2]).all()
    assert (panel.values[:, 2] == 0).all()
    assert found(panel) == {"future-rows:ds": found(panel)["future-rows:ds"]}
    assert found(panel)["future-rows:ds"].startswith("4 rows lie after")


def test_series_that_never_change_or_have_no_target_are_counted() -> None:
    table = panel_table(4, 10).with_columns(
        y=pl.when(pl.col("id") == "s1").then(None).when(pl.col("id") == "s2").then(5.0).otherwise("y")
    )
    panel = read(table)
    assert panel.lengths.tolist() == [10, 0, 10, 10]
    assert found(panel)["constant-series:y"] == "1 of 4 series never changes"
    assert found(panel)["series-without-target:y"].startswith("1 of 4 series")
    alone = pl.concat([panel_table(4, 10), panel_table(5, 10).filter(pl.col("id") == "s4").head(1)])
    assert "constant-series:y" not in found(read(alone))


def test_closed_trading_days_are_no_gaps_and_are_counted() -> None:
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 3, 29), "1d", eager=True)
    open_days = days.filter((days.dt.weekday() < 6) & (days != dt.date(2024, 1, 15)))
    table = pl.DataFrame({"ds": open_days, "y": np.arange(float(len(open_days)))})
    panel = read(table, Schema("ds", "y"))
    assert panel.calendar.alias == "trading-day"
    assert len(panel.values) == len(open_days)
    assert found(panel) == {"closed-days:ds": "1 weekday without a row in any series counts as closed"}
    ahead = panel.times(np.array([0, 0]), np.array([len(open_days), len(open_days) + 1]))
    assert ahead.to_list() == [dt.date(2024, 4, 1), dt.date(2024, 4, 2)]


def test_what_an_earlier_table_knew_of_closed_days_holds_for_the_next() -> None:
    days = pl.date_range(dt.date(2010, 1, 1), dt.date(2015, 12, 24), "1d", eager=True)
    open_days = days.filter((days.dt.weekday() < 6) & ~days.dt.strftime("%m-%d").is_in(["01-01", "12-25"]))
    table = pl.DataFrame({"ds": open_days, "y": np.arange(float(len(open_days)))})
    first = read_panel(table.lazy(), Schema("ds", "y"))
    assert found(first.panel)["closed-days:ds"].endswith(
        " count as closed, and 1 January and 25 December ahead too, as in every year"
    )
    next_one = read_panel(table[-30:].lazy(), Schema("ds", "y"), reading=first.reading)
    assert next_one.reading.closed_days == first.reading.closed_days == ("01-01", "12-25")
    for panel in (first.panel, next_one.panel):
        ahead = panel.times(np.zeros(5, np.int64), panel.lengths[0] + np.arange(5))
        assert ahead.dt.to_string("%d").to_list() == ["28", "29", "30", "31", "04"]


def test_one_series_takes_the_name_of_its_target() -> None:
    panel = read(panel_table(1).drop("id"), Schema("ds", "y"))
    assert (panel.ids.to_list(), panel.ids.name) == (["y"], "unique_id")


@pytest.mark.parametrize(
    ("ids", "dtype", "expected"),
    [
        ([10, 9], pl.Int32, pl.Int32),
        (["b", "a"], pl.String, pl.String),
        (["b", "a"], pl.Categorical, pl.String),
        (["b", "a"], pl.Enum(["b", "a"]), pl.String),
    ],
)
def test_ids_keep_their_type_and_are_sorted(ids: list[Any], dtype: Any, expected: Any) -> None:
    table = panel_table(2, 5).with_columns(id=pl.Series(np.repeat(np.array(ids, object), 5).tolist(), dtype=dtype))
    panel = read(table)
    assert panel.ids.dtype == expected
    assert panel.ids.to_list() == sorted(ids)
    np.testing.assert_allclose(panel.values[0:5, 0] + panel.centers[0, 0], table["y"][5:], atol=1e-6)


def test_days_in_a_zone_stand_on_one_grid_through_both_clock_changes() -> None:
    times = pl.datetime_range(
        dt.datetime(2024, 1, 1), dt.datetime(2024, 12, 31), "1d", eager=True, time_zone="Europe/Berlin"
    )
    panel = read(pl.DataFrame({"ds": times, "y": np.arange(float(len(times)))}), Schema("ds", "y"))
    assert panel.calendar.alias == "1d"
    assert (panel.values[:, 0] + panel.centers[0, 0]).tolist() == list(range(366))
    assert panel.times(np.zeros(366, np.int64), np.arange(366)).equals(times)


def test_names_of_our_own_columns_may_be_the_users() -> None:
    table = panel_table().rename({"ds": "id", "id": "time", "y": "code"}).with_columns(c0=pl.lit(1.5), rows=pl.lit("r"))
    panel = read(table, Schema("id", "code", "time", past=("c0",), static=("rows",)))
    assert (panel.ids.name, panel.starts.name) == ("time", "id")
    np.testing.assert_array_equal(panel.values[:, 0], read(panel_table()).values[:, 0])


def test_progress_is_told_and_always_finished() -> None:
    class Told:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def start(self, task: str, total: float) -> None:
            self.told.append(task)

        def update(self, done: float, note: str = "") -> None:
            self.told.append(done)

        def finish(self) -> None:
            self.told.append("finished")

    good, bad = Told(), Told()
    read(panel_table(), progress=good)
    assert good.told[0] == "reading"
    assert good.told[1:-1] == sorted(good.told[1:-1])
    assert good.told[-2:] == [1.0, "finished"]
    with pytest.raises(DataError):
        read(pl.concat([panel_table()] * 2), progress=bad)
    assert bad.told[-1] == "finished"


def changed(row: int, **cells: Any) -> pl.DataFrame:
    """The table with the cells of one row replaced."""
    index = pl.int_range(pl.len())
    return panel_table().with_columns(
        pl.when(index == row).then(pl.lit(value)).otherwise(name).alias(name) for name, value in cells.items()
    )


def refused(error: type[TsxError], code: str, table: pl.DataFrame, schema: Schema = SIMPLE, **more: Any) -> TsxError:
    with pytest.raises(error) as caught:
        read(table, schema, **more)
    assert caught.value.code == code
    for word in ("secret", "s0", "s1", "s2"):
        assert word not in f"{caught.value.message} {caught.value.hint} {caught.value.where}"
    return caught.value


def test_duplicate_rows_are_counted_and_a_column_that_tells_them_apart_is_named() -> None:
    table = panel_table()
    error = refused(DataError, "duplicate-rows", pl.concat([table, table.head(4)]))
    assert error.message.startswith("4 of 94 rows")
    both = pl.concat(
        [
            table.with_columns(device=pl.lit("secret-1"), note=pl.lit("secret")),
            table.with_columns(device=pl.lit("secret-2"), note=pl.lit("secret")),
        ]
    )
    assert refused(DataError, "duplicate-rows", both).hint.startswith("'id' and 'device' together tell the rows apart")
    apart = both.with_columns(device=pl.col("device") + pl.col("id"))
    assert refused(DataError, "duplicate-rows", apart).hint.startswith(
        "'device' tells the rows apart: name it with --id device"
    )
    assert "'id'" in refused(DataError, "duplicate-rows", table, Schema("ds", "y")).hint


@pytest.mark.parametrize("kind", [pl.String, pl.Int64])
def test_two_columns_that_tell_repeated_rows_apart_together_are_named(kind: type[pl.DataType]) -> None:
    days = pl.DataFrame({"ds": [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in range(30)]})
    shops, items = pl.DataFrame({"shop": [10, 11]}), pl.DataFrame({"item": [20, 21, 22]})
    table = days.join(shops, how="cross").join(items, how="cross").with_columns(pl.col("shop", "item").cast(kind))
    table = table.with_columns(y=pl.int_range(pl.len()).cast(pl.Float64), note=pl.int_range(pl.len()).cast(pl.String))
    for schema in (Schema("ds", "y"), Schema("ds", "y", "shop")):
        hint = refused(DataError, "duplicate-rows", table.drop("note"), schema).hint
        assert hint.startswith("'shop' and 'item' together tell the rows apart: name them with --id shop,item;")
        assert hint.endswith(f"--duplicates last (or mean), which leaves {60 if schema.ids else 30} of 180 rows")


def test_repeated_rows_of_several_files_are_perhaps_several_series() -> None:
    day = pl.DataFrame({"ds": [1, 2, 3], "y": [1.0, 2.0, 3.0]})
    table = pl.concat([day, day.with_columns(pl.col("y") + 0.5)])
    for files, named in ((2, True), (1, False)):
        error = refused(DataError, "duplicate-rows", table, Schema("ds", "y"), files=files)
        assert ("--id-from filename" in error.hint) is named
        assert error.setting == ("id_from" if named else "duplicates")


def test_many_repeated_rows_are_counted_and_only_the_first_are_told() -> None:
    table = pl.DataFrame({"ds": np.arange(3000) // 3, "y": np.arange(3000) // 2 * 1.0})
    error = refused(DataError, "duplicate-rows", table, Schema("ds", "y"))
    assert error.message == (
        "2,000 of 3,000 rows repeat the ds of another row; 1,000 are identical in every used column ('y') "
        "(first rows 2, 3, 5)"
    )
    assert error.values == "0; 0; 1; 1; 2"


def test_rows_off_the_grid_are_counted() -> None:
    error = refused(
        DataError,
        "time-off-grid",
        changed(40, ds=START + dt.timedelta(hours=11, minutes=7)),
        reading=Reading(regularize="none"),
    )
    assert error.message.startswith("1 of 90 rows")


def test_a_missing_time_or_id_is_counted() -> None:
    assert "1 row has no time" in refused(DataError, "null-key", changed(7, ds=None)).message
    table = changed(7, id=None)
    assert "2 rows have no id" in refused(DataError, "null-key", pl.concat([table, table[7:8]])).message


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_values_are_counted_by_column(value: float) -> None:
    error = refused(DataError, "infinite-values", changed(0, y=value))
    assert error.message == "column 'y' holds 1 infinite value (row 1)"


def test_values_beyond_float32_are_refused() -> None:
    refused(DataError, "values-too-large", changed(5, y=1e300))


def test_a_static_column_that_changes_is_refused() -> None:
    table = panel_table().with_columns(
        kind=pl.when(pl.int_range(pl.len()) == 4).then(pl.lit("secret")).otherwise(pl.lit("x")),
        size=pl.int_range(pl.len()),
    )
    error = refused(DataError, "static-not-constant", table, Schema("ds", "y", "id", static=("kind",)))
    assert "1 of 3 series" in error.message
    assert error.values == "'s0'"
    assert (
        "3 of 3 series"
        in refused(DataError, "static-not-constant", table, Schema("ds", "y", "id", static=("size",))).message
    )


def test_a_table_without_rows_or_targets_is_refused() -> None:
    refused(DataError, "too-few-rows", panel_table().clear())
    refused(DataError, "too-few-rows", panel_table().clear().drop("id"), Schema("ds", "y"))
    refused(DataError, "no-target-values", panel_table().with_columns(y=pl.lit(None, pl.Float64)))


def test_a_grid_that_is_mostly_gaps_is_refused_before_it_is_laid_out() -> None:
    seconds = dt.timedelta(seconds=1)
    times = [START, START + seconds, START + 2 * seconds, START + dt.timedelta(days=400)]
    table = pl.DataFrame({"ds": times, "y": [1.0, 2, 3, 4]})
    error = refused(DataError, "too-many-gaps", table, Schema("ds", "y"), freq="1s")
    assert f"{400 * 86400 + 1:,} steps" in error.message


def test_one_mistyped_date_among_many_series_is_refused_and_counted() -> None:
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 3, 31), eager=True)
    parts = [pl.DataFrame({"id": f"s{n}", "ds": days, "y": 1.0}) for n in range(40)]
    parts.append(pl.DataFrame({"id": ["s0"], "ds": [dt.date(9999, 12, 31)], "y": [1.0]}))
    error = refused(DataError, "time-outlier", pl.concat(parts), Schema("ds", "y", "id"))
    assert error.message.startswith(
        "1 of 3,641 rows lies far from the rest of its series (1 of 40 series, up to 2,913,"
    )
    assert error.message.endswith("row 3,641")
    assert error.values == "9999-12-31"
    assert "mistyped date" in error.hint


def test_a_schema_is_checked_against_the_table_it_reads() -> None:
    refused(DataError, "column-missing", panel_table(), Schema("ds", "y", "id", past=("gone",)))
    refused(DataError, "column-missing", panel_table(), Schema("gone", "y"))
    text = panel_table().with_columns(y=pl.lit("secret"))
    refused(ConfigError, "column-type-wrong", text)

"""A fitted model reads a later table as it read the first, and says what it had to read in another way."""

from __future__ import annotations

import datetime as dt
import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from tsx.errors import ConfigError, DataError, TsxError
from tsx.panel.panel import Panel
from tsx.profile.drift import drift, panel_facts
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.store.migrations import migrate
from tsx.workflows.open_table import open_again, open_table

NONE_NAMED, PLAIN = Roles(), Reading()
SIZE = 60
DAYS = [dt.date(2024, 9, 1) + dt.timedelta(days=n) for n in range(SIZE)]
MIDNIGHTS = pl.Series(DAYS).cast(pl.Datetime("us"))
WAVES = [round(20 + 5 * float(np.sin(n / 3)), 2) for n in range(SIZE)]


class Fitted:
    """What a model keeps of the table that it was fitted on, and how it reads the next ones."""

    def __init__(self, frame: pl.DataFrame, roles: Roles = NONE_NAMED, reading: Reading = PLAIN) -> None:
        self.opened = open_table(frame, roles, reading, None, SILENT)
        self.panel = self.opened.panel
        self.model: Any = SimpleNamespace(
            schema=self.panel.schema,
            config=SimpleNamespace(horizon=3, delay=0),
            reading=self.opened.reading,
            frequency=self.panel.calendar.alias,
            decisions=self.opened.decisions,
        )
        assert same(self.panel, self.again(frame)), "an untouched table must be read as it was"

    def again(self, frame: pl.DataFrame, **more: Any) -> Panel:
        return open_again(self.model, frame, **more)

    def codes(self, frame: pl.DataFrame) -> set[str]:
        return {finding.code for finding in self.again(frame).findings}

    def drifted(self, frame: pl.DataFrame) -> set[str]:
        return {finding.code for finding in drift(panel_facts(self.panel), self.again(frame))}


def same(one: Panel, other: Panel) -> bool:
    return (
        one.schema == other.schema
        and one.ids.equals(other.ids)
        and one.starts.equals(other.starts)
        and np.array_equal(one.values, other.values, equal_nan=True)
        and np.array_equal(one.static_values, other.static_values, equal_nan=True)
        and one.static_labels.equals(other.static_labels)
    )


def csv(text: str) -> pl.DataFrame:
    """Lines as `scan` brings them: text in every column, empty cells null."""
    return pl.read_csv(io.StringIO(text), infer_schema=False)


def texts(frame: pl.DataFrame, separator: str = ",") -> pl.DataFrame:
    return pl.read_csv(io.StringIO(frame.write_csv(separator=separator)), infer_schema=False, separator=separator)


def daily(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"date": DAYS, "y": WAVES, **columns})


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_the_same_instants_in_another_zone_are_the_same_panel(zone: str) -> None:
    frame = pl.DataFrame({"time": MIDNIGHTS.dt.replace_time_zone(zone), "y": WAVES})
    fitted = Fitted(frame)
    assert (fitted.opened.reading.zone, fitted.opened.reading.zoned) == (zone, True)
    elsewhere = frame.with_columns(pl.col("time").dt.convert_time_zone("UTC"))
    assert same(fitted.panel, fitted.again(elsewhere))
    written = elsewhere.with_columns(pl.col("time").dt.to_string("%Y-%m-%dT%H:%M:%S+00:00"))
    assert same(fitted.panel, fitted.again(texts(written)))


def test_offsets_are_brought_to_utc_later_too() -> None:
    frame = csv("time,y\n" + "".join(f"{day}T00:00:00+02:00,{y}\n" for day, y in zip(DAYS, WAVES, strict=True)))
    fitted = Fitted(frame)
    assert (fitted.opened.reading.zone, fitted.opened.reading.zoned) == ("UTC", True)
    typed = pl.DataFrame({"time": MIDNIGHTS.dt.replace_time_zone("Etc/GMT-2"), "y": WAVES})
    assert same(fitted.panel, fitted.again(typed))


def test_times_that_lost_their_zone_are_refused() -> None:
    fitted = Fitted(pl.DataFrame({"time": MIDNIGHTS.dt.replace_time_zone("Europe/Berlin"), "y": WAVES}))
    with pytest.raises(ConfigError) as caught:
        fitted.again(pl.DataFrame({"time": MIDNIGHTS, "y": WAVES}))
    assert caught.value.code == "column-type-wrong"
    assert "Europe/Berlin" in caught.value.message


def test_a_zone_that_was_told_is_still_that_of_times_without_one() -> None:
    fitted = Fitted(pl.DataFrame({"time": MIDNIGHTS, "y": WAVES}), reading=Reading(zone="Europe/Berlin"))
    assert not fitted.opened.reading.zoned
    assert str(fitted.panel.starts.dtype) == "Datetime(time_unit='us', time_zone='Europe/Berlin')"


def test_a_number_newly_read_as_missing_is_said() -> None:
    fitted = Fitted(daily())
    spoilt = daily().with_columns(y=pl.when(pl.int_range(pl.len()) % 13 == 5).then(-9999.0).otherwise("y"))
    later = fitted.again(spoilt)
    (found,) = [finding for finding in later.findings if finding.code == "read-differently"]
    assert found.message.startswith("5 of 60 values of 'y' are exactly -9999")
    assert "fitted on a table without such numbers" in found.message


def test_a_number_read_as_missing_at_the_fit_is_no_news() -> None:
    spoilt = daily().with_columns(y=pl.when(pl.int_range(pl.len()) % 13 == 5).then(-9999.0).otherwise("y"))
    fitted = Fitted(spoilt)
    assert fitted.opened.reading.found_missing == ("-9999",)
    assert "read-differently" not in fitted.codes(spoilt)


def test_another_decimal_mark_is_said() -> None:
    fitted = Fitted(texts(daily()))
    comma = texts(daily()).with_columns(pl.col("y").str.replace(".", ",", literal=True))
    later = fitted.again(comma)
    assert same(fitted.panel, later)
    (found,) = [finding for finding in later.findings if finding.code == "read-differently"]
    assert "can only be read with a decimal comma" in found.message
    assert "fitted on numbers with a decimal point" in found.message


def test_rows_newly_moved_to_their_steps_are_said() -> None:
    times = pl.Series([dt.datetime(2024, 1, 1) + dt.timedelta(minutes=5 * n) for n in range(SIZE)])
    fitted = Fitted(pl.DataFrame({"time": times, "y": WAVES}))
    jitter = pl.Series([dt.timedelta(seconds=(n * 7) % 23) for n in range(SIZE)])
    moved = pl.DataFrame({"time": times + jitter, "y": WAVES})
    assert "read-differently" in fitted.codes(moved)
    assert "read-differently" not in Fitted(moved).codes(moved)


def test_a_wide_table_keeps_its_covariates() -> None:
    frame = pl.DataFrame({"date": DAYS, "a": WAVES, "b": WAVES[::-1], "temp": [float(n % 9) for n in range(SIZE)]})
    fitted = Fitted(frame, Roles(future=("temp",)), Reading(wide=True))
    assert fitted.panel.schema.future == ("temp",)
    assert fitted.panel.ids.to_list() == ["a", "b"]
    ahead = pl.DataFrame(
        {
            "date": [DAYS[-1] + dt.timedelta(days=n) for n in (1, 2, 3)] * 2,
            "series": ["a"] * 3 + ["b"] * 3,
            "temp": [1.0, 2.0, 3.0] * 2,
        }
    )
    later = fitted.again(frame, future_data=ahead)
    assert later.ids.to_list() == ["a", "b"]
    assert np.diff(later.offsets).tolist() == [SIZE + 3] * 2


def test_a_series_called_like_the_made_column_changes_nothing() -> None:
    frame = pl.DataFrame({"date": DAYS, "a": WAVES, "b": WAVES[::-1]})
    fitted = Fitted(frame, reading=Reading(wide=True))
    assert fitted.panel.schema.target == "value"
    named = Fitted(frame.rename({"b": "value"}), reading=Reading(wide=True))
    assert named.again(frame).ids.to_list() == ["a", "b"]


def steps(names: list[str], regions: list[str], stores: list[str], **more: list[str]) -> pl.DataFrame:
    values = {name: [float((n + row) % 7 + 1) for row in range(len(regions))] for n, name in enumerate(names)}
    return pl.DataFrame({"region": regions, "store": stores, **more, **values})


MONTHS = [f"{2020 + n // 12}-{n % 12 + 1:02}" for n in range(30)]


def test_the_parts_of_a_joint_id_stay_the_same() -> None:
    fitted = Fitted(steps(MONTHS, ["n", "n", "s"], ["1st", "2nd", "1st"]))
    assert fitted.panel.schema.ids == ("region", "store")
    fewer = steps(MONTHS, ["n", "s"], ["2nd", "1st"], owner=["x", "z"])
    again = fitted.again(fewer).ids.to_list()
    assert again == [{"region": "n", "store": "2nd"}, {"region": "s", "store": "1st"}]
    with pytest.raises(ConfigError) as caught:
        fitted.again(fewer.drop("store"))
    assert (caught.value.code, caught.value.where) == ("column-not-found", "store")


def test_the_order_of_day_and_month_in_the_columns_names_is_remembered() -> None:
    clear = [f"{month}/{day}/2024" for month in (1, 2, 3, 4) for day in range(1, 29)]
    fitted = Fitted(steps(clear[:84], ["n", "s"], ["1st", "2nd"]))
    assert fitted.opened.reading.time_format == "month-first"
    # Days up to the 12th fit both orders; the gaps are no matter here.
    later = fitted.again(steps([f"5/{day}/2024" for day in range(1, 13)], ["n", "s"], ["1st", "2nd"]))
    assert later.starts.to_list()[0] == dt.date(2024, 5, 1)


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ([f"24-{month:02}-{day:02}" for month in (1, 2) for day in range(1, 29)], "%y-%m-%d"),
        ([f"{day:02}/{month:02}/2024" for month in (1, 2) for day in range(1, 13)], "--time-format day-first"),
    ],
)
def test_names_of_columns_that_are_two_dates_are_refused(names: list[str], hint: str) -> None:
    with pytest.raises(DataError) as caught:
        Fitted(steps(names, ["n", "s"], ["1st", "2nd"]))
    assert caught.value.code == "time-ambiguous"
    assert hint in caught.value.hint
    assert names[0] not in caught.value.message


def test_a_pattern_reads_names_that_begin_with_the_year() -> None:
    names = [f"24-{month:02}-{day:02}" for month in (1, 2) for day in range(1, 29)][:28]
    fitted = Fitted(steps(names, ["n", "s"], ["1st", "2nd"]), reading=Reading(time_format="%y-%m-%d"))
    assert fitted.panel.starts.to_list() == [dt.date(2024, 1, 1)] * 2


def test_a_number_found_missing_in_the_target_stays_a_number_in_static_columns() -> None:
    one, two = (daily(id=[id] * SIZE, elevation=[level] * SIZE) for id, level in (("a", -9999.0), ("b", 20.0)))
    frame = pl.concat([one, two]).with_columns(y=pl.when(pl.int_range(pl.len()) % 13 == 5).then(-9999.0).otherwise("y"))
    for form in (frame, texts(frame)):
        fitted = Fitted(form, Roles(static=("elevation",)))
        assert fitted.again(form).static_values.ravel().tolist() == [-9999.0, 20.0]
    told = Fitted(frame, Roles(static=("elevation",)), Reading(missing=("-9999",)))
    assert np.isnan(told.panel.static_values[0, 0])


def test_future_data_with_dates_of_two_meanings_are_said_to_be_so() -> None:
    fitted = Fitted(texts(daily(x=WAVES)), Roles(target=("y",), future=("x",)))
    ahead = csv("date,x\n01/11/2024,1.5\n02/11/2024,2.5\n03/11/2024,3.5\n")
    with pytest.raises(TsxError) as caught:
        fitted.again(texts(daily(x=WAVES)), future_data=ahead)
    assert caught.value.code == "time-ambiguous"


def test_dates_that_became_times_are_said() -> None:
    fitted = Fitted(daily())
    at_nine = pl.DataFrame({"date": MIDNIGHTS.dt.offset_by("9h"), "y": WAVES})
    assert "time-type-changed" in fitted.drifted(at_nine)
    assert "time-type-changed" not in fitted.drifted(daily())
    zoned = pl.DataFrame({"date": MIDNIGHTS.dt.replace_time_zone("UTC"), "y": WAVES})
    assert "time-type-changed" in Fitted(pl.DataFrame({"date": MIDNIGHTS, "y": WAVES})).drifted(zoned)


def test_past_and_static_columns_of_wide_tables_are_kept_too() -> None:
    frame = pl.DataFrame({"date": DAYS, "a": WAVES, "b": WAVES[::-1], "wind": WAVES, "site": ["north"] * SIZE})
    fitted = Fitted(frame, Roles(past=("wind",), static=("site",)), Reading(wide=True))
    assert (fitted.panel.schema.past, fitted.panel.schema.static) == (("wind",), ("site",))
    by_row = steps(MONTHS, ["n", "n", "s"], ["1st", "2nd", "1st"])
    assert Fitted(by_row, Roles(static=("region",))).again(by_row).static_labels["region"].to_list() == ["n", "n", "s"]


AMBIGUOUS = csv("date,x\n01/11/2024,1.5\n02/11/2024,2.5\n03/11/2024,3.5\n")


def test_a_setting_that_the_model_fixes_is_said_to_need_another_fit() -> None:
    fitted = Fitted(texts(daily(x=WAVES)), Roles(target=("y",), past=("x",)))
    with pytest.raises(DataError) as caught:
        fitted.again(texts(daily(x=["about 3", *map(str, WAVES[1:])])))
    assert (caught.value.code, caught.value.setting) == ("cells-not-numbers", "missing")
    assert "fit again" in caught.value.hint
    assert "--missing" in caught.value.hint


def test_a_setting_that_a_forecast_takes_too_is_not() -> None:
    fitted = Fitted(daily())
    for more, code in (({"max_rows": 10}, "too-many-rows"), ({}, "duplicate-rows")):
        with pytest.raises(DataError) as caught:
            fitted.again(pl.concat([daily(), daily(y=WAVES[::-1])]), **more)
        assert caught.value.code == code
        assert "fit again" not in caught.value.hint


@pytest.mark.parametrize(
    ("ahead", "code"),
    [
        (AMBIGUOUS, "time-ambiguous"),
        (csv("date,x\n2024-10-31,about 3\n"), "future-column-type"),
        (csv("date,x\n2024-10-31,3\n2024-10-31,3\n"), "duplicate-rows"),
    ],
)
def test_errors_of_the_future_data_ask_to_write_it_otherwise_and_never_to_fit_again(
    ahead: pl.DataFrame, code: str
) -> None:
    fitted = Fitted(texts(daily(x=WAVES)), Roles(target=("y",), future=("x",)))
    with pytest.raises(TsxError) as caught:
        fitted.again(texts(daily(x=WAVES)), future_data=ahead)
    assert caught.value.code == code
    assert "fit again" not in caught.value.hint
    assert "--time-format" not in caught.value.hint


def test_rows_that_were_snapped_at_the_fit_are_no_news_to_a_model_that_was_stored_without_saying_so() -> None:
    decision = {"name": "regularize", "value": "snap", "reason": ""}
    manifest = {"format_version": 2, "network": {}, "training": {}, "reading": {}, "decisions": [decision]}
    assert migrate(manifest, {})[0]["reading"]["snapped"] is True
    assert migrate({**manifest, "decisions": []}, {})[0]["reading"]["snapped"] is False

"""`tsx forecast DATA` where there is no model: what is said, what works as with a model, and what needs one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tsx
from tsx.errors import ConfigError, NotFound, UsageError
from tsx.spec.verbs import FORECAST, NEEDS_A_FIT


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def monthly(series: int = 6, months: int = 72) -> pl.DataFrame:
    """Shops with a yearly season, a level of their own and little noise."""
    random = np.random.default_rng(0)
    first = dt.date(2018, 1, 1)
    days = pl.date_range(first, first.replace(year=2018 + months // 12 - 1, month=12), "1mo", eager=True)
    season = 1 + 0.3 * np.sin(2 * np.pi * np.arange(months) / 12)
    tables = [
        pl.DataFrame(
            {"shop": f"s{n}", "month": days, "sold": (n + 1) * 50 * season * random.lognormal(0, 0.03, months)}
        )
        for n in range(series)
    ]
    return pl.concat(tables)


def test_a_table_is_forecast_at_once_and_every_choice_has_its_reason() -> None:
    made = tsx.forecast(monthly())
    assert made.frame.columns[:5] == ["shop", "month", "cutoff", "step", "yhat"]
    assert made.frame.height == 6 * 12
    (finding,) = [one for one in made.findings if one.code == "forecast-without-fit"]
    assert finding.severity == "warning"
    assert "there is no model at tsx-model" in finding.message
    names = [decision.name for decision in made.decisions]
    assert {"season", "horizon", "floor", "network_weight", "calibration"} <= set(names)
    assert made.verdict is not None
    assert made.verdict.skill_seasonal_naive is not None
    assert made.verdict.skill_seasonal_naive > 0.1
    assert not Path("tsx-model").exists()


def test_what_is_read_of_missing_values_is_said_where_there_are_any() -> None:
    said = "a missing value is read as that of a season before, else as the last one"
    table = monthly()
    hole = (pl.col("shop") == "s1") & (pl.col("month") == dt.date(2020, 5, 1))
    for given, filled in ((table, False), (table.filter(~hole), True)):
        findings = {one.code: one.message for one in tsx.forecast(given).findings}
        assert (said in findings["forecast-without-fit"]) == filled
        assert ("gaps" in findings) == filled
    holed = table.with_columns(pl.when(~hole).then("sold").alias("sold"))
    assert said in {one.code: one.message for one in tsx.forecast(holed).findings}["forecast-without-fit"]


def test_the_season_goes_on_at_the_level_of_each_series() -> None:
    made = tsx.forecast(monthly())
    season = 1 + 0.3 * np.sin(2 * np.pi * np.arange(12) / 12)
    for (shop,), rows in made.frame.group_by("shop", maintain_order=True):
        expected = (int(str(shop)[1:]) + 1) * 50 * season
        np.testing.assert_allclose(rows["yhat"].to_numpy(), expected, rtol=0.06)


def test_roles_horizon_season_and_levels_are_as_asked() -> None:
    table = monthly().rename({"sold": "a", "month": "when"}).with_columns(b=pl.lit(1.0))
    made = tsx.forecast(
        table, id="shop", time="when", target="a", horizon=5, season=12, quantile_levels=(0.2, 0.5, 0.8), freq="1mo"
    )
    assert made.frame["step"].max() == 5
    assert made.quantile_levels == (0.2, 0.5, 0.8)
    by_name = {decision.name: decision for decision in made.decisions}
    assert (by_name["horizon"].value, by_name["horizon"].reason) == (5, "as asked")
    assert by_name["season"].reason == "as asked"


def test_samples_aggregates_probabilities_and_totals_need_no_fit() -> None:
    table = monthly()
    paths = tsx.forecast(table, samples=20).sample_paths
    assert paths is not None
    assert paths.height == 6 * 12 * 20
    total = tsx.forecast(table, aggregate="sum", above=600).sample_paths
    assert total is not None
    assert total["p_above_600"].is_between(0, 1).all()
    beyond = tsx.forecast(table, above=120).frame
    assert beyond["p_above_120"].is_between(0, 1).all()
    assert (beyond["p_any_above_120"] >= beyond["p_above_120"] - 1e-9).all()
    summed = tsx.forecast(table, reconcile="shop").frame
    steps = summed.filter(pl.col("shop").is_not_null()).group_by("step").agg(pl.col("yhat").sum()).sort("step")
    whole = summed.filter(pl.col("shop").is_null()).sort("step")
    np.testing.assert_allclose(steps["yhat"].to_numpy(), whole["yhat"].to_numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", NEEDS_A_FIT)
def test_what_needs_a_fit_says_so(name: str) -> None:
    value = {"what_if": ("sold=+1",), "private": True, "future_data": monthly(), "device": "cuda"}.get(
        name, "somewhere"
    )
    with pytest.raises(UsageError) as error:
        tsx.forecast(monthly(), **{name: value})
    assert error.value.code == "flags-contradict"
    assert FORECAST[name].flag in error.value.message
    assert "tsx fit" in error.value.hint


def test_more_steps_than_the_network_forecasts_are_refused_with_the_limit() -> None:
    with pytest.raises(ConfigError) as error:
        tsx.forecast(monthly(), horizon=25)
    assert error.value.code == "setting-out-of-range"
    assert "24 or less" in error.value.message
    assert "--horizon 25" in error.value.hint


def test_a_usual_horizon_beyond_the_networks_is_cut_and_said() -> None:
    hours = pl.datetime_range(dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 15), "30m", eager=True)
    y = np.sin(2 * np.pi * np.arange(len(hours)) / 48) + np.random.default_rng(1).normal(0, 0.1, len(hours))
    made = tsx.forecast(pl.DataFrame({"time": hours, "load": y}), season=48)
    by_name = {decision.name: decision for decision in made.decisions}
    assert by_name["horizon"].value <= 24
    assert by_name["season_of_pretrained"].value == 1


def test_a_model_that_is_named_and_missing_is_an_error_as_ever() -> None:
    for given in ({"data": monthly(), "model": "sales-model"}, {"data": None}):
        with pytest.raises(NotFound) as error:
            tsx.forecast(**given)
        assert error.value.code == "model-not-found"


def test_columns_that_a_fit_would_read_are_named_as_not_read() -> None:
    table = monthly().with_columns(price=pl.col("sold") * 0.1)
    future = (
        table.group_by("shop")
        .agg(pl.col("month").max())
        .with_columns(month=pl.col("month").dt.offset_by("1mo"), sold=pl.lit(None, pl.Float64), price=pl.lit(3.0))
    )
    ahead = [future.with_columns(month=pl.col("month").dt.offset_by(f"{k}mo")) for k in range(12)]
    made = tsx.forecast(pl.concat([table, *ahead], how="diagonal"))
    (finding,) = [one for one in made.findings if one.code == "columns-not-read"]
    assert finding.where == "price"
    assert made.frame["month"].min() == dt.date(2024, 1, 1)


def test_a_model_goes_by_its_own_settings_and_says_which_were_left_out() -> None:
    table = monthly()
    tsx.fit(table, horizon=3, context_length=12, hidden_size=4, max_steps=1)
    plain = tsx.forecast(table)
    assert "as-fitted" not in {finding.code for finding in plain.findings}
    same = tsx.forecast(table, horizon=3, id="shop", time="month", target="sold", freq="MS")
    assert "as-fitted" not in {finding.code for finding in same.findings}
    other = tsx.forecast(table, horizon=6, season=4)
    assert [finding.where for finding in other.findings if finding.code == "as-fitted"] == ["horizon", "season"]
    assert other.frame.equals(plain.frame)
    assert other.decisions == ()


def test_a_season_longer_than_the_series_leaves_rows_to_judge_on() -> None:
    made = tsx.forecast(monthly(), season=5000)
    assert made.verdict is not None
    assert np.isfinite(made.frame["yhat"].to_numpy()).all()


def test_short_series_among_long_ones_are_left_out_with_the_number_they_lack() -> None:
    short = pl.DataFrame({"shop": "new", "month": [dt.date(2023, 11, 1), dt.date(2023, 12, 1)], "sold": [1.0, 2.0]})
    made = tsx.forecast(pl.concat([monthly(), short]))
    (finding,) = [one for one in made.findings if one.code == "series-left-out"]
    assert finding.message == "1 of 7 series is left out, without 4 observed targets in its last 144 rows"
    assert "new" not in made.frame["shop"]

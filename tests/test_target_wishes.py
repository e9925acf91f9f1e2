"""What is asked of the target holds from the table to the last output: transform, delay and counts."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tsx
from tests.stored import in_use
from tsx.errors import ConfigError, DataError
from tsx.spec.settings import Settings
from tsx.workflows.open_table import wishes_left

SMALL: dict[str, Any] = {"horizon": 3, "context_length": 12, "max_steps": 2, "hidden_size": 4, "device": "cpu"}
HOLIDAYS = {dt.date(2024, 1, 15), dt.date(2024, 2, 19), dt.date(2024, 3, 29)}
DAYS = [
    day
    for day in (dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in range(180))
    if day.weekday() < 5 and day not in HOLIDAYS
]


def prices(days: list[dt.date] = DAYS) -> pl.DataFrame:
    shares = []
    for n, share in enumerate("ab"):
        steps = 0.01 * np.random.default_rng(n).standard_t(4, len(DAYS))
        price = 50 * np.exp(steps.cumsum())[: len(days)]
        shares.append(pl.DataFrame({"share": share, "day": days, "close": price}))
    return pl.concat(shares)


def cases(count: int = 90) -> pl.DataFrame:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in range(count)]
    wards = [np.random.default_rng(n).poisson(3, 90)[:count] for n in range(2)]
    return pl.concat(pl.DataFrame({"ward": str(n), "day": days, "cases": one}) for n, one in enumerate(wards))


@pytest.mark.parametrize(
    ("transform", "name"),
    [("return", "return"), ("log-return", "log-return"), ("variance", "squared log-return")],
)
def test_a_derived_target_is_what_every_output_speaks_of(tmp_path: Path, transform: Any, name: str) -> None:
    fitted = tsx.fit(prices(), model=tmp_path / "m", target="close", transform=transform, **SMALL)
    assert fitted.forecaster.schema.target == f"{name} of close"
    assert {d.name: d.value for d in fitted.decisions}["y"] == f"{name} of close"
    assert f"`{name} of close`" in (in_use(tmp_path / "m") / "card.md").read_text()
    manifest = json.loads((in_use(tmp_path / "m") / "manifest.json").read_text())
    assert (manifest["schema"]["derived"], manifest["schema"]["column"]) == (transform, "close")
    assert manifest["data"]["steps"] == 2 * (len(DAYS) - 1)
    forecast = tsx.forecast(prices(), model=tmp_path / "m")
    assert forecast.frame["yhat"].abs().max() < 1  # type: ignore[operator]
    assert forecast.frame["cutoff"].unique().to_list() == [DAYS[-1]]
    explanation = tsx.explain(prices(), model=tmp_path / "m", windows=2, max_evals=100)
    assert explanation.schema.target == f"{name} of close"
    assert set(explanation.lag_importance["feature"]) == {f"{name} of close"}


def test_the_backtests_y_is_the_return() -> None:
    frame = tsx.backtest(prices(), target="close", transform="log-return", cutoffs=2, **SMALL).frame
    one = frame.filter(pl.col("share") == "a").unique("day").sort("day")
    close = prices().filter(pl.col("share") == "a").with_columns(y=pl.col("close").log().diff())
    expected = close.join(one.select("day"), on="day").sort("day")["y"]
    np.testing.assert_allclose(one["y"], expected, rtol=1e-4, atol=1e-6)


def test_weekends_are_not_invented_and_holidays_leave_no_gap(tmp_path: Path) -> None:
    fitted = tsx.fit(prices(), model=tmp_path / "m", target="close", transform="log-return", **SMALL)
    messages = {finding.code: finding.message for finding in fitted.findings}
    assert messages["closed-days"].startswith("3 weekdays without a row")
    assert not {"gaps", "not-transformed", "missing-target"} & set(messages)
    ahead = tsx.forecast(prices(), model=tmp_path / "m").frame.filter(pl.col("share") == "a")["day"].to_list()
    assert DAYS[-1].strftime("%A") == "Friday"
    later = [DAYS[-1] + dt.timedelta(days=n) for n in range(1, 8)]
    assert ahead == [day for day in later if day.weekday() < 5][:3]


def test_a_later_table_is_transformed_as_the_first_was(tmp_path: Path) -> None:
    tsx.fit(prices(DAYS[:100]), model=tmp_path / "m", target="close", transform="log-return", **SMALL)
    later = tsx.forecast(prices(), model=tmp_path / "m")
    assert "scale-jumped" not in {finding.code for finding in later.findings}
    doubled = tsx.forecast(prices().with_columns(pl.col("close") * 2), model=tmp_path / "m")
    np.testing.assert_allclose(later.frame["yhat"], doubled.frame["yhat"], rtol=1e-3, atol=1e-6)


def test_provisional_values_change_no_bit_of_a_forecast_or_a_model(tmp_path: Path) -> None:
    table = cases()
    newest = pl.col("day") > table["day"].max() - dt.timedelta(days=4)  # type: ignore[operator]
    revised = table.with_columns(pl.when(newest).then(pl.col("cases") + 1000).otherwise("cases").alias("cases"))
    assert not revised.equals(table)
    fits = [
        tsx.fit(one, model=tmp_path / n, target="cases", delay=4, **SMALL) for n, one in (("a", table), ("b", revised))
    ]
    assert [f.code for f in fits[0].findings if f.code == "provisional-values"] == ["provisional-values"]
    weights = [(in_use(tmp_path / name) / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]
    scored = [fit.backtest.frame for fit in fits if fit.backtest is not None]
    assert scored[0].equals(scored[1])
    tested = [tsx.backtest(one, target="cases", delay=4, cutoffs=2, **SMALL).frame for one in (table, revised)]
    assert tested[0].equals(tested[1])
    assert tested[0].filter(newest)["y"].is_null().all()


def test_counts_are_forecast_and_scored_in_whole_numbers(tmp_path: Path) -> None:
    tsx.fit(cases(), model=tmp_path / "m", target="cases", counts=True, **SMALL)
    made = tsx.forecast(cases(), model=tmp_path / "m").frame
    tested = tsx.backtest(cases(), target="cases", counts=True, cutoffs=2, **SMALL).frame
    for frame in (made, tested):
        shown = frame.select("yhat", "^q0.*$").to_numpy()
        assert (shown >= 0).all()
        np.testing.assert_array_equal(shown, np.rint(shown))
        assert (np.diff(shown[:, 1:], axis=1) >= 0).all()


def test_small_counts_are_forecast_in_whole_numbers_unless_refused(tmp_path: Path) -> None:
    chosen = tsx.fit(cases(), model=tmp_path / "chosen", target="cases", **SMALL)
    assert {decision.name: decision.value for decision in chosen.decisions}["counts"] is True
    refused = tsx.fit(cases(), model=tmp_path / "refused", target="cases", counts=False, **SMALL)
    assert "counts" not in {decision.name for decision in refused.decisions}
    for name, whole in (("chosen", True), ("refused", False)):
        forecasts = tsx.forecast(cases(), model=tmp_path / name).frame["yhat"].to_numpy()
        assert (forecasts == np.rint(forecasts)).all() == whole
    with pytest.raises(ConfigError) as contradicted:
        tsx.fit(cases(), model=tmp_path / "chosen", update=True, target="cases", counts=False)
    assert (contradicted.value.code, contradicted.value.where) == ("settings-contradict", "counts")
    tsx.fit(cases(), model=tmp_path / "chosen", update=True, target="cases", counts=True)


def test_what_is_no_count_cannot_be_asked_in_counts() -> None:
    with pytest.raises(DataError) as refused:
        tsx.backtest(prices(), target="close", counts=True, cutoffs=2, **SMALL)
    assert refused.value.code == "not-counts"
    with pytest.raises(ConfigError) as contradicted:
        tsx.backtest(prices(), target="close", counts=True, transform="return", cutoffs=2, **SMALL)
    assert contradicted.value.code == "settings-contradict"


def test_what_the_table_was_opened_with_is_not_asked_of_the_network_again() -> None:
    assert wishes_left(Settings(transform="variance", delay=2)) == Settings(delay=2)
    assert wishes_left(Settings(transform="log")) == Settings(transform="log")
    assert wishes_left(Settings(transform="none")) == Settings(transform="none")

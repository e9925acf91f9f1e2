"""Forecasts of totals beside those of their parts: they add up, under the user's own columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tsx
from tsx.errors import ConfigError

HORIZON = 3


def table(rows: int = 60, seed: int = 0) -> pl.DataFrame:
    """Five areas of two countries; `zone` is constant in each, and the last area ends two days early."""
    rng = np.random.default_rng(seed)
    parts = []
    for k, (country, area) in enumerate([("DE", "n"), ("DE", "s"), ("FR", "n"), ("FR", "p"), ("FR", "q")]):
        sales = 20 + 10 * k + np.cumsum(rng.normal(size=rows))
        day = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, 1) + pl.duration(days=rows - 1), eager=True)
        frame = pl.DataFrame({"day": day, "sales": sales, "price": rng.normal(size=rows)})
        named = frame.with_columns(country=pl.lit(country), area=pl.lit(area), zone=pl.lit("ab"[k % 2]))
        parts.append(named.head(rows - 2 if area == "q" else rows))
    return pl.concat(parts)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reconcile") / "model"
    tsx.fit(
        table(),
        id="country,area",
        target="sales",
        past="price",
        static="zone",
        horizon=HORIZON,
        context_length=12,
        hidden_size=4,
        max_steps=5,
        model=folder,
    )
    return folder


def test_totals_are_the_sums_of_their_parts_at_every_level(model):
    made = tsx.forecast(table(), model=model, reconcile="country")
    assert made.frame.columns[:3] == ["country", "area", "day"]
    parts = made.frame.filter(pl.col("area").is_not_null() & (pl.col("area") != "q"))
    by_country = made.frame.filter(pl.col("country").is_not_null() & pl.col("area").is_null())
    total = made.frame.filter(pl.col("country").is_null())
    assert (parts.height, by_country.height, total.height) == (4 * HORIZON, 2 * HORIZON, HORIZON)
    sums = parts.group_by("country", "day").agg(pl.col("yhat").sum()).sort("country", "day")
    np.testing.assert_allclose(sums["yhat"], by_country.sort("country", "day")["yhat"])
    np.testing.assert_allclose(parts.group_by("day").agg(pl.col("yhat").sum()).sort("day")["yhat"], total["yhat"])
    assert made.series == 5


def test_a_series_that_ends_early_is_in_no_total_and_keeps_its_forecast(model):
    plain, made = tsx.forecast(table(), model=model), tsx.forecast(table(), model=model, reconcile="country")
    early = pl.col("area") == "q"
    columns = [name for name in plain.frame.columns if name.startswith("q0")]
    assert made.frame.filter(early).select(columns).equals(plain.frame.filter(early).select(columns))
    assert "1 of 5 series ends" in next(one.message for one in made.findings if one.code == "series-not-in-total")


def test_quantiles_move_by_as_much_as_the_mean_and_keep_their_order(model):
    plain, made = tsx.forecast(table(), model=model), tsx.forecast(table(), model=model, reconcile="country")
    both = plain.frame.join(made.frame, on=["country", "area", "step"], suffix="_now")
    moved = both.select(pl.col("q0.9_now") - pl.col("q0.9"), (pl.col("q0.1_now") - pl.col("q0.1")).alias("low"))
    np.testing.assert_allclose(moved["q0.9_now"], moved["low"], atol=1e-9)
    assert (made.frame["q0.1"] <= made.frame["q0.5"]).all()
    assert (made.frame["q0.5"] <= made.frame["q0.9"]).all()


def test_a_static_covariate_splits_the_total_and_stands_before_the_id(model):
    made = tsx.forecast(table(), model=model, reconcile=["zone"], above=[100])
    assert made.frame.columns[:4] == ["zone", "country", "area", "day"]
    total = made.frame.filter(pl.col("zone").is_null())
    zones = made.frame.filter(pl.col("zone").is_not_null() & pl.col("country").is_null())
    np.testing.assert_allclose(zones.group_by("step").agg(pl.col("yhat").sum()).sort("step")["yhat"], total["yhat"])
    assert total["p_above_100"].is_between(0, 1).all()


def test_sample_paths_are_not_reconciled(model):
    with pytest.raises(ConfigError, match="do not add up") as refused:
        tsx.forecast(table(), model=model, reconcile="country", aggregate="sum")
    assert refused.value.code == "settings-contradict"


def test_parts_that_cannot_be_negative_still_add_up_at_zero(tmp_path):
    rng = np.random.default_rng(1)
    day = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 2, 29), eager=True)
    counts = pl.concat(
        pl.DataFrame({"shop": shop, "day": day, "sold": rng.poisson(rate, len(day))})
        for shop, rate in {"a": 0.05, "b": 0.1, "c": 30.0}.items()
    )
    settings = {"horizon": 3, "context_length": 12, "hidden_size": 4, "max_steps": 5}
    tsx.fit(counts, counts=True, id="shop", target="sold", **settings, model=tmp_path / "model")
    made = tsx.forecast(counts, model=tmp_path / "model", reconcile="shop").frame
    parts, total = made.filter(pl.col("shop").is_not_null()), made.filter(pl.col("shop").is_null())
    assert made["yhat"].min() >= 0
    np.testing.assert_allclose(parts.group_by("step").agg(pl.col("yhat").sum()).sort("step")["yhat"], total["yhat"])


def test_returns_do_not_add_up(tmp_path):
    prices = table().with_columns(sales=pl.col("sales") + 100)
    settings = {"horizon": 3, "context_length": 12, "hidden_size": 4, "max_steps": 5, "transform": "return"}
    tsx.fit(prices, id="country,area", target="sales", **settings, model=tmp_path / "model")
    with pytest.raises(ConfigError, match="does not add up"):
        tsx.forecast(prices, model=tmp_path / "model", reconcile="country")

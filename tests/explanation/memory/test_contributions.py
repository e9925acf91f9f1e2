"""Contributions of single lags: that they sum to the forecast, and that each is what the network loses without it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from tests.model.smoothings import unsmoothed
from tests.processes import make_panel
from tsx.explanation.memory import contributions
from tsx.explanation.memory.contributions import CONTRIBUTIONS, contribution_sentence, contributions_table
from tsx.explanation.shap.units import slope
from tsx.model.forecast_table import forecast_table
from tsx.model.forecaster import Forecaster
from tsx.model.network import Network
from tsx.panel.calendar import Calendar
from tsx.panel.panel import Panel
from tsx.spec.settings import Settings
from tsx.training.fit import fit_forecaster

PLAIN = Settings(
    horizon=3, context_length=12, segment=1, season=1, cell="minlstm", hidden_size=8, max_steps=1, batch_size=16
)
SEASONAL = replace(PLAIN, horizon=5, segment=2, season=4, quantile_levels=(0.25, 0.5, 0.6, 0.9), attention="temporal")


def panel_of(holes: bool = False) -> Panel:
    """Four series with a season of 4, on levels far apart, one covariate of the past and one known ahead."""
    random = np.random.default_rng(0)
    series, rows = [], 60
    for level in (0.0, 5.0, -30.0, 400.0):
        y = level + 3 * (np.arange(rows) % 4) + random.normal(size=rows)
        table = np.column_stack([y, random.normal(10, 2, rows), random.normal(size=rows)])
        if holes:
            gaps = random.random(table.shape) < 0.2
            gaps[-6:, 0] = gaps[-5:, 2] = False
            table[gaps] = np.nan
        series.append(table)
    return make_panel(series, past=("a",), future=("b",), known_ahead=5)


def forecaster_of(panel: Panel, settings: Settings) -> Forecaster:
    """Hardly trained, with weights at random everywhere, so that no path is silently zero."""
    forecaster = fit_forecaster(panel, replace(settings, network_only=True))
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in forecaster.network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        forecaster.network.additive.network_weight.fill_(0.75)
        effects = forecaster.network.additive.effects
        if effects is not None:
            effects.weights.normal_()
    forecaster.network.limits.lift()
    return forecaster


def split(forecaster: Forecaster, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> pl.DataFrame:
    table = contributions_table(forecaster, panel, forecaster.windows(panel), series, cutoffs)
    assert table is not None
    return table


@pytest.mark.parametrize("holes", [False, True], ids=["whole", "holes"])
@pytest.mark.parametrize("settings", [PLAIN, SEASONAL], ids=["plain", "seasonal"])
def test_contributions_sum_to_the_forecast(settings, holes):
    panel = panel_of(holes=holes)
    forecaster = forecaster_of(panel, settings)
    assert forecaster.config.time_since_observed == holes
    assert (forecaster.network.additive.smoothing.season == 4) == (settings is SEASONAL)
    series, cutoffs = np.repeat(np.arange(4), 3), np.tile([6, 30, 54], 4)
    sums = split(forecaster, panel, series, cutoffs).group_by("id", "cutoff", "step").agg(pl.col("contribution").sum())
    made = forecast_table(forecaster, panel, series, cutoffs, forecaster.quantiles(panel, series, cutoffs))
    both = made.join(sums, on=["id", "cutoff", "step"], validate="1:1", maintain_order="left")
    assert both.height == len(series) * settings.horizon
    movement = both["yhat"].to_numpy() - np.repeat(panel.centers[series, 0], settings.horizon)
    gap = (both["contribution"] - both["yhat"]).abs().max()
    assert gap < 1e-6 * np.abs(movement).max()  # the rounding of the forecast itself, which is made in float32


@pytest.mark.parametrize("share", [0.0, 0.25])
@pytest.mark.parametrize("point", ["median", "mean"])
@pytest.mark.parametrize("floor", [None, 6.0])
def test_behind_a_logarithm_contributions_still_sum_to_the_forecast(share, point, floor):
    random = np.random.default_rng(5)
    series = [size * np.exp(0.5 * (np.arange(60) % 4) + 0.2 * random.normal(size=60)) for size in (1.0, 9.0, 1e4)]
    panel = make_panel(series)
    settings = replace(SEASONAL, transform="log", point=point, network_only=True)
    forecaster = fit_forecaster(panel, settings)
    config = replace(forecaster.config, floor=floor)
    network = Network(config)
    network.load_state_dict(forecaster.network.state_dict())
    forecaster = replace(forecaster, network=network.eval())
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        network.additive.network_weight.fill_(share)
    assert config.link == "log"
    where, cutoffs = np.repeat(np.arange(3), 2), np.tile([20, 54], 3)
    sums = split(forecaster, panel, where, cutoffs).group_by("id", "cutoff", "step").agg(pl.col("contribution").sum())
    made = forecast_table(forecaster, panel, where, cutoffs, forecaster.quantiles(panel, where, cutoffs))
    both = made.join(sums, on=["id", "cutoff", "step"], validate="1:1", maintain_order="left")
    np.testing.assert_allclose(both["contribution"], both["yhat"], rtol=1e-5)
    if floor is not None:
        assert np.isclose(both["yhat"], floor, rtol=1e-6).any()


def test_every_step_lists_its_parts_under_the_lags_they_come_from():
    panel = panel_of()
    forecaster = forecaster_of(panel, SEASONAL)
    table = split(forecaster, panel, np.array([1]), np.array([40]))
    step = table.filter(pl.col("step") == 2)
    lags = {name: each["lag"].to_list() for (name,), each in step.group_by("part", maintain_order=True)}
    assert lags == {
        "location": [None],
        "season": list(range(1, 13)),
        "linear": list(range(1, 13)),
        "recurrent": [2, 4, 6, 8, 10, 12],
        "rest": [None],
    }
    y = panel.values[panel.offsets[1] + 40 - 3 : panel.offsets[1] + 41, 0] + panel.centers[1, 0]
    location = table.filter(pl.col("part") == "location")["contribution"].to_numpy()
    np.testing.assert_allclose(location, y.mean(), rtol=1e-6)


@pytest.mark.parametrize("link", ["none", "log"])
def test_a_season_contribution_is_what_the_smoothed_season_loses_without_that_lag(link):
    """Held in its frame, slope and habits, the season is linear: a lag brought to its effect takes what it gave."""
    panel = panel_of()
    forecaster = forecaster_of(panel, replace(SEASONAL, transform=link))
    table = split(forecaster, panel, np.array([3]), np.array([40])).filter(pl.col("part") == "season")
    found = table["contribution"].to_numpy().reshape(5, 12)
    network = forecaster.network
    with torch.inference_mode():
        batch = forecaster.windows(panel).cut(np.array([3]), np.array([40]))
        encoded = network.encode(batch)
        lags, observed = encoded.lags[..., 0] - encoded.effects[:, :12], encoded.observed[..., 0]
        worth = slope(network, batch)
        season, _, habits = network.additive.smoothing.parts(lags, observed)
        for lag in (1, 5, 12):
            without = lags.index_fill(1, torch.tensor([12 - lag]), 0.0)
            lost = worth * (season - network.additive.smoothing.parts(without, observed, habits)[0])
            np.testing.assert_allclose(found[:, lag - 1], lost[0].numpy(), rtol=1e-3, atol=1e-4)
    assert np.abs(found).max() > 0.1


def test_a_segments_contribution_is_what_the_forecast_loses_when_nothing_is_written_there(monkeypatch):
    panel = panel_of()
    forecaster = forecaster_of(panel, replace(PLAIN, segment=3))
    # without the decoder of known-future values, which is not linear in the state, nothing else can change
    monkeypatch.setattr(forecaster.network.members[0].decoder, "joint", None)
    series, cutoffs = np.arange(4), np.full(4, 50)
    table = split(forecaster, panel, series, cutoffs).filter(pl.col("part") == "recurrent")
    layer = forecaster.network.members[0].encoder.layers[0]
    gates, before = layer.gates, forecaster.quantiles(panel, series, cutoffs)[..., forecaster.config.median]
    for position, lag in enumerate((12, 9, 6, 3)):

        def silent(x: Tensor, position: int = position) -> tuple[Tensor, Tensor]:
            keep, candidate = gates(x)  # time in front
            return keep, candidate.index_fill(0, torch.tensor([position]), 0.0)

        monkeypatch.setattr(layer, "gates", silent)
        without = forecaster.quantiles(panel, series, cutoffs)[..., forecaster.config.median]
        expected = table.filter(pl.col("lag") == lag)["contribution"].to_numpy().reshape(4, 3)
        assert np.abs(expected).max() > 0.01
        np.testing.assert_allclose(before - without, expected, atol=2e-4)


def test_a_linear_contribution_is_a_lags_scaled_value_times_its_weight():
    panel = panel_of()
    forecaster = forecaster_of(panel, PLAIN)
    network = unsmoothed(forecaster.network)
    network.additive.network_weight.fill_(0.75)
    table = split(forecaster, panel, np.array([2]), np.array([33]))
    with torch.no_grad():
        encoded = network.encode(forecaster.windows(panel).cut(np.array([2]), np.array([33])))
        weights = network.members[0].linear.weight.view(3, 12, 3)
        expected = 0.75 * encoded.scale * (weights * encoded.lags).sum(-1).flip(-1)
    found = table.filter(pl.col("part") == "linear")["contribution"].to_numpy().reshape(3, 12)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_where_limits_are_reached_contributions_still_sum_to_the_forecast():
    panel = panel_of(holes=True)
    forecaster = forecaster_of(panel, SEASONAL)
    forecaster.network.limits.linear.fill_(0.2)
    forecaster.network.limits.outputs[:, forecaster.config.median] = 0.3
    series, cutoffs = np.repeat(np.arange(4), 3), np.tile([20, 30, 54], 4)
    assert forecaster.predict(panel, series, cutoffs)[1].any()
    table = split(forecaster, panel, series, cutoffs)
    sums = table.group_by("id", "cutoff", "step").agg(pl.col("contribution").sum())
    forecast = forecast_table(forecaster, panel, series, cutoffs, forecaster.quantiles(panel, series, cutoffs))
    both = forecast.join(sums, on=["id", "cutoff", "step"], validate="1:1", maintain_order="left")
    np.testing.assert_allclose(both["contribution"], both["yhat"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("settings", [replace(PLAIN, cell="lstm"), replace(PLAIN, layers=2)], ids=["lstm", "deep"])
def test_where_the_state_is_not_linear_in_the_lags_there_are_no_contributions(settings):
    panel = panel_of()
    forecaster = fit_forecaster(panel, settings)
    assert not CONTRIBUTIONS.applies(SimpleNamespace(config=forecaster.config))


def test_many_forecasts_are_split_in_parts_and_the_table_stays_bounded(monkeypatch):
    panel = panel_of()
    forecaster = forecaster_of(panel, PLAIN)
    series, cutoffs = np.repeat(np.arange(4), 10), np.tile(np.arange(20, 50, 3), 4)
    whole = split(forecaster, panel, series, cutoffs)
    monkeypatch.setattr(contributions, "MOST_VALUES", 3 * 12 * 8)  # three windows at a time
    again = split(forecaster, panel, series, cutoffs)
    assert again.drop("contribution").equals(whole.drop("contribution"))
    np.testing.assert_allclose(again["contribution"], whole["contribution"], rtol=1e-10, atol=1e-10)
    monkeypatch.setattr(contributions, "ROWS", 5 * whole.height // 40)
    few = split(forecaster, panel, series, cutoffs)
    assert few.height == whole.height // 8
    keys = ["id", "cutoff", "step", "part", "lag"]
    both = few.join(whole, on=keys, nulls_equal=True, validate="1:1", maintain_order="left")
    np.testing.assert_allclose(both["contribution"], both["contribution_right"], rtol=1e-10, atol=1e-10)
    assert both.select("id", "cutoff").unique().height == 5


def test_the_sentence_says_how_far_back_what_the_recurrence_adds_was_written():
    sizes = [
        ("location", None, 50.0),
        ("recurrent", 1, 0.5),
        ("recurrent", 2, -6.0),
        ("recurrent", 3, 2.5),
        ("recurrent", 4, -1.0),
        ("linear", 12, 99.0),
    ]
    table = pl.DataFrame(sizes, schema=["part", "lag", "contribution"], orient="row")
    words = contribution_sentence(table, Calendar("step", 1))
    assert words is not None
    assert "half was written within the last 2 steps, 90 % within 3 steps; most of all, 60 %, 2 steps back" in words
    newest = table.with_columns(contribution=pl.col("contribution") * (pl.col("lag") == 1))
    assert "within the last trading day, 90 % within" in str(contribution_sentence(newest, Calendar("session", 1)))
    silent = table.with_columns(contribution=pl.col("contribution") * (pl.col("part") != "recurrent"))
    assert contribution_sentence(silent, Calendar("step", 1)) is None

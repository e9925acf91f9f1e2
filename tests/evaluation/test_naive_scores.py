"""What simple forecasts score on a sample, against the same worked out window by window."""

from __future__ import annotations

import numpy as np
import pytest

from tests.processes import make_panel
from tsx.evaluation.naive_scores import Score, naive_scores
from tsx.panel.panel import Panel


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def wave(length: int, period: int) -> np.ndarray:
    return np.sin(2 * np.pi * np.arange(length) / period)


def scores_of(panel: Panel, horizon: int = 12, season: int = 1) -> tuple[Score, ...]:
    return naive_scores(panel, np.arange(len(panel)), horizon, season, int(panel.lengths.max())).scores


def last_value(y: np.ndarray, cutoff: int, horizon: int) -> list[float]:
    known = y[: cutoff + 1][~np.isnan(y[: cutoff + 1])]
    return [known[-1] if len(known) else np.nan] * horizon


def last_season(y: np.ndarray, cutoff: int, horizon: int, season: int) -> list[float]:
    naive = last_value(y, cutoff, horizon)
    forecast = []
    for h in range(1, horizon + 1):
        phase = y[: cutoff + 1][(cutoff + h) % season :: season]
        forecast.append(phase[~np.isnan(phase)][-1] if (~np.isnan(phase)).any() else naive[0])
    return forecast


@pytest.mark.parametrize("season", [1, 7])
@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_the_scores_are_means_over_windows_a_horizon_apart(season, gaps):
    values = 10 + 3 * wave(150, 7) + noise(5, 150).cumsum(axis=1)
    values = np.where(np.random.default_rng(1).random(values.shape) < gaps, np.nan, values)
    panel = make_panel([row[60 * n :] if n < 2 else row for n, row in enumerate(values)])
    horizon, origins = 5, 0
    errors: dict[str, list[tuple[float, float, float]]] = {"naive": [], "seasonal_naive": []}
    for n, length in enumerate(panel.lengths):
        y = values[n, 150 - length :]
        spread = np.nanmean(np.abs(y - np.nanmedian(y)))
        for cutoff in range(length - 1 - horizon, season - 1, -horizon):
            if length - 1 - cutoff > 100 * horizon:
                break
            change = np.abs(y[season : cutoff + 1] - y[: cutoff + 1 - season])
            scale = np.nanmean(change) if (~np.isnan(change)).any() else np.nan
            truth = y[cutoff + 1 : cutoff + 1 + horizon]
            forecasts = {
                "naive": last_value(y, cutoff, horizon),
                "seasonal_naive": last_season(y, cutoff, horizon, season),
            }
            known = ~np.isnan(truth + forecasts["naive"])
            origins += bool(known.any())
            for model, forecast in forecasts.items():
                for a, f in zip(truth[known], np.array(forecast)[known], strict=True):
                    size = abs(a - f)
                    errors[model].append((size / scale, 200 * size / (abs(a) + abs(f)), size / spread))
    scored = naive_scores(panel, np.arange(5), horizon, season, 150)
    assert scored.origins == origins
    assert [score.model for score in scored.scores] == (["naive", "seasonal_naive"] if season > 1 else ["naive"])
    for score in scored.scores:
        expected = np.nanmean(errors[score.model], axis=0)
        assert (score.mase, score.smape, score.of_spread) == pytest.approx(tuple(expected), rel=1e-5)


def test_white_noise_is_missed_by_the_spread_times_the_root_of_two():
    (score,) = scores_of(make_panel(list(noise(60, 400))))
    assert score.of_spread == pytest.approx(2**0.5, rel=0.05)


def test_a_perfect_season_is_missed_by_nothing():
    naive, seasonal = scores_of(make_panel([wave(280, 7)] * 3), season=7)
    assert seasonal.of_spread == pytest.approx(0.0, abs=1e-5)
    assert naive.of_spread is not None
    assert naive.of_spread > 1


def test_constant_series_have_no_scaled_score_and_short_ones_none_at_all():
    (score,) = scores_of(make_panel([np.ones(60)] * 2))
    assert (score.mase, score.of_spread, score.smape) == (None, None, 0.0)
    assert scores_of(make_panel([noise(2)] * 3), horizon=1) == ()


def test_any_sample_can_be_scored_even_none():
    assert naive_scores(make_panel([np.full(9, np.nan)]), np.empty(0, np.int64), 1, 1, 0).scores == ()

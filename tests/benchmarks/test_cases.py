"""The made panels have the traits that their names say, and follow from their seeds."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cases import CALM_WEEKS, CASES, MID_SEASON, SEASON_OVER, admissions
from benchmarks.generators import GENERATORS, HORIZON, LAGGED, WEEK, panel
from benchmarks.rolling.protocol import ORIGINS, ORIGINS_OF_FEW, RollingTask, origins

SEEDS = range(6)


def values_of(task: RollingTask, column: str = "y") -> np.ndarray:
    """(N, T)"""
    return task.frame[column].to_numpy().reshape(len(task.lengths), -1)


def made(kind: str) -> list[np.ndarray]:
    return [values_of(panel(kind, seed)) for seed in SEEDS]


def kept_after(y: np.ndarray, lag: int) -> np.ndarray:
    """(N) autocorrelation at a lag."""
    centred = y - y.mean(1, keepdims=True)
    return (centred[:, lag:] * centred[:, :-lag]).sum(1) / (centred**2).sum(1)


@pytest.mark.parametrize("name", CASES)
def test_a_case_follows_from_its_seed(name: str) -> None:
    case = CASES[name]
    assert case.task(1).frame.equals(case.task(1).frame)
    assert not case.task(1).frame.equals(case.task(2).frame)


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generated_panel_follows_from_its_seed_and_has_all_its_origins(kind: str) -> None:
    task = panel(kind, 1)
    assert task.frame.equals(panel(kind, 1).frame)
    assert not task.frame.equals(panel(kind, 2).frame)
    assert np.isfinite(task.frame["y"].to_numpy()).all()
    count = ORIGINS_OF_FEW if len(task.lengths) < 5 else ORIGINS
    assert len(origins(task.lengths, task.tested_rows, HORIZON, count)[0]) == count * len(task.lengths)


def test_there_are_twelve_kinds() -> None:
    assert len(GENERATORS) == 12


def test_admissions_are_near_zero_for_two_years_and_then_have_one_season_of_orders_of_magnitude() -> None:
    y = admissions(0)
    assert y.shape[0] == 54
    assert y[:, :CALM_WEEKS].mean() < 1
    peaks = y.max(1)
    assert peaks.min() > 20
    assert peaks.max() / peaks.min() > 30
    assert (y[:, SEASON_OVER:].mean(1) < 0.05 * peaks).all()
    risen = y[:, :MID_SEASON].max(1) > 0.95 * peaks
    assert 0 < risen.sum() < 27, "some regions are past their peak when the fit in season learns, most are not"


def test_admissions_are_learnt_until_mid_season_or_until_the_season_is_over() -> None:
    for name, learnt in (("admissions_in_season", MID_SEASON), ("admissions_off_season", SEASON_OVER)):
        task = CASES[name].task()
        _, cutoffs, _ = origins(task.lengths, task.tested_rows, task.horizon, ORIGINS)
        assert cutoffs.min() + 1 == learnt


def test_hourly_prices_follow_two_covariates_known_ahead_and_spike() -> None:
    task = CASES["hourly_prices"].task()
    price, demand, wind = (values_of(task, name)[0] for name in ("y", "demand", "wind"))
    assert task.options == {"future": ["demand", "wind"]}
    assert np.corrcoef(np.log(price), demand - wind)[0, 1] > 0.5
    assert price.max() > 6 * np.median(price)
    assert (price > 3 * np.median(price)).mean() < 0.1


def test_one_of_three_series_rises_among_flat_ones() -> None:
    y = values_of(CASES["rising_among_flat"].task())
    gained = y[:, -50:].mean(1) - y[:, :50].mean(1)
    assert gained[0] > 20
    assert (abs(gained[1:]) < 5).all()
    assert (np.argsort(gained)[-1:] == 0).all()


def test_walks_have_independent_changes() -> None:
    for y in made("walks"):
        assert (abs(kept_after(np.diff(y), 1)) < 0.25).all()


def test_seasons_come_back_every_week() -> None:
    for y in made("seasons"):
        assert (kept_after(y, WEEK) > 0.4).all()


def test_trends_move_steadily_away_from_where_they_began() -> None:
    for y in made("trends"):
        assert (abs(y[:, -20:].mean(1) - y[:, :20].mean(1)) > 5).all()


def test_breaks_are_few_jumps_of_the_level() -> None:
    for y in made("breaks"):
        steps = np.stack([abs(y[:, t : t + 7].mean(1) - y[:, t - 7 : t].mean(1)) for t in range(7, y.shape[1] - 7)])
        assert (steps.max(0) > 5).all()
        assert (np.median(steps, axis=0) < 2).all()


def test_bursts_are_counts_near_zero_with_outbreaks() -> None:
    for y in made("bursts"):
        assert (np.median(y, axis=1) <= 0.2 * y.max(1)).all()
        assert (y.max(1) > 10).all()


@pytest.mark.parametrize("kind", ["bursts", "counts", "intermittent"])
def test_counts_are_whole_and_not_negative(kind: str) -> None:
    for y in made(kind):
        assert (y >= 0).all()
        assert (y == np.round(y)).all()


def test_intermittent_demand_is_zero_on_most_days() -> None:
    for y in made("intermittent"):
        assert ((y == 0).mean(1) > 0.5).all()
        assert (y > 0).any(1).all()


def test_lognormal_levels_vary_in_proportion_to_their_level() -> None:
    for y in made("lognormal_levels"):
        assert (y > 0).all()
        windows = y[:, : y.shape[1] // 20 * 20].reshape(len(y), -1, 20)
        assert np.corrcoef(np.log(windows.mean(2)).ravel(), np.log(windows.std(2)).ravel())[0, 1] > 0.4


def test_mixed_scales_range_over_orders_of_magnitude() -> None:
    for y in made("mixed_scales"):
        assert y.std(1).max() / y.std(1).min() > 1e6


def test_a_promotion_known_ahead_works_on_its_day_and_three_days_later() -> None:
    for seed in SEEDS:
        task = panel("covariate_driven", seed)
        y, promotion = values_of(task), values_of(task, "promotion")
        assert task.options == {"future": ["promotion"]}
        at = [
            np.mean([np.corrcoef(own[lag:], cause[: len(cause) - lag])[0, 1] for own, cause in zip(y, promotion)])
            for lag in range(LAGGED + 2)
        ]
        assert sorted(np.argsort(at)[-2:]) == [0, LAGGED]


def test_regimes_are_calm_or_wild() -> None:
    changes = np.concatenate([np.diff(y).ravel() for y in made("regime_switches")])
    weeks = changes[: len(changes) // 14 * 14].reshape(-1, 14).std(1)
    assert np.quantile(weeks, 0.9) > 3 * np.quantile(weeks, 0.1)


def test_one_generated_series_rises_among_flat_ones() -> None:
    for y in made("rising_among_flat"):
        gained = y[:, -60:].mean(1) - y[:, :60].mean(1)
        assert gained[0] > 30
        assert (abs(gained[1:]) < 3).all()

"""The simple forecasters against hand-worked numbers, plain loops and plain least squares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.handmade import panel_of
from tsx.baselines import forecasts as bf
from tsx.baselines import ridge as rd
from tsx.baselines import simple as bl
from tsx.panel import lookup
from tsx.spec.schema import Schema
from tsx.spec.settings import QUANTILE_LEVELS

NAN = float("nan")


def shape(horizon=3, context_length=14, season=7):
    return bf.BaselineSettings(horizon, context_length, season, QUANTILE_LEVELS)


def one(make_panel, values, **rest):
    return make_panel([values], **rest)


def at(cutoff, count=1):
    return np.zeros(count, dtype=np.int64), np.full(count, cutoff, dtype=np.int64)


def test_values_are_in_the_users_units_with_nan_outside_of_the_series(make_panel):
    panel = make_panel([[5, 6, NAN, 8], [100, 101, 102, 103]])
    past = lookup.values_at(panel, 0, np.array([0, 1]), np.array([[-1, 0, 1, 2], [1, 2, 3, 4]]))
    np.testing.assert_array_equal(past, [[NAN, 5, 6, NAN], [101, 102, 103, NAN]])


def test_a_large_level_keeps_its_small_steps(make_panel):
    panel = one(make_panel, [1e9, 1e9 + 1, 1e9 + 2])
    assert lookup.newest_values(panel, 0, np.array([0]), 2).tolist() == [[1e9 + 1, 1e9 + 2]]
    assert bl.drift(panel, *at(2), 2).tolist() == [[1e9 + 3, 1e9 + 4]]


def test_naive_repeats_the_last_observed_value(make_panel):
    panel = one(make_panel, [1, 4, NAN, NAN, 9])
    assert bl.naive(panel, *at(3), 2).tolist() == [[4, 4]]


def test_seasonal_naive_repeats_the_last_season(make_panel):
    panel = one(make_panel, [1, 2, 3, 4, 5, 6, 70])
    assert bl.seasonal_naive(panel, *at(5), 5, 3).tolist() == [[4, 5, 6, 4, 5]]


def test_seasonal_naive_takes_an_older_season_then_the_last_value_where_a_phase_is_missing(make_panel):
    panel = one(make_panel, [NAN, 2, 3, NAN, NAN, 6])
    assert bl.seasonal_naive(panel, *at(5), 3, 3).tolist() == [[6, 2, 6]]


def test_drift_is_the_line_through_the_first_and_last_observed_value(make_panel):
    panel = one(make_panel, [NAN, 10, 50, 16, NAN, 99])
    # Slope (16 - 10) / (3 - 1) = 3 a step from position 3 on.
    assert bl.drift(panel, *at(4), 2).tolist() == [[22, 25]]


def test_drift_of_a_single_observation_is_flat(make_panel):
    assert bl.drift(one(make_panel, [NAN, 7, NAN]), *at(2), 2).tolist() == [[7, 7]]


@given(st.data())
def test_point_baselines_equal_plain_loops_whatever_is_missing(data):
    cell = st.one_of(st.just(NAN), st.integers(-50, 50))
    series = data.draw(st.lists(st.lists(cell, min_size=1, max_size=30), min_size=1, max_size=4))
    horizon, season = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 9))
    windows = [(n, c) for n, values in enumerate(series) for c in range(len(values))]
    which, cutoffs = (np.array(a) for a in zip(*windows, strict=True))
    panel = panel_of(series)
    expected = {"naive": [], "seasonal": [], "drift": []}
    for n, c in windows:
        seen = [(t, series[n][t]) for t in range(c + 1) if not np.isnan(series[n][t])]
        last = seen[-1] if seen else (0, NAN)
        first = seen[0] if seen else (0, NAN)
        slope = (last[1] - first[1]) / (last[0] - first[0]) if len(seen) > 1 else 0.0
        expected["naive"].append([last[1]] * horizon)
        expected["drift"].append([last[1] + slope * (c + h - last[0]) for h in range(1, horizon + 1)])
        row = []
        for h in range(1, horizon + 1):
            same = [value for t, value in seen if (c + h - t) % season == 0]
            row.append(same[-1] if same else last[1])
        expected["seasonal"].append(row)
    np.testing.assert_array_equal(bl.naive(panel, which, cutoffs, horizon), expected["naive"])
    np.testing.assert_array_equal(bl.seasonal_naive(panel, which, cutoffs, horizon, season), expected["seasonal"])
    np.testing.assert_allclose(bl.drift(panel, which, cutoffs, horizon), expected["drift"], rtol=1e-12, atol=1e-9)


def test_the_ridge_with_a_tiny_penalty_is_plain_least_squares():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(80, 5)) + 3, rng.normal(size=(80, 2))
    [(weights, intercept)] = rd.ridge(x, y, np.array([1e-13]))
    plain = np.linalg.lstsq(np.c_[x, np.ones(80)], y, rcond=None)[0]
    np.testing.assert_allclose(np.vstack([weights, intercept]), plain, rtol=1e-8, atol=1e-10)


def test_the_ridge_is_the_textbook_formula_on_centred_data():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 1))
    centred = x - x.mean(axis=0)
    penalty = 0.7 * (centred**2).mean()
    plain = np.linalg.solve(centred.T @ centred + 40 * penalty * np.eye(3), centred.T @ (y - y.mean()))
    [(weights, _)] = rd.ridge(x, y, np.array([0.7]))
    np.testing.assert_allclose(weights, plain, rtol=1e-10)


def test_a_step_with_missing_targets_is_fitted_on_the_rows_it_has():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(60, 3))
    y[::3, 1] = NAN
    y[::3, 2] = NAN
    [(weights, intercept)] = rd.ridge(x, y, np.array([0.1]))
    seen = ~np.isnan(y[:, 1])
    [(alone, const)] = rd.ridge(x[seen], y[seen, 1:], np.array([0.1]))
    np.testing.assert_allclose(weights[:, 1:], alone, rtol=1e-10)
    np.testing.assert_allclose(intercept[1:], const, rtol=1e-10)


def test_a_wide_ridge_without_gaps_equals_the_narrow_one(monkeypatch):
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(60, 3))
    [(weights, intercept)] = rd.ridge(x, y, np.array([0.1]))
    monkeypatch.setattr(rd, "_WIDE", 3)
    [(wide, const)] = rd.ridge(x, y, np.array([0.1]))
    np.testing.assert_allclose(wide, weights, rtol=1e-10)
    np.testing.assert_allclose(const, intercept, rtol=1e-10)


def test_a_wide_ridge_with_gaps_still_finds_the_weights_and_leaves_an_empty_step_at_zero(monkeypatch):
    rng = np.random.default_rng(11)
    x = rng.normal(size=(5000, 4)) + 2
    true = np.array([[1.0, 0, -2, 3], [0, 1, 1, 0], [9, 9, 9, 9]]).T
    y = x @ true + 5
    y[rng.random(y.shape) < 0.3] = NAN
    y[:, 2] = NAN
    monkeypatch.setattr(rd, "_WIDE", 3)
    [(weights, intercept)] = rd.ridge(x, y, np.array([1e-9]))
    np.testing.assert_allclose(weights[:, :2], true[:, :2], atol=0.15)
    np.testing.assert_allclose(x.mean(axis=0) @ weights[:, 0] + intercept[0], x.mean(axis=0) @ true[:, 0] + 5, atol=0.1)
    assert not weights[:, 2].any()
    assert intercept[2] == 0


def ar7(count, seed=0, series=1):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(series, count))
    for t in range(7, count):
        y[:, t] += 0.9 * y[:, t - 7]
    return y


def test_the_ridge_finds_an_autoregression_of_lag_seven(make_panel):
    y = ar7(4000)
    panel = make_panel(list(y))
    cutoffs = np.arange(3000, 3990)
    series = np.zeros(len(cutoffs), dtype=np.int64)
    q = bf.forecast_baselines(panel, np.array([3000]), series, cutoffs, shape(horizon=7))
    best = 0.9 * bl.seasonal_naive(panel, series, cutoffs, 7, 7)
    ridge = q["ridge"][:, :, 3]
    assert np.sqrt(np.mean((ridge - best) ** 2)) < 0.15 * y.std()
    truth = lookup.targets_after(panel, series, cutoffs, 7)
    error = {name: np.nanmean(np.abs(truth - values[:, :, 3])) for name, values in q.items()}
    assert error["ridge"] < min(error["naive"], error["seasonal_naive"], error["drift"])
    # Unit noise: no forecast has a mean absolute error under sqrt(2 / pi).
    assert error["ridge"] < 1.05 * np.sqrt(2 / np.pi)


@pytest.mark.parametrize("kind", ["past", "future"])
def test_the_ridge_uses_a_covariate(make_panel, kind):
    rng = np.random.default_rng(4)
    x = rng.normal(size=2000)
    y = 50 + 2 * np.roll(x, 3) + 0.1 * rng.normal(size=2000)
    config = shape(horizon=3 if kind == "past" else 6, season=1)
    panel = make_panel([y], **{kind: [[1000 * x]]})
    cutoffs = np.arange(1500, 1990)
    series = np.zeros(len(cutoffs), dtype=np.int64)
    ridge = bf.forecast_baselines(panel, np.array([1500]), series, cutoffs, config)["ridge"][:, :, 3]
    error = np.nanmean(np.abs(lookup.targets_after(panel, series, cutoffs, config.horizon) - ridge), axis=0)
    assert error.max() < 0.2


def test_quantiles_are_in_order_around_the_point_and_cover_what_they_say(make_panel):
    y = ar7(600, seed=5, series=20)
    panel = make_panel(list(y * 30 + 1e6))
    cutoffs = np.tile(np.arange(450, 590), 20)
    series = np.repeat(np.arange(20), 140)
    config = shape(horizon=5)
    q = bf.forecast_baselines(panel, np.full(20, 450), series, cutoffs, config)
    truth = lookup.targets_after(panel, series, cutoffs, 5)
    assert set(q) == {"naive", "seasonal_naive", "drift", "theta", "ridge"}
    np.testing.assert_array_equal(q["naive"][:, :, 3], bl.naive(panel, series, cutoffs, 5))
    for values in q.values():
        assert values.shape == (2800, 5, 7)
        assert (np.diff(values, axis=2) >= 0).all()
        inside = (truth >= values[:, :, 1]) & (truth <= values[:, :, 5])
        assert 0.75 < inside.mean() < 0.85


@pytest.mark.parametrize("spoil", ["nan", "huge", "permuted"])
def test_nothing_after_the_cutoff_changes_a_baseline(make_panel, spoil):
    rng = np.random.default_rng(6)
    clean = rng.normal(size=(3, 200)).cumsum(axis=1) + 10
    x, known = rng.normal(size=(2, 3, 200))
    clean[1, 20:60] = NAN
    ends = np.array([150, 160, 170])

    def spoiled(values, after):
        result = values.copy()
        for n in range(3):
            tail = result[n, after[n] :]
            tail[:] = NAN if spoil == "nan" else 1e9 if spoil == "huge" else rng.permutation(tail)
        return result

    config = shape(horizon=4)
    before = bf.forecast_baselines(make_panel(clean, past=[x], future=[known]), ends, np.arange(3), ends - 1, config)
    after = bf.forecast_baselines(
        make_panel(spoiled(clean, ends), past=[spoiled(x, ends)], future=[spoiled(known, ends + 4)]),
        ends,
        np.arange(3),
        ends - 1,
        config,
    )
    for name in before:
        assert np.isfinite(before[name]).all()
        np.testing.assert_array_equal(before[name], after[name])


def test_forecasts_do_not_depend_on_the_scale_or_level_of_a_series(make_panel):
    y = np.round(np.random.default_rng(7).normal(size=300).cumsum() * 64) / 64
    config = shape()
    plain = bf.forecast_baselines(make_panel([y]), np.array([250]), *at(260), config)
    moved = bf.forecast_baselines(make_panel([1024 * y + 2.0**20]), np.array([250]), *at(260), config)
    larger = bf.forecast_baselines(make_panel([1024 * y]), np.array([250]), *at(260), config)
    for name in plain:
        np.testing.assert_allclose(larger[name], 1024 * plain[name], rtol=1e-9)
    # The season that Theta takes away is a factor where no value is below 0.
    for name in set(plain) - {"theta"}:
        np.testing.assert_allclose(moved[name], 1024 * plain[name] + 2.0**20, rtol=1e-9)


def test_a_constant_series_is_forecast_exactly_and_without_width(make_panel):
    for values in bf.forecast_baselines(make_panel([np.full(100, 3.3)]), np.array([90]), *at(89), shape()).values():
        np.testing.assert_array_equal(values, np.full((1, 3, 7), 3.3))


def test_a_constant_series_among_others_still_stays_constant(make_panel):
    y = np.random.default_rng(8).normal(size=100).cumsum()
    q = bf.forecast_baselines(
        make_panel([np.full(100, 3.3), y]), np.array([90, 90]), np.array([0, 1]), np.array([89, 89]), shape()
    )
    for values in q.values():
        np.testing.assert_array_equal(values[0], np.full((3, 7), 3.3))
        assert np.ptp(values[1]) > 0


def test_a_series_too_short_to_learn_from_gets_the_naive_forecast_from_the_ridge(make_panel):
    q = bf.forecast_baselines(make_panel([[1, 5, 2]]), np.array([3]), *at(2), shape(season=1))
    assert "seasonal_naive" not in q
    assert q["ridge"][0, :, 3].tolist() == [2, 2, 2]
    assert all(np.isfinite(values).all() for values in q.values())


def test_a_window_that_never_saw_a_value_gets_nan(make_panel):
    panel = make_panel([[NAN] * 40, np.arange(40.0)])
    q = bf.forecast_baselines(panel, np.array([40, 40]), np.array([0, 1]), np.array([39, 39]), shape())
    for values in q.values():
        assert np.isnan(values[0]).all()
        assert np.isfinite(values[1]).all()


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_missing_values_leave_a_usable_ridge(make_panel, share):
    y = ar7(3000, seed=9)
    y[0, np.random.default_rng(9).random(3000) < share] = NAN
    panel = make_panel(list(y))
    cutoffs = np.arange(2500, 2990)
    series = np.zeros(len(cutoffs), dtype=np.int64)
    q = bf.forecast_baselines(panel, np.array([2500]), series, cutoffs, shape(context_length=35))
    truth = lookup.targets_after(panel, series, cutoffs, 3)
    error = {name: np.nanmean(np.abs(truth - values[:, :, 3])) for name, values in q.items()}
    # Only the seasonal naive looks further back than the context, so it is hard to beat here.
    assert error["ridge"] < 1.08 * min(error["naive"], error["seasonal_naive"])


def test_training_windows_end_before_the_end_and_are_at_most_so_many(make_panel):
    panel = make_panel([np.arange(30_000.0), np.arange(50.0)])
    ends = np.array([25_000, 5])
    series, cutoffs, parts = bf.training_windows(panel, ends, 24, 6)
    assert len(series) == bf.MAX_WINDOWS
    assert len(np.unique(cutoffs)) == bf.MAX_WINDOWS
    assert set(series) == {0}
    assert cutoffs.min() >= 23
    assert cutoffs.max() + 6 < 25_000
    # Every phase of a day of hours is met about equally often.
    assert np.bincount(cutoffs % 24).min() > 0.9 * bf.MAX_WINDOWS / 24
    assert cutoffs[parts < 0].max() + 6 < cutoffs[parts > 0].min()


def test_a_wide_table_is_cut_to_the_features_that_fit():
    names = tuple(f"x{k}" for k in range(30))
    lags = rd.ridge_lags(Schema("ds", "y", past=names[:20], future=names[20:]), 500, 24, 7)
    assert lags.count <= rd.MAX_FEATURES
    assert lags.target == 500
    assert len(lags.future) == 10
    assert lags.covariate == (1500 - 500 - 240) // 30
    narrow = rd.ridge_lags(Schema("ds", "y", past=names[:1], future=names[1:3]), 96, 24, 7)
    assert narrow.count == 96 * 4 + 48


def test_the_quantiles_of_theta_know_a_season_that_was_seen_few_times(make_panel):
    rng = np.random.default_rng(12)
    t = np.arange(84)
    y = [100 + 20 * np.sin(2 * np.pi * t / 12 + n) + rng.normal(size=84) for n in range(4)]
    series, cutoffs = np.arange(4), np.full(4, 83)
    config = shape(horizon=12, context_length=36, season=12)
    q = bf.forecast_baselines(make_panel(y), np.full(4, 84), series, cutoffs, config)
    width = {name: (values[:, :, 5] - values[:, :, 1]).mean() for name, values in q.items()}
    assert width["theta"] < 0.3 * width["naive"]

"""Rolling origins: where they fall, what each fold may see, and what comes out."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tsx.training.fit
from tsx.errors import ConfigError, DataError
from tsx.evaluation import backtest as bt
from tsx.spec.schema import Schema
from tsx.spec.settings import Evaluation, Settings

NAN = float("nan")


def walk(count, seed=0):
    return np.random.default_rng(seed).normal(size=count).cumsum() + 100


def test_origins_count_back_from_each_series_end(make_panel):
    panel = make_panel([walk(30), walk(20)])
    series, cutoffs, fold = bt.origins(panel, 3, 3, 2)
    assert list(zip(fold, series, cutoffs, strict=True)) == [
        (0, 0, 26),
        (0, 1, 16),
        (1, 0, 24),
        (1, 1, 14),
        (2, 0, 22),
        (2, 1, 12),
    ]


def test_known_future_rows_after_the_last_history_are_not_counted(make_panel):
    panel = make_panel([np.r_[walk(27), [NAN] * 3]], lengths=[27])
    assert bt.origins(panel, 3, 1, 3)[1].tolist() == [23]


def test_a_series_too_short_for_a_fold_is_left_out_of_it(make_panel):
    panel = make_panel([walk(30), walk(13), walk(5)])
    series, cutoffs, fold = bt.origins(panel, 3, 3, 3)
    assert series[fold == 0].tolist() == [0, 1]
    assert series[fold == 1].tolist() == [0]
    assert (cutoffs + 1).min() >= bt.min_history(3)


def test_no_series_long_enough_is_an_error_with_the_numbers(make_panel):
    with pytest.raises(DataError) as caught:
        bt.origins(make_panel([walk(12), walk(9)]), 6, 4, 6)
    assert caught.value.code == "too-short-for-backtest"
    assert "18 rows" in caught.value.message
    assert "longest of 2 series has 12" in caught.value.message


@pytest.mark.parametrize("wrong", [{"count": 0}, {"stride": 0}])
def test_no_cutoffs_or_no_stride_is_an_error(make_panel, wrong):
    with pytest.raises(ConfigError):
        bt.origins(make_panel([walk(99)]), **({"horizon": 3, "count": 2, "stride": 3} | wrong))


def test_a_hold_out_takes_at_most_a_fifth_and_at_most_24_origins(make_panel):
    panel = make_panel([walk(100), walk(1000), walk(24)])
    ends, series, cutoffs, stride = bt.hold_out(panel, 5, 19)
    assert stride == 5
    assert ends.tolist() == [80, 880, 19]
    assert np.bincount(series).tolist() == [4, 24, 1]
    assert sorted(cutoffs[series == 0]) == [79, 84, 89, 94]
    assert (cutoffs >= ends[series] - 1).all()
    assert (cutoffs + 5 < panel.lengths[series]).all()


def test_the_origins_of_long_series_are_spread_over_their_last_twentieth(make_panel):
    ends, _, cutoffs, stride = bt.hold_out(make_panel([walk(10_000)]), 5, 19)
    assert stride == 20  # 500 rows over 24 origins
    assert len(cutoffs) == 24
    assert (cutoffs.min(), cutoffs.max()) == (10_000 - 1 - 5 - 23 * 20, 10_000 - 1 - 5)
    assert ends.tolist() == [cutoffs.min() + 1]


def test_a_series_too_short_to_hold_out_is_learned_from_whole(make_panel):
    ends, series, _, _ = bt.hold_out(make_panel([walk(100), walk(23)]), 5, 19)
    assert ends.tolist() == [80, 23]
    assert set(series) == {0}


def test_no_series_long_enough_to_hold_out_gives_none(make_panel):
    assert bt.hold_out(make_panel([walk(23), walk(10)]), 5, 19) is None


def test_many_series_are_thinned_to_some_with_all_their_origins(make_panel, monkeypatch):
    panel = make_panel([walk(60, n) for n in range(50)])
    monkeypatch.setattr(bt, "HOLD_OUT_WINDOWS", 40)
    ends, series, _, _ = bt.hold_out(panel, 2, 12)
    assert (ends == 48).all()
    kept, counts = np.unique(series, return_counts=True)
    assert len(kept) == 6
    assert (counts == 6).all()
    assert np.diff(kept).min() >= 8


@pytest.fixture
def scored(make_panel, make_config, fake_forecaster):
    y = np.stack([walk(60, n) for n in range(3)])
    y[1, 50] = NAN
    panel = make_panel(list(y))
    series, cutoffs, _ = bt.origins(panel, 3, 4, 3)
    fake = fake_forecaster(make_config(season=2))
    return bt.evaluate(fake, panel, panel.lengths - 12, series, cutoffs, 3), y


def test_the_frame_holds_the_contracts_columns_in_the_users_names(scored):
    frame = scored[0].frame
    assert frame.columns == [
        "shop",
        "cutoff",
        "step",
        "day",
        "y",
        "model",
        "yhat",
        "q0.025",
        "q0.1",
        "q0.25",
        "q0.5",
        "q0.75",
        "q0.9",
        "q0.975",
    ]
    assert len(frame) == 3 * 4 * 3 * 6
    models = ["lstm", "naive", "seasonal_naive", "drift", "theta", "ridge"]
    assert frame["model"].unique(maintain_order=True).to_list() == models
    assert (frame["yhat"] == frame["q0.5"]).all()
    assert ((frame["day"] - frame["cutoff"]).dt.total_days() == frame["step"]).all()


def test_each_row_holds_what_was_observed_and_what_was_forecast(scored):
    result, y = scored
    start = dt.date(2020, 1, 1)
    row = result.frame.row(
        by_predicate=(pl.col("shop") == "s002")
        & (pl.col("step") == 2)
        & (pl.col("cutoff") == start + dt.timedelta(days=53))
        & (pl.col("model") == "naive"),
        named=True,
    )
    assert row["y"] == pytest.approx(y[2, 55], rel=1e-6)
    assert row["yhat"] == pytest.approx(y[2, 53], rel=1e-6)


def test_a_missing_target_is_kept_as_null_and_not_scored(scored):
    result, _ = scored
    assert result.frame["y"].null_count() == 6
    assert {row["n"] for row in result.summary} == {35}
    assert any("1 forecast has no observed target" in note for note in result.notes)


def test_the_summary_lists_every_model_once_with_the_network_first(scored):
    result, _ = scored
    assert [row["model"] for row in result.summary] == ["lstm", "naive", "seasonal_naive", "drift", "theta", "ridge"]
    assert list(result.summary[0]) == [
        "model",
        "mase",
        "smape",
        "owa",
        "rmse",
        "mae",
        "bias",
        "pinball",
        "wis",
        "scaled_crps",
        "log_score",
        "qlike",
        "coverage_95",
        "width_95",
        "interval_score_95",
        "coverage_80",
        "width_80",
        "interval_score_80",
        "n",
        "n_unscaled",
        "n_not_positive",
        "n_series",
        "series_under_95",
        "worst_series_95",
        "series_under_80",
        "worst_series_80",
    ]
    # The fake's point forecast is the naive one.
    assert result.summary[0]["mase"] == pytest.approx(result.summary[1]["mase"])
    assert len(result.per_step) == 18
    assert not result.verdict.has_skill


def test_mase_is_the_error_over_the_seasonal_change_before_each_cutoff(scored):
    result, y = scored
    ratios = []
    for n in range(3):
        for cutoff in (47, 50, 53, 56):
            past = y[n, : cutoff + 1]
            scale = np.nanmean(np.abs(past[2:] - past[:-2]))
            last = past[~np.isnan(past)][-1]
            ratios.extend(np.abs(y[n, cutoff + 1 : cutoff + 4] - last) / scale)
    assert result.summary[1]["mase"] == pytest.approx(np.nanmean(ratios), rel=1e-5)


def test_a_forecaster_that_knows_the_future_has_skill(make_panel, make_config, fake_forecaster):
    y = walk(200)
    panel = make_panel([y])
    series, cutoffs, _ = bt.origins(panel, 1, 24, 1)
    oracle = fake_forecaster(make_config(horizon=1), lambda s, c: 0.9 * (y[c + 1] - y[c]))
    result = bt.evaluate(oracle, panel, panel.lengths - 24, series, cutoffs, 1)
    assert result.verdict.has_skill
    assert result.verdict.sentence.startswith("The forecast beats")
    assert "24 origins" in result.verdict.sentence


def test_a_window_that_sees_nothing_is_left_out_and_counted(make_panel, make_config, fake_forecaster):
    panel = make_panel([walk(60), np.r_[walk(20), [NAN] * 40]])
    result = bt.evaluate(
        fake_forecaster(make_config()), panel, np.array([50, 50]), np.array([0, 1]), np.array([49, 49]), 3
    )
    assert result.frame["shop"].unique().to_list() == ["s000"]
    assert any(note.startswith("1 windows without an observed target") for note in result.notes)


def test_no_window_that_sees_anything_is_an_empty_backtest_and_says_so(make_panel, make_config, fake_forecaster):
    panel = make_panel([np.r_[walk(20), [NAN] * 40]])
    result = bt.evaluate(fake_forecaster(make_config()), panel, np.array([50]), np.array([0]), np.array([49]), 3)
    assert len(result.frame) == 0
    assert result.summary == []
    assert "Nothing could be scored" in result.verdict.sentence


def test_a_constant_series_is_counted_and_leaves_finite_numbers(make_panel, make_config, fake_forecaster):
    panel = make_panel([np.full(60, 4.0)])
    series, cutoffs, _ = bt.origins(panel, 3, 4, 3)
    result = bt.evaluate(fake_forecaster(make_config()), panel, np.array([45]), series, cutoffs, 3)
    assert result.summary[0]["mase"] is None
    assert result.summary[0]["n_unscaled"] == 12
    assert result.summary[0]["mae"] == 0
    assert result.verdict.has_skill is False
    assert not result.frame.select(pl.col(pl.Float64).is_nan().any()).sum_horizontal().item()


@pytest.fixture
def fitted(monkeypatch, make_config, fake_forecaster):
    """Replaces the forecaster by the fake; returns the `ends` of every fit."""
    seen = []

    def fit(panel, settings, *, ends=None, progress=None, checkpoints=None):
        assert panel.lengths.tolist() == ends.tolist()
        seen.append(ends)
        return fake_forecaster(make_config(horizon=settings.horizon))

    monkeypatch.setattr(tsx.training.fit, "fit_forecaster", fit)
    return seen


def test_refit_once_learns_from_before_the_oldest_cutoff_only(make_panel, fitted):
    panel = make_panel([walk(60), walk(50), walk(16)])
    result = bt.run_backtest(panel, Settings(horizon=3), Evaluation(cutoffs=4))
    assert [e.tolist() for e in fitted] == [[48, 38, 4]]
    assert result.frame["cutoff"].n_unique() == 4 + 4 + 2
    assert any(note.startswith("1 of 3 series is too short") for note in result.notes)


def test_refit_every_learns_anew_from_before_each_cutoff(make_panel, fitted):
    panel = make_panel([walk(60), walk(50)])
    result = bt.run_backtest(panel, Settings(horizon=3), Evaluation(cutoffs=3, stride=5, refit="every"))
    assert [e.tolist() for e in fitted] == [[47, 37], [52, 42], [57, 47]]
    assert len(result.frame) == 2 * 3 * 3 * 6
    assert [row["n"] for row in result.summary] == [18] * 6


@pytest.mark.parametrize("refit", ["once", "every"])
def test_the_future_of_the_oldest_cutoff_changes_nothing_forecast_from_it(make_panel, fitted, refit):
    y = walk(60)
    spoiled = np.r_[y[:48], np.full(12, 1e6)]

    def oldest(values):
        frame = bt.run_backtest(make_panel([values]), Settings(horizon=3), Evaluation(cutoffs=4, refit=refit)).frame
        return frame.filter(pl.col("cutoff") == pl.col("cutoff").min()).drop("y")

    assert oldest(y).equals(oldest(spoiled))


def test_fewer_folds_than_asked_for_are_said(make_panel, fitted):
    result = bt.run_backtest(make_panel([walk(20)]), Settings(horizon=3), Evaluation(cutoffs=9))
    assert result.notes[0].startswith("4 of 9 cutoffs could be used")


def test_a_very_large_backtest_is_thinned_and_says_so(make_panel, fitted, monkeypatch):
    monkeypatch.setattr(bt, "MAX_FORECASTS", 60)
    result = bt.run_backtest(make_panel([walk(60, n) for n in range(20)]), Settings(horizon=3), Evaluation(cutoffs=4))
    assert result.frame["shop"].n_unique() == 5
    assert any("20 of 80 windows were scored" in note for note in result.notes)


def test_an_unknown_refit_policy_is_an_error(make_panel):
    with pytest.raises(ConfigError) as caught:
        bt.run_backtest(make_panel([walk(60)]), Settings(horizon=3), Evaluation(refit="never"))
    assert caught.value.code == "setting-unknown"


def test_with_a_real_network_the_future_of_the_oldest_cutoff_changes_nothing_forecast_from_it():
    from tsx.panel.reading import read_panel

    y = 10 * np.sin(np.arange(150) * 2 * np.pi / 7) + walk(150)
    spoiled = np.r_[y[:138], np.random.default_rng(1).normal(size=12) * 1e4]
    days = pl.date_range(dt.date(2020, 1, 1), dt.date(2020, 1, 1) + dt.timedelta(days=149), eager=True)

    def oldest(values):
        # The second series is too short for the oldest cutoff, so nothing at all is learned from it.
        table = pl.LazyFrame(
            {
                "shop": ["a"] * 150 + ["b"] * 11,
                "day": pl.concat([days, days[-11:]]),
                "sales": np.r_[values, values[-11:]],
            }
        )
        panel = read_panel(table, Schema(time="day", target="sales", id="shop")).panel
        settings = Settings(horizon=3, max_steps=5, hidden_size=8, device="cpu")
        frame = bt.run_backtest(panel, settings, Evaluation(cutoffs=4)).frame
        return frame.filter(pl.col("cutoff") == pl.col("cutoff").min()).drop("y")

    clean = oldest(y)
    assert clean["model"].unique(maintain_order=True)[0] == "lstm"
    assert len(clean) == 3 * 6
    assert clean.equals(oldest(spoiled))


@given(st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_winner_of_a_series_is_the_model_of_least_mean_error(errors: list[list[float]]) -> None:
    """`errors`: of each series, what three models miss by at its two steps (the second by twice as much)."""
    models = ["lstm", "naive", "drift"]
    rows = [
        {"id": f"s{k}", "cutoff": 0, "step": step, "y": 10.0, "model": name, "yhat": 10.0 + step * missed}
        for k, of in enumerate(errors)
        for name, missed in zip(models, of, strict=True)
        for step in (1, 2)
    ]
    result = bt.Backtest(pl.DataFrame(rows), [{"model": name} for name in models], [], None)  # type: ignore[arg-type]
    table = result.by_series()
    size = np.abs(np.array([[10.0 - (10.0 + missed) for missed in of] for of in errors]))
    twice = np.abs(np.array([[10.0 - (10.0 + 2 * missed) for missed in of] for of in errors]))
    mean = (size + twice) / 2
    assert table["winner"].to_list() == [models[k] for k in mean.argmin(1)]
    np.testing.assert_allclose(table.select(f"mae_{name}" for name in models).to_numpy(), mean)
    assert sum(result.wins().values()) == len(errors)

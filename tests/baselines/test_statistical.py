"""The optional statistical baselines, with a stand-in for the package that remembers what it was given."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

import tsx.training.fit
from tests.handmade import panel_of
from tsx.baselines.statistical import forecast_statistical
from tsx.errors import ConfigError, MissingDependency
from tsx.evaluation import backtest as bt
from tsx.spec.settings import Evaluation, Settings

NAN = float("nan")
LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


@pytest.fixture
def package(monkeypatch):
    """`statsforecast.models` with an AutoETS that forecasts the last value, 0.1 of a percentage to either side."""
    asked = []

    class AutoETS:
        def __init__(self, season_length):
            asked.append(("new", season_length))

        def fit(self, y):
            asked.append(("fit", y.tolist()))
            if len(y) < 3:
                raise NotImplementedError("tiny datasets")
            self.y = y
            return self

        def predict(self, h, level):
            return self.told(self.y, h, level)

        def forward(self, y, h, level):
            asked.append(("forward", y.tolist()))
            return self.told(y, h, level)

        def told(self, y, h, level):
            sides = {
                f"{side}-{p}": np.full(h, y[-1] + sign * p / 10)
                for side, sign in (("lo", -1), ("hi", 1))
                for p in level
            }
            return {"mean": np.full(h, y[-1])} | sides

    module = types.ModuleType("statsforecast")
    module.models = types.ModuleType("statsforecast.models")
    module.models.AutoETS = AutoETS
    monkeypatch.setitem(sys.modules, "statsforecast", module)
    monkeypatch.setitem(sys.modules, "statsforecast.models", module.models)
    return asked


def test_a_model_is_fitted_at_the_first_cutoff_of_a_series_and_kept_for_the_later_ones(package):
    panel = panel_of([[1, 2, 3, 4, 5, 6], [10, 20, 30, 40, 50, 60]])
    made, failed = forecast_statistical(panel, np.array([1, 0, 1]), np.array([4, 3, 2]), 2, 7, LEVELS, ("auto-ets",))
    assert package == [
        ("new", 7),
        ("fit", [1, 2, 3, 4]),
        ("new", 7),
        ("fit", [10, 20, 30]),
        ("forward", [10, 20, 30, 40, 50]),
    ]
    assert failed == {"auto_ets": 0}
    np.testing.assert_allclose(made["auto_ets"][1], [[4 - 9.5, 4 - 8, 4, 4 + 8, 4 + 9.5]] * 2)
    np.testing.assert_allclose(made["auto_ets"][:, 0, 2], [50, 4, 30])


def test_a_window_that_cannot_be_fitted_gets_the_last_value_and_the_next_one_is_fitted_anew(package):
    panel = panel_of([[1, 2, 3, 4, 5]])
    made, failed = forecast_statistical(
        panel, np.zeros(2, dtype=np.int64), np.array([1, 3]), 1, 1, LEVELS, ("auto-ets",)
    )
    assert failed == {"auto_ets": 1}
    assert [what for what, *_ in package] == ["new", "fit", "fit"]
    assert made["auto_ets"][0].tolist() == [[2.0] * 5]


def test_a_gap_is_filled_from_a_season_before_and_a_window_that_saw_nothing_has_no_forecast(package):
    panel = panel_of([[NAN, 1, 2, 3, NAN, 5], [NAN] * 6])
    made, failed = forecast_statistical(panel, np.array([0, 1]), np.array([5, 5]), 1, 2, LEVELS, ("auto-ets",))
    assert ("fit", [1, 2, 3, 2, 5]) in package
    assert np.isnan(made["auto_ets"][1]).all()
    assert failed == {"auto_ets": 1}


def test_a_backtest_lists_what_was_asked_for_beside_the_others(
    package, make_panel, make_config, fake_forecaster, monkeypatch
):
    def fit(panel, settings, *, ends=None, progress=None, checkpoints=None):
        return fake_forecaster(make_config(horizon=settings.horizon))

    monkeypatch.setattr(tsx.training.fit, "fit_forecaster", fit)
    panel = make_panel([np.random.default_rng(0).normal(size=60).cumsum()])
    result = bt.run_backtest(panel, Settings(horizon=3), Evaluation(cutoffs=4, baselines=("auto-ets",)))
    scores = {row["model"]: row["mase"] for row in result.summary}
    assert list(scores)[-1] == "auto_ets"
    assert scores["auto_ets"] == pytest.approx(scores["naive"])


def names_of(panel, monkeypatch, fake_forecaster, make_config, **evaluation):
    """The models and the notes of a backtest of a network that learns nothing."""

    def fit(panel, settings, *, ends=None, progress=None, checkpoints=None):
        return fake_forecaster(make_config(horizon=settings.horizon))

    monkeypatch.setattr(tsx.training.fit, "fit_forecaster", fit)
    result = bt.run_backtest(panel, Settings(horizon=3), Evaluation(cutoffs=4, **evaluation))
    return [row["model"] for row in result.summary], result.notes


def test_an_installed_package_is_compared_with_unless_it_is_refused(
    package, make_panel, make_config, fake_forecaster, monkeypatch
):
    monkeypatch.setattr("tsx.baselines.statistical.BY_DEFAULT", ("auto-ets",))
    panel = make_panel([np.random.default_rng(k).normal(size=60).cumsum() for k in range(2)])
    parts = (panel, monkeypatch, fake_forecaster, make_config)
    assert names_of(*parts)[0][-1] == "auto_ets"
    assert names_of(*parts, refit="every")[0][-1] == "auto_ets"
    assert names_of(*parts, baselines=("none",)) == (names_of(*parts)[0][:-1], ())


def test_what_would_take_more_than_a_minute_is_left_out_and_said(
    package, make_panel, make_config, fake_forecaster, monkeypatch
):
    monkeypatch.setattr("tsx.baselines.statistical.BY_DEFAULT", ("auto-ets",))
    clock = iter(range(0, 10_000, 15))  # each look at it 15 s later
    monkeypatch.setattr("tsx.baselines.statistical.perf_counter", lambda: next(clock))
    series = [np.random.default_rng(k).normal(size=60).cumsum() for k in range(8)]
    parts = (monkeypatch, fake_forecaster, make_config)
    names, notes = names_of(make_panel(series), *parts)
    assert "auto_ets" not in names
    assert notes == (
        "auto-ets was left out, since 8 series would take it about 2 minutes (by a timing of 5); --baselines auto-ets "
        "asks for it all the same",
    )
    assert "auto_ets" in names_of(make_panel(series[:3]), *parts)[0]
    assert "auto_ets" in names_of(make_panel(series), *parts, baselines=("auto-ets",))[0]


def test_without_the_package_a_backtest_has_the_simple_baselines_and_says_nothing(
    make_panel, make_config, fake_forecaster, monkeypatch
):
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    parts = (monkeypatch, fake_forecaster, make_config)
    names, notes = names_of(make_panel([np.arange(60.0)]), *parts)
    assert (names[1:], notes) == (["naive", "seasonal_naive", "drift", "theta", "ridge"], ())


def test_without_the_package_nothing_is_trained_and_the_extra_is_named(make_panel, monkeypatch):
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    with pytest.raises(MissingDependency) as caught:
        bt.run_backtest(make_panel([np.arange(60.0)]), Settings(horizon=3), Evaluation(baselines=("auto-arima",)))
    assert (caught.value.code, caught.value.exit_status) == ("package-missing", 3)
    assert "tsx-forecast[stats]" in caught.value.hint


@pytest.mark.parametrize("wrong", [{"baselines": ("prophet",)}, {"loss": "mape"}, {"clinical": "mg"}])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(wrong):
    with pytest.raises(ConfigError) as caught:
        Evaluation(**wrong)
    assert caught.value.code == "setting-unknown"
    assert caught.value.hint.startswith("choose one of ")

"""Leaks, planted one at a time in every place where one could be, are all found by the checks of `test_no_leak`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tsx.baselines.forecasts
import tsx.baselines.theta
import tsx.evaluation.backtest
import tsx.training.ensemble
import tsx.training.fit
import tsx.training.plan
import tsx.workflows.adaptive
import tsx.workflows.fit
import tsx.workflows.open_table
import tsx.workflows.reconcile
from tests.leaks.leak_cases import (
    ADAPTED,
    BACKTESTED,
    BY_NAME,
    HELD_OUT,
    HORIZON,
    RECONCILED,
    Case,
    Data,
    adapted_leaks,
    backtest_leaks,
    evaluation_leaks,
    fit_leaks,
    forecast_leaks,
    hold_out_leaks,
    prepared,
    reconciled_leaks,
)
from tsx.baselines.simple import SIMPLE_FORECASTERS
from tsx.model.batch import Batch, Windows
from tsx.model.forecaster import Forecaster
from tsx.model.window_scaler import WindowScaler
from tsx.panel.cutoffs import Cutoffs
from tsx.panel.lookup import values_at
from tsx.panel.panel import Panel

Plant = Callable[[pytest.MonkeyPatch, Case], None]


@dataclass(frozen=True)
class Leak:
    """What is planted, the cheapest case and check that show it, and a word of what the check then finds."""

    name: str
    case: str
    check: str
    plant: Plant
    finds: str


def wrapped(owner: Any, name: str, change: Callable[..., Any]) -> Plant:
    """Puts `change(original, *arguments)` in the place of a function."""

    def plant(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, **named: change(original, *given, **named))

    return plant


def whole(panel: Panel) -> Panel:
    """The panel as if nothing of it were still to come."""
    return replace(panel, lengths=np.diff(panel.offsets))


def sees_everything(find: Callable[..., Any], panel: Panel, *rest: Any) -> Any:
    return find(whole(panel), *rest)


def given_what_is_held_out(owner: Any, name: str, put: Callable[..., tuple[Any, ...]]) -> Plant:
    """What is fitted to a batch of windows is fitted to some behind the end: `put(batch, *arguments)`."""

    def plant(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
        make, fit = tsx.training.fit.windows_of, getattr(owner, name)
        made: list[Windows] = []

        def remember(*given: Any) -> Windows:
            made.append(make(*given))
            return made[-1]

        def leaking(*given: Any) -> Any:
            series = np.repeat(np.arange(len(case.ends)), HORIZON)
            return fit(*put(made[-1].cut(series, case.ends[series] + np.arange(len(series)) % HORIZON), *given))

        monkeypatch.setattr(tsx.training.fit, "windows_of", remember)
        monkeypatch.setattr(owner, name, leaking)

    return plant


def location_of_the_target(
    frame: Any, scaler: WindowScaler, past: torch.Tensor, observed: torch.Tensor, batch: Batch
) -> Any:
    made = frame(scaler, past, observed, batch)
    return replace(made, location=made.location + 1e-3 * torch.nan_to_num(batch.target).mean(1, keepdim=True))


def glances_ahead(scale: Any, windows: Windows, series: torch.Tensor, cutoffs: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = scale(windows, series, torch.minimum(cutoffs + HORIZON, windows.rows[series] - 1))
    return found


def mean_of_all_rows(find: Any, panel: Panel, *rest: Any) -> np.ndarray:
    series = np.repeat(np.arange(len(panel)), np.diff(panel.offsets))
    return np.asarray(np.nanmean(panel.values[:, 1:] + panel.centers[series, 1:], axis=0))


def validated_ahead(split: Any, panel: Panel, config: Any) -> Any:
    made, decision = split(panel, config)
    validate = Cutoffs(made.validate.first, made.validate.last + HORIZON, made.validate.series)
    return replace(made, validate=validate), decision


def learnt_ahead(cutoffs: Any, panel: Panel, config: Any) -> Any:
    return cutoffs(replace(panel, lengths=panel.lengths + HORIZON), config)


def one_step_late(cut: Any, windows: Windows, series: Any, cutoffs: Any) -> Batch:
    batch: Batch = cut(windows, series, cutoffs)
    return replace(batch, past=cut(windows, series, torch.as_tensor(cutoffs) + 1).past)


def covariate_one_step_late(cut: Any, windows: Windows, series: Any, cutoffs: Any) -> Batch:
    batch: Batch = cut(windows, series, cutoffs)
    late = cut(windows, series, torch.as_tensor(cutoffs) + 1).past
    return replace(batch, past=torch.cat([batch.past[..., :1], late[..., 1:]], -1))


def static_of_the_whole_series(cut: Any, windows: Windows, series: Any, cutoffs: Any) -> Batch:
    batch: Batch = cut(windows, series, cutoffs)
    means = [windows.values[at : at + count, 0].nanmean() for at, count in zip(windows.offsets, windows.rows)]
    return replace(batch, static_values=torch.stack(means)[torch.as_tensor(series)][:, None])


def no_delay(observed: Any, scaler: WindowScaler, batch: Batch) -> torch.Tensor:
    return ~torch.isnan(batch.past)


def centers_of_all_rows(read: Any, *given: Any, **named: Any) -> Any:
    result = read(*given, **named)
    panel = result.panel
    series = np.repeat(np.arange(len(panel)), np.diff(panel.offsets))
    values = panel.values + panel.centers[series]
    centers = np.stack([np.nanmean(values[series == n], axis=0) for n in range(len(panel))])
    moved = replace(panel, values=(values - centers[series]).astype(np.float32), centers=centers)
    return replace(result, panel=moved)


def filled_from_behind(fill: Any, panel: Panel, series: Any, positions: Any, stops: Any, season: int) -> np.ndarray:
    y = values_at(panel, 0, series, positions)
    y[positions >= stops[:, None]] = np.nan
    at = np.where(np.isnan(y), y.shape[1] - 1, np.arange(y.shape[1]))
    y = np.take_along_axis(y, np.minimum.accumulate(at[:, ::-1], axis=1)[:, ::-1], axis=1)
    return np.nan_to_num(y, nan=float(np.nanmean(y)))


def simple(name: str, change: Callable[..., Any]) -> Plant:
    """Puts `change(original, *arguments)` in the place of a simple forecaster."""

    def plant(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
        original = SIMPLE_FORECASTERS[name]
        leaking = replace(original, forecast=lambda *given: change(original.forecast, *given))
        monkeypatch.setitem(SIMPLE_FORECASTERS, name, leaking)

    return plant


def read_one_late(forecast: Any, panel: Panel, series: Any, cutoffs: Any, *rest: Any) -> np.ndarray:
    return np.asarray(forecast(panel, series, cutoffs + 1, *rest))


def read_a_season_late(forecast: Any, panel: Panel, series: Any, cutoffs: Any, horizon: int, season: int) -> np.ndarray:
    return np.asarray(forecast(panel, series, cutoffs + season, horizon, season))


def learns_later_rows(windows: Any, panel: Panel, ends: np.ndarray, *rest: Any) -> Any:
    return windows(panel, panel.lengths, *rest)


def season_of_later_rows(theta: Any, panel: Panel, ends: np.ndarray, *rest: Any) -> Any:
    return theta(panel, panel.lengths, *rest)


def scale_of_later_rows(scale: Any, panel: Panel, series: Any, cutoffs: Any, season: int) -> Any:
    return scale(panel, series, panel.lengths[series] - 1, season)


def replayed_ahead(replay: Any, forecaster: Forecaster, panel: Panel, *rest: Any) -> Any:
    return replay(forecaster, replace(panel, lengths=panel.lengths + HORIZON), *rest)


def summed_one_late(add: Any, panel: Panel, series: Any, cutoffs: Any, *rest: Any) -> Panel:
    """The row after the cutoff stands in the place of that of the cutoff."""
    found: Panel = add(panel, series, cutoffs + 1, *rest)
    return found


def learns_all(owner: Any, name: str) -> Plant:
    def plant(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
        original = getattr(owner, name)

        def leaking(panel: Panel, settings: Any, **named: Any) -> Forecaster:
            found: Forecaster = original(whole(panel), settings, **{**named, "ends": None})
            return found

        monkeypatch.setattr(owner, name, leaking)

    return plant


PLAIN, DRIVEN = "season found", "no output gate, past covariate"
baselines, ensemble, fitting = tsx.baselines.forecasts, tsx.training.ensemble, tsx.training.fit
LEAKS = (
    Leak(
        "a window's location is that of its target too",
        PLAIN,
        "forecast",
        wrapped(WindowScaler, "frame", location_of_the_target),
        "the forecast",
    ),
    Leak(
        "the usual scale glances past the cutoff",
        "logarithm chosen",
        "forecast",
        wrapped(Windows, "_usual_scale", glances_ahead),
        "the forecast",
    ),
    Leak(
        "a window ends a step after its cutoff",
        PLAIN,
        "forecast",
        wrapped(Windows, "cut", one_step_late),
        "the forecast",
    ),
    Leak(
        "a past covariate reaches into the horizon",
        DRIVEN,
        "forecast",
        wrapped(Windows, "cut", covariate_one_step_late),
        "the forecast",
    ),
    Leak(
        "a static covariate is worked out from the whole series",
        "attention, statics",
        "forecast",
        wrapped(Windows, "cut", static_of_the_whole_series),
        "the forecast",
    ),
    Leak(
        "provisional values are read", "delay", "forecast", wrapped(WindowScaler, "observed", no_delay), "the forecast"
    ),
    Leak(
        "a series' center is the mean of all its rows",
        PLAIN,
        "forecast",
        wrapped(tsx.workflows.open_table, "read_panel", centers_of_all_rows),
        "in the table: the forecast",
    ),
    Leak(
        "the season is searched in all rows",
        PLAIN,
        "fit",
        wrapped(tsx.training.plan, "find_season", sees_everything),
        "season",
    ),
    Leak(
        "the link is chosen by all rows",
        "logarithm chosen",
        "fit",
        wrapped(tsx.training.plan, "choose_link", sees_everything),
        "transform",
    ),
    Leak(
        "the floor is chosen by all rows",
        PLAIN,
        "fit",
        wrapped(tsx.training.plan, "choose_floor", sees_everything),
        "floor",
    ),
    Leak(
        "covariates are moved by the mean of all rows",
        DRIVEN,
        "fit",
        wrapped(fitting, "covariate_location", mean_of_all_rows),
        "covariate_location",
    ),
    Leak(
        "scales are those of windows that are held out",
        PLAIN,
        "fit",
        given_what_is_held_out(ensemble, "fit_scales", lambda ahead, network, sample, *rest: (network, ahead, *rest)),
        "typical_scale",
    ),
    Leak(
        "which covariates are relative is told by windows that are held out",
        DRIVEN,
        "fit",
        given_what_is_held_out(ensemble, "fit_scales", lambda ahead, network, sample, *rest: (network, ahead, *rest)),
        "covariate_scale",
    ),
    Leak(
        "the smoothing is fitted to windows that are held out",
        PLAIN,
        "fit",
        given_what_is_held_out(
            ensemble,
            "smooth_on_effects",
            lambda ahead, network, *rest: (network, ahead, np.zeros(len(ahead), int), np.arange(len(ahead))),
        ),
        "smoothing.weights",
    ),
    Leak(
        "validation windows reach into what is held out",
        PLAIN,
        "fit",
        wrapped(fitting, "plan_split", validated_ahead),
        "history",
    ),
    Leak(
        "training windows reach into what is held out",
        PLAIN,
        "fit",
        wrapped(fitting, "all_cutoffs", learnt_ahead),
        "members.0.linear.weight",
    ),
    Leak(
        "intervals are calibrated on what is held out",
        PLAIN,
        "fit",
        given_what_is_held_out(
            fitting,
            "calibrate_network",
            lambda ahead, network, batches, groups, *rest: (network, [ahead], np.arange(len(ahead)), *rest),
        ),
        "spread_factors",
    ),
    Leak(
        "what the network adds is trusted for what is held out",
        PLAIN,
        "fit",
        given_what_is_held_out(
            fitting, "choose_network_weight", lambda ahead, network, batches, *rest: (network, [ahead], *rest)
        ),
        "network_weight",
    ),
    Leak(
        "the ridge learns rows after the end",
        DRIVEN,
        "evaluation",
        wrapped(baselines, "training_windows", learns_later_rows),
        "ridge",
    ),
    Leak(
        "Theta's season is that of all rows",
        PLAIN,
        "evaluation",
        wrapped(baselines, "theta", season_of_later_rows),
        "theta",
    ),
    Leak(
        "Theta fills gaps from behind",
        "rnn, gaps around the end",
        "evaluation",
        wrapped(tsx.baselines.theta, "without_gaps", filled_from_behind),
        "theta",
    ),
    Leak(
        "the last season is the one to come",
        PLAIN,
        "evaluation",
        simple("seasonal_naive", read_a_season_late),
        "seasonal_naive",
    ),
    Leak(
        "the last value is one after the cutoff",
        PLAIN,
        "evaluation",
        simple("naive", read_one_late),
        "naive",
    ),
    Leak(
        "the drift goes on to a step after the cutoff",
        PLAIN,
        "evaluation",
        simple("drift", read_one_late),
        "drift",
    ),
    Leak(
        "errors are scaled by what came later",
        PLAIN,
        "evaluation",
        wrapped(tsx.evaluation.backtest, "seasonal_naive_scale", scale_of_later_rows),
        "scores",
    ),
    Leak("a fold learns from all rows", PLAIN, "once", learns_all(fitting, "fit_forecaster"), "lstm"),
    Leak(
        "a network has learnt what it is judged on",
        "delay",
        "hold out",
        learns_all(tsx.workflows.fit, "fit_before_holdout"),
        "lstm",
    ),
    Leak(
        "adaptive intervals follow what came after their cutoff",
        ADAPTED,
        "adapted",
        wrapped(tsx.workflows.adaptive, "_replay", replayed_ahead),
        "adapted",
    ),
    Leak(
        "a total is that of rows after the cutoff",
        PLAIN,
        "reconciled",
        wrapped(tsx.workflows.reconcile, "summed", summed_one_late),
        "reconciled",
    ),
)


def found_in(leak: Leak, data: Data, fitted: Forecaster, directory: Path) -> list[str]:
    if leak.check == "fit":
        return fit_leaks(data, data.fit(data.panel))
    if leak.check == "forecast":
        return forecast_leaks(Data(data.case), fitted)  # read anew, as the leak may lie in reading
    if leak.check == "evaluation":
        return evaluation_leaks(data, fitted)
    if leak.check == "hold out":
        return hold_out_leaks(data, directory)
    if leak.check == "adapted":
        return adapted_leaks(data, fitted)
    if leak.check == "reconciled":
        return reconciled_leaks(data, fitted)
    return backtest_leaks(data, "once")


def of_each_check() -> list[Any]:
    """One leak of each check in every run, the others at night: they test the checks, which all run in every run."""
    first = {leak.check: leak for leak in reversed(LEAKS)}
    return [
        pytest.param(leak, id=leak.name, marks=() if leak is first[leak.check] else pytest.mark.nightly)
        for leak in LEAKS
    ]


@pytest.mark.parametrize("leak", of_each_check())
def test_a_planted_leak_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, leak: Leak) -> None:
    data, fitted = prepared(leak.case)
    with monkeypatch.context() as patched:
        leak.plant(patched, data.case)
        found = found_in(leak, data, fitted, tmp_path / "model")
    assert any(leak.finds in each for each in found), found


def test_every_check_that_finds_a_planted_leak_is_made_of_the_same_case_without_it() -> None:
    made = {"once": BACKTESTED["once"], "hold out": HELD_OUT, "adapted": (ADAPTED,), "reconciled": RECONCILED}
    assert all(leak.case in made.get(leak.check, BY_NAME) for leak in LEAKS)
    assert len({leak.name for leak in LEAKS}) >= 12

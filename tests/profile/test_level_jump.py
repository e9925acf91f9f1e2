"""A week in another unit, found in each series; seasons, growth and outliers are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.processes import make_panel
from tsx.panel.calendar import HOUR, Calendar
from tsx.panel.panel import Panel
from tsx.profile.level_jump import level_findings, level_jumps

RNG = np.random.default_rng(0)


def changed(y: np.ndarray, steps: int, factor: float) -> np.ndarray:
    y = y.copy()
    y[-steps:] *= factor
    return y


def hourly(series: list[np.ndarray]) -> Panel:
    panel = make_panel(series)
    starts = pl.Series([0] * len(panel)).cast(pl.Datetime("us"))
    return replace(panel, calendar=Calendar("time", HOUR, dtype=pl.Datetime("us")), starts=starts)


def level(length: int = 200) -> np.ndarray:
    return 20 + RNG.normal(size=length)


@pytest.mark.parametrize(("factor", "found"), [(10.5, True), (8.0, False), (0.09, True), (0.2, False), (0.0, True)])
def test_a_tenfold_jump_of_the_last_week_is_found_with_its_factor(factor: float, found: bool) -> None:
    panel = make_panel([level(), changed(level(), 7, factor), level()])
    series, factors = level_jumps(panel, 0)
    assert series.tolist() == ([1] if found else [])
    if found:
        assert factors[0] == pytest.approx(factor, rel=0.1)


def test_a_day_and_a_week_of_hours_are_found() -> None:
    for steps in (24, 168):
        y = level(2000)
        assert level_jumps(hourly([changed(y, steps, 12.0)]), 0)[0].tolist() == [0]


HARMLESS: dict[str, Callable[[], np.ndarray]] = {
    "a single outlier": lambda: np.append(level(), 5000),
    "nights without sun": lambda: np.maximum(np.sin(2 * np.pi * (np.arange(2000) + 6) / 24), 0) * 100,
    "doubling every week": lambda: 2.0 ** (np.arange(200) / 7),
    "intermittent demand": lambda: RNG.poisson(0.2, 300).astype(float),
    "a random walk": lambda: RNG.normal(size=500).cumsum(),
    "gaps at the end": lambda: np.append(level(), [np.nan] * 6),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_comes_by_itself_is_no_jump(name: str) -> None:
    panel = hourly([HARMLESS[name]() for _ in range(5)])
    assert level_jumps(panel, 0)[0].tolist() == []


def test_the_finding_counts_series_and_names_them_apart() -> None:
    panel = make_panel([level(), changed(level(), 7, 12.0)])
    (finding,) = level_findings(panel, 0, "y", known=np.zeros(0, np.int64))
    assert (finding.code, finding.count, finding.values) == ("level-jump", 1, "'s1'")
    assert "'s1'" not in finding.message
    assert list(level_findings(panel, 0, "y", known=np.array([1]))) == []

"""Drift between fit and forecast: what is noticed, and what is no reason for alarm."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest

from tests.processes import make_panel
from tsx.panel.calendar import DAY, HOUR, Calendar
from tsx.panel.panel import Panel
from tsx.profile.drift import drift, panel_facts


def ending_at(panel: Panel, end: int) -> Panel:
    """The panel with its longest history ending at step `end`."""
    return replace(panel, starts=pl.Series([end - int(panel.lengths.max())] * len(panel)))


def panels(
    process: Callable[[np.random.Generator], np.ndarray], change: Callable[[np.ndarray], np.ndarray], count: int = 12
) -> tuple[Panel, Panel]:
    """The panel of a fit, and a later one: half of its rows are new, and all are changed."""
    random = np.random.default_rng(0)
    series = [process(random) for _ in range(count)]
    length = len(series[0]) * 2 // 3
    fitted = ending_at(make_panel([y[:length] for y in series]), 1000)
    later = ending_at(make_panel([change(y[len(y) - length :]) for y in series]), 1000 + len(series[0]) - length)
    return fitted, later


def codes(fitted: Panel, later: Panel) -> list[str]:
    return [finding.code for finding in drift(panel_facts(fitted), later)]


def glucose(random: np.random.Generator) -> np.ndarray:
    return 120 + 25 * np.convolve(random.normal(size=920), np.ones(20) / 4.5, mode="valid")[:900]


def prices(random: np.random.Generator) -> np.ndarray:
    return random.uniform(5, 300) * np.exp(0.02 * random.normal(size=900).cumsum())


def walk(random: np.random.Generator) -> np.ndarray:
    return random.normal(size=900).cumsum()


def returns(random: np.random.Generator) -> np.ndarray:
    return 0.01 * random.standard_t(4, size=900)


def sales(random: np.random.Generator) -> np.ndarray:
    return random.poisson(np.repeat(random.gamma(0.5, 2, 30), 30)).astype(float)


def growing(random: np.random.Generator) -> np.ndarray:
    return 100 * 1.5 ** (np.arange(900) / 300) * np.exp(0.1 * random.normal(size=900))


def epidemic(random: np.random.Generator) -> np.ndarray:
    return random.poisson(np.exp(4 + 3 * np.sin(np.arange(900) / 25 + random.uniform(0, 1)))).astype(float)


def temperature(random: np.random.Generator) -> np.ndarray:
    return 36.8 + 0.3 * np.sin(np.arange(900) / 4) + 0.1 * random.normal(size=900)


def season(random: np.random.Generator) -> np.ndarray:
    return 10 + 9 * np.sin(np.arange(900) * 2 * np.pi / 365) + random.normal(size=900)


ORDINARY = [glucose, prices, walk, returns, sales, growing, temperature, season]


@pytest.mark.parametrize("process", ORDINARY)
def test_ordinary_series_raise_no_alarm(process):
    for repeat in range(10):
        fitted, later = panels(lambda _, r=repeat: process(np.random.default_rng(r)), lambda y: y, count=1)
        assert codes(fitted, later) == []
    assert codes(*panels(process, lambda y: y)) == []


@pytest.mark.parametrize("process", [*ORDINARY, epidemic])
def test_no_single_series_of_an_ordinary_panel_is_said_to_jump(process):
    fitted, later = panels(process, lambda y: y, count=200)
    assert "scale-jumped-in-series" not in codes(fitted, later)


@pytest.mark.parametrize(
    ("process", "factor", "words"),
    [
        (glucose, 1 / 18.02, "about 1/17"),
        (glucose, 1 / 18.02, "glucose"),
        (prices, 100, "percent and shares, or cents"),
        (returns, 100, "percent and shares"),
        (sales, 1000, "a unit and its thousandth"),
        (walk, 1e-6, "millionth"),
        (temperature, 7, "about 6.7"),
    ],
)
def test_other_units_are_noticed_and_the_usual_ones_named(process, factor, words):
    fitted, later = panels(process, lambda y: y * factor, count=20)
    (found,) = drift(panel_facts(fitted), later)
    assert found.code == "scale-jumped"
    assert found.where == "y"
    assert words in found.message


def test_celsius_and_fahrenheit_are_told_apart():
    fitted, later = panels(temperature, lambda y: 1.8 * y + 32)
    assert codes(fitted, later) == ["scale-jumped"]
    backwards = replace(fitted, starts=later.starts + 300)
    assert codes(later, backwards) == ["scale-jumped"]
    assert codes(*panels(season, lambda y: 1.8 * y)) == []


def test_single_series_that_change_their_units_are_counted_and_named_on_request():
    fitted, later = panels(glucose, lambda y: y, count=40)
    values = later.values.copy()
    for n in (3, 7):
        rows = slice(later.offsets[n] + 560, later.offsets[n + 1])
        values[rows] = (values[rows] + later.centers[n]) / 18.02 - later.centers[n]
    (found,) = drift(panel_facts(fitted), replace(later, values=values))
    assert found.code == "scale-jumped-in-series"
    assert found.message.startswith("in 2 of 40 series `y` is suddenly about 1/1")
    assert found.message.endswith("(close to that between mg/dL and mmol/L of glucose)")
    assert found.values == "'s3', 's7'"
    already = panel_facts(replace(later, values=values))
    assert drift(replace(panel_facts(fitted), jumped=already.jumped), replace(later, values=values)) == ()


def test_a_table_without_new_rows_and_one_that_ends_earlier_are_told_apart():
    fitted, later = panels(walk, lambda y: y)
    facts = panel_facts(fitted)
    assert [f.code for f in drift(facts, fitted)] == ["rows-already-seen"]
    assert drift(facts, fitted, given=False) == ()
    assert [f.code for f in drift(panel_facts(later), fitted)] == ["time-backwards"]
    assert [f.code for f in drift(panel_facts(later), fitted, given=False)] == ["time-backwards"]


def test_how_far_time_went_back_is_said_without_a_date():
    hours = Calendar("time", HOUR, dtype=pl.Datetime("us"))
    panel = make_panel([np.arange(100.0)])
    early, late = (
        replace(panel, calendar=hours, starts=pl.Series([start]).cast(pl.Datetime("us"))) for start in (0, 3 * DAY)
    )
    (found,) = drift(panel_facts(late), early)
    assert found.message.endswith("by 3 days")
    assert "1970" not in found.message


def test_gaps_lost_series_and_another_step_are_noticed():
    fitted, later = panels(walk, lambda y: np.where(np.arange(len(y)) % 2 == 0, np.nan, y))
    assert codes(fitted, later) == ["more-missing"]
    few = ending_at(make_panel([walk(np.random.default_rng(k)) for k in range(3)]), 1300)
    assert "series-fewer" in codes(fitted, few)
    assert codes(fitted, replace(later, calendar=Calendar("step", 2)))[0] == "frequency-changed"


def test_facts_hold_no_cell_and_old_models_have_none():
    random = np.random.default_rng(1)
    cells = random.uniform(100, 999, 301).round(4)
    panel = make_panel([cells])
    text = json.dumps(asdict(panel_facts(panel)))
    assert not any(f"{cell}" in text for cell in cells)
    assert drift(None, panel) == ()


def test_a_panel_with_hardly_any_value_is_no_reason_to_fail():
    fitted, _ = panels(walk, lambda y: y)
    empty = replace(make_panel([np.full(5, np.nan)]), lengths=np.array([0]))
    assert "scale-jumped" not in codes(fitted, empty)
    assert codes(empty, fitted) == []

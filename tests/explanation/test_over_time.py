"""When the reasons changed: shares by cutoff, shifts where there is one, and none where there is not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.explanation.games import singles
from tests.processes import make_panel
from tsx.explanation.checks import verdicts
from tsx.explanation.measure import Results
from tsx.explanation.over_time import (
    FEWEST,
    OVER_TIME,
    SEGMENT,
    CutoffSums,
    _reordered,
    _statistics,
    shift_of,
    shift_table,
    shifts_of,
)
from tsx.explanation.result import Check, Knowledge
from tsx.explanation.shap.players import Players
from tsx.panel.calendar import Calendar


def moving(length: int, seed: int, over: int = 6) -> np.ndarray:
    """Values `over` of which in a row depend on each other, as those of windows that share steps do."""
    noise = np.random.default_rng(seed).normal(size=length + over - 1)
    return np.convolve(noise, np.ones(over) / over**0.5, "valid")


def test_a_shift_is_found_where_it_is():
    for seed in range(5):
        values = moving(90, seed, over=1) + np.where(np.arange(90) < 40, 0.0, 3.0)
        shift = shift_of(values, 1, np.random.default_rng(0))
        assert shift is not None
        assert abs(shift.at - 40) <= 2
        assert shift.p_value < 0.002


@pytest.mark.nightly
def test_chance_is_rarely_a_shift_though_neighbours_depend_on_each_other():
    found = [shift_of(moving(80, seed), 6, np.random.default_rng(seed)).p_value < 0.01 for seed in range(200)]
    assert np.mean(found) <= 0.05


def test_several_shifts_are_found_and_flat_or_short_shares_have_none():
    steps = np.repeat([0.0, 4.0, -4.0], 40)
    shifts = shifts_of(steps + moving(120, 1, over=1), 1, 2, np.random.default_rng(0))
    assert [round(shift.at, -1) for shift in shifts] == [40, 80]
    assert shifts_of(np.full(100, 0.5), 1, 2, np.random.default_rng(0)) == []
    assert shift_of(np.arange(2 * SEGMENT - 1.0), 1, np.random.default_rng(0)) is None


def test_the_statistic_is_what_its_definition_says():
    x = np.random.default_rng(2).normal(size=26)
    x -= x.mean()
    n = len(x)
    for place, k in enumerate(range(SEGMENT, n - SEGMENT + 1)):
        before, after = np.cumsum(x[:k]), np.cumsum(x[k:][::-1])
        apart = sum((before[t - 1] - t / k * before[-1]) ** 2 for t in range(1, k + 1))
        apart += sum((after[t - 1] - t / (n - k) * after[-1]) ** 2 for t in range(1, n - k + 1))
        assert _statistics(x[None])[0, place] == pytest.approx(n * x[:k].sum() ** 2 / apart)


def test_reordering_keeps_stretches_together():
    found = _reordered(np.arange(20.0), 5, np.random.default_rng(1))
    assert sorted(found) == list(range(20))
    assert (np.diff(found) % 20 == 1).sum() >= 16


def test_shares_by_cutoff_are_those_of_the_forecasts_from_there():
    random = np.random.default_rng(0)
    panel = make_panel([np.zeros(60), np.zeros(60)])
    series, cutoffs = np.tile([0, 1], 30), np.repeat(np.arange(30, 60), 2)
    players = Players(("y", "y", "x"), (2, 1, 1), (2, 1, 1), np.arange(3), np.zeros(3, dtype=int))
    values, errors = random.normal(size=(60, 2, 3)), np.full((60, 2, 3), 0.1)
    sums = CutoffSums(players)
    for part in (slice(0, 25), slice(25, 60)):
        sums.add(values[part], errors[part])
    table = sums.table(panel, series, cutoffs)
    assert table.height == 30 * 2
    assert table["back"].to_list() == sorted(table["back"], reverse=True)
    for k in range(30):
        squares = (values[2 * k : 2 * k + 2] ** 2 - 0.01).mean((0, 1))
        squares = np.maximum([squares[0] + squares[1], squares[2]], 0)
        own = table.filter(cutoff=30 + k)
        assert own["feature"].to_list() == ["y", "x"]
        np.testing.assert_allclose(own["mean_square_shap"], squares, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(own["share"], squares / squares.sum(), rtol=1e-4, atol=1e-6)


def test_cutoffs_of_few_series_are_left_out():
    panel = make_panel([np.zeros(60) for _ in range(4)])
    sums = CutoffSums(singles(2))
    series, cutoffs = np.array([0, 1, 2, 3, 0]), np.array([50, 50, 50, 50, 49])
    sums.add(np.ones((5, 1, 2)), np.zeros((5, 1, 2)))
    assert sums.table(panel, series, cutoffs)["cutoff"].unique().to_list() == [50]


def test_the_table_of_shifts_says_when_and_from_what_to_what():
    random = np.random.default_rng(0)
    share = np.clip(np.where(np.arange(60) < 35, 0.2, 0.7) + 0.05 * random.normal(size=60), 0, 1)
    frame = pl.concat(
        [
            pl.DataFrame({"cutoff": np.arange(60), "back": 59 - np.arange(60), "feature": name, "share": values})
            for name, values in (("x", share), ("y", 1 - share))
        ]
    )
    found = shift_table(frame, 1)
    assert sorted(found["feature"]) == ["x", "y"]
    own = found.filter(feature="x").row(0, named=True)
    assert (own["cutoff"], own["back"]) == (35, 24)
    assert own["share_before"] == pytest.approx(0.2, abs=0.03)
    assert own["share_after"] == pytest.approx(0.7, abs=0.03)
    assert len(share) >= FEWEST


def test_no_shifts_are_told_of_reasons_that_are_not_told():
    shifts = pl.DataFrame(
        {
            "cutoff": [35],
            "back": [24],
            "feature": ["x"],
            "share_before": [0.2],
            "share_after": [0.7],
            "p_adjusted": 0.002,
        }
    )
    tables = {
        "reason_changes": shifts,
        "by_cutoff": pl.DataFrame({"cutoff": np.arange(60)}),
        "lag_profile": pl.DataFrame({"mean_abs_shap": [1.0], "share": [1.0]}),
    }

    def said(state="shown", precise="pass", **other):
        checks = (Check(verdicts.precision.name, 0.5, precise, ""),)
        knowledge = Knowledge(state, "ridge", 0.1, "")
        return OVER_TIME.findings(
            Results(None, Calendar("step", 1), tables | other, checks=checks, knowledge=knowledge)
        )

    assert said() == [
        "The reasons have changed 24 steps before the newest explained forecast: the share of x went from 20 % to 70 % "
        "(p 0.002)."
    ]
    for state in ("shown", "none"):
        assert said(state, reason_changes=shifts.clear()) == [
            "Over 60 cutoffs no feature's share of the importance is shown to have shifted."
        ]
    assert said(precise="fail") == said(state="none") == said(state="not shown") == []

"""What inspect says of a target: whether it looks like a price, counts, or has heavy tails."""

from __future__ import annotations

import numpy as np
import pytest

from tests.processes import autoregression, make_panel
from tsx.panel.panel import Panel
from tsx.profile.advice import advice, choose_counts, count_far_changes, random_walk_evidence
from tsx.spec.schema import Schema


def codes(panel: Panel, season: int = 1) -> set[str]:
    return {finding.code for finding in advice(panel, season)}


def walk(seed: int, length: int = 400, spread: float = 0.01, heavy: bool = False) -> np.ndarray:
    random = np.random.default_rng(seed)
    steps = random.standard_t(3, length) if heavy else random.normal(size=length)
    return 100 * np.exp(spread * steps.cumsum())


def test_a_price_is_told_from_its_changes() -> None:
    panel = make_panel([walk(n) for n in range(4)])
    assert codes(panel) == {"price-like"}
    message = next(advice(panel, 1)).message
    assert "--transform log-return forecasts its returns, --transform none its level" in message


def smooth(seed: int) -> np.ndarray:
    """Changes that go on as they were, as those of a temperature do."""
    return 100 + autoregression(400, seed, lag=1, weight=0.9).cumsum() / 10


@pytest.mark.parametrize(
    "series",
    [
        [100 + np.random.default_rng(n).normal(size=400) for n in range(4)],
        [smooth(n) for n in range(4)],
        [walk(n, 40) for n in range(4)],
        [walk(n) - 100 for n in range(4)],
        [np.full(400, 7.5)],
    ],
    ids=["noise around a level", "smooth changes", "too short", "not over 0", "constant"],
)
def test_what_does_not_walk_at_random_is_no_price(series: list[np.ndarray]) -> None:
    assert "price-like" not in codes(make_panel(series))


def test_a_season_speaks_against_a_price() -> None:
    assert "price-like" not in codes(make_panel([walk(n) for n in range(4)]), season=7)


def test_the_name_of_a_column_helps_but_does_not_decide() -> None:
    mixed = [walk(0), *(100 + np.random.default_rng(n).normal(size=400) for n in range(3))]
    panel = make_panel(mixed)
    named = make_panel(mixed)
    object.__setattr__(named, "schema", Schema("t", "close", "id"))
    assert "price-like" not in codes(panel)
    assert "price-like" in codes(named)
    noise = make_panel(mixed[1:])
    object.__setattr__(noise, "schema", Schema("t", "close", "id"))
    assert "price-like" not in codes(noise)


def test_gaps_do_not_hide_a_price() -> None:
    series = [walk(n, 600) for n in range(3)]
    for n, prices in enumerate(series):
        prices[np.random.default_rng(n).random(600) < 0.1] = np.nan
    assert random_walk_evidence(np.stack(series)).like == 3


def test_heavy_tails_are_those_of_the_changes() -> None:
    assert "heavy-tails" in codes(make_panel([walk(n, heavy=True) for n in range(4)]))
    normal = np.random.default_rng(0).normal(size=(5, 20_000))
    far, count = count_far_changes(normal)
    assert count == 100_000
    assert far < 30  # 5.2 in 100,000 are expected


def test_series_that_mostly_stand_still_have_no_tails() -> None:
    rare = np.zeros((1, 300))
    rare[0, ::10] = 5.0
    assert count_far_changes(rare) == (0, 0)


def test_counts_are_named_and_yes_and_no_are_not() -> None:
    counts = np.random.default_rng(0).poisson(4, 300).astype(float)
    assert "count-like" in codes(make_panel([counts]))
    assert "count-like" not in codes(make_panel([np.minimum(counts, 1)]))
    assert "count-like" not in codes(make_panel([counts + 0.5]))
    assert "count-like" not in codes(make_panel([counts - 1]))


def test_whole_numbers_are_forecast_where_every_value_is_a_small_count() -> None:
    counts = np.random.default_rng(0).poisson(4, 300).astype(float)
    decision = choose_counts(make_panel([counts]))
    assert decision is not None
    assert (decision.name, decision.value) == ("counts", True)
    assert decision.reason.startswith("all of 300 values are whole numbers of 0 or more")
    large = make_panel([1000 * counts])
    assert choose_counts(large) is None
    assert "count-like" not in codes(large)


def test_a_fraction_that_no_sample_holds_forbids_whole_numbers() -> None:
    many = [np.random.default_rng(n).poisson(4, 80).astype(float) for n in range(401)]
    assert choose_counts(make_panel(many)) is not None
    many[1][40] += 0.5
    panel = make_panel(many)
    assert "count-like" in codes(panel)
    assert choose_counts(panel) is None


def test_a_panel_without_any_value_is_advised_nothing() -> None:
    assert codes(make_panel([np.full(100, np.nan)])) == set()

"""What becomes of a target that is forecast as a return or a variance, and when its logarithm is learnt."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.processes import make_panel
from tsx.errors import ConfigError, DataError
from tsx.panel import lookup, transform
from tsx.panel.panel import Panel
from tsx.panel.transform import derive_target
from tsx.progress import SILENT
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles, Settings
from tsx.training.choose_link import choose_link, least_log_shift
from tsx.workflows.open_table import open_table

NAN = np.nan


def made(panel: Panel, n: int = 0) -> np.ndarray:
    return panel.values[panel.offsets[n] : panel.offsets[n + 1], 0] + panel.centers[n, 0]


def by_hand(prices: np.ndarray, how: str) -> np.ndarray:
    """What polars makes of the same prices, one by one."""
    price = pl.Series(prices).fill_nan(None)
    price = pl.select(pl.when(price > 0).then(price)).to_series()
    changes = price / price.shift() - 1 if how == "return" else price.log() - price.log().shift()
    return (changes**2 if how == "variance" else changes).fill_null(NAN).to_numpy()[1:]


@given(
    how=st.sampled_from(transform.DERIVED),
    lengths=st.lists(st.integers(2, 30), min_size=1, max_size=6),
    level=st.sampled_from([0.01, 1.0, 5000.0]),
    holes=st.floats(0, 0.5),
    chunk=st.sampled_from([1, 3, 7, 1000]),
    seed=st.integers(0, 10**6),
)
def test_every_series_has_the_changes_that_polars_finds_whatever_the_chunks(
    how: str, lengths: list[int], level: float, holes: float, chunk: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    series = [level * np.exp(random.normal(0, 0.05, length).cumsum()) for length in lengths]
    for prices in series:
        prices[random.random(len(prices)) < holes] = NAN
        prices[random.random(len(prices)) < holes / 4] = -level
    expected = [by_hand(prices, how) for prices in series]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "_CHUNK_ROWS", chunk)
        if all(np.isnan(one).all() for one in expected):
            with pytest.raises(DataError, match="no step of"):
                derive_target(make_panel(series), how)
            return
        panel = derive_target(make_panel(series), how)
    assert panel.lengths.tolist() == [length - 1 for length in lengths]
    for n, one in enumerate(expected):
        np.testing.assert_allclose(made(panel, n), one, rtol=1e-4, atol=2e-6)


def test_the_first_step_is_left_out_and_covariates_and_times_stay_beside_their_rows() -> None:
    prices, volume = np.array([100.0, 110.0, 99.0, 99.0]), np.array([1.0, 2.0, 3.0, 4.0])
    plain = make_panel([np.stack([prices, volume], 1)] * 2, past=("volume",))
    panel = derive_target(plain, "return")
    np.testing.assert_allclose(made(panel, 1), [0.1, -0.1, 0.0], atol=1e-7)
    assert (panel.values[panel.offsets[1] :, 1] + panel.centers[1, 1]).tolist() == [2.0, 3.0, 4.0]
    assert panel.times(np.array([1]), np.array([0])).to_list() == [1]
    assert panel.schema.channels == ("return of y", "volume")
    assert panel.schema.as_read == plain.schema


def test_a_return_over_a_gap_or_from_a_price_of_0_is_masked_and_counted() -> None:
    panel = derive_target(make_panel([np.array([0.0, 1.0, 2.0, NAN, 4.0, -1.0, 8.0, 16.0])]), "log-return")
    np.testing.assert_array_equal(np.isnan(made(panel)), [True, False, True, True, True, True, False])
    assert panel.findings[-1].code == "not-transformed"
    assert panel.findings[-1].message == (
        "no log-return of one step can be taken of 4 of 6 values of 'y', which are masked; 0 or less: 1, after one "
        "that is missing, 0 or less: 3"
    )


def test_rows_ahead_of_the_history_stay_ahead() -> None:
    rows = np.array([[1.0, 5.0], [2.0, 6.0], [4.0, 7.0], [NAN, 8.0]])
    panel = derive_target(make_panel([rows], future=("promo",), known_ahead=1), "log-return")
    assert (panel.lengths.tolist(), panel.offsets.tolist()) == ([2], [0, 3])
    np.testing.assert_allclose(made(panel), [np.log(2), np.log(2), NAN], rtol=1e-6)


def test_series_of_one_row_or_none_are_left_empty() -> None:
    plain = make_panel([np.array([1.0]), np.array([1.0, 2.0])])
    panel = derive_target(plain, "log-return")
    assert (panel.offsets.tolist(), panel.lengths.tolist()) == ([0, 0, 1], [0, 1])
    np.testing.assert_allclose(made(panel, 1), [np.log(2)], rtol=1e-6)


def test_a_column_of_the_new_name_is_refused() -> None:
    rows = np.ones((4, 2)) + np.arange(4)[:, None]
    with pytest.raises(ConfigError) as caught:
        derive_target(make_panel([rows], past=("return of y",)), "return")
    assert caught.value.code == "column-name-taken"


TICKS = [dt.datetime(2024, 1, 1, 9) + dt.timedelta(days=d, minutes=m) for d in range(20) for m in range(0, 480, 7)]


def ticks(id: str, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame({"id": id, "time": TICKS, "close": 50 * np.exp(random.normal(0, 0.001, len(TICKS)).cumsum())})


@pytest.mark.parametrize("how", ["last", "mean"])
def test_the_squared_log_returns_within_a_longer_step_add_up_to_its_realised_variance(how: str) -> None:
    table = pl.concat([ticks("a", 1), ticks("b", 2)])
    opened = open_table(
        table.sample(fraction=1, shuffle=True, seed=1),
        Roles(),
        Reading(regularize=how),  # type: ignore[arg-type]
        "1d",
        SILENT,
        Settings(transform="variance"),
    )
    assert opened.panel.schema.target == "realised variance of close"
    steps = table.with_columns(pl.col("close").log().diff().over("id") ** 2)
    days = steps.group_by("id", pl.col("time").dt.date(), maintain_order=True).agg(pl.col("close").sum())
    for n, id in enumerate("ab"):
        np.testing.assert_allclose(made(opened.panel, n), days.filter(pl.col("id") == id)["close"], rtol=1e-5)


def lognormal(spread: float, seed: int, length: int = 300) -> np.ndarray:
    return np.exp(spread * np.random.default_rng(seed).normal(size=length))


def test_skewed_positive_values_are_learnt_as_logarithms() -> None:
    decision = choose_link(make_panel([lognormal(1.0, n) for n in range(5)]))
    assert (decision.name, decision.value) == ("transform", "log")
    assert "5 series" in decision.reason


def test_spread_that_grows_with_the_level_within_a_window_asks_for_logarithms() -> None:
    level = 100 * (1.5 + np.sin(np.arange(300) / 6))
    noise = np.random.default_rng(0).normal(size=(2, 300))
    assert choose_link(make_panel([level * (1 + 0.2 * noise[0])])).value == "log"
    assert choose_link(make_panel([level + 10 * noise[0]])).value == "none"


def test_symmetric_values_far_from_0_stay_as_they_are() -> None:
    panel = make_panel([1000 + np.random.default_rng(n).normal(size=300) for n in range(3)])
    assert choose_link(panel).value == "none"


def test_more_than_a_few_values_below_0_forbid_logarithms_and_later_ones_are_not_seen() -> None:
    skewed = lognormal(1.0, 1)
    skewed[-10:] = -1.0
    panel = make_panel([skewed, lognormal(1.0, 2)])
    decision = choose_link(panel)
    assert (decision.value, decision.reason) == ("none", "10 observed values of the target are below 0")
    assert choose_link(replace(panel, lengths=panel.lengths - 10)).value == "log"


def seasons_of_counts(seed: int) -> np.ndarray:
    """Counts that are next to 0 for most of the time and go up to hundreds in a season."""
    random = np.random.default_rng(seed)
    season = np.exp(-(((np.arange(300) % 100) - 50) ** 2) / 100)
    return random.poisson(0.3 + 300 * season * random.gamma(4, 0.25, 300)).astype(float)


def test_counts_with_zeros_that_range_over_orders_of_magnitude_are_learnt_as_logarithms() -> None:
    panel = make_panel([seasons_of_counts(n) for n in range(5)])
    decision = choose_link(panel)
    assert decision.value == "log"
    assert "are 0 or less" in decision.reason
    assert least_log_shift(panel) == 0.5


def test_small_counts_with_zeros_stay_as_they_are() -> None:
    counts = [np.random.default_rng(n).poisson(3.0, 300).astype(float) for n in range(5)]
    assert choose_link(make_panel(counts)).value == "none"


def test_values_that_are_all_over_0_need_no_shift_of_the_logarithm() -> None:
    assert least_log_shift(make_panel([lognormal(1.0, 1)])) == 0.0


def test_the_choice_does_not_follow_from_what_comes_after_the_histories() -> None:
    series = [lognormal(0.3, n) for n in range(4)]
    seen = make_panel([one[:200] for one in series])
    whole = make_panel(series)
    ends = np.full(4, 200)
    assert choose_link(replace(whole, lengths=ends)) == choose_link(seen)


def test_constant_and_short_series_have_no_choice_to_make() -> None:
    empty = make_panel([np.full(3, NAN)])
    assert choose_link(replace(empty, lengths=np.array([0]))).value == "none"
    for series in (np.full(100, 3.0), np.array([1.0, 2.0]), np.array([5.0])):
        assert choose_link(make_panel([series]), 7).value == "none"


def test_the_choice_is_the_same_in_any_unit() -> None:
    series = [lognormal(0.2, n) for n in range(3)]
    reasons = {choose_link(make_panel([scale * one for one in series])).reason for scale in (1.0, 1024.0)}
    assert len(reasons) == 1


def test_a_schema_of_a_derived_target_knows_the_column_of_the_table() -> None:
    schema = Schema("day", "close", "share", computed=("hour (sin)",))
    new = transform.derived_schema(schema, "variance")
    assert (new.target, new.column, new.derived) == ("squared log-return of close", "close", "variance")
    assert new.as_read == replace(schema, computed=())

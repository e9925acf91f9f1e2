"""Why the forecast of the same time has changed, held against the weights of a linear model."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from tests.explanation.linear import context_of, linear_forecaster
from tests.processes import make_panel
from tsx.errors import ConfigError, DataError
from tsx.explanation.earlier import Since, _moment, earlier_forecasts
from tsx.explanation.since import PARTS, SINCE, change_sentences
from tsx.spec.settings import Question

CONTEXT, HORIZON, LAST = 6, 5, 59


@pytest.fixture(scope="module")
def linear():
    """Two series with a past covariate and one that is known ahead."""
    random = np.random.default_rng(5)
    panel = make_panel(
        [random.normal(size=(LAST + 1 + HORIZON, 3)) for _ in range(2)],
        past=("dose",),
        future=("price",),
        known_ahead=HORIZON,
    )
    return linear_forecaster(panel, CONTEXT, HORIZON), panel


def changes(linear, since: Since, question: Question | None = None):
    forecaster, panel = linear
    context = context_of(
        forecaster, panel, np.arange(2), np.full(2, LAST), question or Question(max_evals=8192), since=since
    )
    assert SINCE.applies(context)
    return SINCE.measure(context, None)


def by_hand(linear, series: int, cutoff: int) -> np.ndarray:
    """(H): the forecast in the user's units, as plain sums."""
    forecaster, panel = linear
    rows = panel.values[panel.offsets[series] :].astype(np.float64)
    center = panel.centers[series]
    own = rows + np.array([0.0, *center[1:]])
    past, future = own[cutoff - CONTEXT + 1 : cutoff + 1], own[cutoff + 1 : cutoff + 1 + HORIZON, 2:]
    weights = forecaster.network
    total = np.einsum("tc,tch->h", past, weights.past.numpy()) + np.einsum("sf,sfh->h", future, weights.future.numpy())
    return total + center[0]


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_every_part_of_a_change_has_its_closed_form_on_a_linear_model(linear, k):
    forecaster, panel = linear
    found = changes(linear, Since(np.full(2, LAST - k)))
    table, inputs = found.tables["since"], found.tables["since_inputs"]
    assert table.height == 2 * (HORIZON - k)
    weights = forecaster.network.past.numpy().astype(np.float64)
    for n in range(2):
        own = table.filter(id=f"s{n}")
        before, after = by_hand(linear, n, LAST - k), by_hand(linear, n, LAST)
        np.testing.assert_allclose(own["before"], before[k:], atol=1e-4)
        np.testing.assert_allclose(own["after"], after[: HORIZON - k], atol=1e-4)
        rows = panel.values[panel.offsets[n] :].astype(np.float64)
        for lag in range(1, k + 1):
            position = LAST + 1 - lag
            surprise = rows[position, 0] + panel.centers[n, 0] - before[position - (LAST - k) - 1]
            step_on = rows[position, 1] - rows[LAST - k, 1]
            for feature, channel, size in (("y", 0, surprise), ("dose", 1, step_on)):
                mine = inputs.filter(id=f"s{n}", feature=feature, lag=lag)
                expected = weights[CONTEXT - lag, channel, : HORIZON - k] * size
                np.testing.assert_allclose(mine["change"], expected, atol=1e-4)
                np.testing.assert_allclose(mine["value"] - mine["expected"], size, atol=1e-5)
    assert set(inputs["feature"]) == {"y", "dose"}, "what is known ahead is no news"
    assert inputs["change_se"].max() < 1e-5


def test_parts_add_up_to_the_change_and_inputs_to_what_is_new(linear):
    reported = np.full((2, HORIZON), 7.0)
    earlier = linear_forecaster(linear[1], CONTEXT, HORIZON, seed=3)
    found = changes(linear, Since(np.full(2, LAST - 2), reported, earlier))
    table, inputs = found.tables["since"], found.tables["since_inputs"]
    assert (table["before"] == 7).all()
    np.testing.assert_allclose(table.select(pl.sum_horizontal(*PARTS)).to_series(), table["change"], atol=1e-9)
    np.testing.assert_allclose(table["before"] + table["change"], table["after"], atol=1e-9)
    sums = inputs.group_by("id", "step", maintain_order=True).agg(pl.col("change").sum())
    np.testing.assert_allclose(sums["change"], table["new_data"], atol=1e-6)
    other = np.concatenate([by_hand((earlier, linear[1]), n, LAST - 2)[2:] for n in range(2)])
    own = np.concatenate([by_hand(linear, n, LAST - 2)[2:] for n in range(2)])
    np.testing.assert_allclose(table["revised"], other - 7, atol=1e-4)
    np.testing.assert_allclose(table["new_model"], own - other, atol=1e-4)


def test_where_nothing_new_has_come_the_model_alone_has_changed(linear):
    earlier = linear_forecaster(linear[1], CONTEXT, HORIZON, seed=3)
    found = changes(linear, Since(np.full(2, LAST), None, earlier))
    table = found.tables["since"]
    assert table.height == 2 * HORIZON
    np.testing.assert_allclose(table["new_model"], table["change"], atol=1e-5)
    assert found.tables["since_inputs"].is_empty()


def test_a_value_that_has_not_come_is_no_news(linear):
    forecaster, panel = linear
    values = panel.values.copy()
    values[panel.offsets[0] + LAST, 0] = np.nan
    found = changes((forecaster, replace(panel, values=values)), Since(np.full(2, LAST - 1)))
    silent = found.tables["since_inputs"].filter(id="s0", feature="y")
    assert silent["change"].abs().max() == 0
    assert silent["value"].null_count() == silent.height


def test_widths_and_quantiles_have_changes_too_and_sums_have_none(linear):
    forecaster, panel = linear
    found = changes(linear, Since(np.full(2, LAST - 1)), Question(explain="width"))
    assert found.tables["since"]["change"].abs().max() < 1e-5
    with pytest.raises(ConfigError) as failed:
        earlier_forecasts("55", forecaster, panel, Question(explain="sum"), None)
    assert failed.value.code == "settings-contradict"


def test_forecasts_that_share_no_time_are_not_compared(linear):
    with pytest.raises(DataError) as failed:
        changes(linear, Since(np.full(2, LAST - HORIZON)))
    assert failed.value.code == "nothing-to-compare"
    assert "4 steps" in failed.value.message


def test_an_earlier_cutoff_is_the_newest_row_up_to_the_time_that_is_named(linear):
    forecaster, panel = linear
    assert earlier_forecasts("57", forecaster, panel, Question(), None).cutoffs.tolist() == [57, 57]
    with pytest.raises(ConfigError) as failed:
        earlier_forecasts("yesterday", forecaster, panel, Question(), None)
    assert failed.value.code == "setting-unknown"
    assert _moment("2024-03-01", pl.Date()) == date(2024, 3, 1)
    assert _moment("2024-03-01T06:00", pl.Datetime("us")) == datetime(2024, 3, 1, 6)
    assert _moment("2024-03-01", pl.Datetime("us", "Europe/Berlin")).utcoffset().total_seconds() == 3600


def test_models_of_other_columns_are_not_compared(linear):
    forecaster, panel = linear
    other = linear_forecaster(make_panel([np.zeros(40)]), CONTEXT, HORIZON)
    with pytest.raises(DataError) as failed:
        earlier_forecasts("57", forecaster, panel, Question(), other)
    assert failed.value.code == "models-differ"


def test_rounding_is_no_change_and_no_part_of_one(linear):
    found = changes(linear, Since(np.full(2, LAST - 1)))
    table, inputs = found.tables["since"], found.tables["since_inputs"]
    level = table["after"] + 1000
    same = table.with_columns(after=level, before=level, change=pl.lit(1e-6), moved_on=pl.lit(1e-5), revised=-9e-6)
    assert change_sentences(same, inputs.clear(), linear[1].schema) == (
        "No forecast of y has changed since the earlier one.",
    )
    moved = same.with_columns(change=pl.lit(2.0), new_data=pl.lit(2.0), new_model=pl.lit(0.0))
    (said,) = change_sentences(moved, inputs.clear(), linear[1].schema)
    assert said.endswith("what the new rows brought 2.00.")


def test_the_sentence_says_how_far_by_what_and_by_which_input(linear):
    found = changes(linear, Since(np.full(2, LAST - 1)))
    first, second = change_sentences(found.tables["since"], found.tables["since_inputs"], linear[1].schema)
    assert "8 forecasts of 2 series" in first
    assert "what the new rows brought" in first
    assert "new model" not in first
    assert "y " in second
    assert "dose " in second

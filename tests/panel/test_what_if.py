"""Other values of covariates: how they are asked for, which rows they change, and what lies outside the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.processes import make_panel
from tsx.errors import ConfigError
from tsx.panel.what_if import Change, changes_of, what_if
from tsx.spec.schema import Schema

SCHEMA = Schema("t", "y", "id", past=("dose", "a=b"), future=("price",))
CONTEXT, HORIZON = 4, 3


@pytest.fixture
def panel():
    random = np.random.default_rng(0)
    series = [random.uniform(1, 2, (20, 4)) + 10 * n for n in range(2)]
    return make_panel(series, past=("dose", "a=b"), future=("price",), known_ahead=HORIZON)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("price=+10%", 2.2),
        ("price=-25%", 1.5),
        ("price=+3", 5.0),
        ("price=-3", -1.0),
        ("price=*1.5", 3.0),
        ("price=5", 5.0),
        ("price==5", 5.0),
        ("price==-5", -5.0),
        (" price=*.5 ", 1.0),
        ("a=b=+1e1", 12.0),
    ],
)
def test_a_change_does_to_a_value_what_is_written(text, expected):
    (change,) = changes_of((text,), SCHEMA)
    assert change.column == text.strip().rpartition("=")[0].rstrip("=")
    np.testing.assert_allclose(change.of(np.array([2.0, 2.0])), expected)


@pytest.mark.parametrize(
    "text", ["price", "price=", "price=10%", "price=*10%", "price==+10%", "=5", "price=5mg", "price=+"]
)
def test_a_change_that_cannot_be_read_is_refused_with_ways_to_write_it(text):
    with pytest.raises(ConfigError) as failed:
        changes_of((text,), SCHEMA)
    assert failed.value.code == "setting-unknown"
    assert "price=+10%" in failed.value.hint


def test_only_covariates_that_change_over_time_are_changed_and_each_once():
    for text, code in (("y=+1", "column-not-found"), ("cost=+1", "column-not-found")):
        with pytest.raises(ConfigError) as failed:
            changes_of((text,), SCHEMA)
        assert failed.value.code == code
        assert "'price'" in failed.value.message
    with pytest.raises(ConfigError) as failed:
        changes_of(("price=+1", "price=*2"), SCHEMA)
    assert failed.value.code == "settings-contradict"


@given(amount=st.floats(-50, 50), operation=st.sampled_from("+-*="), cutoff=st.integers(0, 16))
def test_known_future_covariates_change_after_the_cutoff_and_past_ones_in_the_context(amount, operation, cutoff):
    random = np.random.default_rng(1)
    panel = make_panel(
        [random.uniform(1, 2, (20, 3)) for _ in range(2)], past=("dose",), future=("price",), known_ahead=HORIZON
    )
    changes = [Change("dose", operation, amount), Change("price", operation, amount)]
    other, _ = what_if(panel, changes, np.array([1]), np.array([cutoff]), CONTEXT, HORIZON)
    places = {1: range(max(cutoff - CONTEXT + 1, 0), cutoff + 1), 2: range(cutoff + 1, cutoff + 1 + HORIZON)}
    do = {"+": np.add, "-": np.subtract, "*": np.multiply, "=": lambda _, amount: amount}[operation]
    for n in range(2):
        for channel in range(3):
            for t in range(20):
                was, now = (
                    each.values[each.offsets[n] + t, channel] + each.centers[n, channel] for each in (panel, other)
                )
                expected = do(was, amount) if n == 1 and t in places.get(channel, ()) else was
                assert now == pytest.approx(expected, abs=1e-3)


def test_missing_values_stay_missing_unless_the_value_itself_is_given(panel):
    panel.values[panel.offsets[0] + 18, 3] = np.nan
    at = (np.array([0]), np.array([16]), CONTEXT, HORIZON)
    assert np.isnan(what_if(panel, [Change("price", "*", 2.0)], *at)[0].values[panel.offsets[0] + 18, 3])
    given_itself = what_if(panel, [Change("price", "=", 2.0)], *at)[0]
    assert given_itself.values[panel.offsets[0] + 18, 3] + panel.centers[0, 3] == pytest.approx(2.0)


def test_values_outside_the_data_are_counted_without_naming_one(panel):
    at = (np.arange(2), np.full(2, 16), CONTEXT, HORIZON)
    assert what_if(panel, [Change("price", "*", 1.0)], *at)[1] == ()
    (finding,) = what_if(panel, [Change("price", "=", 11.5)], *at)[1]
    assert finding.code == "what-if-outside"
    assert "3 of 6 values of `price`" in finding.message, "the other series has such values"
    assert "0 of them outside that of every series" in finding.message
    (finding,) = what_if(panel, [Change("price", "+", 100.0)], *at)[1]
    assert "6 of 6 values" in finding.message
    assert "6 of them outside that of every series" in finding.message

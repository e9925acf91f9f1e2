"""The statistics that a model stores of its inputs: no extreme value follows from one, and ordinary ones keep them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.processes import make_panel
from tsx.spec.settings import Settings
from tsx.training.fit import fit_before_holdout
from tsx.training.initialisation import within_reach

SMALL = Settings(horizon=3, context_length=12, max_steps=1, hidden_size=4, device="cpu")


@given(st.lists(st.floats(-5, 5), min_size=20, max_size=60), st.floats(100, 1e9), st.integers(1, 9))
def test_from_a_mean_and_a_deviation_the_largest_value_cannot_be_told(values, extreme, times):
    """A value ten times as large gives the same."""
    ordinary = torch.cat([torch.tensor(values), torch.linspace(-5, 5, 200)])
    one, other = (torch.cat([ordinary, torch.tensor([factor * extreme] * times)]) for factor in (1, 10))
    assert within_reach(one).max() <= 30
    assert torch.equal(within_reach(one), within_reach(other))


def test_ordinary_values_keep_their_bits_and_missing_ones_stay():
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 50)))
    values[::7] = torch.nan
    assert torch.equal(within_reach(values).nan_to_num(9), values.nan_to_num(9))
    assert torch.isnan(within_reach(torch.tensor([torch.nan]))).all()
    assert within_reach(torch.zeros(0)).shape == (0,)


def test_of_rare_events_only_the_order_of_magnitude_is_left():
    values = torch.tensor([0.0] * 60 + [1.0, 90.0])
    assert within_reach(values)[-2:].tolist() == [1.0, 64.0]


@pytest.mark.parametrize("role", ["past", "y"])
def test_an_extreme_value_leaves_no_trace_in_the_statistics_of_a_model(role):
    """Fits that differ in how extreme one value is store nearly the same ones, of covariates the same."""
    found = []
    for extreme in (1e4, 9e4):
        random = np.random.default_rng(0)
        series = [random.normal(50, 5, size=(60, 2)) for _ in range(40)]
        series[7][30, 0 if role == "y" else 1] = extreme
        forecaster = fit_before_holdout(make_panel(series, past=("x",)), SMALL)
        scaler = {name: value.tolist() for name, value in forecaster.network.scaler.state_dict().items()}
        found.append((forecaster.covariate_location.tolist(), scaler["covariate_scale"], scaler))
    assert found[0][:2] == found[1][:2]
    for name, values in found[0][2].items():
        assert np.ravel(found[1][2][name]) == pytest.approx(np.ravel(values), rel=0.05), name

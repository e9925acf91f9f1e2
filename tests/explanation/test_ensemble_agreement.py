"""Ensembles explained: the mean is explained exactly, and how far its members are apart is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.explanation.plain import Setting
from tests.processes import driven, make_panel
from tsx.explanation.checks.refutation import randomised_layers
from tsx.explanation.ensemble_agreement import half_lives
from tsx.explanation.explain import explain_forecaster
from tsx.explanation.memory.measure import memory_tables
from tsx.spec.settings import Question, Settings
from tsx.training.fit import fit_forecaster, refit

SMALL = Settings(
    horizon=3,
    context_length=8,
    segment=1,
    season=1,
    hidden_size=5,
    max_steps=12,
    batch_size=32,
    cell="minlstm",
    transform="none",
    intervals="network",
    ensemble=3,
)
ASKED = Question(windows=4, max_evals=200)


@pytest.fixture(scope="module")
def panel():
    return make_panel([driven(120, seed) for seed in range(3)], past=("x",))


@pytest.fixture(scope="module")
def forecaster(panel):
    forecaster = fit_forecaster(panel, SMALL)
    forecaster.network.additive.network_weight.fill_(
        1.0
    )  # half believed, the mean of spreads is no mean of the members' own
    return forecaster


@pytest.fixture(scope="module")
def explanation(panel, forecaster):
    return explain_forecaster(forecaster, panel, ASKED, skill={})


def test_base_value_and_shap_values_add_up_to_the_mean_of_the_members(panel, forecaster, explanation):
    sums = explanation.lag_importance.group_by("id", "cutoff", "step").agg(pl.col("shap").sum())
    both = explanation.forecasts.join(sums, on=("id", "cutoff", "step"))
    newest = np.full(3, 119)
    made = np.mean([each.quantiles(panel, np.arange(3), newest) for each in forecaster.members()], 0)
    shown = both.filter(pl.col("cutoff") == 119).sort("id", "step")
    np.testing.assert_allclose(
        shown["base_value"] + shown["shap"], made[..., forecaster.config.median].ravel(), rtol=1e-4
    )
    assert both.height == 4 * 3
    np.testing.assert_allclose(both["base_value"] + both["shap"], both["yhat"], rtol=1e-4, atol=1e-5)


def test_the_shap_values_of_the_whole_are_the_mean_of_the_members_own(panel, forecaster):
    setting = Setting.of(panel, forecaster, windows=3)
    whole = setting.explain(pairs=4)
    each = np.stack([setting.explain(member, pairs=4) for member in forecaster.members()])
    assert each.std(0).max() > 1e-3
    np.testing.assert_allclose(whole, each.mean(0), atol=1e-5)


def test_the_spread_over_the_members_is_a_table_a_check_and_a_sentence(explanation):
    table = explanation.tables["members"]
    assert table.columns == ["feature", "lag", "mean_abs_shap", "spread", "lowest", "highest"]
    assert table.height == 2 * 8
    assert (table["lowest"] <= table["highest"]).all()
    assert (table["spread"] <= table["highest"] - table["lowest"]).all()
    assert table["spread"].max() > 0
    (check,) = [check for check in explanation.checks if check.name == "seed_stability"]
    assert check.sentence.startswith("3 networks")
    assert [words for words in explanation.findings if words.startswith("The forecast is the mean of 3 networks.")]


def test_a_single_network_has_no_members_to_compare(panel):
    alone = explain_forecaster(fit_forecaster(panel, replace(SMALL, ensemble=1)), panel, ASKED, skill={})
    assert "members" not in alone.tables
    assert "seed_stability" not in [check.name for check in alone.checks]


def test_other_seeds_that_were_asked_for_take_the_place_of_the_members_in_the_check(panel, forecaster):
    other = refit(forecaster, panel, 3)
    explained = explain_forecaster(forecaster, panel, ASKED, skill={}, others=(other,))
    (check,) = [check for check in explained.checks if check.name == "seed_stability"]
    assert check.sentence.startswith("2 networks")
    assert "members" in explained.tables


def test_exact_contributions_add_up_to_the_mean_of_the_members(explanation):
    sums = explanation.tables["contributions"].group_by("id", "cutoff", "step").agg(pl.col("contribution").sum())
    both = explanation.forecasts.join(sums, on=("id", "cutoff", "step"))
    assert both.height == 4 * 3
    np.testing.assert_allclose(both["contribution"], both["yhat"], rtol=1e-4, atol=1e-5)


def test_randomised_layers_are_those_of_all_members(forecaster):
    seen, counted = [], []

    def profile_of(other):
        seen.append([member.decoder.direct.weight.detach().clone() for member in other.network.members])
        counted.append(float(other.network.additive.network_weight) > 0)
        return np.ones((1, 1, 1))

    randomised_layers(profile_of, forecaster)
    trained, _, *randomised = seen
    assert counted == [True, False, True, True]
    for weights in randomised:
        assert not any(torch.equal(a, b) for a, b in zip(weights, trained, strict=True))


def test_half_lives_are_those_of_each_member_by_itself(panel, forecaster):
    batch = forecaster.windows(panel).cut(np.arange(3), np.array([60, 70, 80]))
    found = half_lives(forecaster.network, batch)
    for value, member in zip(found, forecaster.members(), strict=True):
        units = memory_tables(member.network, batch).tables["memory_units"]
        assert value == pytest.approx(float(units["half_life"].median()), nan_ok=True)

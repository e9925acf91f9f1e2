"""The test of skill: known statistics, honest false-claim rates, and the sentences."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from tsx.evaluation.metrics import SCALE
from tsx.evaluation.verdict import (
    FOLD,
    SERIES,
    cut_short_training,
    diebold_mariano,
    in_passing,
    judge,
    surely_worse,
)
from tsx.spec.verdict import Verdict


def frame_of(truth, forecasts, scale=1.0):
    """truth (series, origins, steps) and one array of that shape per model; origin 0 is the oldest."""
    series, origins, steps = np.indices(truth.shape)
    base = pl.DataFrame(
        {
            SERIES: series.ravel(),
            FOLD: truth.shape[1] - 1 - origins.ravel(),
            "step": steps.ravel() + 1,
            "y": truth.ravel(),
            SCALE: pl.Series(np.broadcast_to(scale, truth.shape).ravel(), dtype=pl.Float64),
        }
    )
    return pl.concat(
        [
            base.with_columns(pl.lit(name).alias("model"), pl.Series("yhat", values.ravel()))
            for name, values in forecasts.items()
        ]
    )


def test_without_overlap_the_test_is_students_t():
    d = np.random.default_rng(0).normal(0.4, 1, size=20)
    # With lag 0 the factor sqrt((n - 1) / n) turns the variance over n into the one over n - 1.
    assert diebold_mariano(d, 0) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, rel=1e-12)


def test_with_overlap_the_statistic_is_the_published_one():
    d = np.random.default_rng(1).normal(0.3, 1, size=30) + 0.5
    n, h = 30, 3
    c = d - d.mean()
    gamma = [sum(c[t] * c[t - k] for t in range(k, n)) / n for k in range(h)]
    dm = d.mean() / math.sqrt((gamma[0] + 2 * gamma[1] + 2 * gamma[2]) / n)
    corrected = dm * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    assert diebold_mariano(d, h - 1) == pytest.approx(2 * stats.t.sf(abs(corrected), n - 1), rel=1e-12)


def test_a_variance_that_is_not_positive_takes_bartletts_weights():
    d = np.array([1.0, -1.0] * 6) + 0.2
    c = d - d.mean()
    gamma = [c[k:] @ c[: 12 - k] / 12 for k in range(2)]
    assert gamma[0] + 2 * gamma[1] < 0
    statistic = d.mean() / math.sqrt((gamma[0] + gamma[1]) / 12) * math.sqrt((12 + 1 - 4 + 2 / 12) / 12)
    assert diebold_mariano(d, 1) == pytest.approx(2 * stats.t.sf(abs(statistic), 11), rel=1e-12)


def test_differences_without_variance_are_certain_and_too_few_are_untold():
    assert diebold_mariano(np.zeros(9), 0) == 1.0
    assert diebold_mariano(np.full(9, 0.1), 0) == 0.0
    assert diebold_mariano(np.array([1.0]), 0) is None
    assert diebold_mariano(np.arange(8.0), 8) is None


def compare(gain, origins, series=1, noise=0.05, steps=2, **rest):
    """A truth of zero, a naive error of 1 and a network error of 1 - gain, with noise."""
    rng = np.random.default_rng(3)
    truth = np.zeros((series, origins, steps))
    network = 1 - gain + noise * rng.normal(size=truth.shape)
    return judge(frame_of(truth, {"lstm": network, "naive": truth + 1, "drift": truth + 2}, **rest), "lstm", 2, 2)


def test_a_clear_gain_over_many_origins_is_skill():
    verdict = compare(0.08, 24)
    assert verdict.has_skill
    assert (verdict.against, verdict.units, verdict.test) == ("naive", "24 origins", "diebold-mariano")
    assert verdict.skill == pytest.approx(0.08, abs=0.03)
    assert verdict.sentence == (
        f"The forecast beats no change (the last value) by {100 * verdict.skill:.1f} % (p < .001, 24 origins)."
    )


def test_a_gain_within_the_noise_may_be_chance():
    verdict = compare(0.02, 8, noise=0.3)
    assert not verdict.has_skill
    assert verdict.skill > 0
    assert verdict.p_value >= 0.05
    assert "may be chance (p = ." in verdict.sentence


def test_a_loss_is_no_skill_and_names_what_to_use():
    verdict = compare(-0.5, 24)
    assert not verdict.has_skill
    assert verdict.skill < 0
    assert verdict.sentence.startswith("No skill: the forecast is no better than no change (its error is 5")
    assert verdict.sentence.endswith("p < .001, 24 origins); use the last value.")


def test_a_tie_is_no_skill():
    truth = np.zeros((1, 10, 2))
    verdict = judge(frame_of(truth, {"lstm": truth + 1, "naive": truth + 1}), "lstm", 2, 2)
    assert (verdict.skill, verdict.p_value, verdict.has_skill) == (0.0, 1.0, False)
    assert verdict.sentence == (
        "No skill: the forecast is no better than no change (equal errors, p = 1.00, 10 origins); use the last value."
    )


def test_a_network_that_is_better_all_the_same_is_called_so_however_short_its_training():
    truth = np.zeros((1, 10, 2))
    frame = frame_of(truth, {"lstm": truth + 0.5, "naive": truth + 1})
    verdict = judge(frame, "lstm", 2, 2)
    assert verdict.has_skill
    assert judge(frame, "lstm", 2, 2, cut_short=cut_short_training(28, 1000)) == verdict


def test_a_baseline_without_error_is_never_divided_by():
    truth = np.zeros((1, 10, 2))
    verdict = judge(frame_of(truth, {"lstm": truth + 1, "naive": truth}), "lstm", 2, 2)
    assert verdict.skill is None
    assert not verdict.has_skill
    assert "the last value makes no error" in verdict.sentence


def test_few_origins_of_many_series_are_tested_over_the_series():
    verdict = compare(0.3, 3, series=12)
    assert (verdict.test, verdict.units, verdict.has_skill) == ("t-test over series", "12 series", True)
    assert verdict.sentence.endswith("12 series taken as independent).")


def test_few_origins_of_few_series_tell_nothing():
    verdict = compare(0.3, 4, series=2)
    assert (verdict.p_value, verdict.test, verdict.has_skill) == (None, "none", False)
    assert "too few origins to tell (4 origins, 2 series)" in verdict.sentence


def test_overlapping_origins_count_for_less():
    truth = np.zeros((1, 12, 4))
    network = truth + 0.5 + 0.01 * np.random.default_rng(0).normal(size=truth.shape)
    verdict = judge(frame_of(truth, {"lstm": network, "naive": truth + 1}), "lstm", 4, 1)
    assert (verdict.p_value, verdict.has_skill) == (None, False)
    assert "too few origins to tell (12 overlapping origins, 1 series)" in verdict.sentence


def test_nothing_scored_is_said():
    truth = np.full((1, 3, 2), np.nan)
    verdict = judge(frame_of(truth, {"lstm": truth, "naive": truth}), "lstm", 2, 2)
    assert (verdict.skill, verdict.has_skill) == (None, False)
    assert "Nothing could be scored" in verdict.sentence


def test_the_loss_is_scaled_so_that_a_large_series_does_not_drown_small_ones():
    truth = np.zeros((2, 10, 1))
    size = np.array([1.0, 1000.0])[:, None, None]
    network = size * np.array([0.5, 1.2])[:, None, None] + truth
    verdict = judge(frame_of(truth, {"lstm": network, "naive": truth + size}, scale=size), "lstm", 1, 1)
    assert verdict.skill == pytest.approx(1 - (0.5 + 1.2) / 2)


def test_without_any_scale_the_plain_error_is_compared():
    assert compare(0.08, 24, scale=np.nan).skill == pytest.approx(0.08, abs=0.03)


def test_skill_is_also_given_against_the_seasonal_naive():
    truth = np.zeros((1, 10, 1))
    models = {"gru": truth + 1, "naive": truth + 2, "seasonal_naive": truth + 4, "ridge": truth + 1.25}
    verdict = judge(frame_of(truth, models), "gru", 1, 1)
    assert verdict.against == "ridge"
    assert verdict.skill == pytest.approx(0.2)
    assert verdict.skill_seasonal_naive == pytest.approx(0.75)


def test_the_seasonal_naive_is_spoken_of_in_words():
    truth = np.zeros((1, 10, 1))
    verdict = judge(frame_of(truth, {"lstm": truth + 2, "seasonal_naive": truth + 1}), "lstm", 1, 1)
    assert verdict.sentence.endswith("use seasonal naive.")


def test_where_nothing_is_clearly_better_than_the_last_value_the_network_is_judged_against_no_change():
    truth = np.zeros((1, 10, 1))
    models = {"lstm": truth + 0.9, "naive": truth + 1.01, "drift": truth + 1}
    verdict = judge(frame_of(truth, models), "lstm", 1, 1)
    assert verdict.against == "naive"
    assert verdict.sentence.startswith("The forecast beats no change (the last value) by 10.9 %")
    clearly = judge(frame_of(truth, models | {"drift": truth + 0.95}), "lstm", 1, 1)
    assert clearly.against == "drift"


def test_a_network_between_the_best_baseline_and_the_last_value_has_no_skill():
    truth = np.zeros((1, 10, 1))
    verdict = judge(frame_of(truth, {"lstm": truth + 1.005, "naive": truth + 1.01, "drift": truth + 1}), "lstm", 1, 1)
    assert (verdict.against, verdict.has_skill) == ("drift", False)
    assert verdict.sentence.startswith("No skill: the forecast is no better than drift (its error is 0.5 % larger")


def test_an_error_many_times_as_large_is_said_so_and_not_in_percent():
    truth = np.zeros((1, 10, 1))
    verdict = judge(frame_of(truth, {"lstm": truth + 1.5, "naive": truth + 0.001}), "lstm", 1, 1)
    assert verdict.sentence.startswith(
        "No skill: the forecast is no better than no change (its error is 1,500 times as"
    )


def test_volatility_is_judged_by_qlike_and_a_model_that_forecasts_zero_is_left_out():
    truth = np.full((1, 11, 1), 2.0)
    models = {"lstm": truth * 0.9, "naive": truth * 1.5, "ridge": truth - 2}
    truth[0, 4] = 0.0  # the loss of a value of 0 is not defined
    verdict = judge(frame_of(truth, models), "lstm", 1, 1, "qlike")
    losses = [1 / r - math.log(1 / r) - 1 for r in (0.9, 1.5)]
    assert verdict.against == "naive"
    assert verdict.loss == "QLIKE"
    assert verdict.skill == pytest.approx(1 - losses[0] / losses[1])
    assert verdict.sentence.endswith("(QLIKE, p < .001, 10 origins).")


@pytest.mark.parametrize("kind", ["walk", "noise"])
@pytest.mark.parametrize(
    ("series", "origins", "horizon", "stride"),
    [(1, 8, 4, 4), (1, 30, 4, 4), (1, 30, 4, 2), (5, 10, 3, 3), (20, 3, 3, 3), (5, 32, 4, 1), (1, 48, 6, 1)],
)
def test_without_skill_a_claim_is_made_at_most_one_time_in_twenty(kind, series, origins, horizon, stride):
    claims, replicates = 0, 400
    rng = np.random.default_rng(11)
    before = 20
    for _ in range(replicates):
        shocks = rng.normal(size=(series, before + (origins - 1) * stride + horizon))
        y = shocks.cumsum(axis=1) if kind == "walk" else shocks
        at = before + np.arange(origins) * stride
        truth = y[:, at[:, None] + np.arange(horizon)]
        last = np.broadcast_to(y[:, at - 1][:, :, None], truth.shape)
        best = last if kind == "walk" else np.zeros_like(truth)
        # The network: the best forecast there is, blurred as estimation blurs it.
        network = best + 0.2 * rng.normal(size=(series, 1, 1)) + 0.2 * rng.normal(size=(series, origins, 1))
        near = best + 0.05 * rng.normal(size=(series, 1, 1))
        ridge = best + 0.2 * rng.normal(size=(series, origins, 1))
        forecasts = {"lstm": network, "naive": last, "drift": near, "ridge": ridge}
        claims += judge(frame_of(truth, forecasts), "lstm", horizon, stride).has_skill
    assert claims <= 0.05 * replicates


@pytest.mark.parametrize(
    ("skill", "p_value", "against", "said", "worse"),
    [
        (0.12, 0.03, "ridge", "its error is 12.0 % smaller than that of ridge (p = .030, 9 origins)", False),
        (-0.5, 0.01, "seasonal_naive", "its error is 50.0 % larger than that of seasonal naive (p = .010", True),
        (-2.0, 0.0001, "naive", "its error is 3.0 times as large as that of the last value (p < .001", True),
        (-0.5, 0.4, "ridge", "its error is 50.0 % larger", False),
        (-0.5, None, "ridge", "its error is 50.0 % larger than that of ridge (9 origins)", False),
        (None, 0.01, "ridge", "ridge makes no error", False),
    ],
)
def test_a_verdict_can_be_said_in_passing(skill, p_value, against, said, worse):
    verdict = Verdict("lstm", against, skill, None, p_value, "9 origins", "diebold-mariano", "In full.", False)
    assert in_passing(verdict).startswith(said)
    assert surely_worse(verdict) == worse

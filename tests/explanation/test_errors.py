"""Why past forecasts were wrong, held against the weights of a linear model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.explanation.linear import context_of, linear_forecaster
from tests.explanation.test_asked import answer, wards  # noqa: F401
from tests.processes import make_panel
from tsx.errors import DataError
from tsx.explanation.distance import distances
from tsx.explanation.errors import ERRORS, error_sentences
from tsx.explanation.shap.game import flatten
from tsx.explanation.shap.references import choose_known
from tsx.explanation.shap.shap_run import explain_windows
from tsx.progress import SILENT
from tsx.spec.settings import Question

CONTEXT, HORIZON, ROWS = 5, 3, 120


@pytest.fixture(scope="module")
def linear():
    random = np.random.default_rng(5)
    panel = make_panel([random.normal(size=(ROWS, 2)) for _ in range(2)], past=("dose",))
    return linear_forecaster(panel, CONTEXT, HORIZON), panel


@pytest.fixture(scope="module")
def explained(linear, tmp_path_factory):
    forecaster, panel = linear
    question = Question(explain="error", windows=12, max_evals=4000, tolerance=0.01)
    series, cutoffs, newest = choose_known(forecaster, panel, question.windows)
    context = context_of(forecaster, panel, series, cutoffs, question)
    run = explain_windows(context.task, series, cutoffs, None, tmp_path_factory.mktemp("e") / "t.parquet", SILENT)
    return replace(context, run=run), newest


def by_hand(linear, context, w: int) -> tuple[np.ndarray, np.ndarray]:
    """(H) the error of a window and (T x C, H) the exact SHAP values: weight times what differs from the references."""
    forecaster, _ = linear
    batch = context.task.source.cut(context.series[w : w + 1], context.cutoffs[w : w + 1])
    (references,) = context.task.references().of(context.series[w : w + 1], context.cutoffs[w : w + 1], batch)
    usual = references.population(1024).double().mean(0).numpy()
    weights = forecaster.network.past.double().flatten(0, 1).numpy()
    window = flatten(batch)[0].double().numpy()
    return window @ weights - batch.target[0].double().numpy(), weights * (window - usual)[:, None]


def test_values_of_an_error_have_their_closed_form_and_add_up_to_it(linear, explained):
    context, newest = explained
    assert len(newest) == 2
    table = pl.read_parquet(context.run.path)
    errors = context.run.writer.forecasts()
    for w in range(len(context.series)):
        error, values = by_hand(linear, context, w)
        key = {"id": f"s{context.series[w]}", "cutoff": int(context.cutoffs[w])}
        np.testing.assert_allclose(errors.filter(**key)["yhat"], error, atol=1e-4)
        own = table.filter(**key).sort("step", "lag", "feature", descending=[False, True, True])
        found = own["shap"].to_numpy().reshape(HORIZON, -1).T
        np.testing.assert_allclose(found, values, atol=0.06)


def test_what_an_input_adds_to_the_error_is_its_value_along_the_errors_sign(linear, explained):
    context, _ = explained
    measured = ERRORS.measure(context, None)
    inputs = measured.tables["error_inputs"]
    expected = np.zeros((CONTEXT * 2,))
    off = []
    for w in range(len(context.series)):
        error, values = by_hand(linear, context, w)
        expected += (values * np.sign(error)).mean(1) / len(context.series)
        off.append(np.sign(error) * (error - values.sum(0)))
    for lag in range(1, CONTEXT + 1):
        for channel, feature in enumerate(("y", "dose")):
            found = inputs.filter(feature=feature, lag=lag)["worse"][0]
            assert found == pytest.approx(expected[(CONTEXT - lag) * 2 + channel], abs=0.02)
    windows = measured.tables["error_windows"]
    assert windows["mean_abs_error"].mean() == pytest.approx(inputs["worse"].sum() + np.mean(off), abs=0.05)
    assert windows["mean_abs_error"].is_sorted(descending=True)


def test_only_forecasts_are_explained_of_which_the_whole_outcome_is_known(linear):
    forecaster, panel = linear
    values = panel.values.copy()
    values[panel.offsets[1] - 1, 0] = np.nan
    series, cutoffs, newest = choose_known(forecaster, replace(panel, values=values), 8)
    assert cutoffs.max() == ROWS - 1 - HORIZON
    assert (cutoffs[series == 0] < ROWS - 1 - HORIZON).all()
    assert sorted(series[newest].tolist()) == [0, 1]
    silent = replace(panel, values=np.full_like(panel.values, np.nan))
    silent.values[::HORIZON] = 1.0
    with pytest.raises(DataError) as failed:
        choose_known(forecaster, silent, 8)
    assert failed.value.code == "nothing-to-compare"


def test_a_window_unlike_the_others_is_far_from_them(explained):
    context, _ = explained
    many = context.task.source.cut(np.repeat(np.arange(2), 80), np.tile(np.arange(CONTEXT, CONTEXT + 80), 2))
    odd = replace(many.take(np.arange(2)), past=many.past[:2] + torch.tensor([0.0, 40.0])[:, None, None])
    (usual, far), (unusual, farther) = distances(context.network, odd, many)
    assert usual < 2
    assert not far
    assert unusual > 5
    assert farther


def test_the_sentence_says_whether_errors_go_with_distance():
    inputs = pl.DataFrame({"feature": ["y", "dose"], "lag": [1, 1], "worse": [2.0, -1.0], "worse_se": [0.1, 0.1]})
    windows = pl.DataFrame(
        {
            "mean_abs_error": np.linspace(9, 1, 20),
            "mean_error": np.linspace(9, 1, 20),
            "distance": np.linspace(3, 1, 20),
            "unusual": [True] * 5 + [False] * 15,
        }
    )
    said = error_sentences(inputs, windows, "y")
    assert "5.00 too high in the mean" in said[0]
    assert "y added 2.00, dose took off 1.00" in said[1]
    assert "Errors are larger where windows are unlike usual ones (rank correlation 1.00, p 0.001)" in said[2]
    random = np.random.default_rng(0)
    chance = windows.with_columns(distance=pl.Series(random.permutation(20) + 1.0))
    assert "are not shown to be larger" in error_sentences(inputs, chance, "y")[2]


def test_every_check_and_measure_holds_for_an_error_too(wards):  # noqa: F811
    explanation = answer(wards, explain="error")
    assert next(check for check in explanation.checks if check.name == "additivity").verdict == "pass"
    assert explanation.noticed == ()
    made = explanation.forecasts
    assert made.height == 8 * 4
    assert any("were off by" in words for words in explanation.findings)

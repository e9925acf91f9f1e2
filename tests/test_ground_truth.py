"""The processes of the ground-truth suite do what they claim, and its scores score what they say."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest

from benchmarks.ground_truth.processes import BY_NAME, PROCESSES, Cause, Process, sample, white
from benchmarks.ground_truth.results import read, shared, table
from benchmarks.ground_truth.scores import Attribution, average_precision, calibration, reach, score, sign_of
from benchmarks.ground_truth.truth import rule_shap

every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)


@every_process
def test_the_rule_looks_at_the_causes_and_at_nothing_else(process):
    looked = set()
    process.rule(lambda name, distance: looked.add((name, distance)) or np.ones(3))
    assert looked == {(cause.feature, cause.distance) for cause in process.causes}
    assert len(process.truth()) == len(process.causes)


@every_process
def test_every_cause_moves_the_rule_in_the_direction_of_its_sign(process):
    data = sample(process, 200, 3, series=4)
    known = {cause: np.nan_to_num(data.columns[cause.feature][:, 30:150]) for cause in process.causes}

    def rule(moved: Cause | None, by: float) -> np.ndarray:
        cells = {(c.feature, c.distance): values + by * (c == moved) for c, values in known.items()}
        return process.rule(lambda name, distance: cells[name, distance])

    for cause in process.causes:
        difference = rule(cause, 1.5) - rule(cause, -1.5)
        assert np.abs(difference).max() > 0.05
        if cause.sign is not None:
            assert (cause.sign * difference >= -1e-9).all()


@every_process
def test_every_cause_matters_in_the_data_as_they_come(process):
    data = sample(process, 600, 4, series=4)
    times = np.arange(40, 600, 8)
    cells = np.concatenate(
        [np.stack([data.columns[c.feature][n, times - c.distance] for c in process.causes], 1) for n in range(4)]
    )
    size = np.abs(rule_shap(process, cells[:40], cells[::4])).mean(0)
    assert size.min() > 0.02 * size.max()


@every_process
def test_what_is_expected_is_the_best_forecast_and_noise_is_the_rest(process):
    data = sample(process, 1500, 1, series=4)
    y, expected = data.columns["y"][:, 50:1500], data.expected[:, 50:]
    residual = (y - expected)[~np.isnan(y)]
    if not process.missing:  # what is missing adds to the noise
        size = np.sqrt(np.mean(expected)) if process.poisson else process.noise
        assert residual.std() == pytest.approx(size, rel=0.05)
    assert abs(residual.mean()) < 0.1 * residual.std()
    shown = expected[~np.isnan(y)]
    assert abs(np.corrcoef(shown, residual)[0, 1]) < 0.05
    assert np.var(shown) > 0.3 * np.var(residual)


@every_process
def test_a_process_stays_where_it_is_or_is_the_random_walk(process):
    data = sample(process, 1500, 2, series=4)
    early, late = np.nanstd(data.columns["y"][:, :500]), np.nanstd(data.columns["y"][:, 900:1490])
    assert process.name == "random-walk" or late < 1.5 * early


@every_process
def test_the_same_seed_gives_the_same_table_and_another_one_another(process):
    first, again, other = (sample(process, 60, seed, series=2).table() for seed in (5, 5, 6))
    assert first.equals(again)
    assert not first.equals(other)


@every_process
def test_the_truth_lies_within_the_context_and_is_known_at_the_cutoff(process):
    for (feature, lag), _ in process.truth().items():
        assert lag <= process.context_length
        assert lag >= 1 or (feature in process.future and lag >= 1 - process.step)
    assert process.needed_lag <= process.context_length


def test_covariates_known_ahead_go_on_without_a_target():
    process = BY_NAME["promotion"]
    rows = sample(process, 50, 0, series=2).table()
    assert rows.height == 2 * (50 + process.horizon)
    ahead = rows.filter(rows["y"].is_null())
    assert ahead.height == 2 * process.horizon
    assert ahead["promotion"].null_count() == 0


def test_a_share_of_the_values_is_missing_and_the_best_forecast_does_not_see_them():
    process = BY_NAME["gaps"]
    data = sample(process, 2000, 0, series=4)
    x = data.columns["x"]
    assert np.isnan(x).mean() == pytest.approx(process.missing, abs=0.01)
    blind = np.isnan(x[:, 94:-6]) & np.isnan(x[:, 97:-3])
    assert np.all(data.expected[:, 100:][blind] == 0)


def test_distractors_are_correlated_with_the_cause_but_not_looked_at():
    columns = sample(BY_NAME["distractors"], 2000, 0).columns
    assert np.corrcoef(columns["cause"].ravel(), columns["copy"].ravel())[0, 1] > 0.85
    assert np.corrcoef(columns["cause"][:, :-2].ravel(), columns["echo"][:, 2:].ravel())[0, 1] > 0.85


def test_average_precision_of_a_perfect_a_reversed_and_a_constant_ranking():
    true = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 1.0, 3.0, 2.0]), true) == 1
    assert average_precision(np.array([1.0, 4.0, 2.0, 3.0]), true) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert average_precision(np.ones(4), true) == pytest.approx((1 / 3 + 2 / 4) / 2)  # the true ones last


def test_a_perfect_attribution_scores_one_and_a_negated_one_has_wrong_signs():
    process = BY_NAME["opposed"]
    inputs = np.random.default_rng(0).normal(size=(16, 3))
    cells = (("a", 2), ("b", 2), ("y", 1))
    values = inputs * [1.2, -1.2, 0.01]
    assert score(process, Attribution(cells, values, inputs))["sign_accuracy"] == 1
    assert score(process, Attribution(cells, -values, inputs))["sign_accuracy"] == 0
    assert score(process, Attribution(cells, values, inputs))["average_precision"] == 1


def test_a_sign_is_read_around_missing_inputs_and_is_none_where_nothing_varies():
    inputs = np.array([1.0, np.nan, 2.0, 3.0])
    assert sign_of(np.array([-1.0, 9.0, -2.0, -3.0]), inputs) == -1
    assert sign_of(np.zeros(4), inputs) == 0
    assert sign_of(np.ones(4), np.full(4, np.nan)) == 0


def test_standard_errors_that_are_right_cover_95_percent_and_halved_ones_do_not():
    random = np.random.default_rng(0)
    errors, rest = random.uniform(0.5, 2, 20_000), np.full(20_000, 0.3)
    values, longer = errors * random.normal(size=20_000), rest * random.normal(size=20_000)
    assert calibration(values, errors, longer, rest)["coverage"] == pytest.approx(0.95, abs=0.006)
    assert calibration(values, errors / 2, longer, rest / 2)["coverage"] < 0.75
    assert calibration(np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3))["z_count"] == 0


def test_reach_is_the_lag_within_which_nine_tenths_lie():
    cells = (("y", 3), ("y", 2), ("y", 1), ("x", 2), ("x", 0))
    assert reach(cells, np.array([[5.0, 40.0, 50.0, 5.0, 1000.0]])) == 2


def test_shap_values_of_a_linear_rule_are_its_weights_times_the_distance_from_the_mean():
    random = np.random.default_rng(0)
    windows, references = random.normal(size=(5, 2)), random.normal(size=(40, 2))
    found = rule_shap(BY_NAME["opposed"], windows, references)
    np.testing.assert_allclose(found, (windows - references.mean(0)) * [1.2, -1.2], atol=1e-12)


def test_shap_values_of_a_rule_are_the_means_over_all_orders_of_joining():
    process = BY_NAME["regime"]
    random = np.random.default_rng(1)
    windows, references = random.normal(size=(3, 3)), random.normal(size=(3, 7, 3))
    expected = np.zeros((3, 3))
    for order in permutations(range(3)):
        cells = references.copy()
        before = _rule(process, cells)
        for cell in order:
            cells[..., cell] = windows[:, None, cell]
            after = _rule(process, cells)
            expected[:, cell] += (after - before) / 6
            before = after
    np.testing.assert_allclose(rule_shap(process, windows, references), expected, atol=1e-12)


def _rule(process: Process, cells: np.ndarray) -> np.ndarray:
    place = {(cause.feature, cause.distance): n for n, cause in enumerate(process.causes)}
    return process.rule(lambda name, distance: cells[..., place[name, distance]]).mean(1)


def test_the_newest_run_counts_and_a_line_cut_short_is_none(tmp_path):
    file = tmp_path / "runs.jsonl"
    run = {"process": "ar1", "seed": 0, "method": "tsx", "learnt": 0.9, "average_precision": 0.5}
    lines = [json.dumps(run), json.dumps({**run, "average_precision": 0.75}), json.dumps(run)[:20]]
    file.write_text("\n".join(lines))
    runs = read(file)
    assert list(runs) == [("ar1", 0, "tsx")]
    assert "| ar1 | 0.90 | 0.75 |" in table(list(runs.values()), ["tsx", "shap kernel"])
    assert read(tmp_path / "none.jsonl") == {}


def test_only_what_every_method_has_run_is_compared():
    one = {"process": "ar1", "seed": 0, "method": "tsx", "learnt": 0.9, "average_precision": 1.0}
    other, ahead = {**one, "method": "shap kernel"}, {**one, "seed": 1, "average_precision": 0.0}
    assert shared([one, other, ahead]) == [one, other]
    assert shared([]) == []


def test_a_process_of_ones_own_is_made_by_its_rule():
    mine = Process("mine", "x, four steps later", lambda at: 2 * at("x", 4), (Cause("x", 4, 1),), white("x"), noise=0.0)
    columns = sample(mine, 40, 0, series=2).columns
    np.testing.assert_allclose(columns["y"][:, 4:], 2 * columns["x"][:, :-4])

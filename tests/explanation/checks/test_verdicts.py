"""Explanations that are right stand up to the checks, and those that were broken on purpose do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.explanation.games import singles
from tests.explanation.plain import Setting
from tests.processes import driven, make_panel
from tsx.explanation.checks import verdicts
from tsx.explanation.checks.deletion_insertion import autocorrelation_strength, faithfulness, removal_curves
from tsx.explanation.checks.learning import Learning
from tsx.explanation.checks.refutation import Agreement, Manifold, Randomised, Stability
from tsx.explanation.checks.verdicts import Halves, LagCurves
from tsx.explanation.result import Check, Knowledge
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.model.forecaster import Forecaster
from tsx.model.network import Network
from tsx.spec.settings import Settings
from tsx.training.fit import fit_forecaster

SKILLED = Knowledge("shown", "ridge", 0.2, "The forecast beats ridge by 20 %.")


@pytest.fixture(scope="module")
def setting():
    """y_t = 2 x_{t-3} + noise, a network that has learnt it, and windows to explain."""
    panel = make_panel([driven(400, seed) for seed in range(3)], past=("x",))
    settings = Settings(horizon=3, context_length=12, segment=1, season=1, hidden_size=12, max_steps=300, batch_size=64)
    return Setting.of(panel, fit_forecaster(panel, settings))


@pytest.fixture(scope="module")
def pairs(setting):
    return setting.explain(pairs=96)


def untrained(forecaster: Forecaster) -> Forecaster:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        fresh = Network(forecaster.config)
    state = fresh.state_dict() | dict(forecaster.network.named_buffers())
    fresh.load_state_dict(state)
    return replace(forecaster, network=fresh.eval())


def examine(setting: Setting, pairs: np.ndarray, base: np.ndarray) -> dict[str, Check]:
    """All checks of the values that the mean of the pairs (W, K, P, O) is."""
    game, random = setting.game(), np.random.default_rng(0)
    values = pairs.mean(1)
    with torch.inference_mode():
        forecast = game(setting.windows, torch.arange(len(values))).sum(-1).double().numpy()
    own = autocorrelation_strength(
        torch.cat([setting.population.past.flatten(1), setting.population.future.flatten(1)], 1),
        setting.population.target,
        setting.players,
    )
    few = setting.references[:, :6]
    chunk = Chunk(game, setting.windows, [Masker(each) for each in few], setting.players)
    curves = removal_curves(chunk, few, np.abs(values).mean(2), own, random)
    made = [
        verdicts.additivity(
            float(np.abs(base + values.sum(1) - forecast).max() / setting.forecaster.network.scaler.typical_scale)
        ),
        verdicts.precision(
            float(np.linalg.norm(pairs.std(1, ddof=1)) / pairs.shape[1] ** 0.5 / np.linalg.norm(values))
        ),
        verdicts.convergence(Halves(pairs[:, ::2].mean(1), pairs[:, 1::2].mean(1))),
        verdicts.deletion_curve(curves),
        verdicts.insertion_curve(curves),
        verdicts.sufficiency(curves),
        verdicts.comprehensiveness(curves),
        verdicts.faithfulness(faithfulness(chunk, few, values, random)),
    ]
    return {check.name: check for check in [*made, verdicts.faithful(made), verdicts.overall(made, len(base), SKILLED)]}


@pytest.fixture(scope="module")
def base(setting, pairs):
    with torch.inference_mode():
        forecast = setting.game()(setting.windows, torch.arange(len(pairs))).sum(-1).double().numpy()
    return forecast - pairs.mean(1).sum(1)


def test_a_right_explanation_stands_up(setting, pairs, base):
    found = examine(setting, pairs, base)
    verdict_of = {name: check.verdict for name, check in found.items()}
    assert "fail" not in verdict_of.values()
    assert verdict_of["faithfulness"] == verdict_of["convergence"] == "pass"
    # the autocorrelation of this process is nearly its cause, and the smoothing follows other lags too
    for name in ("deletion", "insertion"):
        assert found[name].figure > verdicts.CURVES[0]
        assert verdict_of[name] == "pass" or "own autocorrelation" in found[name].sentence
    assert verdict_of["overall"] == "pass"
    assert "stood up" in found["faithful"].sentence
    assert found["overall"].sentence.endswith("and the model forecasts better than ridge.")


def test_values_shuffled_over_the_players_fail_although_they_add_up(setting, pairs, base):
    order = np.random.default_rng(0).permuted(np.tile(np.arange(24), (len(pairs), 1)), axis=1)
    found = examine(setting, np.take_along_axis(pairs, order[:, None, :, None], 2), base)
    assert found["additivity"].verdict == found["precision"].verdict == "pass"
    assert found["faithfulness"].verdict == "fail"
    assert found["overall"].verdict == "fail"
    assert found["overall"].sentence.startswith("Do not believe this explanation: ")


def test_constant_values_fail_although_they_add_up(setting, pairs, base):
    found = examine(setting, np.broadcast_to(pairs.mean(2, keepdims=True), pairs.shape), base)
    assert found["additivity"].verdict == "pass"
    assert found["deletion"].verdict == found["faithfulness"].verdict == found["overall"].verdict == "fail"


def test_values_with_the_sign_turned_fail_although_their_order_is_right(setting, pairs, base):
    found = examine(setting, -pairs, base)
    assert found["deletion"] == examine(setting, pairs, base)["deletion"]
    assert found["faithfulness"].figure < -0.7
    assert found["overall"].verdict == "fail"


def test_values_of_an_untrained_network_fail(setting, base):
    other = setting.explain(untrained(setting.forecaster), pairs=96)
    found = examine(setting, other, base)
    assert found["additivity"].verdict == found["overall"].verdict == "fail"
    assert found["faithfulness"].verdict == "fail"


def test_too_few_pairs_do_not_converge():
    random = np.random.default_rng(0)
    values = random.normal(size=(6, 50, 3))
    halves = [values + 2 * random.normal(size=values.shape) for _ in range(2)]
    noise = verdicts.convergence(Halves(*halves))
    assert noise.verdict == "fail"
    # truth 1, noise 4 a half: what the mean of both has in common with another such mean is 1 / (1 + 2)
    assert noise.figure == pytest.approx(1 / 3, abs=0.12)
    # and that of sixteen such parts 1 / (1 + 4 / 16)
    assert verdicts.convergence(Halves(*halves, longer=16)).figure == pytest.approx(0.8, abs=0.1)
    assert verdicts.convergence(Halves(values, values + 0.1 * halves[0])).verdict == "pass"
    assert verdicts.convergence(Halves(values, 0 * values)).verdict == "fail"


def test_a_few_clear_players_converge_though_the_ranks_of_the_others_are_noise():
    random = np.random.default_rng(0)
    truth = np.where(np.arange(400) < 3, 5.0, 0.0)[None, :, None] * random.normal(size=(20, 1, 2))
    check = verdicts.convergence(Halves(*(truth + 0.1 * random.normal(size=(20, 400, 2)) for _ in range(2))))
    assert check.verdict == "pass"
    assert "rank correlation of the profiles 0." in check.sentence


def test_an_order_that_the_autocorrelation_betters_is_weak_and_the_sentence_says_so():
    from tests.explanation.checks.test_deletion_insertion import linear, players

    random = np.random.default_rng(0)
    weights = np.where(np.arange(60) < 6, 1.0, 0.0)
    windows, references = (torch.from_numpy(random.normal(size=size)) for size in ((24, 60), (24, 4, 60)))
    vague = weights + 2.5 * random.random((24, 60))
    chunk = Chunk(linear(weights), windows, [Masker(each) for each in references], players(np.arange(60)))
    found = removal_curves(chunk, references, vague, weights, random)
    check = verdicts.deletion_curve(found)
    assert check.verdict == "weak"
    assert "autocorrelation" in check.sentence


def randomised(figure: float) -> Randomised:
    return Randomised(figure, pl.DataFrame({"rank_correlation": [0.9, 0.7]}), 1.0)


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (verdicts.additivity(1e-6), "pass"),
        (verdicts.additivity(1e-3), "fail"),
        (verdicts.precision(0.1), "pass"),
        (verdicts.precision(0.3), "weak"),
        (verdicts.precision(1.0), "fail"),
        (verdicts.precision(float("inf")), "weak"),
        (verdicts.randomised_layers(randomised(0.1)), "pass"),
        (verdicts.randomised_layers(randomised(-0.7)), "pass"),
        (verdicts.randomised_layers(randomised(0.7)), "weak"),
        (verdicts.randomised_layers(randomised(1.0)), "fail"),
        (verdicts.noise_stability(Stability(0.99, 0.02)), "pass"),
        (verdicts.noise_stability(Stability(0.9, 0.25)), "weak"),
        (verdicts.noise_stability(Stability(0.2, 0.9)), "fail"),
        (verdicts.noise_stability(Stability(0.0, float("inf"))), "fail"),
        (verdicts.seed_stability(Agreement(0.8, 0.7, 10, 3)), "pass"),
        (verdicts.seed_stability(Agreement(0.8, 0.5, 10, 3)), "weak"),
        (verdicts.seed_stability(Agreement(0.8, 0.0, 1, 3)), "fail"),
        (verdicts.learning(Learning(0.2, "the last value", 0.001, 100)), "pass"),
        (verdicts.learning(Learning(0.2, "the last value", 0.2, 100)), "weak"),
        (verdicts.learning(Learning(0.02, "the last value", 0.001, 100)), "weak"),
        (verdicts.learning(Learning(0.0, "its own level, trend and season", 1.0, 100)), "weak"),
        (verdicts.learning(Learning(-0.1, "the last value", 1.0, 100)), "fail"),
        (verdicts.manifold(Manifold(1.2, 0.1)), "pass"),
        (verdicts.manifold(Manifold(9.0, 1.0)), "weak"),
        (verdicts.gradient_agreement(LagCurves(np.arange(10.0), np.arange(10.0))), "pass"),
        (verdicts.gradient_agreement(LagCurves(np.arange(10.0), -np.arange(10.0))), "weak"),
    ],
)
def test_every_check_has_a_verdict_and_a_sentence(check, verdict):
    assert check.verdict == verdict
    assert check.sentence.endswith(".")


def line(name: str, verdict: str) -> Check:
    return Check(name, 0.0, verdict, f"Sentence of {name}.")


@pytest.mark.parametrize("name", verdicts.DECISIVE)
def test_one_decisive_failure_is_enough_not_to_believe(name):
    others = [line(other, "pass") for other in (*verdicts.DECISIVE, "insertion") if other != name]
    found = verdicts.overall([*others, line(name, "fail")], 9, SKILLED)
    assert found.verdict == "fail"
    assert found.sentence == f"Do not believe this explanation: sentence of {name}."


def test_other_failures_and_decisive_weaknesses_ask_for_care():
    for doubt in (line("insertion", "fail"), line("precision", "weak")):
        found = verdicts.overall([line("additivity", "pass"), doubt], 9, SKILLED)
        assert found.verdict == "weak"
        assert found.sentence == f"Believe this explanation with care: sentence of {doubt.name}."
    both = verdicts.overall([line("faithfulness", "fail"), line("precision", "weak")], 9, SKILLED)
    assert both.sentence == "Do not believe this explanation: sentence of faithfulness."


@pytest.mark.parametrize(("passed", "verdict"), [(5, "fail"), (6, "weak"), (11, "weak")])
def test_fewer_than_half_of_the_checks_passed_is_a_failure_whichever_they_are(passed, verdict):
    weak = ("manifold", "gradient_agreement", "deletion", "insertion", "sufficiency", "comprehensiveness")
    doubts = [line(name, "weak") for name in weak][: 11 - passed]
    checks = [line("noise_stability", "fail"), *doubts, *(line("additivity", "pass") for _ in range(passed))]
    assert len(checks) == 12
    assert verdicts.faithful(checks, 9).verdict == verdict
    found = verdicts.overall(checks, 9, SKILLED)
    assert found.verdict == verdict
    assert ("only 5 of 12 checks passed; failed: noise stability; weak: manifold" in found.sentence) == (passed < 6)


def still(cells, of):
    return torch.zeros(len(cells), 2, 1)


def moving(cells, of):
    return cells[:, :2, None]


def examine_zeros(game) -> list[Check]:
    """What the checks say of values that are all zero, for a game of four cells."""
    random, values = np.random.default_rng(0), np.zeros((3, 4, 2))
    windows, references = torch.ones(3, 4), torch.zeros(3, 5, 4)
    chunk = Chunk(game, windows, [Masker(each) for each in references], singles(4))
    curves = removal_curves(chunk, references, np.zeros((3, 4)), np.zeros(4), random)
    return [
        verdicts.precision(float("inf")),
        verdicts.convergence(Halves(values, values)),
        verdicts.deletion_curve(curves),
        verdicts.insertion_curve(curves),
        verdicts.sufficiency(curves),
        verdicts.comprehensiveness(curves),
        verdicts.faithfulness(faithfulness(chunk, references, values, random)),
    ]


def test_a_forecast_that_never_moves_is_rightly_explained_by_zeros():
    made = examine_zeros(still)
    assert [check.verdict for check in made] == ["weak", *["pass"] * 6]
    assert all(np.isfinite(check.figure) for check in made)
    found = verdicts.overall(made, 9, SKILLED)
    assert found.sentence == (
        "Believe this explanation with care: every SHAP value is zero: the forecast does not react to its inputs."
    )


def test_zeros_for_a_forecast_that_moves_are_not_believed():
    found = verdicts.overall(examine_zeros(moving), 9, SKILLED)
    assert found.verdict == "fail"
    assert "do not foretell" in found.sentence


def test_a_product_of_two_inputs_is_not_refuted_by_curves_that_cannot_tell():
    curves = [line("deletion", "fail"), line("insertion", "fail"), line("sufficiency", "fail")]
    assert verdicts.faithful([line("faithfulness", "pass"), *curves]).verdict == "weak"


def test_advice_with_flags_stands_apart_from_the_sentences_that_a_client_reads():
    halves = (np.ones((2, 3, 1)), np.tile(np.array([[1.0], [2.0], [0.0]]), (2, 1, 1)))
    doubts = [verdicts.precision(0.3), verdicts.convergence(Halves(*halves)), verdicts.manifold(Manifold(9.0, 1.0))]
    assert [check.verdict for check in doubts] == ["weak"] * 3
    assert ["--max-evals" in check.advice for check in doubts] == [True, True, False]
    assert "--value conditional" in doubts[-1].advice
    found = verdicts.overall(doubts, 9, SKILLED)
    assert all("--" not in check.sentence for check in (*doubts, found))
    assert verdicts.precision(0.1).advice == ""


def test_without_doubt_the_explanation_stands_and_other_weak_checks_are_named():
    assert verdicts.faithful([line("additivity", "pass")]).verdict == "pass"
    found = verdicts.faithful([line("additivity", "pass"), line("seed_stability", "weak")])
    assert found.verdict == "pass"
    assert found.sentence.endswith("1 of 2 attempts to refute it; weak: seed stability.")
    assert verdicts.faithful([]).verdict == "weak"
    both = verdicts.faithful([line("insertion", "fail"), line("manifold", "weak"), line("additivity", "pass")])
    assert both.sentence.endswith("1 of 3 attempts to refute it; failed: insertion; weak: manifold.")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("not shown", "it is not shown that the model forecasts better than ridge."),
        ("none", "the model forecasts no better than ridge."),
        ("unknown", "whether the model forecasts better than simple methods is unknown."),
    ],
)
def test_without_skill_the_verdict_is_at_best_with_care_and_says_why(state, said):
    model = Knowledge(state, "ridge", -0.1, "All that is known.")
    found = verdicts.overall([line("additivity", "pass")], 9, model)
    assert found.verdict == "weak"
    assert found.sentence == f"Believe this explanation with care: it is faithful to the model, but {said}"
    doubtful = verdicts.overall([line("precision", "weak")], 9, model)
    assert doubtful.verdict == "weak"
    assert doubtful.sentence.endswith(f"sentence of precision. Besides, {said}")
    assert verdicts.overall([line("precision", "fail")], 9, model).verdict == "fail"


def test_what_is_said_of_the_model_does_not_make_an_explanation_unfaithful():
    untrained = verdicts.learning(Learning(-0.4, "the last value", 1.0, 200))
    assert untrained.verdict == "fail"
    assert verdicts.faithful([line("additivity", "pass"), untrained]) == verdicts.faithful([line("additivity", "pass")])


@pytest.mark.parametrize(("windows", "verdict"), [(1, "weak"), (3, "weak"), (4, "pass")])
def test_so_few_forecasts_can_refute_that_passing_says_little(windows, verdict):
    found = verdicts.overall([line("additivity", "pass")], windows, SKILLED)
    assert found.verdict == verdict
    assert ("too few" in found.sentence) == (verdict == "weak")

"""Enumerated SHAP values against the definition, and the closed form against the enumeration."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.explanation.games import Recurrent, brute_force, marginal, singles
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.explanation.shap.exact import affordable, enumerate_all, exact_linear, is_exact
from tsx.explanation.shap.players import Players
from tsx.explanation.shap.sampling import of_base_value
from tsx.explanation.shap.shap_run import shapley_values
from tsx.spec.settings import Question


@pytest.fixture(scope="module")
def setting():
    generator = torch.Generator().manual_seed(1)
    windows = torch.randn(3, 6, generator=generator) * 2
    return Recurrent(), windows, torch.randn(60, 6, generator=generator) * 2


def run(setting, *, players=None):
    game, windows, population = setting
    return enumerate_all(Chunk(game, windows, [Masker(population)] * len(windows), players or singles(6)))


def test_with_every_reference_they_are_the_definition_and_free_of_error(setting):
    game, windows, population = setting
    for x, each in zip(windows, run(setting)):
        expected = brute_force(marginal(game, x, population, singles(6)), 6)
        np.testing.assert_allclose(each.parts, expected, atol=1e-4)
        assert not each.errors.any()
        assert each.converged
        assert each.evaluations == 1 + 60 * 63
        np.testing.assert_allclose(each.base + each.parts.sum(0), each.forecast, atol=1e-6)


def test_of_many_references_those_of_the_base_value_are_played_whole(setting):
    game, windows, _ = setting
    population = torch.randn(900, 6, generator=torch.Generator().manual_seed(2))
    used = of_base_value(population)
    assert len(used) == 256
    for x, each in zip(windows, run((game, windows, population))):
        np.testing.assert_allclose(each.parts, brute_force(marginal(game, x, used, singles(6)), 6), atol=1e-4)
        np.testing.assert_allclose(each.base, game(used, None).double().numpy().mean(0), atol=1e-5)
        assert not each.errors.any()


@pytest.mark.parametrize("references", [40, 256, 900])
@pytest.mark.parametrize("count", [4, 6, 9])
def test_whatever_can_be_afforded_the_base_value_is_a_mean_over_up_to_256_references(count, references):
    generator = torch.Generator().manual_seed(count)
    window, weights = torch.randn(1, count, generator=generator), torch.randn(count, generator=generator)
    population = torch.randn(references, count, generator=generator)

    def game(cells, of):
        return (cells @ weights)[:, None, None]

    chunk = Chunk(game, window, [Masker(population)], singles(count))
    expected = float((of_base_value(population) @ weights).double().mean())
    # of more than 256 the linear fit knows the rest
    others = float((population @ weights).double().mean())
    for evals in (30, 2_000, 10**6):
        question = Question(max_evals=evals)
        (found,) = shapley_values(chunk, question, np.random.default_rng(0))
        base = float(found.base.sum())
        assert min(abs(base - expected), abs(base - others)) < 0.02
        assert found.errors.any() or is_exact(chunk, evals)


def test_owen_values_are_means_over_all_orders_that_keep_blocks_together(setting):
    from itertools import permutations

    game, windows, population = setting
    blocked = singles(6, [0, 0, 1, 1, 1, 2])
    value = marginal(game, windows[0], population, blocked)
    cache: dict[tuple[bool, ...], np.ndarray] = {}

    def worth(members: list[int]) -> np.ndarray:
        present = torch.zeros(6, dtype=torch.bool)
        present[members] = True
        key = tuple(present.tolist())
        if key not in cache:
            cache[key] = value(present)
        return cache[key]

    total, count = np.zeros((6, 2, 2)), 0
    for order in permutations(range(6)):
        if (np.diff(blocked.block[list(order)]) != 0).sum() == 2:
            count += 1
            for k, player in enumerate(order):
                total[player] += worth(list(order[: k + 1])) - worth(list(order[:k]))
    assert count == 2 * 6 * 6
    np.testing.assert_allclose(run(setting, players=blocked)[0].parts, total / count, atol=1e-4)


def test_a_linear_forecast_has_a_closed_form(setting):
    _, windows, population = setting
    weights = np.arange(12.0).reshape(6, 2) - 5

    def game(cells, of):
        return (cells @ torch.from_numpy(weights).float())[..., None]

    for x, each in zip(windows, run((game, windows, population))):
        expected = exact_linear(weights, x.numpy(), population.numpy().mean(0))
        np.testing.assert_allclose(each.values, expected, atol=1e-4)


def test_cells_that_nobody_plays_stay_and_players_of_several_cells_move_together(setting):
    game, windows, population = setting
    players = Players(("y",) * 2, (1, 3), (2, 5), np.array([-1, 1, 1, 0, 0, 1]), np.zeros(2, dtype=int))
    for x, each in zip(windows, run(setting, players=players)):
        expected = brute_force(marginal(game, x, population, players), 2)
        np.testing.assert_allclose(each.parts, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("players", "references", "evals", "exact"),
    [
        (3, 256, 1 + 256 * 7, True),
        (3, 256, 256 * 7, False),
        (8, 256, 8192, False),  # 32 references of 256 would have more error than a sample, and another base value
        (10, 8, 8192, True),
        (13, 8, 10**9, False),
        (0, 8, 8192, False),
    ],
)
def test_coalitions_are_enumerated_only_where_every_reference_is_affordable(players, references, evals, exact):
    assert affordable(players, references, evals) == exact


def test_where_some_references_would_have_to_do_sampling_needs_a_fraction_of_the_evaluations(setting):
    game, windows, _ = setting
    population = torch.randn(300, 6, generator=torch.Generator().manual_seed(3)) * 2
    chunk = Chunk(game, windows, [Masker(population)] * len(windows), singles(6))
    question = Question(max_evals=8192)
    assert not is_exact(chunk, question.max_evals)
    truth = np.stack([each.values for each in enumerate_all(chunk)])
    sampled = shapley_values(chunk, question, np.random.default_rng(0))
    assert max(each.evaluations for each in sampled) < 256 * 63 / 4
    apart = np.stack([each.values for each in sampled]) - truth
    assert np.sqrt(np.square(apart).sum() / np.square(truth).sum()) < 0.2

"""Enumerated SHAP values against the definition, and the closed form against the enumeration."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.explanation.games import Recurrent, brute_force, marginal, singles
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.explanation.shap.exact import affordable, enumerate_all, exact_linear
from tsx.explanation.shap.players import Players


@pytest.fixture(scope="module")
def setting():
    generator = torch.Generator().manual_seed(1)
    windows = torch.randn(3, 6, generator=generator) * 2
    return Recurrent(), windows, torch.randn(60, 6, generator=generator) * 2


def run(setting, *, evals=10**6, players=None, seed=0):
    game, windows, population = setting
    chunk = Chunk(game, windows, [Masker(population)] * len(windows), players or singles(6))
    return enumerate_all(chunk, max_evals=evals, tolerance=0.1, random=np.random.default_rng(seed))


def test_with_every_reference_they_are_the_definition_and_free_of_error(setting):
    game, windows, population = setting
    for x, each in zip(windows, run(setting)):
        expected = brute_force(marginal(game, x, population, singles(6)), 6)
        np.testing.assert_allclose(each.parts, expected, atol=1e-4)
        assert not each.errors.any()
        assert each.converged
        assert each.evaluations == 1 + 60 * 63
        np.testing.assert_allclose(each.base + each.parts.sum(0), each.forecast, atol=1e-6)


def test_with_some_references_the_errors_are_those_of_a_finite_population(setting):
    whole = np.stack([each.values for each in run(setting)])
    apart, errors = [], []
    for seed in range(60):
        found = run(setting, evals=1 + 63 * 40, seed=seed)
        apart.append(np.stack([each.values for each in found]) - whole)
        errors.append(np.stack([each.errors for each in found]))
    assert 0.93 < np.mean(np.abs(apart) < 1.96 * np.array(errors)) < 0.97
    assert 0.85 < np.sqrt(np.square(apart).mean() / np.square(errors).mean()) < 1.1


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


def test_enumeration_is_chosen_where_it_is_affordable():
    assert affordable(3, 256, 8192) == 256
    assert affordable(8, 256, 8192) == 32
    assert affordable(10, 256, 8192) == 0  # 8 references would be too few
    assert affordable(10, 8, 8192) == 8  # unless there are no more
    assert affordable(13, 8, 10**9) == 0
    assert affordable(0, 8, 8192) == 0

"""SHAP values against the definition (all coalitions), against the shap package, and on processes with known causes."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from tsx.explanation.shapley import Players, shapley_values, share_out


def brute_force(game, window: torch.Tensor, references: torch.Tensor) -> np.ndarray:
    """Shapley (1953): the weighted mean marginal contribution over every coalition, averaged over the references."""
    players = len(window)

    def value(members: tuple[int, ...]) -> np.ndarray:
        present = torch.zeros(players, dtype=torch.bool)
        present[list(members)] = True
        return game(torch.where(present, window, references)).double().mean(0).numpy()

    values = {c: value(c) for size in range(players + 1) for c in combinations(range(players), size)}
    out = np.zeros((players, len(values[()])))
    for members, without in values.items():
        weight = 1 / (players * math.comb(players - 1, len(members))) if len(members) < players else 0
        for player in set(range(players)) - set(members):
            out[player] += weight * (values[tuple(sorted((*members, player)))] - without)
    return out


class Recurrent:
    """A small random LSTM over 8 lags with two outputs: a game with interactions between all its players."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.lstm, self.head = torch.nn.LSTM(1, 6, batch_first=True), torch.nn.Linear(6, 2)
        with torch.no_grad():
            for weight in self.lstm.parameters():
                weight.mul_(3)

    def __call__(self, cells: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.head(self.lstm(cells[..., None])[0][:, -1]) * 10


@pytest.fixture(scope="module")
def setting():
    random = torch.Generator().manual_seed(1)
    return Recurrent(), torch.randn(8, generator=random) * 2, torch.randn(40, 8, generator=random) * 2


def test_values_agree_with_all_coalitions_within_their_standard_errors(setting):
    game, window, population = setting
    truth = brute_force(game, window, population)
    random = np.random.default_rng(2)
    drawn = population[random.integers(0, 40, 600)]
    found = shapley_values(game, window, drawn, population, random)
    standardised = (found.values - truth) / found.errors
    # 16 values: their mean square is a chi-square of 16 degrees over 16, under 2.1 in 99.4 % of draws
    assert np.square(standardised).mean() < 2.1
    assert np.abs(standardised).max() < 4
    assert found.errors.max() < 0.1 * np.abs(truth).max()


def test_standard_errors_are_as_large_as_the_spread_over_repetitions(setting):
    game, window, population = setting
    random = np.random.default_rng(3)
    runs = [shapley_values(game, window, population[random.integers(0, 40, 30)], population, random) for _ in range(60)]
    spread = np.std([run.values for run in runs], axis=0, ddof=1)
    claimed = np.sqrt(np.mean([np.square(run.errors) for run in runs], axis=0))
    assert 0.85 < np.sqrt(np.square(claimed).sum() / np.square(spread).sum()) < 1.15


def test_standard_errors_of_few_pairs_hold_as_often_as_those_of_many(setting):
    game, window, population = setting
    truth = brute_force(game, window, population)
    random = np.random.default_rng(13)
    runs = [shapley_values(game, window, population[random.integers(0, 40, 10)], population, random) for _ in range(80)]
    within = np.mean([np.abs(run.values - truth) < run.errors for run in runs])
    assert 0.6 < within < 0.76  # a standard error holds in 68 % of cases


@pytest.mark.parametrize("pairs", [2, 5, 30])
def test_base_plus_values_is_the_forecast(setting, pairs):
    game, window, population = setting
    found = shapley_values(game, window, population[:pairs], population, np.random.default_rng(4))
    np.testing.assert_allclose(found.base + found.values.sum(0), game(window[None])[0].numpy(), atol=1e-5)


def test_a_linear_game_is_solved_by_its_weights(setting):
    _, window, population = setting
    weights = torch.arange(1.0, 9.0)[:, None]
    found = shapley_values(lambda cells: cells @ weights, window, population, population, np.random.default_rng(5))
    expected = weights * (window - population.mean(0))[:, None]
    np.testing.assert_allclose(found.values, expected.numpy(), atol=1e-4)


def test_a_player_that_changes_nothing_gets_nothing_and_twins_get_the_same(setting):
    _, window, population = setting
    window, population = window.clone(), population.clone()
    window[3], population[:, 3] = window[2], population[:, 2]

    def game(cells: torch.Tensor) -> torch.Tensor:
        return (torch.tanh(cells[:, 2] + cells[:, 3]) * cells[:, 1])[:, None]

    found = shapley_values(game, window, population.repeat(20, 1), population, np.random.default_rng(6))
    assert np.abs(found.values[[0, 4, 5, 6, 7]]).max() == 0
    assert abs(found.values[2, 0] - found.values[3, 0]) < 4 * np.hypot(found.errors[2, 0], found.errors[3, 0])


def test_missing_cells_travel_as_values(setting):
    _, window, population = setting
    window = window.clone()
    window[1] = torch.nan

    def game(cells: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.isnan(cells), 5.0, cells).sum(1, keepdim=True)

    found = shapley_values(game, window, population, population, np.random.default_rng(7))
    assert found.values[1, 0] == pytest.approx(5.0 - float(population[:, 1].mean()), abs=1e-5)


def test_values_agree_with_the_shap_package(setting):
    import shap

    game, window, population = setting

    def first_output(cells: np.ndarray) -> np.ndarray:
        return game(torch.from_numpy(cells.astype(np.float32)))[:, 0].numpy()

    masker = shap.maskers.Independent(population.numpy(), max_samples=len(population))
    theirs = shap.explainers.Exact(first_output, masker)(window[None].numpy())
    random = np.random.default_rng(8)
    found = shapley_values(game, window, population[random.integers(0, 40, 600)], population, random)
    assert np.abs((found.values[:, 0] - theirs.values[0]) / found.errors[:, 0]).max() < 4


def test_the_same_seed_gives_the_same_values(setting):
    game, window, population = setting
    one, two = (shapley_values(game, window, population, population, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(one.values, two.values)


def test_evaluations_are_counted_and_bounded_by_what_was_allowed(setting):
    game, window, population = setting
    counted = []

    def counting(cells: torch.Tensor) -> torch.Tensor:
        counted.append(len(cells))
        return game(cells)

    pairs, size = share_out(8, 200, len(population))
    found = shapley_values(counting, window, population[:pairs], population[:size], np.random.default_rng(10))
    assert found.evaluations == sum(counted) <= 200
    assert share_out(1000, 10, 40) == (10, 1)


def test_noise_that_enters_through_the_references_level_is_taken_out():
    random = np.random.default_rng(11)
    levels = torch.from_numpy(random.normal(size=(300, 1)) * 50).float()
    population = levels + torch.zeros(300, 8)  # flat windows at very different levels
    drawn = population[:20]
    found = shapley_values(lambda cells: cells.mean(1, keepdim=True), torch.arange(8.0), drawn, population, random)
    expected = (np.arange(8) - float(levels.mean())) / 8
    np.testing.assert_allclose(found.values[:, 0], expected, atol=1e-4)
    assert found.errors.max() < 1e-4
    assert found.base[0] == pytest.approx(float(levels.mean()), abs=1e-4)


def test_players_stand_in_the_order_of_the_cells():
    from tsx.config import NetworkConfig, Schema

    players = Players.of(Schema("t", "y", past=("x",), future=("p",)), NetworkConfig(2, 3, 1, 1, past=1, future=1))
    assert list(zip(players.feature, players.lag)) == [
        ("y", 3), ("x", 3), ("p", 3), ("y", 2), ("x", 2), ("p", 2), ("y", 1), ("x", 1), ("p", 1), ("p", 0), ("p", -1),
    ]  # fmt: skip

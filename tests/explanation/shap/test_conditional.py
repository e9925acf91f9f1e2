"""Conditional SHAP values against their closed form: a linear forecast of a Gaussian AR(2) process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.explanation.games import brute_force, marginal, singles
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.explanation.shap.conditional import Dependence, along_order, dependences, draw_absent
from tsx.explanation.shap.exact import enumerate_all
from tsx.explanation.shap.players import Players
from tsx.explanation.shap.sampling import estimate

WEIGHTS = torch.tensor([0.3, 0.0, 0.0, -0.5, 0.0, 1.2])
LEVEL = 10.0


def linear(cells, of):
    return (cells @ WEIGHTS)[:, None, None]


@pytest.fixture(scope="module")
def process():
    """6 lags of y_t = 0.6 y_{t-1} + 0.3 y_{t-2} + e: the true covariance, and windows of it around a level."""
    impulse = np.zeros(400)
    impulse[0] = 1.0
    for t in range(1, 400):
        impulse[t] = 0.6 * impulse[t - 1] + (0.3 * impulse[t - 2] if t > 1 else 0.0)
    covariance = np.array([[impulse[abs(i - j) :] @ impulse[: 400 - abs(i - j)] for i in range(6)] for j in range(6)])
    draws = np.random.default_rng(0).multivariate_normal(np.full(6, LEVEL), covariance, size=4000)
    return covariance, torch.from_numpy(draws).float()


def conditional_truth(window: torch.Tensor, mean: np.ndarray, covariance: np.ndarray, players: Players) -> np.ndarray:
    """All coalitions, each with the exact conditional expectation of a linear forecast (Aas et al. 2021)."""
    x = window.double().numpy()

    def value(present: torch.Tensor) -> np.ndarray:
        p = present.numpy()[players.of_cell]
        full = mean.copy()
        if p.any():
            full = mean + covariance[:, p] @ np.linalg.solve(covariance[np.ix_(p, p)], (x - mean)[p])
        full[p] = x[p]
        return np.atleast_1d(full @ WEIGHTS.double().numpy())

    return brute_force(value, len(players))


def dependence_of(covariance: np.ndarray) -> Dependence:
    spread = np.sqrt(covariance.diagonal())
    return Dependence(torch.from_numpy(covariance / spread / spread[:, None]), torch.from_numpy(spread))


@pytest.mark.parametrize("cells", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 2]])
def test_both_ways_agree_with_the_closed_form(process, cells):
    covariance, windows = process
    count = max(cells) + 1
    players = Players(("y",) * count, *(tuple(range(count)),) * 2, np.array(cells), np.zeros(count, dtype=int))
    population, explained = windows[:200], windows[-8:]
    mean = population.double().numpy().mean(0)
    maskers = [Masker(population, dependence_of(covariance))] * len(explained)
    chunk = Chunk(linear, explained, maskers, players)
    sampled = estimate(chunk, max_evals=1500, tolerance=0.01, random=np.random.default_rng(1))
    exact, plain = enumerate_all(chunk), enumerate_all(replace(chunk, maskers=[Masker(population)] * len(explained)))
    for x, one, other, marginally in zip(explained, exact, sampled, plain):
        expected = conditional_truth(x, mean, covariance, players)[:, 0]
        np.testing.assert_allclose(one.values[:, 0], expected, atol=2e-4)
        assert np.abs((other.values[:, 0] - expected) / np.maximum(other.errors[:, 0], 1e-4)).max() < 4.5
        apart = WEIGHTS * (x - population.mean(0))
        held = torch.zeros(count).index_add_(0, torch.tensor(cells), apart)
        np.testing.assert_allclose(marginally.values[:, 0], held.numpy(), atol=1e-4)
        np.testing.assert_allclose(other.base + other.parts.sum(0), other.forecast, atol=1e-9)


def test_a_lag_without_weight_matters_only_conditionally(process):
    covariance, windows = process
    mean = windows.double().numpy().mean(0)
    x = torch.full((6,), LEVEL)
    x[4] += 3  # next to the lag with the largest weight
    assert abs(conditional_truth(x, mean, covariance, singles(6))[4, 0]) > 0.5


def test_draws_have_the_conditional_distribution(process):
    covariance, windows = process
    present = torch.tensor([True, False, True, False, False, True])
    p = present.numpy()
    drawn = draw_absent(windows[0], windows, present, dependence_of(covariance)).double().numpy()
    np.testing.assert_array_equal(drawn[:, p], np.broadcast_to(windows[0].numpy()[p], (4000, 3)))
    gain = covariance[np.ix_(~p, p)] @ np.linalg.inv(covariance[np.ix_(p, p)])
    mean = LEVEL + gain @ (windows[0].double().numpy() - LEVEL)[p]
    spread = covariance[np.ix_(~p, ~p)] - gain @ covariance[np.ix_(p, ~p)]
    np.testing.assert_allclose(drawn[:, ~p].mean(0), mean, atol=0.1)
    np.testing.assert_allclose(np.cov(drawn[:, ~p].T), spread, atol=0.1)


def test_one_factor_serves_every_beginning_of_an_order(process):
    covariance, windows = process
    dependence = dependence_of(covariance)
    rank = torch.tensor([2, 0, 1, -1, 2, 3])
    mixed = along_order(windows[0], windows[1], rank, 4, dependence)
    always = dependence.spread.clone()
    always[3] = 0  # a cell that nobody plays neither follows nor is followed
    for c in (1, 2, 3):
        for row, present in ((mixed[c - 1], (rank < c)), (mixed[3 + c - 1], (rank >= c) | (rank < 0))):
            expected = draw_absent(windows[0], windows[1:2], present, Dependence(dependence.correlation, always))[0]
            torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [4, 4000])
def test_the_dependence_is_found_from_many_windows_and_stays_usable_with_few(process, count):
    covariance, windows = process
    scales = [1.0, 50.0]
    found, words = dependences([windows[:count] * k for k in scales], singles(6))
    assert f"{2 * count:,} windows" in words
    for each, scale in zip(found, scales):
        assert torch.linalg.eigvalsh(each.correlation).min() > 0
        torch.testing.assert_close(each.spread, windows[:count].double().std(0, correction=0) * scale)
    true = dependence_of(covariance).correlation
    off = (found[0].correlation - true).abs().max()
    assert off < (0.05 if count == 4000 else 1.0)


def test_missing_constant_and_static_cells_do_no_harm(process):
    _, windows = process
    population = torch.cat([windows[:100], torch.full((100, 1), 4.0), torch.arange(100.0)[:, None] % 3], 1)
    population[::7, 2] = torch.nan
    explained = torch.cat([windows[-3:], torch.full((3, 1), 4.0), torch.ones(3, 1)], 1)
    explained[0, 1] = torch.nan
    lags = (*range(7), None)
    players = Players((*("y",) * 7, "ward"), lags, lags, np.arange(8), np.zeros(8, dtype=int))
    (dependence,), _ = dependences([population], players)
    assert dependence.moves.tolist() == [True] * 6 + [False] * 2

    def game(cells, of):
        return torch.where(torch.isnan(cells), 9.0, cells).sum(1)[:, None, None]

    chunk = Chunk(game, explained, [Masker(population, dependence)] * 3, players)
    asked = {"max_evals": 10**5, "tolerance": 0.05, "random": np.random.default_rng(2)}
    for one, other in zip(estimate(chunk, **asked), enumerate_all(chunk)):
        assert np.isfinite(one.values).all()
        assert np.abs((one.values - other.values) / np.maximum(one.errors, 1e-3)).max() < 5
        assert abs(other.values[6, 0]) < 1e-4


def test_without_dependence_the_marginal_game_is_played(process):
    _, windows = process
    population, x = windows[:50], windows[-1]
    chunk = Chunk(linear, x[None], [Masker(population)], singles(6))
    (found,) = enumerate_all(chunk)
    np.testing.assert_allclose(found.parts, brute_force(marginal(linear, x, population, singles(6)), 6), atol=1e-4)

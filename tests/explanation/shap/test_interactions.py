"""Interactions of pairs where they are known, and against the definition."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from tests.explanation.games import Recurrent, marginal, singles
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.explanation.shap.exact import enumerate_all
from tsx.explanation.shap.interactions import strongest_interactions


@pytest.fixture(scope="module")
def setting():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 6, generator=generator) * 2, torch.randn(50, 6, generator=generator) * 2


def run(game, windows, population, *, count=4, draws=200, players=None):
    chunk = Chunk(game, windows, [Masker(population)] * len(windows), players or singles(6))
    shapley = enumerate_all(chunk)
    return shapley, strongest_interactions(chunk, shapley, count=count, draws=draws, random=np.random.default_rng(1))


def test_a_product_interacts_and_nothing_else_does(setting):
    windows, population = setting

    def game(cells, of):
        return (3 * cells[:, 1] * cells[:, 4] + 5 * cells[:, 0])[:, None, None]

    for x, each in zip(windows, run(game, windows, population, count=6)[1]):
        expected = 3 * float(((x[1] - population[:, 1]) * (x[4] - population[:, 4])).mean())
        for n, pair in enumerate(zip(each.first.tolist(), each.second.tolist())):
            if set(pair) == {1, 4}:
                assert abs(each.values[n, 0] - expected) < 4 * each.errors[n, 0]
                assert each.errors[n, 0] > 0
            else:
                assert abs(each.values[n, 0]) < 1e-4


def test_an_additive_forecast_has_none(setting):
    windows, population = setting

    def game(cells, of):
        return torch.stack([cells.square().sum(1), cells.sum(1)], 1)[..., None]

    for each in run(game, windows, population)[1]:
        assert np.abs(each.values).max() < 1e-4


def test_they_agree_with_the_definition_among_the_strongest_players(setting):
    windows, population = setting
    game = Recurrent()
    shapley, found = run(game, windows, population, count=3, draws=400)
    standardised = []
    for x, values, each in zip(windows, shapley, found):
        strong = np.argsort(-np.abs(values.values).mean(1))[:3]
        assert {*each.first.tolist(), *each.second.tolist()} == set(strong.tolist())
        assert each.evaluations == 3 * 8 * 400
        value = marginal(game, x, population, singles(6))
        for n, (i, j) in enumerate(zip(each.first.tolist(), each.second.tolist())):
            expected = np.zeros(2)
            others = [k for k in range(6) if k not in (i, j)]
            for size in range(5):
                for members in combinations(others, size):
                    weight = math.factorial(size) * math.factorial(4 - size) / math.factorial(5)
                    for sign, joined in ((1, (i, j)), (-1, (i,)), (-1, (j,)), (1, ())):
                        present = torch.zeros(6, dtype=torch.bool)
                        present[[*members, *joined]] = True
                        expected += sign * weight * value(present).sum(-1)
            standardised.append((each.values[n] - expected) / each.errors[n])
    assert np.abs(standardised).max() < 4
    assert 0.5 < np.square(standardised).mean() < 1.7  # 24 values


def test_a_single_player_has_no_pair(setting):
    windows, population = setting
    for each in run(Recurrent(), windows, population, count=1)[1]:
        assert each.values.shape == (0, 2)
        assert each.evaluations == 0

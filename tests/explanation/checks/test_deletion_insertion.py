"""Deletion and insertion on games whose answer can be worked out by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tsx.explanation.checks.deletion_insertion import (
    SUBSETS,
    autocorrelation_strength,
    faithfulness,
    removal_curves,
)
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.explanation.shap.players import NOBODY, Players


def players(of_cell) -> Players:
    of_cell = np.asarray(of_cell)
    count = int(of_cell.max()) + 1
    lags = tuple(range(1, count + 1))
    return Players(("y",) * count, lags, lags, of_cell, np.zeros(count, dtype=np.int64))


def linear(weights):
    weights = torch.as_tensor(weights, dtype=torch.float64)
    return lambda cells, of: (cells @ weights)[:, None, None]


def chunk_of(game, windows, references, who) -> Chunk:
    return Chunk(game, windows, [Masker(each) for each in references], who)


def curves(game, windows, references, who, strength, own=None, seed=0, **settings):
    own = np.zeros(len(who)) if own is None else own
    chunk = chunk_of(game, windows, references, who)
    return removal_curves(chunk, references, strength, own, np.random.default_rng(seed), **settings)


def change(found, order, kind):
    rows = found.table.filter((pl.col("order") == order) & (pl.col("kind") == kind))
    return dict(zip(rows["removed"].round(6).to_list(), rows["change"].to_list()))


def test_curves_are_those_worked_out_by_hand():
    ones, zeros = torch.ones(1, 4, dtype=torch.float64), torch.zeros(1, 2, 4, dtype=torch.float64)
    found = curves(
        linear([2, 8, 1, 4]),
        ones,
        zeros,
        players([0, 1, 2, 3]),
        np.array([[2.0, 8, 1, 4]]),
        own=np.array([4.0, 3, 2, 1]),
        shares=(0.25, 0.5, 0.75),
    )
    fifteenths = {name: [15 * v for v in change(found, *name).values()] for name in found.areas if name[0] != "random"}
    assert fifteenths["shap", "deletion"] == pytest.approx([0, 8, 12, 14, 15])
    assert fifteenths["shap", "insertion"] == pytest.approx([0, 1, 3, 7, 15])
    assert fifteenths["autocorrelation", "deletion"] == pytest.approx([0, 2, 10, 11, 15])
    assert found.areas["shap", "deletion"] == pytest.approx((4 + 10) / 2 / 15)
    # of four players the top 1, 5 and 10 % are one, 20 % one, 50 % two
    assert found.comprehensiveness == pytest.approx((4 * 8 + 12) / 5 / 15)
    assert found.sufficiency == pytest.approx((4 * 7 + 3) / 5 / 15)


def test_nothing_replaced_changes_nothing_and_everything_changes_all_of_it():
    random = np.random.default_rng(0)
    windows, references = torch.randn(5, 30), torch.randn(5, 3, 30)
    game = lambda cells, of: torch.stack([cells[:, :9].tanh().sum(1), cells[:, 3:].prod(1)], 1)[..., None]  # noqa: E731
    found = curves(game, windows, references, players(np.arange(30)), random.random((5, 30)))
    for order in ("shap", "random", "autocorrelation"):
        for kind in ("deletion", "insertion"):
            drawn = change(found, order, kind)
            assert (drawn[0.0], drawn[1.0]) == (0, pytest.approx(1))
    ends = found.table.filter(pl.col("removed").is_in([0.0, 1.0]))
    assert ends["change_se"].max() < 1e-9


def test_the_right_order_beats_a_random_one_and_equal_strengths_do_not():
    torch.manual_seed(0)
    random = np.random.default_rng(1)
    weights = random.normal(size=100) * (np.arange(100) < 8)
    windows, references = torch.randn(80, 100, dtype=torch.float64), torch.randn(80, 4, 100, dtype=torch.float64)
    strength = np.abs(weights * windows.numpy())
    right = curves(linear(weights), windows, references, players(np.arange(100)), strength)
    equal = curves(linear(weights), windows, references, players(np.arange(100)), np.ones((80, 100)))
    for kind in ("deletion", "insertion"):
        assert right.gains["shap", kind].mean() > 0.2
        assert abs(equal.gains["shap", kind].mean()) < 0.1
        assert (right.gains["random", kind] == 0).all()
    assert right.areas["shap", "deletion"] > right.areas["random", "deletion"]
    assert right.areas["shap", "insertion"] < right.areas["random", "insertion"]


def test_cells_of_one_player_go_together_and_cells_of_nobody_never_go():
    seen = []

    def game(cells, of):
        seen.append(cells)
        return (cells @ torch.tensor([1.0, 2, 4, 8, 16]))[:, None, None]

    who = players([0, 1, 0, NOBODY, 1])
    curves(game, torch.ones(2, 5), torch.zeros(2, 3, 5), who, np.ones((2, 2)))
    cells = torch.cat(seen)
    mixed = cells[(cells != 0).any(1)]
    assert (mixed[:, 0] == mixed[:, 2]).all()
    assert (mixed[:, 1] == mixed[:, 4]).all()
    # only the references themselves, for the base, come without it
    assert (mixed[:, 3] == 1).all()


def test_every_row_is_evaluated_as_the_window_that_it_began_as():
    windows = torch.arange(3.0)[:, None].expand(3, 40).clone()

    def game(cells, of):
        own = cells == of[:, None]
        assert (own | (cells == -1)).all()
        return own.double().sum(1)[:, None, None]

    found = curves(game, windows, torch.full((3, 2, 40), -1.0), players(np.arange(40)), np.ones((3, 40)))
    assert change(found, "random", "deletion")[0.5] == pytest.approx(0.5)


def test_evaluations_are_bounded_and_counted():
    counted = []

    def game(cells, of):
        counted.append(len(cells))
        return cells.sum(1)[:, None, None]

    found = curves(game, torch.randn(16, 500), torch.randn(16, 6, 500), players(np.arange(500)), np.ones((16, 500)))
    assert found.evaluations == sum(counted) <= 3 * 2 * 11 * 16 * 6 + 16 * 7
    assert max(counted) <= 1024


def test_one_window_has_no_standard_error_and_a_dead_forecast_no_change():
    dead = curves(
        lambda cells, of: torch.zeros(len(cells), 2, 1),
        torch.randn(1, 6),
        torch.randn(1, 2, 6),
        players(np.arange(6)),
        np.ones((1, 6)),
    )
    assert dead.table["change_se"].null_count() == dead.table.height
    assert dead.table["change"].to_list() == [0.0] * dead.table.height
    assert set(dead.areas.values()) == {0.0}


def test_shap_values_of_a_linear_game_foretell_every_removal_exactly():
    random = np.random.default_rng(0)
    weights = random.normal(size=11)
    windows, reference = torch.randn(4, 11, dtype=torch.float64), torch.randn(4, 1, 11, dtype=torch.float64)
    values = (weights * (windows - reference[:, 0]).numpy())[..., None]
    found = faithfulness(
        chunk_of(linear(weights), windows, reference, players(np.arange(11))), reference, values, random
    )
    assert found.predicted.shape == (4, SUBSETS, 1)
    np.testing.assert_allclose(found.predicted, found.observed, atol=1e-12)
    assert found.observed.std(1).min() > 0
    assert found.noise == 0


def test_the_noise_of_few_references_is_what_more_references_take_away():
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    weights = random.normal(size=20)
    windows, references = torch.randn(60, 20, dtype=torch.float64), torch.randn(60, 200, 20, dtype=torch.float64)
    values = (weights * windows.numpy())[..., None]
    few, many = (
        faithfulness(
            chunk_of(linear(weights), windows, references, players(np.arange(20))),
            references[:, :depth],
            values,
            np.random.default_rng(1),
        )
        for depth in (4, 200)
    )
    power = [np.square(each.observed - each.observed.mean(1, keepdims=True)).sum() for each in (few, many)]
    assert few.noise > 10 * many.noise
    assert power[0] - few.noise == pytest.approx(power[1] - many.noise, rel=0.05)


@given(st.integers(0, 2**32 - 1), st.integers(3, 30), st.integers(1, 4), st.integers(1, 3), st.floats(0, 0.6))
def test_strength_by_autocorrelation_is_that_of_every_pair_of_columns(seed, n, cells, steps, missing):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(n, cells)), random.normal(size=(n, steps))
    x[random.random(x.shape) < missing] = np.nan
    y[random.random(y.shape) < missing] = np.nan
    found = autocorrelation_strength(torch.from_numpy(x), torch.from_numpy(y), players(np.arange(cells)))
    for c in range(cells):
        each = []
        for s in range(steps):
            both = ~np.isnan(x[:, c]) & ~np.isnan(y[:, s])
            each.append(abs(np.corrcoef(x[both, c], y[both, s])[0, 1]) if both.sum() >= 3 else 0.0)
        assert found[c] == pytest.approx(np.mean(each), abs=1e-8)


def test_strength_is_zero_where_nothing_varies_and_the_largest_of_a_players_cells():
    x = torch.tensor([[1.0, 1.0, 5.0], [2.0, -1.0, 5.0], [3.0, 1.0, 5.0], [4.0, -1.0, 5.0]])
    y = torch.tensor([[2.0], [4.0], [6.0], [8.0]])
    found = autocorrelation_strength(x, y, players([0, 0, 1]))
    assert found[0] == pytest.approx(1)
    assert found[1] == 0

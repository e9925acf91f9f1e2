"""Stretches of lags and the cells of those that matter: who plays, what values add up to, and what rows say."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.explanation.games import Recurrent, brute_force, marginal, singles
from tests.explanation.shap.test_importance_writer import CELLS, fakes, layout_of, written
from tsx.explanation.shap.choose_players import choose_players, stand_out
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.explanation.shap.exact import enumerate_all
from tsx.explanation.shap.importance_writer import RowLayout
from tsx.explanation.shap.players import NOBODY, Players, split, stretches
from tsx.explanation.shap.sampling import estimate
from tsx.spec.settings import Question


def table_of(features: int, lags: int, statics: int = 0) -> Players:
    """Single cells of a few features, lags upwards, and static covariates; the last cell is nobody's."""
    names = [f"f{n}" for n in range(features) for _ in range(lags)] + [f"s{n}" for n in range(statics)]
    lag = tuple([*range(1, lags + 1)] * features) + (None,) * statics
    cells = np.append(np.arange(len(names)), NOBODY)
    return Players(tuple(names), lag, lag, cells, np.zeros(len(names), dtype=int))


def test_stretches_are_runs_of_lags_of_one_feature_and_every_static_covariate_is_alone():
    blocks = stretches(table_of(2, 10, statics=1), 10)
    assert list(zip(blocks.feature, blocks.lag, blocks.oldest)) == [
        *((name, *ends) for name in ("f0", "f1") for ends in ((1, 3), (4, 6), (7, 9), (10, 10))),
        ("s0", None, None),
    ]
    assert blocks.of_cell.tolist() == [*(0, 0, 0, 1, 1, 1, 2, 2, 2, 3), *(4, 4, 4, 5, 5, 5, 6, 6, 6, 7), 8, NOBODY]


@given(st.integers(1, 3), st.integers(1, 30), st.integers(0, 2), st.randoms(use_true_random=False))
def test_every_cell_plays_once_alone_or_in_its_stretch(features, lags, statics, random):
    cells = table_of(features, lags, statics)
    blocks = stretches(cells, lags)
    which = np.array([random.random() < 0.5 for _ in range(len(blocks))])
    players = split(cells, blocks, which)
    for cell in range(len(cells)):
        block, player = blocks.of_cell[cell], players.of_cell[cell]
        mates = np.flatnonzero(players.of_cell == player)
        assert mates.tolist() == ([cell] if which[block] else np.flatnonzero(blocks.of_cell == block).tolist())
        assert players.block[player] == block
        assert players.of_row[cell] == player
        assert players.feature[player] == cells.feature[cell]
    assert players.of_cell[-1] == NOBODY
    assert players.rows is cells


@given(st.integers(1, 3), st.integers(1, 30), st.randoms(use_true_random=False))
def test_rows_of_a_player_share_its_value_and_add_up_to_it(features, lags, random):
    cells = table_of(features, lags)
    blocks = stretches(cells, lags)
    players = split(cells, blocks, np.array([random.random() < 0.5 for _ in range(len(blocks))]))
    values = np.random.default_rng(0).normal(size=(3, len(players)))
    rows = players.by_row(values)
    assert rows.shape == (3, len(cells))
    for player in range(len(players)):
        own = rows[:, players.of_row == player]
        np.testing.assert_allclose(own.sum(1), values[:, player])
        np.testing.assert_allclose(own, own[:, :1].repeat(own.shape[1], 1))


@pytest.fixture(scope="module")
def setting():
    generator = torch.Generator().manual_seed(1)
    windows = torch.randn(3, 6, generator=generator) * 2
    return Recurrent(), windows, torch.randn(60, 6, generator=generator) * 2


def pieces(which: list[bool]) -> tuple[Players, Players]:
    """Six cells in stretches of two lags, and the players when `which` of the three stretches are split."""
    cells = singles(6)
    blocks = stretches(cells, 6)  # stretches of round(6 ** .5) = 2 lags
    return blocks, split(cells, blocks, np.array(which))


def by_definition(game, window, references, players: Players) -> np.ndarray:
    """Owen values (P, O, G): the mean over all orders of players in which those of a block stand together."""
    value, count = marginal(game, window, references, players), len(players)
    cache: dict[tuple[bool, ...], np.ndarray] = {}

    def worth(present: np.ndarray) -> np.ndarray:
        key = tuple(present.tolist())
        if key not in cache:
            cache[key] = value(torch.from_numpy(present.copy()))
        return cache[key]

    total, orders = 0.0, 0
    for order in permutations(range(count)):
        block = players.block[list(order)]
        if (np.diff(block) != 0).sum() + 1 > len(np.unique(block)):
            continue
        orders += 1
        present, changes = np.zeros(count, dtype=bool), [None] * count
        for player in order:
            before = worth(present)
            present[player] = True
            changes[player] = worth(present) - before
        total = total + np.stack(changes)
    return total / orders


@pytest.mark.parametrize("which", [[True, False, False], [True, False, True]])
def test_values_are_owen_values_by_the_definition_and_blocks_add_up_to_the_values_of_the_stretches(setting, which):
    game, windows, population = setting
    blocks, players = pieces(which)
    chunk = Chunk(game, windows, [Masker(population)] * len(windows), players)
    for x, each in zip(windows, enumerate_all(chunk)):
        np.testing.assert_allclose(each.parts, by_definition(game, x, population, players), atol=1e-4)
        whole = brute_force(marginal(game, x, population, blocks), 3)
        sums = np.stack([each.parts[players.block == block].sum(0) for block in range(3)])
        np.testing.assert_allclose(sums, whole, atol=1e-4)


def test_sampled_owen_values_hold_their_intervals(setting):
    game, windows, population = setting
    _, players = pieces([True, False, True])
    truth = np.stack([by_definition(game, x, population, players).sum(-1) for x in windows])
    chunk = Chunk(game, windows, [Masker(population)] * len(windows), players)
    inside = []
    for seed in range(60):
        found = estimate(chunk, max_evals=700, tolerance=1e-9, random=np.random.default_rng(seed))
        inside += [np.abs(each.values - true) < 1.96 * each.errors for each, true in zip(found, truth)]
    assert 0.92 < np.mean(inside) < 0.98


def test_only_what_stands_out_of_twice_its_standard_errors_is_split():
    class Found:
        def __init__(self, values, errors):
            self.values, self.errors = np.array(values)[:, None], np.array(errors)[:, None]

    one, other = Found([1.0, 0.1, 3.0], [0.4, 0.1, 1.4]), Found([1.0, -0.1, 0.0], [0.4, 0.1, 0.1])
    # root mean squares over both windows: 1 against .4, .1 against .1, 2.1 against .99
    assert stand_out([one, other]).tolist() == [True, False, True]
    assert stand_out([Found([0.0, 0.0], [0.0, 0.0])]).tolist() == [False, False]


def test_every_cell_keeps_a_row_and_those_of_a_stretch_share_its_value(tmp_path):
    alone = layout_of()
    cells = alone.players
    blocks = stretches(cells, 4)
    which = np.zeros(len(blocks), dtype=bool)
    which[0] = True
    players = split(cells, blocks, which)
    layout = RowLayout(alone.panel, alone.config, players, Question(), alone.covariate_location)
    found = fakes(3, len(players), 2)
    writer = written(tmp_path / "i.parquet", layout, found, cells=np.zeros((3, CELLS), dtype=np.float32))
    rows = pl.read_parquet(tmp_path / "i.parquet")
    assert rows.height == 3 * 2 * len(cells)
    assert rows["feature"].head(len(cells)).to_list() == list(cells.feature)
    assert rows["lag"].head(len(cells)).to_list() == list(cells.lag)
    first = rows.head(len(cells))
    np.testing.assert_allclose(first["shap"].to_numpy(), players.by_row(found[0].values[:, 0]))
    np.testing.assert_allclose(first["shap_se"].to_numpy(), players.by_row(found[0].errors[:, 0]), rtol=1e-6)
    shares_a_value = np.bincount(players.of_row)[players.of_row] > 1
    assert (first["block"].is_not_null().to_numpy() == shares_a_value).all()
    assert set(first.filter(pl.col("block").is_not_null())["block"]) <= {"1 to 2", "3 to 3", "-1 to 0", "1 to 1"}
    sums = rows.group_by("id", "cutoff", "step", maintain_order=True).agg(pl.col("shap").sum())["shap"].to_numpy()
    np.testing.assert_allclose(sums.reshape(3, 2), np.stack([each.values.sum(0) for each in found]))
    # a stretch counts once: its mean square, spread over its cells
    square = np.mean([np.square(each.values) - np.square(each.errors) for each in found], axis=0).mean(1)
    profile = writer.totals.profile()["mean_square_shap"].to_numpy()
    np.testing.assert_allclose(profile, np.maximum(players.by_row(square), 0))


@pytest.mark.parametrize(("lags", "windows"), [(80, 3), (63, 24)])
def test_every_cell_plays_where_cells_or_forecasts_are_few(lags, windows):
    cells = table_of(2, lags)
    config = SimpleNamespace(context_length=lags)
    task = SimpleNamespace(players=cells, forecaster=SimpleNamespace(config=config))
    chosen = choose_players(task, np.arange(windows), np.arange(windows))
    assert chosen.players is cells
    assert chosen.evaluations == 0
    assert "few" in chosen.reason

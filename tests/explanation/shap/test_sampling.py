"""Sampled SHAP values against the definition, against the shap package, and their errors against repetitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.explanation.games import InTwoParts, Recurrent, brute_force, marginal, singles
from tsx.explanation.shap.chunk import Chunk, Masker
from tsx.explanation.shap.players import Players
from tsx.explanation.shap.pooling import _within_players, moderated_variance
from tsx.explanation.shap.sampling import estimate, orders


@pytest.fixture(scope="module")
def setting():
    generator = torch.Generator().manual_seed(1)
    windows = torch.randn(12, 8, generator=generator) * 2
    return Recurrent(), windows, torch.randn(40, 8, generator=generator) * 2


@pytest.fixture(scope="module")
def truth(setting):
    game, windows, population = setting
    return np.stack([brute_force(marginal(game, x, population, singles(8)), 8) for x in windows])


def run(setting, *, evals=2000, tolerance=1e-9, seed=0, players=None):
    game, windows, population = setting
    chunk = Chunk(game, windows, [Masker(population)] * len(windows), players or singles(windows.shape[1]))
    return estimate(chunk, max_evals=evals, tolerance=tolerance, random=np.random.default_rng(seed))


def test_values_and_parts_agree_with_all_coalitions_within_their_standard_errors(setting, truth):
    found = run(setting, evals=6000)
    errors = np.stack([each.errors for each in found])
    samples = [found, *(run(setting, evals=2000, seed=seed) for seed in range(1, 5))]
    off = [(each.values - true) / each.errors for one in samples for each, true in zip(one, truth.sum(-1))]
    assert 0.75 < np.square(off).mean() < 1.25  # 960 values, those of a window not independent of each other
    assert errors.max() < 0.1 * np.abs(truth).max()
    parts = np.stack([each.parts for each in found])
    assert np.abs(parts - truth).max() < 0.1 * np.abs(truth).max()


@pytest.mark.parametrize("tolerance", [0.4, 0.2, 0.1])
def test_intervals_hold_as_often_as_they_say_where_the_tolerance_stops(setting, truth, tolerance):
    inside, pairs, off, claimed = [], [], [], []
    for seed in range(25):
        for each, true in zip(run(setting, evals=10**5, tolerance=tolerance, seed=seed), truth.sum(-1)):
            apart = each.values - true
            inside.append(np.abs(apart) < 1.96 * each.errors)
            pairs.append(each.pairs)
            off.append(np.square(apart).sum() / np.square(true).sum())
            claimed.append(each.relative)
            assert each.converged
    assert 0.93 < np.mean(inside) < 0.97
    assert tolerance == 0.4 or min(pairs) < max(pairs)  # every window has as many as it needs
    assert max(claimed) <= tolerance
    assert np.sqrt(np.mean(off)) < 1.1 * tolerance


def bumps(size: float):
    """Two outputs of a smooth game in which all players act together."""

    def game(cells, of):
        waves = torch.stack([torch.sin(cells.sum(1) / 3), torch.cos(cells[:, ::2].sum(1) / 2 - cells[:, 1])], -1)
        return torch.stack([size * waves, size * cells.mean(1, keepdim=True).expand(-1, 2) * 2], -1)

    return game


def scaled(game, size: float):
    return lambda cells, of: size * game(cells, of)


@pytest.mark.parametrize(
    ("smooth", "rest"),
    [
        (bumps(4.0), scaled(Recurrent(), 0.05)),
        (bumps(1.0), scaled(Recurrent(), 0.3)),
        (scaled(Recurrent(), 1.0), scaled(Recurrent(), -0.7)),
    ],
    ids=["the smooth part errs most", "both err", "one takes back what the other adds"],
)
def test_intervals_hold_where_pairs_are_played_in_the_smooth_game_alone(setting, smooth, rest):
    windows, population = setting[1][:5], setting[2]
    game, players = InTwoParts(smooth, rest), singles(8)
    truth = [brute_force(marginal(game, x, population, players), 8) for x in windows]
    inside, off = [], []
    for seed in range(30):
        for each, true in zip(run((game, windows, population), evals=10**5, tolerance=0.2, seed=seed), truth):
            np.testing.assert_allclose(each.base + each.parts.sum(0), each.forecast, atol=1e-9)
            inside.append(np.abs(each.values - true.sum(-1)) < 1.96 * each.errors)
            off.append(np.square(each.values - true.sum(-1)).sum() / np.square(true.sum(-1)).sum())
            assert each.converged
    assert 0.92 < np.mean(inside) < 0.98
    assert np.sqrt(np.mean(off)) < 1.1 * 0.2


def test_the_network_is_asked_for_few_pairs_where_the_smooth_game_makes_the_errors(setting):
    _, windows, population = setting
    game = InTwoParts(bumps(4.0), scaled(Recurrent(), 0.05))
    found = run((game, windows, population), evals=3000, tolerance=0.05)
    assert game.asked["smooth"] > 5 * game.asked["whole"]
    assert sum(each.evaluations for each in found) == game.asked["smooth"] + game.asked["whole"]


def test_every_pair_is_one_of_the_whole_game_where_its_rest_makes_the_errors(setting):
    game, windows, population = setting

    def linear(cells, of):
        return torch.stack([cells.sum(1, keepdim=True).expand(-1, 2) / 50] * 2, -1)

    both = InTwoParts(linear, game)
    for each in run((both, windows, population), evals=400):
        assert each.pairs > 12
    assert both.asked["smooth"] == 0


def test_the_halves_of_a_sample_with_smooth_pairs_add_up_as_it_does(setting):
    _, windows, population = setting
    found = run((InTwoParts(bumps(4.0), scaled(Recurrent(), 0.05)), windows, population), evals=3000)
    apart = []
    for each in found:
        for half in (*each.halves, each.values):
            np.testing.assert_allclose(half.sum(0), (each.forecast - each.base).sum(-1), atol=1e-9)
        squared = each.relative**2 * np.square(each.values).sum()
        apart.append(np.square(each.halves[0] - each.halves[1]).sum() / squared)
    assert 2.5 < np.mean(apart) < 6  # halves of a sample differ by four times its own squared error


def test_one_window_alone_has_intervals_that_hold(setting, truth):
    game, windows, population = setting
    inside = []
    for seed in range(60):
        (found,) = run((game, windows[:1], population), evals=1, seed=seed)
        assert found.pairs == 17
        inside.append(np.abs(found.values - truth[0].sum(-1)) < 1.96 * found.errors)
    assert 0.91 < np.mean(inside) < 0.985


def test_the_halves_of_a_sample_err_independently_and_add_up_as_it_does(setting, truth):
    first, second, whole = [], [], []
    for seed in range(20):
        for each, true in zip(run(setting, evals=600, seed=seed), truth.sum(-1)):
            one, other = each.halves
            for half in (one, other, each.values):
                np.testing.assert_allclose(half.sum(0), (each.forecast - each.base).sum(-1), atol=1e-9)
            first.append(one - true)
            second.append(other - true)
            whole.append(each.values - true)
    errors = [np.ravel(each) for each in (first, second, whole)]
    assert abs(np.corrcoef(errors[0], errors[1])[0, 1]) < 0.15
    one, other, both = (np.square(each).mean() for each in errors)
    assert one == pytest.approx(other, rel=0.25)
    assert both == pytest.approx((one + other) / 4, rel=0.25)


def test_as_many_pairs_are_played_as_are_asked_for_whatever_their_error(setting):
    game, windows, population = setting
    chunk = Chunk(game, windows, [Masker(population)] * len(windows), singles(8))
    asked = {"max_evals": 10**6, "tolerance": 1e-9, "random": np.random.default_rng(0)}
    for each in estimate(chunk, **asked, pairs=2):
        assert each.pairs == 2
        assert each.halves is None  # of one pair nothing could be said
        np.testing.assert_allclose(each.base + each.parts.sum(0), each.forecast, atol=1e-9)


@pytest.mark.parametrize("evals", [1, 300])
def test_base_plus_values_is_the_forecast_part_by_part(setting, evals):
    game, windows, population = setting
    alone = game(windows, torch.arange(len(windows))).double().numpy()
    for each, expected in zip(run(setting, evals=evals), alone):
        np.testing.assert_allclose(each.base + each.parts.sum(0), each.forecast, atol=1e-9)
        np.testing.assert_allclose(each.parts.sum(-1), each.values, atol=1e-12)
        np.testing.assert_allclose(each.forecast, expected, atol=1e-5)
        np.testing.assert_allclose(each.base, game(population, None).double().mean(0).numpy(), atol=1e-5)


def test_a_linear_game_is_solved_by_its_weights_whatever_the_references_level():
    generator = torch.Generator().manual_seed(2)
    weights = torch.arange(1.0, 9.0)
    windows, population = torch.randn(6, 8, generator=generator), torch.randn(300, 8, generator=generator) * 30 + 100

    def game(cells, of):
        return (cells @ weights)[:, None, None]

    for x, each in zip(windows, run((game, windows, population), evals=1)):
        expected = weights * (x - population.mean(0))
        # base: of 300 references 256 are evaluated, and the linear fit makes up for the others
        np.testing.assert_allclose(each.values[:, 0], expected.numpy(), rtol=2e-3, atol=2)
        np.testing.assert_allclose(each.base[0, 0], float(population.mean(0) @ weights), rtol=1e-4)
        assert each.relative < 2e-3
        assert each.pairs == 4


def test_players_of_several_cells_profit_from_what_their_cells_do_to_the_references_forecasts():
    generator = torch.Generator().manual_seed(3)
    windows, population = torch.randn(8, 12, generator=generator), torch.randn(200, 12, generator=generator)
    weights = torch.tensor([1.0, -1.0] * 6)  # the plain mean of a player's cells says nothing
    players = Players(("y",) * 4, (1, 2, 3, 4), (1, 2, 3, 4), np.repeat(np.arange(4), 3), np.zeros(4, dtype=int))

    def game(cells, of):
        return (cells @ weights)[:, None, None]

    for x, each in zip(windows, run((game, windows, population), evals=1, players=players)):
        expected = (weights * (x - population.mean(0))).unflatten(0, (4, 3)).sum(1)
        np.testing.assert_allclose(each.values[:, 0], expected.numpy(), atol=0.3)
        assert each.errors.max() < 0.3


def test_a_player_that_changes_nothing_gets_nothing_and_twins_get_the_same(setting):
    _, windows, population = setting
    windows, population = windows.clone(), population.clone()
    windows[:, 3], population[:, 3] = windows[:, 2], population[:, 2]

    def game(cells, of):
        return (torch.tanh(cells[:, 2] + cells[:, 3]) * cells[:, 1])[:, None, None]

    for each in run((game, windows, population)):
        assert np.abs(each.values[[0, 4, 5, 6, 7]]).max() < 1e-4
        assert abs(each.values[2, 0] - each.values[3, 0]) < 5 * np.hypot(each.errors[2, 0], each.errors[3, 0])


def test_missing_and_constant_cells_travel_as_values(setting):
    _, windows, population = setting
    windows, population = windows.clone(), population.clone()
    windows[:, 1], population[::3, 2], population[:, 4] = torch.nan, torch.nan, 7.0

    def game(cells, of):
        return torch.where(torch.isnan(cells), 5.0, cells).sum(1)[:, None, None]

    for x, each in zip(windows, run((game, windows, population))):
        filled = torch.nan_to_num(population, nan=5.0).mean(0)
        expected = torch.nan_to_num(x, nan=5.0) - filled
        assert each.values[1, 0] == pytest.approx(float(expected[1]), abs=1e-2)
        assert each.values[4, 0] == pytest.approx(float(expected[4]), abs=1e-2)
        assert abs(each.values[2, 0] - float(expected[2])) < 5 * each.errors[2, 0]
        assert np.isfinite(each.errors).all()


def test_cells_that_nobody_plays_are_always_the_windows_own(setting):
    _, windows, population = setting
    players = Players(("y",) * 7, *(tuple(range(7)),) * 2, np.array([0, 1, 2, 3, 4, 5, 6, -1]), np.zeros(7, dtype=int))
    seen = []

    def game(cells, of):
        seen.append(cells[:, 7] == windows[of, 7])
        return cells[:, :7].sum(1)[:, None, None]

    run((game, windows, population), players=players, evals=200)
    assert torch.cat(seen).all()


def test_values_agree_with_the_shap_package(setting, truth):
    import shap

    game, windows, population = setting

    def first_output(cells: np.ndarray) -> np.ndarray:
        return game(torch.from_numpy(cells.astype(np.float32)), None)[:, 0].sum(-1).numpy()

    masker = shap.maskers.Independent(population.numpy(), max_samples=len(population))
    theirs = shap.explainers.Exact(first_output, masker)(windows[:1].numpy())
    np.testing.assert_allclose(theirs.values, truth[:1, :, 0].sum(-1), atol=1e-3)
    for each, values in zip(run(setting, evals=6000), theirs.values):
        assert np.abs((each.values[:, 0] - values) / each.errors[:, 0]).max() < 4.5


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(setting):
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(run(setting, evals=500, seed=9))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert all(np.array_equal(one.values, two.values) for one, two in zip(*found))
    assert not np.array_equal(found[0][0].values, run(setting, evals=500, seed=10)[0].values)


def test_evaluations_are_counted_and_bounded_by_what_was_allowed(setting):
    game, windows, population = setting
    counted = np.zeros(len(windows), dtype=int)

    def counting(cells, of):
        np.add.at(counted, of.numpy(), 1)
        return game(cells, of)

    population = population.clone()
    population[:, :4] = windows[0, :4]  # as in window 0: a player that joins with the same cell is not evaluated
    found = run((counting, windows, population), evals=500)
    assert found[0].pairs > 1.5 * found[1].pairs
    assert np.abs(found[0].values[:4]).max() < 0.01
    assert [each.evaluations for each in found] == counted.tolist()
    assert max(counted) <= 500
    assert not any(each.converged for each in found)


def test_windows_of_very_different_scales_do_not_disturb_each_other(setting, truth):
    game, windows, population = setting

    def scaled(cells, of):
        return game(cells, of) * (10.0 ** (of - 6))[:, None, None]

    for w, each in enumerate(run((scaled, windows, population), evals=4000)):
        apart = (each.values - truth[w].sum(-1) * 10.0 ** (w - 6)) / each.errors
        assert np.abs(apart).max() < 5


def test_one_player_carries_the_whole_change(setting):
    players = Players(("y",), (1,), (8,), np.zeros(8, dtype=int), np.zeros(1, dtype=int))
    for each in run(setting, players=players, evals=100):
        np.testing.assert_allclose(each.values[0], (each.forecast - each.base).sum(-1), atol=1e-9)
        assert each.errors.max() < 1e-6


def test_orders_keep_blocks_together_and_every_order_comes_up():
    players = singles(5, [0, 1, 0, 1, 1])
    drawn = orders(players, 2000, np.random.default_rng(0))
    blocks = players.block[drawn]
    assert (np.diff(blocks, axis=1) != 0).sum(1).max() == 1
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(kinds) == 2 * 2 * 6
    assert counts.min() > 2000 / 24 / 2


def test_a_blocks_owen_values_sum_to_its_value_in_the_game_of_blocks(setting):
    game, windows, population = setting
    blocked = singles(8, [0, 0, 0, 1, 1, 1, 1, 2])
    quotient = Players(("y",) * 3, *((1, 2, 3),) * 2, blocked.block, np.zeros(3, dtype=int))
    for x, each in zip(windows, run(setting, evals=30000, players=blocked)):
        expected = brute_force(marginal(game, x, population, quotient), 3).sum(-1)
        sums = np.stack([each.values[blocked.block == b].sum(0) for b in range(3)])
        errors = np.stack([np.sqrt(np.square(each.errors[blocked.block == b]).sum(0)) for b in range(3)])
        assert np.abs((sums - expected) / errors).max() < 5
        assert np.abs(sums - expected).max() < 0.1 * np.abs(expected).max()


def test_a_shared_variance_is_worth_what_the_variances_scatter():
    random = np.random.default_rng(4)
    shape, factor = random.gamma(2.0, size=(1, 200, 3)), random.gamma(5.0, size=(20, 1, 1))
    true = np.broadcast_to(shape * factor, (20, 200, 3))
    seen = torch.from_numpy(true * random.chisquare(3, true.shape) / 3)
    better, freedom = moderated_variance(seen, torch.full((20,), 3.0, dtype=torch.float64), seen.mean(0))
    assert freedom.min() > 30  # all scatter is chance
    ratio = np.log(better.numpy() / true)
    assert np.abs(ratio).mean() < 0.25 * np.abs(np.log(seen.numpy() / true)).mean()
    wild = torch.from_numpy(true * random.chisquare(3, true.shape) / 3 * 6 / random.chisquare(8, true.shape))
    _, freedom = moderated_variance(wild, torch.full((20,), 3.0, dtype=torch.float64), wild.mean(0))
    assert 3 + 4 < freedom.min() < 3 + 14  # 8 was put in


def test_a_product_of_two_inputs_takes_few_pairs_since_each_window_has_lines_of_its_own():
    generator = torch.Generator().manual_seed(4)
    windows, population = torch.randn(6, 40, generator=generator), torch.randn(250, 40, generator=generator)

    def game(cells, of):
        return (cells[:, 3] * cells[:, 17])[:, None, None]

    a, b = windows[:, 3], windows[:, 17]
    mean_a, mean_b, product = (
        population[:, 3].mean(),
        population[:, 17].mean(),
        (population[:, 3] * population[:, 17]).mean(),
    )
    # Shapley (1953) of two players: half of what each adds alone and half of what it adds last
    first = (a * mean_b - product + a * b - b * mean_a) / 2
    second = (b * mean_a - product + a * b - a * mean_b) / 2
    inside = []
    for each, one, other in zip(run((game, windows, population), evals=1200), first, second):
        expected = np.zeros(40)
        expected[[3, 17]] = one, other
        np.testing.assert_allclose(each.values[:, 0], expected, atol=0.05)
        assert each.pairs < 20
        inside.append(np.abs(each.values[[3, 17], 0] - expected[[3, 17]]) < 1.96 * each.errors[[3, 17], 0] + 1e-3)
    assert np.mean(inside) > 0.8


def unequal_lengths(cells, of):
    """Log-odds of both classes: of what two columns (4 lags) hold since a series' first step, and of its length."""
    steps = cells[:, -1:]
    present = torch.arange(4, 0, -1) <= steps
    a, b = ((column.nan_to_num() * present).sum(1) / steps[:, 0] for column in cells[:, :8].split(4, 1))
    odds = torch.tanh(a + b) * steps[:, 0] + steps[:, 0]
    return torch.stack([odds, -odds], 1)[..., None]


def test_intervals_hold_where_the_length_of_series_decides_nearly_everything():
    """What the columns count cancels over both classes, so that no line tells them from a player without evidence."""
    generator = torch.Generator().manual_seed(2)
    series = torch.randn(32, 9, generator=generator)
    series[:, 8] = torch.randint(1, 5, (32,), generator=generator)
    for column in (series[:, :4], series[:, 4:8]):
        column[torch.arange(4, 0, -1) > series[:, 8:]] = torch.nan
    players = Players(
        ("a", "b", "length"), (1, 1, None), (4, 4, None), np.repeat([0, 1, 2], [4, 4, 1]), np.zeros(3, dtype=int)
    )
    assert_intervals_hold((unequal_lengths, series[:12], series[12:]), players)


def test_intervals_hold_where_lines_on_the_references_forecast_have_made_the_sum_right_before():
    """One player acts together with three others: what it errs is what they err, the other way round."""
    generator = torch.Generator().manual_seed(6)
    windows, population = torch.randn(12, 5, generator=generator), torch.randn(30, 5, generator=generator)
    windows[:, 0], population[:, 0] = 1.0, 0.0

    def game(cells, of):
        return (2 * cells[:, 0] * torch.tanh(cells[:, 1] + cells[:, 2] * cells[:, 3]) + cells[:, 4])[:, None, None]

    feature = ("flag", "y", "y", "y", "y")
    players = Players(feature, (1, 4, 3, 2, 1), (1, 4, 3, 2, 1), np.arange(5), np.zeros(5, dtype=int))
    assert_intervals_hold((game, windows, population), players)


def assert_intervals_hold(setting, players: Players) -> None:
    """Over seeds, of every player and in all."""
    game, windows, population = setting
    truth = [brute_force(marginal(game, x, population, players), len(players)).sum(-1) for x in windows]
    inside = [
        [np.abs(each.values - true) < 1.96 * each.errors + 1e-9 for each, true in zip(found, truth)]
        for found in (run(setting, evals=80 * len(players), seed=seed, players=players) for seed in range(40))
    ]
    assert 0.93 < np.mean(inside) < 0.98
    assert np.mean(inside, axis=(0, 1, 3)).min() > 0.92


def test_cells_of_one_player_do_not_change_the_lines_of_others():
    """Scales of single cells are their own, also where some other player has several."""
    of_cell = torch.tensor([0, 1, 1, 2, -1])
    counts = _within_players(torch.tensor([5.0, 3.0, -4.0, 0.1, 7.0]), of_cell, 3)
    np.testing.assert_allclose(counts[:4].numpy(), [1.0, 0.6, -0.8, 1.0], rtol=1e-6)


@pytest.mark.parametrize("moving", [0, 1, 40])
def test_references_that_hardly_ever_deviate_are_no_trouble(moving):
    generator = torch.Generator().manual_seed(5)
    windows, population = torch.randn(6, 40, generator=generator), torch.zeros(250, 40)
    population[:moving, 3] = 1.0

    def game(cells, of):
        return (cells[:, 3] * cells[:, 17] + torch.tanh(cells).sum(1))[:, None, None]

    for each in run((game, windows, population), evals=2000):
        assert np.isfinite(each.values).all()
        assert np.isfinite(each.errors).all()
        np.testing.assert_allclose(each.base + each.parts.sum(0), each.forecast, atol=1e-9)

"""Windows are read without a look ahead, and the shipped network is the one that its record describes."""

from __future__ import annotations

import copy
import hashlib
import json

import numpy as np
import polars as pl
import pytest
import torch

from benchmarks.accuracy.simple import seasonal_factors
from benchmarks.pretraining.generators import counts, mixture, shapes
from tests.processes import make_panel
from tsx.model.pretrained.forecaster import pretrained_quantiles
from tsx.model.pretrained.network import LEVELS, MEDIAN, WEIGHTS, PretrainedNetwork, forecast, shipped
from tsx.model.pretrained.windows import (
    SEGMENT,
    SIMPLE,
    SMOOTHINGS,
    Windows,
    context_length,
    contexts,
    decompose,
    in_units,
    read,
    smooth,
    without_gaps,
)
from tsx.panel import lookup
from tsx.spec.pretrained import HORIZON, LONGEST, SEASONS

MAX_BYTES = 2**20


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def simple_of(windows: Windows, name: str) -> np.ndarray:
    """(B, H) a simple forecast in the units of the series."""
    made = windows.level[:, None] + windows.scale[:, None] * windows.simple[:, SIMPLE.index(name)]
    return made.numpy()


def read_one(y: np.ndarray, season: int) -> Windows:
    return read(*contexts([y], season), season)


def test_a_season_around_a_level_is_found_and_continued_by_every_forecast_that_knows_of_it() -> None:
    factors = np.array([0.6, 1.3, 0.9, 1.2])
    windows = read_one(50 * np.resize(factors, 30), 4)
    expected = 50 * np.resize(np.roll(factors, -2), HORIZON)
    for name in set(SIMPLE) - {"last value", "smoothing without a season"}:
        np.testing.assert_allclose(simple_of(windows, name)[0], expected, rtol=2e-3, err_msg=name)
    np.testing.assert_allclose(simple_of(windows, "last value")[0], 50 * 1.3, rtol=1e-5)


def test_a_straight_line_is_continued_whole_by_half_or_not_at_all() -> None:
    windows = read_one(100 + 2.0 * np.arange(30), 1)
    ahead = np.arange(1, HORIZON + 1)
    for name, slope in {
        "last value": 0,
        "smoothing and half the trend": 1,
        "smoothing and the trend": 2,
        "last season and its growth": 2,
    }.items():
        np.testing.assert_allclose(simple_of(windows, name)[0], 158 + slope * ahead, rtol=1e-3, err_msg=name)
    assert windows.scale.item() == pytest.approx(2)


def test_the_season_is_that_of_the_classical_decomposition() -> None:
    y = np.exp(rng().normal(3, 0.2, (5, 48)) + np.resize(shapes(rng(1), 1, 12), 48))
    found = decompose(torch.as_tensor(y, dtype=torch.float32), torch.ones(5, 48), 12)
    assert found.multiplicative.all()
    for own, factors in zip(y, found.factors.numpy()):
        np.testing.assert_allclose(factors, seasonal_factors(own, 12)[:12], rtol=1e-4)


def test_a_series_below_zero_has_an_additive_season() -> None:
    shape = np.array([-2.0, 1.0, 3.0, -2.0])
    windows = read_one(np.resize(shape, 40), 4)
    np.testing.assert_allclose(simple_of(windows, "smoothing")[0], np.resize(shape, HORIZON), atol=1e-3)


def test_smoothing_of_series_of_different_lengths_is_that_of_polars() -> None:
    histories = [rng(k).normal(size=rows).cumsum() for k, rows in enumerate((9, 30, 36))]
    values, there = contexts(histories, 1)
    found = smooth(values, values, there.sum(1))
    for row, y in enumerate(histories):
        for column, alpha in enumerate(SMOOTHINGS.tolist()):
            level = pl.Series(y).ewm_mean(alpha=alpha, adjust=False).to_numpy()
            assert found.levels[row, column].item() == pytest.approx(level[-1], abs=1e-4)
            assert found.losses[row, column].item() == pytest.approx(((y[1:] - level[:-1]) ** 2).mean(), rel=1e-3)


@pytest.mark.parametrize("season", [1, 4, 12])
def test_windows_do_not_depend_on_the_unit_nor_on_the_room_before_a_series(season: int) -> None:
    y = mixture(rng(4), 40, 36, season)
    values, there = contexts(list(y), season, 36)
    windows, thousandfold = read(values, there, season), read(1000 * values, there, season)
    kept = windows.scale > 0
    torch.testing.assert_close(thousandfold.segments[kept], windows.segments[kept], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(thousandfold.scale, 1000 * windows.scale, rtol=1e-5, atol=0)
    longer = read(*contexts(list(y), season, 72), season)
    torch.testing.assert_close(longer.simple[kept], windows.simple[kept], atol=1e-2, rtol=1e-3)
    torch.testing.assert_close(longer.segments[kept][:, 3:], windows.segments[kept], atol=1e-3, rtol=1e-3)
    assert (longer.segments[:, :3] == 0).all()


def test_series_of_a_few_rows_and_constant_ones_have_finite_windows() -> None:
    histories = [np.full(rows, 3.0) for rows in (1, 2, 3, 40)] + [np.array([1.0, 5.0]), np.zeros(20)]
    for season in (1, 4, 12):
        values, there = contexts(histories, season)
        windows = read(values, there, season)
        assert (windows.scale[:4] == 0).all()
        for each in (windows.segments, windows.known, windows.simple):
            assert each.isfinite().all()
        made = forecast(PretrainedNetwork(), windows)
        np.testing.assert_allclose(made[:4], 3, rtol=1e-6)
        assert (made[5] == 0).all()


def test_a_series_of_one_season_has_a_window() -> None:
    y = 10 + np.arange(12.0)
    windows = read_one(y, 12)
    assert windows.simple.isfinite().all()
    np.testing.assert_allclose(simple_of(windows, "last season")[0, :12], y, rtol=1e-4)


def test_a_context_holds_whole_segments_and_whole_seasons() -> None:
    for season in range(1, 25):
        for rows in (1, 13, 100, 1000):
            length = context_length(rows, season)
            assert length % SEGMENT == 0
            assert length % season == 0
            assert length >= min(max(rows, 2 * season), 144)


def gappy(windows: int, length: int, season: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows that begin late, with long and short gaps; 0 where nothing was observed."""
    y = torch.as_tensor(mixture(rng(5), windows, length, season), dtype=torch.float32)
    observed = torch.as_tensor(rng(6).random((windows, length)) > 0.2)
    observed[::3, : length // 3] = False
    observed[1, length // 2 :] = False
    return torch.where(observed, y, 0.0), observed


@pytest.mark.parametrize("season", [1, 4, 12])
def test_gaps_are_filled_as_those_of_a_panel(season: int) -> None:
    values, observed = gappy(20, 48, season)
    found, there = without_gaps(values, observed, season)
    panel = make_panel([np.where(seen, y, np.nan) for y, seen in zip(values.double().numpy(), observed.numpy())])
    every = np.arange(20)
    expected = lookup.without_gaps(panel, every, np.tile(np.arange(48), (20, 1)), panel.lengths, season)
    np.testing.assert_array_equal(there, ~np.isnan(expected))
    np.testing.assert_allclose(found, np.nan_to_num(expected), rtol=1e-5, atol=1e-5)


def test_a_window_without_gaps_is_read_as_it_is_and_one_of_which_nothing_was_observed_as_zeros() -> None:
    values, there = contexts(list(mixture(rng(), 5, 40, 4)), 4)
    assert without_gaps(values, there, 4)[0] is values
    windows = read(torch.zeros(2, 24), torch.zeros(2, 24, dtype=torch.bool), 12)
    for each in (windows.segments, windows.known, windows.simple):
        assert each.isfinite().all()
    assert (windows.scale == 0).all()
    assert (forecast(shipped(), windows) == 0).all()


class InUnits(torch.nn.Module):
    """From values and masks (B, T), and centers (B), to quantiles around these."""

    def __init__(self, season: int) -> None:
        super().__init__()
        self.network, self.season = shipped(), season

    def forward(self, values: torch.Tensor, observed: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
        windows = read(values, observed, self.season, center)
        return in_units(self.network(windows), windows)


@pytest.mark.parametrize("far", [0, 1e4])
@pytest.mark.parametrize("season", [1, 4])
def test_a_gradient_is_the_slope_of_the_forecast(season: int, far: float) -> None:
    values, observed = gappy(6, 24, season)
    values = torch.where(observed, values.double() + torch.as_tensor(rng(3).random(values.shape)), 0.0)
    size = values.abs().amax(1)
    network, center = copy.deepcopy(InUnits(season)).double(), far * size
    before = values.clone().requires_grad_()
    made = network(before, observed, center)[:, 3, MEDIAN]
    (slope,) = torch.autograd.grad(made.sum(), before)
    assert slope.isfinite().all()
    assert (slope[~observed] == 0).all()
    direction = torch.where(observed, torch.as_tensor(rng(2).normal(size=values.shape)), 0.0)
    step = 1e-8 * size[:, None]
    with torch.no_grad():
        up, down = (network(values + sign * step * direction, observed, center)[:, 3, MEDIAN] for sign in (1, -1))
    torch.testing.assert_close((slope * direction).sum(1), (up - down) / (2 * step[:, 0]), rtol=1e-3, atol=1e-4)


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_an_exported_program_holds_for_any_number_of_windows_and_any_gaps() -> None:
    values, observed = gappy(9, 12, 4)
    whole = torch.ones_like(observed)
    network, center = InUnits(4).eval(), torch.where(torch.arange(9) % 2 > 0, 1e6, 5.0)
    with torch.no_grad():
        shapes = ({0: torch.export.Dim.DYNAMIC},) * 3
        inputs = values[:3].abs() + 1, whole[:3], center[:3]
        program = torch.export.export(network, inputs, dynamic_shapes=shapes).module()
        torch.testing.assert_close(program(values, observed, center), network(values, observed, center))


def test_before_training_the_median_is_the_mean_of_the_simple_forecasts() -> None:
    windows = read(*contexts(list(mixture(rng(), 50, 60, 4)), 4), 4)
    with torch.no_grad():
        made = PretrainedNetwork()(windows)
    torch.testing.assert_close(made[..., MEDIAN], windows.simple.mean(1))


def test_quantiles_are_in_order_for_whatever_weights() -> None:
    torch.manual_seed(0)
    network = PretrainedNetwork()
    for each in network.parameters():
        torch.nn.init.normal_(each, std=0.3)
    values, there = contexts(list(counts(rng(), 50, 60, 4)), 4)
    assert (forecast(network, read(values, there, 4)).diff(dim=2) >= 0).all()


# What is shipped


def test_the_shipped_weights_are_those_of_their_record_and_smaller_than_a_megabyte() -> None:
    record = json.loads(WEIGHTS.with_name("record.json").read_text())
    content = WEIGHTS.read_bytes()
    assert hashlib.sha256(content).hexdigest() == record["sha256"]
    assert len(content) < MAX_BYTES
    assert sum(each.numel() for each in shipped().parameters()) == record["parameters"]


@pytest.mark.parametrize("season", [1, 4, 12])
def test_the_shipped_network_beats_the_mean_of_its_simple_forecasts_on_new_synthetic_series(season: int) -> None:
    y = torch.as_tensor(mixture(rng(1234), 2000, 72 + HORIZON, season), dtype=torch.float32)
    values, truth = y[:, :72], y[:, 72:]
    windows = read(values, torch.ones_like(values, dtype=torch.bool), season)
    known = windows.scale > 0
    made = forecast(shipped(), windows)
    scale = windows.scale[known, None]
    own = ((made[known][..., MEDIAN] - truth[known]).abs() / scale).clamp(max=40).mean()
    mean = windows.level[:, None] + windows.scale[:, None] * windows.simple.mean(1)
    assert own < 0.95 * ((mean[known] - truth[known]).abs() / scale).clamp(max=40).mean()
    inside = (truth >= made[..., 0]) & (truth <= made[..., -1])
    assert 0.75 < inside[known].float().mean() < 0.85


def panel_quantiles(panel, series, cutoffs, horizon=6, season=12, levels=LEVELS) -> np.ndarray:
    where = (np.asarray(series), np.asarray(cutoffs))
    return pretrained_quantiles(shipped(), panel, *where, horizon=horizon, season=season, levels=levels)


def test_a_window_of_a_panel_is_read_as_the_network_reads_its_newest_rows() -> None:
    y = mixture(rng(7), 3, 200, 12)
    panel = make_panel(list(y))
    cutoffs = [199, 150, 30]
    found = panel_quantiles(panel, [0, 1, 2], cutoffs)
    for own, cutoff, row in zip(y, cutoffs, found):
        values, there = contexts([own[: cutoff + 1]], 12, LONGEST)
        expected = forecast(shipped(), read(values, there, 12))[0, :6]
        np.testing.assert_allclose(row, expected, rtol=1e-3, atol=1e-3 * np.abs(own).max())


@pytest.mark.parametrize("level", [1e5, 1e6, 1e8])
def test_a_level_far_above_the_changes_moves_the_forecast_by_as_much(level: float) -> None:
    y = rng(12).normal(0, 5, (8, 40)).cumsum(1)
    near, far = (panel_quantiles(make_panel(list(each)), range(8), [39] * 8, season=1) for each in (y, y + level))
    np.testing.assert_allclose(far - level, near, atol=25)
    assert (near[..., -1] - near[..., 0]).mean() == pytest.approx((far[..., -1] - far[..., 0]).mean(), rel=0.3)


def test_no_more_than_144_rows_are_read_whatever_the_season() -> None:
    y = mixture(rng(13), 1, 300, 7)[0]
    changed = y.copy()
    changed[: 300 - LONGEST] *= 3
    found, expected = (panel_quantiles(make_panel([each]), [0], [299], season=7) for each in (changed, y))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(y).max())


def test_nothing_after_the_cutoff_changes_a_forecast() -> None:
    y = mixture(rng(8), 2, 100, 4)
    changed = y.copy()
    changed[:, 61:] = 1e6
    before, after = (panel_quantiles(make_panel(list(each)), [0, 1], [60, 60], season=4) for each in (y, changed))
    np.testing.assert_allclose(after, before, rtol=1e-4)


def test_a_missing_value_is_read_as_that_of_a_season_before() -> None:
    y = mixture(rng(9), 1, 96, 12)[0]
    gap, filled = y.copy(), y.copy()
    gap[80], filled[80] = np.nan, y[68]
    found, expected = (panel_quantiles(make_panel([each]), [0], [95]) for each in (gap, filled))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_season_that_was_not_learnt_is_read_as_none() -> None:
    assert 52 not in SEASONS
    panel = make_panel([mixture(rng(10), 1, 140, 1)[0]])
    np.testing.assert_array_equal(
        panel_quantiles(panel, [0], [139], season=52), panel_quantiles(panel, [0], [139], season=1)
    )


def test_levels_between_and_beyond_the_networks_own_keep_their_order() -> None:
    panel = make_panel(list(mixture(rng(11), 20, 60, 4)))
    levels = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
    made = panel_quantiles(panel, range(20), [59] * 20, season=4, levels=levels)
    own = panel_quantiles(panel, range(20), [59] * 20, season=4)
    assert (np.diff(made, axis=-1) >= 0).all()
    np.testing.assert_allclose(made[..., [1, 3, 5]], own[..., [0, 4, 8]])

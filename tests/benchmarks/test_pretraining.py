"""Windows are read without a look ahead, and the network that weighs simple forecasts starts as their mean."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from benchmarks.accuracy.sets import Task
from benchmarks.accuracy.simple import seasonal_factors
from benchmarks.pretraining.generators import counts, mixture, shapes
from benchmarks.pretraining.judging import judge, table
from benchmarks.pretraining.network import LEVELS, MEDIAN, Pretrained, forecast, load, pinball, save
from benchmarks.pretraining.training import KINDS, Kind, draw, losses
from benchmarks.pretraining.windows import (
    HORIZON,
    SEGMENT,
    SIMPLE,
    SMOOTHINGS,
    Windows,
    context_length,
    contexts,
    decompose,
    read,
    smooth,
)

MAX_BYTES = 2**20


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def simple_of(windows: Windows, name: str) -> np.ndarray:
    """(B, H) a simple forecast in the units of the series."""
    made = windows.level[:, None] + windows.scale[:, None] * windows.simple[:, SIMPLE.index(name)]
    return made.numpy()


def read_one(y: np.ndarray, season: int) -> Windows:
    return read(*contexts([y], season), season)


# Windows


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
        made = forecast(Pretrained(), values, windows)
        np.testing.assert_allclose(made[:4], 3, rtol=1e-6)
        assert (made[5] == 0).all()


def test_a_context_holds_whole_segments_and_whole_seasons() -> None:
    for season in range(1, 25):
        for rows in (1, 13, 100, 1000):
            length = context_length(rows, season)
            assert length % SEGMENT == 0
            assert length % season == 0
            assert length >= min(rows, 144)


# Network and training


def test_before_training_the_median_is_the_mean_of_the_simple_forecasts() -> None:
    windows = read(*contexts(list(mixture(rng(), 50, 60, 4)), 4), 4)
    with torch.no_grad():
        made = Pretrained()(windows)
    torch.testing.assert_close(made[..., MEDIAN], windows.simple.mean(1))


def test_quantiles_are_in_order_and_not_below_zero_for_whatever_weights() -> None:
    torch.manual_seed(0)
    network = Pretrained()
    for each in network.parameters():
        torch.nn.init.normal_(each, std=0.3)
    values, there = contexts(list(counts(rng(), 50, 60, 4)), 4)
    made = forecast(network, values, read(values, there, 4))
    assert (made.diff(dim=2) >= 0).all()
    assert (made >= 0).all()
    assert (made == 0).any()


def test_the_network_is_kept_in_less_than_a_megabyte(tmp_path: Path) -> None:
    network = Pretrained()
    save(network.state_dict(), tmp_path / "weights")
    assert (tmp_path / "weights").stat().st_size < MAX_BYTES
    again = load(tmp_path / "weights")
    for name, each in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], each, atol=1e-3, rtol=1e-3)


def test_the_pinball_loss_of_one_value_is_least_at_the_quantiles_of_its_distribution() -> None:
    drawn = torch.as_tensor(rng().normal(size=(20_000, 1)), dtype=torch.float32)
    right = torch.as_tensor(np.quantile(drawn.numpy(), LEVELS.numpy()), dtype=torch.float32)
    least = pinball(drawn, right.expand(len(drawn), 1, -1)).mean()
    for moved in (right + 0.2, right * 1.2, right * 0.8):
        assert pinball(drawn, moved.expand(len(drawn), 1, -1)).mean() > least


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_reads_nothing_before_its_rows_and_nothing_of_the_future(kind: Kind) -> None:
    drawn = draw(rng(), kind, 64)
    rows = drawn.there.sum(1)
    assert (drawn.values[~drawn.there] == 0).all()
    assert drawn.there[:, -1].all()
    assert rows.min() >= min(kind.fewest, kind.most)
    assert rows.max() <= kind.most
    assert drawn.truth.shape == (64, HORIZON)
    assert drawn.weights.sum().item() == pytest.approx(1)
    assert (drawn.weights[: kind.horizon] > drawn.weights.max() / 2).all()


def test_steps_on_a_batch_lower_its_loss_and_constant_series_have_no_part_in_it() -> None:
    torch.manual_seed(0)
    network, drawn = Pretrained(), draw(rng(), KINDS[1], 32)
    drawn.values[:8] = drawn.there[:8].float()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    first = float(losses(network, drawn)[0].detach())
    drawn.truth[:8] = 1e6
    assert float(losses(network, drawn)[0].detach()) == pytest.approx(first)
    for _ in range(20):
        optimiser.zero_grad()
        losses(network, drawn)[0].backward()
        optimiser.step()
    assert float(losses(network, drawn)[0].detach()) < 0.95 * first


def test_a_set_is_judged_by_the_mean_absolute_scaled_error() -> None:
    rows, horizon = 20, 4
    y = np.stack([10 + np.arange(rows) * step for step in (1.0, 3.0)])
    frame = pl.DataFrame(
        {
            "unique_id": np.repeat(["a", "b"], rows),
            "ds": [datetime(2000 + year, 1, 1) for year in range(rows)] * 2,
            "y": y.ravel(),
        }
    )
    task = Task("lines", frame, np.full(2, rows - horizon), horizon, 1, 0, ("mase",))
    found = judge(task, Pretrained())
    assert found["last value"] == pytest.approx(2.5)
    assert found["smoothing and the trend"] == pytest.approx(0, abs=0.02)
    assert found["theta"] == pytest.approx(1.25, abs=0.1)
    assert found["network"] == pytest.approx(found["mean of the simple"], abs=1e-5)
    assert table({"lines": found}).splitlines()[2] == f"| theta | {found['theta']:.3f} |"

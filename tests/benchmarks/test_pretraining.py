"""Training on synthetic series, and judging one test part earlier."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from benchmarks.accuracy.sets import Task
from benchmarks.pretraining.judging import judge, table
from benchmarks.pretraining.training import KINDS, Kind, draw, losses, pinball, save
from tsx.model.pretrained.network import LEVELS, PretrainedNetwork, load
from tsx.spec.pretrained import HORIZON


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_weights_are_saved_and_loaded_in_two_bytes_each(tmp_path: Path) -> None:
    network = PretrainedNetwork()
    save(network.state_dict(), tmp_path / "weights")
    size = sum(each.numel() for each in network.parameters())
    assert 2 * size < (tmp_path / "weights").stat().st_size < 2.1 * size
    again = load(tmp_path / "weights")
    for name, each in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], each, atol=1e-3, rtol=1e-3)


def test_the_pinball_loss_of_one_value_is_least_at_the_quantiles_of_its_distribution() -> None:
    drawn = torch.as_tensor(rng().normal(size=(20_000, 1)), dtype=torch.float32)
    right = torch.as_tensor(np.quantile(drawn.numpy(), LEVELS), dtype=torch.float32)
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
    network, drawn = PretrainedNetwork(), draw(rng(), KINDS[1], 32)
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
    found = judge(task, PretrainedNetwork())
    assert found["last value"] == pytest.approx(2.5)
    assert found["smoothing and the trend"] == pytest.approx(0, abs=0.02)
    assert found["theta"] == pytest.approx(1.25, abs=0.1)
    assert found["network"] == pytest.approx(found["mean of the simple"], abs=1e-5)
    assert table({"lines": found}).splitlines()[2] == f"| theta | {found['theta']:.3f} |"

"""The decoder reads the known future as a sequence: what it sees at a step, and what it learns from it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import tsx
import tsx.training.plan
from tests.model.test_network import make_batch, make_network, run
from tests.processes import make_panel
from tsx.model.network import Network
from tsx.spec.channels import Channel, Channels
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Settings
from tsx.training.plan import plan_shape

CHANNELS = Channels(
    (
        Channel("y", "target"),
        Channel("price", "future"),
        Channel("promotion", "future"),
        Channel("weekday", "future", computed=True),
    )
)
CONFIG = NetworkConfig(
    horizon=6, context_length=12, segment=1, season=1, channels=CHANNELS, hidden_size=8, future_reach=3
)
DELAY = 3


@pytest.mark.parametrize("step", range(1, 7))
def test_a_known_future_value_moves_its_own_step_and_the_next_ones_and_none_before(step):
    network, batch = make_network(CONFIG), make_batch(CONFIG)
    future = batch.future.clone()
    future[:, step - 1, :2] += 2.0
    moved = (run(network, replace(batch, future=future)) != run(network, batch)).any(-1).any(0)
    last = min(step + CONFIG.future_reach, CONFIG.horizon)
    assert moved.nonzero().flatten().tolist() == list(range(step - 1, last))


def test_the_sequence_of_a_step_is_the_newest_lags_and_the_steps_before_it_without_what_is_computed():
    network, batch = make_network(CONFIG), make_batch(CONFIG)
    batch.past[0, -1, 2] = torch.nan
    encoded = network.encode(batch)
    sequence = network.members[0].embedding.earlier_future(encoded)
    assert sequence.shape == (7, 6, 2 * CONFIG.future_reach)
    promotion = sequence.unflatten(-1, (2, -1))[:, :, 1]
    assert promotion[0, 0].tolist() == [*encoded.lags[0, -3:-1, 2].tolist(), 0.0]  # a lag that nobody observed is 0
    torch.testing.assert_close(promotion[1, 0], encoded.lags[1, -3:, 2])
    torch.testing.assert_close(promotion[1, 2], torch.cat([encoded.lags[1, -1:, 2], encoded.future[1, :2, 1]]))
    torch.testing.assert_close(promotion[1, 5], encoded.future[1, 2:5, 1])


def test_an_untrained_decoder_reads_its_own_step_alone_with_the_same_weights_as_one_that_can_do_no_other():
    states = []
    for reach in (0, 3):
        torch.manual_seed(0)
        states.append(Network(replace(CONFIG, future_reach=reach)).state_dict())
    own, both = states
    assert set(both) - set(own) == {"members.0.decoder.joint.earlier.weight"}
    assert not both["members.0.decoder.joint.earlier.weight"].any()
    assert all(torch.equal(own[name], both[name]) for name in own)


@pytest.mark.parametrize(
    ("channels", "horizon", "reach"),
    [(("price",), 7, 6), (("price",), 1, 0), ((), 7, 0), (("price",), 60, 28)],
    ids=["all of the horizon", "nothing before a single step", "nothing is known ahead", "a limit"],
)
def test_how_far_back_a_step_reads_the_known_future(channels, horizon, reach):
    random = np.random.default_rng(0)
    panel = make_panel([random.normal(size=(400, 1 + len(channels))) for _ in range(2)], future=channels)
    config, decisions = plan_shape(panel, Settings(horizon=horizon))
    assert config.future_reach == reach
    assert [d.value for d in decisions if d.name == "future_reach"] == ([reach] if reach else [])


def shops(rows: int = 300, ahead: int = 10) -> pl.DataFrame:
    """Daily visits that a promotion raises three days later, and nothing else but noise moves."""
    random = np.random.default_rng(3)
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 1, 1) + dt.timedelta(days=rows + ahead - 1), eager=True)
    tables = []
    for n in range(5):
        promotion = (random.random(rows + ahead) < 0.2).astype(float)
        visits = 20 + 5 * np.roll(promotion, DELAY) + random.normal(size=rows + ahead)
        visits[rows:] = np.nan
        columns = {"shop": [f"shop{n}"] * (rows + ahead), "day": days, "visits": visits, "promotion": promotion}
        tables.append(pl.DataFrame(columns).with_columns(pl.col("visits").fill_nan(None)))
    return pl.concat(tables)


ASKED = {
    "id": "shop",
    "time": "day",
    "target": "visits",
    "future": "promotion",
    "horizon": 10,
    "context_length": 10,
    "hidden_size": 16,
    "max_steps": 250,
    "device": "cpu",
}


def error_of(model: str) -> float:
    made = tsx.backtest(shops(), cutoffs=6, **ASKED)
    return next(row["mae"] for row in made.summary if row["model"] == model)


@pytest.mark.nightly
def test_a_promotion_that_works_three_days_later_is_learnt(monkeypatch):
    learnt = error_of("lstm")
    assert learnt < 1.2 * np.sqrt(2 / np.pi)  # of the noise, which nothing can forecast
    assert learnt < 1.05 * error_of("ridge")
    monkeypatch.setattr(tsx.training.plan, "LONGEST_FUTURE_REACH", 0)
    assert learnt < 0.75 * error_of("lstm")


def test_an_explanation_finds_the_promotion_three_days_before_also_within_the_horizon(tmp_path):
    tsx.fit(shops(), model=tmp_path / "model", **ASKED)
    made = tsx.explain(shops(), model=tmp_path / "model", windows=5, max_evals=400, device="cpu")
    strongest = made.by_distance().sort("mean_abs_shap").row(-1, named=True)
    assert (strongest["feature"], strongest["distance"]) == ("promotion", DELAY)
    within = made.by_step.filter(pl.col("step") == 8, pl.col("feature") == "promotion")
    assert within.sort("mean_abs_shap")["lag"][-1] == DELAY + 1 - 8
    after = made.by_step.filter(pl.col("distance") < 0)["mean_abs_shap"]
    assert after.max() < 0.05 * strongest["mean_abs_shap"]

"""Gates and states of one window over its time, held against the equations of the cell in NumPy."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from tests.explanation.linear import context_of
from tests.processes import driven, make_panel
from tsx.explanation.memory.unit_states import UNIT_STATES, states_by_time, unit_sentences
from tsx.spec.settings import Question, Settings
from tsx.training.fit import fit_forecaster

SMALL = Settings(horizon=2, context_length=12, segment=3, season=1, hidden_size=4, max_steps=10, batch_size=32)
AT = np.array([1]), np.array([90])


@pytest.fixture(scope="module")
def panel():
    return make_panel([driven(120, seed) for seed in range(2)], past=("x",))


def context(panel, **settings):
    forecaster = fit_forecaster(panel, Settings(**{**vars(SMALL), **settings}))
    return context_of(forecaster, panel, *AT, Question(states=True))


def test_states_and_gates_are_those_of_an_lstm_worked_out_by_hand(panel):
    asked = context(panel)
    table = states_by_time(asked, *AT)
    network = asked.network
    member = network.members[0]
    with torch.inference_mode():
        inputs = member.segments(network.encode(asked.task.source.cut(*AT)))[0].double().numpy()
    layer = member.encoder.layers[0]
    w_in, w_rec, b_in, b_rec = (
        getattr(layer, f"{kind}_l0").detach().double().numpy()
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    hidden = cell = np.zeros(4)
    assert table["lag"].unique(maintain_order=True).to_list() == [10, 7, 4, 1]
    for step, lag in enumerate((10, 7, 4, 1)):
        i, f, g, o = np.split(w_in @ inputs[step] + b_in + w_rec @ hidden + b_rec, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        own = table.filter(lag=lag).sort("unit")
        expected = {"state": cell, "hidden": hidden, "forget": sigmoid(f), "input": sigmoid(i), "output": sigmoid(o)}
        for name, values in expected.items():
            np.testing.assert_allclose(own[name], values, atol=1e-5)
        read = panel.offsets[1] + 91 - lag - np.arange(3)  # positions of the lags of this step
        y = panel.values[read, 0].astype(np.float64).mean() + panel.centers[1, 0]
        np.testing.assert_allclose(own["y"], y, atol=1e-5)
        assert own["at"].unique().to_list() == [91 - lag]


@pytest.mark.parametrize("cell", ["gru", "rnn", "minlstm", "imv-lstm"])
def test_every_cell_has_states_over_time(panel, cell):
    asked = context(panel, cell=cell, layers=1 if cell == "imv-lstm" else 2)
    assert UNIT_STATES.applies(asked)
    table = UNIT_STATES.measure(asked, None).tables["states_by_time"]
    assert table.select(pl.col("state", "hidden").is_finite().all()).row(0) == (True, True)
    assert table["layer"].max() == asked.config.layers
    assert table["lag"].n_unique() == 4


def test_units_that_follow_the_target_and_units_that_hardly_move_are_counted():
    y = np.sin(np.arange(20))
    parts = [
        pl.DataFrame({"layer": 1, "unit": unit, "y": y, "state": state})
        for unit, state in enumerate((y, -2 * y, np.full(20, 0.3), np.random.default_rng(0).normal(size=20)))
    ]
    (sentence,) = unit_sentences(pl.concat(parts), "sales")
    assert "2 of 4 units of the last layer follow sales" in sentence
    assert "and 1 hardly moves." in sentence

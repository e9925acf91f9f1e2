"""Memory spans against values worked out by hand, and the retention of a trained network against its gates."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import polars as pl
import pytest
import torch

from tsx.explanation.memory import measure as memory_module
from tsx.explanation.memory.gradients import jacobian_table, measured_half_life, state_growth, unit_gains
from tsx.explanation.memory.measure import (
    measure_memory,
    memory_tables,
    retention_table,
    state_table,
    unit_table,
)
from tsx.explanation.memory.time_constants import fit_time_constants, time_constant_table
from tsx.model.batch import Batch
from tsx.model.encoders.base import Encoder
from tsx.model.encoders.registry import new_encoder
from tsx.model.network import Network
from tsx.spec.network import NetworkConfig

S = 40


def with_constant_gates(cell: str, keep: list[float]) -> Encoder:
    """All weights zero: the forget (or update) gate of unit j is keep[j] whatever comes in."""
    recurrence = new_encoder(cell, 1, len(keep), 1, dropout=0.0)
    size = len(keep)
    with torch.no_grad():
        for weight in recurrence.parameters():
            weight.zero_()
        odds = torch.tensor(keep) / (1 - torch.tensor(keep))
        recurrence.layers[0].bias_ih_l0[size : 2 * size] = odds.log()
        if cell != "gru":
            recurrence.layers[0].bias_ih_l0[2 * size : 3 * size] = 1.0  # something is written at every step
    return recurrence


@pytest.mark.parametrize("cell", ["lstm", "lstm-nog", "gru"])
def test_constant_gates_give_exactly_the_spans_worked_out_by_hand(cell):
    units = unit_table(measure_memory(with_constant_gates(cell, [0.5, 0.9, 0.99]), torch.randn(4, S, 1)), segment=1)
    # .5^4 = .0625, .5^5 = .031; .9^28 = .0523, .9^29 = .0471; .99^40 = .669: still there at the end of the context
    assert units["memory_span"].to_list() == [5, 29, 40]
    assert units["censored"].to_list() == [False, False, True]
    np.testing.assert_allclose(units["forget_mean"], [0.5, 0.9, 0.99], rtol=1e-5)
    np.testing.assert_allclose(units["time_constant"], [1.442695, 9.491222, 99.49916], rtol=1e-4)
    np.testing.assert_allclose(units["half_life"], [1.0, 6.578813, 68.96756], rtol=1e-4)


def test_segments_turn_recurrent_steps_into_lags():
    memory = measure_memory(with_constant_gates("lstm", [0.5, 0.9]), torch.randn(4, S, 1))
    single, six = unit_table(memory, segment=1), unit_table(memory, segment=6)
    for column in ("memory_span", "time_constant", "half_life"):
        np.testing.assert_allclose(six[column], 6 * single[column])
    assert retention_table(memory, segment=6)["lag"].to_list()[:3] == [6, 12, 18]


def test_retention_is_the_product_of_the_last_gates():
    retention = retention_table(measure_memory(with_constant_gates("lstm", [0.8] * 5), torch.randn(4, S, 1)), 1)
    np.testing.assert_allclose(retention["mean"], 0.8 ** np.arange(1, S + 1), rtol=1e-4)
    np.testing.assert_allclose(retention["q10"], retention["q90"], rtol=1e-6)


def test_what_each_lag_wrote_adds_up_and_fades_as_the_gates_say():
    retention = retention_table(measure_memory(with_constant_gates("lstm", [0.8]), torch.randn(4, S, 1)), 1)
    written = retention["written"].to_numpy()
    assert written.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(written[1:] / written[:-1], 0.8, rtol=1e-3)


def test_every_layer_is_measured_from_its_own_gates():
    torch.manual_seed(0)
    recurrence = new_encoder("lstm", 2, 6, 3, dropout=0.0).eval()
    x = torch.randn(5, 9, 2)
    memories = measure_memory(recurrence, x)
    with torch.inference_mode():
        for memory, gates in zip(memories, recurrence.gates(x)):
            last_three = gates.keep[:, -3:].prod(1).mean(0)
            np.testing.assert_allclose(memory.retention[2], last_three.numpy(), rtol=1e-5)
    assert unit_table(memories, 1)["layer"].unique().sort().to_list() == [1, 2, 3]


def test_a_plain_rnns_retention_is_the_gain_of_its_jacobian():
    torch.manual_seed(1)
    recurrence = new_encoder("rnn", 2, 4, 1, dropout=0.0)
    x = torch.randn(1, 6, 2)
    layer = recurrence.layers[0]

    def final_state(h: torch.Tensor, back: int) -> torch.Tensor:
        for step in x[0, 6 - back :]:
            h = torch.tanh(layer.weight_ih_l0 @ step + layer.bias_ih_l0 + layer.weight_hh_l0 @ h + layer.bias_hh_l0)
        return h

    with torch.no_grad():
        before = torch.zeros(4)
        for step in x[0, :3]:
            before = torch.tanh(
                layer.weight_ih_l0 @ step + layer.bias_ih_l0 + layer.weight_hh_l0 @ before + layer.bias_hh_l0
            )
    jacobian = torch.autograd.functional.jacobian(lambda h: final_state(h, 3), before)
    memory = measure_memory(recurrence, x)[0]
    np.testing.assert_allclose(memory.retention[2], jacobian.norm(dim=1).numpy(), rtol=1e-4)
    assert memory.written is None


def test_an_rnn_whose_gain_is_one_never_forgets():
    recurrence = new_encoder("rnn", 1, 3, 1, dropout=0.0)
    with torch.no_grad():
        for weight in recurrence.parameters():
            weight.zero_()
        recurrence.layers[0].weight_hh_l0.copy_(torch.eye(3))
    units = unit_table(measure_memory(recurrence, torch.zeros(2, S, 1)), 1)
    assert units["censored"].all()
    assert units["time_constant"].is_infinite().all()


def network_of(cell: str, **changes) -> Network:
    torch.manual_seed(2)
    config = NetworkConfig(horizon=3, context_length=24, segment=2, season=1, hidden_size=9, cell=cell, **changes)
    return Network(config).eval()


def windows_of(network: Network, count: int = 20) -> Batch:
    config, random = network.config, torch.Generator().manual_seed(4)
    return Batch(
        past=torch.randn(count, config.context_length, len(config.channels.time_varying), generator=random).cumsum(1),
        future=torch.zeros(count, config.horizon, len(config.channels.ahead)),
        static_values=torch.zeros(count, 0),
        static_codes=torch.zeros(count, 0, dtype=torch.int64),
        usual_scale=torch.ones(count),
        center=torch.zeros(count),
        target=torch.zeros(count, config.horizon),
    )


COLUMNS = {
    "memory_units": [
        "layer",
        "unit",
        "forget_mean",
        "time_constant",
        "half_life",
        "memory_span",
        "censored",
        "saturated",
        "dead",
        "input_mean",
        "output_mean",
        "measured_half_life",
    ],
    "retention": ["layer", "lag", "mean", "q10", "q90", "written"],
    "states": ["layer", "lag", "share", "size", "sign"],
    "gates": ["layer", "lag", "gate", "mean", "q10", "q90"],
    "gradient_decay": ["lag", "mean_norm", "share"],
    "jacobian": ["lag", "largest", "median", "smallest"],
}


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru", "lstm-nog", "rnn", "minlstm", "imv-lstm"])
def test_every_cell_gives_every_table_of_memory_and_facts_that_json_can_hold(cell, layers):
    network = network_of(cell, layers=layers)
    memory = memory_tables(network, windows_of(network))
    for name, columns in COLUMNS.items():
        assert memory.tables[name].columns == columns, name
    units = memory.tables["memory_units"]
    assert units.height == 9 * layers
    assert units["measured_half_life"].is_not_null().all()
    has_gates = cell != "rnn"
    assert (memory.tables["gates"].height > 0) == has_gates
    assert (memory.tables["states"].height > 0) == has_gates
    assert (units["input_mean"].null_count() == 0) == has_gates
    assert (memory.facts["chrono"] is not None) == has_gates
    assert set(memory.tables["states"]["lag"]) == (set(range(2, 25, 2)) if has_gates else set())
    assert memory.tables["jacobian"]["lag"].max() == 24
    assert memory.facts["fate"]["word"] in ("vanishing", "stable", "exploding")
    json.dumps(memory.facts, allow_nan=False)
    if has_gates:
        sums = memory.tables["states"].group_by("layer").agg(pl.col("share").sum())["share"]
        np.testing.assert_allclose(sums, 1, atol=1e-5)


def test_memory_measured_in_parts_is_that_measured_at_once(monkeypatch):
    torch.manual_seed(0)
    recurrence, x = new_encoder("lstm", 2, 6, 2, dropout=0.0).eval(), torch.randn(10, S, 2)
    whole = measure_memory(recurrence, x)
    monkeypatch.setattr(memory_module, "REPLAYED", 3 * S * 6)
    for part, expected in zip(measure_memory(recurrence, x), whole):
        for field in dataclasses.fields(expected):
            np.testing.assert_allclose(getattr(part, field.name), getattr(expected, field.name), rtol=1e-5)


def test_states_say_age_size_and_sign_of_what_the_cells_hold():
    """One unit writes 0.5 tanh(1) at every step, the other the same with a minus sign and forgets faster."""
    recurrence = with_constant_gates("lstm", [0.8, 0.5])
    with torch.no_grad():
        recurrence.layers[0].bias_ih_l0[5] = -1.0
    states = state_table(measure_memory(recurrence, torch.zeros(3, S, 1)), segment=1)
    write = 0.5 * np.tanh(1.0)
    ages = np.arange(S)
    np.testing.assert_allclose(states["size"], write * (0.8**ages + 0.5**ages) / 2, rtol=1e-4)
    np.testing.assert_allclose(states["sign"], (0.8**ages - 0.5**ages) / (0.8**ages + 0.5**ages), atol=1e-4)


def test_units_that_never_write_are_dead_and_open_gates_saturated():
    recurrence = with_constant_gates("lstm", [0.5, 0.96, 0.96])
    with torch.no_grad():
        recurrence.layers[0].bias_ih_l0[6] = 1e-5  # the first unit's candidate
    memory = measure_memory(recurrence, torch.zeros(3, S, 1))[0]
    assert memory.dead.tolist() == [True, False, False]
    assert memory.saturated.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("cell", ["lstm", "lstm-nog", "gru"])
def test_units_that_read_no_state_are_measured_to_forget_as_their_gates_say(cell):
    """All weights are zero, so a change of a state goes nowhere but through its own gate."""
    gains = unit_gains(with_constant_gates(cell, [0.5, 0.9, 0.99]), torch.randn(4, S, 1))
    np.testing.assert_allclose(gains.by_layer[0], np.array([0.5, 0.9, 0.99]) ** np.arange(1, S + 1)[:, None], rtol=1e-3)
    # by hand ln 2 / -ln f; crossings are on straight lines between steps
    np.testing.assert_allclose(measured_half_life(gains.by_layer[0]), [1.0, 6.578813, 68.96756], rtol=2e-3)


def test_a_gain_that_falls_and_comes_back_is_half_gone_where_it_stays_gone():
    gains = np.array([[0.4, 1.0], [0.6, 1.2], [0.4, 1.5], [0.2, 1.1]])
    assert measured_half_life(gains).tolist() == [pytest.approx(2.5), np.inf]


def carried(cell: str, recurrence: Encoder, x: torch.Tensor, back: int) -> np.ndarray:
    """d state_S / d state_{S-back} by automatic differentiation of torch's own layer, one window."""
    layer = recurrence.layers[0]
    before = x[:, : S - back]
    state = layer(before)[1]
    if cell == "lstm":
        hidden, cells = state
        open_ = recurrence.trace(before)[0].parts["output"][:, -1]

        def last(c: torch.Tensor) -> torch.Tensor:
            moved = (open_ * torch.tanh(c))[None]
            return layer(x[:, S - back :], (moved, c[None]))[1][1][0, 0]

        assert torch.allclose(hidden[0], open_ * torch.tanh(cells[0]), atol=1e-6)
        return torch.autograd.functional.jacobian(last, cells[0])[:, 0].numpy()

    def final(h: torch.Tensor) -> torch.Tensor:
        return layer(x[:, S - back :], h[None])[1][0, 0]

    return torch.autograd.functional.jacobian(final, state[0])[:, 0].numpy()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_gains_and_singular_values_are_those_of_the_whole_recurrences_jacobian(cell):
    torch.manual_seed(5)
    recurrence, x = new_encoder(cell, 2, 5, 1, dropout=0.0), torch.randn(1, S, 2)
    gains = unit_gains(recurrence, x)
    for back in (1, 2, 7):
        expected = carried(cell, recurrence, x, back)
        np.testing.assert_allclose(gains.by_layer[0][back - 1], np.linalg.norm(expected, axis=0), rtol=1e-4)
        values = np.linalg.svd(expected, compute_uv=False)
        if back in gains.steps:
            row = gains.singular[list(gains.steps).index(back)]
            np.testing.assert_allclose(row, values[[0, 2, 4]], rtol=1e-3, atol=1e-6)


def test_an_orthogonal_rnn_near_zero_neither_vanishes_nor_explodes():
    torch.manual_seed(6)
    recurrence = new_encoder("rnn", 1, 6, 1, dropout=0.0)
    with torch.no_grad():
        for weight in recurrence.parameters():
            weight.zero_()
        torch.nn.init.orthogonal_(recurrence.layers[0].weight_hh_l0)
    jacobian = jacobian_table(unit_gains(recurrence, torch.zeros(3, S, 1)), segment=3)
    np.testing.assert_allclose(jacobian.select("largest", "median", "smallest").to_numpy(), 1, rtol=1e-5)
    assert state_growth(jacobian) == {"word": "stable", "lag": 3 * S, "largest": pytest.approx(1, rel=1e-4)}


@pytest.mark.parametrize(("factor", "word"), [(0.9, "vanishing"), (1.1, "exploding"), (1.0, "stable")])
def test_the_word_follows_from_what_arrives_of_a_change_after_the_whole_context(factor, word):
    recurrence = new_encoder("rnn", 1, 4, 1, dropout=0.0)
    with torch.no_grad():
        for weight in recurrence.parameters():
            weight.zero_()
        recurrence.layers[0].weight_hh_l0.copy_(factor * torch.eye(4))
    found = state_growth(jacobian_table(unit_gains(recurrence, torch.zeros(2, S, 1)), segment=1))
    assert found["word"] == word
    assert found["largest"] == pytest.approx(factor**S, rel=1e-3)


def test_a_jacobian_beyond_all_numbers_is_still_told():
    recurrence = new_encoder("rnn", 1, 4, 1, dropout=0.0)
    with torch.no_grad():
        for weight in recurrence.parameters():
            weight.zero_()
        recurrence.layers[0].weight_hh_l0.copy_(100 * torch.eye(4))
    assert state_growth(jacobian_table(unit_gains(recurrence, torch.zeros(2, S, 1)), segment=1))["word"] == "exploding"


def test_the_law_that_time_constants_were_drawn_from_is_found_with_its_parameters():
    random = np.random.default_rng(0)
    normal = fit_time_constants(np.exp(random.normal(2.0, 0.5, size=400)))
    assert normal["better"] == "log-normal"
    assert normal["mu"] == pytest.approx(2.0, abs=0.1)
    assert normal["sigma"] == pytest.approx(0.5, abs=0.05)
    power = fit_time_constants(3 * (1 + random.pareto(1.5, size=400)))
    assert power["better"] == "power law"
    assert power["exponent"] == pytest.approx(1.5, abs=0.2)
    assert power["shortest"] == pytest.approx(3, abs=0.05)
    assert fit_time_constants(np.full(20, 5.0)) is None
    assert fit_time_constants(np.array([1.0, 2.0, np.inf])) is None


def test_units_sorted_by_time_constant_stand_beside_what_either_law_gives():
    constants = np.exp(np.random.default_rng(1).normal(2.0, 0.5, size=200))
    units = pl.DataFrame({"layer": 1, "unit": np.arange(200), "time_constant": constants})
    units = units.with_columns(half_life=pl.col("time_constant") * np.log(2), measured_half_life=pl.lit(1.0))
    table = time_constant_table(units, fit_time_constants(constants))
    assert table["time_constant"].is_sorted()
    assert table["rank"].to_list() == list(range(1, 201))
    np.testing.assert_allclose(table["log_normal"][20:180], table["time_constant"][20:180], rtol=0.15)
    assert time_constant_table(units, None)["power_law"].is_null().all()


@pytest.mark.parametrize("cell", ["lstm", "gru", "minlstm"])
def test_no_fresh_unit_is_beyond_the_bound_of_its_initialisation(cell):
    network = network_of(cell)
    for layer in network.members[0].encoder.layers:
        with torch.no_grad():
            for name, weight in layer.named_parameters():
                if name.startswith("weight"):
                    weight.zero_()  # the gates are what their biases say
    facts = memory_tables(network, windows_of(network)).facts
    # 12 recurrent steps of 2 lags: -2 / ln(1 - 1/12)
    assert facts["chrono"] == {"longest": pytest.approx(22.98557, rel=1e-5), "beyond": 0}
    with torch.no_grad():
        network.members[0].encoder.layers[0].bias_ih_l0[9:11] += 5
        if cell == "minlstm":  # whose two gates are relative to each other
            network.members[0].encoder.layers[0].bias_ih_l0[:2] -= 5
    assert memory_tables(network, windows_of(network)).facts["chrono"]["beyond"] == 2

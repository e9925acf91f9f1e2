"""Self-attention over the hidden states: what it computes, and what it can learn."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import tsx
from tests.model.test_network import CONFIG, PLAIN, make_batch, make_network, run
from tsx.errors import ConfigError
from tsx.explanation.checks.attention import shuffled_attention
from tsx.model.attention import ATTENTION_CLASSES, SelfAttention, StateAttention
from tsx.model.network import Network
from tsx.spec.attentions import ATTENTIONS
from tsx.spec.settings import Settings

ATTENTIVE = replace(CONFIG, attention="self")
UNITS, STEPS = 8, 5


def make_attention(seed: int = 0) -> SelfAttention:
    """Weights at random everywhere, also where training starts from zero."""
    torch.manual_seed(seed)
    attention = SelfAttention(PLAIN, UNITS, heads=2, size=3)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return attention


def states_of(windows: int = 4) -> torch.Tensor:
    return torch.randn(windows, STEPS, UNITS, generator=torch.Generator().manual_seed(1))


def by_hand(attention: SelfAttention, states: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The attended state (D) and the weights (S) of one window, from the equations: states (S, D), seen (S)."""
    of = {name: value.numpy().astype(np.float64) for name, value in attention.state_dict().items()}
    query = of["query.weight"] @ states[-1] + of["query.bias"]
    keys = states @ of["key.weight"].T
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        score = np.where(seen, keys[:, head] @ query[head] / np.sqrt(3), -np.inf)
        grown = np.exp(score - score.max())
        heads.append(grown / grown.sum())
    weights = np.mean(heads, axis=0)
    value, gate = np.split(of["gate.weight"] @ (weights @ states) + of["gate.bias"], 2)
    added = states[-1] + value / (1 + np.exp(-gate))
    normed = (added - added.mean()) / np.sqrt(added.var() + 1e-5)
    return normed * of["norm.weight"] + of["norm.bias"], weights


def test_the_attended_state_and_its_weights_are_those_of_the_equations():
    attention, states = make_attention(), states_of()
    seen = torch.ones(4, STEPS, dtype=torch.bool)
    seen[0, :2], seen[1, 3] = False, False
    with torch.inference_mode():
        context, weights = attention(states, seen)
        attended, joined = attention.decoded(states[:, -1], context)
    assert joined is None
    for n in range(4):
        state, looked = by_hand(attention, states[n].numpy().astype(np.float64), seen[n].numpy())
        np.testing.assert_allclose(attended[n], state, atol=1e-5)
        np.testing.assert_allclose(weights[n, 0], looked, atol=1e-6)


def test_segments_that_nobody_observed_get_no_weight_and_an_empty_window_equal_ones():
    network, batch = make_network(ATTENTIVE), make_batch(ATTENTIVE)
    past = batch.past.clone()
    past[0, :8], past[1] = torch.nan, torch.nan
    with torch.inference_mode():
        _, weights = network.decode(network.encode(replace(batch, past=past)))
    assert weights.shape == (7, 1, ATTENTIVE.segments)
    assert not weights[0, 0, :2].any()
    assert (weights[0, 0, 2:] > 0).all()
    torch.testing.assert_close(weights[1, 0], torch.full((ATTENTIVE.segments,), 1 / ATTENTIVE.segments))
    torch.testing.assert_close(weights.sum(-1), torch.ones(7, 1))


def test_an_untrained_gate_lets_the_last_state_pass_and_nothing_else():
    torch.manual_seed(0)
    attention, states = SelfAttention(PLAIN, UNITS), states_of()
    with torch.inference_mode():
        context, _ = attention(states, torch.ones(4, STEPS, dtype=torch.bool))
        attended, _ = attention.decoded(states[:, -1], context)
    torch.testing.assert_close(attended, torch.nn.functional.layer_norm(states[:, -1], (UNITS,)))


def test_a_network_without_self_attention_has_the_parameters_that_it_had():
    def names(attention: str) -> list[str]:
        return [name for name in Network(replace(PLAIN, attention=attention)).state_dict() if "attention" in name]

    assert names("none") == []
    of_temporal = ("step", "key.weight", "query.weight", "query.bias", "score.weight")
    assert names("temporal") == [f"members.0.attention.{name}" for name in of_temporal]


@pytest.mark.parametrize("cell", ["lstm", "gru", "minlstm"])
def test_the_components_sum_to_the_forecast_and_the_attended_state_is_in_the_recurrent_one(cell):
    config = replace(ATTENTIVE, cell=cell)
    network, batch = make_network(config), make_batch(config)
    with torch.inference_mode():
        before = network.components(batch)
        network.members[0].attention.gate.bias.add_(1.0)
        after = network.components(batch)
    total = (after.location + after.season + after.linear)[..., None] + after.recurrent
    torch.testing.assert_close(total, run(network, batch))
    assert torch.equal(before.linear, after.linear)
    assert not torch.allclose(before.recurrent, after.recurrent)
    assert not config.exact_contributions  # the attended state is not a sum of what each step wrote


def test_every_kind_of_attention_has_a_layer_and_no_code_asks_for_a_name():
    sources = [path.read_text(encoding="utf-8") for path in Path(str(tsx.__file__)).parent.rglob("*.py")]
    assert not [source for source in sources if re.search(r"attention\s*(==|!=|in)\s*[\"'(]", source)]
    assert set(ATTENTION_CLASSES) == set(ATTENTIONS)
    assert ATTENTION_CLASSES["none"] is None
    for name, layer in ATTENTION_CLASSES.items():
        if inspect.isclass(layer):
            assert issubclass(layer, StateAttention)
            assert Network(replace(PLAIN, attention=name)).members[0].attention is not None


def test_variables_that_are_kept_apart_are_not_mixed_by_self_attention():
    with pytest.raises(ConfigError, match="would mix") as caught:
        Settings(cell="imv-lstm", attention="self")
    assert caught.value.code == "settings-contradict"
    assert Settings(cell="imv-lstm", attention="temporal").attention == "temporal"


def test_shuffled_weights_change_the_forecast_as_far_as_the_attended_state_is_read():
    network, batch = make_network(ATTENTIVE), make_batch(ATTENTIVE, 40)
    every_lag = np.arange(1.0, ATTENTIVE.context_length + 1)
    with torch.no_grad():
        network.members[0].attention.query.weight.mul_(8)  # sharp, so that it matters where the weights are
    assert shuffled_attention(network, batch, every_lag).moved > 0.1
    with torch.no_grad():
        network.members[0].attention.gate.weight.zero_()
    assert shuffled_attention(network, batch, every_lag).moved == 0


CONTEXT = 24
ASKED = {
    "id": "unit",
    "time": "t",
    "target": "y",
    "past": ("x", "strength"),
    "future": "sign",
    "horizon": 1,
    "context_length": CONTEXT,
    "segment": 1,
    "season": 1,
    "hidden_size": 16,
    "transform": "none",
    "max_steps": 300,
    "device": "cpu",
}


def strongest_event(length: int = 600, series: int = 6) -> pl.DataFrame:
    """y = ± 2 x at the strongest of the last 24 events, wherever it lies; the sign is known ahead."""
    random = np.random.default_rng(5)
    tables = []
    for n in range(series):
        x, strength, sign = random.normal(size=length), random.random(length), random.choice((-1.0, 1.0), length)
        y = 0.1 * random.normal(size=length)
        for t in range(CONTEXT, length):
            y[t] += 2 * sign[t] * x[t - CONTEXT + strength[t - CONTEXT : t].argmax()]
        tables.append(
            pl.DataFrame(
                {"unit": [f"u{n}"] * length, "t": range(length), "y": y, "x": x, "strength": strength}
            ).with_columns(sign=sign)
        )
    return pl.concat(tables)


def test_an_event_anywhere_in_the_context_is_learnt():
    made = tsx.backtest(strongest_event(), cutoffs=60, stride=1, attention="self", **ASKED)
    errors = {row["model"]: row["rmse"] for row in made.summary}
    assert errors.pop("lstm") < 0.7 * min(errors.values())


def test_an_explanation_lists_the_same_weights_for_every_step_of_a_forecast(tmp_path):
    random = np.random.default_rng(0)
    table = pl.DataFrame({"t": range(200), "y": 5 + random.normal(size=200)})
    small = {"horizon": 3, "context_length": 12, "segment": 3, "season": 1, "hidden_size": 8, "max_steps": 20}
    tsx.fit(table, model=tmp_path / "model", time="t", target="y", attention="self", device="cpu", **small)
    made = tsx.explain(table, model=tmp_path / "model", windows=2, max_evals=200, device="cpu")
    looks = made.attention
    assert looks.columns[-3:] == ["step", "lag", "weight"]
    by_step = looks.group_by("cutoff", "step").agg(pl.col("weight").sum())
    np.testing.assert_allclose(by_step["weight"], 1.0, atol=1e-5)
    assert looks.group_by("cutoff", "lag").agg(pl.col("weight").n_unique())["weight"].max() == 1
    assert "attention" in [check.name for check in made.checks]

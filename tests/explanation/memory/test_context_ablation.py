"""From which context length on the error stops improving: networks that copy a known lag, and trained ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.model.smoothings import unsmoothed
from tests.processes import autoregression, driven, make_panel
from tsx.explanation.memory.context_ablation import context_lengths, memory_needed, shortest_sufficient
from tsx.model.forecaster import Forecaster
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Settings
from tsx.training.fit import fit_forecaster

SMALL = Settings(
    horizon=2, context_length=16, segment=1, season=1, hidden_size=4, max_steps=1, batch_size=16, network_only=True
)


def copying(panel, lag: int) -> Forecaster:
    """A network whose forecast of step h is the value `lag` steps before it, whatever its recurrence holds."""
    forecaster = fit_forecaster(panel, SMALL)
    network = unsmoothed(forecaster.network)
    network.limits.lift()
    with torch.no_grad():
        network.members[0].decoder.direct.weight.zero_()
        network.members[0].decoder.direct.bias.zero_()
        if network.members[0].decoder.joint is not None:
            network.members[0].decoder.joint.out.weight.zero_()
        network.members[0].linear.weight.zero_()
        network.members[0].linear.bias.zero_()
        for step in range(2):
            network.members[0].linear.weight[step, step - lag] = (
                1.0  # relative to the last value, which is the location
            )
    return forecaster


def noisy_copies(lag: int, count: int = 4) -> list[np.ndarray]:
    return [autoregression(300, seed, lag=lag, weight=0.98) for seed in range(count)]


@pytest.mark.parametrize("lag", [3, 7])
def test_a_network_that_copies_a_lag_needs_exactly_that_lag(lag):
    panel = make_panel(noisy_copies(lag))
    table, needed, sentence = memory_needed(copying(panel, lag), panel)
    lengths = table["context_length"].to_list()
    enough = next(length for length in lengths if length >= lag)
    assert needed == {"newest": enough, "of": 16}
    assert sentence.startswith(f"From a context of {enough} steps on the error stops improving")
    far = table.filter(table["context_length"] >= enough)
    assert far["difference"].abs().max() < 1e-5
    assert (table["difference"].to_numpy()[: lengths.index(enough)] > 0.1).all()
    assert table["windows"].unique().to_list() == [4 * 60]


def test_a_network_that_reads_to_the_end_of_its_context_is_told_to_try_a_longer_one():
    panel = make_panel(noisy_copies(16))
    _, needed, sentence = memory_needed(copying(panel, 16), panel)
    assert needed == {"newest": 16, "of": 16}
    assert sentence.startswith("The error improves up to the whole context of 16 steps")
    assert sentence.endswith("A longer context may help.")


def test_a_trained_network_that_repeats_its_season_needs_one_season():
    panel = make_panel([autoregression(400, seed) for seed in range(4)])
    settings = Settings(horizon=7, context_length=28, segment=7, season=7, hidden_size=8, max_steps=60, batch_size=64)
    table, needed, sentence = memory_needed(fit_forecaster(panel, settings), panel)
    assert table["context_length"].to_list() == [7, 14, 21, 28]
    assert needed == {"newest": 7, "of": 28}
    assert sentence.startswith("From a context of 7 steps on")


def test_a_walk_driven_at_lag_three_gains_most_where_that_lag_comes_in():
    """y moves by 2 x three steps before; what longer contexts add is how large a step of x is in the window's scale."""
    tables = []
    for seed in range(4):
        table = driven(400, seed)
        table[:, 0] = table[:, 0].cumsum()
        tables.append(table)
    panel = make_panel(tables, past=("x",))
    settings = replace(SMALL, context_length=12, hidden_size=8, max_steps=200, batch_size=64, learning_rate=1e-2)
    table, _, _ = memory_needed(fit_forecaster(panel, settings), panel)
    errors = dict(table.select("context_length", "mae").iter_rows())
    assert errors[2] - errors[4] > 0.5 * (errors[2] - errors[12]) > 0


def test_only_the_last_part_of_every_series_is_judged_and_never_more_windows_than_asked():
    panel = make_panel(noisy_copies(3))
    spoilt = panel.values.copy()
    for begin in panel.offsets[:-1]:
        spoilt[begin : begin + 200] = 1e6  # windows that read this would be far off
    table, _, _ = memory_needed(copying(panel, 3), replace(panel, values=spoilt), windows=50)
    assert table["mae"].max() < 100
    assert table["windows"].unique().to_list() == [50]


def test_gaps_in_what_came_after_are_left_out_of_the_error():
    series = noisy_copies(3)
    for values in series:
        values[250::3] = np.nan
    panel = make_panel(series)
    table, _, _ = memory_needed(copying(make_panel(noisy_copies(3)), 3), panel)
    assert table["mae"].is_finite().all()
    assert table["mae_se"].is_finite().all()


def test_series_too_short_to_cut_are_said_to_be():
    forecaster = copying(make_panel(noisy_copies(3)), 3)
    table, needed, sentence = memory_needed(forecaster, make_panel([np.arange(10.0)]))
    assert table.height == 0
    assert needed is None
    assert table.columns == ["context_length", "mae", "mae_se", "difference", "difference_se", "windows", "older"]
    assert "needs a context of 16 steps" in sentence


def test_the_shortest_context_within_one_standard_error_or_one_percent_of_the_best_is_enough():
    noise = np.random.default_rng(0).normal(size=200)
    alone = np.arange(200)
    best = np.full(200, 10.0)
    # worse by 0.05, which is half a percent; by 0.5, beyond chance; by 0.5, within a standard error of 1
    assert shortest_sufficient(np.stack([best + 0.05, best]), alone) == 0
    assert shortest_sufficient(np.stack([best + 0.5 + 0.1 * noise, best]), alone) == 1
    wild = 14.2 * (noise - noise.mean()) / noise.std()
    assert shortest_sufficient(np.stack([best + 0.5 + wild, best]), alone) == 0
    # a context that does worse again does not undo that a shorter one was enough
    assert shortest_sufficient(np.stack([best, best + 3]), alone) == 0


def test_windows_that_overlap_count_as_one_observation():
    rising = np.repeat(np.random.default_rng(1).normal(size=20), 10)  # ten windows each say the same
    errors = np.stack([10.0 + 0.2 + 3 * (rising - rising.mean()), np.full(200, 10.0)])
    assert shortest_sufficient(errors, np.arange(200)) == 1
    assert shortest_sufficient(errors, np.repeat(np.arange(20), 10)) == 0


def test_contexts_are_whole_segments_with_the_season_and_the_whole_among_them():
    config = NetworkConfig(horizon=4, context_length=96, segment=4, season=24)
    lengths = context_lengths(config)
    assert (lengths % 4 == 0).all()
    assert {4, 24, 96} <= set(lengths.tolist())
    assert len(lengths) <= 9
    assert context_lengths(NetworkConfig(horizon=4, context_length=8, segment=8, season=1)).tolist() == [8]


def test_a_series_that_is_forecast_without_error_needs_no_more_than_the_shortest_context():
    panel = make_panel([np.full(200, 5.0)] * 2)
    forecaster = fit_forecaster(panel, Settings(horizon=2, context_length=8, segment=1, season=1, max_steps=1))
    with torch.no_grad():
        for weight in forecaster.network.parameters():
            weight.zero_()
    table, needed, sentence = memory_needed(forecaster, panel)
    assert table["mae"].to_list() == [0.0] * table.height
    assert needed == {"newest": 1, "of": 8}
    assert sentence == "From a context of 1 step on the error stops improving."

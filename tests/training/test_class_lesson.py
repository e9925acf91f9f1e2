"""Training of a network that classifies: what it sees, what is kept, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tsx.errors import DataError
from tsx.model.convolution import ConvolutionStem, MaskedBatchNorm
from tsx.model.heads.classes import log_loss
from tsx.model.sequences import Sequences
from tsx.panel.labels import find_classes
from tsx.panel.reading import read_panel
from tsx.spec.channels import Channels
from tsx.spec.classifier import ClassifierConfig
from tsx.spec.network import TrainingConfig
from tsx.spec.schema import Schema
from tsx.training.class_lesson import LabelledSequences, logits_of, train_classes
from tsx.training.classifier import new_network

SCHEMA = Schema("t", id="id", past=("x",), label="label")
QUICK = TrainingConfig(max_steps=30, batch_size=8, learning_rate=1e-2, evaluate_every=10)


def lesson(stop: int = 0, filters: tuple[int, ...] = (), count: int = 40) -> tuple[ClassifierConfig, LabelledSequences]:
    """Series that rise or fall, of which the last `stop` say when to stop."""
    random = np.random.default_rng(0)
    table = pl.concat(
        pl.DataFrame(
            {
                "id": [f"s{n:02}"] * 6,
                "t": range(6),
                "x": (1 - 2 * (n % 2)) * np.arange(6.0) + random.normal(size=6),
                "label": [n % 2] * 6,
            }
        )
        for n in range(count)
    )
    panel = read_panel(table.lazy(), SCHEMA).panel
    classes = find_classes(panel)
    channels = Channels.of(panel.schema)
    config = ClassifierConfig(6, classes.names, "whole", channels, hidden_size=6, filters=filters, dropout=0.1)
    sequences = Sequences(panel, config, np.zeros(1))
    everything = np.arange(count)
    return config, LabelledSequences(sequences, classes.codes, everything[: count - stop], everything[count - stop :])


def test_rising_and_falling_series_are_told_apart() -> None:
    config, given = lesson(filters=(4, 4))
    torch.manual_seed(0)
    network = new_network(config, given)
    history = train_classes(network, given, replace(QUICK, max_steps=80))
    said = logits_of(network, given.sequences, given.learn).argmax(1).numpy()
    assert (said == given.codes[given.learn]).mean() > 0.95
    assert history.evaluations[-1][1] < history.evaluations[0][1]


def test_series_that_are_moved_and_noisy_teach_the_same_from_the_same_seed_and_other_things_than_as_they_are() -> None:
    weights = []
    for changed in (QUICK, *[replace(QUICK, shift=0.4, jitter=0.1)] * 2):
        config, given = lesson()
        torch.manual_seed(0)
        network = new_network(replace(config, dropout=0.0), given)
        train_classes(network, given, changed)
        weights.append(network.head.linear.weight)
    assert torch.equal(weights[1], weights[2])
    assert not torch.allclose(weights[0], weights[1], atol=1e-3)


def test_an_untrained_network_says_about_how_often_each_class_comes() -> None:
    config, given = lesson()
    given = replace(given, learn=np.array([0, 2, 4, 6, 8, 10, 1, 3]))
    network = new_network(config, given)
    torch.nn.init.zeros_(network.head.linear.weight)
    frequencies = logits_of(network.eval(), given.sequences, given.learn).softmax(-1)[0]
    assert frequencies.tolist() == pytest.approx([7 / 10, 3 / 10], abs=1e-5)


def test_the_weights_that_are_kept_are_those_with_the_least_loss_on_the_series_that_say_when_to_stop() -> None:
    config, given = lesson(stop=10, filters=(4,))
    codes = given.codes.copy()
    codes[given.learn[:15]] = 1 - codes[given.learn[:15]]  # hardly anything to learn but noise
    given = replace(given, codes=codes)
    torch.manual_seed(0)
    network = new_network(config, given)
    history = train_classes(network, given, replace(QUICK, max_steps=60))
    least = min(loss for _, _, loss in history.evaluations)
    kept = log_loss(logits_of(network, given.sequences, given.stop), given.classes_of(given.stop))
    assert float(kept) == pytest.approx(least, rel=1e-5)


def test_looking_at_the_series_that_say_when_to_stop_changes_nothing_that_is_learnt() -> None:
    weights = []
    for evaluate_every in (10, 30):
        config, given = lesson(stop=10, filters=(4,))
        torch.manual_seed(0)
        network = new_network(replace(config, dropout=0.0), given)
        # Both end with the last average, as the loss on these series still falls.
        history = train_classes(network, given, replace(QUICK, evaluate_every=evaluate_every))
        assert history.evaluations[-1][2] == min(loss for _, _, loss in history.evaluations)
        weights.append(network.head.linear.weight)
    assert torch.equal(*weights)


def test_a_loss_that_is_no_number_is_an_error_with_the_rate() -> None:
    config, given = lesson()
    network = new_network(config, given)
    with torch.no_grad():
        network.head.linear.weight.fill_(torch.nan)
    with pytest.raises(DataError) as raised:
        train_classes(network, given, QUICK)
    assert raised.value.code == "training-diverged"


def test_normalisation_over_whole_series_is_that_of_torch_and_padding_counts_for_nothing() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 10)
    norm = MaskedBatchNorm(3)
    theirs = torch.nn.BatchNorm1d(3, eps=1e-3)
    assert torch.allclose(norm(x, torch.ones(4, 1, 10)), theirs(x), atol=1e-5)
    short = torch.cat([x, 100 * torch.ones(4, 3, 5)], 2)
    valid = (torch.arange(15) < 10).expand(4, 1, 15).float()
    assert torch.allclose(norm(short, valid)[..., :10], theirs(x), atol=1e-5)
    norm.eval()
    assert torch.allclose(
        norm(x, torch.ones(4, 1, 10)), (x - norm.mean[:, None]) / (norm.variance[:, None] + 1e-3).sqrt()
    )


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_stride_takes_the_steps_of_the_recurrent_layers(stride: int) -> None:
    stem = ConvolutionStem(2, (3, 4), stride).eval()
    valid = torch.arange(8) < torch.tensor([[8], [5]])
    found, steps = stem(torch.randn(2, 8, 2), valid)
    assert found.shape == (2, 8 // stride, 4)
    assert steps.sum(1).tolist() == [8 // stride, -(-5 // stride)]
    assert bool((found[1, int(steps[1].sum()) :] == 0).all())

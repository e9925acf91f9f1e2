"""Networks that classify whole series: what they may and may not depend on."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tsx.baselines.classes import fit_boosting, trees_of
from tsx.model.classifier import CombinedClassifier
from tsx.model.heads.classes import AttentionPooling, largest, mean
from tsx.model.sequence_classifier import SequenceClassifier
from tsx.model.sequences import SequenceBatch
from tsx.model.summaries import SUMMARIES, SummaryLogistic, feature_count, summaries
from tsx.model.trees import SummaryTrees
from tsx.spec.channels import Channel, Channels
from tsx.spec.classifier import ClassifierConfig

CHANNELS = Channels(
    (
        Channel("a", "past"),
        Channel("b", "past"),
        Channel("age", "static"),
        Channel("kind", "static", "category", ("x", "y")),
    )
)
CONFIG = ClassifierConfig(
    12,
    ("no", "perhaps", "yes"),
    channels=CHANNELS,
    hidden_size=5,
    filters=(4, 6),
    gaps=True,
    pooling=("last", "mean", "max", "attention"),
)


def batch(lengths: tuple[int, ...] = (12, 7, 1), steps: int = 12, seed: int = 0) -> SequenceBatch:
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(len(lengths), steps, 2, generator=random)
    values[0, 3, 0] = torch.nan
    beyond = torch.arange(steps) >= torch.tensor(lengths)[:, None]
    values[beyond] = torch.nan
    codes = torch.arange(len(lengths))[:, None] % 3
    return SequenceBatch(values, torch.tensor(lengths), torch.randn(len(lengths), 1, generator=random), codes)


def network(config: ClassifierConfig = CONFIG) -> SequenceClassifier:
    torch.manual_seed(1)
    made = SequenceClassifier(config)
    made.scaler.fit(batch())
    return made.eval()


@pytest.mark.parametrize("segment", [1, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru", "minlstm"])
def test_what_stands_after_a_series_end_changes_nothing(segment: int, cell: str) -> None:
    model = network(replace(CONFIG, segment=segment, cell=cell))
    short, long = batch(), batch()
    padded = torch.cat([short.values, torch.full((3, 6, 2), torch.nan)], 1)
    assert torch.allclose(model(short), model(replace(long, values=padded)), atol=1e-5)


def test_a_series_does_not_depend_on_those_beside_it() -> None:
    model, whole = network(), batch()
    alone = torch.cat([model(whole.take(torch.tensor([k]))) for k in range(3)])
    assert torch.allclose(model(whole), alone, atol=1e-5)


def test_the_backward_encoder_reads_as_the_forward_one_does_from_the_other_end() -> None:
    config = replace(CONFIG, filters=(), pooling=("last",), gaps=False)
    model = network(config)
    backward = model.backward_encoder
    assert backward is not None
    backward.load_state_dict(model.forward_encoder.state_dict())
    inputs = torch.randn(2, 8, 2)
    lengths = torch.tensor([8, 5])
    turned = inputs.clone()
    for k, length in enumerate(lengths.tolist()):
        turned[k, :length] = inputs[k, :length].flip(0)
    states, valid, final = model.states(inputs, lengths)
    of_turned, _, final_of_turned = model.states(turned, lengths)
    forward, back = final.chunk(2, -1)
    assert torch.allclose(back, final_of_turned.chunk(2, -1)[0], atol=1e-6)
    assert torch.allclose(forward, final_of_turned.chunk(2, -1)[1], atol=1e-6)
    for k, length in enumerate(lengths.tolist()):
        in_time = states[k, :length].chunk(2, -1)[1]
        assert torch.allclose(in_time, of_turned[k, :length].chunk(2, -1)[0].flip(0), atol=1e-6)
    assert valid.sum(1).tolist() == [8, 5]


def test_a_series_without_any_value_has_probabilities() -> None:
    empty = batch((4, 4))
    empty = replace(empty, values=torch.full_like(empty.values, torch.nan))
    assert bool(torch.isfinite(network()(empty)).all())


def test_poolings_are_over_the_steps_before_the_end() -> None:
    states, valid = torch.randn(2, 5, 3), torch.arange(5) < torch.tensor([[5], [2]])
    assert torch.allclose(mean(states, valid)[1], states[1, :2].mean(0))
    assert torch.allclose(largest(states, valid)[1], states[1, :2].amax(0))
    weights = AttentionPooling(3).weights(states, valid)
    assert weights[1, 2:].tolist() == [0.0] * 3
    assert weights.sum(1).tolist() == pytest.approx([1.0, 1.0])


def by_hand(values: np.ndarray, length: int) -> dict[str, float]:
    """The summaries of one channel, by NumPy."""
    at = np.flatnonzero(~np.isnan(values[:length]))
    x = values[at].astype(np.float64)
    if not len(x):
        return {**dict.fromkeys(SUMMARIES, np.nan), "count": 0.0}
    slope = np.polyfit(at / max(length - 1, 1), x, 1)[0] if len(x) > 1 else np.nan
    return {
        "first": x[0],
        "last": x[-1],
        "mean": x.mean(),
        "min": x.min(),
        "max": x.max(),
        "std": x.std(),
        "count": np.log1p(len(x)),
        "trend": slope,
    }


def test_summaries_are_those_of_numpy() -> None:
    some = batch((12, 7, 1, 5))
    some.values[3, :, 1] = torch.nan
    table = summaries(some, CONFIG).numpy()
    assert table.shape == (4, feature_count(CONFIG))
    for series, length in enumerate((12, 7, 1, 5)):
        for channel in range(2):
            expected = by_hand(some.values[series, :, channel].numpy(), length)
            for k, name in enumerate(SUMMARIES):
                assert table[series, 2 * k + channel] == pytest.approx(expected[name], rel=1e-4, abs=1e-5, nan_ok=True)
    assert table[:, 16].tolist() == some.static_values[:, 0].tolist()
    assert table[:, 17:].argmax(1).tolist() == some.static_codes[:, 0].tolist()


def test_the_regression_on_summaries_takes_a_missing_one_as_the_mean() -> None:
    logistic = SummaryLogistic(CONFIG)
    logistic.coefficients.copy_(torch.randn_like(logistic.coefficients))
    features = torch.full((1, feature_count(CONFIG)), torch.nan)
    assert logistic.logits(features, torch.zeros(1, 0)).tolist() == [logistic.intercept.tolist()]


def test_parts_are_combined_by_their_weights() -> None:
    whole = CombinedClassifier(CONFIG).eval()
    whole.summary.coefficients.normal_()
    parts = whole.parts(batch())
    whole.weights.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    assert torch.allclose(whole(batch()), parts[1])
    whole.weights.copy_(torch.tensor([0.5, 0.5, 0.0, 0.0]))
    geometric: Tensor = (parts[0].exp() * parts[1].exp()).sqrt()
    assert torch.allclose(whole(batch()).exp(), geometric / geometric.sum(-1, keepdim=True))


def test_a_part_of_weight_0_is_not_evaluated_and_no_number_changes() -> None:
    whole = CombinedClassifier(CONFIG).eval()
    whole.frequencies.copy_(torch.tensor([0.2, 0.3, 0.5]))
    whole.summary.coefficients.normal_()
    weights = torch.tensor([0.0, 0.7, 0.0, 0.4])
    whole.weights.copy_(weights)
    expected = (weights[:, None, None] * whole.parts(batch())).sum(0).log_softmax(-1)
    for unused in (whole.members[0], whole.trees):
        unused.forward = unused.log_odds = None  # type: ignore[assignment]
    assert torch.equal(whole(batch()), expected)
    with pytest.raises(TypeError):
        whole.parts(batch())


def test_a_combination_of_one_network_with_full_weight_is_that_network() -> None:
    whole = CombinedClassifier(CONFIG).eval()
    assert torch.allclose(whole(batch()).exp(), whole.members[0](batch()).softmax(-1), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("telling", ["values", "what is missing", "all but an empty column"])
def test_trees_in_numbers_say_what_scikit_learn_says(classes: int, telling: str) -> None:
    random = np.random.default_rng(0)
    codes = np.arange(200) % classes
    features = (random.normal(size=(200, feature_count(CONFIG))) + codes[:, None]).astype(np.float32).astype(np.float64)
    features[random.random(features.shape) < 0.2] = np.nan
    if telling == "what is missing":
        features[:] = 1.0
        features[codes == 0, 0] = np.nan
    learnt = features.copy()
    if telling == "all but an empty column":
        learnt[:, 1] = np.nan
    model = fit_boosting(learnt, codes, classes, seed=0)
    trees = trees_of(model, classes)
    rows, nodes = trees.value.shape
    names = tuple(f"class {k}" for k in range(classes))
    walked = SummaryTrees(replace(CONFIG, classes=names, trees=rows, tree_nodes=nodes))
    for field in fields(trees):
        array = getattr(trees, field.name)
        assert np.isfinite(array).all()
        getattr(walked, field.name).copy_(torch.from_numpy(array))
    said = walked.log_odds(torch.from_numpy(features)).softmax(-1).numpy()
    assert said == pytest.approx(model.predict_proba(features), abs=1e-12)
    if telling == "all but an empty column":
        assert 1 not in trees.feature[trees.left != np.arange(nodes)]


def test_trees_know_that_a_class_was_not_among_the_series() -> None:
    random = np.random.default_rng(1)
    model = fit_boosting(random.normal(size=(60, 3)), np.arange(60) % 2 * 2, 3, seed=0)
    trees = trees_of(model, 3)
    assert sorted(np.unique(trees.tree_class)) == [2]
    assert trees.start[1] < -10

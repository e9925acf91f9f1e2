"""Words over time in networks: what stands for them, what is unknown, and what is learnt of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.explanation.handmade_classes import Series, classifier_of, panel_of
from tests.handmade import network_config
from tsx.explanation.shap.game import flatten, unflatten
from tsx.explanation.shap.players import cells_of
from tsx.model.batch import Batch
from tsx.model.categories import NO_WORD, OTHER, vocabulary_of, with_parts, word_codes, words_at_once
from tsx.model.embedding import WordEmbedding
from tsx.model.network import Network
from tsx.model.summaries import TERMS_SCALE, weighted_terms, word_counts
from tsx.spec.channels import Channel, Channels
from tsx.training.lesson import hide_words

CHANNELS = Channels(
    (
        Channel("y", "target"),
        Channel("event", "past", "category", ("fall", "rash", "flu")),
        Channel("promo", "future", "category", ("half price",)),
    )
)
CONFIG = network_config(horizon=2, context_length=4, season=1, channels=CHANNELS, at_once=(2, 1), future_reach=1)


def batch_of(count: int, seed: int = 0) -> Batch:
    random = torch.Generator().manual_seed(seed)
    words = torch.randint(-1, 4, (count, 4, 3), generator=random)
    words[..., 2].clamp_(max=1)
    return Batch(
        past=torch.randn(count, 4, 1, generator=random),
        future=torch.zeros(count, 2, 0),
        static_values=torch.zeros(count, 0),
        static_codes=torch.zeros(count, 0, dtype=torch.int64),
        usual_scale=torch.ones(count),
        center=torch.zeros(count),
        target=torch.randn(count, 2, generator=random),
        words=words,
        words_ahead=torch.randint(-1, 2, (count, 2, 1), generator=random),
    )


def network_of(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    network = Network(CONFIG).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn_like(weight) * 0.5)
        for table in network.members[0].embedding.words.tables:
            table.weight[0] = 0.0
    return network


def test_what_stands_for_a_time_is_the_sum_over_its_words_and_nothing_without_one() -> None:
    torch.manual_seed(0)
    embedding = WordEmbedding(CHANNELS.words, (2, 1))
    codes = batch_of(5).words
    found = embedding(codes).detach().numpy()
    tables = [table.weight.detach().numpy() for table in embedding.tables]
    for b, t in np.ndindex(5, 4):
        events = sum((tables[0][int(c) + 1] for c in codes[b, t, :2] if c != NO_WORD), np.zeros(4))
        promo = sum((tables[1][int(c) + 1] for c in codes[b, t, 2:] if c != NO_WORD), np.zeros(4))
        np.testing.assert_allclose(found[b, t], np.concatenate([events, promo]), atol=1e-6)
    assert np.abs(found).max() > 0.1


def test_the_order_of_the_words_of_a_time_changes_no_forecast_and_the_words_do() -> None:
    network, batch = network_of(), batch_of(6)
    turned = replace(batch, words=batch.words[..., [1, 0, 2]])
    other = replace(batch, words_ahead=torch.where(batch.words_ahead == 1, OTHER, batch.words_ahead))
    with torch.inference_mode():
        first = network(batch)
        torch.testing.assert_close(network(turned), first)
        assert (network(other) - first).abs().max() > 1e-3
        assert (network(replace(batch, words=torch.full_like(batch.words, NO_WORD))) - first).abs().max() > 1e-3


def test_a_promotion_acts_on_its_own_step_and_on_later_ones_within_the_reach_and_never_on_earlier_ones() -> None:
    network, batch = network_of(), batch_of(6)
    changed = batch.words_ahead.clone()
    changed[:, 0] = torch.where(changed[:, 0] == 1, OTHER, 1)
    with torch.inference_mode():
        moved = (network(replace(batch, words_ahead=changed)) - network(batch)).abs().amax((0, 2))
    assert (moved > 1e-4).all()  # its own step, and through the reach the next one
    changed = batch.words_ahead.clone()
    changed[:, 1] = torch.where(changed[:, 1] == 1, OTHER, 1)
    with torch.inference_mode():
        moved = (network(replace(batch, words_ahead=changed)) - network(batch)).abs().amax((0, 2))
    assert moved[0] == 0
    assert moved[1] > 1e-4


def test_cells_are_named_in_the_order_they_are_laid_out_and_lead_back_to_the_windows() -> None:
    batch = batch_of(5)
    cells, names = flatten(batch), cells_of(CONFIG)
    assert cells.shape == (5, len(names))
    back = unflatten(cells, CONFIG, batch, torch.arange(5))
    assert back.words.tolist() == batch.words.tolist()
    assert back.words_ahead.tolist() == batch.words_ahead.tolist()
    at = {key: [n for n, each in enumerate(names) if each == key] for key in names}
    assert cells[:, at["event", 4]].tolist() == batch.words[:, 0, :2].tolist()
    assert cells[:, at["promo", 1]].tolist() == batch.words[:, -1, 2:].tolist()
    assert cells[:, at["promo", -1]].tolist() == batch.words_ahead[:, 1].tolist()


def test_hidden_words_are_unknown_and_a_time_without_a_word_keeps_none() -> None:
    codes = torch.tensor([[[3, 1, 1], [2, OTHER, 1], [NO_WORD, NO_WORD, 1], [1, NO_WORD, NO_WORD]]])
    visible = np.array([[False, True, False, False, True]])
    assert hide_words(codes, visible, (2, 1)).tolist() == [
        [[OTHER, NO_WORD, OTHER], [2, OTHER, 1], [NO_WORD, NO_WORD, OTHER], [OTHER, NO_WORD, NO_WORD]]
    ]


@pytest.mark.parametrize("events", [("fall", None, "rash"), ("fall rash", "flu", None)])
def test_a_word_that_the_model_never_met_counts_as_every_other_unknown_one(events: tuple[str | None, ...]) -> None:
    model = classifier_of(1, 3, statics=False, events=("fall", "rash"), at_once=2)

    def with_word(word: str) -> np.ndarray:
        mine = [f"{event} {word}" if event == "fall" else event or word for event in events]
        others = Series([[0.0, 1.0, 2.0]], events=["fall", "rash", "some"])
        panel = panel_of([Series([[1.0, 2.0, 0.5]], events=mine), others], statics=False)
        return model.probabilities(panel, np.array([0]))

    assert with_word("alpha").tolist() == with_word("omega").tolist()
    assert with_word("alpha").tolist() != with_word("rash").tolist()


def test_words_are_counted_by_series() -> None:
    model = classifier_of(1, 4, statics=False, events=("fall", "rash"), at_once=2)
    series = [
        Series([[0.0] * 4], events=["fall", "fall rash", None, "odd"]),
        Series([[0.0] * 2], events=["strange", "odd"]),
    ]
    batch = model.sequences(panel_of(series, statics=False)).cut(np.arange(2))
    (counts,) = word_counts(batch, model.config)
    assert counts.tolist() == [[1.0, 2.0, 1.0], [2.0, 0.0, 0.0]]


def test_rare_words_count_more_and_every_text_has_the_same_length() -> None:
    rarity = torch.tensor([1.0, 3.0])
    found = weighted_terms(torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0]]), rarity).numpy()
    np.testing.assert_allclose(found[0], [TERMS_SCALE, 0.0], rtol=1e-6)
    np.testing.assert_allclose(found[1], TERMS_SCALE * np.array([1.0, 3.0]) / np.sqrt(10), rtol=1e-6)
    assert found[2].tolist() == [0.0, 0.0]


def test_a_rare_word_of_a_text_is_read_by_the_parts_that_enough_series_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tsx.model.categories.MANY_WORDS", 5)
    endings = ["ing", "ed", "ly"]
    texts = [["film", f"wonder{n:02}{endings[n % 3]}"] for n in range(33)]
    panel = panel_of([Series([[0.0, 0.0]], events=events) for events in texts], statics=False)
    plain = Channels.of(panel.schema, vocabulary_of(panel, series_embedding=False))
    assert plain.words[0].vocabulary == ("film",)
    channels, decisions = with_parts(panel, plain)
    known = channels.words[0].vocabulary
    parts = {entry.removeprefix("part:") for entry in known[1:]}
    assert {"<won", "onder", "wonder", "ing>"} <= parts
    assert not {part for part in parts if any(letter.isdigit() for letter in part)}  # of one series, or of few
    assert [decision.name for decision in decisions] == ["word_parts"]
    at_once = words_at_once(panel, channels)
    codes = word_codes(panel, channels, at_once)
    written = [{known[c - 1].removeprefix("part:") for c in row if c > OTHER} for row in codes[:2]]
    assert written[0] == {"film", "<fil", "film>", "<film", "ilm>", "<film>"}
    assert written[1] == {run for run in parts if run in "<wonder00ing>"}
    assert (codes != OTHER).all()


def test_few_categories_are_never_read_by_their_parts() -> None:
    panel = panel_of([Series([[0.0] * 2], events=["promo", f"once {n}"]) for n in range(40)], statics=False)
    plain = Channels.of(panel.schema, vocabulary_of(panel, series_embedding=False))
    assert with_parts(panel, plain) == (plain, ())

"""How many of the newest rows a decision needs: classifiers made by hand, of which it is known."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from tsx.explanation.classes.cells import SeriesCells
from tsx.explanation.classes.context_ablation import Tried, needed_sentence, rows_needed, shortest_enough, without_older
from tsx.explanation.classes.measure import Population, log_probabilities
from tsx.model.categories import NO_WORD
from tsx.model.sequences import SequenceBatch
from tsx.panel.calendar import Calendar
from tsx.spec.channels import Channels
from tsx.spec.classifier import ClassifierConfig
from tsx.spec.schema import Schema
from tsx.spec.settings import Choosing

SCHEMA = Schema("t", "", "id", past=("a", "b"), past_words=("event",), label="outcome")
CHANNELS = Channels.of(SCHEMA, {"event": ("fall", "fever")})
Rule = Callable[[SequenceBatch], Tensor]


def population(rule: Rule, steps: int, lengths: np.ndarray, seed: int = 0) -> Population:
    """Series of noise, and a classifier whose log-odds (B) are what the rule says."""
    random = np.random.default_rng(seed)
    values = torch.from_numpy(random.normal(size=(len(lengths), steps, 2)).astype(np.float32))
    words = torch.from_numpy(random.integers(NO_WORD, 3, size=(len(lengths), steps, 1)))
    nothing = values.new_zeros(len(lengths), 0)
    batch = SequenceBatch(values, torch.from_numpy(lengths), nothing, nothing.long(), words)
    config = ClassifierConfig(steps, ("no", "yes"), channels=CHANNELS, at_once=(1,))

    def network(series: SequenceBatch) -> Tensor:
        odds = rule(series)
        return torch.stack([-odds, odds], 1).div(2).log_softmax(-1)

    cells = SeriesCells(config, steps)
    made: Any = SimpleNamespace(network=network, choosing=Choosing(), scores=np.zeros(0))
    return Population(cast(Any, made), cells, cells.row(batch))


def newest(series: SequenceBatch, lag: int) -> Tensor:
    """(B) what the first column holds at this lag; 0 where it is missing."""
    at = series.lengths - lag
    held = series.values[torch.arange(len(series)), at.clamp(min=0), 0].nan_to_num()
    return torch.where(at >= 0, held, 0.0)


def threshold_at(lag: int) -> Rule:
    return lambda series: 6 * newest(series, lag).sign()


def needed(some: Population) -> int:
    return shortest_enough(rows_needed(some))


@pytest.mark.parametrize("lag", [1, 2, 5, 9, 10])
def test_a_threshold_on_one_lag_needs_exactly_that_lag_of_short_series(lag: int) -> None:
    assert needed(population(threshold_at(lag), 10, np.full(64, 10))) == lag


@pytest.mark.parametrize("lag", [7, 23, 44])
def test_of_long_series_it_is_at_least_that_lag_and_not_much_more(lag: int) -> None:
    assert lag <= needed(population(threshold_at(lag), 60, np.full(64, 60))) <= 1.25 * lag


def test_a_mean_of_the_newest_rows_needs_most_of_them_and_none_that_are_older() -> None:
    def rule(series: SequenceBatch) -> Tensor:
        return torch.stack([newest(series, lag) for lag in range(1, 7)]).sum(0)

    assert 4 <= needed(population(rule, 12, np.full(100, 12))) <= 6


def test_a_pattern_anywhere_needs_nine_in_ten_of_the_rows_or_more() -> None:
    def rule(series: SequenceBatch) -> Tensor:
        return torch.where((series.values[:, :, 1] > 2).any(1), 6.0, -6.0)

    assert needed(population(rule, 20, np.full(128, 20))) >= 18


def test_a_rare_event_far_back_is_needed_although_most_series_do_not_have_it() -> None:
    """Few probabilities move when it is taken away, and those are what the model knows."""

    def rule(series: SequenceBatch) -> Tensor:
        far = torch.stack([newest(series, lag) for lag in (8, 9)]).amin(0)
        return torch.where(far > 0.9, 4.0, -4.0)

    some = population(rule, 12, np.full(128, 12))
    tried = {each.length: each for each in rows_needed(some)}
    assert tried[1].moved < 0.01
    assert tried[1].same > 0.9
    assert needed(some) == 9


def test_a_decision_that_needs_many_rows_is_not_asked_in_every_way_of_few_of_them() -> None:
    """What is shorter than a length that is not enough cannot be enough from there on."""
    asked = []

    def rule(series: SequenceBatch) -> Tensor:
        asked.append(len(series) * int(series.lengths.max()))
        return 6 * newest(series, 40).sign()

    some = population(rule, 60, np.full(64, 60))
    found = rows_needed(some)
    assert shortest_enough(found) >= 40
    assert {each.older for each in found if each.length < 34} == {found[0].older}
    assert sum(asked) < 20 * 64 * 60


def test_the_answer_is_that_of_asking_every_length_in_every_way() -> None:
    def best(some: Population, whole: np.ndarray, length: int) -> bool:
        kept, same = [], []
        for _, cells, ways in without_older(some, length):
            said = np.mean([log_probabilities(some.classifier.network, cells, one).exp().numpy() for one in ways], 0)
            kept.append(1 - np.square(said - whole).sum() / np.square(whole - whole.mean(0)).sum())
            same.append((said.argmax(1) == whole.argmax(1)).mean())
        return any(k >= 0.9 and s >= 0.9 for k, s in zip(kept, same, strict=True))

    random = np.random.default_rng(7)
    for seed in range(12):
        weights = torch.from_numpy(random.normal(size=10) * random.uniform(0, 1.5, size=10) ** 3).float()

        def rule(series: SequenceBatch, weights: Tensor = weights) -> Tensor:
            return 3 * torch.stack([w * newest(series, lag) for lag, w in enumerate(weights, 1)]).sum(0)

        some = population(rule, 10, np.full(64, 10) if seed % 2 else random.integers(3, 11, size=64), seed)
        whole = some.log_probabilities(some.rows).exp().numpy()
        found = rows_needed(some)
        enough = {each.length: best(some, whole, each.length) for each in found[:-1]}
        not_enough = [length for length, is_enough in enough.items() if not is_enough]
        assert shortest_enough(found) == min(each.length for each in found if each.length > max(not_enough, default=0))


def test_words_are_taken_away_as_numbers_are() -> None:
    def rule(series: SequenceBatch) -> Tensor:
        at = (series.lengths - 3).clamp(min=0)
        word = series.words[torch.arange(len(series)), at, 0]
        return torch.where((word == 2) & (series.lengths >= 3), 5.0, -5.0)

    assert needed(population(rule, 8, np.full(96, 8))) == 3


def test_whether_a_series_is_longer_than_eight_rows_takes_nine_of_them() -> None:
    lengths = np.random.default_rng(3).integers(2, 15, size=64)
    assert needed(population(lambda series: 10.0 * (series.lengths > 8) - 5, 14, lengths)) == 9


def test_of_series_as_long_as_each_other_the_length_needs_no_rows() -> None:
    def rule(series: SequenceBatch) -> Tensor:
        return newest(series, 1) * (series.lengths == 14)

    assert needed(population(rule, 14, np.full(64, 14))) == 1


def test_a_model_that_leaves_every_label_open_is_asked_for_the_most_probable_one() -> None:
    some = population(threshold_at(5), 10, np.full(64, 10))
    cast(Any, some.classifier).choosing = Choosing(abstain=0.01)  # where nothing was held out, every label is open
    shortest = rows_needed(some)[0]
    assert shortest.length == 1
    assert 0.2 < shortest.same < 0.8


def test_a_model_that_says_the_same_of_every_series_needs_nothing() -> None:
    assert rows_needed(population(lambda series: torch.zeros(len(series)), 8, np.full(32, 8))) == []


@pytest.mark.parametrize(
    ("lengths", "names", "length"),
    [
        ([6, 6, 6, 6, 6], {"missing", "cut off", "of others"}, 6),
        ([6, 6, 4, 2, 6], {"cut off", "of others"}, 6),
        ([6, 6, 4, 2, 6], {"cut off", "of others"}, 5),
        ([6, 6, 4, 2, 6], {"cut off", "of others"}, 3),
    ],
)
def test_what_stands_for_older_rows_holds_nothing_of_them(lengths: list[int], names: set[str], length: int) -> None:
    some = population(threshold_at(1), 6, np.array(lengths))
    ways = {name: (cells, rows) for name, cells, rows in without_older(some, 3)}
    assert set(ways) == names
    spoilt = some.rows.clone()
    older = torch.tensor([lag is not None and lag > 3 for _, lag in some.cells.keys])
    spoilt[0, older] = 77.0  # of one series, which is not to notice
    spoilt[0, -1] = length
    again = without_older(Population(some.classifier, some.cells, spoilt), 3)
    for name, _, others in again:
        cells, rows = ways[name]
        for before, after in zip(rows, others, strict=True):
            read, then = (cells.batch(each[:1]) for each in (before, after))
            assert torch.equal(read.values.nan_to_num(), then.values.nan_to_num())
            assert torch.equal(read.words, then.words)
            assert torch.equal(read.lengths, then.lengths)
            at = slice(int(read.lengths[0]) - 3, int(read.lengths[0]))
            assert torch.equal(read.values[:, at], some.cells.batch(some.rows[:1]).values[:, 3:6])


def tried(length: int, same: float, kept: float) -> Tried:
    return Tried(length, same, kept, 0.0, "missing")


def test_a_length_that_is_enough_by_chance_below_one_that_is_not_does_not_count() -> None:
    every = [tried(1, 0.95, 0.95), tried(2, 0.8, 0.95), tried(3, 0.95, 0.89), tried(4, 0.91, 0.9), tried(5, 1, 1)]
    assert shortest_enough(every) == 4


@pytest.mark.parametrize(
    ("every", "words"),
    [
        (
            [tried(11, 0.6, -0.2), tried(12, 0.98, 0.93), tried(48, 1, 1)],
            "The last 12 hours are enough: from them alone 98 % of 80 series get the same class, and 93 % of how "
            "their probabilities differ is kept; with the last 11 hours it is 60 % and 0 %.",
        ),
        (
            [tried(1, 0.98, 0.93), tried(48, 1, 1)],
            "The last hour is enough: from it alone 98 % of 80 series get the same class, and 93 % of how their "
            "probabilities differ is kept.",
        ),
        (
            [tried(1, 0.5, 0.1), tried(40, 0.8, 0.7), tried(48, 1, 1)],
            "The whole series is needed, up to 2 days: with the last 1 d 16 h alone 80 % of 80 series get the same "
            "class, and 70 % of how their probabilities differ is kept.",
        ),
    ],
)
def test_a_sentence_says_how_much_is_enough_and_what_less_would_keep(every: list[Tried], words: str) -> None:
    assert needed_sentence(every, Calendar.parse("1h"), 80) == words

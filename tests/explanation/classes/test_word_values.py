"""SHAP values of words over time, against Shapley's formula over all coalitions."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import polars as pl
import pytest
import torch

from tests.explanation.handmade_classes import Series, classifier_of, panel_of
from tsx.explanation.classes.cells import LENGTH, SeriesCells
from tsx.explanation.classes.explain import explain_classifier
from tsx.explanation.classes.randomised import randomised_networks
from tsx.model.classifier import Classifier
from tsx.spec.settings import Question

QUESTION = Question(windows=8, reference="panel", max_evals=1 << 14)
PLAYERS = [*((name, lag) for name in ("a", "event") for lag in (1, 2, 3)), (LENGTH, None)]
WORDS = (None, "fall", "rash", "fall rash", "unheard", "rash unheard")


def some_series(seed: int = 0) -> list[Series]:
    random = np.random.default_rng(seed)
    lengths = [3, 2, 3, 1, 3, 2, 3, 1]
    return [
        Series(
            [random.normal(size=length).round(3).tolist()],
            label=("no", "yes")[n % 2],
            events=[WORDS[int(random.integers(len(WORDS)))] for _ in range(length)],
        )
        for n, length in enumerate(lengths)
    ]


def classifier() -> Classifier:
    return classifier_of(1, 3, statics=False, events=("fall", "rash"), at_once=2)


def mixed(x: Series, r: Series, present: frozenset[tuple[str, int | None]]) -> Series:
    """The series with what is present of `x`, and all else of `r`."""
    length = (x if (LENGTH, None) in present else r).length
    values, events = [], []
    for lag in range(length, 0, -1):
        number, word = (x if (name, lag) in present else r for name in ("a", "event"))
        values.append(number.values[0][number.length - lag] if lag <= number.length else float("nan"))
        events.append((word.events or [])[word.length - lag] if lag <= word.length else None)
    return Series([values], events=events)


def log_odds(model: Classifier, series: list[Series]) -> np.ndarray:
    p = model.probabilities(panel_of(series, statics=False), np.arange(len(series)))[:, 1]
    return np.log(p) - np.log1p(-p)


def test_the_words_of_a_time_are_a_player_with_the_value_of_the_definition() -> None:
    model, series = classifier(), some_series()
    result = explain_classifier(model, panel_of(series, statics=False), QUESTION, skill={})
    coalitions = [frozenset(some) for n in range(8) for some in combinations(PLAYERS, n)]
    tables = [mixed(series[4], r, some) for some in coalitions for r in series]
    game = dict(zip(coalitions, log_odds(model, tables).reshape(len(coalitions), -1).mean(1), strict=True))
    oracle = {
        player: sum(
            factorial(len(some)) * factorial(6 - len(some)) / factorial(7) * (game[some | {player}] - game[some])
            for some in coalitions
            if player not in some
        )
        for player in PLAYERS
    }
    rows = result.lag_importance.filter(pl.col("stay") == "s004")
    found = {(row["feature"], row["lag"]): row["shap"] for row in rows.iter_rows(named=True)}
    assert found.keys() == oracle.keys()
    assert max(abs(oracle["event", lag]) for lag in (1, 2, 3)) > 0.01
    for player, value in oracle.items():
        assert found[player] == pytest.approx(value, abs=1e-4), player


def test_what_stands_for_words_is_randomised_too() -> None:
    model = classifier()
    batch = model.sequences(panel_of(some_series(), statics=False)).cut(np.arange(8))
    last = list(randomised_networks(model.network, batch))[-1][1]
    before, after = (network.members[0].words.tables[0].weight for network in (model.network, last))
    assert not torch.equal(before, after)


def test_cells_lead_back_to_the_series_they_are_of() -> None:
    model, series = classifier(), some_series(1)
    sequences = model.sequences(panel_of(series, statics=False))
    batch = sequences.cut(np.arange(len(series)), 3)
    cells = SeriesCells(model.config, 3)
    back = cells.batch(cells.row(batch))
    assert back.words.tolist() == batch.words.tolist()
    assert len(cells.keys) == cells.row(batch).shape[1]


def test_the_words_of_a_series_stand_in_order_with_their_values_and_errors() -> None:
    model, series = classifier(), some_series()
    result = explain_classifier(model, panel_of(series, statics=False), QUESTION, skill={})
    table = result.tables["words"]
    for n, one in enumerate(series):
        own = table.filter(pl.col("stay") == f"s{n:03}")
        said = [event.replace(" ", " + ") for event in one.events or [] if event]
        assert own["word"].to_list() == said
        assert own["lag"].is_sorted(descending=True)
        shap = result.lag_importance.filter((pl.col("stay") == f"s{n:03}") & (pl.col("feature") == "event"))
        joined = own.join(shap, on="lag")
        assert joined["shap"].to_list() == pytest.approx(joined["shap_right"].to_list(), abs=1e-6)

"""SHAP values of words over time, against Shapley's formula over all coalitions."""

from __future__ import annotations

from dataclasses import replace
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
from tsx.explanation.classes.result import ClassExplanation
from tsx.explanation.classes.words import word_sentences
from tsx.explanation.result import GROUPS_ONLY
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


def strongest_by_hand(result: ClassExplanation, series: list[Series]) -> dict[str, tuple[int, int, float, float]]:
    """Series and times that hold each known word, the mean SHAP value of these times, and its standard error."""
    shap = {
        (row["stay"], row["lag"]): row["shap"]
        for row in result.lag_importance.filter(pl.col("feature") == "event").iter_rows(named=True)
    }
    found = {}
    for word in ("fall", "rash"):
        of_series = []
        for n, one in enumerate(series):
            lags = [one.length - at for at, event in enumerate(one.events or []) if event and word in event.split()]
            of_series += [[shap[f"s{n:03}", lag] for lag in lags]] if lags else []
        times = sum(map(len, of_series))
        mean = sum(map(sum, of_series)) / times
        apart = np.array([sum(each) - mean * len(each) for each in of_series])
        error = float(np.sqrt(np.sum(apart**2) * len(apart) / (len(apart) - 1))) / times
        found[word] = (len(of_series), times, mean, error)
    return found


def test_words_have_the_mean_of_the_times_that_hold_them_and_an_unknown_one_no_name() -> None:
    model, series = classifier(), some_series()
    result = explain_classifier(model, panel_of(series, statics=False), QUESTION, skill={})
    oracle, profile = strongest_by_hand(result, series), result.tables["word_profile"]
    assert set(profile["word"]) == {"fall", "rash"}
    for row in profile.iter_rows(named=True):
        assert (row["class"], row["feature"]) == ("yes", "event")
        expected = oracle[row["word"]]
        assert (row["series"], row["times"]) == expected[:2]
        assert (row["mean_shap"], row["shap_se"]) == pytest.approx(expected[2:], rel=1e-4)
    totals = [abs(oracle[word][1] * oracle[word][2]) for word in profile["word"]]
    assert totals == sorted(totals, reverse=True)


def test_a_private_explanation_names_no_word_of_few_series() -> None:
    model, usual = classifier(), [one for seed in range(4) for one in some_series(seed)]
    once = [
        replace(one, events=[event and event.replace("rash", "fall") for event in one.events or []]) for one in usual
    ]
    series = [*once[:-1], replace(once[-1], events=["rash"] * once[-1].length)]
    asked = replace(QUESTION, windows=32)
    found = explain_classifier(model, panel_of(series, statics=False), asked, skill={}, detail=GROUPS_ONLY)
    assert found.tables["word_profile"]["word"].to_list() == ["fall"]
    assert not any("rash" in sentence for sentence in found.findings)


def test_where_times_play_together_no_word_has_a_value_of_its_own() -> None:
    question = replace(QUESTION, players="group", group=2)
    found = explain_classifier(classifier(), panel_of(some_series(), statics=False), question, skill={})
    assert "word_profile" not in found.tables


def test_the_strongest_words_are_named_with_their_direction_and_standard_error() -> None:
    def row(name: str, word: str, mean: float, error: float) -> dict[str, object]:
        return {"class": name, "feature": "code", "word": word, "series": 9, "times": 12} | {
            "mean_shap": mean,
            "shap_se": error,
        }

    words = pl.DataFrame(
        [
            row("ill", "collapse", 8.25, 0.11),
            row("ill", "maybe", 0.9, 0.6),
            row("ill", "walk", -0.5, 0.1),
            row("well", "walk", 0.4, 0.1),
        ]
    )
    shares = [("ill", "code", 0.9), ("ill", "pulse", 0.1), ("well", "code", 0.02)]
    features = pl.DataFrame(shares, schema=["class", "feature", "share"], orient="row")
    assert word_sentences(words, features, ("ill", "well"), "state", "log-odds") == [
        "Of the words of code, collapse raises the odds of state = ill most (SHAP value 8.25 ± 0.11 in log-odds at a "
        "time that holds it, 9 series); then walk lowers them (SHAP value -0.500 ± 0.10, 9 series)."
    ]

"""Searching for settings: what is scored, what is found, and what is left of a search that ends early."""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.handmade import network_config
from tests.processes import make_panel
from tsx.errors import ConfigError, DataError, Interrupted, TsxError, UsageError
from tsx.evaluation import search
from tsx.evaluation.backtest import hold_out
from tsx.evaluation.folds import make_folds
from tsx.evaluation.search import Tuning, tune_panel
from tsx.evaluation.search_space import find_space, segment_for
from tsx.evaluation.study import Study, open_study
from tsx.model.distribution import mean_weights
from tsx.model.forecaster import Forecaster
from tsx.panel.lookup import targets_after
from tsx.panel.panel import Panel
from tsx.spec.settings import Reading, Search, Settings
from tsx.training.plan import LEARNING_RATE

PLAIN = Settings(horizon=4, season=7)
LEVELS, SKEWED = (0.1, 0.5, 0.9), np.array([-1.0, 0.0, 4.0])
ALL = ("context_length", "segment", "hidden_size", "layers", "dropout", "learning_rate", "cell", "transform")


def weekly(series: int = 3, length: int = 120) -> Panel:
    """A weekly pattern with noise."""
    random = np.random.default_rng(0)
    return make_panel([20 + 3 * np.sin(np.arange(length) * 2 * np.pi / 7) + random.normal(size=length)] * series)


class Oracle:
    """In place of training: forecasts that miss the truth by a known amount, which depends on the settings alone."""

    def __init__(self, error: Callable[[Settings], float]) -> None:
        self.error = error
        self.fitted: list[Settings] = []
        self.ends: list[np.ndarray] = []

    def fit(
        self, panel: Panel, settings: Settings, *, ends: Any, reading: Reading, progress: Any, checkpoints: Any
    ) -> Missing:
        assert (panel.lengths == ends).all()
        self.fitted.append(settings)
        self.ends.append(ends)
        progress.start("training", 100)
        progress.update(100.0)
        progress.finish()
        return Missing(self.error(settings), settings)


@dataclass
class Missing:
    error: float
    settings: Settings

    @property
    def config(self) -> Any:
        return network_config(horizon=4, quantile_levels=LEVELS, point=self.settings.point or "median")

    def quantiles(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
        return targets_after(panel, series, cutoffs, 4)[:, :, None] + self.error + SKEWED

    point = Forecaster.point


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Oracle:
    """Small networks are bad, three layers are worse; the rest does not matter."""
    made = Oracle(lambda s: 1.0 + {None: 0.5, 32: 1.0, 64: 0.5, 128: 0.2, 256: 0.0}[s.hidden_size] + (s.layers == 3))
    monkeypatch.setattr(search, "fit_forecaster", made.fit)
    return made


def tune(search: Search, wishes: Settings = PLAIN, panel: Panel | None = None, **more: Any) -> Tuning:
    return tune_panel(weekly() if panel is None else panel, Reading(), wishes, search, {"horizon": 4}, **more)


def tried(tuned: Tuning) -> list[dict[str, Any]]:
    return tuned.trials.drop("seconds").to_dicts()


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 12),
    st.integers(1, 24),
    st.integers(1, 600),
    st.sets(st.sampled_from(ALL)),
    st.data(),
)
def test_every_pick_is_a_network_and_the_default_is_among_the_picks(
    season: int, horizon: int, segments: int, segment: int, room: int, fixed: set[str], data: st.DataObject
) -> None:
    context = segments * segment
    network = replace(network_config(horizon=horizon, context_length=context, season=season), segment=segment)
    space = find_space(fixed, PLAIN, network, room)
    assert {choice.name for choice in space.choices}.isdisjoint(fixed)
    default = space.settings({choice.name: choice.default for choice in space.choices})
    assert (default.get("context_length", context), default.get("learning_rate", LEARNING_RATE)) == (
        context,
        LEARNING_RATE,
    )
    picked = {}
    for choice in space.choices:
        if choice.kind == "log":
            assert choice.values[0] < choice.default < choice.values[1]
            picked[choice.name] = data.draw(st.floats(*choice.values))
        else:
            assert choice.default in choice.values
            picked[choice.name] = data.draw(st.sampled_from(choice.values))
    made: dict[str, Any] = {"context_length": context, "segment": segment, **space.settings(picked)}
    assert replace(PLAIN, **made).context_length % made["segment"] == 0
    assert space.shortest_context <= made["context_length"] <= max(context, min(room, 512), 4)


def test_a_segment_divides_the_season_where_the_context_is_whole_seasons() -> None:
    assert [segment_for(96, parts, 24) for parts in (4, 8, 16, 64)] == [24, 12, 6, 2]
    assert segment_for(48, 2, 7) == 24
    assert segment_for(13, 4, 1) in (1, 13)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.integers(1, 20), st.integers(4, 40))
def test_each_fold_learns_from_before_all_that_it_scores_and_no_window_is_scored_twice(
    lengths: list[int], horizon: int, shortest: int
) -> None:
    panel = make_panel([np.arange(n) % 5.0 for n in lengths])
    network = replace(network_config(horizon=horizon, context_length=8, season=1), context_length=shortest)
    if max(lengths) < 2 * horizon + shortest:
        with pytest.raises(DataError, match="too few for a backtest"):
            make_folds(panel, PLAIN, network, shortest)
        return
    folds, metric = make_folds(panel, PLAIN, network, shortest)
    assert metric in ("mase", "mae")
    seen: set[tuple[int, int]] = set()
    for fold in folds:
        assert (fold.cutoffs + 1 >= fold.ends[fold.series]).all()
        assert (fold.cutoffs + horizon < panel.lengths[fold.series]).all()
        assert fold.y.shape == (len(fold.series), horizon)
        windows = set(zip(fold.series.tolist(), fold.cutoffs.tolist(), strict=True))
        assert not windows & seen
        seen |= windows
    for newer, older in pairwise(folds):
        assert (older.ends <= newer.ends).all()
        both = np.intersect1d(newer.series, older.series)
        assert all(older.cutoffs[older.series == s].max() < newer.cutoffs[newer.series == s].min() for s in both)


def test_a_table_that_is_too_short_says_how_short_it_is(oracle: Oracle) -> None:
    with pytest.raises(DataError, match="there are 9 in the longest of 2 series") as caught:
        tune(Search(trials=1), replace(PLAIN, context_length=4), make_panel([np.arange(9.0), np.arange(3.0)]))
    assert caught.value.code == "too-short-for-backtest"


def test_the_first_trial_is_the_defaults_and_the_best_is_what_was_planted(oracle: Oracle) -> None:
    tuned = tune(Search(trials=30))
    assert oracle.fitted[0] == replace(PLAIN, context_length=56, segment=7, intervals="network")
    assert tuned.trials["trial"].to_list() == list(range(30))
    assert tuned.best["hidden_size"] == 256
    assert tuned.best["layers"] < 3
    assert tuned.gain == pytest.approx(1 - 1.0 / 1.5, abs=1e-5)
    assert tuned.score == pytest.approx(tuned.trials.filter(state="whole")["score"].min())
    assert tuned.score <= tuned.default_score
    assert (tuned.better_folds, tuned.folds) == (3, 3)
    assert "errs 33.3 % less than the defaults" in tuned.sentence
    assert tuned.settings == {"horizon": 4, **tuned.best}


def test_what_matters_is_told_from_what_does_not_once_there_are_enough_trials(oracle: Oracle) -> None:
    oracle.error = lambda s: 1.0 + 2.0 * (s.hidden_size in (32, 64, None))
    tuned = tune(Search(trials=16))
    assert tuned.importance is not None
    assert set(tuned.importance) == set(ALL)
    assert sum(tuned.importance.values()) == pytest.approx(1)
    assert next(iter(tuned.importance)) == "hidden_size"
    assert tuned.importance["hidden_size"] > 0.4
    assert tune(Search(trials=9)).importance is None


def test_bad_trials_are_cut_short_and_the_first_ones_never(oracle: Oracle) -> None:
    tuned = tune(Search(trials=24))
    rows = tuned.trials
    assert rows.filter(state="whole")["folds"].unique().to_list() == [3]
    cut = rows.filter(state="pruned")
    assert cut.height > 0
    assert cut["folds"].max() < 3  # type: ignore[operator]
    assert cut["trial"].min() >= 5  # type: ignore[operator]
    assert len(oracle.fitted) == rows["folds"].sum()


@pytest.mark.parametrize("gain", [0.0, 0.004])
def test_where_nothing_is_clearly_better_it_says_to_keep_the_defaults(oracle: Oracle, gain: float) -> None:
    oracle.error = lambda s: 1.0 - gain * (s.hidden_size is not None)
    tuned = tune(Search(trials=4))
    assert tuned.best == {}
    assert tuned.sentence.startswith("Keep the defaults: ")
    assert tuned.settings == {"horizon": 4}
    assert tuned.gain == pytest.approx(gain, abs=1e-5)
    tuned = tune(Search(trials=1))
    assert repr(tuned).startswith("Tuning(trials=")
    assert len(repr(tuned)) < 300
    assert tuned.sentence.startswith("Keep the defaults: nothing else was tried")


def test_what_is_scored_is_the_point_forecast_be_it_the_median_or_the_mean(oracle: Oracle) -> None:
    median, mean = (tune(Search(trials=1), replace(PLAIN, point=point)).score for point in ("median", "mean"))
    assert mean / median == pytest.approx((1.5 + SKEWED @ mean_weights(LEVELS)) / 1.5)
    assert {wishes.point: wishes.intervals for wishes in oracle.fitted} == {"median": "network", "mean": "auto"}


def test_a_trial_does_not_learn_from_what_was_provisional_when_its_fold_ends(oracle: Oracle) -> None:
    tune(Search(trials=1))
    tune(Search(trials=1), replace(PLAIN, delay=3))
    trusted, delayed = np.split(np.array(oracle.ends), 2)
    assert (delayed == trusted - 3).all()


def test_what_is_given_is_held_and_the_same_pick_is_not_trained_again(oracle: Oracle) -> None:
    wishes = replace(PLAIN, context_length=14, segment=7, hidden_size=64, layers=2, dropout=0.1, learning_rate=0.01)
    tuned = tune(Search(fixed=tuple(name for name in ALL if name != "cell"), trials=200), wishes)
    assert {(s.cell, s.context_length, s.segment, s.layers) for s in oracle.fitted} == {
        ("lstm", 14, 7, 2),
        ("gru", 14, 7, 2),
    }
    assert len(oracle.fitted) <= 9
    assert tuned.defaults == {"cell": "lstm"}
    assert "nothing new was left to try" in tuned.notes


def test_with_nothing_left_to_choose_the_defaults_stay(oracle: Oracle) -> None:
    wishes = replace(PLAIN, context_length=14, segment=7, hidden_size=64, learning_rate=0.01)
    tuned = tune(Search(fixed=ALL, trials=3), wishes)
    assert (tuned.best, tuned.importance) == ({}, None)


def test_a_network_that_cannot_be_trained_is_a_failed_trial_but_failing_defaults_are_an_error(oracle: Oracle) -> None:
    def error(wishes: Settings) -> float:
        if wishes.layers == 3:
            raise DataError("training-diverged", "no number")
        return 1.0

    oracle.error = error
    tuned = tune(Search(trials=12))
    failed = tuned.trials.filter(state="failed")
    assert failed["layers"].unique().to_list() == [3]
    assert failed["score"].to_list() == [None] * failed.height
    assert tuned.trials.filter(layers=3).height == failed.height
    with pytest.raises(DataError, match="no number"):
        tune(Search(trials=2), replace(PLAIN, layers=3))


def test_the_same_seed_and_count_try_the_same_and_another_seed_does_not(oracle: Oracle) -> None:
    once, again, other = (tune(Search(trials=13), replace(PLAIN, seed=seed)) for seed in (3, 3, 4))
    assert tried(once) == tried(again)
    assert tried(once) != tried(other)


class Impatient:
    """Watches, and presses Ctrl-C in the middle of a trial."""

    def __init__(self, trial: int) -> None:
        self.trial = trial
        self.notes: list[str] = []

    def start(self, task: str, total: float) -> None:
        assert (task, total) == ("tuning", 1.0)

    def update(self, done: float, note: str = "") -> None:
        assert 0 <= done <= 1
        self.notes.append(note)
        if note.startswith(f"trial {self.trial}, fold 2"):
            raise KeyboardInterrupt

    def finish(self) -> None:
        pass


def test_an_interrupted_search_says_its_best_and_goes_on_as_if_it_had_not_been(oracle: Oracle, tmp_path: Path) -> None:
    whole = tune(Search(trials=14))
    kept = Search(trials=14, study=tmp_path / "tune.db")
    with pytest.raises(Interrupted, match="interrupted after 3 trials; best so far: MASE") as caught:
        tune(kept, progress=Impatient(4))
    assert "the study is kept" in caught.value.hint
    with pytest.raises(Interrupted):
        tune(kept, progress=Impatient(7))
    assert tried(tune(kept)) == tried(whole)
    before = len(oracle.fitted)
    assert tune(kept).best == whole.best
    assert len(oracle.fitted) == before


def test_an_interrupted_search_without_a_file_says_how_to_keep_one(oracle: Oracle) -> None:
    with pytest.raises(Interrupted, match=r"interrupted after 0 trials$") as caught:
        tune(Search(), progress=Impatient(1))
    assert "--study" in caught.value.hint


def test_a_trial_that_was_killed_is_forgotten(oracle: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Search(trials=8, study=tmp_path / "tune.db")
    with monkeypatch.context() as patch:
        patch.setattr(Study, "drop", lambda *_: None)
        with pytest.raises(Interrupted):
            tune(kept, progress=Impatient(3))
    assert tried(tune(kept)) == tried(tune(replace(kept, study=None)))


def test_the_bar_names_the_trial_and_the_best_so_far(oracle: Oracle) -> None:
    watch = Impatient(99)
    tune(Search(trials=3), progress=watch)
    assert watch.notes[0] == "trial 1, fold 1"
    assert watch.notes[-1].startswith("trial 3, fold 3, best ")


class Clock:
    """An hour for every look."""

    def __init__(self) -> None:
        self.hours = 0

    def __call__(self) -> float:
        self.hours += 1
        return 3600.0 * self.hours


def test_when_the_time_is_over_the_trial_is_cut_off_but_the_defaults_are_always_scored(
    oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "monotonic", Clock())
    tuned = tune(Search(max_time=1.0))
    assert tuned.trials["state"].to_list() == ["whole"]
    assert len(oracle.fitted) == 3
    monkeypatch.setattr(search, "monotonic", Clock())
    some = tune(Search(max_time=3600.0 * 60))
    assert 1 < some.trials.height < 30
    assert "the last trial was cut off when the time was over" in some.notes


@pytest.mark.parametrize(
    ("wishes", "panel", "what"),
    [
        (replace(PLAIN, max_steps=7), weekly(), "the flags"),
        (PLAIN, weekly(length=121), "the table"),
        (replace(PLAIN, seed=1), weekly(), r"\(changed since: the flags\)"),
        (replace(PLAIN, horizon=5), weekly(), r"\(changed since: the flags\)"),
    ],
)
def test_a_study_of_something_else_is_refused(
    oracle: Oracle, tmp_path: Path, wishes: Settings, panel: Panel, what: str
) -> None:
    kept = Search(trials=1, study=tmp_path / "tune.db")
    tune(kept)
    with pytest.raises(ConfigError, match=what) as caught:
        tune(kept, wishes, panel)
    assert caught.value.code == "study-differs"


def test_the_device_and_the_count_may_change_within_a_study(oracle: Oracle, tmp_path: Path) -> None:
    kept = Search(trials=1, study=tmp_path / "tune.db")
    tune(kept)
    assert tune(replace(kept, trials=2), replace(PLAIN, device="cpu")).trials.height == 2


def test_one_search_at_a_time_uses_a_study(oracle: Oracle, tmp_path: Path) -> None:
    space = find_space(ALL, PLAIN, network_config(), 9)
    with open_study(tmp_path / "tune.db", space, {}, 0), pytest.raises(UsageError) as caught:
        tune(Search(trials=1, study=tmp_path / "tune.db"))
    assert caught.value.code == "study-in-use"


def test_the_study_holds_nothing_of_the_table(oracle: Oracle, tmp_path: Path) -> None:
    file = tmp_path / "tune.db"
    panel = weekly()
    tune(Search(trials=3, study=file), panel=replace(panel, ids=pl.Series(["anna", "bernd", "carla"])))
    base = sqlite3.connect(file)
    dump = "\n".join(base.iterdump())
    base.close()
    assert "hidden_size" in dump
    words = ("anna", "bernd", "carla", str(tmp_path))
    assert [word for word in words if word in dump] == []
    numbers = {f"{value:.4f}" for value in (panel.values[:, 0] + panel.centers[0, 0]).tolist()}
    assert [number for number in numbers if number in dump] == []


def test_optuna_says_nothing_and_keeps_its_own_verbosity(
    oracle: Oracle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = optuna.logging.get_verbosity()
    tune(Search(trials=3, study=tmp_path / "tune.db"))
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


def test_the_settings_file_says_what_is_to_be_fitted(oracle: Oracle) -> None:
    tuned = replace(tune(Search(trials=12)), given={"target": ['sa"les'], "horizon": 4, "wide": True, "zone": "é\x7f"})
    read = tomllib.loads(tuned.to_toml())
    assert read["fit"] == read["backtest"] == tuned.settings
    assert tuned.to_toml().startswith("# tsx tune: The best of 12 trials")


@pytest.mark.parametrize(("given_as", "where"), [({"trials": 0}, "trials"), ({"max_time": 0.0}, "max_time")])
def test_a_search_needs_trials_and_time(given_as: dict[str, Any], where: str) -> None:
    with pytest.raises(TsxError) as caught:
        Search(**given_as)
    assert caught.value.where == where


def test_what_fit_judges_on_changes_nothing_in_a_search() -> None:
    """With networks that are really trained."""
    panel = weekly()
    wishes = replace(PLAIN, max_steps=2, context_length=14, hidden_size=4, layers=1, dropout=0.0)
    search = Search(fixed=("context_length", "hidden_size", "layers", "dropout"), trials=2)
    held = hold_out(panel, 4, 18)
    assert held is not None
    values = panel.values.copy()
    for begin, end, stop in zip(panel.offsets, held[0], np.diff(panel.offsets), strict=False):
        values[begin + end : begin + stop] = 1e9
    assert tried(tune(search, wishes, replace(panel, values=values))) == tried(tune(search, wishes, panel))

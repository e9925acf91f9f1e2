"""Searching for settings that forecast this table better than the program's own, and saying whether there are any.

The score of a trial is the mean scaled error (MASE) of its point forecast in a rolling backtest: the same loss by which
`fit` judges a network against simple forecasts. It does not drown small series, as the scaled CRPS does; and unlike the
validation loss of a training it is the same measure for every transform and every context.

The backtest lies inside the part that `fit` learns from: the newest rows of every series, on which `fit` judges, are
seen by no trial, so the verdict on a tuned network stays honest.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import numpy as np
import polars as pl

from tsx.errors import DataError, Interrupted, TsxError
from tsx.evaluation.backtest import hold_out
from tsx.evaluation.folds import Fold, make_folds
from tsx.evaluation.search_space import Space, find_space
from tsx.evaluation.study import Candidate, Outcome, Study, Trial, open_study
from tsx.panel.calendar_features import with_calendar
from tsx.panel.panel import Panel
from tsx.panel.reporting_delay import final_lengths
from tsx.progress import SILENT, Progress, Silent
from tsx.runtime.engines import LOCAL, Executor, Work
from tsx.spec.checkpoints import NONE, Checkpoints, State, begun_part
from tsx.spec.network import to_dict
from tsx.spec.schema import Schema
from tsx.spec.settings import Intervals, Reading, Search, Settings
from tsx.training.fit import fit_forecaster
from tsx.training.plan import plan_shape
from tsx.wording import count, verb

TRIALS = 30
"""Trials where neither their count nor a time is given."""
REPEATED = 50
"""Trials in a row that repeat earlier ones, after which nothing new is left to try."""
TITLES = {"mase": "MASE", "mae": "MAE", "log_loss": "log loss"}
MARGIN = 0.01
"""Least gain over the defaults that is worth settings of one's own."""


@dataclass(frozen=True, eq=False)
class Tuning:
    """What came of a search.

    best           the settings to fit with, by their names in `tsx.fit`; empty: keep the defaults
    defaults       what the program chose by itself for the same settings
    metric         "mase"; "mae" where no scored window has a scale; "log_loss" of classes
    score          of the best trial, mean over all scored steps
    default_score  of the program's own settings
    gain           1 - score / default_score, in the rolling backtest; 0 where nothing was better
    better_folds   of `folds` folds, how many the best trial is better in
    trials         one row per trial: `trial` (0: the defaults), `state` (whole, pruned, failed), `score`, `folds` it
                   was scored on, `seconds`, then a column per choice
    importance     share of the scores' variance that each choice explains; None: too few trials to say
    sentence       the verdict in words
    scored_on      what the folds are, in words
    given          what the user fixed for the fit, by name; `to_toml` writes it beside `best`

    Examples:
        >>> tuned = tsx.tune("sales.parquet", horizon=7, trials=2, max_steps=50)
        >>> tuned.sentence, tuned.settings
    """

    best: dict[str, Any]
    defaults: dict[str, Any]
    metric: str
    score: float
    default_score: float
    gain: float
    better_folds: int
    folds: int
    trials: pl.DataFrame
    importance: dict[str, float] | None
    sentence: str
    scored_on: str
    notes: tuple[str, ...]
    given: dict[str, Any]
    study: Path | None

    def __repr__(self) -> str:
        return (
            f"Tuning(trials={self.trials.height}, metric={self.metric!r}, score={self.score:.4g}, "
            f"default_score={self.default_score:.4g}, gain={self.gain:.3f}, better_folds={self.better_folds}, "
            f"folds={self.folds})"
        )

    @property
    def settings(self) -> dict[str, Any]:
        """What `tsx.fit` is to be called with: all that was given, and the best of what was searched."""
        return {**self.given, **self.best}

    def to_toml(self) -> str:
        """A settings file: tables [fit] and [backtest] that both commands read with `--config`.

        >>> print(tuned.to_toml())
        """
        lines = [f"{name} = {toml_value(value)}" for name, value in self.settings.items()]
        tables = "\n".join("\n".join([f"[{table}]", *lines, ""]) for table in TABLES)
        return f"{COMMENT}{self.sentence}\n\n{tables}"

    def to_dict(self) -> dict[str, Any]:
        """What `tsx tune --json` prints, JSON-able.

        >>> tuned.to_dict()["verdict"]
        """
        return {
            "best": self.best,
            "keep_defaults": not self.best,
            "defaults": self.defaults,
            "given": self.given,
            "metric": self.metric,
            "score": self.score,
            "default_score": self.default_score,
            "gain": self.gain,
            "folds": self.folds,
            "better_folds": self.better_folds,
            "verdict": self.sentence,
            "importance": self.importance,
            "notes": list(self.notes),
            "trials": self.trials.to_dicts(),
            "study": None if self.study is None else str(self.study),
        }


TABLES = ("fit", "backtest")
COMMENT = "# tsx tune: "


def toml_value(value: Any) -> str:
    """A text, number, truth value or list of them as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(map(toml_value, value))}]"


OF_NO_SETTINGS = ("inputs-changed", "worker-lost")
"""Errors of the processes that score trials, which say nothing of the settings that were tried."""


@dataclass(frozen=True)
class FoldOfTrial:
    """What is scored at a time: settings that are tried, on the fold with this number."""

    tried: dict[str, Any]
    fold: int


@dataclass(frozen=True, eq=False)
class Searched:
    """What a search is laid out on: the panel without the newest rows, its folds, and what can be chosen."""

    panel: Panel
    reading: Reading
    settings: Settings
    space: Space
    folds: Sequence[Fold]
    metric: str

    @property
    def scored_on(self) -> str:
        """What the folds are, in words."""
        return "a rolling backtest; the newest rows were not used"

    @classmethod
    def of(cls, plain: Panel, reading: Reading, settings: Settings, search: Search) -> Searched:
        """`plain`: the panel without what is computed from the calendar. Raises DataError `too-short-for-backtest`."""
        shape, _ = plan_shape(plain, settings)
        panel = with_calendar(plain, reading, shape.horizon)
        # Calibration of the intervals leaves the median as it is; the mean moves with them.
        intervals: Intervals = "network" if shape.point == "median" else settings.intervals
        settings = replace(
            settings,
            horizon=shape.horizon,
            context_length=shape.context_length,
            segment=shape.segment,
            max_time=None,
            ensemble=1,
            intervals=intervals,
        )
        beside = 2 * shape.horizon
        least = find_space(search.fixed, settings, shape, int(np.median(panel.lengths)) - beside).shortest_context
        # The shorter the context, the more `fit` holds out: whatever is chosen, it is none of what is scored here.
        held = hold_out(panel, shape.horizon, least + shape.horizon)
        panel = replace(panel, lengths=panel.lengths if held is None else held.ends)
        histories, _ = plan_shape(panel, settings)
        transform = "" if histories.floor is None else histories.link
        folds, metric = make_folds(panel, settings, shape, least)
        learnt = folds[-1].ends
        room = int(np.median(learnt[learnt > 0])) - beside
        space = find_space(search.fixed, settings, shape, room, least=least, transform=transform)
        return cls(panel, reading, settings, space, folds, metric)

    def errors(self, piece: FoldOfTrial, progress: Progress = SILENT, checkpoints: Checkpoints = NONE) -> np.ndarray:
        """(2): sum and count of the errors."""
        asked, fold = replace(self.space.base, **piece.tried), self.folds[piece.fold]
        final = final_lengths(fold.ends, asked.delay)
        before = replace(self.panel, lengths=final)
        forecaster = fit_forecaster(
            before, asked, ends=final, reading=self.reading, progress=progress, checkpoints=checkpoints
        )
        quantiles = forecaster.quantiles(self.panel, fold.series, fold.cutoffs)
        error = np.abs(fold.y - forecaster.point(quantiles)) / fold.scale[:, None]
        known = np.isfinite(fold.y) & np.isfinite(fold.scale)[:, None]
        return np.array([error[known].sum(), known.sum()])


def tune_panel(
    plain: Panel,
    reading: Reading,
    settings: Settings,
    search: Search,
    given: dict[str, Any],
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
    work: Work = LOCAL,
) -> Tuning:
    """Search for settings on the panel that was read.

    `plain`: the panel without what is computed from the calendar. The first trial of a study is the program's own
    choice, so the best is never worse than that on the measure. `work`: by what the folds of the trials are scored;
    another process makes the `errors` of this `Searched`. Errors: as `Searched.of`, `open_study`; whatever fitting with
    the defaults raises. Interrupted with the best so far, when Ctrl-C comes.
    """
    began = monotonic()
    searched = Searched.of(plain, reading, settings, search)
    of_what = about(plain, searched.panel.schema, searched.settings, searched.space)
    trials = Trials(searched, search, progress, checkpoints, began, work)
    return trials.tuning(of_what, settings.seed, given)


def about(plain: Panel, schema: Schema, settings: Settings, space: Space) -> dict[str, str]:
    """Hashes of what a study is of, by what a person would call it."""
    table = hashlib.sha256()
    for array in (plain.values, plain.offsets, plain.lengths, plain.centers, plain.static_values, plain.codes):
        table.update(np.ascontiguousarray(array).tobytes())
    table.update(plain.static_labels.write_json().encode())
    table.update(json.dumps([known.to_list() for known in plain.words]).encode() if plain.words else b"")
    return {
        "the table": table.hexdigest(),
        "its columns": _hash([to_dict(schema), plain.calendar.alias]),
        "the flags": _hash([to_dict(replace(settings, device="auto")), space.to_dict()]),
        "the version of tsx": _hash(importlib.metadata.version("tsx-forecast")),
    }


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class _OutOfTime(Exception):
    """The time is over in the middle of a trial."""


class Subject(Protocol):
    """What trials are scored on: `Searched`, or `SearchedClasses`."""

    @property
    def space(self) -> Space: ...

    @property
    def folds(self) -> Sequence[Any]: ...

    @property
    def metric(self) -> str: ...

    @property
    def scored_on(self) -> str: ...

    def errors(self, piece: FoldOfTrial, progress: Progress, checkpoints: Checkpoints) -> np.ndarray:
        """(2): sum and count of the errors."""
        ...


@dataclass(eq=False)
class Trials:
    """Trials one after the other, until enough of them ended or the time is over.

    Where the engine has room, folds and trials that are likely to be needed are scored ahead: the other folds of a
    trial, which may be cut short, and the trials that are drawn at random. What comes out does not depend on it.
    """

    subject: Subject
    search: Search
    progress: Progress
    checkpoints: Checkpoints
    began: float
    """When the search began; earlier by the time that it took before it was killed."""
    work: Work = LOCAL
    notes: list[str] = field(default_factory=list)
    watch: Progress = SILENT
    """Of the present trial."""
    waiting: dict[str, Callable[[], tuple[np.ndarray, float]]] = field(default_factory=dict)
    """For the errors of settings in a fold, and the seconds that they took."""

    @property
    def space(self) -> Space:
        return self.subject.space

    @property
    def folds(self) -> Sequence[Any]:
        return self.subject.folds

    @property
    def metric(self) -> str:
        return self.subject.metric

    def tuning(self, about: Mapping[str, str], seed: int, given: dict[str, Any]) -> Tuning:
        """What comes of them, in a study of `about` (see `open_study`)."""

        def errors(piece: FoldOfTrial) -> np.ndarray:
            return self.subject.errors(piece, self.watch, self.checkpoints)

        with open_study(self.search.study, self.space, about, seed) as study, self.work.by(errors) as pool:
            self.run(study, pool)
            ended, importance = study.ended(), study.importance()
        return tuning_of(ended, importance, self, given)

    @property
    def most(self) -> int | None:
        """Trials at most; None: until the time is over."""
        return self.search.trials or (TRIALS if self.search.max_time is None else None)

    def run(self, study: Study, pool: Executor[FoldOfTrial, np.ndarray]) -> None:
        ended = study.ended()
        if ended:
            self.notes.append(f"{count(len(ended), 'trial')} {verb(len(ended), 'was')} in the study already")
        known = {_key(trial.settings if trial.number else {}): trial for trial in reversed(ended)}
        repeated = 0
        self.progress.start("tuning", 1.0)
        try:
            while (self.most is None or len(ended) < self.most) and (not ended or self.left() > 0):
                candidate = study.ask()
                settings = self.space.settings(candidate.values) if ended else {}
                coming = [settings, *self._drawn_ahead(study, len(ended), pool.room)]
                for one in coming:
                    if _key(one) not in known and _key([one, 0]) not in self.waiting:
                        self._begin(one, pool)
                try:
                    earlier = known.get(_key(settings))
                    repeated = 0 if earlier is None else repeated + 1
                    # The same choices score the same: nothing is trained again.
                    trial = self._try(candidate, settings, ended) if earlier is None else replace(earlier, seconds=0.0)
                    study.tell(candidate, trial)
                except _OutOfTime:
                    study.drop(candidate)
                    self.notes.append("the last trial was cut off when the time was over")
                    break
                except BaseException:
                    study.drop(candidate)
                    raise
                ended = study.ended()
                known.setdefault(_key(settings), ended[-1])
                if repeated >= REPEATED:
                    self.notes.append("nothing new was left to try")
                    break
        except KeyboardInterrupt:
            raise self._interrupted(ended) from None
        finally:
            self.progress.finish()

    def left(self) -> float:
        """Seconds."""
        return float("inf") if self.search.max_time is None else self.search.max_time - self._seconds()

    def _drawn_ahead(self, study: Study, ended: int, room: int) -> list[dict[str, Any]]:
        """Settings of the next trials that are drawn at random, as many as there is room for."""
        numbers = range(ended + 1, ended + room)
        drawn = [study.drawn(number) for number in numbers if self.most is None or number < self.most]
        return [self.space.settings(values) for values in drawn if values is not None]

    def _try(self, candidate: Candidate, settings: dict[str, Any], ended: list[Trial]) -> Trial:
        """The settings scored on one fold after the other. The first trial of a study must end, whatever its score."""
        began, first = self._seconds(), not ended
        self.watch = watch = _TrialProgress(self, ended)
        sums, scores = np.zeros(2), list[float]()

        def trial(state: Outcome, score: float | None, why: str = "") -> Trial:
            return Trial(len(ended), state, settings, score, tuple(scores), self._seconds() - began, why)

        try:
            for k in range(len(self.folds)):
                watch.fold = k
                watch.update(0.0)
                errors = self._errors_of_fold(settings, k)
                sums += errors
                scores.append(_mean(errors))
                score = _mean(sums)
                if not np.isfinite(score):
                    raise DataError(
                        "training-diverged",
                        f"a trial's errors are no numbers in fold {k + 1}",
                        hint="lower --learning-rate",
                        where="training",
                    )
                if k + 1 < len(self.folds) and candidate.worse_than_median(k, score) and not first:
                    return trial("pruned", score)
        except TsxError as error:
            if first or error.code in OF_NO_SETTINGS:
                raise
            return trial("failed", None, error.code)
        return trial("whole", score)

    def _seconds(self) -> float:
        """Since the search began."""
        return monotonic() - self.began

    def _begin(self, settings: dict[str, Any], pool: Executor[FoldOfTrial, np.ndarray]) -> None:
        """Have the settings scored in all folds, unless they were before the search was killed."""
        for k in range(len(self.folds)):
            self.waiting[_key([settings, k])] = begun_part(
                self.checkpoints,
                ("trial", settings, k),
                partial(self._submitted, FoldOfTrial(settings, k), pool),
                lambda result: State({"errors": result[0].tolist(), "seconds": result[1]}),
                lambda state: (np.array(state.facts["errors"]), state.facts["seconds"]),
            )

    def _submitted(
        self, piece: FoldOfTrial, pool: Executor[FoldOfTrial, np.ndarray]
    ) -> Callable[[], tuple[np.ndarray, float]]:
        """What waits for the errors of the piece, and says how long that took."""
        number = pool.submit(piece)

        def wait() -> tuple[np.ndarray, float]:
            before = self._seconds()
            return pool.result(number), self._seconds() - before

        return wait

    def _errors_of_fold(self, settings: dict[str, Any], k: int) -> np.ndarray:
        """(2): sum and count of errors in fold k, now or before the search was killed."""
        before = self._seconds()
        errors, seconds = self.waiting.pop(_key([settings, k]))()
        self.began -= max(seconds - (self._seconds() - before), 0.0)
        return errors

    def _interrupted(self, ended: list[Trial]) -> Interrupted:
        best = _best(ended)
        message, file = f"interrupted after {count(len(ended), 'trial')}", self.search.study
        if best is not None:
            message += f"; best so far: {TITLES[self.metric]} {best.score:.4g} with "
            if best.number:
                message += ", ".join(f"{name} {value}" for name, value in best.settings.items())
                message += f"; the defaults have {ended[0].score:.4g}"
            else:
                message += "the defaults"
        hint = "with --study FILE the next run goes on from there"
        if file is not None:
            hint = "the same command goes on from there: the study is kept"
        return Interrupted("interrupted", message, hint=hint, where="" if file is None else str(file))


class _TrialProgress(Silent):
    """The progress of one trial as a part of the search's; ends the training when the time is over."""

    def __init__(self, trials: Trials, ended: list[Trial]) -> None:
        self.trials, self.ended, self.fold = trials, ended, 0
        best = _best(ended)
        self.note = "" if best is None else f", best {best.score:.4g}"
        self.total = 1.0

    def start(self, task: str, total: float) -> None:
        self.total = total
        self.update(0.0)

    def update(self, done: float, note: str = "") -> None:
        trials = self.trials
        if self.ended and trials.left() <= 0:
            raise _OutOfTime
        part = (self.fold + done / max(self.total, 1.0)) / len(trials.folds)
        shares = [(len(self.ended) + part) / trials.most] if trials.most else []
        if trials.search.max_time is not None:
            shares.append(1 - trials.left() / trials.search.max_time)
        trials.progress.update(min(max(shares), 1.0), f"trial {len(self.ended) + 1}, fold {self.fold + 1}{self.note}")


def _key(settings: Any) -> str:
    return json.dumps(settings, sort_keys=True)


def _mean(errors: np.ndarray) -> float:
    """Of a sum and a count; NaN of nothing."""
    return float(errors[0] / errors[1]) if errors[1] else float("nan")


def _best(trials: list[Trial]) -> Trial | None:
    """The whole trial with the least score, the first of several."""
    whole = [
        (trial.score, trial.number, trial) for trial in trials if trial.state == "whole" and trial.score is not None
    ]
    return min(whole, default=(0.0, 0, None))[2]


def tuning_of(trials: list[Trial], importance: dict[str, float] | None, run: Trials, given: dict[str, Any]) -> Tuning:
    own, best = trials[0], _best(trials)
    assert best is not None
    assert best.score is not None
    assert own.score is not None
    gain = 1 - best.score / own.score if own.score > 0 else 0.0
    better = sum(mine < theirs for mine, theirs in zip(best.folds, own.folds))
    worth = best.number > 0 and gain >= MARGIN
    default = {choice.name: choice.default for choice in run.space.choices}
    default = run.space.settings(default) if default else {}
    return Tuning(
        best={name: best.settings[name] for name in default if name in best.settings} if worth else {},
        defaults=default,
        metric=run.metric,
        score=best.score,
        default_score=own.score,
        gain=gain,
        better_folds=better,
        folds=len(run.folds),
        trials=_frame(trials, default),
        importance=importance,
        sentence=_sentence(run, trials, own.score, best, gain, better, worth),
        scored_on=run.subject.scored_on,
        notes=tuple(run.notes),
        given=given,
        study=None if run.search.study is None else Path(run.search.study),
    )


def _frame(trials: list[Trial], default: dict[str, Any]) -> pl.DataFrame:
    rows = [
        {
            "trial": trial.number,
            "state": trial.state,
            "score": trial.score,
            "folds": len(trial.folds),
            "seconds": round(trial.seconds, 3),
            **{name: (default | trial.settings)[name] for name in default},
        }
        for trial in trials
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _sentence(run: Trials, trials: list[Trial], own: float, best: Trial, gain: float, better: int, worth: bool) -> str:
    name, tried = TITLES[run.metric], count(len(trials), "trial")
    if len(trials) == 1:
        return f"Keep the defaults: nothing else was tried ({name} {own:.4g})."
    if not best.number:
        return f"Keep the defaults: of {tried} none was better ({name} {own:.4g})."
    if not worth:
        return (
            f"Keep the defaults: the best of {tried} is only {100 * gain:.1f} % better ({name} {best.score:.4g} "
            f"against {own:.4g}), which another seed may turn around."
        )
    return (
        f"The best of {tried} errs {100 * gain:.1f} % less than the defaults ({name} {best.score:.4g} against "
        f"{own:.4g}, better in {better} of {count(len(run.folds), 'fold')}). It was picked for that: expect less on "
        "what is new."
    )

"""The record of a search, in memory or in an SQLite file: which choices were tried, and how they scored.

The one place that knows optuna. Nothing of the table is recorded: only places in lists of choices, scores, seconds, and
hashes by which a study of other data or other flags is told from this one.

What is tried next depends on the seed and on the trials that came to an end, and on nothing else. So a study that was
interrupted and goes on tries what it would have tried without the interruption.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tsx.errors import ConfigError, MissingDependency, UsageError, WriteError
from tsx.evaluation.search_space import Space
from tsx.io.atomic import not_writable

if TYPE_CHECKING:
    from types import ModuleType

    import optuna

NAME = "tsx"
ABOUT = "about"
RESULT = "told"
"""Attributes of the study and of its trials in the file."""
RANDOM_TRIALS = 10
"""Trials drawn at random before the sampler learns from the others."""
UNPRUNED_TRIALS = 5
"""Trials that are scored to the end before any is cut short."""
ENOUGH_TRIALS = 10
"""Trials below which nothing is said about the importance of a choice."""

Outcome = Literal["whole", "pruned", "failed"]
HEADER = b"SQLite format 3\x00"


@dataclass(frozen=True)
class Trial:
    """A trial that came to an end.

    settings  what it tried, by the names in `Settings`; the first trial of a study tried the program's own defaults
    score     mean over the folds it was scored on; None where it failed
    folds     the score on each of them
    why       the code of the error that ended it
    """

    number: int
    state: Outcome
    settings: dict[str, Any]
    score: float | None
    folds: tuple[float, ...]
    seconds: float
    why: str


@dataclass(frozen=True)
class Candidate:
    """A trial that has begun: the `values` of its choices."""

    trial: optuna.Trial
    values: dict[str, Any]

    def worse_than_median(self, fold: int, score: float) -> bool:
        """Whether the `score` up to this fold is worse than the median of the earlier trials' at the same fold."""
        self.trial.report(score, fold)
        return self.trial.should_prune()


class Study:
    """Trials, past and to come."""

    def __init__(self, library: ModuleType, study: optuna.Study, space: Space, seed: int) -> None:
        self._optuna = library
        self._study = study
        self._space = space
        self._seed = seed

    def ended(self) -> list[Trial]:
        """The trials that came to an end, in order; those that were cut off by the clock or by hand are none."""
        states = self._optuna.trial.TrialState
        trials = self._study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED))
        return [_trial(number, trial, states.COMPLETE) for number, trial in enumerate(trials)]

    def ask(self) -> Candidate:
        """The next candidate. The first one's values are the defaults."""
        ended = len(self.ended())
        self._study.sampler = self._sampler(ended)
        waiting = self._study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.WAITING,))
        if not ended and not waiting:
            self._study.enqueue_trial({c.name: _code(c, c.default) for c in self._space.choices})
        trial = self._study.ask()
        return Candidate(trial, self._values(trial))

    def drawn(self, number: int) -> dict[str, Any] | None:
        """The values of the trial with this number, where they do not depend on the trials before it; else None."""
        if not 0 < number < RANDOM_TRIALS:
            return None
        return self._values(self._optuna.create_study(sampler=self._sampler(number)).ask())

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """What chooses the values of the trial with this number."""
        state = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        sampler: optuna.samplers.BaseSampler = self._optuna.samplers.TPESampler(
            seed=state, n_startup_trials=RANDOM_TRIALS
        )
        return sampler

    def _values(self, trial: optuna.Trial) -> dict[str, Any]:
        """The values of all choices, as the sampler of the trial suggests them."""
        values: dict[str, Any] = {}
        for choice in self._space.choices:
            if choice.kind == "log":
                values[choice.name] = trial.suggest_float(choice.name, *choice.values, log=True)
            elif choice.kind == "named":
                values[choice.name] = trial.suggest_categorical(choice.name, choice.values)
            else:
                values[choice.name] = choice.values[trial.suggest_int(choice.name, 0, len(choice.values) - 1)]
        return values

    def tell(self, candidate: Candidate, trial: Trial) -> None:
        """How a candidate ended."""
        result = {
            "settings": trial.settings,
            "folds": list(trial.folds),
            "score": trial.score,
            "seconds": trial.seconds,
            "why": trial.why,
        }
        candidate.trial.set_user_attr(RESULT, result)
        if trial.state == "whole":
            self._study.tell(candidate.trial, trial.score)
        else:
            self._study.tell(candidate.trial, state=self._optuna.trial.TrialState.PRUNED)

    def drop(self, candidate: Candidate) -> None:
        """Leave out a trial that was cut off."""
        self._study.tell(candidate.trial, state=self._optuna.trial.TrialState.FAIL, skip_if_finished=True)

    def importance(self) -> dict[str, float] | None:
        """Share of the scores' variance that each choice explains, largest first; None for too few trials.

        fANOVA (Hutter, Hoos & Leyton-Brown 2014): the variance of a forest's prediction over each choice alone, the
        others averaged out, as shares of one. Of the first fold's scores, which all trials have: those that went on to
        the other folds are the better ones, and would say little of what makes a trial bad.
        """
        states = self._optuna.trial.TrialState
        first = self._optuna.create_study()
        for trial in self._study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)):
            if folds := trial.user_attrs[RESULT]["folds"]:
                first.add_trial(
                    self._optuna.create_trial(params=trial.params, distributions=trial.distributions, value=folds[0])
                )
        if len(first.trials) < ENOUGH_TRIALS or len({trial.value for trial in first.trials}) < 2:
            return None
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = self._optuna.importance.get_param_importances(first, evaluator=evaluator)
        return {name: float(share) for name, share in shares.items()}


def need_optuna() -> ModuleType:
    """The optional package. Errors: MissingDependency `package-missing`."""
    try:
        import optuna
    except ImportError:
        raise MissingDependency(
            "package-missing",
            "the Python package optuna is not installed",
            where="optuna",
            hint='pip install "tsx-forecast[tune]"',
        ) from None
    return optuna


@contextmanager
def open_study(path: str | Path | None, space: Space, about: Mapping[str, str], seed: int) -> Iterator[Study]:
    """A study: a new one, or the one in the SQLite file `path`, which goes on.

    `about`: hashes of what it is of, by name. Errors: MissingDependency `package-missing`; ConfigError
    `study-unreadable`, `study-differs`; UsageError `study-in-use`, WriteError
    `file-not-writable`.
    """
    library = need_optuna()
    before = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.ERROR)
    try:
        with _locked(path):
            storage = _storage(library, path)
            try:
                study = library.create_study(
                    storage=storage,
                    study_name=NAME,
                    load_if_exists=True,
                    direction="minimize",
                    pruner=library.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS),
                )
                _compare(study, about, path)
                for cut_off in study.get_trials(deepcopy=False, states=(library.trial.TrialState.RUNNING,)):
                    study.tell(cut_off.number, state=library.trial.TrialState.FAIL)
                with _readable(path):
                    yield Study(library, study, space, seed)
            finally:
                _release(storage)
    finally:
        library.logging.set_verbosity(before)


def check_study(path: str | Path | None) -> None:
    """Say before the work that optuna is missing, or a study cannot be kept there. Errors: as `open_study`."""
    need_optuna()
    if path is None:
        return
    file = Path(path)
    if "?" in str(file):
        raise WriteError(
            "file-not-writable",
            f"{file} cannot be written: SQLite takes no ? in a name",
            hint="give another name",
            where=str(file),
        )
    if not file.parent.is_dir() or file.is_dir():
        why = "that is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        hint = "name a file" if file.is_dir() else f"mkdir -p {shlex.quote(str(file.parent))}"
        raise WriteError("file-not-writable", f"{file} cannot be written: {why}", hint=hint, where=str(file))
    if not file.exists():
        return
    try:
        with file.open("r+b") as stream:
            head = stream.read(len(HEADER))
    except OSError as error:
        raise not_writable(file, error) from None
    if head and (head != HEADER or not _is_study(file)):
        raise _unreadable(file, "it holds no study of tsx tune")


def _is_study(file: Path) -> bool:
    """Whether the database has a study of ours, or is one whose making was cut off."""
    try:
        with closing(sqlite3.connect(file)) as base:
            tables = {name for (name,) in base.execute("select name from sqlite_master where type = 'table'")}
            if not tables:
                return True
            if "studies" not in tables:
                return False
            names = [name for (name,) in base.execute("select study_name from studies")]
    except sqlite3.Error:
        return False
    return not names or NAME in names


def _storage(library: ModuleType, path: str | Path | None) -> Any:
    if path is None:
        return library.storages.InMemoryStorage()
    with _readable(path):
        try:
            return library.storages.RDBStorage(f"sqlite:///{Path(path)}")
        except RuntimeError:
            raise _unreadable(Path(path), "another version of optuna wrote it") from None


def _release(storage: Any) -> None:
    """Close the file, so that it can be moved at once."""
    with suppress(AttributeError):
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def _readable(path: str | Path | None) -> Iterator[None]:
    """Whatever the libraries below say of a file that they cannot read or write becomes an error of ours."""
    if path is None:
        yield
        return
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        raise _unreadable(Path(path), f"{type(error).__name__} from SQLite or optuna") from None


def _unreadable(file: Path, why: str) -> ConfigError:
    return ConfigError(
        "study-unreadable",
        f"{file} cannot be used as a study: {why}",
        hint="name another file with --study; a new one is made",
        where=str(file),
    )


def _compare(study: optuna.Study, about: Mapping[str, str], path: str | Path | None) -> None:
    recorded = study.user_attrs.get(ABOUT)
    if recorded is None:
        study.set_user_attr(ABOUT, dict(about))
        return
    if differing := [name for name in about if recorded.get(name) != about[name]]:
        raise ConfigError(
            "study-differs",
            f"{path} is a study of something else (changed since: {', '.join(differing)}), and scores of one are none "
            "of the other",
            hint="give the table and the flags of then, or another file with --study",
            where=str(path),
        )


@contextmanager
def _locked(path: str | Path | None) -> Iterator[None]:
    """One search at a time writes to a file, where the system has locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    if path is None:
        yield
        return
    # Held to the end: closing any handle of the file would take SQLite's own locks with it.
    with Path(path).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "study-in-use",
                f"another run is using the study {path}",
                where=str(path),
                hint="wait for it, or give --study another file",
            ) from None
        except OSError:
            pass  # a file system without locks
        yield


def _code(choice: Any, value: Any) -> Any:
    return choice.values.index(value) if choice.kind == "ordered" else value


def _trial(number: int, trial: optuna.trial.FrozenTrial, complete: Any) -> Trial:
    result = trial.user_attrs[RESULT]
    state: Outcome = "whole" if trial.state == complete else ("failed" if result.get("why") else "pruned")
    return Trial(number, state, **{**result, "folds": tuple(result["folds"])})

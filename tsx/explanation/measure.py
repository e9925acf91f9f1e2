"""What every measure of an explanation brings: when it applies, its tables, its curve by lag, its sentences.

A measure is one object, defined beside the functions that do its work and listed in `tsx.explanation.measures`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, get_args

import numpy as np
import polars as pl

from tsx.panel.calendar import Calendar
from tsx.progress import SILENT, Progress, task
from tsx.spec.network import NetworkConfig

if TYPE_CHECKING:
    from tsx.explanation.checks.repeat_checks import Repeats
    from tsx.explanation.cohorts import Cohorts
    from tsx.explanation.earlier import Since
    from tsx.explanation.ensemble_agreement import MemberAgreement
    from tsx.explanation.result import Check, Knowledge
    from tsx.explanation.shap.shap_run import ShapRun, Task
    from tsx.model.batch import Batch
    from tsx.model.forecaster import Forecaster
    from tsx.model.network import Network
    from tsx.panel.panel import Panel
    from tsx.spec.schema import Schema
    from tsx.spec.settings import Question

ID, CUTOFF = "id", "cutoff"
"""Columns of the user's own types; the id stands under the user's own names."""
Asked = TypeVar("Asked")
"""What measures are taken of: `Context` of a forecaster, `ClassContext` of a classifier."""
Config = TypeVar("Config")
"""What fixes the shape of the model."""


@dataclass(frozen=True)
class TableSpec:
    """A table that a measure makes: its name, and its columns with their types.

    columns   None: the type of the user's column (`id`, `cutoff`)
    optional  columns that are there for some questions only
    """

    name: str
    columns: Mapping[str, Any]
    optional: Mapping[str, Any] = field(default_factory=dict)

    def types(self, id_names: Sequence[str] = (ID,), present: Collection[str] = ()) -> dict[str, Any]:
        """Columns with their types, in order: the declared ones, and the optional ones among `present`."""
        columns: dict[str, Any] = {}
        for name, kind in self.columns.items():
            columns |= dict.fromkeys(id_names, kind) if name == ID else {name: kind}
        return columns | {name: kind for name, kind in self.optional.items() if name in present}

    def frame(self, values: Mapping[str, Any], id_names: Sequence[str] = (ID,)) -> pl.DataFrame:
        """`values` by column, as this table. Raises KeyError for a column that is missing."""
        types = self.types(id_names, values)
        known = {name: kind for name, kind in types.items() if kind is not None}
        return pl.DataFrame({name: values[name] for name in types}, schema_overrides=known)

    def empty(self) -> pl.DataFrame:
        """This table without rows, of which every column has a declared type."""
        return pl.DataFrame(schema=dict(self.columns))


def window_columns(
    panel: Panel, series: np.ndarray, cutoffs: np.ndarray, steps: Sequence[int | None], rows: int = 1
) -> dict[str, pl.Series]:
    """id, cutoff and step of a table with `rows` rows for each of the `steps` of every window.

    The windows are those of `series` (W) at `cutoffs` (W, positions); the id stands under the user's own name.
    """
    of = np.repeat(np.arange(len(series)), len(steps) * rows)
    step = np.tile(np.repeat(np.arange(len(steps)), rows), len(series))
    return {
        **panel.id_columns(series[of]),
        CUTOFF: panel.times(series, cutoffs).gather(of),
        "step": pl.Series(steps, dtype=pl.Int64).gather(step),
    }


@dataclass(frozen=True, eq=False)
class Context:
    """What measures are taken of.

    task             the forecaster, the panel, the question, the players
    run              the SHAP values of the explained windows
    series, cutoffs  (W) the explained windows, cutoffs as positions in their series
    population       windows of the panel over which the network is measured, at `population_series` and
                     `population_cutoffs`
    repeats          some of the explained windows, to be explained again
    members          how far the members of an ensemble agree, which a measure and a check both ask
    cohorts          the groups of series that are compared, if any
    since            the earlier forecasts that a change is counted from, if any
    """

    task: Task
    run: ShapRun
    series: np.ndarray
    cutoffs: np.ndarray
    population: Batch
    population_series: np.ndarray
    population_cutoffs: np.ndarray
    repeats: Repeats
    members: MemberAgreement | None
    cohorts: Cohorts | None
    since: Since | None = None

    @property
    def forecaster(self) -> Forecaster:
        return self.task.forecaster

    @property
    def network(self) -> Network:
        return self.task.forecaster.network

    @property
    def config(self) -> NetworkConfig:
        return self.task.forecaster.config

    @property
    def panel(self) -> Panel:
        return self.task.panel

    @property
    def schema(self) -> Schema:
        return self.task.panel.schema

    @property
    def question(self) -> Question:
        return self.task.question


@dataclass(frozen=True, eq=False)
class Measured:
    """What one measure found.

    tables     by their names
    facts      JSON-able figures that sentences and the report are made of
    by_lag     its importance (or retention) by lag (T), lag 1 first, under the name that the table of agreement has
    sentences  that need no other measure's result
    surrogate  what `Explanation.surrogate` holds
    """

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    by_lag: dict[str, np.ndarray] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()
    surrogate: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class ResultsOf(Generic[Config]):
    """All that the measures found, and the checks: what sentences are made of.

    sentences  those that measures made by themselves, by the name of the measure
    knowledge  what is known of the model's skill, once that is known
    """

    config: Config
    calendar: Calendar
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    by_lag: dict[str, np.ndarray] = field(default_factory=dict)
    sentences: dict[str, tuple[str, ...]] = field(default_factory=dict)
    surrogate: dict[str, Any] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    knowledge: Knowledge | None = None

    def add(self, name: str, measured: Measured) -> None:
        """Add what the measure `name` found."""
        self.tables |= measured.tables
        self.facts |= measured.facts
        self.by_lag |= measured.by_lag
        self.sentences[name] = measured.sentences
        self.surrogate |= measured.surrogate


Results: TypeAlias = ResultsOf[NetworkConfig]

Group = Literal["What drives it", "How far back it looks", "How it works inside"]
"""What a finding is about, in the order in which they are told."""
GROUPS: tuple[Group, ...] = get_args(Group)
INSIDE = GROUPS[-1]


def _always(context: object) -> bool:
    return True


@dataclass(frozen=True, eq=False)
class MeasureOf(Generic[Asked, Config]):
    """One measure.

    name       under which its sentences are kept
    section    key of the report's section that shows it
    tables     that it may make; those that do not apply are absent
    measure    from the context and what was measured before it to what it found
    applies    whether it can be asked of this model and this question
    sentences  what its tables and those of others say; by default what `measure` said
    group      what its sentences are about
    compares   whether it compares what the other measures found, and so is taken after them
    """

    name: str
    section: str
    tables: tuple[TableSpec, ...]
    measure: Callable[[Asked, ResultsOf[Config]], Measured]
    applies: Callable[[Asked], bool] = _always
    sentences: Callable[[ResultsOf[Config]], list[str]] | None = None
    group: Group = "How it works inside"
    compares: bool = False

    def findings(self, results: ResultsOf[Config]) -> list[str]:
        """Its sentences, the most consequential first."""
        if self.sentences is None:
            return list(results.sentences.get(self.name, ()))
        return self.sentences(results)


Measure: TypeAlias = MeasureOf[Context, NetworkConfig]


def take(
    measures: Sequence[MeasureOf[Asked, Config]],
    context: Asked,
    results: ResultsOf[Config],
    progress: Progress = SILENT,
) -> None:
    """Add to `results` every measure that applies, each a task of `progress`; those that compare others come last."""
    for measure in sorted(measures, key=lambda measure: measure.compares):
        if measure.applies(context):
            with task(progress, f"measuring {measure.name.replace('_', ' ')}"):
                results.add(measure.name, measure.measure(context, results))


def grouped(
    measures: Sequence[MeasureOf[Asked, Config]], results: ResultsOf[Config]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(what they are about, what the measures say of it), without what nothing is said of."""
    said = {
        group: tuple(each for one in measures if one.group == group for each in one.findings(results))
        for group in GROUPS
    }
    return tuple((group, sentences) for group, sentences in said.items() if sentences)

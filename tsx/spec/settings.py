"""Every setting that is stored or passed on as part of a dataclass, declared once.

`Roles` and `Reading` of a table, `Settings` of a network, `Evaluation` and `Search` of a backtest and of a search,
`Sampling` and `Thresholds` of a forecast, `Question` of an explanation. None means: decided by the program.
`tsx.table` and `tsx.panel` fill in the first two, `tsx.training.plan` turns the third into a `NetworkConfig` and a
`TrainingConfig`, all keeping a `Decision` for every value that the user did not give.
"""

# No `from __future__ import annotations`: a declaration reads the type of its field.
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from tsx.errors import ConfigError
from tsx.spec.attentions import ATTENTIONS, Attention
from tsx.spec.encoders import ENCODERS, Cell
from tsx.spec.setting import Checked, number, setting

Device = Literal["auto", "cpu", "cuda", "mps"]
Duplicates = Literal["error", "last", "mean"]
Regularize = Literal["last", "mean", "none"]
IdFrom = Literal["filename"]
Play = Literal["auto", "cell", "lag", "feature", "segment", "group", "patch"]
Reference = Literal["series", "panel", "recent", "table"]
Value = Literal["marginal", "conditional"]
Level = Literal["follow", "hold"]
Transform = Literal["none", "log", "return", "log-return", "variance"]
Point = Literal["median", "mean"]
Intervals = Literal["auto", "conformal", "adaptive", "network"]
Aggregate = Literal["sum", "mean", "max", "min"]
Side = Literal["above", "below"]
Loss = Literal["scaled", "qlike"]
Unit = Literal["mg/dl", "mmol/l"]
Bound = Literal["low", "high"]
Key = Literal["time", "id"]
Refit = Literal["once", "every"]
HoldOut = Literal["each", "newest"]

STATISTICAL = ("auto-ets", "auto-theta", "auto-arima")
"""Baselines of the optional package statsforecast."""
NO_BASELINES = "none"
"""Stands for none of these."""
QUANTILE_LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
"""Default levels: the median and the intervals of 50, 80 and 95 %."""

COLUMNS = "Columns of the table (detected automatically on a tidy table)"
READING = "Reading the table (only what cannot be detected)"
SHAPE = "What to forecast"
LABELS = "Which class is said (the most probable one, where not given)"
NETWORK = "Network (chosen, with a printed reason, where not given)"
TRAINING = "Training"
EVALUATION = "Evaluation"
SEARCH = "Search"
QUESTION = "What is explained, and compared with what"
CHECKING = "Precision and checks"
PRIVACY = "Privacy"
SHARED = "Everywhere"
"""The groups in which a help lists the settings."""
SEED: dict[str, Any] = {
    "help": "Same seed, same machine: the same bits.",
    "group": SHARED,
    "metavar": "N",
    "least": 0,
    "below": 2**63,
    "free": True,
}
"""The seed of a training, of an explanation and of sample paths, declared once."""


@dataclass(frozen=True)
class Roles(Checked):
    """The columns that the user named for each role; an empty one is inferred from the columns.

    Several `id` columns together tell the series apart (a country and an area), several `time` columns together make
    the time (a date and a clock, a year and a week); of several `target` columns each becomes a series of its own.
    """

    id: tuple[str, ...] = setting(
        (),
        "Which series a row belongs to; several columns (country,area) together tell series apart.",
        group=COLUMNS,
        metavar="COLUMNS",
        kind="columns",
    )
    time: tuple[str, ...] = setting(
        (),
        "When; several columns (date,clock or year,week) together make the time.",
        group=COLUMNS,
        metavar="COLUMNS",
        kind="columns",
    )
    target: tuple[str, ...] = setting(
        (),
        "What to forecast; of several columns each becomes a series of its own.",
        group=COLUMNS,
        metavar="COLUMNS",
        kind="columns",
    )
    past: tuple[str, ...] = setting(
        (),
        "Covariates known up to the cutoff only; text is read as words.",
        group=COLUMNS,
        metavar="COLUMNS",
        kind="columns",
    )
    future: tuple[str, ...] = setting(
        (),
        "Covariates known ahead: holidays, prices already set, promotions in words.",
        group=COLUMNS,
        metavar="COLUMNS",
        kind="columns",
    )
    static: tuple[str, ...] = setting(
        (),
        "Covariates that are constant within a series; text becomes categories.",
        group=COLUMNS,
        metavar="COLUMNS",
        kind="columns",
    )
    label: str | None = setting(
        None,
        "Classify instead of forecast: the class of each series, constant within it; a series without one is not "
        "learnt from.",
        group=COLUMNS,
        metavar="COLUMN",
    )
    keep_together: str | None = setting(
        None,
        "With --label: series with the same value of this column, such as a patient's stays, are held out together.",
        group=COLUMNS,
        metavar="COLUMN",
    )

    @property
    def by_role(self) -> dict[str, tuple[str, ...]]:
        """The columns named for each role."""
        return {
            "id": self.id,
            "time": self.time,
            "target": self.target,
            "past": self.past,
            "future": self.future,
            "static": self.static,
            "label": (self.label,) if self.label is not None else (),
            "keep-together": (self.keep_together,) if self.keep_together is not None else (),
        }

    @property
    def besides_time(self) -> set[str]:
        """The columns named for another role than the time."""
        return {name for role, names in self.by_role.items() if role != "time" for name in names if name}


@dataclass(frozen=True)
class Reading(Checked):
    """How a table is read. What is None is decided while reading, with its reason.

    The reading that came out is stored with the model, so that the next table is read in the same way. The fields
    after the settings are decided by the program:

    stacked      the columns whose values were stacked to series, of several targets.
    time_parts   the columns that make up the time, where there are several.
    id_parts     the columns whose texts a model of an earlier version joined to the id of a table with one row per
                 series.
    found_missing  numbers that stand for "not observed" in the channels; `missing` is meant everywhere.
    zoned        the times named their zone themselves, so a later table must too.
    realised     where --regularize puts several rows to one step, the target becomes the sum of their squared
                 log-returns.
    snapped      decided: rows lay near the steps of a grid, and each went to its nearest one.
    closed_days  days of the year, such as 12-25, on which no trading day ever was.
    """

    wide: bool = setting(
        False,
        "Every column is a series (or, without a time column, a step) instead of every row a value.",
        group=READING,
    )
    id_from: IdFrom | None = setting(None, "Each file is a series, named as the file is.", group=READING)
    sheet: str | None = setting(
        None,
        "The sheet of a workbook, by name or number. Default: the first with several rows and columns.",
        group=READING,
        metavar="SHEET",
    )
    time_format: str | None = setting(
        None,
        "day-first, month-first, iso, quarters, epoch-s, epoch-ms, epoch-us, epoch-ns, excel, or a pattern such as "
        "%d.%m.%Y %H:%M.",
        group=READING,
        metavar="FORMAT",
    )
    zone: str | None = setting(
        None,
        "Time zone (Europe/Berlin) of times that name none; times with an offset are converted to it.",
        group=READING,
        metavar="ZONE",
    )
    decimal: str | None = setting(
        None,
        "Decimal mark of numbers: . or a comma.",
        group=READING,
        metavar="MARK",
        kind="choice",
        choices=(".", ","),
    )
    missing: tuple[str, ...] = setting(
        (),
        "Numbers or texts that mean missing, such as --missing=-999,LOW; NA, null, blanks and the like always do.",
        group=READING,
        metavar="VALUES",
    )
    censored: tuple[Bound, ...] = setting(
        (),
        "Take cells such as <0.5 (low) and >400 (high) as their bounds, and count them.",
        group=READING,
        metavar="low,high",
        kind="choices",
        choices=("low", "high"),
    )
    duplicates: Duplicates = setting(
        "error", "How to treat duplicate rows (same series, same time).", group=READING, free=True
    )
    regularize: Regularize | None = setting(
        None,
        "How to treat times off the grid: the last value of each step, its mean, or none: an error. "
        "Default: small jitter is moved to the nearest step.",
        group=READING,
    )
    skip_rows_without: tuple[Key, ...] = setting(
        (),
        "Leave rows out, and count them, that have no time, or no id: lines about a device above its readings.",
        group=READING,
        metavar="time,id",
        kind="choices",
        choices=("time", "id"),
    )
    skip_other_freq: bool = setting(
        False,
        "Leave series out, and count them, whose rows have another step than --freq: several frequencies in one table.",
        group=READING,
    )
    calendar: bool = setting(False, "Give the network the hour, the weekday, the time of year.", group=READING)
    holidays: str | None = setting(
        None,
        "Give the network the public holidays of a country or region: DE, US, DE-BY.",
        group=READING,
        metavar="COUNTRY",
    )
    text: str | None = setting(
        None,
        "With --label: the column of a table of one text a row, which is split into words; each is a step.",
        group=READING,
        metavar="COLUMN",
    )
    max_rows: int | None = setting(None, "Refuse a table of more rows.", group=READING, metavar="N", least=1, free=True)
    stacked: tuple[str, ...] = ()
    time_parts: tuple[str, ...] = ()
    id_parts: tuple[str, ...] = ()
    found_missing: tuple[str, ...] = ()
    zoned: bool = False
    realised: bool = False
    snapped: bool = False
    closed_days: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings(Checked):
    """What the user asked of a network. None: chosen by the program, with its reason."""

    horizon: int | None = setting(None, "Steps ahead to forecast.", group=SHAPE, metavar="N", auto=True, least=1)
    season: int | None = setting(None, "Steps in one season.", group=SHAPE, metavar="N", auto=True, least=1)
    quantile_levels: tuple[float, ...] = setting(
        QUANTILE_LEVELS,
        "Quantiles to forecast, with 0.5 among them.",
        group=SHAPE,
        metavar="LEVELS",
    )
    point: Point | None = setting(None, "What yhat is. Default: chosen by the data.", group=SHAPE)
    intervals: Intervals = setting(
        "auto",
        "Quantiles calibrated on held-out errors, recalibrated as errors come in, or as the network gives them. "
        "auto: conformal, or adaptive where the held-out coverage was off.",
        group=SHAPE,
    )
    transform: Transform | None = setting(
        None,
        "Learn the logarithm of the target (as asinh, which zeros and negative values have, too; forecasts keep the "
        "units), or forecast a price's return, log-return or variance (squared log-return) instead. Default: none or "
        "log, by the data.",
        group=SHAPE,
    )
    delay: int = setting(
        0,
        "Reporting delay: the newest K values of the target are provisional; they are neither read nor learnt from.",
        group=SHAPE,
        metavar="K",
        least=0,
    )
    counts: bool | None = setting(
        None,
        "Forecast whole numbers; the target must be whole and not negative. Default: where it is so and small.",
        group=SHAPE,
    )
    context_length: int | None = setting(
        None, "Past steps the network reads.", group=NETWORK, metavar="N", auto=True, least=1
    )
    segment: int | None = setting(
        None, "Lags read in one recurrent step; more is faster.", group=NETWORK, metavar="N", auto=True, least=1
    )
    cell: Cell = setting(
        "lstm",
        "Recurrent cell. minlstm: what each lag contributes is exact. imv-lstm: weights for each column.",
        group=NETWORK,
    )
    hidden_size: int | None = setting(None, "Units of a layer.", group=NETWORK, metavar="N", auto=True, least=1)
    layers: int = setting(1, "Recurrent layers.", group=NETWORK, metavar="N", least=1)
    dropout: float = setting(0.0, "Dropout between layers.", group=NETWORK, metavar="SHARE", least=0, below=1)
    attention: Attention = setting(
        "none",
        "Attention over all hidden states. temporal: each step has its own, or a label has one; self: multi-head, from "
        "the last state.",
        group=NETWORK,
    )
    max_steps: int | None = setting(
        None, "Training steps at most.", group=TRAINING, metavar="N", auto=True, least=1, free=True
    )
    max_time: float | None = setting(
        None,
        "Training time at most, in seconds or as 90s, 10m, 1h.",
        group=TRAINING,
        metavar="TIME",
        kind="duration",
        above=0,
        free=True,
    )
    batch_size: int | None = setting(
        None, "Windows in a step.", group=TRAINING, metavar="N", auto=True, least=1, free=True
    )
    learning_rate: float | None = setting(
        None, "Highest learning rate.", group=TRAINING, metavar="RATE", above=0, most=1, free=True
    )
    ensemble: int = setting(
        1,
        "Networks from seeds of their own in one model; their quantiles are averaged. With --label: for each part that "
        "is held out.",
        group=TRAINING,
        metavar="N",
        least=1,
    )
    network_only: bool = setting(
        False,
        "Let the whole output of the network count, whatever held-out rows say of it. With --label: without the "
        "regression and the trees, and without calibration.",
        group=TRAINING,
    )
    shift: float | None = setting(
        None,
        "With --label: move every series learnt from in time, at random, by this share of its steps at most.",
        group=TRAINING,
        metavar="SHARE",
        auto=True,
        least=0,
        below=1,
    )
    jitter: float | None = setting(
        None,
        "With --label: noise on every series learnt from, in standard deviations of each column.",
        group=TRAINING,
        metavar="SIZE",
        auto=True,
        least=0,
    )
    hold_out: HoldOut = setting(
        "each",
        "With --label: hold out every series once, each class in proportion, or the series that begin last.",
        group=LABELS,
    )
    private: bool = setting(
        False,
        "Keep out of the model what could point to a series or a value: the path of the data, categories, an "
        "embedding of each series. Its files are for their owner alone.",
        group=PRIVACY,
    )
    keep_categories: tuple[str, ...] = setting(
        (),
        "With --private: covariates in words whose categories are known to the model, and can be read in it.",
        group=PRIVACY,
        metavar="COLUMNS",
        kind="columns",
    )
    device: Device = setting("auto", "Where to compute.", group=SHARED, free=True)
    seed: int = setting(0, **SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep_categories and not self.private:
            raise ConfigError(
                "settings-contradict",
                "keep_categories is for private models; any other keeps the categories that enough series share",
                hint="give --private too, or leave it out",
                where="keep_categories",
            )
        levels = self.quantile_levels
        if not levels or not all(0 < q < 1 for q in levels) or list(levels) != sorted(set(levels)):
            raise ConfigError(
                "quantile-levels-invalid",
                f"quantile levels are {levels}",
                hint="give increasing numbers between 0 and 1, such as 0.1,0.5,0.9",
                where="quantile_levels",
            )
        names = {f"{level:g}" for level in levels}
        if len(names) < len(levels) or names & {"0", "1"}:
            raise ConfigError(
                "quantile-levels-invalid",
                f"quantile levels {levels} are not told apart by six digits, which name their columns",
                hint="give levels such as 0.025,0.5,0.975",
                where="quantile_levels",
            )
        if ENCODERS[self.cell].separate_variables and ATTENTIONS[self.attention].replaces_state:
            raise ConfigError(
                "settings-contradict",
                f"cell {self.cell} keeps a state for each variable, which attention {self.attention} would mix",
                hint="choose another cell, or another attention",
                where="attention",
            )
        if 0.5 not in levels:
            raise ConfigError(
                "quantile-levels-invalid",
                "quantile levels lack 0.5, the point forecast",
                hint="add 0.5",
                where="quantile_levels",
            )


@dataclass(frozen=True)
class Choosing(Checked):
    """How a class is chosen by its probabilities; by default the most probable one is.

    Costs and a threshold are of the positive one of two classes, the second in their order
    (`tsx.spec.classifier.POSITIVE`).
    """

    threshold: float | None = setting(
        None,
        "With --label, of two classes: say the positive one (1 of 0 and 1, true of false and true, else the later one "
        "in the alphabet; each fit names it) from this probability on.",
        group=LABELS,
        metavar="SHARE",
        above=0,
        below=1,
    )
    cost: tuple[str, ...] = setting(
        (),
        "With --label, of two classes: what a missed positive one and a false positive one cost, such as fn=10,fp=1; "
        "sets the threshold.",
        group=LABELS,
        metavar="fn=N,fp=N",
    )
    abstain: float | None = setting(
        None,
        "With --label: leave the label empty where the classes that hold the true one in all but this share of the "
        "series are several, or are another than a threshold or costs say.",
        group=LABELS,
        metavar="SHARE",
        above=0,
        below=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cost and self.threshold is not None:
            raise ConfigError(
                "settings-contradict",
                "costs set the threshold, which is given too",
                hint="give --threshold or --cost",
                where="cost",
            )
        if self.cost:
            self.costs  # noqa: B018 - raises where they are no costs

    def changed(self, asked: Mapping[str, Any]) -> "Choosing":
        """With what is `asked` anew; a threshold takes the place of costs, and costs that of a threshold."""
        kept = {"threshold": self.threshold, "cost": self.cost, "abstain": self.abstain}
        if {"threshold", "cost"} & {*asked}:
            kept |= {"threshold": None, "cost": ()}
        return Choosing(**{**kept, **asked})

    @property
    def costs(self) -> dict[str, float]:
        """What `fn` and `fp` cost."""
        try:
            found = {name.strip(): number(value) for name, value in (each.split("=") for each in self.cost)}
        except ValueError:
            found = {}
        if sorted(found) != ["fn", "fp"] or min(found.values()) < 0 or not sum(found.values()) > 0:
            raise ConfigError(
                "setting-out-of-range",
                f"cost is {','.join(self.cost)}; it must name what both errors cost",
                hint="give --cost fn=10,fp=1: a missed positive class costs ten times a false one",
                where="cost",
            )
        return found

    @property
    def cut(self) -> float | None:
        """The probability from which the positive class is said; None: the most probable class is.

        The one at which both errors cost the same on average (Elkan 2001, eq. 2).
        """
        if not self.cost:
            return self.threshold
        costs = self.costs
        return costs["fp"] / (costs["fp"] + costs["fn"])


@dataclass(frozen=True)
class Sampling(Checked):
    """How many sample paths of every series, what of them (None: all their values), and the seed of their order."""

    samples: int = setting(
        500, "Sample paths of every series, with the dependence between steps.", metavar="N", least=1
    )
    aggregate: Aggregate | None = setting(
        None, "Quantiles of this over the horizon, from 500 paths or --samples.", metavar="sum|mean|max|min"
    )
    seed: int = setting(0, **SEED)


@dataclass(frozen=True)
class Thresholds(Checked):
    """The values that a forecast's probabilities are asked for."""

    above: tuple[float, ...] = setting(
        (), "Add the probability of more than each of these values, at each step and at any.", metavar="VALUES"
    )
    below: tuple[float, ...] = setting(
        (), "Add the probability of less than each of these values, at each step and at any.", metavar="VALUES"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for side, threshold in self.all:
            if not isfinite(threshold):
                raise ConfigError(
                    "setting-out-of-range", f"{side} is {threshold}; it must be a finite number", where=side
                )

    @property
    def all(self) -> tuple[tuple[Side, float], ...]:
        """Every threshold once, with its side; those of `above` first."""
        sides: tuple[tuple[Side, tuple[float, ...]], ...] = (("above", self.above), ("below", self.below))
        return tuple(dict.fromkeys((side, threshold + 0.0) for side, given in sides for threshold in given))


@dataclass(frozen=True)
class Evaluation(Checked):
    """What a backtest compares, at which cutoffs, and the probabilities whose reliability it reports."""

    cutoffs: int = setting(8, "Origins to forecast from.", group=EVALUATION, metavar="N", least=1)
    stride: int | None = setting(
        None, "Steps between origins. Default: the horizon.", group=EVALUATION, metavar="N", auto=True, least=1
    )
    refit: Refit = setting("once", "Train before the first origin, or at every one.", group=EVALUATION)
    baselines: tuple[str, ...] = setting(
        (),
        f"Compare with these too: {', '.join(STATISTICAL)} (needs tsx-forecast[stats]), or {NO_BASELINES} of them. "
        "Default: auto-ets and auto-arima, where installed and done within a minute.",
        group=EVALUATION,
        metavar="NAMES",
        kind="choices",
        choices=(*STATISTICAL, NO_BASELINES),
    )
    loss: Loss | None = setting(
        None,
        "What the verdict compares: scaled errors, or QLIKE. Default: QLIKE with --transform variance.",
        group=EVALUATION,
    )
    clinical: Unit | None = setting(
        None,
        "The target is glucose in this unit: add the zones of Clarke's and Parkes' error grids.",
        group=EVALUATION,
    )
    thresholds: Thresholds = Thresholds()


@dataclass(frozen=True)
class Search(Checked):
    """How long to search for settings, and where the search is recorded.

    `trials` counts those of the study in all, of earlier runs too; after `max_time` no trial goes on, except the first
    of a study. `fixed`: the settings that are the user's and are not searched.
    """

    trials: int | None = setting(
        None,
        "Trials of the study at most, earlier runs included. Default: 30, or as many as --max-time allows.",
        group=SEARCH,
        metavar="N",
        auto=True,
        least=1,
    )
    max_time: float | None = setting(
        None,
        "Time of the whole search at most, in seconds or as 90s, 10m, 1h; the defaults are tried in any case.",
        group=SEARCH,
        metavar="TIME",
        kind="duration",
        above=0,
    )
    study: str | Path | None = setting(
        None,
        "SQLite file that keeps the trials: the same command continues from there. It holds nothing of the table.",
        group=SEARCH,
        metavar="FILE",
    )
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question(Checked):
    """What an explanation is asked.

    windows       the newest of every series first, then earlier ones.
    max_evals     spent on each window at most; its references and fewest pairs cost what they cost.
    players       what SHAP values belong to: each cell (feature, lag), a lag of all features, a whole feature, a
                  segment of the network, a group of `group` lags of one feature, or of a classifier a patch of `group`
                  lags of as many neighbouring columns. auto: stretches of lags of a feature, and the single cells of
                  those whose values stand out of their standard errors; of a classifier what its columns allow.
    group         lags of one group, or the word for them (hour, day, week, month, quarter, year). With players "cell":
                  the cells' values are Owen values within these groups.
    reference     where the values of absent players come from: other times of the same series, the whole panel, the
                  series' newest windows, or a table of the user's.
    value         marginal: absent values are the reference's, whatever is present; conditional: drawn given what is
                  present.
    level         follow: a window of which parts are absent has the location and scale that follow from it; hold: it
                  keeps those of the explained window, so that only its shape is explained.
    counterfactual  what the last step (or the sum, where that is explained) is to be: below=70, above=180; of a
                    classifier the label: label=CLASS.
    changeable    the columns that may have other values then; none: covariates that change over time.
    """

    windows: int = setting(24, "Forecasts to explain: the newest of every series first.", metavar="N", least=1)
    max_evals: int = setting(8192, "Evaluations of the network for each at most.", group=CHECKING, metavar="N", least=1)
    tolerance: float = setting(
        0.1,
        "Stop where a forecast's SHAP values have this pooled relative standard error.",
        group=CHECKING,
        metavar="SHARE",
        above=0,
        below=1,
    )
    explain: str = setting(
        "yhat",
        "yhat, a quantile (q0.9), width (of the widest interval), sum (yhat over the horizon), or error (of past "
        "forecasts). Of classes: log-odds, or p.",
        group=QUESTION,
        metavar="WHAT",
    )
    players: Play = setting(
        "auto", "What gets SHAP values of its own. Default: auto, or group with --group.", group=QUESTION
    )
    group: int | str | None = setting(
        None,
        "Lags of one group: 24, or hour, day, week, month, year. With --players cell: Owen values.",
        group=QUESTION,
        metavar="N|WORD",
        least=1,
    )
    reference: Reference = setting(
        "series",
        "What absent values are replaced from: other times of the series, all series, the series' newest "
        "windows, or a table.",
        group=QUESTION,
        metavar="series|panel|recent|FILE",
    )
    value: Value = setting(
        "marginal", "Absent values as in the reference, or drawn given the present ones.", group=QUESTION
    )
    level: Level = setting(
        "follow",
        "Level and scale follow what is present, or are held: then only the shape is explained.",
        group=QUESTION,
    )
    interactions: int = setting(
        0,
        "Interactions of all pairs among each forecast's N strongest inputs.",
        group=QUESTION,
        metavar="N",
        least=0,
    )
    states: bool = setting(
        False,
        "Show gates and states of the first explained forecast's window over its own time.",
        group=QUESTION,
    )
    counterfactual: str | None = setting(
        None,
        "What would have to be different for the last step to be forecast below=70, or above=180? Of classes: "
        "label=CLASS.",
        group=QUESTION,
        metavar="below=N|above=N|label=CLASS",
        kind="text",
    )
    changeable: tuple[str, ...] = setting(
        (),
        "With --counterfactual: the columns that may have other values. Default: covariates that change over time.",
        group=QUESTION,
        metavar="COLUMNS",
        kind="columns",
    )
    seeds: int = setting(
        1,
        "Train N - 1 more networks with other seeds, and compare what explains their forecasts.",
        group=CHECKING,
        metavar="N",
        least=1,
    )
    memory_needed: bool = setting(
        False,
        "Shorten the context step by step: from which length on do errors stop improving?",
        group=CHECKING,
    )
    seed: int = setting(0, **SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interactions == 1:
            raise ConfigError(
                "setting-out-of-range",
                "interactions is 1; one player makes no pair, it must be 0 or 2 or more",
                where="interactions",
            )
        if self.changeable and self.counterfactual is None:
            raise ConfigError(
                "settings-contradict",
                "columns that may change are named, and not what the forecast is to be",
                hint="give --counterfactual below=70, or above=180; of a classifier label=CLASS",
                where="changeable",
            )
        if self.counterfactual is not None and self.explain == "error":
            raise ConfigError(
                "settings-contradict",
                "the error of a past forecast is explained, and another forecast is asked for",
                hint="leave --explain error or --counterfactual out",
                where="counterfactual",
            )
        if self.group is None and self.players == "group":
            raise ConfigError(
                "settings-contradict",
                "players are groups of lags, of which no length is given",
                hint="give --group 24, or --group day",
                where="group",
            )
        if self.group is not None and self.players not in ("cell", "group", "patch"):
            raise ConfigError(
                "settings-contradict",
                f"group {self.group} does not go with players {self.players!r}",
                hint="choose players group, patch (of a classifier), or cell for Owen values",
                where="group",
            )

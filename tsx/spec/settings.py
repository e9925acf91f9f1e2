"""What a user may ask for: `Roles` and `Reading` of a table, `Settings` of a network, `Question` of an explanation.

None means: decide for me. `tsx.table` and `tsx.panel` fill in the first two, `tsx.training.plan` turns the third into a
`NetworkConfig` and a `TrainingConfig`, all keeping a `Decision` for every value that the user did not give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from tsx.errors import ConfigError

Cell = Literal["lstm", "gru", "rnn", "lstm-nog", "minlstm", "imv-lstm"]
Attention = Literal["none", "temporal"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Duplicates = Literal["error", "last", "mean"]
Regularize = Literal["last", "mean", "none"]
IdFrom = Literal["filename"]
Play = Literal["cell", "lag", "feature", "segment", "group"]
Reference = Literal["series", "panel", "recent", "table"]
Value = Literal["marginal", "conditional"]
Level = Literal["follow", "hold"]
Transform = Literal["none", "log", "return", "log-return", "variance"]
Point = Literal["median", "mean"]
Intervals = Literal["conformal", "adaptive", "network"]
Aggregate = Literal["sum", "mean", "max", "min"]


QUANTILE_LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
"""Default levels: the median and the intervals of 50, 80 and 95 %."""


@dataclass(frozen=True)
class Roles:
    """The columns that the user named for each part; for an empty one the columns are looked at.

    Several `time` columns together make the time (a date and a clock, a year and a week); of several `target` columns
    each becomes a series of its own.
    """

    id: str | None = None
    time: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How a table is read. What is None is decided while reading, with its reason.

    The reading that came out is stored with the model, so that the next table is read in the same way.

    wide         one column per series (or, without a time column, one column per step) instead of one row per value.
    id_from      where the id comes from when no column holds it: the name of each file.
    time_format  day-first, month-first, iso, epoch-s, epoch-ms, epoch-us, epoch-ns, or a strptime pattern.
    zone         the time zone (Europe/Berlin) of times that name none, and to which times with an offset are brought.
    decimal      the decimal mark of numbers in text, "." or ",".
    missing      texts and numbers that mean: not observed (NA, blanks and their like always do).
    duplicates   what becomes of several rows of one series and time: an error, the last of them, their mean.
    regularize   what becomes of times off the grid: the last value of each step, its mean, or none (an error). None:
                 each row goes to its nearest step where the jitter is small.
    calendar     whether the network is told the hour, the weekday and the like of every step.
    holidays     the country, or country-region (DE, DE-BY), whose holidays the network is told.
    max_rows     refuse a table of more rows.
    stacked      decided: the columns whose values were stacked to series, of several targets.
    time_parts   decided: the columns that make up the time, where there are several.
    id_parts     decided: the columns that make up the id of a table with one row per series, where there are several.
    found_missing  decided: numbers that stand for "not observed" in the channels; `missing` is meant everywhere.
    zoned        decided: the times named their zone themselves, so a later table must too.
    realised     decided: where --regularize puts several rows to one step, the target becomes the sum of their squared
                 log-returns.
    """

    wide: bool = False
    id_from: IdFrom | None = None
    time_format: str | None = None
    zone: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] = ()
    duplicates: Duplicates = "error"
    regularize: Regularize | None = None
    calendar: bool = False
    holidays: str | None = None
    max_rows: int | None = None
    stacked: tuple[str, ...] = ()
    time_parts: tuple[str, ...] = ()
    id_parts: tuple[str, ...] = ()
    found_missing: tuple[str, ...] = ()
    zoned: bool = False
    realised: bool = False

    def __post_init__(self) -> None:
        for name, choices in (
            ("decimal", (None, ".", ",")),
            ("id_from", (None, *get_args(IdFrom))),
            ("duplicates", get_args(Duplicates)),
            ("regularize", (None, *get_args(Regularize))),
        ):
            if getattr(self, name) not in choices:
                raise ConfigError(
                    "setting-unknown",
                    f"{name} is {getattr(self, name)!r}",
                    hint=f"choose {' or '.join(repr(choice) for choice in choices if choice is not None)}",
                    where=name,
                )
        for name, kind in (("time_format", str), ("zone", str), ("holidays", str), ("max_rows", int)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise ConfigError(
                    "setting-type-wrong",
                    f"{name} is given as {type(value).__name__}",
                    hint="give a whole number" if kind is int else "give text",
                    where=name,
                )
        if self.max_rows is not None and self.max_rows < 1:
            raise ConfigError(
                "setting-out-of-range", f"max_rows is {self.max_rows}; it must be 1 or more", where="max_rows"
            )


@dataclass(frozen=True)
class Settings:
    """The user's wishes for a network. None means: choose it and say why."""

    horizon: int | None = None
    context_length: int | None = None
    segment: int | None = None
    season: int | None = None
    quantile_levels: tuple[float, ...] = QUANTILE_LEVELS
    cell: Cell = "lstm"
    hidden_size: int | None = None
    layers: int = 1
    dropout: float = 0.0
    attention: Attention = "none"
    max_steps: int | None = None
    max_time: float | None = None
    """Seconds; None: no limit."""
    batch_size: int | None = None
    learning_rate: float | None = None
    transform: Transform | None = None
    """What is learnt instead of y: its logarithm (forecasts stay in units of y), or what the finance of a price asks
    for, where y becomes the return, the log-return or the squared log-return of each step."""
    delay: int = 0
    """The newest values of the target that are provisional at every cutoff: they are taken as not observed."""
    counts: bool = False
    """Whether quantiles are rounded to whole numbers."""
    point: Point | None = None
    """What `yhat` is: the median or the mean of the forecast distribution."""
    intervals: Intervals = "conformal"
    ensemble: int = 1
    """Networks of one model, from seeds of their own, whose quantiles are averaged."""
    device: Device = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (
            "horizon",
            "context_length",
            "segment",
            "season",
            "hidden_size",
            "layers",
            "max_steps",
            "batch_size",
            "ensemble",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError("setting-out-of-range", f"{name} is {value}; it must be 1 or more", where=name)
        if self.max_time is not None and not self.max_time > 0:
            raise ConfigError(
                "setting-out-of-range", f"max_time is {self.max_time}; it must be over 0 seconds", where="max_time"
            )
        if self.learning_rate is not None and not 0 < self.learning_rate <= 1:
            raise ConfigError(
                "setting-out-of-range",
                f"learning_rate is {self.learning_rate}; it must be in (0, 1]",
                where="learning_rate",
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(
                "setting-out-of-range", f"dropout is {self.dropout}; it must be in [0, 1)", where="dropout"
            )
        _check_seed(self.seed)
        _check_choice("cell", self.cell, get_args(Cell))
        _check_choice("attention", self.attention, get_args(Attention))
        _check_choice("device", self.device, get_args(Device))
        for name, choices in (("transform", get_args(Transform)), ("point", get_args(Point))):
            if getattr(self, name) is not None:
                _check_choice(name, getattr(self, name), choices)
        _check_choice("intervals", self.intervals, get_args(Intervals))
        if self.delay < 0:
            raise ConfigError("setting-out-of-range", f"delay is {self.delay}; it must be 0 or more", where="delay")
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
        if 0.5 not in levels:
            raise ConfigError(
                "quantile-levels-invalid",
                "quantile levels lack 0.5, the point forecast",
                hint="add 0.5",
                where="quantile_levels",
            )


@dataclass(frozen=True)
class Question:
    """What an explanation is asked.

    windows       how many forecasts are explained: the newest of every series, then earlier ones.
    max_evals     evaluations of the network spent on each of them at most; its references and fewest pairs cost what
                  they cost.
    tolerance     pooled relative standard error of a forecast's SHAP values at which sampling stops.
    explain       yhat, a quantile of the model (q0.9), width (of its widest interval), or sum (yhat over the horizon).
    players       what SHAP values belong to: each cell (feature, lag), a lag of all features, a whole feature, a
                  segment of the network, or a group of `group` lags of one feature.
    group         lags of one group, or the word for them (hour, day, week, month, quarter, year). With players "cell":
                  the cells' values are Owen values within these groups.
    reference     where the values of absent players come from: other times of the same series, the whole panel, the
                  series' newest windows, or a table of the user's.
    value         marginal: absent values are the reference's, whatever is present; conditional: drawn given what is
                  present.
    level         follow: a window of which parts are absent has the location and scale that follow from it; hold: it
                  keeps those of the explained window, so that only its shape is explained.
    interactions  among how many of the strongest players the interactions of pairs are estimated; 0: none.
    seeds         networks trained with other seeds whose explanations are compared; 1: only the one there is.
    """

    windows: int = 24
    max_evals: int = 8192
    tolerance: float = 0.1
    explain: str = "yhat"
    players: Play = "cell"
    group: int | str | None = None
    reference: Reference = "series"
    value: Value = "marginal"
    level: Level = "follow"
    interactions: int = 0
    seeds: int = 1
    memory_needed: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("windows", 1), ("max_evals", 1), ("interactions", 0), ("seeds", 1), ("group", 1)):
            value = getattr(self, name)
            if isinstance(value, int) and value < least:
                raise ConfigError("setting-out-of-range", f"{name} is {value}; it must be {least} or more", where=name)
        if self.interactions == 1:
            raise ConfigError(
                "setting-out-of-range",
                "interactions is 1; one player makes no pair, it must be 0 or 2 or more",
                where="interactions",
            )
        if not 0 < self.tolerance < 1:
            raise ConfigError(
                "setting-out-of-range", f"tolerance is {self.tolerance}; it must be in (0, 1)", where="tolerance"
            )
        _check_seed(self.seed)
        _check_choice("players", self.players, get_args(Play))
        _check_choice("reference", self.reference, get_args(Reference))
        _check_choice("value", self.value, get_args(Value))
        _check_choice("level", self.level, get_args(Level))
        if self.group is None and self.players == "group":
            raise ConfigError(
                "settings-contradict",
                "players are groups of lags, of which no length is given",
                hint="give --group 24, or --group day",
                where="group",
            )
        if self.group is not None and self.players not in ("cell", "group"):
            raise ConfigError(
                "settings-contradict",
                f"group {self.group} does not go with players {self.players!r}",
                hint="choose players group, or cell for Owen values",
                where="group",
            )


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        hint = f"choose one of {', '.join(choices)}"
        raise ConfigError("setting-unknown", f"{name} is {value!r}", hint=hint, where=name)


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise ConfigError("setting-out-of-range", f"seed is {seed}; it must be in [0, 2^63)", where="seed")

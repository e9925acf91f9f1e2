"""Words that the whole report shares: names of measures and checks, lags, times and values as a person says them.

Strings of the user's are returned as they are; whoever shows them cleans and escapes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from tsx.evaluation.metrics import central_intervals
from tsx.explanation.result import Explained, Explanation
from tsx.panel.calendar import Calendar
from tsx.report.document import Column
from tsx.wording import NOT_DEFINED, decimals, number, quantile_column

MOST_CHOSEN_LAGS = 9
INTERVAL = "80"
"""The interval whose coverage is shown, where the model has it."""
ALL_FEATURES = "all features"
CONSTANT = "constant"
MEASURES = {
    "shap": "SHAP values",
    "response": "measured response",
    "gradient": "gradient",
    "recurrent gradient": "gradient, recurrent component",
    "gates": "gates",
    "attention": "attention",
}
COMPONENTS = {
    "season": "smoothed season",
    "linear": "level, trend and linear map",
    "pretrained": "pretrained network",
    "recurrent": "recurrent component",
    "location": "level of the window",
}
ORDERS = {
    "shap": "SHAP values",
    "autocorrelation": "autocorrelation",
    "label correlation": "correlation with the label",
    "random": "random",
}
SURROGATES = {
    "linear": "sparse linear autoregression",
    "tree": "shallow tree",
    "additive": "additive model",
}


def words(name: str, known: dict[str, str] | None = None) -> str:
    """An identifier in words."""
    return (known or {}).get(name) or name.replace("_", " ")


def feature_words(feature: str | None) -> str:
    """A feature's own name; a player that spans them all has none."""
    return ALL_FEATURES if feature is None else feature


def lag_words(lag: int | None, oldest: int | None = None) -> str:
    """`5`, `1 to 24`, or `constant` for what has no lag."""
    if lag is None:
        return CONSTANT
    return number(lag) if oldest is None or oldest == lag else f"{number(lag)} to {number(oldest)}"


def event_words(column: str) -> str:
    """What a column of probabilities is about: `> 180`, or `any > 180` for any step of the horizon."""
    *over, side, threshold = column.split("_")[1:]
    return " ".join([*over, {"above": ">", "below": "<"}[side], threshold])


def probability_words(probability: float) -> str:
    """Whole percents, which only what is certain has none or all of."""
    if 0 < probability < 0.01:
        return "< 1 %"
    return "> 99 %" if 0.99 < probability < 1 else f"{100 * probability:.0f} %"


def player_words(feature: str | None, lag: int | None, oldest: int | None = None) -> str:
    """A player in a sentence: `glucose lag 5`, `all features lag 1 to 24`, `ward (constant)`."""
    return (
        f"{feature_words(feature)} ({CONSTANT})"
        if lag is None
        else f"{feature_words(feature)} lag {lag_words(lag, oldest)}"
    )


def player_when(feature: str | None, lag: int | None, oldest: int | None, calendar: Calendar) -> str:
    """A player by its time: `glucose, 10 minutes before`, counted back from the forecast's first step."""
    name = feature_words(feature)
    if lag is None:
        return f"{name} ({CONSTANT})"
    if lag < 1:
        return f"{name}, {ago(lag, calendar)}"
    until = "" if oldest is None or oldest == lag else f" to {calendar.span(oldest)}"
    return f"{name}, {calendar.span(lag)}{until} before"


def explained_words(explanation: Explanation) -> str:
    """What is explained, as the object of a sentence: `glucose`, `the 90 % quantile of glucose`."""
    target, what = explanation.schema.target, explanation.question.explain
    if what == "yhat":
        return target
    if what == "sum":
        return f"the sum of {target} over the horizon"
    if what == "error":
        return f"the error of {target}"
    if what == "width":
        return f"the width of the interval of {target}"
    return f"the {100 * float(what.removeprefix('q')):g} % quantile of {target}"


def step_words(explanation: Explained) -> str:
    """The unit of a lag, for axes: `steps of 1 hour`."""
    calendar = Calendar.parse(explanation.frequency)
    return "steps" if calendar.unit == "step" and calendar.count == 1 else f"steps of {calendar.step_size}"


def ago(lag: int | None, calendar: Calendar) -> str:
    """How long before the forecast's first step; a lag of 0 or less is known ahead for step 1 - lag."""
    if lag is None:
        return "static"
    return calendar.span(lag) if lag >= 1 else f"known for step {1 - lag}"


def span(steps: int, calendar: Calendar) -> str:
    if steps == 0:
        return "the same time"
    return calendar.span(steps) if steps >= 0 else f"{calendar.span(-steps)} later"


def reach(lags: pl.Series) -> str:
    known = lags.to_list()
    return f"lag {min(known)} to {max(known)}"


def within(frame: pl.DataFrame, share: float) -> int | None:
    """The lag within which `share` of the column `share` of `frame` (lag, share) lies; None where there is nothing."""
    ordered = frame.group_by("lag").agg(pl.col("share").sum()).sort("lag")
    total = float(ordered["share"].sum())
    if not total > 0:
        return None
    reached = int((ordered["share"].cum_sum() < share * total - 1e-12 * total).sum())
    return int(ordered["lag"][min(reached, ordered.height - 1)])


def intervals(levels: Sequence[float]) -> list[tuple[float, str, str]]:
    """(coverage, lower column, upper column) of the central intervals between quantile levels, the widest first."""
    return [
        (round(high - low, 6), quantile_column(low), quantile_column(high)) for low, high in central_intervals(levels)
    ]


def chosen_lags(available: Sequence[int], season: int) -> list[int]:
    """A few telling lags among those there are: the first ones, the season and its double, the longest."""
    if not available:
        return []
    last = max(available)
    wanted = sorted({1, 2, 4, 8, 16, 32, 64, 128, *((season, 2 * season) if season > 1 else ()), last})
    nearest = sorted({min(available, key=lambda lag: (abs(lag - k), lag)) for k in wanted if k <= last})
    keep = {min(available, key=lambda lag: (abs(lag - k), lag)) for k in (1, season, last)}
    while len(nearest) > MOST_CHOSEN_LAGS:
        spare = [lag for lag in nearest if lag not in keep]
        nearest.remove(spare[len(spare) // 2])
    return nearest


def value_words(value: Any) -> str:
    """A JSON-able value as a table cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, int | float):
        return number(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(value_words, value)) or NOT_DEFINED
    if isinstance(value, dict):
        return ", ".join(f"{words(str(key))} {value_words(item)}" for key, item in value.items()) or NOT_DEFINED
    return str(value)


def decided_words(value: Any) -> str:
    """The value of a decision: numbers and texts as they are written on the command line."""
    if isinstance(value, bool | list | tuple | dict):
        return value_words(value)
    return "none" if value is None else str(value)


def time_words(times: Sequence[Any]) -> list[str]:
    """Times as a person writes them: no clock where all are midnight, no seconds where none has any."""
    clocks = [t.time() for t in times if hasattr(t, "hour")]
    if len(clocks) < len(times):
        return [str(t) for t in times]
    if not any(clock.hour or clock.minute or clock.second or clock.microsecond for clock in clocks):
        return [str(t.date()) for t in times]
    size = "auto" if any(clock.second or clock.microsecond for clock in clocks) else "minutes"
    return [str(t.isoformat(" ", size)) for t in times]


def numbers(*titles: str) -> tuple[Column, ...]:
    return tuple(Column(title, "number") for title in titles)


def places(sizes: pl.Series) -> int:
    """Decimals for a column of sizes: three digits of the largest, two of the smallest, within reason."""
    known = [size for size in sizes.abs().fill_nan(None).drop_nulls().to_list() if size > 0]
    if not known:
        return 2
    fewest = decimals(max(known))
    return min(max(fewest, decimals(min(known)) - 1), fewest + 3)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]

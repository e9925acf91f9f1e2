"""How the explanation was computed, and what its words mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tsx.explanation.result import Explained, Explanation
from tsx.report.document import Column, ReportTable, Section
from tsx.report.labels import explained_words, value_words, words
from tsx.wording import percent

METHOD_WORDS = {
    "values": "SHAP values",
    "explains": "explained quantity",
    "players": "players",
    "fewest_pairs": "antithetic pairs of permutations, at least",
    "most_pairs": "antithetic pairs of permutations, at most",
    "evaluations": "evaluations of the network",
    "evaluations_of_checks": "evaluations for the checks",
    "max_evals": "evaluations per forecast, at most",
    "tolerance": "requested tolerance",
    "tolerance_reached": "forecasts that reached the tolerance",
    "relative_error": "pooled relative standard error",
    "reference": "references",
    "absent": "absent values are",
    "level": "level and scale of a window",
    "windows": "forecasts explained",
    "population": "windows used for memory and gradients",
}
PLAYER_WORDS = {
    "auto": "one value (a feature at a lag), or a stretch of lags of a feature that hardly matters",
    "cell": "one value (a feature at a lag)",
    "lag": "one lag of all features",
    "feature": "a whole feature",
    "segment": "a segment of the network, all features",
    "group": "a group of lags of one feature",
    "patch": "a group of lags of neighbouring columns",
}
NOT_SHOWN = ("seconds",)
"""Never shown: the same explanation gives the same bytes."""
VALUE_WORDS = {
    ("level", "follow"): "follow: computed from the inputs that are present",
    ("level", "hold"): "hold: kept from the explained window, so that only its shape is explained",
}
DEFINITIONS = (
    (
        "lag",
        "Steps before the forecast's first step: lag 1 is the value at the cutoff. A value known ahead for step s "
        "has lag 1 - s.",
    ),
    ("distance", "lag + step - 1: the steps between an input and the value that is forecast."),
    (
        "SHAP value",
        "What one input moved one forecast by, in units of the target, averaged over the orders in which "
        "inputs can become known. Base value plus all SHAP values is the forecast.",
    ),
    (
        "share",
        "Of the importance, the mean square of SHAP values: what decides the forecasts. Mean |SHAP| says how far an "
        "input moves them; small moves count for little in squares, so the two do not go in step.",
    ),
    (
        "std. error",
        "The sampling error of the SHAP values: their mean standard error, an upper bound for the "
        "error of a mean of them.",
    ),
    ("reference", "The values that inputs take while they are absent."),
    (
        "retention",
        "Share of what a cell held k steps before the cutoff that its forget gates let through: the product "
        "of the last k gate values.",
    ),
    ("time constant", "-1 / mean(ln f) of a unit's forget gate f; its half-life is ln 2 times that."),
    ("memory span", 'The smallest k with retention under 5 %; "> context" where it is not reached.'),
    (
        "response",
        "How far the forecast moves when one input moves by one of its standard deviations, and all else stays.",
    ),
)


def section(explanation: Explanation) -> Section:
    return Section(
        "method",
        "How this was computed",
        tables=(
            ReportTable(
                "Method",
                (Column("what", "prose"), Column("value", "prose")),
                tuple(method(explanation)),
            ),
            *advice(explanation),
            ReportTable("Definitions", (Column("word"), Column("meaning", "prose")), DEFINITIONS),
        ),
    )


def advice(explanation: Explained) -> tuple[ReportTable, ...]:
    """What another run could do about each check that was not passed, in the words of the program."""
    rows = tuple((words(check.name), check.advice) for check in explanation.checks if check.advice)
    titles = (Column("check", "prose"), Column("for another run of tsx explain", "prose"))
    return (ReportTable("Checks that were not passed", titles, rows),) if rows else ()


def method(explanation: Explanation, only: Sequence[str] = ()) -> list[tuple[str, str]]:
    """What was done, as (what, value); `only` these figures where some are named."""
    figures = explanation.method
    rows = [("player", PLAYER_WORDS[explanation.question.players])]
    for key, value in figures.items():
        if key in NOT_SHOWN or (only and key not in only):
            continue
        if key == "explains":
            text = explained_words(explanation)
        elif key == "tolerance_reached" and isinstance(figures.get("windows"), int):
            text = f"{value_words(value)} of {value_words(figures['windows'])}"
        else:
            text = _method_value(key, value)
        rows.append((words(key, METHOD_WORDS), text))
    return rows


def _method_value(key: str, value: Any) -> str:
    if key in ("tolerance", "relative_error") and isinstance(value, float):
        return percent(value)
    if isinstance(value, str) and (key, value) in VALUE_WORDS:
        return VALUE_WORDS[key, value]
    return value_words(value)
